/* SPDX-License-Identifier: MIT
 * recover_ut.c - storage/recover.c: what is kept, cut, adopted and refused after a kill or with
 * damaged files, and that recovery may itself be cut short anywhere. */
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <sys/stat.h>

static struct partition_ends ends;
static char name[LAYOUT_NAME];

static void
look(void)
{
	storage_ends(w.part[0], &ends);
}

static void
reopen(void)
{
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	look();
}

static void
kill_and_reopen(void)
{
	world_kill();
	reopen();
}

/* Turn one bit of the batch that was appended as number `i`, in the last segment file. */
static void
damage(unsigned i, uint32_t at)
{
	uint64_t position = 0;
	uint8_t b;
	int fd;

	world_last_log(0, name);
	for (unsigned k = i; k-- > 0 && w.was[0][k].offset >= layout_offset(name, ".log");)
		position += w.was[0][k].total;
	fd = world_open_file(0, name);
	position += at;
	CU_ASSERT_EQUAL_FATAL(pread(fd, &b, 1, (off_t)position), 1);
	b ^= 0x10;
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, &b, 1, (off_t)position), 1);
	(void)close(fd);
}

static void
append(int32_t count)
{
	(void)world_append(0, (struct batch_of){.count = count, .value = 200});
}

/* kira.state is written every 5 s. */
static void
until_kira_state_says_so(void)
{
	world_sync();
	world_turns(6000);
}

/* ---- Stops -------------------------------------------------------------------------------- */

static void
a_clean_stop_and_start_keeps_the_epoch_and_every_record(void)
{
	uint64_t incarnation;

	world_begin(2);
	world_fill(0, 3 * WORLD_SEGMENT);
	incarnation = storage_incarnation(w.s);
	for (unsigned i = 0; i < 3; i++) {
		const unsigned n = w.was_n[0];

		CU_ASSERT_EQUAL(world_stop(), 0);
		CU_ASSERT_EQUAL(world_count(0, ".index"), world_count(0, ".log"));
		CU_ASSERT_FALSE(world_has(0, LAYOUT_SPARE));
		reopen();
		CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 0);
		CU_ASSERT_EQUAL(storage_leader_epoch(w.part[1]), 0);
		CU_ASSERT_EQUAL(storage_incarnation(w.s), incarnation + i + 1);
		CU_ASSERT_EQUAL(ends.durable, 2 * n - i);
		CU_ASSERT_EQUAL(world_read(0), 2 * n - i);
		append(1);
		CU_ASSERT_EQUAL(w.result.base_offset, 2 * n - i);
	}
	CU_ASSERT_EQUAL(world_read(1), 0);
	world_end();
}

static void
a_kill_keeps_all_that_was_published_and_raises_the_epoch(void)
{
	world_begin(1);
	world_fill(0, 3 * WORLD_SEGMENT + 20000);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_STORED);
	kill_and_reopen(); /* the last one was not published, but is there */
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 1);
	CU_ASSERT_EQUAL(world_read(0), w.was[0][w.was_n[0] - 1].offset + 1);
	CU_ASSERT_EQUAL(ends.durable, ends.end);
	append(4);
	CU_ASSERT_EQUAL(w.result.leader_epoch, 1);
	kill_and_reopen();
	append(4);
	CU_ASSERT_EQUAL(w.result.leader_epoch, 2);
	CU_ASSERT_EQUAL(world_read(0), w.result.base_offset + 4);
	world_end();
}

static void
each_unclean_start_begins_an_epoch_where_the_log_ended(void)
{
	int32_t found;
	int64_t end;

	world_begin(1);
	append(10);
	kill_and_reopen();
	append(10);
	kill_and_reopen();
	kill_and_reopen(); /* epoch 2 stored nothing: 3 takes its place */
	append(10);
	storage_epoch_end(w.part[0], 0, &found, &end);
	CU_ASSERT_TRUE(found == 0 && end == 10);
	storage_epoch_end(w.part[0], 1, &found, &end);
	CU_ASSERT_TRUE(found == 1 && end == 20);
	storage_epoch_end(w.part[0], 2, &found, &end);
	CU_ASSERT_TRUE(found == 1 && end == 20);
	storage_epoch_end(w.part[0], 3, &found, &end);
	CU_ASSERT_TRUE(found == 3 && end == 30);
	CU_ASSERT_EQUAL(storage_epoch_at(w.part[0], 15), 1);
	CU_ASSERT_EQUAL(world_read(0), 30);
	world_end();
}

