/* SPDX-License-Identifier: MIT
 * batch_ut.c - storage/batch.c: each rule alone, their order, the checksum, the LogAppendTime stamp. */
#include "storage/batch.c"

#include "base/bits.h"
#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#include <stdlib.h>

static uint8_t b[4096];
static uint32_t length;

static void
good_batch(void)
{
	length = make_batch(b, (struct batch_of){.count = 3,
				       .value = 20,
				       .producer = 7,
				       .epoch = 2,
				       .sequence = 40,
				       .step_ms = 5});
}

static int16_t
judge(unsigned flags)
{
	return batch_check(b, length, flags);
}

static void
a_right_batch_passes_with_and_without_bytes_behind_it(void)
{
	good_batch();
	CU_ASSERT_EQUAL(judge(BATCH_NEW | BATCH_EXACT), 0);
	CU_ASSERT_TRUE(batch_crc_right(b));
	length += 100;
	CU_ASSERT_EQUAL(judge(BATCH_NEW), 0);
	CU_ASSERT_EQUAL(judge(BATCH_NEW | BATCH_EXACT), KIRA_E_CORRUPT_MESSAGE);
}

static void
a_length_that_does_not_fit_is_corrupt(void)
{
	static const int32_t bad[] = {48, 0, -1, INT32_MIN, INT32_MAX};

	good_batch();
	CU_ASSERT_EQUAL(batch_check(b, RB_HEADER - 1, BATCH_NEW), KIRA_E_CORRUPT_MESSAGE);
	CU_ASSERT_EQUAL(batch_check(b, 0, BATCH_NEW), KIRA_E_CORRUPT_MESSAGE);
	CU_ASSERT_EQUAL(batch_check(b, length - 1, BATCH_NEW), KIRA_E_CORRUPT_MESSAGE);
	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
		put_be32(b + RB_LENGTH, (uint32_t)bad[i]);
		CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_CORRUPT_MESSAGE);
	}
}

static void
any_magic_but_2_is_refused(void)
{
	for (unsigned m = 0; m < 256; m++) {
		good_batch();
		b[RB_MAGIC] = (uint8_t)m;
		CU_ASSERT_EQUAL(judge(BATCH_NEW), m == 2 ? 0 : KIRA_E_INVALID_RECORD);
	}
}

static void
codecs_up_to_zstd_pass_and_no_other(void)
{
	for (unsigned codec = 0; codec < 8; codec++) {
		good_batch();
		put_be16(b + RB_ATTRIBUTES, (uint16_t)codec);
		CU_ASSERT_EQUAL(
			judge(BATCH_NEW), codec <= 4 ? 0 : KIRA_E_UNSUPPORTED_COMPRESSION_TYPE);
	}
}

static void
a_base_offset_is_judged_in_new_batches_only(void)
{
	good_batch();
	put_be64(b, 1);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_RECORD);
	CU_ASSERT_EQUAL(judge(0), 0);
}

static void
counts(int32_t count, int32_t last_delta)
{
	put_be32(b + RB_COUNT, (uint32_t)count);
	put_be32(b + RB_LAST_OFFSET_DELTA, (uint32_t)last_delta);
}

static void
a_count_must_be_honest(void)
{
	static const int32_t bad[][2] = {{0, -1}, {-1, -2}, {INT32_MIN, INT32_MAX}, {3, 3}, {3, 1},
		{BATCH_RECORDS_MAX + 1, BATCH_RECORDS_MAX}, {INT32_MAX, INT32_MAX - 1}};

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
		good_batch();
		counts(bad[i][0], bad[i][1]);
		CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_RECORD);
		CU_ASSERT_EQUAL(judge(0), KIRA_E_INVALID_RECORD);
	}
}

static void
an_uncompressed_batch_cannot_claim_more_records_than_it_has_room_for(void)
{
	good_batch();
	length = seal_batch(b, RB_HEADER + 7 * 5 + 6);
	counts(5, 4);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), 0);
	counts(6, 5);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_RECORD);
	put_be16(b + RB_ATTRIBUTES, 3);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), 0); /* compressed: nobody knows yet */
	counts(BATCH_RECORDS_MAX, BATCH_RECORDS_MAX - 1);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), 0);
}

