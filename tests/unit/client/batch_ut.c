/* SPDX-License-Identifier: MIT
 * batch_ut.c - dataplane/client/client_batch.c against bytes made by another implementation
 * (kafka-python 2.0.2's DefaultRecordBatchBuilder; its leader epoch 0 replaced by our -1, outside
 * the CRC) and against the vectors of Kafka's UtilsTest.testMurmur2. */
#include "dataplane/client/client_batch.c"

#include "tests/unit/ut.h"

#include <stdio.h>

static const uint8_t golden_head[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x95, 0xff, 0xff, 0xff, 0xff, 0x02, 0x16, 0x09, 0x16, 0x58, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x02, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5,
	0x68, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, 0x67, 0x00, 0x03, 0x00, 0x00, 0x00,
	0x0a, 0x00, 0x00, 0x00, 0x03, 0x1a, 0x00, 0x00, 0x00, 0x04, 0x6b, 0x31, 0x0a, 0x68, 0x65,
	0x6c, 0x6c, 0x6f, 0x00, 0x9a, 0x01, 0x00, 0x0a, 0x02, 0x01, 0x8c, 0x01};
static const uint8_t golden_tail[] = {0x00, 0x0c, 0x00, 0x01, 0x04, 0x00, 0x01, 0x00};

static const struct cbatch_identity writer = {.producer_id = 4711, .epoch = 3, .base_sequence = 10};

static void
three_records(struct cbatch *b, uint8_t *p, uint32_t room)
{
	static const char x[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

	cbatch_open(b, p, room);
	CU_ASSERT_TRUE(cbatch_add(b, 1700000000000, "k1", 2, "hello", 5));
	CU_ASSERT_TRUE(cbatch_add(b, 1700000000005, NULL, 0, x, 70));
	CU_ASSERT_TRUE(cbatch_add(b, 1699999999999, "", 0, NULL, 0));
}

static void
a_batch_is_byte_for_byte_what_another_client_builds(void)
{
	uint8_t p[512];
	struct cbatch b;
	uint32_t n;

	three_records(&b, p, sizeof(p));
	n = cbatch_close(&b, &writer, false);
	CU_ASSERT_EQUAL(n, sizeof(golden_head) + 70 + sizeof(golden_tail));
	CU_ASSERT_EQUAL(memcmp(p, golden_head, sizeof(golden_head)), 0);
	CU_ASSERT_EQUAL(memcmp(p + n - sizeof(golden_tail), golden_tail, sizeof(golden_tail)), 0);
	CU_ASSERT_EQUAL(rb_total(p), n);
}

static void
a_record_that_does_not_fit_leaves_the_batch_as_it_was(void)
{
	uint8_t p[512], before[512];
	struct cbatch b;

	three_records(&b, p, 161);
	memcpy(before, p, 161);
	CU_ASSERT_EQUAL(b.length, 161);
	CU_ASSERT_FALSE(cbatch_add(&b, 0, NULL, 0, "", 0));
	CU_ASSERT_EQUAL(b.length, 161);
	CU_ASSERT_EQUAL(memcmp(p, before, 161), 0);
	cbatch_open(&b, p, 90);
	CU_ASSERT_FALSE(cbatch_add(&b, 0, NULL, 0, before, 30));
	CU_ASSERT_EQUAL(b.count, 0);
}

static void
the_size_of_a_lone_record_is_known_beforehand(void)
{
	static uint8_t p[20000], value[17000];
	static const uint32_t lengths[] = {0, 1, 50, 63, 64, 200, 8191, 8192, 16383, 16384};
	struct cbatch b;

	for (unsigned i = 0; i < ARRAY_LENGTH(lengths); i++) {
		cbatch_open(&b, p, sizeof(p));
		CU_ASSERT_TRUE(cbatch_add(&b, 7, "key", 3, value, lengths[i]));
		CU_ASSERT_EQUAL(cbatch_one(3, lengths[i]), b.length);
	}
	CU_ASSERT_EQUAL(cbatch_one(10, UINT32_MAX), UINT64_MAX);
}

static void
another_identity_changes_identity_and_crc_alone(void)
{
	uint8_t p[512], was[512];
	struct cbatch b;
	const struct cbatch_identity other = {.producer_id = 1, .epoch = 0, .base_sequence = 0};
	uint32_t n;

	three_records(&b, p, sizeof(p));
	n = cbatch_close(&b, &writer, false);
	memcpy(was, p, n);
	cbatch_restamp(p, n, &other);
	CU_ASSERT_EQUAL(rb_producer_id(p), 1);
	CU_ASSERT_NOT_EQUAL(rb_crc(p), rb_crc(was));
	CU_ASSERT_EQUAL(rb_crc(p), crc32c(p + RB_ATTRIBUTES, n - RB_ATTRIBUTES));
	cbatch_restamp(p, n, &writer);
	CU_ASSERT_EQUAL(memcmp(p, was, n), 0);
}

static void
an_lz4_batch_holds_an_independent_64_kib_frame_of_the_same_records(void)
{
	static uint8_t p[200000], raw[200000], back[200000], scratch[300000], value[1000];
	struct cbatch_lz4 *lz4 = cbatch_lz4_new();
	LZ4F_dctx *d = NULL;
	LZ4F_frameInfo_t info;
	struct cbatch b;
	size_t in, out = 0, hint;
	uint32_t n;

	CU_ASSERT_TRUE(cbatch_lz4_bound(sizeof(p)) <= sizeof(scratch));
	cbatch_open(&b, p, sizeof(p));
	for (int i = 0; i < 150; i++) {
		memset(value, i, sizeof(value));
		CU_ASSERT_TRUE(cbatch_add(&b, i, NULL, 0, value, sizeof(value)));
	}
	memcpy(raw, p, b.length);
	n = b.length;
	CU_ASSERT_TRUE(cbatch_compress(lz4, &b, scratch, sizeof(scratch)));
	CU_ASSERT_TRUE(b.length < n / 10);
	(void)cbatch_close(&b, &writer, true);
	CU_ASSERT_EQUAL(rb_attributes(p) & RB_CODEC_MASK, RB_CODEC_LZ4);
	CU_ASSERT_FALSE(LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)));
	in = b.length - RB_HEADER;
	CU_ASSERT_FALSE(LZ4F_isError(LZ4F_getFrameInfo(d, &info, p + RB_HEADER, &in)));
	CU_ASSERT_EQUAL(info.blockMode, LZ4F_blockIndependent);
	CU_ASSERT_EQUAL(info.blockSizeID, LZ4F_max64KB);
	for (size_t at = RB_HEADER + in; at < b.length; at += in) {
		size_t got = sizeof(back) - out;

		in = b.length - at;
		hint = LZ4F_decompress(d, back + out, &got, p + at, &in, NULL);
		CU_ASSERT_FALSE(LZ4F_isError(hint));
		if (LZ4F_isError(hint))
			break;
		out += got;
	}
	CU_ASSERT_EQUAL(out, n - RB_HEADER);
	CU_ASSERT_EQUAL(memcmp(back, raw + RB_HEADER, out), 0);
	(void)LZ4F_freeDecompressionContext(d);
	cbatch_lz4_free(lz4);
}

