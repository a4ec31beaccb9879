/* SPDX-License-Identifier: MIT
 * group_record_ut.c - the bytes of __consumer_offsets: keys, values, batches, and which partition keeps a group. The
 * golden bytes are those of Kafka's OffsetCommitKey and OffsetCommitValue. */
#include "control/groups/group_batch.h"
#include "control/groups/offset_record.h"

#include "base/bits.h"
#include "base/crc32c.h"
#include "storage/batch.h"
#include "storage/records.h"
#include "tests/unit/ut.h"

#include <kira/record_batch.h>

#include <stdlib.h>

#define MS 1700000000123

static bool
same(struct view a, const void *p, size_t n)
{
	return a.len == n && memcmp(a.p, p, n) == 0;
}

static const uint8_t key_golden[] = {0, 1, 0, 1, 'g', 0, 2, 't', 'p', 0, 0, 0, 7};
static const uint8_t value_golden[] = {0, 3, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 5, 0, 1, 'm',
	0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b};

static void
keys_and_values_are_kafkas_bytes(void)
{
	const struct offset_record o = {.offset = 258, .leader_epoch = 5, .commit_ms = MS, .metadata = view_text("m")};
	struct writer w;
	uint8_t to[64];

	w = kw_open(to, sizeof(to), false);
	offset_key_write(&w, view_text("g"), view_text("tp"), 7);
	CU_ASSERT_TRUE(same((struct view){to, (uint32_t)kw_length(&w)}, key_golden, sizeof(key_golden)));
	CU_ASSERT_EQUAL(sizeof(key_golden), OFFSET_KEY_ROOM(view_text("g"), view_text("tp")));
	w = kw_open(to, sizeof(to), false);
	offset_value_write(&w, &o);
	CU_ASSERT_TRUE(same((struct view){to, (uint32_t)kw_length(&w)}, value_golden, sizeof(value_golden)));
	CU_ASSERT_EQUAL(sizeof(value_golden), OFFSET_VALUE_ROOM(o.metadata));
}

static void
what_was_written_is_read(void)
{
	struct group_key key;
	struct offset_record o;

	CU_ASSERT_TRUE(group_key_read(&key, (struct view){key_golden, sizeof(key_golden)}));
	CU_ASSERT_EQUAL(key.kind, GROUP_KEY_OFFSET);
	CU_ASSERT_TRUE(same(key.group, "g", 1));
	CU_ASSERT_TRUE(same(key.topic, "tp", 2));
	CU_ASSERT_EQUAL(key.partition, 7);
	CU_ASSERT_TRUE(offset_value_read(&o, (struct view){value_golden, sizeof(value_golden)}));
	CU_ASSERT_EQUAL(o.offset, 258);
	CU_ASSERT_EQUAL(o.leader_epoch, 5);
	CU_ASSERT_EQUAL(o.commit_ms, MS);
	CU_ASSERT_TRUE(same(o.metadata, "m", 1));
}

/* Each cut short by a byte is damaged, too. */
static void
values_of_older_kafkas_are_read(void)
{
	static const uint8_t zero[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 'x', 0, 0, 0, 0, 0, 0, 0, 4},
		one[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 'x', 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8},
		two[] = {0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 'x', 0, 0, 0, 0, 0, 0, 0, 4};
	const struct view all[] = {{zero, sizeof(zero)}, {one, sizeof(one)}, {two, sizeof(two)}};
	struct offset_record o;

	for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
		CU_ASSERT_TRUE(offset_value_read(&o, all[i]));
		CU_ASSERT_EQUAL(o.offset, 9);
		CU_ASSERT_EQUAL(o.leader_epoch, -1);
		CU_ASSERT_EQUAL(o.commit_ms, 4);
		CU_ASSERT_FALSE(offset_value_read(&o, (struct view){all[i].p, all[i].len - 1}));
	}
}

static void
keys_are_told_apart_by_their_version(void)
{
	static const uint8_t zero[] = {0, 0, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0}, group[] = {0, 2, 0, 1, 'g'},
		later[] = {0, 3, 0, 1, 'g'}, negative[] = {0, 1, 0, 1, 'g', 0, 1, 't', 0xff, 0xff, 0xff, 0xff};
	struct group_key key;

	CU_ASSERT_TRUE(group_key_read(&key, (struct view){zero, sizeof(zero)}));
	CU_ASSERT_EQUAL(key.kind, GROUP_KEY_OFFSET);
	CU_ASSERT_TRUE(group_key_read(&key, (struct view){group, sizeof(group)}));
	CU_ASSERT_EQUAL(key.kind, GROUP_KEY_GROUP);
	CU_ASSERT_TRUE(same(key.group, "g", 1));
	CU_ASSERT_TRUE(group_key_read(&key, (struct view){later, sizeof(later)}));
	CU_ASSERT_EQUAL(key.kind, GROUP_KEY_OTHER);
	CU_ASSERT_FALSE(group_key_read(&key, (struct view){zero, sizeof(zero) - 1}));
	CU_ASSERT_FALSE(group_key_read(&key, (struct view){negative, sizeof(negative)}));
	CU_ASSERT_FALSE(group_key_read(&key, (struct view){zero, 1}));
}

/* What Java says of "..".hashCode(); the one below is the smallest number of all, the last a pair of surrogates. */
static void
a_group_lies_where_kafka_puts_it(void)
{
	CU_ASSERT_EQUAL(group_partition(view_text("hello"), 50), 99162322 % 50);
	CU_ASSERT_EQUAL(group_partition(view_text("hello"), 1), 0);
	CU_ASSERT_EQUAL(group_partition(view_text("polygenelubricants"), 50), 0);
	CU_ASSERT_EQUAL(group_partition(view_text("Aa"), 10000), 2112);
	CU_ASSERT_EQUAL(group_partition(view_text("\xc3\xa9"), 1000), 233);
	CU_ASSERT_EQUAL(group_partition(view_text("\xf0\x9f\x98\x80"), 100000000), 0xd83d * 31 + 0xde00);
	CU_ASSERT_EQUAL(group_partition(view_text(""), 50), 0);
}

