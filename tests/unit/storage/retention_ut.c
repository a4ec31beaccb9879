/* SPDX-License-Identifier: MIT
 * retention_ut.c - storage/retention.c: which whole segments have outlived a topic's limits. */
#include "storage/retention.c"

#include "tests/unit/ut.h"

#define NOW INT64_C(1700000000000)

static struct retention_fact fact[4];
static struct partition_config cfg;

/* Four of 100 bytes, an hour apart; the newest one is an hour old. */
static void
four(void)
{
	cfg = (struct partition_config){.retention_bytes = -1, .retention_ms = -1};
	for (int i = 0; i < 4; i++)
		fact[i] = (struct retention_fact){100, NOW - (4 - i) * 3600000, NOW, true};
}

static unsigned
expired(uint64_t active)
{
	return retention_expired(fact, 4, active, &cfg, NOW);
}

static void
without_limits_nothing_goes(void)
{
	four();
	CU_ASSERT_EQUAL(expired(1000000), 0);
}

static void
by_size_they_go_while_what_is_left_is_not_below_the_limit(void)
{
	four();
	cfg.retention_bytes = 300;
	CU_ASSERT_EQUAL(expired(0), 1);
	CU_ASSERT_EQUAL(expired(99), 1);
	CU_ASSERT_EQUAL(expired(100), 2);
	cfg.retention_bytes = 301;
	CU_ASSERT_EQUAL(expired(0), 0);
	cfg.retention_bytes = 0;
	CU_ASSERT_EQUAL(expired(0), 4);
}

static void
by_time_they_go_once_their_largest_timestamp_is_older(void)
{
	four();
	cfg.retention_ms = 2 * 3600000;
	CU_ASSERT_EQUAL(expired(0), 2); /* as old as the limit stays */
	cfg.retention_ms = 2 * 3600000 - 1;
	CU_ASSERT_EQUAL(expired(0), 3);
	cfg.retention_ms = 0;
	CU_ASSERT_EQUAL(expired(0), 4);
	cfg.retention_ms = INT64_MAX;
	CU_ASSERT_EQUAL(expired(0), 0);
}

static void
only_the_oldest_go_a_young_one_in_front_keeps_those_behind_it(void)
{
	four();
	cfg.retention_ms = 1;
	fact[1].max_timestamp = NOW;
	CU_ASSERT_EQUAL(expired(0), 1);
}

static void
a_timestamp_of_the_future_counts_as_the_time_of_sealing(void)
{
	four();
	cfg.retention_ms = 1000;
	fact[0].max_timestamp = NOW + RETENTION_FUTURE_MS + 1;
	fact[0].sealed_wall_ms = NOW - 1000;
	CU_ASSERT_EQUAL(expired(0), 0);
	fact[0].sealed_wall_ms = NOW - 1001;
	CU_ASSERT_EQUAL(expired(0), 4);
	fact[0].max_timestamp = NOW + RETENTION_FUTURE_MS; /* believed: it is young */
	CU_ASSERT_EQUAL(expired(0), 0);
	fact[0].max_timestamp = -1; /* none */
	CU_ASSERT_EQUAL(expired(0), 4);
}

static void
what_may_not_go_yet_stops_the_count(void)
{
	four();
	cfg.retention_bytes = 0;
	fact[2].may_go = false;
	CU_ASSERT_EQUAL(expired(0), 2);
	fact[0].may_go = false;
	CU_ASSERT_EQUAL(expired(0), 0);
	CU_ASSERT_EQUAL(retention_expired(fact, 0, 100, &cfg, NOW), 0);
}

static const struct ut_test tests[] = {
	UT("retention", without_limits_nothing_goes),
	UT("retention", by_size_they_go_while_what_is_left_is_not_below_the_limit),
	UT("retention", by_time_they_go_once_their_largest_timestamp_is_older),
	UT("retention", only_the_oldest_go_a_young_one_in_front_keeps_those_behind_it),
	UT("retention", a_timestamp_of_the_future_counts_as_the_time_of_sealing),
	UT("retention", what_may_not_go_yet_stops_the_count),
};

UT_MAIN(tests)