static void
bits_of_the_broker_and_half_a_producer_are_refused(void)
{
	static const struct {
		uint16_t attributes;
		int64_t id;
		int16_t epoch;
		int32_t sequence, error;
	} row[] = {
		{0x20, -1, -1, -1, KIRA_E_INVALID_RECORD},
		{0x40, -1, -1, -1, KIRA_E_INVALID_RECORD}, {0, -2, -1, -1, KIRA_E_INVALID_RECORD},
		{0, INT64_MIN, 0, 0, KIRA_E_INVALID_RECORD}, {0, 5, -1, 0, KIRA_E_INVALID_RECORD},
		{0, 5, 0, -1, KIRA_E_INVALID_RECORD}, {0, 0, 0, 0, 0}, {0, -1, 9, 9, 0},
		{0xff80, 5, 0, 0, 0}, /* bits that mean nothing yet */
	};

	for (unsigned i = 0; i < ARRAY_LENGTH(row); i++) {
		good_batch();
		put_be16(b + RB_ATTRIBUTES, row[i].attributes);
		put_be64(b + RB_PRODUCER_ID, (uint64_t)row[i].id);
		put_be16(b + RB_PRODUCER_EPOCH, (uint16_t)row[i].epoch);
		put_be32(b + RB_BASE_SEQUENCE, (uint32_t)row[i].sequence);
		CU_ASSERT_EQUAL(judge(BATCH_NEW), row[i].error);
		CU_ASSERT_EQUAL(judge(0), row[i].error);
	}
}

static void
transactions_and_the_brokers_timestamp_type_are_refused_in_new_batches_only(void)
{
	good_batch();
	put_be16(b + RB_ATTRIBUTES, RB_ATTR_TRANSACTIONAL);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
	CU_ASSERT_EQUAL(judge(0), 0);
	put_be16(b + RB_ATTRIBUTES, RB_ATTR_LOG_APPEND);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_TIMESTAMP);
	CU_ASSERT_EQUAL(judge(BATCH_NEW | BATCH_UNTIMED), KIRA_E_INVALID_TIMESTAMP);
	CU_ASSERT_EQUAL(judge(0), 0);
}

static void
a_max_timestamp_below_the_base_is_judged_unless_the_topic_stamps(void)
{
	good_batch();
	put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)(BATCH_WALL_MS - 1));
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_TIMESTAMP);
	CU_ASSERT_EQUAL(judge(BATCH_NEW | BATCH_UNTIMED), 0);
	CU_ASSERT_EQUAL(judge(0), 0);
}

/* Every rule broken at once, mended one by one: the answers come in the table's order. */
static void
the_first_rule_that_fails_decides(void)
{
	good_batch();
	put_be32(b + RB_LENGTH, 48);
	b[RB_MAGIC] = 1;
	put_be16(b + RB_ATTRIBUTES,
		7 | RB_ATTR_CONTROL | RB_ATTR_TRANSACTIONAL | RB_ATTR_LOG_APPEND);
	counts(0, 0);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_CORRUPT_MESSAGE);
	put_be32(b + RB_LENGTH, length - RB_LENGTH_FROM);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_RECORD);
	b[RB_MAGIC] = 2;
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_UNSUPPORTED_COMPRESSION_TYPE);
	put_be16(b + RB_ATTRIBUTES, RB_ATTR_CONTROL | RB_ATTR_TRANSACTIONAL | RB_ATTR_LOG_APPEND);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_RECORD);
	counts(3, 2);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_RECORD);
	put_be16(b + RB_ATTRIBUTES, RB_ATTR_TRANSACTIONAL | RB_ATTR_LOG_APPEND);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
	put_be16(b + RB_ATTRIBUTES, RB_ATTR_LOG_APPEND);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), KIRA_E_INVALID_TIMESTAMP);
	put_be16(b + RB_ATTRIBUTES, 0);
	CU_ASSERT_EQUAL(judge(BATCH_NEW), 0);
}

