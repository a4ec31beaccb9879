/* SPDX-License-Identifier: MIT
 * rewrite_ut.c - sealed segments of a topic with compression.type=lz4: which are rewritten, that they
 * hold the same records, and who reads, expires or deletes what while they are swapped. */
#include "storage/rewrite.h"
#include "tests/unit/storage/rewrite_world.h"

/* ---- What is rewritten -------------------------------------------------------------------- */

static void
sealed_segments_become_smaller_and_hold_the_same_records(void)
{
	uint64_t hash, times, was, is;
	int64_t t;

	begin(true, 200);
	hash = hash_all();
	t = w.wall_ms;
	times = hash_times(BATCH_WALL_MS, t);
	was = world_size(0, "00000000000000000000.log");
	rewrite_all();
	is = world_size(0, "00000000000000000000.log");
	/* The last sealed one waits: only its own snapshot lies above it. */
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), SEGMENTS - 1);
	CU_ASSERT_TRUE(counter_read(&w.count.rewrite_bytes_after) < counter_read(&w.count.rewrite_bytes_before) / 4);
	CU_ASSERT_TRUE(is < was / 4);
	CU_ASSERT_EQUAL(hash_all(), hash);
	CU_ASSERT_EQUAL(hash_times(BATCH_WALL_MS, t), times);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(hash_all(), hash);
	CU_ASSERT_EQUAL(hash_times(BATCH_WALL_MS, t), times);
	/* Producer 7's last batch is known, its next is stored. */
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 2, .value = 9, .producer = 7,
		.sequence = (int32_t)w.part[0]->next - 2}, 0), APPEND_DUPLICATE);
	append((struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_TRUE(storage_state(w.part[0]) == PART_OK);
	/* Not once more: it is found to be compressed by its headers. */
	rewrite_all();
	CU_ASSERT_EQUAL(world_size(0, "00000000000000000000.log"), is);
	world_end();
}

static void
other_topics_are_not_touched(void)
{
	begin(true, 200);
	for (unsigned i = 0; i < 3000; i++)
		world_turns(1);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_given_up), 0);
	(void)world_read(0); /* the producer's bytes */
	world_end();
}

static void
a_segment_rests_before_it_is_rewritten(void)
{
	begin(true, 200);
	w.s->o.rewrite_after_ms = 60000;
	want_lz4(true);
	world_turns(2000);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	w.wall_ms += 60000;
	w.now_ns += 60 * NS_PER_S;
	world_turns(200);
	CU_ASSERT_TRUE(counter_read(&w.count.rewrite_segments) > 0);
	world_end();
}

static bool saw_cleaned;

static int
see_cleaned(enum io_kind kind, int fd, const char *name)
{
	saw_cleaned |= kind == IO_OPENAT && name && strstr(name, ".cleaned");
	return 0;
}

/* Values that do not compress: there is nothing to gain but the headers, and here that is little. */
static void
what_saves_less_than_a_tenth_stays(void)
{
	uint64_t was;

	begin(false, 500);
	was = world_size(0, "00000000000000000000.log");
	saw_cleaned = false;
	fake.hook = see_cleaned;
	rewrite_all();
	CU_ASSERT_TRUE(saw_cleaned); /* tried */
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_given_up), SEGMENTS - 1);
	CU_ASSERT_EQUAL(world_size(0, "00000000000000000000.log"), was);
	(void)world_read(0);
	world_end();
}

static void
without_two_snapshots_above_nothing_is_rewritten(void)
{
	begin(true, 200);
	for (int64_t at = 100; at <= 100 * (SEGMENTS - 1); at += 100) {
		char name[LAYOUT_NAME];

		layout_name(name, at, ".snapshot");
		CU_ASSERT_TRUE(world_has(0, name));
		CU_ASSERT_EQUAL(io_posix.unlinkat(w.part[0]->dirfd, name, false), 0);
	}
	want_lz4(true);
	for (unsigned i = 0; i < 3000; i++)
		world_turns(1);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	world_end();
}

