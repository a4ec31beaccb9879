/* SPDX-License-Identifier: MIT
 * counters_ut.c - the mapped file of counters, as a reader in another process sees it. */
#include "control/counters.h"

#include "base/bits.h"
#include "tests/unit/ut.h"

#include <kira/counters.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[128], link_path[160];

static void
make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "%s/kira-counters-ut-XXXXXX",
		getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	(void)snprintf(link_path, sizeof(link_path), "%s/counters", dir);
}

static const void *
map(size_t *bytes)
{
	const int fd = open(link_path, O_RDONLY);
	struct stat st;
	void *p;

	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	CU_ASSERT_FATAL(p != MAP_FAILED);
	(void)close(fd);
	*bytes = (size_t)st.st_size;
	return p;
}

static uint64_t
look(const void *m, const char *group, const char *name)
{
	for (uint32_t i = 0; i < kira_counters_entries(m); i++) {
		const struct kira_counters_entry *e = kira_counters_entry(m, i);

		if (strcmp(e->group, group) == 0 && strcmp(e->name, name) == 0)
			return kira_counters_value(m, e);
	}
	return UINT64_MAX;
}

static void
a_reader_finds_every_group_by_name(void)
{
	static const char *const name[] = {"packets", "bytes"};
	struct counters *cs;
	struct err err = {""};
	const struct kira_counters_head *h;
	counter *rx0, *rx1;
	const void *m;
	size_t bytes;

	make_dir();
	CU_ASSERT_EQUAL_FATAL(counters_open(&cs, dir, 1234, &err), 0);
	CU_ASSERT_EQUAL_FATAL(counters_link(cs, link_path, &err), 0);
	m = map(&bytes);
	CU_ASSERT_TRUE_FATAL(kira_counters_valid(m, bytes));
	h = m;
	CU_ASSERT_EQUAL(h->pid, getpid());
	CU_ASSERT_EQUAL(h->started_wall_ms, 1234);
	rx0 = counters_group(cs, "rx0", name, 2);
	rx1 = counters_group(cs, "rx1", name, 2);
	/* Writers do not share a cache line. */
	CU_ASSERT_EQUAL((uintptr_t)rx0 % CACHE_LINE, 0);
	CU_ASSERT_EQUAL((uintptr_t)rx1 % CACHE_LINE, 0);
	CU_ASSERT_TRUE((uintptr_t)rx1 - (uintptr_t)rx0 >= CACHE_LINE);
	counter_add(&rx0[1], 7);
	counter_add(&rx1[0], 9);
	counter_add(&counters_control(cs)->requests, 3);
	CU_ASSERT_EQUAL(look(m, "rx0", "bytes"), 7);
	CU_ASSERT_EQUAL(look(m, "rx0", "packets"), 0);
	CU_ASSERT_EQUAL(look(m, "rx1", "packets"), 9);
	CU_ASSERT_EQUAL(look(m, "control", "requests"), 3);
	CU_ASSERT_EQUAL(look(m, "control", "no_such"), UINT64_MAX);
	(void)munmap((void *)(uintptr_t)m, bytes);
	counters_close(cs);
	CU_ASSERT_EQUAL(access(link_path, F_OK), -1);
	CU_ASSERT_EQUAL(rmdir(dir), 0); /* nothing is left behind */
}

static void
what_a_kill_left_behind_is_removed_at_the_next_start(void)
{
	struct counters *killed, *cs;
	struct err err = {""};
	char target[256];
	ssize_t n;

	make_dir();
	CU_ASSERT_EQUAL_FATAL(counters_open(&killed, dir, 1, &err), 0);
	CU_ASSERT_EQUAL_FATAL(counters_link(killed, link_path, &err), 0);
	n = readlink(link_path, target, sizeof(target) - 1);
	CU_ASSERT_FATAL(n > 0);
	target[n] = 0;
	CU_ASSERT_EQUAL_FATAL(counters_open(&cs, dir, 2, &err), 0);
	CU_ASSERT_EQUAL_FATAL(counters_link(cs, link_path, &err), 0);
	CU_ASSERT_EQUAL(access(target, F_OK), -1);
	counters_close(cs);
	counters_close(killed);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void
a_full_file_gives_counters_that_nobody_sees(void)
{
	static const char *name[512];
	struct counters *cs;
	struct err err = {""};

	for (unsigned i = 0; i < ARRAY_LENGTH(name); i++)
		name[i] = "x";
	make_dir();
	CU_ASSERT_EQUAL_FATAL(counters_open(&cs, dir, 1, &err), 0);
	for (unsigned i = 0; i < 8; i++)
		counter_add(counters_group(cs, "many", name, ARRAY_LENGTH(name)), 1);
	counters_close(cs);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void
a_foreign_file_is_not_valid(void)
{
	struct kira_counters_head h = {.magic = KIRA_COUNTERS_MAGIC, .version = KIRA_COUNTERS_VERSION,
		.bytes = sizeof(h), .entries_at = sizeof(h), .values_at = sizeof(h)};

	CU_ASSERT_TRUE(kira_counters_valid(&h, sizeof(h)));
	CU_ASSERT_FALSE(kira_counters_valid(&h, sizeof(h) - 1));
	h.entries_max = 1;
	CU_ASSERT_FALSE(kira_counters_valid(&h, sizeof(h)));
	h.entries_max = 0;
	h.version++;
	CU_ASSERT_FALSE(kira_counters_valid(&h, sizeof(h)));
}

static bool
exists(const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static void
files_of_the_dead_are_removed_and_those_of_the_living_are_not(void)
{
	/* A pid that cannot be: above the kernel's largest. */
	static const char dead[] = "kira-counters-99999999-abcdef", foreign[] = "other-1-abcdef";
	struct counters *cs, *second;
	struct err err = {""};
	char path[300];
	struct stat st;

	make_dir();
	CU_ASSERT_EQUAL_FATAL(counters_open(&cs, dir, 1, &err), 0);
	CU_ASSERT_EQUAL(counters_link(cs, link_path, &err), 0);
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, i ? foreign : dead);
		(void)close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	CU_ASSERT_TRUE(exists(dead));
	/* The first is of this very process: its pid says nothing, its lock does. */
	CU_ASSERT_EQUAL_FATAL(counters_open(&second, dir, 1, &err), 0);
	CU_ASSERT_FALSE(exists(dead));
	CU_ASSERT_TRUE(exists(foreign));
	CU_ASSERT_EQUAL(stat(link_path, &st), 0);
	counters_close(second);
	counters_close(cs);
	(void)unlink(path);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static const struct ut_test tests[] = {
	UT("counters", a_reader_finds_every_group_by_name),
	UT("counters", what_a_kill_left_behind_is_removed_at_the_next_start),
	UT("counters", files_of_the_dead_are_removed_and_those_of_the_living_are_not),
	UT("counters", a_full_file_gives_counters_that_nobody_sees),
	UT("counters", a_foreign_file_is_not_valid),
};
UT_MAIN(tests)
