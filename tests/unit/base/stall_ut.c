/* SPDX-License-Identifier: MIT
 * stall_ut.c - include/base/stall.h: a time lands in the bucket of its power of two, and quantiles count
 * those that never stalled. */
#include "base/stall.h"

#include "tests/unit/ut.h"

#include <string.h>

static void
a_time_lands_in_the_bucket_of_its_power_of_two(void)
{
	CU_ASSERT_EQUAL(stall_bucket(0), 0);
	CU_ASSERT_EQUAL(stall_bucket(1023), 0);
	CU_ASSERT_EQUAL(stall_bucket(1024), 1);
	CU_ASSERT_EQUAL(stall_bucket(2047), 1);
	CU_ASSERT_EQUAL(stall_bucket(2048), 2);
	CU_ASSERT_EQUAL(stall_bucket((uint64_t)1 << 29), 20);
	CU_ASSERT_EQUAL(stall_bucket((uint64_t)1 << 30), 21);
	CU_ASSERT_EQUAL(stall_bucket(UINT64_MAX), STALL_BUCKETS - 1);
}

static void
quantiles_count_those_that_never_stalled(void)
{
	static struct stall_counters c;
	uint64_t bucket[STALL_BUCKETS];

	for (unsigned i = 0; i < 9; i++)
		stall_add(&c, 3000);
	stall_add(&c, 5000000);
	for (unsigned i = 0; i < STALL_BUCKETS; i++)
		bucket[i] = counter_read(&c.bucket[i]);
	CU_ASSERT_EQUAL(counter_read(&c.longest_ns), 5000000);
	CU_ASSERT_EQUAL(stall_quantile_ns(bucket, 0, 5000000, .5), 4096);
	CU_ASSERT_EQUAL(stall_quantile_ns(bucket, 0, 5000000, .99), 5000000);
	CU_ASSERT_EQUAL(stall_quantile_ns(bucket, 990, 5000000, .99), 0);
	CU_ASSERT_EQUAL(stall_quantile_ns(bucket, 990, 5000000, .995), 4096);
	CU_ASSERT_EQUAL(stall_quantile_ns(bucket, 990, 5000000, 1), 5000000);
}

static void
of_nothing_every_quantile_is_0(void)
{
	const uint64_t bucket[STALL_BUCKETS] = {0};

	CU_ASSERT_EQUAL(stall_quantile_ns(bucket, 0, 0, .999), 0);
}

static const struct ut_test tests[] = {
	UT("stall", a_time_lands_in_the_bucket_of_its_power_of_two),
	UT("stall", quantiles_count_those_that_never_stalled),
	UT("stall", of_nothing_every_quantile_is_0),
};

UT_MAIN(tests)
