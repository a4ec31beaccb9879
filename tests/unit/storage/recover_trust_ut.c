/* SPDX-License-Identifier: MIT
 * recover_trust_ut.c - what a start does not open: partitions that nothing was appended to since kira.state
 * was written. By name and size; where those do not agree, the log itself is asked. */
#include "tests/unit/storage/world.h"

#include <errno.h>

static unsigned opened, written;

static bool
ends_in(const char *name, const char *suffix)
{
	const size_t n = strlen(name), m = strlen(suffix);

	return n >= m && strcmp(name + n - m, suffix) == 0;
}

static int
watch(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_OPENAT && (ends_in(name, ".log") || ends_in(name, "index") || ends_in(name, ".pool")))
		opened++;
	if ((kind == IO_PWRITE || kind == IO_FTRUNCATE || kind == IO_FALLOCATE || kind == IO_RENAMEAT) && name &&
		!strstr(name, "kira.state"))
		written++;
	return 0;
}

static char unreadable[LAYOUT_NAME];

static int
refuse_it(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_OPENAT && strcmp(name, unreadable) == 0 ? -EIO : 0;
}

static void
reopen(void)
{
	opened = written = 0;
	fake.hook = watch;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	fake.hook = NULL;
}

/* Two partitions with several sealed files each, stopped. */
static int64_t
two_of_them(void)
{
	world_begin(2);
	world_fill(0, 3 * WORLD_SEGMENT);
	world_fill(1, 3 * WORLD_SEGMENT);
	world_settle();
	CU_ASSERT_EQUAL(world_stop(), 0);
	return 2 * (int64_t)w.was_n[0];
}

static void
all_is_there(int64_t end, int32_t epoch)
{
	struct partition_ends ends;

	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.end, end);
	CU_ASSERT_EQUAL(ends.durable, end);
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), epoch);
	CU_ASSERT_EQUAL(world_read(0), end);
}

static void
after_a_clean_stop_no_segment_is_opened(void)
{
	const int64_t end = two_of_them();

	reopen();
	CU_ASSERT_EQUAL(opened, 0);
	CU_ASSERT_EQUAL(written, 0);
	all_is_there(end, 0);
	world_look();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(w.part[0]->f.unlooked, 0);
	world_end();
}

/* Killed twice, and one of them appended to in between. */
static void
of_a_killed_kirad_those_that_were_not_written_to_are_not_opened_and_keep_their_epoch(void)
{
	const int64_t end = two_of_them();

	reopen();
	(void)world_append(1, (struct batch_of){.count = 2});
	world_turns(6000);
	world_kill();
	opened = 0;
	reopen();
	CU_ASSERT_TRUE(opened > 0);
	all_is_there(end, 0);
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[1]), 1);
	world_turns(6000); /* kira.state names what that start sealed */
	world_kill();
	reopen();
	CU_ASSERT_EQUAL(opened, 0);
	CU_ASSERT_EQUAL(written, 0);
	all_is_there(end, 0);
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[1]), 1);
	CU_ASSERT_EQUAL(world_read(1), 2 * (int64_t)w.was_n[1]);
	world_end();
}

/* The batch was read by a consumer and is lost: its offset goes to another one, under another epoch. All that
 * tells of it is the spare's name, which is synced before it is used. */
static void
a_spare_alone_proves_that_there_may_have_been_appends(void)
{
	const int64_t end = two_of_them();
	struct append_result result;
	int fd;

	reopen();
	world_first(0);
	w.length = make_batch(w.batch, (struct batch_of){.timestamp = w.wall_ms});
	CU_ASSERT_EQUAL(storage_append(w.part[0], w.batch, w.length, 0, w.now_ns, w.wall_ms, &result), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	world_kill();
	CU_ASSERT_TRUE_FATAL(world_has(0, LAYOUT_SPARE));
	fd = world_open_file(0, LAYOUT_SPARE);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0); /* nothing of it reached the disk */
	(void)close(fd);
	reopen();
	all_is_there(end, 1);
	CU_ASSERT_FALSE(world_has(0, LAYOUT_SPARE));
	world_end();
}

