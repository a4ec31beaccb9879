/* SPDX-License-Identifier: MIT
 * rewrite_crash_ut.c - a rewriting cut short at its n-th system call, for every n, or with one call that
 * fails; a full disk; and what a start makes of the files that were left. */
#include "storage/inspect.h"
#include "tests/unit/storage/rewrite_world.h"

#include <errno.h>

static uint64_t wanted_hash;

static void
say(void *arg, const struct inspect_finding *f)
{
	if (f->level == INSPECT_DAMAGE)
		fprintf(stderr, "%s: %s\n", f->file, f->what);
}

/* What lies there, by the tool's rules: the notes on it. */
static uint64_t
notes(void)
{
	struct inspect in = {.io = &fake_io, .found = say};

	CU_ASSERT_EQUAL(directory_put_ids(w.s, 8), 0);
	world_kill();
	CU_ASSERT_EQUAL(inspect_directory(&in, w.dir, &w.err), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	return in.notes;
}

/* ---- Cut short ---------------------------------------------------------------------------- */

/* Everything from the n-th call on fails as if the process had died there, or that one alone; then a
 * start, itself cut short at its m-th call; then another. */
static void
at_every_call(bool dies)
{
	uint64_t n = 1, swapped = 0;

	begin(true, 200);
	wanted_hash = hash_all();
	CU_ASSERT_EQUAL(world_stop(), 0);
	world_save();
	for (; n < 1000; n++) {
		uint64_t total;

		world_restore();
		fake_io_reset();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		want_lz4(true);
		while (!job()->part)
			world_turns(1);
		fake_io_reset();
		if (dies)
			fake.dies_at = n;
		else
			fake.fails_at = n;
		while (job()->part)
			world_turns(1);
		total = fake.total;
		swapped += counter_read(&w.count.rewrite_segments) > 0;
		fake.dies_at = fake.fails_at = 0;
		CU_ASSERT_EQUAL(hash_all(), wanted_hash); /* whatever it was, readers do not mind */
		(void)notes();
		fake_io_reset();
		fake.dies_at = n % 3 ? 30 + n % 50 : 0;
		if (world_open() == 0)
			world_kill();
		fake_io_reset();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
		CU_ASSERT_EQUAL(world_count(0, ".cleaned") + world_count(0, ".swap"), 0);
		CU_ASSERT_EQUAL(hash_all(), wanted_hash);
		world_kill();
		if (total < n)
			break;
	}
	CU_ASSERT_TRUE(n > 40 && n < 1000);
	CU_ASSERT_TRUE(swapped > 0);
	world_end();
}

static void
a_kill_at_any_call_leaves_the_old_or_the_new(void)
{
	at_every_call(true);
}

static void
any_call_may_fail(void)
{
	at_every_call(false);
}

static void
a_full_disk_only_puts_it_off(void)
{
	begin(true, 200);
	want_lz4(true);
	while (!job()->part)
		world_turns(1);
	fake.fail_rc = -ENOSPC;
	fake.fails_at = fake.total + 20;
	while (job()->part)
		world_turns(1);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_failures), 0);
	world_turns(2000);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	w.now_ns += 60 * NS_PER_S;
	world_turns(200);
	CU_ASSERT_TRUE(counter_read(&w.count.rewrite_segments) > 0);
	world_end();
}

/* ---- At a start --------------------------------------------------------------------------- */

static void
leave(const char *name)
{
	const int fd = io_posix.openat(w.part[0]->dirfd, name, O_RDWR | O_CREAT, 0644);

	CU_ASSERT_TRUE(fd >= 0 && write(fd, name, strlen(name)) > 0);
	(void)close(fd);
}

static void
while_one_is_cleaned_all_is_undone(void)
{
	begin(true, 200);
	wanted_hash = hash_all();
	leave("00000000000000000000.log.cleaned");
	leave("00000000000000000000.index.swap");
	leave("00000000000000000000.timeindex.swap");
	leave("00000000000000000100.index.cleaned");
	CU_ASSERT_TRUE(notes() >= 2);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_count(0, ".cleaned") + world_count(0, ".swap"), 0);
	CU_ASSERT_EQUAL(hash_all(), wanted_hash);
	world_end();
}

/* The new files are already there under the first so many names of log, index, timeindex. */
static void
what_is_swap_and_nothing_cleaned_is_finished(void)
{
	static const char *const name[] = {"00000000000000000000.log", "00000000000000000000.index",
		"00000000000000000000.timeindex"};
	uint64_t small;

	begin(true, 200);
	wanted_hash = hash_all();
	rewrite_all();
	small = world_size(0, name[0]);
	CU_ASSERT_EQUAL(world_stop(), 0);
	world_save();
	for (unsigned done = 0; done < 3; done++) {
		char swap[64];

		world_restore();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		for (unsigned i = done; i < 3; i++) {
			(void)snprintf(swap, sizeof(swap), "%s.swap", name[i]);
			CU_ASSERT_EQUAL(io_posix.renameat(w.part[0]->dirfd, name[i], swap), 0);
			leave(name[i]); /* the old one; not a good index */
		}
		CU_ASSERT_TRUE(notes() >= 1);
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
		CU_ASSERT_EQUAL(world_count(0, ".swap"), 0);
		CU_ASSERT_EQUAL(world_size(0, name[0]), small);
		CU_ASSERT_EQUAL(hash_all(), wanted_hash);
		world_kill();
	}
	world_end();
}

static void
index_files_of_a_segment_that_expired_are_removed(void)
{
	begin(true, 200);
	leave("00000000000000000000.index.swap");
	CU_ASSERT_EQUAL(io_posix.unlinkat(w.part[0]->dirfd, "00000000000000000000.log", false), 0);
	CU_ASSERT_EQUAL(io_posix.unlinkat(w.part[0]->dirfd, "00000000000000000000.index", false), 0);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.index"));
	CU_ASSERT_EQUAL(world_count(0, ".swap"), 0);
	world_end();
}

static const struct ut_test tests[] = {
	UT("cut", a_kill_at_any_call_leaves_the_old_or_the_new),
	UT("cut", any_call_may_fail),
	UT("cut", a_full_disk_only_puts_it_off),
	UT("start", while_one_is_cleaned_all_is_undone),
	UT("start", what_is_swap_and_nothing_cleaned_is_finished),
	UT("start", index_files_of_a_segment_that_expired_are_removed),
};

UT_MAIN(tests)
