/* SPDX-License-Identifier: MIT
 * inside_ut.c - storage/inside.c: the header is judged first, then each record; the largest timestamp is
 * that of the records, whatever the header says. */
#include "storage/inside.c"

#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#include <lz4frame.h>

#define T BATCH_WALL_MS

static uint8_t b[8192], packed[8192];
static uint32_t length;
static struct batch_inside in;

static void
three(void)
{
	length = make_batch(b, (struct batch_of){.count = 3, .value = 40, .step_ms = 7});
}

static int16_t
look_at(const uint8_t *batch)
{
	in = (struct batch_inside){0};
	return storage_look_inside(batch, length, RECORDS_RAW_MAX, &in);
}

static void
pack(void)
{
	const LZ4F_preferences_t prefs = {.frameInfo = {.blockMode = LZ4F_blockIndependent}};
	const size_t n = LZ4F_compressFrame(packed + RB_HEADER, sizeof(packed) - RB_HEADER, b + RB_HEADER,
		length - RB_HEADER, &prefs);

	CU_ASSERT_FALSE_FATAL(LZ4F_isError(n));
	memcpy(packed, b, RB_HEADER);
	put_be16(packed + RB_ATTRIBUTES, RB_CODEC_LZ4);
	length = seal_batch(packed, RB_HEADER + (uint32_t)n);
}

static void
the_largest_timestamp_is_that_of_the_records(void)
{
	static const int64_t said[] = {-1, 0, T - 1, T + 5, INT64_MIN, INT64_MAX};

	for (unsigned i = 0; i < ARRAY_LENGTH(said); i++) {
		three();
		put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)said[i]);
		(void)seal_batch(b, length);
		CU_ASSERT_EQUAL(look_at(b), 0);
		CU_ASSERT_EQUAL(in.max_timestamp, T + 14);
		pack();
		CU_ASSERT_EQUAL(look_at(packed), 0);
		CU_ASSERT_EQUAL(in.max_timestamp, T + 14);
		storage_set_max_timestamp(packed, in.max_timestamp);
		CU_ASSERT_TRUE(batch_crc_right(packed));
		CU_ASSERT_EQUAL(rb_max_timestamp(packed), T + 14);
	}
}

static void
the_latest_record_need_not_be_the_last(void)
{
	uint8_t *p = b + RB_HEADER;

	three();
	p = put_record(p, 20, 0, 10, 1);
	p = put_record(p, 90, 1, 10, 2);
	p = put_record(p, -50, 2, 10, 3);
	length = seal_batch(b, (uint32_t)(p - b));
	CU_ASSERT_EQUAL(look_at(b), 0);
	CU_ASSERT_EQUAL(in.max_timestamp, T + 90);
}

static void
the_header_and_the_checksum_are_judged_first(void)
{
	three();
	b[RB_HEADER] ^= 0x40; /* no record any more, and the checksum does not know */
	CU_ASSERT_EQUAL(look_at(b), KIRA_E_CORRUPT_MESSAGE);
	length--;
	CU_ASSERT_EQUAL(look_at(b), KIRA_E_CORRUPT_MESSAGE);
	three();
	put_be16(b + RB_ATTRIBUTES, RB_ATTR_LOG_APPEND);
	(void)seal_batch(b, length);
	CU_ASSERT_EQUAL(look_at(b), KIRA_E_INVALID_TIMESTAMP);
	CU_ASSERT_EQUAL(in.wrong, -1);
}

static void
the_record_that_is_wrong_is_named(void)
{
	uint8_t *second, *third;

	three();
	second = b + RB_HEADER + 1 + b[RB_HEADER] / 2; /* lengths are single zigzag bytes here */
	third = second + 1 + second[0] / 2;
	third[3] = 1 << 1; /* offset 1 again */
	(void)seal_batch(b, length);
	CU_ASSERT_EQUAL(look_at(b), KIRA_E_INVALID_RECORD);
	CU_ASSERT_EQUAL(in.wrong, 2);
	CU_ASSERT_PTR_NOT_NULL(in.why);
	three();
	second[0] = 1; /* a length of -1 */
	(void)seal_batch(b, length);
	CU_ASSERT_EQUAL(look_at(b), KIRA_E_INVALID_RECORD);
	CU_ASSERT_EQUAL(in.wrong, 1);
	three();
	put_be32(b + RB_COUNT, 2);
	put_be32(b + RB_LAST_OFFSET_DELTA, 1);
	(void)seal_batch(b, length); /* a third one that nobody counts */
	CU_ASSERT_EQUAL(look_at(b), KIRA_E_INVALID_RECORD);
	CU_ASSERT_EQUAL(in.wrong, 2);
}

static void
what_is_compressed_must_be_readable_by_all_and_not_too_large(void)
{
	uint32_t raw;

	three();
	raw = length - RB_HEADER;
	pack();
	CU_ASSERT_EQUAL(storage_look_inside(packed, length, raw, &in), 0);
	CU_ASSERT_EQUAL(storage_look_inside(packed, length, raw - 1, &in), KIRA_E_INVALID_RECORD);
	CU_ASSERT_EQUAL(in.wrong, -1);
	three();
	pack(); /* of one block, so that the library says independent whatever it is told */
	packed[RB_HEADER + LZ4_FLAGS] &= (uint8_t)~LZ4_INDEPENDENT;
	(void)seal_batch(packed, length);
	CU_ASSERT_EQUAL(look_at(packed), KIRA_E_INVALID_RECORD);
	CU_ASSERT_PTR_NOT_NULL(strstr(in.why ? in.why : "", "depend"));
	for (uint16_t codec = 1; codec <= 4; codec++) {
		three();
		put_be16(b + RB_ATTRIBUTES, codec); /* it is not */
		(void)seal_batch(b, length);
		CU_ASSERT_EQUAL(look_at(b), KIRA_E_INVALID_RECORD);
		CU_ASSERT_EQUAL(in.wrong, -1);
	}
}

static const struct ut_test tests[] = {
	UT("time", the_largest_timestamp_is_that_of_the_records),
	UT("time", the_latest_record_need_not_be_the_last),
	UT("rules", the_header_and_the_checksum_are_judged_first),
	UT("rules", the_record_that_is_wrong_is_named),
	UT("rules", what_is_compressed_must_be_readable_by_all_and_not_too_large),
};

UT_MAIN(tests)
