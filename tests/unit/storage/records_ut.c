/* SPDX-License-Identifier: MIT
 * records_ut.c - storage/records.c and codec.c: the first record at or after a time, in plain and
 * compressed batches, and batches whose records are no records. */
#include "storage/records.c"

#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define T BATCH_WALL_MS

static uint8_t plain[8192], b[8192];
static uint32_t plain_length, length;
static int64_t offset, timestamp;

static bool
find_at(const uint8_t *batch, int64_t target)
{
	offset = timestamp = -7;
	return records_find_time(batch, 0, target, &offset, &timestamp);
}

/* Ten records, 10 ms apart, at offsets 500..509. */
static void
ten(void)
{
	plain_length = make_batch(
		plain, (struct batch_of){.count = 10, .value = 100, .step_ms = 10, .seed = 3});
	put_be64(plain, 500);
}

static void
compress_lz4(uint32_t block)
{
	const LZ4F_preferences_t prefs = {
		.frameInfo = {.blockSizeID = block ? LZ4F_max64KB : LZ4F_default,
			.blockMode = LZ4F_blockIndependent}};
	size_t n;

	memcpy(b, plain, RB_HEADER);
	n = LZ4F_compressFrame(b + RB_HEADER, sizeof(b) - RB_HEADER, plain + RB_HEADER,
		plain_length - RB_HEADER, &prefs);
	CU_ASSERT_FALSE_FATAL(LZ4F_isError(n));
	put_be16(b + RB_ATTRIBUTES, RB_CODEC_LZ4);
	length = seal_batch(b, RB_HEADER + (uint32_t)n);
}

static void
every_target(const uint8_t *batch)
{
	for (int64_t target = T - 5; target <= T + 90; target++) {
		const int64_t i = target <= T ? 0 : (target - T + 9) / 10;

		CU_ASSERT_TRUE(find_at(batch, target));
		CU_ASSERT_EQUAL(offset, 500 + i);
		CU_ASSERT_EQUAL(timestamp, T + 10 * i);
	}
	CU_ASSERT_FALSE(find_at(batch, T + 91));
	CU_ASSERT_EQUAL(offset, -7); /* written on success only */
}

static void
the_first_record_at_or_after_a_time_is_found_in_a_plain_batch(void)
{
	ten();
	every_target(plain);
}

static void
the_first_record_at_or_after_a_time_is_found_in_an_lz4_batch(void)
{
	ten();
	compress_lz4(0);
	every_target(b);
	compress_lz4(1);
	every_target(b);
}

static void
records_out_of_order_answer_the_first_that_fits(void)
{
	uint8_t *p = plain + RB_HEADER;

	ten();
	p = put_record(p, 20, 0, 10, 1);
	p = put_record(p, -30, 1, 10, 2);
	p = put_record(p, 50, 2, 10, 3);
	plain_length = seal_batch(plain, (uint32_t)(p - plain));
	put_be32(plain + RB_COUNT, 3);
	CU_ASSERT_TRUE(find_at(plain, T - 30));
	CU_ASSERT_EQUAL(offset, 500);
	CU_ASSERT_TRUE(find_at(plain, T + 21));
	CU_ASSERT_EQUAL(offset, 502);
	CU_ASSERT_EQUAL(timestamp, T + 50);
}

static void
a_batch_stamped_by_the_broker_has_one_time(void)
{
	ten();
	put_be16(plain + RB_ATTRIBUTES, RB_ATTR_LOG_APPEND);
	put_be64(plain + RB_MAX_TIMESTAMP, (uint64_t)(T + 1000));
	CU_ASSERT_TRUE(find_at(plain, T + 500));
	CU_ASSERT_EQUAL(offset, 500);
	CU_ASSERT_EQUAL(timestamp, T + 1000);
	CU_ASSERT_FALSE(find_at(plain, T + 1001));
}

/* ---- Codecs, by their own libraries ---- */

struct seen {
	unsigned n, stop_after;
	struct record last;
	char headers[64];
};

static bool
see(void *arg, struct record *r)
{
	struct seen *s = arg;
	struct view header, value;

	CU_ASSERT_EQUAL(r->offset, 500 + (int64_t)s->n);
	s->last = *r;
	for (int32_t i = 0; i < r->headers; i++) {
		records_header(r, &header, &value);
		(void)snprintf(s->headers, sizeof(s->headers), "%.*s=%.*s", (int)header.len,
			(const char *)header.p, value.p ? (int)value.len : 4,
			value.p ? (const char *)value.p : "null");
	}
	return ++s->n != s->stop_after;
}

