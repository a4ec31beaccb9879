/* SPDX-License-Identifier: MIT
 * ut.h - the runner of every unit test program, over CUnit.
 *
 *	static void a_read_past_the_end_gives_zero_and_sticks(void) { .. CU_ASSERT_EQUAL(..); }
 *	static const struct ut_test tests[] = {
 *		UT("reader", a_read_past_the_end_gives_zero_and_sticks),
 *	};
 *	UT_MAIN(tests)
 *
 * A program takes -l (list), -s SUITE, -t TEST (both by exact name). Exit 0: all passed, 1: one
 * failed or nothing was selected, 77: skipped by ut_skip(). Thread: main. */
#ifndef KIRA_TESTS_UT_H
#define KIRA_TESTS_UT_H

#include <CUnit/CUnit.h>
#include <stddef.h>

struct ut_test {
	const char *suite, *name;
	void (*run)(void);
};

#define UT(suite, function) {suite, #function, function}

#define UT_MAIN(table)                                                                             \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return ut_run(argc, argv, table, sizeof(table) / sizeof((table)[0]));              \
	}

int ut_run(int argc, char **argv, const struct ut_test *tests, size_t n);

/* Ends the program at once with 77, which Meson reports as skipped. `why` names what is missing and
 * how to get it. */
_Noreturn void ut_skip(const char *why);

#endif
