/* SPDX-License-Identifier: MIT
 * blast_schedule_ut.c - tests of dataplane/blast/blast_schedule.h. */
#include "dataplane/blast/blast_schedule.h"

#include "tests/unit/ut.h"

static void
a_rate_fixes_when_each_batch_is_due(void)
{
	struct schedule s = {.start_ns = 1000, .stop_ns = UINT64_MAX, .rate = 1000000,
		.batch_records = 5};
	uint64_t at;

	CU_ASSERT_TRUE(schedule_take(&s, 1000, &at));
	CU_ASSERT_EQUAL(at, 1000);
	CU_ASSERT_FALSE(schedule_take(&s, 5999, &at));
	CU_ASSERT_TRUE(schedule_take(&s, 6000, &at));
	CU_ASSERT_EQUAL(at, 6000);
}

static void
a_late_batch_keeps_its_time_and_the_next_ones_are_not_moved(void)
{
	struct schedule s = {.stop_ns = UINT64_MAX, .rate = 1000, .batch_records = 1};
	uint64_t at;

	for (unsigned i = 0; i < 10; i++) {
		CU_ASSERT_TRUE(schedule_take(&s, 50000000, &at));
		CU_ASSERT_EQUAL(at, i * 1000000);
	}
}

static void
the_schedule_does_not_drift_or_overflow(void)
{
	struct schedule s = {.stop_ns = UINT64_MAX, .rate = 1000000000000, .batch_records = 3,
		.taken = 1000000000000000};

	CU_ASSERT_EQUAL(schedule_due(&s), 3000000000000);
	s.rate = 3;
	s.batch_records = 1;
	s.taken = 3 * 86400;
	CU_ASSERT_EQUAL(schedule_due(&s), 86400 * NS_PER_S);
}

static void
without_a_rate_a_batch_is_due_when_it_is_asked_for(void)
{
	struct schedule s = {.start_ns = 10, .stop_ns = 1000, .batch_records = 5};
	uint64_t at;

	CU_ASSERT_TRUE(schedule_take(&s, 700, &at));
	CU_ASSERT_EQUAL(at, 700);
}

static void
time_and_count_end_it(void)
{
	struct schedule s = {.stop_ns = 1000, .batch_records = 5, .batches_max = 2};
	uint64_t at;

	CU_ASSERT_TRUE(schedule_take(&s, 1, &at));
	CU_ASSERT_TRUE(schedule_take(&s, 2, &at));
	CU_ASSERT_FALSE(schedule_take(&s, 3, &at));
	CU_ASSERT_TRUE(schedule_over(&s, 3));
	s.batches_max = 0;
	CU_ASSERT_FALSE(schedule_over(&s, 999));
	CU_ASSERT_TRUE(schedule_over(&s, 1000));
	CU_ASSERT_FALSE(schedule_take(&s, 1000, &at));
}

static const struct ut_test tests[] = {
	UT("schedule", a_rate_fixes_when_each_batch_is_due),
	UT("schedule", a_late_batch_keeps_its_time_and_the_next_ones_are_not_moved),
	UT("schedule", the_schedule_does_not_drift_or_overflow),
	UT("schedule", without_a_rate_a_batch_is_due_when_it_is_asked_for),
	UT("schedule", time_and_count_end_it),
};
UT_MAIN(tests)
