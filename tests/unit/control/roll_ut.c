/* SPDX-License-Identifier: MIT
 * roll_ut.c - partitions without appends are told to leave a segment that is due. */
#include "tests/unit/control/world.h"

#include "base/clock.h"

static struct world w;

static void
a_segment_that_is_due_is_rolled_without_an_append(void)
{
	struct topic *t;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 3);
	rolls_start(w.ctl);
	world_pass(&w, 10 * NS_PER_S);
	CU_ASSERT_EQUAL(fake_rolls(t->part->part[1]), 0);
	fake_set_roll_due(t->part->part[1], true);
	world_pass(&w, 10 * NS_PER_S);
	CU_ASSERT_EQUAL(fake_rolls(t->part->part[0]), 0);
	CU_ASSERT_EQUAL(fake_rolls(t->part->part[1]), 1);
	CU_ASSERT(rolls_idle(w.ctl));
	/* Due still: no segment was there to roll to. It is told again. */
	fake_set_roll_due(t->part->part[1], true);
	world_pass(&w, 10 * NS_PER_S);
	CU_ASSERT_EQUAL(fake_rolls(t->part->part[1]), 2);
	world_close(&w);
}

static void
more_than_fit_one_round_are_rolled_in_the_next(void)
{
	struct topic *t;
	unsigned rolled = 0;

	world_open(&w, NULL);
	t = world_topic(&w, "t", ROLLS_MAX + 5);
	rolls_start(w.ctl);
	for (int32_t i = 0; i < t->partitions; i++)
		fake_set_roll_due(t->part->part[i], true);
	world_pass(&w, 5 * NS_PER_S + NS_PER_MS);
	world_pass(&w, 5 * NS_PER_S + NS_PER_MS);
	for (int32_t i = 0; i < t->partitions; i++)
		rolled += fake_rolls(t->part->part[i]);
	CU_ASSERT_EQUAL(rolled, ROLLS_MAX + 5);
	world_close(&w);
}

static void
nothing_is_ordered_while_an_order_is_under_way(void)
{
	struct topic *t;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	rolls_start(w.ctl);
	w.lazy = true;
	fake_set_roll_due(t->part->part[0], true);
	world_pass(&w, 10 * NS_PER_S);
	world_pass(&w, 10 * NS_PER_S);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	CU_ASSERT(!rolls_idle(w.ctl));
	w.lazy = false;
	world_run(&w);
	CU_ASSERT(rolls_idle(w.ctl));
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("roll", a_segment_that_is_due_is_rolled_without_an_append),
	UT("roll", more_than_fit_one_round_are_rolled_in_the_next),
	UT("roll", nothing_is_ordered_while_an_order_is_under_way),
};

UT_MAIN(tests)
