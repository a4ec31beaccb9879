/* SPDX-License-Identifier: MIT
 * pace_ut.c - control/cli/pace.c: input of any amount over ways of any speed, and over one that changes: all
 * is delivered within its time, and a fast way is not kept waiting. */
#include "control/cli/pace.c"

#include "tests/unit/ut.h"

#define LINES 100000
#define BYTES 990 /* 1,000 with what a record takes */

static uint64_t taken_ns[LINES];

struct way {
	uint64_t bytes_s, slower; /* slower so many times after each quarter of the lines */
	uint64_t round_ns;
};

/* A way that carries records one after the other. The oldest record's age at its delivery, at most; `ret_ns`:
 * when all were. */
static uint64_t
oldest(const struct way *w, unsigned lines, uint64_t time_ns, uint64_t *ret_ns)
{
	uint64_t now_ns = NS_PER_S, carried_ns = now_ns, worst = 0;
	unsigned taken = 0, told = 0;
	uint64_t bytes_s = w->bytes_s;
	struct pace p;

	pace_begin(&p, time_ns);
	while (told < lines) {
		/* Reading takes no time at all. */
		while (taken < lines && !pace_full(&p)) {
			taken_ns[taken++] = now_ns;
			if (pace_line(&p, BYTES))
				pace_mark(&p, taken, now_ns);
		}
		/* The next record is carried. */
		carried_ns = MAX(carried_ns, taken_ns[told]);
		if (told > 0 && told % (lines / 4) == 0)
			bytes_s /= w->slower;
		carried_ns += (BYTES + 10) * NS_PER_S / bytes_s;
		now_ns = MAX(now_ns, carried_ns + w->round_ns);
		worst = MAX(worst, now_ns - taken_ns[told]);
		told++;
		pace_told(&p, told, now_ns);
	}
	*ret_ns = now_ns - NS_PER_S;
	return worst;
}

static void
what_is_read_is_delivered_within_its_time_over_ways_of_any_speed(void)
{
	uint64_t all_ns;

	for (uint64_t seconds = 1; seconds <= 128; seconds *= 2) {
		for (uint64_t bytes_s = 20000; bytes_s < 1000000000; bytes_s *= 3) {
			const struct way w = {bytes_s, 1, NS_PER_MS};
			const unsigned lines = (unsigned)CLAMP(4 * seconds * bytes_s / 1000, 100u, (uint64_t)LINES);

			CU_ASSERT(oldest(&w, lines, seconds * NS_PER_S, &all_ns) < seconds * NS_PER_S);
		}
	}
}

static void
a_way_that_becomes_three_times_slower_and_again_is_followed(void)
{
	const struct way w = {3000000, 3, 10 * NS_PER_MS};
	uint64_t all_ns;

	CU_ASSERT(oldest(&w, LINES, 10 * NS_PER_S, &all_ns) < 10 * NS_PER_S);
}

static void
a_fast_way_is_not_kept_waiting(void)
{
	const struct way w = {300000000, 1, NS_PER_MS};
	const uint64_t least_ns = LINES * 1000 * NS_PER_S / w.bytes_s;
	uint64_t all_ns;

	(void)oldest(&w, LINES, 120 * NS_PER_S, &all_ns);
	CU_ASSERT(all_ns < least_ns + least_ns / 20);
}

static const struct ut_test tests[] = {
	UT("pace", what_is_read_is_delivered_within_its_time_over_ways_of_any_speed),
	UT("pace", a_way_that_becomes_three_times_slower_and_again_is_followed),
	UT("pace", a_fast_way_is_not_kept_waiting),
};

UT_MAIN(tests)