static bool
count_one(void *arg, struct record *r)
{
	++*(int *)arg;
	return true;
}

static uint8_t *
batch_of(const struct group_record *rec, unsigned n, uint32_t *length)
{
	uint8_t *b = malloc(group_batch_room(rec, n));

	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	*length = group_batch_write(b, rec, n, MS);
	CU_ASSERT_TRUE(*length <= group_batch_room(rec, n));
	return b;
}

static const struct group_record some[] = {
	{{(const uint8_t *)"key", 3}, {(const uint8_t *)"value", 5}},
	{{(const uint8_t *)"gone", 4}, {NULL, 0}},
	{{(const uint8_t *)"empty", 5}, {(const uint8_t *)"", 0}},
};

static void
a_batch_is_one_that_storage_takes(void)
{
	uint32_t length;
	int n = 0;
	uint8_t *b = batch_of(some, ARRAY_LENGTH(some), &length);

	CU_ASSERT_EQUAL(batch_check(b, length, BATCH_NEW | BATCH_EXACT), 0);
	CU_ASSERT_EQUAL(records_each(b, count_one, &n), RECORDS_WHOLE);
	CU_ASSERT_EQUAL(n, 3);
	CU_ASSERT_EQUAL(rb_crc(b), crc32c(b + RB_ATTRIBUTES, length - RB_ATTRIBUTES));
	CU_ASSERT_EQUAL(rb_count(b), 3);
	CU_ASSERT_EQUAL(rb_max_timestamp(b), MS);
	free(b);
}

/* So many that offsets and lengths take one, two and three bytes. */
static void
records_come_out_as_they_went_in(void)
{
	enum { N = 9000 };
	static struct group_record rec[N];
	static uint8_t text[20000];
	struct group_record got;
	struct group_walk w;
	uint32_t length;
	uint8_t *b;
	unsigned n = 0;

	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < N; i++)
		rec[i] = (struct group_record){{text, i % 200}, {i % 7 ? text : NULL, i % 7 ? i % 977 : 0}};
	rec[N - 1].value = (struct view){text, sizeof(text)};
	b = batch_of(rec, N, &length);
	CU_ASSERT_EQUAL_FATAL(group_walk_open(&w, b, length), GROUP_WALK_RECORDS);
	for (; group_walk_next(&w, &got); n++) {
		CU_ASSERT_EQUAL_FATAL(got.key.len, rec[n].key.len);
		CU_ASSERT_EQUAL_FATAL(got.value.len, rec[n].value.len);
		CU_ASSERT_EQUAL_FATAL(got.value.p == NULL, rec[n].value.p == NULL);
	}
	CU_ASSERT_EQUAL(n, N);
	CU_ASSERT_FALSE(w.r.bad);
	free(b);
}

static void
damage_ends_a_walk_and_is_told(void)
{
	struct group_record got;
	struct group_walk w;
	uint32_t length;
	uint8_t *b = batch_of(some, ARRAY_LENGTH(some), &length);

	CU_ASSERT_EQUAL(group_walk_open(&w, b, length - 1), GROUP_WALK_DAMAGED);
	CU_ASSERT_EQUAL(group_walk_open(&w, b, RB_HEADER - 1), GROUP_WALK_DAMAGED);
	put_be32(b + RB_COUNT, 4); /* one more than there are */
	CU_ASSERT_EQUAL_FATAL(group_walk_open(&w, b, length), GROUP_WALK_RECORDS);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_TRUE(group_walk_next(&w, &got));
	CU_ASSERT_FALSE(group_walk_next(&w, &got));
	CU_ASSERT_TRUE(w.r.bad);
	b[RB_HEADER] = 0x7e; /* the first record reaches beyond the batch */
	CU_ASSERT_EQUAL_FATAL(group_walk_open(&w, b, length), GROUP_WALK_RECORDS);
	CU_ASSERT_FALSE(group_walk_next(&w, &got));
	CU_ASSERT_TRUE(w.r.bad);
	free(b);
}

static void
batches_of_other_programs_are_left_alone(void)
{
	struct group_walk w;
	uint32_t length;
	uint8_t *b = batch_of(some, ARRAY_LENGTH(some), &length);

	b[RB_ATTRIBUTES + 1] = RB_CODEC_LZ4;
	CU_ASSERT_EQUAL(group_walk_open(&w, b, length), GROUP_WALK_OTHER);
	b[RB_ATTRIBUTES + 1] = RB_ATTR_CONTROL;
	CU_ASSERT_EQUAL(group_walk_open(&w, b, length), GROUP_WALK_OTHER);
	b[RB_ATTRIBUTES + 1] = 0;
	b[RB_MAGIC] = 1;
	CU_ASSERT_EQUAL(group_walk_open(&w, b, length), GROUP_WALK_DAMAGED);
	free(b);
}

static const struct ut_test tests[] = {
	UT("records", keys_and_values_are_kafkas_bytes),
	UT("records", what_was_written_is_read),
	UT("records", values_of_older_kafkas_are_read),
	UT("records", keys_are_told_apart_by_their_version),
	UT("records", a_group_lies_where_kafka_puts_it),
	UT("batches", a_batch_is_one_that_storage_takes),
	UT("batches", records_come_out_as_they_went_in),
	UT("batches", damage_ends_a_walk_and_is_told),
	UT("batches", batches_of_other_programs_are_left_alone),
};

UT_MAIN(tests)
