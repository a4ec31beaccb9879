/* SPDX-License-Identifier: MIT
 * rewrite_merge_ut.c - storage/rewrite_merge.c: which batches go together, what the LZ4 batch made of
 * them looks like, that it holds the same records, and that the hash sees every change of one. */
#include "storage/rewrite_merge.c"

#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#define T BATCH_WALL_MS

static struct merge m;
static uint8_t b[8][600000];
static int64_t next_offset;
static int32_t leader_epoch;

static void
begin(void)
{
	merge_close(&m);
	merge_open(&m, INT64_MAX);
	next_offset = 500;
	leader_epoch = 3;
}

/* The next batch of the log, in b[i]. */
static uint8_t *
batch(unsigned i, struct batch_of o)
{
	(void)make_batch(b[i], o);
	put_be64(b[i], (uint64_t)next_offset);
	put_be32(b[i] + RB_LEADER_EPOCH, (uint32_t)leader_epoch);
	next_offset += rb_count(b[i]);
	return b[i];
}

static void
stamp(uint8_t *p, int64_t at_ms)
{
	batch_stamp(p, at_ms);
}

struct taken {
	unsigned n;
	struct record record[4000];
};

static bool
keep(void *arg, struct record *r)
{
	struct taken *t = arg;

	t->record[t->n++] = *r;
	return t->n < 4000;
}

/* ---- What comes out ----------------------------------------------------------------------- */

static void
three_small_batches_become_one_with_the_fields_that_kafka_wants(void)
{
	const uint8_t *out;
	uint32_t n;

	begin();
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(merge_take(&m, batch(i, (struct batch_of){.count = 4, .value = 200,
			.producer = 7 + i, .epoch = 2, .sequence = 40, .timestamp = T + 1000 - 100 * i,
			.step_ms = 7, .text = true})), MERGE_TAKEN);
	n = merge_put(&m, &out);
	CU_ASSERT_EQUAL(rb_total(out), n);
	CU_ASSERT_EQUAL(batch_check(out, n, BATCH_EXACT), 0);
	CU_ASSERT_TRUE(batch_crc_right(out));
	CU_ASSERT_EQUAL(rb_base_offset(out), 500);
	CU_ASSERT_EQUAL(rb_leader_epoch(out), 3);
	CU_ASSERT_EQUAL(rb_attributes(out), 3);
	CU_ASSERT_EQUAL(rb_count(out), 12);
	CU_ASSERT_EQUAL(rb_last_offset_delta(out), 11);
	CU_ASSERT_EQUAL(rb_base_timestamp(out), T + 1000);
	CU_ASSERT_EQUAL(rb_max_timestamp(out), T + 1021);
	CU_ASSERT_EQUAL(rb_producer_id(out), -1);
	CU_ASSERT_EQUAL(rb_producer_epoch(out), -1);
	CU_ASSERT_EQUAL(rb_base_sequence(out), -1);
	CU_ASSERT_TRUE(n < 400);
	CU_ASSERT_EQUAL(merge_put(&m, &out), 0); /* empty now */
}

static void
the_frame_is_one_that_kafkas_readers_take(void)
{
	const uint8_t *out;

	begin();
	(void)merge_take(&m, batch(0, (struct batch_of){.count = 900, .value = 250, .text = true}));
	CU_ASSERT_TRUE(merge_put(&m, &out) > 0);
	/* Magic 184D2204; version 1, independent blocks, no checksums, no content size; 64 KiB blocks. */
	CU_ASSERT_EQUAL(memcmp(out + RB_HEADER, "\x04\x22\x4d\x18\x60\x40", 6), 0);
}

static void
every_record_comes_out_as_it_went_in(void)
{
	static struct taken in, was;
	const uint8_t *out;
	uint64_t hash = 0;

	begin();
	in.n = was.n = 0;
	for (unsigned i = 0; i < 5; i++) {
		(void)batch(i, (struct batch_of){.count = 7, .value = 30 + i, .timestamp = T - 50 * i,
			.step_ms = 3, .seed = i});
		(void)records_each(b[i], keep, &was);
		hash = merge_hash(hash, b[i]);
		CU_ASSERT_EQUAL(merge_take(&m, b[i]), MERGE_TAKEN);
	}
	(void)merge_put(&m, &out);
	CU_ASSERT_EQUAL(merge_hash(0, out), hash);
	/* Not by the hash alone: field by field. Views of a compressed batch end with the call. */
	CU_ASSERT_EQUAL(was.n, 35);
	CU_ASSERT_EQUAL(records_each(out, keep, &in), RECORDS_WHOLE);
	CU_ASSERT_EQUAL(in.n, 35);
	for (unsigned i = 0; i < MIN(in.n, was.n); i++) {
		CU_ASSERT_EQUAL(in.record[i].offset, 500 + (int64_t)i);
		CU_ASSERT_EQUAL(in.record[i].offset, was.record[i].offset);
		CU_ASSERT_EQUAL(in.record[i].timestamp_ms, was.record[i].timestamp_ms);
		CU_ASSERT_EQUAL(in.record[i].value.len, was.record[i].value.len);
	}
}