static size_t
gzip_to(uint8_t *to, size_t room, const uint8_t *from, size_t n)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)from, .avail_in = (unsigned)n, .next_out = to,
		.avail_out = (unsigned)room};

	CU_ASSERT_EQUAL_FATAL(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	CU_ASSERT_EQUAL_FATAL(deflate(&z, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&z);
	return room - z.avail_out;
}

static size_t
snappy_to(uint8_t *to, size_t room, const uint8_t *from, size_t n)
{
	CU_ASSERT_EQUAL_FATAL(snappy_compress((const char *)from, n, (char *)to, &room), SNAPPY_OK);
	return room;
}

static size_t
zstd_to(uint8_t *to, size_t room, const uint8_t *from, size_t n)
{
	n = ZSTD_compress(to, room, from, n, 3);
	CU_ASSERT_FALSE_FATAL(ZSTD_isError(n));
	return n;
}

/* As Java writes it: a head, then chunks. */
static size_t
xerial_to(uint8_t *to, size_t room, const uint8_t *from, size_t n)
{
	size_t at = 16;

	memcpy(to, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
	for (size_t part; n > 0; from += part, n -= part) {
		size_t made;

		part = MIN(n, (size_t)200);
		made = snappy_to(to + at + 4, room - at - 4, from, part);
		put_be32(to + at, (uint32_t)made);
		at += 4 + made;
	}
	return at;
}

/* Two frames, or members, one after the other. */
static size_t
gzip_twice(uint8_t *to, size_t room, const uint8_t *from, size_t n)
{
	const size_t first = gzip_to(to, room, from, n / 2);

	return first + gzip_to(to + first, room - first, from + n / 2, n - n / 2);
}

static size_t
zstd_twice(uint8_t *to, size_t room, const uint8_t *from, size_t n)
{
	const size_t first = zstd_to(to, room, from, n / 2);

	return first + zstd_to(to + first, room - first, from + n / 2, n - n / 2);
}

static const struct {
	uint16_t codec;
	size_t (*make)(uint8_t *to, size_t room, const uint8_t *from, size_t n);
} codecs[] = {{1, gzip_to}, {1, gzip_twice}, {2, snappy_to}, {2, xerial_to}, {4, zstd_to}, {4, zstd_twice}};

static void
compress_as(unsigned i)
{
	const size_t n = codecs[i].make(b + RB_HEADER, sizeof(b) - RB_HEADER, plain + RB_HEADER,
		plain_length - RB_HEADER);

	memcpy(b, plain, RB_HEADER);
	put_be16(b + RB_ATTRIBUTES, codecs[i].codec);
	length = seal_batch(b, RB_HEADER + (uint32_t)n);
}

static void
the_first_record_at_or_after_a_time_is_found_whatever_the_codec(void)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(codecs); i++) {
		ten();
		compress_as(i);
		every_target(b);
	}
}

static void
plain_bytes_are_nothing_compressed_and_codecs_above_4_are_none(void)
{
	for (uint16_t codec = 1; codec < 8; codec++) {
		ten();
		put_be16(plain + RB_ATTRIBUTES, codec);
		CU_ASSERT_FALSE(find_at(plain, T));
	}
}

static void
cut_or_followed_by_a_byte_a_compressed_batch_is_not_whole(void)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(codecs); i++) {
		struct seen s = {0};
		uint8_t *cut;

		ten();
		compress_as(i);
		CU_ASSERT_EQUAL(records_each(b, see, &s), RECORDS_WHOLE);
		CU_ASSERT_EQUAL(s.n, 10);
		for (uint32_t n = RB_HEADER; n < length; n++) {
			cut = malloc(n); /* as long as it is, for ASan */
			CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
			memcpy(cut, b, n);
			(void)seal_batch(cut, n);
			s.n = 0;
			CU_ASSERT_EQUAL(records_each(cut, see, &s), RECORDS_BROKEN);
			free(cut);
		}
		b[length] = 0;
		(void)seal_batch(b, length + 1);
		s.n = 0;
		CU_ASSERT_EQUAL(records_each(b, see, &s), RECORDS_BROKEN);
	}
}

