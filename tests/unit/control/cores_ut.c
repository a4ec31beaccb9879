/* SPDX-License-Identifier: MIT
 * cores_ut.c - lists of CPUs. The machine's own CPUs are what is allowed: the test asks for them. */
#include "control/cores.h"

#include "tests/unit/ut.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

static struct cpu_list list;
static struct err err;

static int
first_cpu(void)
{
	cpu_set_t set;

	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			return i;
	return -1;
}

static void
an_empty_list_is_all_that_the_process_may_use(void)
{
	cpu_set_t set;

	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(set), &set), 0);
	CU_ASSERT_EQUAL(cores_read("", &list, &err), 0);
	CU_ASSERT_TRUE(list.n >= 1);
	if (CPU_COUNT(&set) <= 64)
		CU_ASSERT_EQUAL(list.n, (unsigned)CPU_COUNT(&set));
	for (unsigned i = 0; i < list.n; i++)
		CU_ASSERT_TRUE(CPU_ISSET(list.cpu[i], &set));
}

static void
single_cpus_and_ranges_count_once(void)
{
	const int cpu = first_cpu();
	char text[64];

	(void)snprintf(text, sizeof(text), "%d,%d-%d,%d", cpu, cpu, cpu, cpu);
	CU_ASSERT_EQUAL(cores_read(text, &list, &err), 0);
	CU_ASSERT_EQUAL(list.n, 1);
	CU_ASSERT_EQUAL(list.cpu[0], cpu);
}

static void
what_is_no_list_is_refused_and_named(void)
{
	static const char *const bad[] = {"x", "-1", "3-1", "0-", "0;1", "1000000", "0 1"};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = 0;
		CU_ASSERT_EQUAL(cores_read(bad[i], &list, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--cpus"));
	}
}

static void
a_cpu_that_is_not_allowed_is_refused(void)
{
	cpu_set_t set;
	char text[16];
	int cpu = 0;

	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(set), &set), 0);
	while (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set))
		cpu++;
	(void)snprintf(text, sizeof(text), "%d", cpu);
	CU_ASSERT_EQUAL(cores_read(text, &list, &err), -EINVAL);
}

static const struct ut_test tests[] = {
	UT("list", an_empty_list_is_all_that_the_process_may_use),
	UT("list", single_cpus_and_ranges_count_once),
	UT("list", what_is_no_list_is_refused_and_named),
	UT("list", a_cpu_that_is_not_allowed_is_refused),
};

UT_MAIN(tests)