/* There were more producers than was guessed, for a while: those segments stay, what came later does not. */
static void
a_segment_without_snapshots_above_holds_up_none_behind_it(void)
{
	begin(true, 200);
	for (unsigned i = 0; i < 2; i++)
		fill(true, 200);
	for (int64_t at = 100; at <= 100 * (REWRITE_SNAPSHOTS - 1); at += 100) {
		char name[LAYOUT_NAME];

		layout_name(name, at, ".snapshot");
		CU_ASSERT_EQUAL_FATAL(io_posix.unlinkat(w.part[0]->dirfd, name, false), 0);
	}
	rewrite_all();
	/* The first is judged by one snapshot, the last by one, too. */
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 3 * SEGMENTS - 2);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_given_up), 1);
	world_end();
}

/* ---- Damage ------------------------------------------------------------------------------- */

static void
a_damaged_segment_is_said_and_stays(void)
{
	uint8_t b = 0x55;
	int fd;

	begin(true, 200);
	fd = world_open_file(0, "00000000000000000000.log");
	CU_ASSERT_EQUAL(pwrite(fd, &b, 1, 3000), 1);
	(void)close(fd);
	rewrite_all();
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_failures), 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), SEGMENTS - 2); /* the others */
	CU_ASSERT_PTR_NOT_NULL_FATAL(storage_root_failure(w.s));
	CU_ASSERT_PTR_NOT_NULL(strstr(storage_root_failure(w.s), "00000000000000000000.log of t-0"));
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	world_end();
}

/* Between the writing and the reading back a bit of the new file turns. */
static int
turn_a_bit(enum io_kind kind, int fd, const char *name)
{
	uint8_t b;

	if (kind == IO_DROP_CACHE && pread(fd, &b, 1, 200) == 1) {
		b ^= 4;
		CU_ASSERT_EQUAL(pwrite(fd, &b, 1, 200), 1);
	}
	return 0;
}

static void
what_reads_back_otherwise_never_takes_the_place(void)
{
	begin(true, 200);
	fake.hook = turn_a_bit;
	rewrite_all();
	fake.hook = NULL;
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_failures), SEGMENTS - 1);
	(void)world_read(0);
	world_end();
}

/* The same with a right checksum: a record has another time. */
static int
turn_a_time(enum io_kind kind, int fd, const char *name)
{
	static uint8_t b[65536];
	const ssize_t n = kind == IO_DROP_CACHE ? pread(fd, b, sizeof(b), 0) : 0;

	if (n < RB_HEADER)
		return 0;
	put_be64(b + RB_BASE_TIMESTAMP, (uint64_t)rb_base_timestamp(b) - 1);
	(void)seal_batch(b, (uint32_t)rb_total(b));
	CU_ASSERT_EQUAL(pwrite(fd, b, (size_t)n, 0), n);
	return 0;
}

static void
what_reads_back_with_other_records_never_does_either(void)
{
	begin(true, 200);
	fake.hook = turn_a_time;
	rewrite_all();
	fake.hook = NULL;
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_failures), SEGMENTS - 1);
	world_end();
}

static int
lose_names_of_the_swap(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_RENAMEAT && strstr(name, ".log.swap") && fake.lost == 0)
		fake_io_lose(fd);
	return 0;
}

/* It was told that, and lives; whoever names segments must be told, too. */
static void
a_directory_that_lost_names_of_a_rewriting_takes_no_new_segment(void)
{
	begin(true, 200);
	fake.hook = lose_names_of_the_swap;
	want_lz4(true);
	world_turns(3000);
	CU_ASSERT_EQUAL(fake.lost, 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_failures), 1);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	append((struct batch_of){.count = 2});
	storage_roll(w.part[0], w.now_ns); /* orders a spare */
	world_turns(3);
	storage_roll(w.part[0], w.now_ns);
	world_turns(2000);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	world_end();
}

