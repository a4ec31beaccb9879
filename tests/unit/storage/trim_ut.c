/* SPDX-License-Identifier: MIT
 * trim_ut.c - storage/flush_trim.c: records deleted up to an offset are gone once kira.state says so, and for
 * good; what lies above stays, where it is. */
#include "tests/unit/storage/world.h"

#include <errno.h>

static struct storage_op op;
static struct partition *part;
static struct partition_ends ends;

static void
ask(int64_t offset)
{
	part = w.part[0];
	op = (struct storage_op){.kind = OP_DELETE_RECORDS, .part = &part, .offset = offset};
	storage_submit(w.s, &op);
}

/* Turns until it is answered; its rc. */
static int
answered(unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		world_turns(1);
		if (storage_reap(w.s) == &op)
			return op.rc;
	}
	return -ETIMEDOUT;
}

static int
delete_to(int64_t offset)
{
	ask(offset);
	return answered(20000);
}

static bool
state_says(const char *text)
{
	const int dir = open(w.dir, O_RDONLY | O_DIRECTORY);
	char *body = NULL;
	bool says;

	CU_ASSERT_EQUAL_FATAL(layout_read_text(&io_posix, dir, "state", &body), 0);
	says = strstr(body, text) != NULL;
	free(body);
	(void)close(dir);
	return says;
}

static void
starts_at(int64_t start)
{
	struct storage_range r;
	int64_t offset, timestamp;

	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.start, start);
	CU_ASSERT_EQUAL(storage_read(w.part[0], start - 1, 1, true, &r), KIRA_E_OFFSET_OUT_OF_RANGE);
	if (start < ends.end) {
		CU_ASSERT_EQUAL(storage_read(w.part[0], start, 1, true, &r), 0);
		CU_ASSERT_EQUAL(r.first_offset, start & ~INT64_C(1)); /* two records to a batch */
		if (r.length > 0)
			storage_unpin(r.pinned);
	}
	CU_ASSERT_EQUAL(storage_find_time(w.part[0], 0, &offset, &timestamp), 0);
	CU_ASSERT_EQUAL(offset, start < ends.end ? start : -1);
	CU_ASSERT_EQUAL(storage_find_time(w.part[0], -3, &offset, &timestamp), 0);
	CU_ASSERT_TRUE(offset >= start || (offset == -1 && start == ends.end));
}

static void
a_log(void)
{
	world_begin(2);
	for (int64_t i = 0; i < 300; i++)
		(void)world_append(0, (struct batch_of){.count = 2, .value = 500, .seed = (uint64_t)i,
			.timestamp = BATCH_WALL_MS + (i % 50) * 10, .step_ms = 3});
	world_settle();
}

static void
the_start_moves_once_kira_state_says_so_and_whole_segments_go(void)
{
	unsigned logs;

	a_log();
	logs = world_count(0, ".log");
	ask(251);
	CU_ASSERT_EQUAL(answered(20000), 0);
	CU_ASSERT_EQUAL(op.offset, 251);
	CU_ASSERT_TRUE(state_says(" 251 600 ok"));
	starts_at(251);
	world_turns(2000);
	CU_ASSERT_TRUE(world_count(0, ".log") < logs && !world_has(0, "00000000000000000000.log"));
	starts_at(251);
	CU_ASSERT_EQUAL(delete_to(100), 0); /* it never goes back */
	CU_ASSERT_EQUAL(op.offset, 251);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	starts_at(251);
	CU_ASSERT_EQUAL(delete_to(600), 0);
	starts_at(600);
	world_turns(2000);
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	starts_at(600);
	(void)world_append(0, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.base_offset, 600);
	world_end();
}

static unsigned states;

static int
no_state(enum io_kind kind, int fd, const char *n)
{
	if (kind != IO_RENAMEAT || strcmp(n, "kira.state") != 0)
		return 0;
	states++;
	return -ENOSPC;
}

static void
nothing_is_answered_while_kira_state_cannot_be_written(void)
{
	a_log();
	states = 0;
	fake.hook = no_state;
	ask(251);
	CU_ASSERT_EQUAL(answered(12000), -ETIMEDOUT);
	CU_ASSERT_TRUE(states > 0 && world_has(0, "00000000000000000000.log"));
	fake.hook = NULL;
	CU_ASSERT_EQUAL(answered(12000), 0);
	CU_ASSERT_TRUE(state_says(" 251 600 ok"));
	world_end();
}

