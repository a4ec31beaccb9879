/* SPDX-License-Identifier: MIT
 * flush_ut.c - the flush daemon's turns (storage/flush*.c): what durable means, what a failed sync
 * and a full disk do, what a seal leaves. */
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <sys/stat.h>

static struct partition_ends ends;
static unsigned seen; /* by hooks: that they fired */

static void
look(unsigned p)
{
	storage_ends(w.part[p], &ends);
}

static void
recreate(void)
{
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
}

/* ---- Durable ------------------------------------------------------------------------------ */

static int
durable_lags(enum io_kind kind, int fd, const char *name)
{
	if (kind != IO_SYNC_RANGE)
		return 0;
	look(0);
	CU_ASSERT_TRUE(ends.durable < ends.end);
	CU_ASSERT_TRUE(storage_commit_done(w.s) < w.s->commit_begun);
	seen++;
	return 0;
}

static void
durable_moves_only_after_the_sync_returned(void)
{
	int64_t last = 0;

	world_begin(1);
	seen = 0;
	fake.hook = durable_lags;
	for (unsigned i = 0; i < 300; i++) {
		(void)world_append(0, (struct batch_of){.count = 2, .value = 700});
		if (i % 10 == 0)
			world_sync();
		look(0);
		CU_ASSERT_TRUE(ends.durable >= last && ends.durable <= ends.end);
		last = ends.durable;
	}
	world_sync();
	look(0);
	CU_ASSERT_EQUAL(ends.durable, 600);
	CU_ASSERT_TRUE(seen >= 30);
	CU_ASSERT_EQUAL(w.count.syncs, seen);
	world_end();
}

static void
what_is_touched_is_synced_within_flush_ms_and_what_is_not_never(void)
{
	uint64_t syncs;

	world_begin(2);
	(void)world_append(0, (struct batch_of){.count = 2});
	world_turns(102);
	look(0);
	CU_ASSERT_EQUAL(ends.durable, 2);
	syncs = fake.calls[IO_SYNC_RANGE];
	CU_ASSERT_EQUAL(syncs, 1);
	world_turns(3000);
	CU_ASSERT_EQUAL(fake.calls[IO_SYNC_RANGE], syncs);
	world_end();
}

static void
a_commit_with_nothing_touched_is_done_at_once(void)
{
	world_begin(1);
	world_sync();
	storage_want_disk(w.s, 5, storage_commit_done(w.s) + 1);
	storage_want_disk(w.s, 5, 1); /* a lower number asks for nothing */
	world_turns(1);
	CU_ASSERT_EQUAL(storage_commit_done(w.s), w.s->sync_wanted[5]);
	CU_ASSERT_EQUAL(fake.calls[IO_SYNC_RANGE], 0);
	world_end();
}

/* ---- A failed sync ------------------------------------------------------------------------ */

static ino_t bad_file;

static ino_t
inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* Every sync of that file fails, as if it did so once: who asked twice would be told. */
static int
bad_disk(enum io_kind kind, int fd, const char *name)
{
	if ((kind != IO_SYNC_RANGE && kind != IO_FSYNC) || inode_of(fd) != bad_file)
		return 0;
	seen++;
	return seen == 1 ? -EIO : 0; /* the kernel reports it once, then says 0 */
}