static void
the_checksum_covers_every_bit_from_the_attributes_on_and_none_before(void)
{
	good_batch();
	for (uint32_t i = 0; i < length * 8; i++) {
		const bool covered = i / 8 >= RB_ATTRIBUTES;
		/* The length decides what is read, the checksum field what is compared. */
		const bool own = (i / 8 >= RB_LENGTH && i / 8 < RB_LENGTH_FROM) ||
				 (i / 8 >= RB_CRC && i / 8 < RB_ATTRIBUTES);

		if (own)
			continue;
		b[i / 8] ^= (uint8_t)(1 << i % 8);
		CU_ASSERT_EQUAL(batch_crc_right(b), !covered);
		b[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	CU_ASSERT_TRUE(batch_crc_right(b));
}

static void
a_stamp_sets_type_and_time_and_the_checksum_follows(void)
{
	uint8_t was[4096];

	good_batch();
	put_be16(b + RB_ATTRIBUTES, 0x8003);
	memcpy(was, b, length);
	batch_stamp(b, BATCH_WALL_MS + 99);
	CU_ASSERT_TRUE(batch_crc_right(b));
	CU_ASSERT_EQUAL(rb_max_timestamp(b), BATCH_WALL_MS + 99);
	CU_ASSERT_EQUAL(rb_attributes(b), 0x800b);
	/* Nothing else moved. */
	put_be16(b + RB_ATTRIBUTES, 0x8003);
	memcpy(b + RB_MAX_TIMESTAMP, was + RB_MAX_TIMESTAMP, 8);
	memcpy(b + RB_CRC, was + RB_CRC, 4);
	CU_ASSERT_EQUAL(memcmp(b, was, length), 0);
}

/* Against the checksum of the whole, at every small length and around every power of two. */
static void
a_patched_checksum_is_that_of_the_whole_batch_at_any_length(void)
{
	const uint32_t room = 5 * 1024 * 1024 + 1;
	uint8_t *p = malloc(room);
	uint32_t tried = 0, bad = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	for (uint32_t i = 0; i < room; i++)
		p[i] = (uint8_t)(i * 2654435761u >> 24);
	for (uint32_t n = RB_HEADER; n <= room; n++) {
		/* n, n - 1 or n + 1 a power of two, or the largest: those behind 4096 that are tried. */
		const bool near = (n & (n - 1)) == 0 || (n & (n + 1)) == 0 || ((n - 1) & (n - 2)) == 0;

		if (n > 4096 && !near && n < room - 1)
			continue;
		put_be32(p + RB_LENGTH, n - RB_LENGTH_FROM);
		put_be16(p + RB_ATTRIBUTES, 0);
		put_be32(p + RB_CRC, crc_of(p));
		batch_set_max_timestamp(p, (int64_t)(n * 0x9e3779b97f4a7c15u));
		bad += !batch_crc_right(p);
		batch_stamp(p, (int64_t)n << 20);
		bad += !batch_crc_right(p);
		tried++;
	}
	CU_ASSERT_TRUE(tried > 4060);
	CU_ASSERT_EQUAL(bad, 0);
	free(p);
}

static void
a_wrong_checksum_stays_wrong_when_the_time_is_mended(void)
{
	for (uint32_t bit = 0; bit < 32; bit++) {
		good_batch();
		put_be32(b + RB_CRC, rb_crc(b) ^ 1u << bit);
		batch_set_max_timestamp(b, BATCH_WALL_MS + 10);
		CU_ASSERT_EQUAL(rb_crc(b), crc_of(b) ^ 1u << bit);
	}
}

static void
the_last_sequence_wraps_to_zero(void)
{
	CU_ASSERT_EQUAL(batch_last_sequence(10, 5), 14);
	CU_ASSERT_EQUAL(batch_last_sequence(INT32_MAX, 1), INT32_MAX);
	CU_ASSERT_EQUAL(batch_last_sequence(INT32_MAX, 2), 0);
	CU_ASSERT_EQUAL(batch_last_sequence(INT32_MAX - 1, 5), 2);
}

static const struct ut_test tests[] = {
	UT("rules", a_right_batch_passes_with_and_without_bytes_behind_it),
	UT("rules", a_length_that_does_not_fit_is_corrupt),
	UT("rules", any_magic_but_2_is_refused),
	UT("rules", codecs_up_to_zstd_pass_and_no_other),
	UT("rules", a_base_offset_is_judged_in_new_batches_only),
	UT("rules", a_count_must_be_honest),
	UT("rules", an_uncompressed_batch_cannot_claim_more_records_than_it_has_room_for),
	UT("rules", bits_of_the_broker_and_half_a_producer_are_refused),
	UT("rules", transactions_and_the_brokers_timestamp_type_are_refused_in_new_batches_only),
	UT("rules", a_max_timestamp_below_the_base_is_judged_unless_the_topic_stamps),
	UT("rules", the_first_rule_that_fails_decides),
	UT("bytes", the_checksum_covers_every_bit_from_the_attributes_on_and_none_before),
	UT("bytes", a_stamp_sets_type_and_time_and_the_checksum_follows),
	UT("bytes", a_patched_checksum_is_that_of_the_whole_batch_at_any_length),
	UT("bytes", a_wrong_checksum_stays_wrong_when_the_time_is_mended),
	UT("bytes", the_last_sequence_wraps_to_zero),
};

UT_MAIN(tests)
