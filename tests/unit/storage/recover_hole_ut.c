/* SPDX-License-Identifier: MIT
 * recover_hole_ut.c - holes that kira.state records: a start accepts them and no others, readers go on behind
 * them, they are kept while anybody may ask for them. */
#include "tests/unit/storage/world.h"

#include <sys/stat.h>

static struct partition_ends ends;
static char name[LAYOUT_NAME];
static int64_t from, to; /* the hole: a segment that is taken away */

static void
reopen(void)
{
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
}

/* A line of kira.state more, as a repair writes it. */
static void
record(int64_t a, int64_t b)
{
	const int dir = open(w.dir, O_RDONLY | O_DIRECTORY);
	char *body, *at, *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	CU_ASSERT_EQUAL_FATAL(layout_read_text(&io_posix, dir, "state", &body), 0);
	at = strstr(body, "p t 0 ");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at = strchr(at, '\n') + 1;
	fprintf(f, "%.*shole t 0 %lld %lld\n%s", (int)(at - body), body, (long long)a, (long long)b, at);
	(void)fclose(f);
	CU_ASSERT_EQUAL(layout_put_text(&io_posix, dir, "state", text), 0);
	free(text);
	free(body);
	(void)close(dir);
}

static void
take_away(int64_t base)
{
	const int dir = open(w.dir, O_RDONLY | O_DIRECTORY), part = openat(dir, "t-0", O_RDONLY | O_DIRECTORY);

	CU_ASSERT_EQUAL(layout_unlink_segment(&io_posix, part, base, false), 0);
	(void)close(part);
	(void)close(dir);
}

/* Segments of a stopped log: the base of the n-th. */
static int64_t
base_of(unsigned n)
{
	for (int64_t at = 0; at <= 2 * w.was_n[0]; at++) {
		layout_name(name, at, ".log");
		if (world_has(0, name) && n-- == 0)
			return at;
	}
	CU_FAIL_FATAL("no such segment");
	return -1;
}

static void
a_log_of_four(void)
{
	world_begin(1);
	world_fill(0, 4 * WORLD_SEGMENT);
	world_settle();
	CU_ASSERT_EQUAL(world_stop(), 0);
}

static void
reads_go_on_behind_the_hole(void)
{
	struct storage_range r;
	int64_t offset, timestamp;

	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.end, 2 * w.was_n[0]);
	CU_ASSERT_EQUAL(world_read(0), ends.end);
	for (int64_t at = from; at < to; at += 7) {
		CU_ASSERT_EQUAL(storage_read(w.part[0], at, 1, true, &r), 0);
		if (to == ends.end) {
			CU_ASSERT_EQUAL(r.length, 0);
			continue;
		}
		CU_ASSERT_EQUAL(r.first_offset, to);
		CU_ASSERT_TRUE(r.length > 0);
		storage_unpin(r.pinned);
		CU_ASSERT_TRUE(storage_available(w.part[0], at, 100) > 0);
	}
	CU_ASSERT_EQUAL(storage_find_time(w.part[0], BATCH_WALL_MS, &offset, &timestamp), 0);
	CU_ASSERT_TRUE(offset >= 0 && (offset < from || offset >= to));
}

static void
and_all_goes_on(void)
{
	const int64_t end = ends.end;

	(void)world_append(0, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.base_offset, end);
	world_sync();
	world_turns(6000); /* kira.state is written anew */
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0)
			world_kill();
		else
			CU_ASSERT_EQUAL(world_stop(), 0);
		reopen();
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
		CU_ASSERT_EQUAL(world_read(0), end + 2);
	}
	world_end();
}

static void
a_recorded_hole_in_the_middle_is_no_damage(void)
{
	a_log_of_four();
	from = base_of(1);
	to = base_of(2);
	take_away(from);
	reopen();
	world_look();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED); /* not recorded */
	CU_ASSERT_EQUAL(world_stop(), 0);
	record(from, to);
	reopen();
	reads_go_on_behind_the_hole();
	and_all_goes_on();
}

static void
a_recorded_hole_at_the_start_is_no_damage(void)
{
	a_log_of_four();
	from = 0;
	to = base_of(1);
	take_away(from);
	record(from, to);
	reopen();
	CU_ASSERT_EQUAL(ends.start, 0);
	reads_go_on_behind_the_hole();
	and_all_goes_on();
}

static void
offsets_of_a_recorded_hole_at_the_end_are_not_used_again(void)
{
	a_log_of_four();
	world_last_log(0, name);
	from = layout_offset(name, ".log");
	to = 2 * w.was_n[0];
	take_away(from);
	record(from, to);
	reopen();
	reads_go_on_behind_the_hole();
	and_all_goes_on();
}

static void
a_hole_of_another_size_halts(void)
{
	for (unsigned i = 0; i < 3; i++) {
		a_log_of_four();
		from = base_of(1);
		to = base_of(2);
		take_away(from);
		record(from + (i == 0), to - (i == 1) + (i == 2));
		reopen();
		world_look();
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
		CU_ASSERT_EQUAL(world_stop(), 0);
		reopen();
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
		CU_ASSERT_EQUAL(ends.end, from);
		world_end();
	}
}

static void
a_hole_below_the_start_is_forgotten(void)
{
	char path[200], *body;
	int dir;

	a_log_of_four();
	from = base_of(1);
	to = base_of(2);
	take_away(from);
	record(from, to);
	w.config.retention_bytes = WORLD_SEGMENT;
	reopen();
	world_turns(12000);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_TRUE(ends.start >= to);
	(void)snprintf(path, sizeof(path), "%s", w.dir);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	CU_ASSERT_EQUAL_FATAL(layout_read_text(&io_posix, dir, "state", &body), 0);
	CU_ASSERT_PTR_NULL(strstr(body, "hole"));
	free(body);
	(void)close(dir);
	world_end();
}

static const struct ut_test tests[] = {
	UT("hole", a_recorded_hole_in_the_middle_is_no_damage),
	UT("hole", a_recorded_hole_at_the_start_is_no_damage),
	UT("hole", offsets_of_a_recorded_hole_at_the_end_are_not_used_again),
	UT("hole", a_hole_of_another_size_halts),
	UT("hole", a_hole_below_the_start_is_forgotten),
};

UT_MAIN(tests)