static void
a_failed_sync_fails_the_partition_for_good_and_no_other(void)
{
	int64_t frozen;

	world_begin(2);
	(void)world_append(0, (struct batch_of){.count = 3});
	(void)world_append(1, (struct batch_of){.count = 3});
	world_sync();
	(void)world_append(0, (struct batch_of){.count = 4});
	(void)world_append(1, (struct batch_of){.count = 4});
	seen = 0;
	bad_file = inode_of(w.part[0]->active->fd);
	fake.hook = bad_disk;
	CU_ASSERT_EQUAL(storage_failures(w.s), 0);
	world_sync();
	CU_ASSERT_EQUAL(seen, 1);
	CU_ASSERT_TRUE(storage_failures(w.s) > 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	CU_ASSERT_EQUAL(storage_state(w.part[1]), PART_OK);
	CU_ASSERT_EQUAL(w.count.partitions_failed, 1);
	look(1);
	CU_ASSERT_EQUAL(ends.durable, 7);
	look(0);
	frozen = ends.durable;
	CU_ASSERT_EQUAL(frozen, 3);
	CU_ASSERT_EQUAL(ends.end, 3);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_TRUE(storage_has_room(w.part[0])); /* who waited is to be refused */
	(void)world_append(1, (struct batch_of){.count = 1});
	world_settle();
	look(0);
	CU_ASSERT_EQUAL(ends.durable, frozen);
	CU_ASSERT_EQUAL(seen, 1); /* no second sync of that file */
	CU_ASSERT_EQUAL(world_read(0), 3);
	CU_ASSERT_EQUAL(world_read(1), 8);
	(void)world_stop();
	CU_ASSERT_EQUAL(seen, 1); /* nor at the stop */
	world_end();
}

/* Nobody appends any more, so no commit looks at it. */
static void
a_partition_that_fails_in_silence_is_counted(void)
{
	world_begin(2);
	(void)world_append(0, (struct batch_of){.count = 3});
	(void)world_append(1, (struct batch_of){.count = 3});
	world_settle();
	seen = 0;
	bad_file = inode_of(w.part[0]->active->fd);
	fake.hook = bad_disk;
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	storage_roll(w.part[0], w.now_ns); /* where no spare was there yet */
	world_settle();
	CU_ASSERT_EQUAL(seen, 1); /* the seal's */
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	CU_ASSERT_EQUAL(storage_failures(w.s) > 0, true);
	CU_ASSERT_EQUAL(w.count.partitions_failed, 1);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(storage_publish(w.part[0]), 0);
	world_settle();
	CU_ASSERT_EQUAL(w.count.partitions_failed, 1); /* once */
	world_end();
}

static void
after_a_failed_sync_a_restart_finds_what_is_there_under_a_new_epoch(void)
{
	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 3});
	world_sync();
	(void)world_append(0, (struct batch_of){.count = 4});
	seen = 0;
	bad_file = inode_of(w.part[0]->active->fd);
	fake.hook = bad_disk;
	world_sync();
	(void)world_stop();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 1);
	CU_ASSERT_EQUAL(world_read(0), 7);
	world_end();
}

static bool is_shut;

/* From the sync of the partition's directory on; that alone is told 0, as XFS does. */
static int
shut_down(enum io_kind kind, int fd, const char *name)
{
	const bool names = kind == IO_FSYNC && fd == w.part[0]->dirfd;

	is_shut |= names;
	return is_shut && !names ? -EIO : 0;
}

/* After a restart nothing would tell that there was one: its epoch and offset would be given again. */
static void
no_batch_is_taken_where_the_first_segments_name_went_with_the_file_system(void)
{
	world_begin(1);
	is_shut = false;
	fake.hook = shut_down;
	world_first(0);
	CU_ASSERT_TRUE(is_shut);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	look(0);
	CU_ASSERT_EQUAL(ends.end, 0);
	world_end();
}

static int
no_naming(enum io_kind kind, int fd, const char *name)
{
	if (kind != IO_RENAMEAT || !strstr(name, ".log"))
		return 0;
	seen++;
	return -EIO;
}

static void
a_segment_that_cannot_be_named_fails_the_partition_and_is_never_durable(void)
{
	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 3});
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	seen = 0;
	fake.hook = no_naming;
	storage_roll(w.part[0], w.now_ns);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 2}, 0), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	world_sync();
	CU_ASSERT_EQUAL(seen, 1);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	look(0);
	CU_ASSERT_TRUE(ends.durable <= 3);
	world_end();
}

/* ---- A full disk -------------------------------------------------------------------------- */

static bool disk_full;

static int
full_disk(enum io_kind kind, int fd, const char *name)
{
	if (!disk_full || kind != IO_FALLOCATE)
		return 0;
	seen++;
	return -ENOSPC;
}

