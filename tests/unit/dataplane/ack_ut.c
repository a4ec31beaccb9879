/* SPDX-License-Identifier: MIT
 * ack_ut.c - what the broker writes, the client reads: every field, every size. */
#include "dataplane/ack.h"

#include "dataplane/client/client_wire.h"
#include "tests/unit/ut.h"

#include <string.h>

static const struct ack_identity us = {.session_id = 0x0100002a, .secret = 0x1122334455667788};
static const struct cwire_session them = {.id = 0x0100002a, .secret = 0x1122334455667788};

static void
the_client_reads_back_every_field_of_an_ack(void)
{
	struct ack a = {
		.log_seq = 0xfffffff0, .disk_seq = 0xffffffe0, .credit_limit = 5, .max_seq = 3,
		.err_total = 77, .ts_echo = 0xdeadbeef, .ack_num = 9, .echo_delay_us = 65535,
		.ce_count = 12, .throttle_ms = 34, .flags = KUP_FLAG_DRAIN, .words = 2, .results = 1,
		.sack = {0x8000000000000001, 0x5},
		.result = {{.base_offset = 1ll << 40, .first_seq = 0xfffffff1, .partition = 7,
			.count = 300, .handle = 64, .error = 46}},
	};
	uint8_t p[KUP_ACK_MAX];
	const uint32_t len = ack_write(p, &us, &a);
	struct cwire_result r;
	struct cwire_in in;

	CU_ASSERT_EQUAL(len, 56 + 2 * 8 + 24);
	CU_ASSERT_EQUAL(len, ack_length(2, 1));
	CU_ASSERT_EQUAL_FATAL(cwire_parse(p, len, &them, &in), CWIRE_ACK);
	CU_ASSERT_EQUAL(in.ack.log_seq, a.log_seq);
	CU_ASSERT_EQUAL(in.ack.disk_seq, a.disk_seq);
	CU_ASSERT_EQUAL(in.ack.credit_limit, 5);
	CU_ASSERT_EQUAL(in.ack.max_seq, 3);
	CU_ASSERT_EQUAL(in.ack.err_total, 77);
	CU_ASSERT_EQUAL(in.ack.ts_echo, 0xdeadbeef);
	CU_ASSERT_EQUAL(in.ack.ack_num, 9);
	CU_ASSERT_EQUAL(in.ack.echo_delay_us, 65535);
	CU_ASSERT_EQUAL(in.ack.ce_count, 12);
	CU_ASSERT_EQUAL(in.ack.throttle_ms, 34);
	CU_ASSERT_EQUAL(in.ack.flags, KUP_FLAG_DRAIN);
	CU_ASSERT_EQUAL(cwire_sack_word(&in.ack, 0), 0x8000000000000001);
	CU_ASSERT_EQUAL(cwire_sack_word(&in.ack, 1), 5);
	cwire_result(&in.ack, 0, &r);
	CU_ASSERT_EQUAL(r.first_seq, 0xfffffff1);
	CU_ASSERT_EQUAL(r.count, 300);
	CU_ASSERT_EQUAL(r.error, 46);
	CU_ASSERT_EQUAL(r.partition, 7);
	CU_ASSERT_EQUAL(r.handle, 64);
	CU_ASSERT_EQUAL(r.base_offset, 1ll << 40);
}

static void
the_largest_ack_is_1144_bytes_and_is_read_back(void)
{
	struct ack a = {.words = KUP_SACK_WORDS_MAX, .results = KUP_RESULTS_MAX};
	uint8_t p[KUP_ACK_MAX];
	struct cwire_in in;

	CU_ASSERT_EQUAL(ack_write(p, &us, &a), KUP_ACK_MAX);
	CU_ASSERT_EQUAL(cwire_parse(p, KUP_ACK_MAX, &them, &in), CWIRE_ACK);
	CU_ASSERT_EQUAL(cwire_parse(p, KUP_ACK_MAX - 1, &them, &in), CWIRE_SHORT);
}

static void
results_fit_beside_the_words(void)
{
	CU_ASSERT_EQUAL(ack_results_fit(KUP_ACK_MAX, KUP_SACK_WORDS_MAX), KUP_RESULTS_MAX);
	CU_ASSERT_EQUAL(ack_results_fit(KUP_ACK_MAX, 0), KUP_RESULTS_MAX);
	CU_ASSERT_EQUAL(ack_results_fit(256, 0), 8);
	CU_ASSERT_EQUAL(ack_results_fit(256, 16), 3);
	CU_ASSERT_EQUAL(ack_results_fit(56, 0), 0);
	CU_ASSERT_EQUAL(ack_results_fit(56, 1), 0);
}

static void
pong_and_reset_are_32_bytes_and_are_read_back(void)
{
	uint8_t p[KUP_ACK_MAX];
	struct cwire_in in;

	CU_ASSERT_EQUAL(pong_write(p, &us, 5, 6, 1472), 32);
	CU_ASSERT_EQUAL_FATAL(cwire_parse(p, 32, &them, &in), CWIRE_PONG);
	CU_ASSERT_EQUAL(in.pong.id, 5);
	CU_ASSERT_EQUAL(in.pong.ts_echo, 6);
	CU_ASSERT_EQUAL(in.pong.received_length, 1472);
	CU_ASSERT_EQUAL(reset_write(p, &us, 8, KUP_RESET_DISK, 1ull << 60), 32);
	CU_ASSERT_EQUAL_FATAL(cwire_parse(p, 32, &them, &in), CWIRE_RESET);
	CU_ASSERT_EQUAL(in.reset.echo, 8);
	CU_ASSERT_EQUAL(in.reset.reason, KUP_RESET_DISK);
	CU_ASSERT_EQUAL(in.reset.incarnation, 1ull << 60);
}

static const struct ut_test tests[] = {
	UT("ack", the_client_reads_back_every_field_of_an_ack),
	UT("ack", the_largest_ack_is_1144_bytes_and_is_read_back),
	UT("ack", results_fit_beside_the_words),
	UT("ack", pong_and_reset_are_32_bytes_and_are_read_back),
};
UT_MAIN(tests)
