/* SPDX-License-Identifier: MIT
 * recover_bad_ut.c - storage/recover.c: a file that is missing, damaged or unreadable halts its
 * partition alone, with the reason, and costs nothing once it is back. */
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <sys/stat.h>

static struct partition_ends ends;
static char name[LAYOUT_NAME];
static ino_t bad_file;

static void
reopen(void)
{
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
}

/* A sealed file is not opened by the start: its tail is looked at soon after, and the partition halts then, as
 * it is; the start after that knows, and serves it as far as it is whole. */
static void
reopen_and_look(void)
{
	struct storage_range r;

	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	world_look();
	CU_ASSERT_EQUAL_FATAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(strstr(storage_halt_reason(w.part[0]), name) != NULL);
	CU_ASSERT_EQUAL(storage_failures(w.s), 1);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(storage_read(w.part[0], ends.end, 100, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	world_turns(6000); /* kira.state says so */
	world_kill();
	reopen();
}

/* kira.state is written every 5 s. */
static void
until_kira_state_says_so(void)
{
	world_sync();
	world_turns(6000);
}

static void
in_partition_0(char ret[200], const char *file)
{
	(void)snprintf(ret, 200, "%s/t-0%s", w.dir, file);
}

/* Two partitions with records, of which kira.state tells, after a clean stop or a kill. */
static void
two_of_them(bool clean)
{
	world_begin(2);
	world_fill(0, 4 * WORLD_SEGMENT);
	world_fill(1, WORLD_SEGMENT);
	world_settle();
	until_kira_state_says_so();
	if (!clean)
		world_kill();
	else if (world_stop() < 0)
		CU_FAIL("the stop failed");
}

static void
the_other_goes_on(void)
{
	const int64_t end = 2 * (int64_t)w.was_n[1];

	CU_ASSERT_EQUAL(storage_state(w.part[1]), PART_OK);
	CU_ASSERT_PTR_NULL(storage_halt_reason(w.part[1]));
	CU_ASSERT_EQUAL(world_read(1), end);
	(void)world_append(1, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.base_offset, end);
}

/* Reads below its bounds are told "failed", not "out of range": a consumer must not begin anew. */
static void
is_halted_for(const char *why)
{
	struct storage_range r;
	int64_t at, timestamp;

	CU_ASSERT_EQUAL_FATAL(storage_state(w.part[0]), PART_HALTED);
	if (!strstr(storage_halt_reason(w.part[0]), why)) {
		fprintf(stderr, "%s\n", storage_halt_reason(w.part[0]));
		CU_FAIL("another reason");
	}
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(storage_read(w.part[0], ends.end, 100, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 2 * w.was_n[0] - 1, 100, true, &r),
		KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(storage_find_time(w.part[0], 0, &at, &timestamp), 0);
	CU_ASSERT_EQUAL(world_read(0), ends.end);
}

/* A stop with the partition halted, and the file back: nothing was forgotten. */
static void
is_whole_after_a_stop(void)
{
	world_turns(6000);
	CU_ASSERT_EQUAL(world_stop(), 0);
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_read(0), 2 * w.was_n[0]);
	CU_ASSERT_TRUE(storage_leader_epoch(w.part[0]) >= 1);
}

static void
a_missing_directory_halts_its_partition_alone(void)
{
	char path[200], away[210];

	two_of_them(true);
	in_partition_0(path, "");
	(void)snprintf(away, sizeof(away), "%s.away", path);
	CU_ASSERT_EQUAL(rename(path, away), 0);
	reopen();
	is_halted_for("t-0: No such file or directory");
	the_other_goes_on();
	world_turns(6000);
	CU_ASSERT_EQUAL(world_stop(), 0);
	reopen(); /* and at the next start again */
	is_halted_for("t-0: No such file or directory");
	CU_ASSERT_EQUAL(rename(away, path), 0);
	is_whole_after_a_stop();
	CU_ASSERT_EQUAL(world_delete(), 0);
	world_end();
}

static void
a_topic_with_a_missing_directory_can_be_deleted(void)
{
	char path[200], away[210];

	two_of_them(true);
	in_partition_0(path, "");
	(void)snprintf(away, sizeof(away), "%s.away", path);
	CU_ASSERT_EQUAL(rename(path, away), 0);
	reopen();
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_EQUAL_FATAL(world_create("t", 2), 0);
	world_end();
}

static void
a_missing_or_damaged_epoch_checkpoint_halts_its_partition_alone(void)
{
	char path[200], away[210];
	FILE *f;

	for (unsigned i = 0; i < 2; i++) {
		two_of_them(i == 0);
		in_partition_0(path, "/" LAYOUT_EPOCHS);
		(void)snprintf(away, sizeof(away), "%s.away", path);
		CU_ASSERT_EQUAL(rename(path, away), 0);
		if (i == 1) {
			f = fopen(path, "w");
			CU_ASSERT_PTR_NOT_NULL_FATAL(f);
			fprintf(f, "0\n1\n0 0");
			(void)fclose(f);
		}
		reopen();
		is_halted_for("read " LAYOUT_EPOCHS);
		the_other_goes_on();
		CU_ASSERT_EQUAL(rename(away, path), 0);
		is_whole_after_a_stop();
		world_end();
	}
}

static int
bad_read(enum io_kind kind, int fd, const char *n)
{
	struct stat st;

	return kind == IO_PREAD && fstat(fd, &st) == 0 && st.st_ino == bad_file ? -EIO : 0;
}

static void
a_file_that_cannot_be_read_halts_its_partition_alone(void)
{
	struct stat st;
	int fd;

	for (unsigned i = 0; i < 2; i++) {
		two_of_them(i == 0);
		world_last_log(0, name);
		fd = world_open_file(0, name);
		CU_ASSERT_EQUAL(fstat(fd, &st), 0);
		(void)close(fd);
		bad_file = st.st_ino;
		fake.hook = bad_read;
		if (i == 0)
			reopen_and_look(); /* the last file is sealed */
		else
			reopen();
		is_halted_for(name);
		CU_ASSERT_TRUE(ends.end > 0); /* what lies before is served */
		the_other_goes_on();
		fake.hook = NULL;
		is_whole_after_a_stop();
		world_end();
	}
}

/* The second of its segments, and where the third begins. */
static int64_t
second_segment(void)
{
	int64_t base[2];
	unsigned n = 0;

	for (int64_t at = 1; n < 2; at++) {
		layout_name(name, at, ".log");
		if (world_has(0, name))
			base[n++] = at;
	}
	layout_name(name, base[0], ".log");
	return base[1];
}

static void
a_sealed_segment_cut_short_in_the_middle_halts_and_is_served_up_to_there(void)
{
	/* A byte: the last batch. Half of it: below its last index entry. */
	for (unsigned i = 0; i < 4; i++) {
		int64_t next;
		uint64_t size;
		char copy[WORLD_SEGMENT];
		int fd;

		two_of_them(i % 2 == 0);
		next = second_segment();
		size = world_size(0, name);
		fd = world_open_file(0, name);
		CU_ASSERT_EQUAL(pread(fd, copy, size, 0), (ssize_t)size);
		CU_ASSERT_EQUAL(ftruncate(fd, (off_t)(i < 2 ? size - 1 : size / 2)), 0);
		reopen_and_look();
		is_halted_for("missing");
		CU_ASSERT_TRUE(strstr(storage_halt_reason(w.part[0]), name) != NULL);
		if (i < 2)
			CU_ASSERT_EQUAL(ends.end, next - 2);
		CU_ASSERT_TRUE(ends.end > layout_offset(name, ".log") && ends.end < next);
		the_other_goes_on();
		CU_ASSERT_EQUAL(pwrite(fd, copy, size, 0), (ssize_t)size);
		(void)close(fd);
		is_whole_after_a_stop();
		world_end();
	}
}

static void
a_sealed_segment_in_the_middle_that_cannot_be_read_halts(void)
{
	struct stat st;
	int fd;

	two_of_them(true);
	(void)second_segment();
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL(fstat(fd, &st), 0);
	(void)close(fd);
	bad_file = st.st_ino;
	fake.hook = bad_read;
	reopen_and_look();
	is_halted_for(name);
	CU_ASSERT_EQUAL(ends.end, layout_offset(name, ".log"));
	fake.hook = NULL;
	is_whole_after_a_stop();
	world_end();
}

/* Looks at the page cache: one for the file, one for the probe, which must find it empty. */
static unsigned looks_left, looks_of_probe;

static int
probe_is_dropped(enum io_kind kind, int fd, const char *n)
{
	if (kind == IO_OPENAT && strcmp(n, "kira.cache.tmp") == 0) {
		looks_left = fake.cached_for;
		fake.cached_for = 0;
		looks_of_probe++;
	} else if (kind == IO_UNLINKAT && strcmp(n, "kira.cache.tmp") == 0) {
		fake.cached_for = looks_left;
	}
	return 0;
}

static void
pages_that_stay_in_memory_halt_after_fifteen_seconds_of_all_partitions_together(void)
{
	two_of_them(false);
	fake.hook = probe_is_dropped;
	fake.slept_ms = 0;
	looks_of_probe = 0;
	fake.cached_for = UINT32_MAX;
	reopen();
	is_halted_for("stay in memory");
	CU_ASSERT_EQUAL(storage_state(w.part[1]), PART_HALTED);
	CU_ASSERT_EQUAL(fake.slept_ms, 15000);
	CU_ASSERT_EQUAL(looks_of_probe, 1);
	CU_ASSERT_TRUE(ends.end > 0); /* sealed segments are served */
	fake.hook = NULL;
	fake.cached_for = 0;
	is_whole_after_a_stop();
	the_other_goes_on();
	world_end();
}

static int
probe_cannot_be_made(enum io_kind kind, int fd, const char *n)
{
	return kind == IO_OPENAT && strcmp(n, "kira.cache.tmp") == 0 ? -EIO : 0;
}

/* A start's patience is a time, not a sum over its threads. */
static void
two_threads_do_not_wait_twice_as_fast(void)
{
	two_of_them(false);
	fake.hook = probe_cannot_be_made;
	fake.slept_ms = fake.asleep_most = 0;
	fake.cached_for = UINT32_MAX;
	w.o.job_threads = 2;
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[1]), PART_HALTED);
	CU_ASSERT_EQUAL(fake.slept_ms, 15000);
	CU_ASSERT_EQUAL(fake.asleep_most, 1);
	fake.hook = NULL;
	fake.cached_for = 0;
	w.o.job_threads = 0;
	world_end();
}

