/* SPDX-License-Identifier: MIT
 * ack.c - the bytes of ACK, PONG and RESET. See ack.h.
 * Thread: any. Owns: nothing. Never: decides what is said; window.c and rx.c do. */
#include "dataplane/ack.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bytes.h"

BUILD_ASSERT(KUP_ACK_FIXED + KUP_SACK_WORDS_MAX * KUP_SACK_WORD + KUP_RESULTS_MAX * KUP_RESULT ==
	KUP_ACK_MAX);

unsigned
ack_results_fit(uint32_t room, unsigned words)
{
	const uint32_t fixed = ack_length(words, 0);

	return room < fixed ? 0 : MIN((room - fixed) / KUP_RESULT, (uint32_t)KUP_RESULTS_MAX);
}

static void
header(uint8_t *p, const struct ack_identity *id, uint8_t type, uint8_t flags)
{
	p[KUP_OFF_MAGIC] = KUP_MAGIC;
	p[KUP_OFF_TYPE] = (uint8_t)(KUP_VERSION << 4 | type);
	p[KUP_OFF_FLAGS] = flags;
	p[KUP_OFF_AUX] = 0;
	put_be32(p + KUP_OFF_SESSION, id->session_id);
	put_be64(p + KUP_OFF_AUTH, id->secret);
}

static void
result(uint8_t *p, const struct window_result *r)
{
	put_be32(p + KUP_RESULT_SEQ, r->first_seq);
	put_be16(p + KUP_RESULT_COUNT, r->count);
	put_be16(p + KUP_RESULT_ERROR, (uint16_t)r->error);
	put_be32(p + KUP_RESULT_PART, (uint32_t)r->partition);
	put_be16(p + KUP_RESULT_HANDLE, r->handle);
	put_be16(p + KUP_RESULT_HANDLE + 2, 0);
	put_be64(p + KUP_RESULT_OFFSET, (uint64_t)r->base_offset);
}

uint32_t
ack_write(uint8_t *p, const struct ack_identity *id, const struct ack *a)
{
	uint8_t *at = p + KUP_ACK_FIXED;

	header(p, id, KUP_ACK, a->flags);
	put_be32(p + KUP_ACK_LOG_SEQ, a->log_seq);
	put_be32(p + KUP_ACK_DISK_SEQ, a->disk_seq);
	put_be32(p + KUP_ACK_UPLINK_SEQ, 0);
	put_be32(p + KUP_ACK_CREDIT, a->credit_limit);
	put_be32(p + KUP_ACK_MAX_SEQ, a->max_seq);
	put_be32(p + KUP_ACK_ERR_TOTAL, a->err_total);
	put_be32(p + KUP_ACK_TS_ECHO, a->ts_echo);
	put_be16(p + KUP_ACK_ECHO_DELAY, a->echo_delay_us);
	put_be16(p + KUP_ACK_CE, a->ce_count);
	p[KUP_ACK_N] = a->words;
	p[KUP_ACK_R] = a->results;
	put_be16(p + KUP_ACK_THROTTLE, a->throttle_ms);
	put_be32(p + KUP_ACK_NUM, a->ack_num);
	for (unsigned i = 0; i < a->words; i++, at += KUP_SACK_WORD)
		put_be64(at, a->sack[i]);
	for (unsigned i = 0; i < a->results; i++, at += KUP_RESULT)
		result(at, &a->result[i]);
	return (uint32_t)(at - p);
}

uint32_t
pong_write(uint8_t *p, const struct ack_identity *id, uint32_t ping_id, uint32_t ts_echo,
	uint16_t received_len)
{
	memset(p, 0, KUP_PONG_BYTES);
	header(p, id, KUP_PONG, 0);
	put_be32(p + KUP_PONG_ID, ping_id);
	put_be32(p + KUP_PONG_TS_ECHO, ts_echo);
	put_be16(p + KUP_PONG_LEN, received_len);
	return KUP_PONG_BYTES;
}

uint32_t
reset_write(uint8_t *p, const struct ack_identity *id, uint32_t echo, uint16_t reason,
	uint64_t incarnation)
{
	memset(p, 0, KUP_RESET_BYTES);
	header(p, id, KUP_RESET, 0);
	put_be32(p + KUP_RESET_ECHO, echo);
	put_be16(p + KUP_RESET_REASON, reason);
	put_be64(p + KUP_RESET_INCARNATION, incarnation);
	return KUP_RESET_BYTES;
}