/* `most`: records of 1 KiB that fit what was reserved before. */
static void
fill_a_full_disk(int64_t segment_bytes, unsigned most)
{
	enum append_verdict v = APPEND_STORED;
	unsigned stored = 0, ms;

	world_begin(1);
	w.config.segment_bytes = segment_bytes;
	recreate();
	world_first(0);
	disk_full = true;
	seen = 0;
	fake.hook = full_disk;
	for (unsigned i = 0; i < 3000; i++) {
		v = world_append_as(0, (struct batch_of){.value = 1000}, 0);
		(void)storage_publish(w.part[0]);
		stored += v == APPEND_STORED;
		if (v != APPEND_STORED)
			world_turns(1);
	}
	CU_ASSERT_EQUAL(v, APPEND_WAIT);
	CU_ASSERT_TRUE(stored > most / 2 && stored <= most);
	CU_ASSERT_TRUE(seen > 0 && seen < 20); /* tried again now and then, not each turn */
	CU_ASSERT_TRUE(w.count.disk_full > 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	look(0);
	CU_ASSERT_EQUAL(ends.durable, stored); /* what was stored is synced all the same */
	CU_ASSERT_EQUAL(world_read(0), stored);
	disk_full = false;
	for (ms = 0; ms < 2000 && !storage_has_room(w.part[0]); ms++)
		world_turns(1);
	CU_ASSERT_TRUE(ms < 2000);
	(void)world_append(0, (struct batch_of){.value = 1000});
	CU_ASSERT_EQUAL(w.result.base_offset, stored);
	world_end();
}

static void
on_a_full_disk_producers_wait_and_go_on_when_space_returns(void)
{
	fill_a_full_disk(WORLD_SEGMENT, 64); /* there is no next segment */
	fill_a_full_disk(4 * MIB, 1024);     /* nor more of this one */
}

static void
below_the_free_minimum_nothing_is_reserved(void)
{
	uint64_t reserved;
	enum append_verdict v = APPEND_STORED;

	world_begin(1);
	fake.space.free = 100 * MIB;
	world_turns(1000);
	reserved = fake.calls[IO_FALLOCATE];
	for (unsigned i = 0; i < 500; i++) {
		v = world_append_as(0, (struct batch_of){.value = 1000}, 0);
		(void)storage_publish(w.part[0]);
		world_turns(1);
	}
	CU_ASSERT_EQUAL(v, APPEND_WAIT);
	CU_ASSERT_EQUAL(fake.calls[IO_FALLOCATE], reserved);
	fake.space.free = 50 * GIB;
	(void)world_append(0, (struct batch_of){.value = 1000});
	CU_ASSERT_TRUE(fake.calls[IO_FALLOCATE] > reserved);
	world_end();
}

static int
bad_populate(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_POPULATE ? -EFAULT : 0;
}

static void
pages_that_cannot_be_faulted_in_fail_the_partition_before_a_store_goes_there(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.segment_bytes = 4 * MIB;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	fake.hook = bad_populate;
	while (world_append_as(0, (struct batch_of){.value = 1000}, 0) == APPEND_STORED)
		(void)storage_publish(w.part[0]);
	world_turns(10); /* reserved once more meanwhile */
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	world_end();
}

static void
at_the_dirty_budget_only_who_waits_is_given_room(void)
{
	unsigned full = 0;

	world_begin(1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	w.o.dirty_budget = 64 * KIB;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.segment_bytes = 4 * MIB;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	for (unsigned i = 0; i < 3000; i++) {
		const struct segment *seg = w.part[0]->active;
		const uint64_t ready = seg->ready, dirty = w.s->flush.dirty;

		if (world_append_as(0, (struct batch_of){.value = 1000}, 0) == APPEND_STORED) {
			(void)storage_publish(w.part[0]);
			continue;
		}
		world_turns(1);
		if (dirty < w.o.dirty_budget || seg != w.part[0]->active)
			continue;
		full++;
		CU_ASSERT_TRUE(
			seg->ready <= MAX(ready, round_up(w.part[0]->position + w.length, 4096)));
		CU_ASSERT_TRUE(storage_has_room(w.part[0]));
	}
	CU_ASSERT_TRUE(full > 0 && w.was_n[0] > 2000);
	CU_ASSERT_EQUAL(world_read(0), w.was_n[0]);
	world_end();
}

/* ---- Seal --------------------------------------------------------------------------------- */

static void
a_seal_leaves_exact_files(void)
{
	char name[LAYOUT_NAME];
	uint64_t bytes = 0;
	int64_t end = 0, largest = -1, timestamp;
	uint32_t delta;
	int fd;

	world_begin(1);
	for (unsigned i = 0; world_count(0, ".log") < 2; i++) {
		(void)world_append(0, (struct batch_of){.count = 3,
					      .value = 200,
					      .producer = 5,
					      .sequence = (int32_t)(3 * i),
					      .step_ms = 2});
		world_turns(1);
		if (world_count(0, ".log") < 2) {
			bytes += w.length;
			end = w.result.base_offset + 3;
			largest = MAX(largest, rb_max_timestamp(w.batch));
		}
	}
	world_settle();
	CU_ASSERT_EQUAL(w.count.segments_sealed, 1);
	layout_name(name, end, ".log");
	if (!world_has(0, name)) { /* the batch that rolled was counted in */
		CU_FAIL("the next segment is named otherwise");
	}
	CU_ASSERT_EQUAL(world_size(0, "00000000000000000000.log"), bytes);
	CU_ASSERT_EQUAL(world_size(0, "00000000000000000000.index") % 8, 0);
	CU_ASSERT_TRUE(world_size(0, "00000000000000000000.index") >= 8 * (bytes / 6000));
	CU_ASSERT_EQUAL(world_size(0, "00000000000000000000.timeindex") % 12, 0);
	fd = world_open_file(0, "00000000000000000000.timeindex");
	CU_ASSERT_EQUAL(
		index_file_last_time(&io_posix, fd, world_size(0, "00000000000000000000.timeindex"),
			&timestamp, &delta),
		0);
	CU_ASSERT_EQUAL(timestamp, largest);
	CU_ASSERT_EQUAL(delta, end - 1);
	(void)close(fd);
	layout_name(name, end, ".snapshot");
	CU_ASSERT_EQUAL(world_size(0, name), PRODUCER_SNAPSHOT_BYTES(1));
	CU_ASSERT_EQUAL(world_count(0, ".tmp"), 0);
	world_end();
}

static int
no_index(enum io_kind kind, int fd, const char *name)
{
	if (!disk_full || kind != IO_PWRITE)
		return 0;
	seen++;
	return -ENOSPC;
}

static void
a_seal_that_finds_no_space_for_its_index_is_done_later(void)
{
	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 3});
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	disk_full = true;
	seen = 0;
	fake.hook = no_index;
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	CU_ASSERT_TRUE(seen > 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_count(0, ".index"), 0);
	CU_ASSERT_EQUAL(world_read(0), 3); /* readable meanwhile */
	disk_full = false;
	world_settle();
	CU_ASSERT_EQUAL(world_count(0, ".index"), 1);
	CU_ASSERT_EQUAL(world_count(0, ".timeindex"), 1);
	CU_ASSERT_EQUAL(w.count.segments_sealed, 1);
	CU_ASSERT_EQUAL(world_read(0), 3);
	world_end();
}

static const struct ut_test tests[] = {
	UT("durable", durable_moves_only_after_the_sync_returned),
	UT("durable", what_is_touched_is_synced_within_flush_ms_and_what_is_not_never),
	UT("durable", a_commit_with_nothing_touched_is_done_at_once),
	UT("failure", a_failed_sync_fails_the_partition_for_good_and_no_other),
	UT("failure", a_partition_that_fails_in_silence_is_counted),
	UT("failure", after_a_failed_sync_a_restart_finds_what_is_there_under_a_new_epoch),
	UT("failure", no_batch_is_taken_where_the_first_segments_name_went_with_the_file_system),
	UT("failure", a_segment_that_cannot_be_named_fails_the_partition_and_is_never_durable),
	UT("space", on_a_full_disk_producers_wait_and_go_on_when_space_returns),
	UT("space", below_the_free_minimum_nothing_is_reserved),
	UT("space", pages_that_cannot_be_faulted_in_fail_the_partition_before_a_store_goes_there),
	UT("space", at_the_dirty_budget_only_who_waits_is_given_room),
	UT("seal", a_seal_leaves_exact_files),
	UT("seal", a_seal_that_finds_no_space_for_its_index_is_done_later),
};

UT_MAIN(tests)
