/* SPDX-License-Identifier: MIT
 * wire_ut.c - dataplane/client/client_wire.c: what is built is the byte map, what comes in is judged. */
#include "dataplane/client/client_wire.c"

#include "tests/unit/ut.h"

static const struct cwire_session session = {.id = 0x03000007, .secret = 0x0102030405060708};

static void
a_data_header_is_the_byte_map(void)
{
	static const uint8_t golden[KUP_DATA_BATCH] = {0x4b, 0x11, 0x01, 0x02, 3, 0, 0, 7, 1, 2, 3, 4, 5,
		6, 7, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0x0f, 0x42, 0x40, 0, 9, 0, 1, 0, 0, 1, 0};
	uint8_t p[KUP_DATA_BATCH];

	cwire_data(p, &session, 0xfffffffe, 1000000, 9, 256, KUP_FLAG_ACK_NOW, 2);
	CU_ASSERT_EQUAL(memcmp(p, golden, sizeof(golden)), 0);
	cwire_data(p, &session, 1, 1, 1, 1, 0, 300);
	CU_ASSERT_EQUAL(p[KUP_OFF_AUX], 255);
}

static void
no_datagram_is_below_the_floor(void)
{
	CU_ASSERT_EQUAL(cwire_data_length(61), KUP_FLOOR);
	CU_ASSERT_EQUAL(cwire_data_length(KUP_FLOOR), KUP_FLOOR + KUP_DATA_BATCH);
}

/* An ACK with `words` and `results`, as long as its layout. */
static size_t
ack(uint8_t p[KUP_ACK_MAX + 1024], uint8_t words, uint8_t results)
{
	memset(p, 0, KUP_ACK_MAX + 1024);
	header(p, &session, KUP_ACK, 0, 0);
	put_be32(p + KUP_ACK_LOG_SEQ, 77);
	put_be32(p + KUP_ACK_CREDIT, 333);
	p[KUP_ACK_N] = words;
	p[KUP_ACK_R] = results;
	return KUP_ACK_FIXED + (size_t)words * 8 + (size_t)results * 24;
}

static void
an_ack_is_taken_apart_and_a_cut_one_refused(void)
{
	uint8_t p[KUP_ACK_MAX + 1024];
	struct cwire_result res;
	struct cwire_in in;
	size_t n = ack(p, 2, 3);

	put_be64(p + KUP_ACK_FIXED + 8, 5);
	put_be32(p + n - 24, 78);
	put_be16(p + n - 20, 4);
	put_be64(p + n - 8, 1000);
	CU_ASSERT_EQUAL(cwire_parse(p, n, &session, &in), CWIRE_ACK);
	CU_ASSERT_EQUAL(in.ack.log_seq, 77);
	CU_ASSERT_EQUAL(in.ack.credit_limit, 333);
	CU_ASSERT_EQUAL(cwire_sack_word(&in.ack, 1), 5);
	cwire_result(&in.ack, 2, &res);
	CU_ASSERT_TRUE(res.first_seq == 78 && res.count == 4 && res.base_offset == 1000);
	CU_ASSERT_EQUAL(cwire_parse(p, n - 1, &session, &in), CWIRE_SHORT);
	CU_ASSERT_EQUAL(cwire_parse(p, KUP_ACK_FIXED - 1, &session, &in), CWIRE_SHORT);
	CU_ASSERT_EQUAL(cwire_parse(p, 3, &session, &in), CWIRE_SHORT);
}

static void
counts_beyond_their_limits_are_refused(void)
{
	uint8_t p[KUP_ACK_MAX + 1024];
	struct cwire_in in;
	size_t n;

	n = ack(p, KUP_SACK_WORDS_MAX, KUP_RESULTS_MAX);
	CU_ASSERT_EQUAL(n, KUP_ACK_MAX);
	CU_ASSERT_EQUAL(cwire_parse(p, n, &session, &in), CWIRE_ACK);
	n = ack(p, KUP_SACK_WORDS_MAX + 1, 0);
	CU_ASSERT_EQUAL(cwire_parse(p, n, &session, &in), CWIRE_SHORT);
	n = ack(p, 0, KUP_RESULTS_MAX + 1);
	CU_ASSERT_EQUAL(cwire_parse(p, n, &session, &in), CWIRE_SHORT);
}

static void
what_does_not_carry_our_secret_is_foreign(void)
{
	uint8_t p[KUP_ACK_MAX + 1024];
	struct cwire_in in;
	const size_t n = ack(p, 0, 0);

	for (size_t i = 0; i < KUP_HEADER; i++) {
		if (i == KUP_OFF_FLAGS || i == KUP_OFF_AUX)
			continue;
		p[i] ^= 0x10;
		CU_ASSERT_EQUAL(cwire_parse(p, n, &session, &in), CWIRE_FOREIGN);
		p[i] ^= 0x10;
	}
	p[KUP_OFF_TYPE] = KUP_VERSION << 4 | KUP_DATA; /* not for a client */
	CU_ASSERT_EQUAL(cwire_parse(p, n, &session, &in), CWIRE_FOREIGN);
}

static void
pong_and_reset_come_through(void)
{
	uint8_t p[64] = {0};
	struct cwire_in in;

	header(p, &session, KUP_PONG, 0, 0);
	put_be32(p + KUP_PONG_ID, 5);
	put_be16(p + KUP_PONG_LEN, 1472);
	CU_ASSERT_EQUAL(cwire_parse(p, KUP_PONG_BYTES, &session, &in), CWIRE_PONG);
	CU_ASSERT_TRUE(in.pong.id == 5 && in.pong.received_length == 1472);
	CU_ASSERT_EQUAL(cwire_parse(p, KUP_PONG_BYTES - 1, &session, &in), CWIRE_SHORT);
	header(p, &session, KUP_RESET, 0, 0);
	put_be16(p + KUP_RESET_REASON, KUP_RESET_DISK);
	put_be64(p + KUP_RESET_INCARNATION, 42);
	CU_ASSERT_EQUAL(cwire_parse(p, KUP_RESET_BYTES, &session, &in), CWIRE_RESET);
	CU_ASSERT_TRUE(in.reset.reason == KUP_RESET_DISK && in.reset.incarnation == 42);
}

static const struct ut_test tests[] = {
	UT("wire", a_data_header_is_the_byte_map),
	UT("wire", no_datagram_is_below_the_floor),
	UT("wire", an_ack_is_taken_apart_and_a_cut_one_refused),
	UT("wire", counts_beyond_their_limits_are_refused),
	UT("wire", what_does_not_carry_our_secret_is_foreign),
	UT("wire", pong_and_reset_come_through),
};

UT_MAIN(tests)
