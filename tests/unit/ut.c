/* SPDX-License-Identifier: MIT
 * ut.c - registers a table of tests with CUnit, runs what was selected, prints a line per test and
 * the counts. Thread: main. Never: retries, sleeps, or hides a failed assertion. */
#include "ut.h"

#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
ut_test_done(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	printf("%-7s %s: %s\n", failure ? "FAILED" : "ok", suite->pName, test->pName);
	for (CU_pFailureRecord f = failure; f; f = f->pNext)
		printf("        %s:%u: %s\n", f->strFileName ? f->strFileName : "?", f->uiLineNumber,
			f->strCondition ? f->strCondition : "?");
	fflush(stdout);
}

/* CUnit keeps the names it is given by copy; a suite is made when its first test comes. */
static int
ut_add(const struct ut_test *t)
{
	CU_pSuite suite = CU_get_suite(t->suite);

	if (!suite)
		suite = CU_add_suite(t->suite, NULL, NULL);
	return suite && CU_add_test(suite, t->name, t->run) ? 0 : -1;
}

int
ut_run(int argc, char **argv, const struct ut_test *tests, size_t n)
{
	const char *suite = NULL, *name = NULL;
	int list = 0, opt;
	unsigned failed, selected = 0;

	while ((opt = getopt(argc, argv, "ls:t:")) != -1) {
		if (opt == 'l')
			list = 1;
		else if (opt == 's')
			suite = optarg;
		else if (opt == 't')
			name = optarg;
		else {
			fprintf(stderr, "usage: %s [-l] [-s SUITE] [-t TEST]\n", argv[0]);
			return 1;
		}
	}
	if (CU_initialize_registry() != CUE_SUCCESS) {
		fprintf(stderr, "%s: CUnit does not start\n", argv[0]);
		return 1;
	}
	CU_set_test_complete_handler(ut_test_done);
	CU_set_error_action(CUEA_IGNORE);
	for (size_t i = 0; i < n; i++) {
		if ((suite && strcmp(suite, tests[i].suite) != 0)
				|| (name && strcmp(name, tests[i].name) != 0))
			continue;
		selected++;
		if (list) {
			printf("%s: %s\n", tests[i].suite, tests[i].name);
		} else if (ut_add(&tests[i]) != 0) {
			fprintf(stderr, "%s: cannot add %s: %s\n", argv[0], tests[i].name,
				CU_get_error_msg());
			return 1;
		}
	}
	if (selected == 0) {
		fprintf(stderr, "%s: no such test\n", argv[0]);
		return 1;
	}
	if (list)
		return 0;
	(void)CU_run_all_tests();
	failed = CU_get_number_of_tests_failed();
	printf("%u passed, %u failed\n", CU_get_number_of_tests_run() - failed, failed);
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

void
ut_skip(const char *why)
{
	printf("skipped: %s\n", why);
	fflush(stdout);
	_exit(77);
}