static void
pages_that_leave_memory_within_that_time_cost_nothing(void)
{
	two_of_them(false);
	fake.hook = probe_is_dropped;
	fake.cached_for = 3;
	fake.slept_ms = fake.let_go = 0;
	reopen();
	CU_ASSERT_EQUAL(fake.slept_ms, 300);
	CU_ASSERT_EQUAL(fake.let_go, 3); /* or the kernel may keep them while nobody sends */
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_read(0), 2 * w.was_n[0]);
	world_end();
}

static void
where_a_dropped_page_looks_cached_nobody_is_halted(void)
{
	two_of_them(false);
	fake.cached_for = UINT32_MAX;
	fake.slept_ms = 0;
	reopen();
	CU_ASSERT_EQUAL(fake.slept_ms, 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	the_other_goes_on();
	fake.cached_for = 0;
	world_end();
}

static int
no_space(enum io_kind kind, int fd, const char *n)
{
	return kind == IO_FALLOCATE ? -ENOSPC : 0;
}

/* No segment is made before a batch comes, and that waits. */
static void
without_space_for_a_segment_a_start_halts_nobody(void)
{
	two_of_them(true);
	fake.hook = no_space;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_WAIT);
	world_turns(1000);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_WAIT);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	the_other_goes_on();
	world_end();
}

static const struct ut_test tests[] = {
	UT("bad", a_missing_directory_halts_its_partition_alone),
	UT("bad", a_topic_with_a_missing_directory_can_be_deleted),
	UT("bad", a_missing_or_damaged_epoch_checkpoint_halts_its_partition_alone),
	UT("bad", a_file_that_cannot_be_read_halts_its_partition_alone),
	UT("bad", a_sealed_segment_cut_short_in_the_middle_halts_and_is_served_up_to_there),
	UT("bad", a_sealed_segment_in_the_middle_that_cannot_be_read_halts),
	UT("cache", pages_that_stay_in_memory_halt_after_fifteen_seconds_of_all_partitions_together),
	UT("cache", two_threads_do_not_wait_twice_as_fast),
	UT("cache", pages_that_leave_memory_within_that_time_cost_nothing),
	UT("cache", where_a_dropped_page_looks_cached_nobody_is_halted),
	UT("bad", without_space_for_a_segment_a_start_halts_nobody),
};

UT_MAIN(tests)