/* attributes, time, offset, key "ab", value null, 2 headers: h=null, key=value */
static const uint8_t with_headers[] = {21 << 1, 0x55, 0, 0, 2 << 1, 'a', 'b', 1, 2 << 1, 1 << 1, 'h', 1,
	3 << 1, 'k', 'e', 'y', 5 << 1, 'v', 'a', 'l', 'u', 'e'};

static void
keys_nulls_headers_and_attributes_stay_byte_for_byte(void)
{
	const uint8_t *out;
	struct taken got = {0};

	begin();
	(void)batch(0, (struct batch_of){.value = 20});
	(void)batch(1, (struct batch_of){.value = 20});
	memcpy(b[1] + RB_HEADER, with_headers, sizeof(with_headers));
	(void)seal_batch(b[1], RB_HEADER + sizeof(with_headers));
	CU_ASSERT_EQUAL(merge_take(&m, b[0]), MERGE_TAKEN);
	CU_ASSERT_EQUAL(merge_take(&m, b[1]), MERGE_TAKEN);
	/* In the group before it is compressed: length, attributes, the two deltas, the rest. */
	CU_ASSERT_EQUAL(memcmp(m.raw + m.length - sizeof(with_headers) + 4, with_headers + 4,
		sizeof(with_headers) - 4), 0);
	CU_ASSERT_EQUAL(m.raw[m.length - sizeof(with_headers)], 21 << 1);
	CU_ASSERT_EQUAL(m.raw[m.length - sizeof(with_headers) + 1], 0x55);
	CU_ASSERT_EQUAL(m.raw[m.length - sizeof(with_headers) + 3], 1 << 1); /* offset delta 1 */
	(void)merge_put(&m, &out);
	CU_ASSERT_EQUAL(records_each(out, keep, &got), RECORDS_WHOLE);
	CU_ASSERT_EQUAL(got.n, 2);
	CU_ASSERT_EQUAL(got.record[1].attributes, 0x55);
	CU_ASSERT_EQUAL(got.record[1].headers, 2);
}

static void
times_that_leap_and_wrap_stay_what_they_are(void)
{
	static const int64_t at[] = {T, -1, INT64_MAX - 3, 0, INT64_MIN + 9, 5};
	struct taken got = {0};
	const uint8_t *out;
	uint64_t hash = 0;

	begin();
	for (unsigned i = 0; i < ARRAY_LENGTH(at); i++) {
		(void)batch(i, (struct batch_of){.value = 10, .seed = i});
		put_be64(b[i] + RB_BASE_TIMESTAMP, (uint64_t)at[i]);
		put_be64(b[i] + RB_MAX_TIMESTAMP, (uint64_t)at[i]);
		hash = merge_hash(hash, b[i]);
		CU_ASSERT_EQUAL(merge_take(&m, b[i]), MERGE_TAKEN);
	}
	(void)merge_put(&m, &out);
	CU_ASSERT_EQUAL(rb_max_timestamp(out), INT64_MAX - 3);
	CU_ASSERT_EQUAL(merge_hash(0, out), hash);
	(void)records_each(out, keep, &got);
	for (unsigned i = 0; i < ARRAY_LENGTH(at) && i < got.n; i++)
		CU_ASSERT_EQUAL(got.record[i].timestamp_ms, at[i]);
}

/* ---- Which go together -------------------------------------------------------------------- */

/* b[0] is in the group; does b[1] go with it? */
static void
together(enum merge_verdict wanted)
{
	begin();
	CU_ASSERT_EQUAL(merge_take(&m, b[0]), MERGE_TAKEN);
	CU_ASSERT_EQUAL(merge_take(&m, b[1]), wanted);
	if (wanted == MERGE_FULL) {
		const uint8_t *out;

		CU_ASSERT_TRUE(merge_put(&m, &out) > 0);
		CU_ASSERT_EQUAL(rb_count(out), rb_count(b[0])); /* nothing of the other stayed */
		CU_ASSERT_EQUAL(merge_hash(0, out), merge_hash(0, b[0]));
		CU_ASSERT_EQUAL(merge_take(&m, b[1]), MERGE_TAKEN);
	}
}

static void
two(uint32_t value)
{
	begin();
	(void)batch(0, (struct batch_of){.count = 2, .value = value, .seed = 1});
	(void)batch(1, (struct batch_of){.count = 2, .value = value, .seed = 2});
}

