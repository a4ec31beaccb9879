/* SPDX-License-Identifier: MIT
 * recover_full_ut.c - a start on a full disk: kira.reserve is given up for it, and producers wait; without one
 * the disk is full from the n-th call on that takes space, for every n, and what had to write is halted, is
 * read all the same, and goes on at the start after space came back. */
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <sys/stat.h>

#define RESERVE "kira.reserve"
#define CALLS_MAX 200

static bool full;
static unsigned left, gift, gifts, refused_n; /* calls that still find space; what the reserve adds */

static bool
ends_in(const char *name, const char *end)
{
	const size_t n = name ? strlen(name) : 0, m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

static int
budget(enum io_kind kind, int fd, const char *name)
{
	struct stat st;

	if (!full)
		return 0;
	if (kind == IO_UNLINKAT && ends_in(name, RESERVE) && fstatat(fd, name, &st, 0) == 0 && st.st_size > 0) {
		left += gift;
		gifts++;
	}
	if (kind != IO_PWRITE && kind != IO_FALLOCATE && kind != IO_RENAMEAT &&
		!(kind == IO_OPENAT && (ends_in(name, ".tmp") || ends_in(name, LAYOUT_SPARE))))
		return 0;
	if (left > 0) {
		left--;
		return 0;
	}
	refused_n++;
	return -ENOSPC;
}

static void
path_of_reserve(char ret[200])
{
	(void)snprintf(ret, 200, "%s/" RESERVE, w.dir);
}

static bool
has_reserve(void)
{
	char path[200];

	path_of_reserve(path);
	return access(path, F_OK) == 0;
}

static void
disk_is_full(unsigned calls)
{
	full = true;
	left = calls;
	refused_n = gifts = 0;
	fake.hook = budget;
	fake.space.free = 0;
}

static void
space_is_back(void)
{
	full = false;
	fake.space.free = 50 * GIB;
}

/* Killed with an open segment in partition 0, and a torn batch behind it; 1 was stopped before. */
static void
one_unclean(void)
{
	char name[40];
	uint64_t size;
	int fd;

	world_begin(2);
	world_fill(0, 3 * WORLD_SEGMENT);
	world_fill(1, WORLD_SEGMENT);
	world_settle();
	CU_ASSERT_EQUAL_FATAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	world_fill(0, 2 * WORLD_SEGMENT);
	world_sync();
	world_turns(6000);
	CU_ASSERT_TRUE(has_reserve());
	size = w.part[0]->position;
	world_last_log(0, name);
	world_kill();
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL(pwrite(fd, "torn", 4, (off_t)size + 20), 4);
	(void)close(fd);
	world_save();
}

static void
is_whole(unsigned p)
{
	CU_ASSERT_EQUAL(world_read(p), 2 * (int64_t)w.was_n[p]);
}

static void
goes_on(unsigned p, bool raised)
{
	const int64_t end = 2 * (int64_t)w.was_n[p];
	const int32_t before = w.was[p][w.was_n[p] - 1].epoch;

	CU_ASSERT_EQUAL_FATAL(storage_state(w.part[p]), PART_OK);
	is_whole(p);
	(void)world_append(p, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.base_offset, end);
	CU_ASSERT_TRUE(raised ? w.result.leader_epoch > before : w.result.leader_epoch >= before);
	is_whole(p);
	world_forget(p, end);
}

/* Where `n` calls found space. */
static void
start_with(unsigned n, unsigned *halted, unsigned *given_up)
{
	char path[200];
	int rc;

	world_restore();
	path_of_reserve(path);
	CU_ASSERT_EQUAL(unlink(path), 0);
	disk_is_full(n);
	rc = world_open();
	if (rc < 0) { /* kira.state, before anything else */
		CU_ASSERT_EQUAL(rc, -ENOSPC);
		CU_ASSERT_TRUE(n < 3);
		(*given_up)++;
	} else {
		CU_ASSERT_EQUAL(storage_state(w.part[1]), PART_OK);
		is_whole(1);
		is_whole(0);
		if (storage_state(w.part[0]) != PART_OK) {
			CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
			CU_ASSERT_TRUE(strstr(storage_halt_reason(w.part[0]), "once there is space") != NULL);
			CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
			(*halted)++;
		}
		left = 0;
		world_turns(6000);
		is_whole(0);
		if (n % 2)
			world_kill();
		else
			CU_ASSERT_TRUE(world_stop() < 0); /* kira.state stays as it was */
	}
	space_is_back();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	goes_on(0, true);
	goes_on(1, false);
	world_kill();
}

static void
without_a_reserve_what_must_write_is_halted_and_read_and_goes_on_later(void)
{
	unsigned n, halted = 0, given_up = 0, before;

	one_unclean();
	for (n = 0; n < CALLS_MAX; n++) {
		before = halted;
		start_with(n, &halted, &given_up);
		if (n >= 3 && halted == before)
			break; /* all of a start had space */
	}
	CU_ASSERT_TRUE(n < CALLS_MAX);
	CU_ASSERT_EQUAL(given_up, 3); /* the file, its bytes, its name */
	CU_ASSERT_TRUE(halted > 5);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	world_end();
}

static void
the_reserve_is_given_up_for_a_start_and_producers_wait(void)
{
	unsigned waited = 0;

	one_unclean();
	for (gift = 3; gift < CALLS_MAX; gift++) { /* until it is just enough */
		world_restore();
		disk_is_full(0);
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(gifts, 1);
		if (storage_state(w.part[0]) == PART_OK)
			break;
		world_kill();
	}
	CU_ASSERT_EQUAL(left, 0);
	CU_ASSERT_FALSE(has_reserve());
	for (unsigned p = 0; p < 2; p++) {
		is_whole(p);
		for (unsigned i = 0; i < 1000; i++) {
			waited += world_append_as(p, (struct batch_of){.count = 2}, 0) == APPEND_WAIT;
			world_turns(1);
		}
		CU_ASSERT_EQUAL(storage_state(w.part[p]), PART_OK);
	}
	CU_ASSERT_EQUAL(waited, 2000);
	space_is_back();
	goes_on(0, true);
	goes_on(1, false);
	world_turns(6000);
	CU_ASSERT_TRUE(has_reserve());
	world_end();
}

static void
what_is_left_of_it_goes_to_the_next_start(void)
{
	one_unclean();
	gift = CALLS_MAX;
	disk_is_full(3); /* enough for kira.state */
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(gifts, 1);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_TRUE(has_reserve());
	space_is_back();
	world_end();
}

/* Blocks are free, and a quota does not let us have them. */
static void
a_quota_takes_it_too(void)
{
	one_unclean();
	gift = CALLS_MAX;
	disk_is_full(0);
	fake.space.free = 50 * GIB;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(gifts, 1);
	goes_on(0, true);
	world_end();
}

static const struct ut_test tests[] = {
	UT("full", without_a_reserve_what_must_write_is_halted_and_read_and_goes_on_later),
	UT("full", the_reserve_is_given_up_for_a_start_and_producers_wait),
	UT("full", what_is_left_of_it_goes_to_the_next_start),
	UT("full", a_quota_takes_it_too),
};

UT_MAIN(tests)
