/* SPDX-License-Identifier: MIT
 * inspect_copy_ut.c - storage/inspect_copy*.c: copies of a directory whose segments change their names, or failed to:
 * each is whole, holds all records, and ends. Of a running kirad: tests/pipeline/check_copy.py. */
#include "storage/inspect.h"
#include "storage/rewrite.h"
#include "tests/unit/storage/rewrite_world.h"

#include <errno.h>

static struct io io; /* fake_io's calls */
static char to[96];
static uint64_t records;

static void
say(void *arg, const struct inspect_finding *f)
{
	if (f->level == INSPECT_DAMAGE)
		fprintf(stderr, "%s: %s\n", f->file, f->what);
}

/* A copy that must hold all; -errno else, and w.err says why. */
static int
copy(void)
{
	struct inspect in = {.io = &io};
	int rc;

	(void)snprintf(to, sizeof(to), "%s/copy", w.dir);
	rc = inspect_copy(&in, w.dir, to, &w.err);
	if (rc < 0)
		return rc;
	fake.hook = NULL;
	in = (struct inspect){.io = &fake_io, .found = say};
	CU_ASSERT_EQUAL(inspect_directory(&in, to, &w.err), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	CU_ASSERT_EQUAL(in.notes, 1); /* no clean stop made it */
	CU_ASSERT_EQUAL(in.records, records);
	world_remove(to);
	return 0;
}

/* All of it durable, by kira.state too; nothing runs. */
static void
start(void)
{
	io = fake_io;
	begin(true, 200);
	records = (uint64_t)w.part[0]->next;
	CU_ASSERT_EQUAL_FATAL(directory_put_ids(w.s, 8), 0);
	CU_ASSERT_EQUAL_FATAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(copy(), 0);
}

/* ---- A swap that failed ------------------------------------------------------------------- */

static unsigned rename_fails, renames;
static bool all_after;

/* `name`: the new one. Of a segment's file, and the old one is there. */
static int
refuse_rename(enum io_kind kind, int fd, const char *name)
{
	const char *const tail = strrchr(name ? name : "", '.');
	char old[64];
	bool cleaned;

	if (kind != IO_RENAMEAT || !tail)
		return 0;
	if (strcmp(tail, ".swap") == 0 || strcmp(tail, ".cleaned") == 0)
		(void)snprintf(old, sizeof(old), "%.*s%s", (int)(tail - name), name,
			strcmp(tail, ".swap") == 0 ? ".cleaned" : ".swap");
	else
		(void)snprintf(old, sizeof(old), "%s.swap", name);
	if (rewrite_left(old, &cleaned, NULL) < 0 || faccessat(fd, old, F_OK, 0) != 0)
		return 0;
	renames++;
	return renames == rename_fails || (renames > rename_fails && all_after) ? -EIO : 0;
}

static void
a_rename_that_failed_is_no_obstacle(void)
{
	unsigned swapped = 0, undone = 0;

	start();
	world_save();
	for (unsigned n = 0; n < 12; n++) {
		world_restore();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		want_lz4(true);
		rename_fails = 1 + n / 2;
		all_after = n % 2;
		renames = 0;
		fake.hook = refuse_rename;
		while (!job()->part)
			world_turns(1);
		while (job()->part)
			world_turns(1);
		fake.hook = NULL;
		want_lz4(false);
		CU_ASSERT_TRUE(renames >= rename_fails);
		swapped += world_count(0, ".swap") > 0 && world_count(0, ".cleaned") == 0;
		undone += world_count(0, ".cleaned") > 0;
		fake.slept_ms = 0;
		CU_ASSERT_EQUAL(copy(), 0);
		CU_ASSERT_EQUAL(fake.slept_ms, 0); /* at once: nothing to wait for */
		world_kill();
	}
	CU_ASSERT_TRUE(swapped >= 6 && undone >= 2);
	world_end();
}

/* ---- Names that change under it ----------------------------------------------------------- */

static int part_fd; /* the partition's directory */
static uint64_t at_call, apart;
static unsigned moved;

static void
open_part(void)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/t-0", w.dir);
	part_fd = io_posix.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	CU_ASSERT_TRUE_FATAL(part_fd >= 0);
}

