/* SPDX-License-Identifier: MIT
 * fault_watch_ut.c - control/fault_watch.c: the fields of /proc/.../stat, and that they move when this
 * thread faults. */
#include "control/fault_watch.c"

#include "tests/unit/ut.h"

#include <stdatomic.h>
#include <sys/mman.h>

static void
faults_stand_behind_the_last_bracket(void)
{
	uint64_t minor, major;

	CU_ASSERT_TRUE(fault_watch_parse("17 (a) b) 9 (x) S 1 2 3 0 -1 4194560 1234 5 67 8 9 9", &minor, &major));
	CU_ASSERT_EQUAL(minor, 1234);
	CU_ASSERT_EQUAL(major, 67);
	CU_ASSERT_FALSE(fault_watch_parse("17 (a) S 1 2 3", &minor, &major));
	CU_ASSERT_FALSE(fault_watch_parse("", &minor, &major));
}

static void
a_thread_that_touches_100_new_pages_has_faulted_100_times(void)
{
	uint64_t before, after, major;
	char *p;

	CU_ASSERT_TRUE(read_faults((int)gettid(), &before, &major));
	p = mmap(NULL, 100 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_TRUE_FATAL(p != MAP_FAILED);
	(void)madvise(p, 100 * 4096, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < 100; i++)
		atomic_store((_Atomic char *)(p + i * 4096), 1);
	CU_ASSERT_TRUE(read_faults((int)gettid(), &after, &major));
	CU_ASSERT_TRUE(after - before >= 100 && after - before < 150);
	(void)munmap(p, 100 * 4096);
	CU_ASSERT_FALSE(read_faults(0x7ffffffe, &after, &major));
}

static const struct ut_test tests[] = {
	UT("fault_watch", faults_stand_behind_the_last_bracket),
	UT("fault_watch", a_thread_that_touches_100_new_pages_has_faulted_100_times),
};

UT_MAIN(tests)