static void
what_is_larger_than_it_may_be_is_broken_and_what_is_just_so_large_is_not(void)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(codecs); i++) {
		struct seen s = {0};

		ten();
		compress_as(i);
		CU_ASSERT_EQUAL(records_each_within(b, plain_length - RB_HEADER, see, &s), RECORDS_WHOLE);
		CU_ASSERT_EQUAL(records_each_within(b, plain_length - RB_HEADER - 1, see, &s), RECORDS_BROKEN);
	}
}

static void
a_batch_cut_anywhere_never_answers_a_record_it_lost(void)
{
	uint8_t *cut;

	ten();
	for (uint32_t n = RB_HEADER; n < plain_length; n++) {
		cut = malloc(n); /* as long as it is, for ASan */
		CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
		memcpy(cut, plain, n);
		(void)seal_batch(cut, n);
		CU_ASSERT_FALSE(find_at(cut, T + 90));
		free(cut);
	}
	compress_lz4(0);
	for (uint32_t n = RB_HEADER; n < length; n++) {
		cut = malloc(n);
		CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
		memcpy(cut, b, n);
		(void)seal_batch(cut, n);
		(void)find_at(cut, T + 90);
		free(cut);
	}
}

static void
records_that_lie_are_not_believed(void)
{
	ten();
	put_be32(plain + RB_COUNT, 1000000); /* more than there are */
	CU_ASSERT_FALSE(find_at(plain, T + 1000));
	ten();
	put_be32(plain + RB_LAST_OFFSET_DELTA, 3); /* a delta above the batch's last */
	CU_ASSERT_TRUE(find_at(plain, T + 30));
	CU_ASSERT_FALSE(find_at(plain, T + 40));
	ten();
	plain[RB_HEADER] = 0x01; /* length -1 */
	CU_ASSERT_FALSE(find_at(plain, T));
	ten();
	plain[RB_HEADER] = 0x02; /* one byte: the delta is not within */
	CU_ASSERT_FALSE(find_at(plain, T));
	memset(plain + RB_HEADER, 0xff, 20); /* a varint without end */
	CU_ASSERT_FALSE(find_at(plain, T));
}

static bool
any(void *arg, struct record *r)
{
	return true;
}

/* A base offset lies outside the checksum and may be anything: the sum is formed of deltas that were judged. (What it
 * was before shows under a sanitizer.) */
static void
a_delta_that_is_none_is_not_added_to_an_offset_at_the_end_of_all(void)
{
	static const uint8_t record[] = {20, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0}; /* 2^31 - 1, no key */

	(void)make_batch(plain, (struct batch_of){.value = 1});
	memcpy(plain + RB_HEADER, record, sizeof(record));
	(void)seal_batch(plain, RB_HEADER + sizeof(record));
	put_be64(plain, (uint64_t)INT64_MAX - 5);
	CU_ASSERT_EQUAL(records_each(plain, any, NULL), RECORDS_BROKEN);
	put_be64(plain, 5);
	CU_ASSERT_EQUAL(records_each(plain, any, NULL), RECORDS_BROKEN);
}

/* 1 GiB of zeros in a few KiB: the memory it takes stays bounded, and it is given up. */
static void
a_small_frame_that_holds_gigabytes_is_given_up(void)
{
	const size_t piece = 1 << 20;
	uint8_t *zeros = calloc(1, piece), *big = malloc(16 << 20);
	LZ4F_cctx *ctx;
	size_t n = RB_HEADER;

	CU_ASSERT_TRUE_FATAL(
		zeros && big && !LZ4F_isError(LZ4F_createCompressionContext(&ctx, LZ4F_VERSION)));
	ten();
	memcpy(big, plain, RB_HEADER);
	put_be16(big + RB_ATTRIBUTES, RB_CODEC_LZ4);
	n += LZ4F_compressBegin(ctx, big + n, (16 << 20) - n, NULL);
	for (int i = 0; i < 1024; i++)
		n += LZ4F_compressUpdate(ctx, big + n, (16 << 20) - n, zeros, piece, NULL);
	n += LZ4F_compressEnd(ctx, big + n, (16 << 20) - n, NULL);
	(void)seal_batch(big, (uint32_t)n);
	CU_ASSERT_FALSE(find_at(big, T));
	(void)LZ4F_freeCompressionContext(ctx);
	free(zeros);
	free(big);
}