/* Cut short by hand, or another file of that name. */
static void
a_last_file_of_another_size_is_asked_itself(void)
{
	const int64_t end = two_of_them();
	char name[LAYOUT_NAME];
	uint8_t b[64];
	int fd;

	world_last_log(0, name);
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL(pread(fd, b, sizeof(b), (off_t)world_size(0, name) - 64), 64);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)world_size(0, name) - 64), 0);
	reopen();
	CU_ASSERT_TRUE(opened > 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(strstr(storage_halt_reason(w.part[0]), "damaged") != NULL);
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL(pwrite(fd, b, sizeof(b), (off_t)world_size(0, name)), 64);
	(void)close(fd);
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_read(0), end);
	world_end();
}

/* A start that finds no snapshot at the end folds headers up to there, and writes one. */
static void
without_its_snapshot_the_log_is_read_and_producers_are_known(void)
{
	const struct batch_of once = {.producer = 5, .sequence = 8, .count = 2};
	char name[LAYOUT_NAME], path[200];
	struct partition_ends ends;

	world_begin(1);
	for (int32_t i = 0; i < 5; i++)
		(void)world_append(0, (struct batch_of){.producer = 5, .sequence = 2 * i, .count = 2});
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(world_stop(), 0);
	layout_name(name, ends.end, ".snapshot");
	(void)snprintf(path, sizeof(path), "%s/t-0/%s", w.dir, name);
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0)
			CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
		reopen();
		CU_ASSERT_EQUAL(opened > 0, i == 0);
		CU_ASSERT_TRUE(world_has(0, name));
		CU_ASSERT_EQUAL(world_append_as(0, once, 0), APPEND_DUPLICATE);
		CU_ASSERT_EQUAL(w.result.base_offset, 8);
		CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 0);
		CU_ASSERT_EQUAL(world_stop(), 0);
	}
	world_open();
	world_end();
}

/* All of its files were deleted, and kira.state is lost: offsets go on where they ended. */
static void
an_emptied_log_without_kira_state_goes_on_where_it_ended(void)
{
	char path[200];
	struct partition_ends ends;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 7});
	w.config.retention_ms = 60000;
	CU_ASSERT_EQUAL(world_stop(), 0);
	reopen();
	for (unsigned i = 0; i < 200; i++) {
		w.now_ns += NS_PER_S;
		w.wall_ms += 1000;
		world_turns(1);
	}
	CU_ASSERT_EQUAL(world_count(0, ".log"), 0);
	CU_ASSERT_EQUAL(world_stop(), 0);
	(void)snprintf(path, sizeof(path), "%s/kira.state", w.dir);
	CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
	reopen();
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.start, 7);
	CU_ASSERT_EQUAL(ends.end, 7);
	world_end();
}

/* Of its files but the last one, whose name this is, the logs go. */
static void
lose_all_but(const char *last)
{
	const struct segments *a = w.part[0]->segments;
	char name[LAYOUT_NAME];

	for (uint32_t i = 0; i < a->n; i++) {
		layout_name(name, a->seg[i]->base, ".log");
		if (strcmp(name, last) != 0)
			CU_ASSERT_EQUAL_FATAL(renameat(w.part[0]->dirfd, name, w.part[0]->dirfd, "gone"), 0);
	}
}

/* What is left is served to the last record, here of one file; or there is nothing, and who asks is told so. */
static void
a_log_that_lost_its_first_files_is_halted_and_read_as_far_as_it_is_whole(void)
{
	const int64_t end = two_of_them();
	struct partition_ends ends;
	struct storage_range r;

	world_last_log(0, unreadable);
	reopen();
	lose_all_but(unreadable);
	world_kill();
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(strstr(storage_halt_reason(w.part[0]), "missing") != NULL);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 0, 100000, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(storage_read(w.part[0], end - 1, 100000, true, &r), 0);
	CU_ASSERT_EQUAL_FATAL(r.first_offset, end - 2);
	storage_unpin(r.pinned);
	CU_ASSERT_EQUAL(world_stop(), 0);
	fake.hook = refuse_it; /* it was halted: all is looked at */
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.end, ends.start);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 2, 100000, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	world_end();
}