/* ---- Readers ------------------------------------------------------------------------------ */

static void
a_range_given_before_the_swap_stays_what_it_is(void)
{
	static uint8_t before[30000], after[30000];
	struct storage_range r;

	begin(true, 200);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 50, sizeof(before), true, &r), 0);
	CU_ASSERT_EQUAL(pread(r.fd, before, r.length, (off_t)r.position), r.length);
	rewrite_all();
	CU_ASSERT_EQUAL(pread(r.fd, after, r.length, (off_t)r.position), r.length);
	CU_ASSERT_EQUAL(memcmp(before, after, r.length), 0);
	CU_ASSERT_TRUE(r.pinned->orphan);
	storage_unpin(r.pinned);
	world_end();
}

static unsigned final_renames;

/* Who opens a segment by name, or names a new one, waits while a name changes, and the journal with them. */
static int
not_on_the_idle_thread(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_RENAMEAT && strcmp(name + 20, ".log") == 0) {
		final_renames++;
		CU_ASSERT_TRUE(jobs_idle(job()->jobs));
		CU_ASSERT_FALSE(jobs_idle(w.s->flush.jobs));
	}
	return 0;
}

static void
names_are_changed_by_a_thread_that_is_not_idle(void)
{
	begin(true, 200);
	fake.hook = not_on_the_idle_thread;
	final_renames = 0;
	rewrite_all();
	CU_ASSERT_EQUAL(final_renames, SEGMENTS - 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), SEGMENTS - 1);
	world_end();
}

static uint64_t wanted_hash, wanted_times;
static unsigned renames;

/* Before and after every rename somebody reads everything, by offset and by time. */
static int
read_at_renames(enum io_kind kind, int fd, const char *name)
{
	if (kind != IO_RENAMEAT && !(kind == IO_FSYNC && renames > 0))
		return 0;
	renames++;
	fake.hook = NULL;
	close_read_fds();
	CU_ASSERT_EQUAL(hash_all(), wanted_hash);
	CU_ASSERT_EQUAL(hash_times(BATCH_WALL_MS, BATCH_WALL_MS + 3000), wanted_times);
	find_each();
	fake.hook = read_at_renames;
	return 0;
}

static void
who_reads_while_the_names_change_sees_the_same_records(void)
{
	begin(true, 200);
	wanted_hash = hash_all();
	wanted_times = hash_times(BATCH_WALL_MS, BATCH_WALL_MS + 3000);
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0); /* no descriptor is open now */
	fake.hook = read_at_renames;
	renames = 0;
	rewrite_all();
	fake.hook = NULL;
	CU_ASSERT_TRUE(renames > 6 * (SEGMENTS - 1));
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), SEGMENTS - 1);
	world_end();
}

/* A reader that stopped at a boundary of the old file, which the new one does not have. */
static void
a_place_remembered_in_the_old_file_is_not_looked_for_in_the_new(void)
{
	struct storage_range r;

	begin(true, 200);
	for (int64_t at = 0; at < 4; at += 2) { /* two batches, some hundred bytes each */
		CU_ASSERT_EQUAL(storage_read(w.part[0], at, 600, true, &r), 0);
		CU_ASSERT_EQUAL(r.first_offset, at);
		storage_unpin(r.pinned);
	}
	rewrite_all();
	CU_ASSERT_TRUE(world_size(0, "00000000000000000000.log") > 1200);
	find_each();
	world_end();
}

/* ---- Others want the same segment --------------------------------------------------------- */

