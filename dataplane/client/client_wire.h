/* SPDX-License-Identifier: MIT
 * client_wire.h - the client's side of the produce protocol's bytes: build DATA, PING, QUERY and
 * CLOSE, judge and take apart ACK, PONG and RESET. Pure: no socket, clock or allocation; any thread.
 * Where a datagram came from (address, port) is for the caller to judge, before it calls here. */
#ifndef KIRA_CLIENT_WIRE_H
#define KIRA_CLIENT_WIRE_H

#include <kira/wire.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who we are on the wire, as OpenSession granted it. */
struct cwire_session {
	uint32_t id;
	uint64_t secret;
	uint64_t incarnation;
};

/* ---- Out. Each returns the length of the datagram. --------------------------------------- */

/* The KUP_DATA_BATCH bytes in front of a batch; the caller places the batch behind them and sends
 * cwire_data_length(). `copies` is how often this pkt_seq went out before. */
void cwire_data(uint8_t header[KUP_DATA_BATCH], const struct cwire_session *s, uint32_t pkt_seq,
	uint32_t tx_ts, uint16_t handle, int32_t partition, uint8_t flags, uint32_t copies);

/* Payload of a DATA with that batch: at least KUP_FLOOR; what lies beyond the batch must be zero. */
static inline uint32_t
cwire_data_length(uint32_t batch_length)
{
	return batch_length + KUP_DATA_BATCH < KUP_FLOOR ? KUP_FLOOR : batch_length + KUP_DATA_BATCH;
}

/* `length` (KUP_FLOOR.. room in p) is the size probed; zeros fill it up. */
uint32_t cwire_ping(uint8_t *p, uint32_t length, const struct cwire_session *s, uint32_t id,
	uint32_t tx_ts, uint8_t flags);

/* KUP_ACK_MAX bytes, so that the answer, never longer than the question, can be a full ACK. */
#define CWIRE_QUERY_BYTES KUP_ACK_MAX
uint32_t cwire_query(uint8_t p[CWIRE_QUERY_BYTES], const struct cwire_session *s, uint32_t first_seq,
	uint16_t count);

uint32_t cwire_close(uint8_t p[KUP_FLOOR], const struct cwire_session *s, uint32_t id);

/* ---- In ---------------------------------------------------------------------------------- */

enum cwire_verdict {
	CWIRE_ACK,
	CWIRE_PONG,
	CWIRE_RESET,
	CWIRE_FOREIGN, /* not this session's: magic, version, type, id or secret */
	CWIRE_SHORT,   /* shorter than its layout, or counts beyond their limits */
};

/* sack and result are views into the datagram. */
struct cwire_ack {
	uint32_t log_seq, disk_seq, credit_limit, max_seq, err_total, ts_echo, ack_num;
	uint16_t echo_delay_us, ce_count, throttle_ms;
	uint8_t flags, words, results;
	const uint8_t *sack, *result;
};

struct cwire_result {
	uint32_t first_seq;
	uint16_t count;
	int16_t error;
	int32_t partition;
	uint16_t handle;
	int64_t base_offset;
};

struct cwire_in {
	union {
		struct cwire_ack ack;
		struct {
			uint32_t id, ts_echo;
			uint16_t received_length;
		} pong;
		struct {
			uint32_t echo;
			uint16_t reason; /* enum kup_reset_reason */
			uint64_t incarnation;
		} reset;
	};
};

enum cwire_verdict cwire_parse(const uint8_t *p, size_t length, const struct cwire_session *s,
	struct cwire_in *ret);

/* Word w < ack->words. */
uint64_t cwire_sack_word(const struct cwire_ack *ack, unsigned w);
/* Result i < ack->results. */
void cwire_result(const struct cwire_ack *ack, unsigned i, struct cwire_result *ret);

#endif