/* What a stop has no use for is left to the next start, and there may be very many. */
static void
a_stop_does_not_look_at_sealed_segments(void)
{
	(void)two_of_them();
	reopen();
	CU_ASSERT_TRUE(w.part[0]->f.unlooked > 0);
	fake.hook = watch;
	CU_ASSERT_EQUAL(world_stop(), 0);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(opened, 0);
	reopen();
	CU_ASSERT_EQUAL(opened, 0);
	world_end();
}

/* ---- Traces of what is gone ---------------------------------------------------------------- */

static int
no_epochs(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_RENAMEAT && strstr(name, LAYOUT_EPOCHS) ? -EIO : 0;
}

static void
put_file(const char *name, const void *bytes, size_t n)
{
	const int dir = open(w.dir, O_RDONLY | O_DIRECTORY), part = openat(dir, "t-0", O_RDONLY | O_DIRECTORY);

	CU_ASSERT_EQUAL_FATAL(layout_put(&io_posix, part, name, bytes, n), 0);
	(void)close(part);
	(void)close(dir);
}

/* Its log was lost with the name: offsets behind the end may have been read by somebody. */
static void
a_checkpoint_without_its_log_proves_that_there_were_appends(void)
{
	const int64_t end = two_of_them();
	char name[LAYOUT_NAME];

	layout_name(name, end, LAYOUT_CHECKPOINT);
	put_file(name, "x", 1);
	fake.hook = no_epochs;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	world_kill();
	CU_ASSERT_TRUE(world_has(0, name)); /* for the next start to see */
	reopen();
	all_is_there(end, 1);
	CU_ASSERT_FALSE(world_has(0, name));
	world_kill();
	reopen();
	all_is_there(end, 1);
	world_end();
}

#define CROWD 70 /* more than a first segment's snapshot has room for */

/* Of a log that went on to 72 and was cut to 2: when it is there again, the file's producer never was. */
static void
a_snapshot_above_the_end_is_not_believed_once_the_log_has_grown_to_it(void)
{
	static const char name[] = "00000000000000000072.snapshot";
	const struct batch_of cut = {.count = CROWD, .producer = 9};
	char bytes[1000];
	ssize_t n;
	int fd;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 2, .producer = 8});
	CU_ASSERT_EQUAL(world_stop(), 0);
	world_save();
	reopen();
	(void)world_append(0, cut);
	CU_ASSERT_EQUAL(world_stop(), 0);
	fd = world_open_file(0, name);
	n = read(fd, bytes, sizeof(bytes));
	(void)close(fd);
	CU_ASSERT_TRUE_FATAL(n > 0 && n < (ssize_t)sizeof(bytes));
	world_restore();
	put_file(name, bytes, (size_t)n);
	world_forget(0, 2);
	reopen();
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 1);
	CU_ASSERT_FALSE(world_has(0, name));
	for (int64_t i = 0; i < CROWD; i++)
		(void)world_append(0, (struct batch_of){.count = 1, .producer = 100 + i});
	storage_roll(w.part[0], w.now_ns);
	world_turns(10);
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	world_kill();
	reopen();
	CU_ASSERT_EQUAL(world_read(0), 72);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1, .producer = 100}, APPEND_UDP),
		APPEND_DUPLICATE);
	CU_ASSERT_EQUAL(world_append_as(0, cut, APPEND_UDP), APPEND_STORED);
	world_end();
}

static const struct ut_test tests[] = {
	UT("trust", after_a_clean_stop_no_segment_is_opened),
	UT("trust", of_a_killed_kirad_those_that_were_not_written_to_are_not_opened_and_keep_their_epoch),
	UT("trust", a_spare_alone_proves_that_there_may_have_been_appends),
	UT("trust", a_last_file_of_another_size_is_asked_itself),
	UT("trust", without_its_snapshot_the_log_is_read_and_producers_are_known),
	UT("trust", a_log_that_lost_its_first_files_is_halted_and_read_as_far_as_it_is_whole),
	UT("trust", a_stop_does_not_look_at_sealed_segments),
	UT("trust", an_emptied_log_without_kira_state_goes_on_where_it_ended),
	UT("traces", a_checkpoint_without_its_log_proves_that_there_were_appends),
	UT("traces", a_snapshot_above_the_end_is_not_believed_once_the_log_has_grown_to_it),
};

UT_MAIN(tests)
