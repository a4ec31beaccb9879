/* SPDX-License-Identifier: MIT
 * blast_tally_ut.c - tests of dataplane/blast/blast_tally.c. */
#include "dataplane/blast/blast_tally.c"

#include "tests/unit/ut.h"

static struct tally t;

static void
add(int64_t producer, int32_t partition, uint64_t number)
{
	uint8_t value[16] = {0};

	put_be64(value, frame_number(producer, number));
	CU_ASSERT_EQUAL(tally_add(&t, partition, value, sizeof(value)), 0);
}

static void
one_missing_and_one_doubled_are_found_exactly(void)
{
	CU_ASSERT_EQUAL(tally_init(&t), 0);
	for (uint64_t i = 0; i < 1000; i++) {
		if (i != 500)
			add(4711, 2, i);
		if (i == 700)
			add(4711, 2, i);
	}
	CU_ASSERT_EQUAL(tally_missing(&t, 4711, 2, 0, 1000), 1);
	CU_ASSERT_EQUAL(tally_missing(&t, 4711, 2, 500, 501), 1);
	CU_ASSERT_EQUAL(tally_missing(&t, 4711, 2, 0, 500), 0);
	CU_ASSERT_EQUAL(tally_holes(&t), 1);
	CU_ASSERT_EQUAL(t.doubled, 1);
	CU_ASSERT_EQUAL(t.reordered, 0);
	tally_free(&t);
}

static void
what_stands_behind_a_higher_number_is_reordered(void)
{
	CU_ASSERT_EQUAL(tally_init(&t), 0);
	add(1, 0, 0);
	add(1, 0, 2);
	add(1, 0, 1);
	add(1, 0, 3);
	CU_ASSERT_EQUAL(t.reordered, 1);
	CU_ASSERT_EQUAL(t.doubled, 0);
	CU_ASSERT_EQUAL(tally_holes(&t), 0);
	tally_free(&t);
}

static void
producers_and_partitions_do_not_mix(void)
{
	CU_ASSERT_EQUAL(tally_init(&t), 0);
	for (int32_t p = 0; p < 100; p++)
		for (int64_t producer = 0; producer < 50; producer++)
			for (uint64_t i = 0; i < 3; i++)
				add(producer, p, i);
	CU_ASSERT_EQUAL(t.doubled + t.reordered + tally_holes(&t), 0);
	CU_ASSERT_EQUAL(t.records, 15000);
	CU_ASSERT_EQUAL(t.used, 5000);
	CU_ASSERT_EQUAL(tally_missing(&t, 49, 99, 0, 5), 2);
	tally_free(&t);
}

static void
a_stream_that_was_never_seen_misses_everything(void)
{
	CU_ASSERT_EQUAL(tally_init(&t), 0);
	CU_ASSERT_EQUAL(tally_missing(&t, 7, 0, 0, 12345), 12345);
	tally_free(&t);
}

static void
counting_zeros_is_right_across_words_and_beyond_the_bitmap(void)
{
	CU_ASSERT_EQUAL(tally_init(&t), 0);
	for (uint64_t i = 60; i < 70; i++)
		add(1, 0, i);
	CU_ASSERT_EQUAL(tally_missing(&t, 1, 0, 0, 128), 118);
	CU_ASSERT_EQUAL(tally_missing(&t, 1, 0, 63, 65), 0);
	CU_ASSERT_EQUAL(tally_missing(&t, 1, 0, 69, 71), 1);
	CU_ASSERT_EQUAL(tally_missing(&t, 1, 0, 0, 1000000), 1000000 - 10);
	tally_free(&t);
}

static void
a_foreign_record_is_counted_and_not_judged(void)
{
	const uint8_t wild[16] = {0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff};

	CU_ASSERT_EQUAL(tally_init(&t), 0);
	CU_ASSERT_EQUAL(tally_add(&t, 0, (const uint8_t *)"short", 5), 0);
	CU_ASSERT_EQUAL(tally_add(&t, 0, NULL, 0), 0);
	CU_ASSERT_EQUAL(tally_add(&t, 0, wild, sizeof(wild)), 0);
	CU_ASSERT_EQUAL(t.foreign, 3);
	CU_ASSERT_EQUAL(t.used, 0);
	CU_ASSERT_EQUAL(tally_holes(&t), 0);
	tally_free(&t);
}

static const struct ut_test tests[] = {
	UT("tally", one_missing_and_one_doubled_are_found_exactly),
	UT("tally", what_stands_behind_a_higher_number_is_reordered),
	UT("tally", producers_and_partitions_do_not_mix),
	UT("tally", a_stream_that_was_never_seen_misses_everything),
	UT("tally", counting_zeros_is_right_across_words_and_beyond_the_bitmap),
	UT("tally", a_foreign_record_is_counted_and_not_judged),
};
UT_MAIN(tests)