static void
retention_deletion_and_a_stop_come_between_any_two_pieces(void)
{
	for (unsigned turns = 1; turns < 12; turns++) {
		begin(true, 200);
		want_lz4(true);
		world_turns(500); /* the next look is a second away at most */
		while (!job()->part)
			world_turns(1);
		world_turns(turns);
		w.part[0]->settings.retention_ms = 0;
		world_turns(2000);
		CU_ASSERT_TRUE(counter_read(&w.count.segments_deleted) >= SEGMENTS - 1);
		CU_ASSERT_EQUAL(world_count(0, ".cleaned") + world_count(0, ".swap"), 0);
		CU_ASSERT_EQUAL(world_delete(), 0);
		world_end();

		begin(true, 200);
		want_lz4(true);
		while (!job()->part)
			world_turns(1);
		world_turns(turns);
		CU_ASSERT_EQUAL(world_delete(), 0);
		world_end();

		begin(true, 200);
		wanted_hash = hash_all();
		want_lz4(true);
		while (!job()->part)
			world_turns(1);
		world_turns(turns);
		CU_ASSERT_EQUAL(world_stop(), 0);
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(world_count(0, ".cleaned") + world_count(0, ".swap"), 0);
		CU_ASSERT_EQUAL(hash_all(), wanted_hash);
		world_end();
	}
}

/* Between two pieces, for as long as the test likes. */
static void
hold(bool text)
{
	begin(text, 200);
	want_lz4(true);
	while (!job()->part)
		world_turns(1);
	job()->stopped = true;
	world_turns(1);
	CU_ASSERT_FALSE(job()->busy);
}

static void
a_segment_does_not_expire_while_it_is_rewritten(void)
{
	hold(true);
	w.part[0]->settings.retention_ms = 0;
	world_turns(3000);
	CU_ASSERT_EQUAL(counter_read(&w.count.segments_deleted), 0);
	CU_ASSERT_TRUE(job()->cancel);
	job()->stopped = false;
	world_turns(3000);
	CU_ASSERT_TRUE(counter_read(&w.count.segments_deleted) >= SEGMENTS - 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	CU_ASSERT_EQUAL(world_count(0, ".cleaned"), 0);
	world_end();
}

static void
a_topic_does_not_go_while_a_segment_of_it_is_rewritten(void)
{
	static char nothing[] = "version 2\n";
	struct storage_op op = {.kind = OP_DELETE_TOPIC, .part = w.part, .catalogue = nothing};

	hold(true);
	(void)snprintf(op.topic.name, sizeof(op.topic.name), "%s", w.part[0]->topic);
	memcpy(op.topic.id, w.part[0]->topic_id, sizeof(op.topic.id));
	op.topic.partitions = 1;
	storage_detach_lcore(w.part[0]);
	storage_submit(w.s, &op);
	world_turns(1000);
	CU_ASSERT_PTR_NULL(storage_reap(w.s));
	job()->stopped = false;
	world_turns(100);
	CU_ASSERT_PTR_EQUAL(storage_reap(w.s), &op);
	CU_ASSERT_EQUAL(op.rc, 0);
	w.parts = 0;
	world_end();
}

/* Read back, its old files kept open, and the names not changed yet: a commit came during the last piece. */
static void
hold_before_the_swap(unsigned segment)
{
	begin(true, 200);
	want_lz4(true);
	while (!(job()->part && job()->swaps && !job()->busy && job()->seg->base == 100 * (int64_t)segment)) {
		append((struct batch_of){.count = 2});
		storage_want_disk(w.s, 0, storage_publish(w.part[0]));
		world_turns(1);
	}
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), segment);
}

static unsigned
open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
what_is_ready_to_be_swapped_is_swapped_before_it_expires(void)
{
	const unsigned files = open_files();

	hold_before_the_swap(1);
	w.part[0]->settings.retention_ms = 0;
	w.s->flush.tidy_ns = 0;
	world_turns(3000);
	CU_ASSERT_TRUE(counter_read(&w.count.rewrite_segments) >= 2);
	CU_ASSERT_TRUE(counter_read(&w.count.segments_deleted) >= SEGMENTS - 1);
	CU_ASSERT_EQUAL(world_count(0, ".cleaned") + world_count(0, ".swap"), 0);
	world_end();
	CU_ASSERT_EQUAL(open_files(), files);
}

