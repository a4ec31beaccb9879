/* SPDX-License-Identifier: MIT
 * client_wire.c - bytes of the produce protocol, the client's side. Byte maps: include/kira/wire.h.
 * Pure; any thread. Never trusts a count or a length of a datagram before it has judged it. */
#include "dataplane/client/client_wire.h"

#include "base/bytes.h"

static void
header(uint8_t *p, const struct cwire_session *s, enum kup_type type, uint8_t flags, uint8_t aux)
{
	p[KUP_OFF_MAGIC] = KUP_MAGIC;
	p[KUP_OFF_TYPE] = (uint8_t)(KUP_VERSION << 4 | type);
	p[KUP_OFF_FLAGS] = flags;
	p[KUP_OFF_AUX] = aux;
	put_be32(p + KUP_OFF_SESSION, s->id);
	put_be64(p + KUP_OFF_AUTH, s->secret);
}

void
cwire_data(uint8_t p[KUP_DATA_BATCH], const struct cwire_session *s, uint32_t pkt_seq,
	uint32_t tx_ts, uint16_t handle, int32_t partition, uint8_t flags, uint32_t copies)
{
	header(p, s, KUP_DATA, flags, (uint8_t)(copies > 255 ? 255 : copies));
	put_be32(p + KUP_DATA_SEQ, pkt_seq);
	put_be32(p + KUP_DATA_TX_TS, tx_ts);
	put_be16(p + KUP_DATA_HANDLE, handle);
	p[KUP_DATA_FRAG_IDX] = 0;
	p[KUP_DATA_FRAG_CNT] = 1;
	put_be32(p + KUP_DATA_PARTITION, (uint32_t)partition);
}

uint32_t
cwire_ping(uint8_t *p, uint32_t length, const struct cwire_session *s, uint32_t id, uint32_t tx_ts,
	uint8_t flags)
{
	memset(p, 0, length);
	header(p, s, KUP_PING, flags, 0);
	put_be32(p + KUP_PING_ID, id);
	put_be32(p + KUP_PING_TX_TS, tx_ts);
	return length;
}

uint32_t
cwire_query(uint8_t p[CWIRE_QUERY_BYTES], const struct cwire_session *s, uint32_t first_seq,
	uint16_t count)
{
	memset(p, 0, CWIRE_QUERY_BYTES);
	header(p, s, KUP_QUERY, 0, 0);
	put_be32(p + KUP_QUERY_FIRST, first_seq);
	put_be16(p + KUP_QUERY_COUNT, count);
	return CWIRE_QUERY_BYTES;
}

uint32_t
cwire_close(uint8_t p[KUP_FLOOR], const struct cwire_session *s, uint32_t id)
{
	memset(p, 0, KUP_FLOOR);
	header(p, s, KUP_CLOSE, 0, 0);
	put_be32(p + KUP_PING_ID, id);
	return KUP_FLOOR;
}

static enum cwire_verdict
parse_ack(const uint8_t *p, size_t length, struct cwire_ack *ack)
{
	if (length < KUP_ACK_FIXED)
		return CWIRE_SHORT;
	ack->flags = p[KUP_OFF_FLAGS];
	ack->log_seq = get_be32(p + KUP_ACK_LOG_SEQ);
	ack->disk_seq = get_be32(p + KUP_ACK_DISK_SEQ);
	ack->credit_limit = get_be32(p + KUP_ACK_CREDIT);
	ack->max_seq = get_be32(p + KUP_ACK_MAX_SEQ);
	ack->err_total = get_be32(p + KUP_ACK_ERR_TOTAL);
	ack->ts_echo = get_be32(p + KUP_ACK_TS_ECHO);
	ack->echo_delay_us = get_be16(p + KUP_ACK_ECHO_DELAY);
	ack->ce_count = get_be16(p + KUP_ACK_CE);
	ack->words = p[KUP_ACK_N];
	ack->results = p[KUP_ACK_R];
	ack->throttle_ms = get_be16(p + KUP_ACK_THROTTLE);
	ack->ack_num = get_be32(p + KUP_ACK_NUM);
	ack->sack = p + KUP_ACK_FIXED;
	ack->result = ack->sack + (size_t)ack->words * KUP_SACK_WORD;
	if (ack->words > KUP_SACK_WORDS_MAX || ack->results > KUP_RESULTS_MAX)
		return CWIRE_SHORT;
	if (length < KUP_ACK_FIXED + (size_t)ack->words * KUP_SACK_WORD
			+ (size_t)ack->results * KUP_RESULT)
		return CWIRE_SHORT;
	return CWIRE_ACK;
}

enum cwire_verdict
cwire_parse(const uint8_t *p, size_t length, const struct cwire_session *s, struct cwire_in *ret)
{
	if (length < KUP_HEADER)
		return CWIRE_SHORT;
	if (p[KUP_OFF_MAGIC] != KUP_MAGIC || p[KUP_OFF_TYPE] >> 4 != KUP_VERSION
			|| get_be32(p + KUP_OFF_SESSION) != s->id
			|| get_be64(p + KUP_OFF_AUTH) != s->secret)
		return CWIRE_FOREIGN;
	switch (p[KUP_OFF_TYPE] & 0x0f) {
	case KUP_ACK:
		return parse_ack(p, length, &ret->ack);
	case KUP_PONG:
		if (length < KUP_PONG_BYTES)
			return CWIRE_SHORT;
		ret->pong.id = get_be32(p + KUP_PONG_ID);
		ret->pong.ts_echo = get_be32(p + KUP_PONG_TS_ECHO);
		ret->pong.received_length = get_be16(p + KUP_PONG_LEN);
		return CWIRE_PONG;
	case KUP_RESET:
		if (length < KUP_RESET_BYTES)
			return CWIRE_SHORT;
		ret->reset.echo = get_be32(p + KUP_RESET_ECHO);
		ret->reset.reason = get_be16(p + KUP_RESET_REASON);
		ret->reset.incarnation = get_be64(p + KUP_RESET_INCARNATION);
		return CWIRE_RESET;
	default:
		return CWIRE_FOREIGN;
	}
}

uint64_t
cwire_sack_word(const struct cwire_ack *ack, unsigned w)
{
	return get_be64(ack->sack + (size_t)w * KUP_SACK_WORD);
}

void
cwire_result(const struct cwire_ack *ack, unsigned i, struct cwire_result *ret)
{
	const uint8_t *p = ack->result + (size_t)i * KUP_RESULT;

	ret->first_seq = get_be32(p + KUP_RESULT_SEQ);
	ret->count = get_be16(p + KUP_RESULT_COUNT);
	ret->error = (int16_t)get_be16(p + KUP_RESULT_ERROR);
	ret->partition = (int32_t)get_be32(p + KUP_RESULT_PART);
	ret->handle = get_be16(p + KUP_RESULT_HANDLE);
	ret->base_offset = (int64_t)get_be64(p + KUP_RESULT_OFFSET);
}
