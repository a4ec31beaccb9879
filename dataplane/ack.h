/* SPDX-License-Identifier: MIT
 * ack.h - the bytes of what the broker sends: ACK, PONG, RESET (PROTOCOL.md, 4). Pure: sees
 * window.h and include/ only. Any thread. */
#ifndef KIRA_DATAPLANE_ACK_H
#define KIRA_DATAPLANE_ACK_H

#include "dataplane/window.h"

struct ack_identity {
	uint32_t session_id;
	uint64_t secret;
};

struct ack {
	uint32_t log_seq, disk_seq, credit_limit, max_seq, err_total;
	uint32_t ts_echo, ack_num;
	uint16_t echo_delay_us, ce_count, throttle_ms;
	uint8_t flags;
	uint8_t words, results;
	uint64_t sack[KUP_SACK_WORDS_MAX];
	struct window_result result[KUP_RESULTS_MAX];
};

static inline uint32_t
ack_length(unsigned words, unsigned results)
{
	return KUP_ACK_FIXED + words * KUP_SACK_WORD + results * KUP_RESULT;
}

/* How many results fit beside `words` into `room` bytes. */
unsigned ack_results_fit(uint32_t room, unsigned words);

/* Each writes one datagram and returns its length: at most KUP_ACK_MAX, PONG and RESET 32. */
uint32_t ack_write(uint8_t *p, const struct ack_identity *id, const struct ack *a);
uint32_t pong_write(uint8_t *p, const struct ack_identity *id, uint32_t ping_id, uint32_t ts_echo,
	uint16_t received_len);
uint32_t reset_write(uint8_t *p, const struct ack_identity *id, uint32_t echo, uint16_t reason,
	uint64_t incarnation);

#endif