/* A rewriting's names, from files made ahead: one each so many calls, or all at once. */
static int
rename_on(enum io_kind kind, int fd, const char *name)
{
	static const struct {
		const char *part, *from, *to;
	} step[] = {
		{".log", ".new", ".cleaned"}, {".index", ".new", ".cleaned"}, {".timeindex", ".new", ".cleaned"},
		{".timeindex", ".cleaned", ".swap"}, {".index", ".cleaned", ".swap"}, {".log", ".cleaned", ".swap"},
		{".log", ".swap", ""}, {".index", ".swap", ""}, {".timeindex", ".swap", ""},
	};

	while (moved < ARRAY_LENGTH(step) && fake.total >= at_call + moved * apart) {
		char old[64], new[64];

		(void)snprintf(old, sizeof(old), "%020d%s%s", 0, step[moved].part, step[moved].from);
		(void)snprintf(new, sizeof(new), "%020d%s%s", 0, step[moved].part, step[moved].to);
		CU_ASSERT_EQUAL(io_posix.renameat(part_fd, old, new), 0);
		moved++;
	}
	return 0;
}

/* Of the first segment: the fourth rename finds all three written. */
static void
swaps_left(void)
{
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	want_lz4(true);
	rename_fails = 4;
	all_after = true;
	renames = 0;
	fake.hook = refuse_rename;
	while (renames < 4)
		world_turns(1);
	fake.hook = NULL;
	want_lz4(false);
	CU_ASSERT_EQUAL_FATAL(world_count(0, ".swap"), 3);
}

static void
a_swap_that_goes_on_meanwhile_gives_the_old_or_the_new(void)
{
	static const char *const part[] = {".log", ".index", ".timeindex"};
	uint64_t slept = 0;

	start();
	swaps_left();
	world_kill();
	open_part();
	for (unsigned i = 0; i < ARRAY_LENGTH(part); i++) {
		char old[64], new[64];

		(void)snprintf(old, sizeof(old), "%020d%s.swap", 0, part[i]);
		(void)snprintf(new, sizeof(new), "%020d%s.new", 0, part[i]);
		CU_ASSERT_EQUAL(io_posix.renameat(part_fd, old, new), 0);
	}
	(void)close(part_fd);
	world_save();
	/* With the 50th call the segment is copied. */
	for (apart = 0; apart < 4; apart++) {
		for (uint64_t n = 1; n < 60; n++) {
			world_restore();
			open_part();
			fake_io_reset();
			at_call = n;
			moved = 0;
			fake.hook = rename_on;
			CU_ASSERT_EQUAL(copy(), 0);
			slept += fake.slept_ms;
			(void)close(part_fd);
		}
	}
	CU_ASSERT_TRUE(slept > 0);
	world_end();
}

struct all_but {
	int (*each)(void *arg, const char *name);
	void *arg;
};

static int
but_the_log(void *arg, const char *name)
{
	const struct all_but *a = arg;

	return strcmp(name, "00000000000000000000.log.swap") == 0 ? 0 : a->each(a->arg, name);
}

/* A directory's names are no snapshot of it. */
static int
miss_a_name_once(int dir, int (*each)(void *arg, const char *name), void *arg)
{
	struct all_but a = {each, arg};

	return moved++ == at_call ? fake_io.list(dir, but_the_log, &a) : fake_io.list(dir, each, arg);
}

static void
a_name_that_a_list_missed_mixes_nothing(void)
{
	start();
	swaps_left();
	world_kill();
	at_call = 0;
	io.list = miss_a_name_once;
	do {
		moved = 0;
		CU_ASSERT_EQUAL(copy(), 0);
	} while (moved > at_call++);
	CU_ASSERT_TRUE(at_call > 2 * SEGMENTS);
	world_end();
}

/* Listed, and gone when it is opened. */
static int
flip(enum io_kind kind, int fd, const char *name)
{
	static const char there[] = "00000000000000000000.index.swap";

	if (kind == IO_LIST)
		(void)close(io_posix.openat(part_fd, there, O_CREAT, 0644));
	else if (kind == IO_OPENAT && strcmp(name, there) == 0)
		(void)io_posix.unlinkat(part_fd, there, false);
	return 0;
}

static void
names_that_never_rest_end_in_a_sentence(void)
{
	start();
	open_part();
	fake.hook = flip;
	CU_ASSERT_EQUAL(copy(), -ESTALE);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.err.text, "00000000000000000000.log"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w.err.text, "try again"));
	CU_ASSERT_PTR_NOT_NULL(strstr(w.err.text, "unfinished, remove it"));
	CU_ASSERT_TRUE(fake.slept_ms >= 500 && fake.slept_ms <= 60000);
	(void)close(part_fd);
	world_end();
}

static const struct ut_test tests[] = {
	UT("swap", a_rename_that_failed_is_no_obstacle),
	UT("swap", a_swap_that_goes_on_meanwhile_gives_the_old_or_the_new),
	UT("swap", a_name_that_a_list_missed_mixes_nothing),
	UT("swap", names_that_never_rest_end_in_a_sentence),
};

UT_MAIN(tests)