/* ---- Torn tails --------------------------------------------------------------------------- */

static void
a_torn_batch_is_cut_and_the_one_before_it_survives(void)
{
	world_begin(1);
	append(3);
	append(5);
	append(7);
	world_kill();
	damage(1, 100);
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.end, 3);
	CU_ASSERT_EQUAL(world_size(0, "00000000000000000000.log"), w.was[0][0].total);
	CU_ASSERT_TRUE(world_has(0, "00000000000000000000.index"));
	world_forget(0, 3);
	append(2);
	CU_ASSERT_TRUE(world_has(0, "00000000000000000003.log")); /* appends go to a new one */
	CU_ASSERT_EQUAL(w.result.base_offset, 3);
	CU_ASSERT_EQUAL(w.result.leader_epoch, 1);
	CU_ASSERT_EQUAL(world_read(0), 5);
	world_end();
}

static void
a_torn_tail_below_the_durable_offset_halts_and_nothing_is_cut(void)
{
	struct storage_range r;
	uint64_t size;

	world_begin(1);
	append(3);
	append(5);
	append(7);
	until_kira_state_says_so();
	world_kill();
	damage(1, 100);
	world_last_log(0, name);
	size = world_size(0, name);
	reopen();
	for (unsigned i = 0; i < 2; i++) { /* and at the next start again */
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
		CU_ASSERT_EQUAL(world_size(0, name), size);
		CU_ASSERT_EQUAL(world_count(0, ".log"), 1);
		CU_ASSERT_EQUAL(world_count(0, ".dropped"), 0);
		CU_ASSERT_EQUAL(ends.end, 3);
		CU_ASSERT_EQUAL(world_read(0), 3); /* what lies before is served */
		CU_ASSERT_EQUAL(
			storage_read(w.part[0], 3, 1000, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
		CU_ASSERT_EQUAL(
			world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
		CU_ASSERT_EQUAL(w.result.error, KIRA_E_KAFKA_STORAGE_ERROR);
		world_turns(6000);
		(void)world_stop();
		reopen();
	}
	world_end();
}

static void
a_first_segment_that_is_missing_halts(void)
{
	struct storage_range r;
	char path[200];

	world_begin(1);
	world_fill(0, 3 * WORLD_SEGMENT);
	until_kira_state_says_so();
	world_kill();
	(void)snprintf(path, sizeof(path), "%s/t-0/00000000000000000000.log", w.dir);
	CU_ASSERT_EQUAL(unlink(path), 0);
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_NOT_EQUAL(storage_read(w.part[0], 0, 1000, true, &r), 0);
	CU_ASSERT_EQUAL(world_count(0, ".dropped"), 0);
	world_end();
}

static void
a_segment_missing_in_the_middle_halts_and_what_lies_before_is_served(void)
{
	struct storage_range r;
	char path[200];
	int64_t gap = 0, at, timestamp;

	world_begin(1);
	world_fill(0, 4 * WORLD_SEGMENT);
	until_kira_state_says_so();
	for (unsigned i = 1; !gap; i++) {
		layout_name(name, w.was[0][i].offset, ".log");
		gap = world_has(0, name) ? w.was[0][i].offset : 0;
	}
	world_kill();
	layout_name(name, gap, ".log");
	(void)snprintf(path, sizeof(path), "%s/t-0/%s", w.dir, name);
	CU_ASSERT_EQUAL(unlink(path), 0);
	reopen();
	world_look();
	CU_ASSERT_EQUAL_FATAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(strstr(storage_halt_reason(w.part[0]), "missing") != NULL);
	CU_ASSERT_EQUAL(storage_read(w.part[0], gap, 1000, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(world_stop(), 0);
	reopen(); /* of one that is known to be halted every file is looked at first */
	CU_ASSERT_EQUAL_FATAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_EQUAL(ends.end, gap);
	CU_ASSERT_EQUAL(world_read(0), gap);
	for (int64_t o = gap; o < 2 * w.was_n[0]; o++)
		CU_ASSERT_EQUAL(
			storage_read(w.part[0], o, 1000, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	(void)storage_find_time(w.part[0], BATCH_WALL_MS + 1, &at, &timestamp);
	CU_ASSERT_EQUAL(world_count(0, ".dropped"), 0);
	world_end();
}

/* The page cache of a power cut: the first segment lost all, the one after it did not. */
static void
a_segment_behind_a_torn_one_is_no_part_of_the_log(void)
{
	world_begin(1);
	append(3);
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	storage_roll(w.part[0], w.now_ns);
	w.s->flush.state_ns = UINT64_MAX; /* kira.state knows of nothing */
	append(4);
	world_turns(1); /* it has its name */
	world_kill();
	for (unsigned i = 0; i < 4; i++) { /* not sealed either */
		static const char *const gone[] = {"00000000000000000000.index",
			"00000000000000000000.timeindex", "00000000000000000003.snapshot", "x"};
		char path[200];

		(void)snprintf(path, sizeof(path), "%s/t-0/%s", w.dir, gone[i]);
		(void)unlink(path);
	}
	{
		const int fd = world_open_file(0, "00000000000000000000.log");

		CU_ASSERT_EQUAL(pwrite(fd, "torn", 4, 20), 4);
		(void)close(fd);
	}
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.end, 0);
	CU_ASSERT_EQUAL(world_count(0, ".log"), 0);
	CU_ASSERT_EQUAL(world_count(0, ".dropped"), 1);
	world_forget(0, 0);
	append(2);
	CU_ASSERT_EQUAL(w.result.base_offset, 0);
	CU_ASSERT_EQUAL(world_read(0), 2);
	world_end();
}

/* Not while it is halted: then it may be what a person needs. */
static void
what_was_dropped_is_kept_for_a_day_and_goes_at_the_first_good_start_after(void)
{
	const int64_t day_ms = 24 * 3600 * 1000;
	char path[200], log[200], away[210];

	world_begin(1);
	append(3);
	until_kira_state_says_so();
	(void)snprintf(path, sizeof(path), "%s/t-0/00000000000000000009.log.dropped", w.dir);
	{
		FILE *f = fopen(path, "w");

		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		(void)fclose(f);
	}
	fake.changed_ms = w.wall_ms;
	w.wall_ms += day_ms - 1;
	kill_and_reopen();
	CU_ASSERT_EQUAL(world_count(0, ".dropped"), 1);
	world_kill();
	w.wall_ms += 2;
	(void)snprintf(log, sizeof(log), "%s/t-0/00000000000000000000.log", w.dir);
	(void)snprintf(away, sizeof(away), "%s.away", log);
	CU_ASSERT_EQUAL(rename(log, away), 0);
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_EQUAL(world_count(0, ".dropped"), 1);
	world_kill();
	CU_ASSERT_EQUAL(rename(away, log), 0);
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_count(0, ".dropped"), 0);
	CU_ASSERT_EQUAL(world_read(0), 3);
	world_end();
}

static void
a_stale_batch_of_an_older_epoch_is_no_part_of_the_log(void)
{
	world_begin(1);
	append(3);
	kill_and_reopen();
	append(4);
	append(5);
	world_kill();
	damage(2, RB_LEADER_EPOCH + 3); /* 1 -> 17, outside the checksum */
	reopen();
	CU_ASSERT_EQUAL(ends.end, 7);
	world_forget(0, 7);
	CU_ASSERT_EQUAL(world_read(0), 7);
	world_end();
}

/* ---- Rolls cut short ---------------------------------------------------------------------- */

static void
a_roll_that_was_not_named_yet_is_adopted(void)
{
	world_begin(1);
	append(3);
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	storage_roll(w.part[0], w.now_ns);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 4}, 0), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	CU_ASSERT_FALSE(world_has(0, "00000000000000000003.log"));
	kill_and_reopen();
	CU_ASSERT_TRUE(world_has(0, "00000000000000000003.log"));
	CU_ASSERT_FALSE(world_has(0, LAYOUT_SPARE));
	CU_ASSERT_EQUAL(ends.end, 7);
	CU_ASSERT_EQUAL(world_read(0), 7);
	append(1);
	CU_ASSERT_EQUAL(w.result.base_offset, 7);
	world_end();
}

static void
a_spare_that_nobody_wrote_to_is_removed(void)
{
	world_begin(1);
	append(3);
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	CU_ASSERT_TRUE(world_has(0, LAYOUT_SPARE));
	kill_and_reopen();
	CU_ASSERT_FALSE(world_has(0, LAYOUT_SPARE));
	CU_ASSERT_EQUAL(world_read(0), 3);
	world_end();
}

/* ---- Files of the directory --------------------------------------------------------------- */

static int
no_unlink(enum io_kind kind, int fd, const char *n)
{
	return kind == IO_UNLINKAT && strstr(n, ".log") ? -EIO : 0;
}

static void
segments_below_the_start_are_removed_at_the_next_start(void)
{
	int64_t start;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.retention_bytes = WORLD_SEGMENT;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	fake.hook = no_unlink;
	world_fill(0, 5 * WORLD_SEGMENT);
	world_settle();
	look();
	start = ends.start;
	CU_ASSERT_TRUE(start > 0);
	CU_ASSERT_TRUE(world_has(0, "00000000000000000000.log"));
	fake.hook = NULL;
	kill_and_reopen();
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.log"));
	CU_ASSERT_EQUAL(ends.start, start);
	CU_ASSERT_EQUAL(world_read(0), ends.end);
	world_end();
}

static void
without_kira_state_the_log_is_checked_and_the_epoch_raised(void)
{
	char path[200];

	world_begin(1);
	world_fill(0, 3 * WORLD_SEGMENT);
	CU_ASSERT_EQUAL(world_stop(), 0);
	(void)snprintf(path, sizeof(path), "%s/kira.state", w.dir);
	CU_ASSERT_EQUAL(unlink(path), 0);
	reopen();
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 1);
	CU_ASSERT_EQUAL(storage_incarnation(w.s), (uint64_t)w.wall_ms + 1);
	CU_ASSERT_EQUAL(world_read(0), 2 * w.was_n[0]);
	world_end();
}

static void
half_written_and_lone_files_are_removed(void)
{
	/* The index of a segment that is not there would make the next of that name look sealed. */
	static const char *const name_of[] = {"00000000000000000000.index.tmp", "00000000000000000001.index",
		"00000000000000000001.timeindex"};

	world_begin(1);
	append(1);
	world_kill();
	for (unsigned i = 0; i < ARRAY_LENGTH(name_of); i++) {
		char path[200];
		FILE *f;

		(void)snprintf(path, sizeof(path), "%s/t-0/%s", w.dir, name_of[i]);
		f = fopen(path, "w");
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		(void)fclose(f);
	}
	reopen();
	for (unsigned i = 0; i < ARRAY_LENGTH(name_of); i++)
		CU_ASSERT_FALSE(world_has(0, name_of[i]));
	CU_ASSERT_EQUAL(world_read(0), 1);
	world_end();
}

/* What a killed process left in the page cache goes to the disk before it is believed, and what is
 * read comes from the disk. */
static char order[64];

static int
note_order(enum io_kind kind, int fd, const char *n)
{
	static int log_fd = -1;
	const size_t at = strlen(order);

	if (kind == IO_DROP_CACHE && at + 1 < sizeof(order)) {
		log_fd = fd;
		order[at] = 'd';
	} else if (kind == IO_FSYNC && at + 1 < sizeof(order)) {
		order[at] = 's';
	} else if (kind == IO_PREAD && fd == log_fd && at + 1 < sizeof(order)) {
		order[at] = 'r';
	}
	return 0;
}

static void
an_unsealed_segment_is_synced_and_dropped_from_memory_before_it_is_read(void)
{
	const char *drop;

	world_begin(1);
	append(3);
	world_kill();
	memset(order, 0, sizeof(order));
	fake.hook = note_order;
	reopen();
	fake.hook = NULL;
	drop = strchr(order, 'd');
	CU_ASSERT_PTR_NOT_NULL_FATAL(drop);
	CU_ASSERT_TRUE(drop > order && drop[-1] == 's' && drop[1] == 'r');
	CU_ASSERT_EQUAL(strchr(order, 'r'), drop + 1);
	world_end();
}

static ino_t bad_file;

static int
bad_sync(enum io_kind kind, int fd, const char *n)
{
	struct stat st;

	return kind == IO_FSYNC && fstat(fd, &st) == 0 && st.st_ino == bad_file ? -EIO : 0;
}

static void
a_segment_that_cannot_be_synced_is_not_believed(void)
{
	struct stat st;

	world_begin(1);
	append(3);
	CU_ASSERT_EQUAL(fstat(w.part[0]->active->fd, &st), 0);
	bad_file = st.st_ino;
	world_kill();
	fake.hook = bad_sync;
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(strstr(storage_halt_reason(w.part[0]), "00000000000000000000.log") != NULL);
	CU_ASSERT_EQUAL(ends.end, 0);
	fake.hook = NULL;
	kill_and_reopen();
	CU_ASSERT_EQUAL(world_read(0), 3);
	world_end();
}

/* ---- Producers ---------------------------------------------------------------------------- */

static enum append_verdict
as_producer(int32_t sequence)
{
	return world_append_as(0,
		(struct batch_of){.count = 10, .value = 300, .producer = 77, .sequence = sequence},
		APPEND_UDP);
}

static void
a_duplicate_is_recognised_after_a_kill_and_after_a_clean_stop(void)
{
	world_begin(1);
	for (int32_t i = 0; i < 100; i++) {
		while (as_producer(10 * i) == APPEND_WAIT)
			world_turns(1);
		(void)storage_publish(w.part[0]);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0)
			world_kill();
		else
			CU_ASSERT_EQUAL(world_stop(), 0);
		reopen();
		CU_ASSERT_EQUAL(as_producer(990), APPEND_DUPLICATE);
		CU_ASSERT_EQUAL(w.result.base_offset, 990);
		CU_ASSERT_EQUAL(as_producer(500), APPEND_DUPLICATE); /* proven, offset forgotten */
		CU_ASSERT_EQUAL(as_producer(1010), APPEND_EARLY);
	}
	CU_ASSERT_EQUAL(as_producer(1000), APPEND_STORED);
	world_end();
}

/* Its batches were deleted; the snapshot at the log's start still knows it. */
static void
a_producer_whose_batches_were_deleted_is_known_by_a_snapshot(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.retention_bytes = WORLD_SEGMENT;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	CU_ASSERT_EQUAL(as_producer(0), APPEND_STORED);
	world_fill(0, 5 * WORLD_SEGMENT);
	world_settle();
	look();
	CU_ASSERT_TRUE(ends.start > 10);
	kill_and_reopen();
	CU_ASSERT_EQUAL(as_producer(0), APPEND_DUPLICATE);
	CU_ASSERT_EQUAL(as_producer(10), APPEND_STORED);
	world_end();
}

static const struct ut_test tests[] = {
	UT("stop", a_clean_stop_and_start_keeps_the_epoch_and_every_record),
	UT("stop", a_kill_keeps_all_that_was_published_and_raises_the_epoch),
	UT("stop", each_unclean_start_begins_an_epoch_where_the_log_ended),
	UT("torn", a_torn_batch_is_cut_and_the_one_before_it_survives),
	UT("torn", a_torn_tail_below_the_durable_offset_halts_and_nothing_is_cut),
	UT("torn", a_first_segment_that_is_missing_halts),
	UT("torn", a_segment_missing_in_the_middle_halts_and_what_lies_before_is_served),
	UT("torn", a_segment_behind_a_torn_one_is_no_part_of_the_log),
	UT("torn", what_was_dropped_is_kept_for_a_day_and_goes_at_the_first_good_start_after),
	UT("torn", a_stale_batch_of_an_older_epoch_is_no_part_of_the_log),
	UT("roll", a_roll_that_was_not_named_yet_is_adopted),
	UT("roll", a_spare_that_nobody_wrote_to_is_removed),
	UT("files", segments_below_the_start_are_removed_at_the_next_start),
	UT("files", without_kira_state_the_log_is_checked_and_the_epoch_raised),
	UT("files", an_unsealed_segment_is_synced_and_dropped_from_memory_before_it_is_read),
	UT("files", a_segment_that_cannot_be_synced_is_not_believed),
	UT("files", half_written_and_lone_files_are_removed),
	UT("producers", a_duplicate_is_recognised_after_a_kill_and_after_a_clean_stop),
	UT("producers", a_producer_whose_batches_were_deleted_is_known_by_a_snapshot),
};

UT_MAIN(tests)