static void
it_waits_until_all_below_is_durable(void)
{
	a_log();
	(void)world_append(0, (struct batch_of){.count = 2}); /* the first one waits for room, by turns */
	world_sync();
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 2}, 0), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_TRUE(ends.durable == 602 && ends.end == 604);
	ask(604);
	for (unsigned i = 0; i < 20000 && storage_reap(w.s) != &op; i++) {
		storage_ends(w.part[0], &ends);
		CU_ASSERT_TRUE_FATAL(ends.start <= ends.durable);
		world_turns(1);
	}
	CU_ASSERT_EQUAL(op.rc, 0);
	starts_at(604);
	world_end();
}

static void
what_is_not_in_the_log_cannot_be_deleted(void)
{
	a_log();
	CU_ASSERT_EQUAL(delete_to(601), -ERANGE);
	CU_ASSERT_EQUAL(delete_to(-1), -ERANGE);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	partition_fail(w.part[0]);
	CU_ASSERT_EQUAL(delete_to(10), -EIO);
	world_end();
}

static void
it_ends_with_its_topic(void)
{
	a_log();
	fake.hook = no_state; /* so it waits */
	ask(251);
	CU_ASSERT_EQUAL(answered(3000), -ETIMEDOUT);
	fake.hook = NULL;
	w.s->flush.state_ns = UINT64_MAX;
	flush_trim_forget(w.s, w.part[1]); /* not with another one */
	CU_ASSERT_PTR_NULL(storage_reap(w.s));
	w.other = NULL;
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_PTR_EQUAL(w.other, &op);
	CU_ASSERT_EQUAL(op.rc, -ENOENT);
	world_end();
}

/* The active segment, which the flush daemon has not looked at since. */
static void
leave_segment(void)
{
	for (unsigned i = 0; i < 100 && !atomic_load(&w.part[0]->full); i++) {
		world_turns(i > 0);
		storage_roll(w.part[0], w.now_ns);
	}
	CU_ASSERT_TRUE_FATAL(atomic_load(&w.part[0]->full) && !w.part[0]->f.left_first);
}

static int
no_index(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_OPENAT && strstr(name, ".index") ? -ENOSPC : 0;
}

/* It says what lies below the segment behind it. */
static void
it_waits_until_the_segment_it_ends_is_sealed(void)
{
	a_log();
	leave_segment();
	fake.hook = no_index;
	ask(600);
	CU_ASSERT_EQUAL(answered(3000), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(w.part[0]->f.left_first);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_TRUE(ends.durable == 600 && ends.start == 0);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(answered(12000), 0);
	starts_at(600);
	world_end();
}

static void
it_waits_until_a_segment_just_left_is_looked_at(void)
{
	a_log();
	leave_segment();
	ask(600);
	(void)flush_ops(w.s);
	(void)flush_trims(w.s);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	CU_ASSERT_EQUAL(answered(12000), 0);
	starts_at(600);
	world_end();
}

/* Its bytes were durable before the roll; that it is whole the next commit says, and nothing else asks for one. */
static void
it_asks_for_the_commit_that_lets_the_segment_it_ends_be_sealed(void)
{
	a_log();
	w.s->o.flush_ms = 60000;
	w.s->flush.flush_ns = 60 * NS_PER_S;
	leave_segment();
	ask(600);
	CU_ASSERT_EQUAL(answered(100), 0);
	starts_at(600);
	world_end();
}

/* Neither waits for the 5 s that kira.state may lag, nor for the commit that would come by itself. */
static void
it_is_answered_as_soon_as_the_disk_can(void)
{
	a_log();
	ask(251);
	CU_ASSERT_EQUAL(answered(20), 0);
	(void)world_append(0, (struct batch_of){.count = 2});
	w.s->o.flush_ms = 60000;
	w.s->flush.flush_ns = 60 * NS_PER_S;
	world_turns(200);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 2}, 0), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	world_turns(200);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_TRUE_FATAL(ends.durable < ends.end);
	w.s->flush.granted = false;
	ask(ends.end);
	CU_ASSERT_EQUAL(answered(50), 0);
	CU_ASSERT_TRUE(w.s->flush.granted); /* control may sleep over it */
	starts_at(604);
	world_end();
}

static void
any_number_wait_at_once_and_one_may_be_asked_again(void)
{
	struct partition *second = NULL;
	struct storage_op other;
	unsigned done = 0;

	a_log();
	second = w.part[0];
	other = (struct storage_op){.kind = OP_DELETE_RECORDS, .part = &second, .offset = 300};
	ask(251);
	storage_submit(w.s, &other);
	for (unsigned i = 0; i < 100; i++) {
		const struct storage_op *o;

		world_turns(1);
		while ((o = storage_reap(w.s)) != NULL) {
			CU_ASSERT_EQUAL(o->rc, 0);
			done++;
		}
	}
	CU_ASSERT_EQUAL_FATAL(done, 2);
	starts_at(300);
	op.offset = 400;
	storage_submit(w.s, &op);
	CU_ASSERT_EQUAL(answered(100), 0);
	starts_at(400);
	world_end();
}

