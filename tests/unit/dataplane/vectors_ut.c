/* SPDX-License-Identifier: MIT
 * vectors_ut.c - broker and libkira read and write the bytes of tests/golden/wire/client.txt and
 * broker.txt, which
 * another program made from PROTOCOL.md. */
#include "tests/unit/vectors.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "dataplane/ack.h"
#include "dataplane/client/client_wire.h"
#include "dataplane/rx_produce.h"
#include "tests/unit/ut.h"

#include <inttypes.h>
#include <kira/record_batch.h>
#include <stdlib.h>
#include <string.h>

#define ID     0x0100002au
#define SECRET 0x1122334455667788u

static const struct ack_identity us = {.session_id = ID, .secret = SECRET};
static const struct cwire_session them = {.id = ID, .secret = SECRET, .incarnation = 7};
static struct vector v;

/* Which one it was, where a check fails. */
static void
equal(const char *key, int64_t got)
{
	if (got == vector_int(&v, key))
		return;
	fprintf(stderr, "%s: %s is %lld, not %lld\n", v.name, key, (long long)got,
		(long long)vector_int(&v, key));
	CU_FAIL("a field differs");
}

static void
same_bytes(const uint8_t *p, uint32_t len)
{
	if (len == v.len && memcmp(p, v.bytes, len) == 0)
		return;
	fprintf(stderr, "%s: other bytes are built, %u of them, not %u\n", v.name, len, v.len);
	CU_FAIL("bytes differ");
}

/* Every vector of a file; how many of each type there must at least be is asked by the caller. */
static void
each(const char *file, void (*judge)(uint8_t type), unsigned least)
{
	FILE *f = vectors_open(file);
	unsigned n = 0;

	for (; vectors_next(f, &v); n++)
		judge(vector_u8(&v, "type"));
	CU_ASSERT(n >= least);
	(void)fclose(f);
}

static void
checksum(uint8_t type)
{
	CU_ASSERT_EQUAL(crc32c(v.bytes, v.len), vector_u32(&v, "crc32c"));
}

static void
the_checksum_is_everybodys_crc32c(void)
{
	FILE *f = vectors_open("checksums.txt");
	unsigned n = 0;

	for (; vectors_next(f, &v); n++)
		checksum(0);
	CU_ASSERT(n >= 5);
	(void)fclose(f);
}

static void
broker_reads(uint8_t type)
{
	const uint8_t *batch = v.bytes + KUP_DATA_BATCH;
	struct produce_head h;
	struct produce_data d;

	CU_ASSERT_EQUAL_FATAL(produce_head(v.bytes, v.len, &h), PRODUCE_OK);
	equal("type", h.type);
	CU_ASSERT(h.session_id == ID && h.auth == SECRET);
	if (type == KUP_DATA) {
		produce_data(v.bytes, v.len, &d);
		CU_ASSERT_EQUAL(d.error, 0);
		equal("flags", h.flags);
		equal("aux", h.aux);
		equal("pkt_seq", h.word);
		equal("tx_ts", h.word2);
		equal("handle", d.handle);
		equal("partition", d.partition);
		equal("batch_length", d.length);
		equal("records", d.records);
		equal("producer_id", rb_producer_id(batch));
		equal("producer_epoch", (int16_t)get_be16(batch + RB_PRODUCER_EPOCH));
		equal("base_sequence", (int32_t)get_be32(batch + RB_BASE_SEQUENCE));
		equal("crc32c", get_be32(batch + RB_CRC));
		equal("crc32c", crc32c(batch + RB_ATTRIBUTES, d.length - RB_ATTRIBUTES));
	} else if (type == KUP_QUERY) {
		equal("first_seq", h.word);
		equal("count", h.word2 >> 16);
	} else {
		equal("id", h.word);
	}
}

static void
the_broker_reads_what_a_client_sends(void)
{
	each("client.txt", broker_reads, 12);
}

static void
client_builds(uint8_t type)
{
	static uint8_t p[sizeof(v.bytes)];
	uint32_t len = 0;

	memset(p, 0, sizeof(p));
	if (type == KUP_DATA) {
		const uint32_t batch = vector_u32(&v, "batch_length");

		cwire_data(p, &them, vector_u32(&v, "pkt_seq"), vector_u32(&v, "tx_ts"),
			vector_u16(&v, "handle"), (int32_t)vector_int(&v, "partition"),
			vector_u8(&v, "flags"), vector_u32(&v, "aux"));
		memcpy(p + KUP_DATA_BATCH, v.bytes + KUP_DATA_BATCH, batch);
		len = cwire_data_length(batch);
	} else if (type == KUP_PING) {
		len = cwire_ping(p, vector_u32(&v, "length"), &them, vector_u32(&v, "id"),
			vector_u32(&v, "tx_ts"), vector_u8(&v, "flags"));
	} else if (type == KUP_QUERY) {
		len = cwire_query(p, &them, vector_u32(&v, "first_seq"), vector_u16(&v, "count"));
	} else if (type == KUP_CLOSE) {
		len = cwire_close(p, &them, vector_u32(&v, "id"));
	}
	same_bytes(p, len);
}

static void
libkira_builds_what_a_client_sends(void)
{
	each("client.txt", client_builds, 12);
}

