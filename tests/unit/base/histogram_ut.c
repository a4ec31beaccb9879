/* SPDX-License-Identifier: MIT
 * histogram_ut.c - include/base/histogram.h: slots cover every value, quantiles are not too low. */
#include "base/histogram.h"

#include "tests/unit/ut.h"

#include <string.h>

static void
a_value_is_never_above_the_largest_of_its_slot_nor_far_below(void)
{
	for (uint64_t v = 0; v < (uint64_t)1 << 40; v = v < 4096 ? v + 1 : v + v / 37) {
		const uint64_t top = hist_value(hist_slot(v));

		if (top < v || (double)(top - v) > 0.0625 * (double)v)
			CU_FAIL("slot is off");
	}
}

static void
slots_rise_without_a_gap(void)
{
	for (unsigned i = 1; i < HIST_SLOTS; i++) {
		if (hist_value(i) <= hist_value(i - 1))
			CU_FAIL("not rising");
		if (hist_slot(hist_value(i)) != i || hist_slot(hist_value(i - 1) + 1) != i)
			CU_FAIL("a gap, or two slots for a value");
	}
}

static void
values_beyond_the_range_go_to_the_last_slot(void)
{
	CU_ASSERT_EQUAL(hist_slot(UINT64_MAX), HIST_SLOTS - 1);
	CU_ASSERT_EQUAL(hist_slot((uint64_t)1 << 41), HIST_SLOTS - 1);
}

static void
quantiles_of_one_to_a_thousand_are_within_a_sixteenth(void)
{
	static struct histogram h;

	memset(&h, 0, sizeof(h));
	for (uint64_t v = 1; v <= 1000; v++)
		hist_add(&h, v);
	CU_ASSERT_EQUAL(h.n, 1000);
	CU_ASSERT_EQUAL(h.max, 1000);
	CU_ASSERT_TRUE(hist_quantile(&h, 0.5) >= 500 && hist_quantile(&h, 0.5) <= 532);
	CU_ASSERT_TRUE(hist_quantile(&h, 0.99) >= 990 && hist_quantile(&h, 0.99) <= 1000);
	CU_ASSERT_EQUAL(hist_quantile(&h, 1.0), 1000);
}

static void
an_empty_histogram_answers_zero(void)
{
	static const struct histogram h;

	CU_ASSERT_EQUAL(hist_quantile(&h, 0.99), 0);
}

static const struct ut_test tests[] = {
	UT("histogram", a_value_is_never_above_the_largest_of_its_slot_nor_far_below),
	UT("histogram", slots_rise_without_a_gap),
	UT("histogram", values_beyond_the_range_go_to_the_last_slot),
	UT("histogram", quantiles_of_one_to_a_thousand_are_within_a_sixteenth),
	UT("histogram", an_empty_histogram_answers_zero),
};

UT_MAIN(tests)