/* ---- Each --------------------------------------------------------------------------------- */

static void
each_record_comes_once_in_order_plain_and_lz4(void)
{
	struct seen s = {0};

	ten();
	CU_ASSERT_EQUAL(records_each(plain, see, &s), RECORDS_WHOLE);
	CU_ASSERT_EQUAL(s.n, 10);
	CU_ASSERT_EQUAL(s.last.timestamp_ms, T + 90);
	CU_ASSERT_EQUAL(s.last.value.len, 100);
	CU_ASSERT_PTR_NULL(s.last.key.p);
	compress_lz4(0);
	s = (struct seen){0};
	CU_ASSERT_EQUAL(records_each(b, see, &s), RECORDS_WHOLE);
	CU_ASSERT_EQUAL(s.n, 10);
	s = (struct seen){.stop_after = 3};
	CU_ASSERT_EQUAL(records_each(b, see, &s), RECORDS_WHOLE);
	CU_ASSERT_EQUAL(s.n, 3);
}

static void
keys_nulls_and_headers_are_given_as_they_are(void)
{
	/* attributes, time, offset, key "ab", value null, 2 headers: h=null, key=value; 2 more bytes */
	static const uint8_t record[] = {22 << 1, 0, 0, 0, 2 << 1, 'a', 'b', 1, 2 << 1, 1 << 1, 'h', 1,
		3 << 1, 'k', 'e', 'y', 5 << 1, 'v', 'a', 'l', 'u', 'e', 0};
	struct seen s = {0};

	ten();
	put_be32(plain + RB_COUNT, 1);
	put_be32(plain + RB_LAST_OFFSET_DELTA, 0);
	memcpy(plain + RB_HEADER, record, sizeof(record));
	plain_length = seal_batch(plain, RB_HEADER + sizeof(record));
	CU_ASSERT_EQUAL(records_each(plain, see, &s), RECORDS_BROKEN); /* a byte behind the headers */
	plain[RB_HEADER] = 21 << 1;
	plain_length = seal_batch(plain, RB_HEADER + sizeof(record) - 1);
	CU_ASSERT_EQUAL(records_each(plain, see, &s), RECORDS_WHOLE);
	CU_ASSERT_EQUAL(s.last.key.len, 2);
	CU_ASSERT_PTR_NULL(s.last.value.p);
	CU_ASSERT_EQUAL(s.last.headers, 2);
	CU_ASSERT_STRING_EQUAL(s.headers, "key=value");
}

static void
broken_records_are_said_to_be_so(void)
{
	struct seen s = {0};

	ten();
	put_be32(plain + RB_COUNT, 11);
	CU_ASSERT_EQUAL(records_each(plain, see, &s), RECORDS_BROKEN);
	CU_ASSERT_EQUAL(s.n, 10);
	s = (struct seen){0};
	put_be32(plain + RB_COUNT, 9); /* one more than is said */
	CU_ASSERT_EQUAL(records_each(plain, see, &s), RECORDS_BROKEN);
}

static const struct ut_test tests[] = {
	UT("find", the_first_record_at_or_after_a_time_is_found_in_a_plain_batch),
	UT("find", the_first_record_at_or_after_a_time_is_found_in_an_lz4_batch),
	UT("find", records_out_of_order_answer_the_first_that_fits),
	UT("find", a_batch_stamped_by_the_broker_has_one_time),
	UT("find", the_first_record_at_or_after_a_time_is_found_whatever_the_codec),
	UT("find", plain_bytes_are_nothing_compressed_and_codecs_above_4_are_none),
	UT("damage", a_batch_cut_anywhere_never_answers_a_record_it_lost),
	UT("damage", cut_or_followed_by_a_byte_a_compressed_batch_is_not_whole),
	UT("damage", what_is_larger_than_it_may_be_is_broken_and_what_is_just_so_large_is_not),
	UT("damage", records_that_lie_are_not_believed),
	UT("damage", a_delta_that_is_none_is_not_added_to_an_offset_at_the_end_of_all),
	UT("damage", a_small_frame_that_holds_gigabytes_is_given_up),
	UT("each", each_record_comes_once_in_order_plain_and_lz4),
	UT("each", keys_nulls_and_headers_are_given_as_they_are),
	UT("each", broken_records_are_said_to_be_so),
};

UT_MAIN(tests)
