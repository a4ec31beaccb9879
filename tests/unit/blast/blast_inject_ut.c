/* SPDX-License-Identifier: MIT
 * blast_inject_ut.c - tests of dataplane/blast/blast_inject.c. */
#include "dataplane/blast/blast_inject.c"

#include "tests/unit/ut.h"

#define N 100000

/* Packets are the numbers 1, 2, 3 ..; what came out, in order. */
static uint32_t out[2 * N + INJECT_DEPTH_MAX];

static unsigned
run(struct inject *in, unsigned packets)
{
	unsigned n = 0;
	void *held;

	for (uintptr_t i = 1; i <= packets; i++) {
		switch (inject_judge(in)) {
		case INJECT_LOSE:
			break;
		case INJECT_HOLD:
			inject_keep(in, (void *)i, 0);
			break;
		case INJECT_TWICE:
			out[n++] = (uint32_t)i;
			out[n++] = (uint32_t)i;
			break;
		case INJECT_PASS:
			out[n++] = (uint32_t)i;
			break;
		}
		while ((held = inject_release(in, 0, false)))
			out[n++] = (uint32_t)(uintptr_t)held;
	}
	while ((held = inject_release(in, 0, true)))
		out[n++] = (uint32_t)(uintptr_t)held;
	return n;
}

static void
what_is_lost_and_doubled_is_counted_one_by_one(void)
{
	static struct inject in;
	unsigned n, behind = 0, doubled = 0;
	static uint8_t seen[N + 1];
	uint32_t top = 0, missing = 0;

	memset(seen, 0, sizeof(seen));
	inject_init(&in, 0.01, 0.02, 0.03, 8, 7);
	n = run(&in, N);
	for (unsigned i = 0; i < n; i++) {
		doubled += seen[out[i]]++ != 0;
		behind += out[i] < top;
		top = MAX(top, out[i]);
	}
	for (unsigned i = 1; i <= N; i++)
		missing += !seen[i];
	CU_ASSERT_EQUAL(missing, in.lost);
	CU_ASSERT_EQUAL(doubled, in.doubled);
	CU_ASSERT_EQUAL(behind, in.reordered);
	/* Binomial: five standard deviations around the mean. */
	CU_ASSERT(in.lost > 840 && in.lost < 1160);
	CU_ASSERT(in.doubled > 1700 && in.doubled < 2200);
	CU_ASSERT(in.reordered > 2600 && in.reordered < 3250);
}

static void
the_same_seed_gives_the_same_fate_and_another_seed_another(void)
{
	static struct inject a, b, c;
	unsigned same = 0;

	inject_init(&a, 0.2, 0.2, 0.2, 4, 42);
	inject_init(&b, 0.2, 0.2, 0.2, 4, 42);
	inject_init(&c, 0.2, 0.2, 0.2, 4, 43);
	for (unsigned i = 0; i < 1000; i++) {
		const enum inject_fate fate = inject_judge(&a);

		CU_ASSERT_EQUAL(fate, inject_judge(&b));
		same += fate == inject_judge(&c);
	}
	CU_ASSERT(same < 1000);
}

static void
a_held_packet_is_overtaken_by_exactly_depth_others(void)
{
	static struct inject in;
	void *const packet = &in;

	inject_init(&in, 0, 0, 0.5, 3, 1);
	inject_keep(&in, packet, 0);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_PTR_NULL(inject_release(&in, 0, false));
		in.passed++;
	}
	CU_ASSERT_PTR_EQUAL(inject_release(&in, 0, false), packet);
	CU_ASSERT_EQUAL(in.reordered, 1);
}

static void
a_held_packet_that_nothing_overtakes_goes_on_in_time_and_is_not_counted(void)
{
	static struct inject in;

	inject_init(&in, 0, 0, 1, 8, 1);
	inject_keep(&in, &in, 100);
	CU_ASSERT_PTR_NULL(inject_release(&in, 100 + INJECT_HOLD_NS - 1, false));
	CU_ASSERT_PTR_EQUAL(inject_release(&in, 100 + INJECT_HOLD_NS, false), &in);
	CU_ASSERT_EQUAL(in.reordered, 0);
}

static void
fractions_of_zero_do_nothing_and_of_one_always(void)
{
	static struct inject in;

	inject_init(&in, 0, 0, 0, 8, 9);
	CU_ASSERT_FALSE(inject_active(&in));
	CU_ASSERT_EQUAL(run(&in, 1000), 1000);
	CU_ASSERT_EQUAL(in.lost + in.doubled + in.reordered, 0);
	inject_init(&in, 1, 0, 0, 8, 9);
	CU_ASSERT_EQUAL(run(&in, 1000), 0);
	CU_ASSERT_EQUAL(in.lost, 1000);
	inject_init(&in, 0, 1, 0, 8, 9);
	CU_ASSERT_EQUAL(run(&in, 1000), 2000);
}

static const struct ut_test tests[] = {
	UT("inject", what_is_lost_and_doubled_is_counted_one_by_one),
	UT("inject", the_same_seed_gives_the_same_fate_and_another_seed_another),
	UT("inject", a_held_packet_is_overtaken_by_exactly_depth_others),
	UT("inject", a_held_packet_that_nothing_overtakes_goes_on_in_time_and_is_not_counted),
	UT("inject", fractions_of_zero_do_nothing_and_of_one_always),
};
UT_MAIN(tests)