static bool full;

static int
swap_finds_no_space(enum io_kind kind, int fd, const char *name)
{
	return full && kind == IO_RENAMEAT && strstr(name, ".timeindex.swap") ? -ENOSPC : 0;
}

/* Each time its old files are opened and kept; the last of them alone would be closed. */
static void
a_swap_that_waits_for_space_keeps_no_files_twice(void)
{
	const unsigned files = open_files();

	begin(true, 200);
	wanted_hash = hash_all();
	full = true;
	fake.hook = swap_finds_no_space;
	want_lz4(true);
	for (unsigned i = 0; i < 200000 && !atomic_load(&w.part[0]->segments->seg[0]->swapping); i++)
		world_turns(1);
	world_turns(100);
	CU_ASSERT_TRUE_FATAL(atomic_load(&w.part[0]->segments->seg[0]->swapping));
	CU_ASSERT_PTR_NULL(job()->part);
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), 0);
	CU_ASSERT_EQUAL(hash_all(), wanted_hash); /* by the files kept */
	full = false;
	world_turns(70000); /* it was put off for a minute */
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), SEGMENTS - 1);
	CU_ASSERT_EQUAL(hash_all(), wanted_hash);
	world_end();
	CU_ASSERT_EQUAL(open_files(), files);
}

/* Segments below it go, it stays: records of it, too, were deleted. */
static void
a_segment_that_holds_the_start_goes_on_being_rewritten(void)
{
	struct partition *part;
	struct storage_op op = {.kind = OP_DELETE_RECORDS, .part = &part, .offset = 150};

	hold(true);
	job()->stopped = false;
	while (!(job()->part && job()->seg->base == 100))
		world_turns(1);
	job()->stopped = true;
	part = w.part[0];
	storage_submit(w.s, &op);
	world_turns(6000);
	CU_ASSERT_PTR_EQUAL(storage_reap(w.s), &op);
	CU_ASSERT_EQUAL(counter_read(&w.count.segments_deleted), 1);
	CU_ASSERT_FALSE(job()->cancel);
	job()->stopped = false;
	rewrite_all();
	CU_ASSERT_EQUAL(counter_read(&w.count.rewrite_segments), SEGMENTS - 1);
	world_end();
}

static const struct ut_test tests[] = {
	UT("which", sealed_segments_become_smaller_and_hold_the_same_records),
	UT("which", other_topics_are_not_touched),
	UT("which", a_segment_rests_before_it_is_rewritten),
	UT("which", what_saves_less_than_a_tenth_stays),
	UT("which", without_two_snapshots_above_nothing_is_rewritten),
	UT("which", a_segment_without_snapshots_above_holds_up_none_behind_it),
	UT("damage", a_damaged_segment_is_said_and_stays),
	UT("damage", what_reads_back_otherwise_never_takes_the_place),
	UT("damage", what_reads_back_with_other_records_never_does_either),
	UT("damage", a_directory_that_lost_names_of_a_rewriting_takes_no_new_segment),
	UT("readers", a_range_given_before_the_swap_stays_what_it_is),
	UT("readers", names_are_changed_by_a_thread_that_is_not_idle),
	UT("readers", who_reads_while_the_names_change_sees_the_same_records),
	UT("readers", a_place_remembered_in_the_old_file_is_not_looked_for_in_the_new),
	UT("others", retention_deletion_and_a_stop_come_between_any_two_pieces),
	UT("others", a_segment_does_not_expire_while_it_is_rewritten),
	UT("others", a_swap_that_waits_for_space_keeps_no_files_twice),
	UT("others", what_is_ready_to_be_swapped_is_swapped_before_it_expires),
	UT("others", a_segment_that_holds_the_start_goes_on_being_rewritten),
	UT("others", a_topic_does_not_go_while_a_segment_of_it_is_rewritten),
};

UT_MAIN(tests)