/* A power cut took back one unlink and not the others, and no snapshot stands at the start. */
static void
a_file_below_a_gap_takes_none_above_it_along(void)
{
	static const char log[] = "00000000000000000000.log", snapshot[] = "00000000000000000600.snapshot";
	int dir;

	a_log();
	storage_roll(w.part[0], w.now_ns);
	world_turns(10);
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	dir = w.part[0]->dirfd;
	CU_ASSERT_EQUAL_FATAL(linkat(dir, log, dir, "kept", 0), 0);
	CU_ASSERT_EQUAL(delete_to(600), 0);
	world_turns(2000);
	CU_ASSERT_EQUAL_FATAL(world_count(0, ".log"), 1);
	CU_ASSERT_EQUAL_FATAL(linkat(dir, "kept", dir, log, 0), 0);
	CU_ASSERT_EQUAL_FATAL(unlinkat(dir, snapshot, 0), 0); /* there were more producers than was guessed */
	(void)world_append(0, (struct batch_of){.count = 2});
	world_sync();
	CU_ASSERT_TRUE_FATAL(state_says(" 600 600 ok")); /* it lags */
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.start, 600);
	CU_ASSERT_EQUAL(ends.end, 602);
	CU_ASSERT_FALSE(world_has(0, log));
	CU_ASSERT_EQUAL(world_read(0), 602);
	world_end();
}

/* ---- Producers that only batches below the start tell of ----------------------------------- */

#define CROWD 70 /* more than a first segment's snapshot has room for */

static struct batch_of
crowd_batch(int64_t producer)
{
	return (struct batch_of){.count = 2, .value = 100, .producer = producer};
}

/* A sealed first segment without a snapshot at its end, 140; and an open one with two records. */
static void
a_crowded_segment(void)
{
	for (int64_t i = 1; i <= CROWD; i++)
		(void)world_append(0, crowd_batch(i));
	storage_roll(w.part[0], w.now_ns);
	world_turns(10);
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	(void)world_append(0, (struct batch_of){.count = 2});
	world_sync();
	CU_ASSERT_FALSE_FATAL(world_has(0, "00000000000000000140.snapshot"));
	CU_ASSERT_TRUE_FATAL(world_has(0, "00000000000000000000.index"));
}

/* What each of them sends again is known. */
static void
all_are_known(void)
{
	for (int64_t i = 1; i <= CROWD; i++) {
		CU_ASSERT_EQUAL(world_append_as(0, crowd_batch(i), APPEND_UDP), APPEND_DUPLICATE);
		CU_ASSERT_EQUAL(w.result.base_offset, 2 * (i - 1));
	}
}

static void
again(void)
{
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.start, 140);
	all_are_known();
}

static void
a_segment_stays_until_a_snapshot_remembers_its_producers(void)
{
	world_begin(1);
	a_crowded_segment();
	CU_ASSERT_EQUAL(delete_to(140), 0);
	world_turns(2000);
	CU_ASSERT_TRUE(world_has(0, "00000000000000000000.log"));
	starts_at(140);
	storage_roll(w.part[0], w.now_ns); /* its snapshot has room for all */
	world_turns(10);
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.log"));
	again();
	world_end();
}

static void
a_start_writes_the_snapshot_before_that_segment_goes(void)
{
	world_begin(1);
	a_crowded_segment();
	CU_ASSERT_EQUAL(delete_to(140), 0);
	again();
	CU_ASSERT_TRUE(world_has(0, "00000000000000000140.snapshot"));
	world_look();
	world_turns(2000);
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.log"));
	again();
	world_end();
}

static int
no_snapshot(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_RENAMEAT && strstr(name, ".snapshot") ? -ENOSPC : 0;
}

/* The start serves all the same, what it could not write down stays in the batches. */
static void
on_a_full_disk_that_segment_stays(void)
{
	world_begin(1);
	a_crowded_segment();
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	(void)unlinkat(w.part[0]->dirfd, "00000000000000000142.snapshot", 0);
	(void)unlinkat(w.part[0]->dirfd, "00000000000000000140.snapshot", 0);
	for (unsigned i = 0; i < 2; i++) {
		world_kill();
		fake.hook = no_snapshot;
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
		CU_ASSERT_EQUAL(delete_to(142), 0);
		world_look();
		world_turns(2000);
		CU_ASSERT_TRUE(world_has(0, "00000000000000000000.log"));
		all_are_known();
	}
	fake.hook = NULL;
	world_end();
}

