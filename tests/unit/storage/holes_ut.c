/* SPDX-License-Identifier: MIT
 * holes_ut.c - storage/holes.c: lost offsets kept as few rising holes, and what lies behind one. */
#include "storage/holes.c"

#include "tests/unit/ut.h"

static struct holes h;

static void
add(int64_t from, int64_t to)
{
	holes_add(&h, from, to);
}

static void
are(unsigned n, int64_t from0, int64_t to0, int64_t from1, int64_t to1)
{
	CU_ASSERT_EQUAL_FATAL(h.n, n);
	CU_ASSERT_TRUE(h.hole[0].from == from0 && h.hole[0].to == to0);
	if (n > 1)
		CU_ASSERT_TRUE(h.hole[1].from == from1 && h.hole[1].to == to1);
}

static void
an_offset_in_a_hole_goes_on_behind_it(void)
{
	CU_ASSERT_EQUAL(holes_after(&h, 7), 7);
	add(10, 20);
	add(30, 31);
	CU_ASSERT_EQUAL(holes_after(&h, 9), 9);
	CU_ASSERT_EQUAL(holes_after(&h, 10), 20);
	CU_ASSERT_EQUAL(holes_after(&h, 19), 20);
	CU_ASSERT_EQUAL(holes_after(&h, 20), 20);
	CU_ASSERT_EQUAL(holes_after(&h, 29), 29);
	CU_ASSERT_EQUAL(holes_after(&h, 30), 31);
	CU_ASSERT_EQUAL(holes_after(&h, 31), 31);
	holes_free(&h);
}

static void
holes_that_touch_or_overlap_become_one(void)
{
	add(30, 40);
	add(10, 20);
	are(2, 10, 20, 30, 40);
	add(20, 25);
	are(2, 10, 25, 30, 40);
	add(28, 30);
	are(2, 10, 25, 28, 40);
	add(11, 12);
	are(2, 10, 25, 28, 40);
	add(24, 29);
	are(1, 10, 40, 0, 0);
	add(50, 51);
	add(0, 9);
	CU_ASSERT_EQUAL(h.n, 3);
	add(0, 100);
	are(1, 0, 100, 0, 0);
	holes_free(&h);
}

static void
a_cut_leaves_nothing_above_the_end(void)
{
	struct holes copy;

	add(10, 20);
	add(30, 40);
	holes_copy(&copy, &h);
	holes_cut(&h, 40);
	are(2, 10, 20, 30, 40);
	holes_cut(&h, 35);
	are(2, 10, 20, 30, 35);
	holes_cut(&h, 30);
	are(1, 10, 20, 0, 0);
	holes_cut(&h, 10);
	CU_ASSERT_EQUAL(h.n, 0);
	holes_free(&h);
	CU_ASSERT_TRUE(copy.n == 2 && copy.hole[1].to == 40);
	holes_free(&copy);
}

static const struct ut_test tests[] = {
	UT("holes", an_offset_in_a_hole_goes_on_behind_it),
	UT("holes", holes_that_touch_or_overlap_become_one),
	UT("holes", a_cut_leaves_nothing_above_the_end),
};

UT_MAIN(tests)