static void
leader_epochs_are_never_mixed(void)
{
	two(20);
	together(MERGE_TAKEN);
	put_be32(b[1] + RB_LEADER_EPOCH, 4);
	together(MERGE_FULL);
}

static void
times_of_the_broker_and_of_producers_are_never_mixed(void)
{
	two(20);
	stamp(b[1], T + 5);
	together(MERGE_FULL);
	stamp(b[0], T + 5);
	together(MERGE_TAKEN);
	stamp(b[0], T + 4);
	together(MERGE_FULL);
}

static void
what_a_stamped_group_says_is_the_brokers_time_and_the_producers_stays(void)
{
	struct taken got = {0};
	const uint8_t *out;

	begin();
	stamp(batch(0, (struct batch_of){.count = 3, .value = 9, .timestamp = T, .step_ms = 2}), T + 77);
	stamp(batch(1, (struct batch_of){.count = 3, .value = 9, .timestamp = T - 9}), T + 77);
	CU_ASSERT_EQUAL(merge_take(&m, b[0]), MERGE_TAKEN);
	CU_ASSERT_EQUAL(merge_take(&m, b[1]), MERGE_TAKEN);
	(void)merge_put(&m, &out);
	CU_ASSERT_EQUAL(rb_attributes(out), 3 | RB_ATTR_LOG_APPEND);
	CU_ASSERT_EQUAL(rb_max_timestamp(out), T + 77);
	(void)records_each(out, keep, &got);
	CU_ASSERT_EQUAL(got.n, 6);
	CU_ASSERT_EQUAL(got.record[4].timestamp_ms, T + 77);
	CU_ASSERT_EQUAL(got.record[2].created_ms, T + 4);
	CU_ASSERT_EQUAL(got.record[4].created_ms, T - 9);
}

static void
a_hole_ends_a_group(void)
{
	two(20);
	put_be64(b[1], 503);
	together(MERGE_FULL);
}

static void
a_group_ends_at_256_kib_and_a_larger_batch_stays_alone(void)
{
	const uint8_t *out;

	two(100000);
	together(MERGE_FULL); /* 200 KB each */
	two(60000);
	together(MERGE_TAKEN);
	begin();
	CU_ASSERT_EQUAL(merge_take(&m, batch(0, (struct batch_of){.count = 2, .value = 200000})), MERGE_TAKEN);
	CU_ASSERT_EQUAL(merge_take(&m, batch(1, (struct batch_of){.value = 1})), MERGE_FULL);
	CU_ASSERT_TRUE(merge_put(&m, &out) > 400000);
	CU_ASSERT_TRUE(batch_crc_right(out));
}

static void
no_group_is_larger_than_a_batch_of_the_topic_may_be(void)
{
	two(400);
	merge_close(&m);
	merge_open(&m, 2000);
	CU_ASSERT_EQUAL(merge_take(&m, b[0]), MERGE_TAKEN);
	CU_ASSERT_EQUAL(merge_take(&m, b[1]), MERGE_TAKEN);
	merge_close(&m);
	merge_open(&m, 1600);
	CU_ASSERT_EQUAL(merge_take(&m, b[0]), MERGE_TAKEN);
	CU_ASSERT_EQUAL(merge_take(&m, b[1]), MERGE_FULL);
}

/* What LZ4 makes no smaller has its frame around it. */
static void
nor_is_one_that_does_not_compress(void)
{
	unsigned merged = 0;

	for (uint32_t value = 400; value < 60000; value = value * 3 / 2) {
		for (int64_t limit = 4 * value; limit < 4 * value + 300; limit++) {
			const uint8_t *out;

			two(value);
			merge_close(&m);
			merge_open(&m, limit);
			if (merge_take(&m, b[0]) != MERGE_TAKEN || merge_take(&m, b[1]) != MERGE_TAKEN)
				continue;
			merged++;
			CU_ASSERT_TRUE((int64_t)merge_put(&m, &out) <= limit);
		}
	}
	CU_ASSERT_TRUE(merged > 500);
}

/* ---- What stays as it is ------------------------------------------------------------------ */

static void
compressed_batches_and_those_with_other_bits_stay_apart(void)
{
	static const uint16_t bits[] = {1, 2, 3, 4, RB_ATTR_TRANSACTIONAL, RB_ATTR_CONTROL,
		RB_ATTR_DELETE_HORIZON, 0x80, 0x8000};

	for (unsigned i = 0; i < ARRAY_LENGTH(bits); i++) {
		two(20);
		put_be16(b[1] + RB_ATTRIBUTES, bits[i]);
		together(MERGE_APART);
	}
}