static void
what_does_not_get_smaller_stays_uncompressed(void)
{
	uint8_t p[512], before[512], scratch[1000];
	struct cbatch_lz4 *lz4 = cbatch_lz4_new();
	struct cbatch b;

	cbatch_open(&b, p, sizeof(p));
	CU_ASSERT_TRUE(cbatch_add(&b, 1, NULL, 0, "abcdefgh", 8));
	memcpy(before, p, b.length);
	CU_ASSERT_FALSE(cbatch_compress(lz4, &b, scratch, sizeof(scratch)));
	CU_ASSERT_EQUAL(memcmp(p, before, b.length), 0);
	cbatch_lz4_free(lz4);
}

static void
keys_hash_as_in_java(void)
{
	static const struct {
		const char *key;
		int32_t hash;
	} java[] = {
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	};

	for (unsigned i = 0; i < ARRAY_LENGTH(java); i++)
		CU_ASSERT_EQUAL((int32_t)cbatch_murmur2(java[i].key, strlen(java[i].key)), java[i].hash);
	CU_ASSERT_EQUAL(cbatch_partition("21", 2, 7), (-973932308 & 0x7fffffff) % 7);
}

static const struct ut_test tests[] = {
	UT("batch", a_batch_is_byte_for_byte_what_another_client_builds),
	UT("batch", a_record_that_does_not_fit_leaves_the_batch_as_it_was),
	UT("batch", the_size_of_a_lone_record_is_known_beforehand),
	UT("batch", another_identity_changes_identity_and_crc_alone),
	UT("lz4", an_lz4_batch_holds_an_independent_64_kib_frame_of_the_same_records),
	UT("lz4", what_does_not_get_smaller_stays_uncompressed),
	UT("partitioner", keys_hash_as_in_java),
};

UT_MAIN(tests)