static struct window_result
result_of(const char *text)
{
	struct window_result r;

	CU_ASSERT_EQUAL_FATAL(sscanf(text, "%" SCNu32 " %" SCNu16 " %" SCNd16 " %" SCNd32 " %" SCNu16
		" %" SCNd64, &r.first_seq, &r.count, &r.error, &r.partition, &r.handle, &r.base_offset), 6);
	return r;
}

static void
broker_builds(uint8_t type)
{
	uint8_t p[KUP_ACK_MAX];
	struct ack a = {0};
	const char *text;

	if (type == KUP_PONG) {
		same_bytes(p, pong_write(p, &us, vector_u32(&v, "id"),
			vector_u32(&v, "ts_echo"), vector_u16(&v, "received_len")));
		return;
	}
	if (type == KUP_RESET) {
		same_bytes(p, reset_write(p, &us, vector_u32(&v, "echo"),
			vector_u16(&v, "reason"), (uint64_t)vector_int(&v, "incarnation")));
		return;
	}
	a.log_seq = vector_u32(&v, "log_seq");
	a.disk_seq = vector_u32(&v, "disk_seq");
	a.credit_limit = vector_u32(&v, "credit_limit");
	a.max_seq = vector_u32(&v, "max_seq");
	a.err_total = vector_u32(&v, "err_total");
	a.ts_echo = vector_u32(&v, "ts_echo");
	a.ack_num = vector_u32(&v, "ack_num");
	a.echo_delay_us = vector_u16(&v, "echo_delay_us");
	a.ce_count = vector_u16(&v, "ce_count");
	a.throttle_ms = vector_u16(&v, "throttle_ms");
	a.flags = vector_u8(&v, "flags");
	while (a.words < KUP_SACK_WORDS_MAX && (text = vector_text(&v, "sack", a.words)) != NULL)
		a.sack[a.words++] = strtoull(text, NULL, 16);
	while (a.results < KUP_RESULTS_MAX && (text = vector_text(&v, "result", a.results)) != NULL)
		a.result[a.results++] = result_of(text);
	same_bytes(p, ack_write(p, &us, &a));
}

static void
the_broker_builds_what_a_broker_sends(void)
{
	each("broker.txt", broker_builds, 12);
}

static void
client_reads_ack(const struct cwire_ack *a)
{
	const char *text;

	equal("flags", a->flags);
	equal("log_seq", a->log_seq);
	equal("disk_seq", a->disk_seq);
	equal("credit_limit", a->credit_limit);
	equal("max_seq", a->max_seq);
	equal("err_total", a->err_total);
	equal("ts_echo", a->ts_echo);
	equal("ack_num", a->ack_num);
	equal("echo_delay_us", a->echo_delay_us);
	equal("ce_count", a->ce_count);
	equal("throttle_ms", a->throttle_ms);
	CU_ASSERT_PTR_NULL(vector_text(&v, "sack", a->words));
	CU_ASSERT_PTR_NULL(vector_text(&v, "result", a->results));
	for (unsigned i = 0; i < a->words && (text = vector_text(&v, "sack", i)) != NULL; i++)
		CU_ASSERT_EQUAL(cwire_sack_word(a, i), strtoull(text, NULL, 16));
	for (unsigned i = 0; i < a->results && (text = vector_text(&v, "result", i)) != NULL; i++) {
		const struct window_result want = result_of(text);
		struct cwire_result r;

		cwire_result(a, i, &r);
		CU_ASSERT(r.first_seq == want.first_seq && r.count == want.count);
		CU_ASSERT(r.partition == want.partition && r.handle == want.handle);
		CU_ASSERT(r.error == want.error && r.base_offset == want.base_offset);
	}
}

static void
client_reads(uint8_t type)
{
	struct cwire_in in;

	switch (cwire_parse(v.bytes, v.len, &them, &in)) {
	case CWIRE_ACK:
		CU_ASSERT_EQUAL(type, KUP_ACK);
		client_reads_ack(&in.ack);
		break;
	case CWIRE_PONG:
		CU_ASSERT_EQUAL(type, KUP_PONG);
		equal("id", in.pong.id);
		equal("ts_echo", in.pong.ts_echo);
		equal("received_len", in.pong.received_length);
		break;
	case CWIRE_RESET:
		CU_ASSERT_EQUAL(type, KUP_RESET);
		equal("echo", in.reset.echo);
		equal("reason", in.reset.reason);
		equal("incarnation", (int64_t)in.reset.incarnation);
		break;
	default:
		CU_FAIL("libkira does not take it");
	}
	CU_ASSERT_EQUAL(cwire_parse(v.bytes, v.len - 1, &them, &in), CWIRE_SHORT);
}

static void
libkira_reads_what_a_broker_sends(void)
{
	each("broker.txt", client_reads, 12);
}

static const struct ut_test tests[] = {
	UT("vectors", the_checksum_is_everybodys_crc32c),
	UT("vectors", the_broker_reads_what_a_client_sends),
	UT("vectors", libkira_builds_what_a_client_sends),
	UT("vectors", the_broker_builds_what_a_broker_sends),
	UT("vectors", libkira_reads_what_a_broker_sends),
};
UT_MAIN(tests)