static void
records_that_do_not_add_up_stay_apart(void)
{
	uint8_t *p;

	two(20);
	put_be32(b[1] + RB_COUNT, 3); /* one is missing */
	put_be32(b[1] + RB_LAST_OFFSET_DELTA, 2);
	together(MERGE_APART);
	two(20);
	put_be32(b[1] + RB_COUNT, 1); /* one too many */
	put_be32(b[1] + RB_LAST_OFFSET_DELTA, 0);
	together(MERGE_APART);
	two(20);
	b[1][RB_HEADER + 4] = 0x7f; /* a key's length below -1 */
	together(MERGE_APART);
	two(20); /* two records at one offset */
	p = put_record(b[1] + RB_HEADER, 0, 0, 20, 1);
	p = put_record(p, 0, 0, 20, 2);
	(void)seal_batch(b[1], (uint32_t)(p - b[1]));
	together(MERGE_APART);
	two(20); /* the largest time is none of theirs */
	put_be64(b[1] + RB_MAX_TIMESTAMP, (uint64_t)(T + 1));
	together(MERGE_APART);
}

/* Whatever the bytes are, they are judged, never trusted; what was taken before is not touched. */
static void
a_batch_cut_or_flipped_anywhere_leaves_the_group_alone(void)
{
	const uint8_t *out;
	uint64_t hash;

	two(30);
	(void)make_batch(b[2], (struct batch_of){.count = 2, .value = 30, .seed = 9});
	hash = merge_hash(0, b[0]);
	for (uint32_t at = RB_HEADER; at < rb_total(b[2]); at++) {
		uint8_t *copy = malloc(at);

		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy, b[2], at); /* as long as it is, for ASan */
		put_be64(copy, 502);
		put_be32(copy + RB_LEADER_EPOCH, 3);
		(void)seal_batch(copy, at);
		begin();
		(void)merge_take(&m, b[0]);
		CU_ASSERT_EQUAL(merge_take(&m, copy), MERGE_APART);
		(void)merge_put(&m, &out);
		CU_ASSERT_EQUAL(merge_hash(0, out), hash);
		free(copy);
	}
}

/* ---- The hash ----------------------------------------------------------------------------- */

static void
the_hash_sees_each_change(void)
{
	const uint64_t was = (two(30), merge_hash(0, b[0]));
	uint32_t differ = 0, bytes = 0;

	put_be64(b[0], 501);
	CU_ASSERT_NOT_EQUAL(merge_hash(0, b[0]), was);
	two(30);
	put_be32(b[0] + RB_LEADER_EPOCH, 4);
	CU_ASSERT_NOT_EQUAL(merge_hash(0, b[0]), was);
	two(30);
	put_be64(b[0] + RB_BASE_TIMESTAMP, (uint64_t)(T + 1));
	CU_ASSERT_NOT_EQUAL(merge_hash(0, b[0]), was);
	two(30);
	stamp(b[0], T);
	CU_ASSERT_NOT_EQUAL(merge_hash(0, b[0]), was);
	for (uint32_t at = RB_HEADER; at < rb_total(b[0]); at++) {
		two(30);
		b[0][at] ^= 1;
		differ += merge_hash(0, b[0]) != was;
		bytes++;
	}
	CU_ASSERT_EQUAL(differ, bytes);
	two(30);
	CU_ASSERT_NOT_EQUAL(merge_hash(merge_hash(0, b[0]), b[1]), merge_hash(merge_hash(0, b[1]), b[0]));
}

static const struct ut_test tests[] = {
	UT("put", three_small_batches_become_one_with_the_fields_that_kafka_wants),
	UT("put", the_frame_is_one_that_kafkas_readers_take),
	UT("put", every_record_comes_out_as_it_went_in),
	UT("put", keys_nulls_headers_and_attributes_stay_byte_for_byte),
	UT("put", times_that_leap_and_wrap_stay_what_they_are),
	UT("take", leader_epochs_are_never_mixed),
	UT("take", times_of_the_broker_and_of_producers_are_never_mixed),
	UT("take", what_a_stamped_group_says_is_the_brokers_time_and_the_producers_stays),
	UT("take", a_hole_ends_a_group),
	UT("take", a_group_ends_at_256_kib_and_a_larger_batch_stays_alone),
	UT("take", no_group_is_larger_than_a_batch_of_the_topic_may_be),
	UT("take", nor_is_one_that_does_not_compress),
	UT("apart", compressed_batches_and_those_with_other_bits_stay_apart),
	UT("apart", records_that_do_not_add_up_stay_apart),
	UT("apart", a_batch_cut_or_flipped_anywhere_leaves_the_group_alone),
	UT("hash", the_hash_sees_each_change),
};

UT_MAIN(tests)