static int
no_epoch(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_RENAMEAT && strstr(name, "leader-epoch") ? -EIO : 0;
}

/* The segment that they are in is gone: the snapshot at 144 knows them. None stands at the end of the sealed one before,
 * 142, and the next was not sealed. What a start makes of the sealed one alone is no snapshot for the start after it. */
static void
a_start_writes_no_snapshot_that_knows_less_than_a_later_one(void)
{
	world_begin(1);
	a_crowded_segment();
	for (unsigned i = 0; i < 2; i++) {
		storage_roll(w.part[0], w.now_ns);
		world_settle();
		(void)world_append(0, (struct batch_of){.count = 2});
	}
	CU_ASSERT_EQUAL(delete_to(141), 0);
	world_settle();
	CU_ASSERT_FALSE_FATAL(world_has(0, "00000000000000000000.log"));
	CU_ASSERT_TRUE_FATAL(world_has(0, "00000000000000000144.snapshot"));
	CU_ASSERT_EQUAL(unlinkat(w.part[0]->dirfd, "00000000000000000142.snapshot", 0), 0);
	CU_ASSERT_EQUAL(unlinkat(w.part[0]->dirfd, "00000000000000000142.timeindex", 0), 0);
	world_kill();
	fake.hook = no_epoch;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	fake.hook = NULL;
	for (unsigned i = 0; i < 2; i++) {
		world_kill();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
		all_are_known();
	}
	world_end();
}

/* The first file holds what was deleted, and what came after. */
static void
damage_below_the_start_does_not_take_what_lies_above_it(void)
{
	uint8_t bytes[8] = {0};
	int fd;

	world_begin(1);
	for (unsigned i = 0; i < 4; i++)
		(void)world_append(0, (struct batch_of){.count = 2, .seed = i});
	CU_ASSERT_EQUAL(delete_to(8), 0);
	(void)world_append(0, (struct batch_of){.count = 2, .seed = 9});
	world_sync();
	CU_ASSERT_TRUE(state_says(" 8 8 ok"));
	world_kill();
	fd = world_open_file(0, "00000000000000000000.log");
	CU_ASSERT_EQUAL(pwrite(fd, bytes, sizeof(bytes), 100), sizeof(bytes));
	(void)close(fd);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(world_has(0, "00000000000000000000.log"));
	world_end();
}

/* A topic whose job hangs holds up what comes behind its deletion; not this. */
static void
no_other_operation_is_waited_for(void)
{
	struct partition *other;
	struct storage_op gone = {.kind = OP_DELETE_TOPIC, .part = &other, .topic.partitions = 1};
	static char catalogue[] = "version 1\n";

	a_log();
	other = w.part[1];
	memcpy(gone.topic.name, "u", 2);
	gone.catalogue = catalogue;
	storage_detach_lcore(other);
	other->f.jobs++;
	storage_submit(w.s, &gone);
	world_turns(3);
	CU_ASSERT_PTR_NULL(storage_reap(w.s));
	CU_ASSERT_EQUAL(delete_to(100), 0);
	starts_at(100);
	other->f.jobs--;
	for (unsigned i = 0; i < 100 && storage_reap(w.s) != &gone; i++)
		world_turns(1);
	CU_ASSERT_EQUAL(gone.rc, 0);
	w.parts = 1;
	world_end();
}

static const struct ut_test tests[] = {
	UT("trim", the_start_moves_once_kira_state_says_so_and_whole_segments_go),
	UT("trim", nothing_is_answered_while_kira_state_cannot_be_written),
	UT("trim", it_waits_until_all_below_is_durable),
	UT("trim", what_is_not_in_the_log_cannot_be_deleted),
	UT("trim", it_waits_until_the_segment_it_ends_is_sealed),
	UT("trim", it_waits_until_a_segment_just_left_is_looked_at),
	UT("trim", it_asks_for_the_commit_that_lets_the_segment_it_ends_be_sealed),
	UT("trim", it_is_answered_as_soon_as_the_disk_can),
	UT("trim", any_number_wait_at_once_and_one_may_be_asked_again),
	UT("trim", it_ends_with_its_topic),
	UT("trim", a_file_below_a_gap_takes_none_above_it_along),
	UT("trim", damage_below_the_start_does_not_take_what_lies_above_it),
	UT("producers", a_segment_stays_until_a_snapshot_remembers_its_producers),
	UT("producers", a_start_writes_the_snapshot_before_that_segment_goes),
	UT("producers", on_a_full_disk_that_segment_stays),
	UT("producers", a_start_writes_no_snapshot_that_knows_less_than_a_later_one),
	UT("trim", no_other_operation_is_waited_for),
};

UT_MAIN(tests)
