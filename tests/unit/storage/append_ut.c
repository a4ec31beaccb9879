/* SPDX-License-Identifier: MIT
 * append_ut.c - storage/append.c: numbers, publishing, room and its lack, rolls, refusals, and the
 * promise that no system call is made. */
#include "tests/unit/storage/world.h"

static struct partition_ends ends;

static void
look(unsigned p)
{
	storage_ends(w.part[p], &ends);
}

static uint64_t
calls(void)
{
	return fake.total + fake.calls[IO_CLOSE] + fake.calls[IO_UNMAP];
}

static void
offsets_are_dense_from_0_in_each_partition(void)
{
	int64_t next[2] = {0, 0};

	world_begin(2);
	for (unsigned i = 0; i < 500; i++) {
		const unsigned p = i % 3 == 0;
		const int32_t count = 1 + (int32_t)i % 7;

		(void)world_append(p, (struct batch_of){.count = count, .value = i % 100});
		CU_ASSERT_EQUAL(w.result.base_offset, next[p]);
		CU_ASSERT_EQUAL(w.result.leader_epoch, 0);
		CU_ASSERT_EQUAL(w.result.append_ms, -1);
		next[p] += count;
	}
	CU_ASSERT_EQUAL(world_read(0), next[0]);
	CU_ASSERT_EQUAL(world_read(1), next[1]);
	world_end();
}

static void
nothing_is_visible_before_it_is_published(void)
{
	struct storage_range r;

	world_begin(1);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 3}, 0), APPEND_STORED);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 2}, 0), APPEND_STORED);
	look(0);
	CU_ASSERT_EQUAL(ends.end, 0);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 0, 1000, true, &r), 0);
	CU_ASSERT_EQUAL(r.length, 0);
	world_turns(200); /* nor may a commit take it */
	look(0);
	CU_ASSERT_EQUAL(ends.durable, 0);
	(void)storage_publish(w.part[0]);
	look(0);
	CU_ASSERT_EQUAL(ends.end, 5);
	CU_ASSERT_EQUAL(world_read(0), 5);
	world_end();
}

static void
appending_and_publishing_make_no_system_call(void)
{
	uint64_t stored = 0, waited = 0;

	world_begin(1);
	w.config.flush_messages = 10;
	world_first(0);
	for (unsigned i = 0; i < 2000; i++) {
		const uint64_t before = calls();
		const enum append_verdict v = world_append_as(0,
			(struct batch_of){.count = 2,
				.value = 300,
				.producer = 9,
				.sequence = (int32_t)stored * 2},
			0);

		(void)storage_publish(w.part[0]);
		(void)storage_has_room(w.part[0]);
		if (i % 50 == 0)
			storage_roll(w.part[0], w.now_ns);
		CU_ASSERT_EQUAL(calls(), before);
		stored += v == APPEND_STORED;
		waited += v == APPEND_WAIT;
		if (v == APPEND_WAIT)
			world_turns(1);
	}
	CU_ASSERT_TRUE(stored > 1000 && waited > 0); /* rolls and waits were among them */
	CU_ASSERT_TRUE(w.count.segments_made > 10);
	CU_ASSERT_EQUAL(world_read(0), (int64_t)stored * 2);
	world_end();
}

static void
without_room_a_batch_waits_and_a_turn_releases_it(void)
{
	unsigned n = 0;

	world_begin(1);
	/* No turn: what was faulted in at the start is all there is. */
	while (world_append_as(0, (struct batch_of){.value = 1000}, 0) == APPEND_STORED)
		n++;
	CU_ASSERT_TRUE(n > 30 && n <= 64);
	CU_ASSERT_FALSE(storage_has_room(w.part[0]));
	look(0);
	CU_ASSERT_EQUAL(ends.end, n); /* room is granted from the published end on */
	CU_ASSERT_EQUAL(
		world_append_as(0, (struct batch_of){.value = 1000}, APPEND_CHECKED), APPEND_WAIT);
	(void)storage_publish(w.part[0]);
	for (unsigned i = 0; i < 10 && !storage_has_room(w.part[0]); i++)
		world_turns(1);
	CU_ASSERT_TRUE(storage_has_room(w.part[0]));
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.value = 1000}, APPEND_CHECKED),
		APPEND_STORED);
	CU_ASSERT_EQUAL(w.result.base_offset, n);
	(void)storage_publish(w.part[0]);
	CU_ASSERT_EQUAL(world_read(0), n + 1);
	world_end();
}

/* A queue that was half drained is gone on with only if there is room for what was asked last: an old
 * wish, measured from the new position, would wait for room beyond the segment's end. */
static void
what_was_asked_for_is_forgotten_once_a_batch_is_stored(void)
{
	unsigned waited = 0;

	world_begin(1);
	for (unsigned i = 0; i < 300; i++) {
		while (world_append_as(0, (struct batch_of){.value = 1000}, 0) == APPEND_WAIT) {
			(void)storage_publish(w.part[0]);
			world_turns(1);
			waited++;
		}
		CU_ASSERT_TRUE(storage_has_room(w.part[0]));
	}
	CU_ASSERT_TRUE(waited > 0);
	world_end();
}

static void
a_full_segment_is_left_for_the_spare_and_none_straddles(void)
{
	world_begin(1);
	world_fill(0, 10 * WORLD_SEGMENT);
	world_settle();
	CU_ASSERT_TRUE(world_count(0, ".log") >= 10);
	CU_ASSERT_EQUAL(world_count(0, ".index"), world_count(0, ".log") - 1);
	CU_ASSERT_EQUAL(world_read(0), w.was_n[0] * 2);
	/* Every sealed file ends with its last batch. */
	for (unsigned i = 1, first = 0; i <= w.was_n[0]; i++) {
		char name[LAYOUT_NAME];
		uint64_t bytes = 0;

		if (i == w.was_n[0])
			break;
		layout_name(name, w.was[0][i].offset, ".log");
		if (!world_has(0, name))
			continue;
		for (unsigned k = first; k < i; k++)
			bytes += w.was[0][k].total;
		layout_name(name, w.was[0][first].offset, ".log");
		CU_ASSERT_EQUAL(world_size(0, name), bytes);
		first = i;
	}
	world_end();
}

static void
a_roll_by_order_takes_the_spare_and_never_leaves_an_empty_segment(void)
{
	world_begin(1);
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	CU_ASSERT_EQUAL(world_count(0, ".log"), 0);
	(void)world_append(0, (struct batch_of){.count = 5});
	storage_roll(w.part[0], w.now_ns); /* no spare yet: remembered */
	world_turns(5);
	CU_ASSERT_TRUE(storage_has_room(w.part[0]));
	storage_roll(w.part[0], w.now_ns);
	storage_roll(w.part[0], w.now_ns); /* the new one is empty */
	world_settle();
	CU_ASSERT_EQUAL(world_count(0, ".log"), 2);
	CU_ASSERT_TRUE(world_has(0, "00000000000000000005.log"));
	CU_ASSERT_TRUE(world_has(0, "00000000000000000000.index"));
	(void)world_append(0, (struct batch_of){.count = 1});
	CU_ASSERT_EQUAL(w.result.base_offset, 5);
	CU_ASSERT_EQUAL(world_read(0), 6);
	world_end();
}

static void
a_segment_older_than_segment_ms_is_left_with_the_next_batch(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.segment_ms = 60000;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	(void)world_append(0, (struct batch_of){.count = 1});
	world_turns(59000);
	(void)world_append(0, (struct batch_of){.count = 1});
	CU_ASSERT_EQUAL(world_count(0, ".log"), 1);
	world_turns(1500);
	/* Without a spare appends go on in the old one; here it was made ahead. */
	(void)world_append(0, (struct batch_of){.count = 1});
	world_settle();
	CU_ASSERT_TRUE(world_has(0, "00000000000000000002.log"));
	CU_ASSERT_EQUAL(world_read(0), 3);
	world_end();
}

static void
what_is_too_large_is_refused_and_takes_no_offset(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(
		world_append_as(0, (struct batch_of){.value = WORLD_SEGMENT}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(w.result.base_offset, -1);
	/* As large as a segment: a new one for itself. */
	(void)world_append(0, (struct batch_of){.count = 1});
	(void)world_append(0, (struct batch_of){.value = WORLD_SEGMENT - 61 - 13});
	CU_ASSERT_TRUE(w.length > WORLD_SEGMENT - 8 && w.length <= WORLD_SEGMENT);
	CU_ASSERT_EQUAL(w.result.base_offset, 1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.max_message_bytes = 1000;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.value = 1000}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.value = 800}, 0), APPEND_STORED);
	CU_ASSERT_EQUAL(w.result.base_offset, 0);
	world_end();
}

static void
timestamps_outside_the_topics_limits_are_refused(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.timestamp_before_max_ms = 5000;
	w.config.timestamp_after_max_ms = 1000;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	world_first(0);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.timestamp = w.wall_ms - 5000}, 0),
		APPEND_STORED);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.timestamp = w.wall_ms - 5001}, 0),
		APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_INVALID_TIMESTAMP);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.timestamp = w.wall_ms + 1000}, 0),
		APPEND_STORED);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.timestamp = w.wall_ms + 1001}, 0),
		APPEND_REFUSED);
	CU_ASSERT_EQUAL(
		world_append_as(0, (struct batch_of){.timestamp = INT64_MIN}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(
		world_append_as(0, (struct batch_of){.timestamp = INT64_MAX}, 0), APPEND_REFUSED);
	world_end();
}

static void
a_topic_with_log_append_time_stamps_and_never_backwards(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.log_append_time = true;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	world_first(0);
	(void)world_append(0, (struct batch_of){.count = 2, .timestamp = 5, .step_ms = -9});
	CU_ASSERT_EQUAL(w.result.append_ms, w.wall_ms);
	CU_ASSERT_EQUAL(rb_max_timestamp(w.batch), w.wall_ms);
	CU_ASSERT_EQUAL(rb_attributes(w.batch), RB_ATTR_LOG_APPEND);
	w.wall_ms -= 100000; /* the clock was put back */
	(void)world_append(0, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.append_ms, w.wall_ms + 100000);
	CU_ASSERT_EQUAL(world_read(0), 4); /* checksums as stamped */
	world_end();
}

static void
the_bytes_are_the_producers_but_for_offset_and_epoch(void)
{
	uint8_t stored[4096], sent[4096];
	struct storage_range r;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 7});
	CU_ASSERT_EQUAL(
		world_append_as(0,
			(struct batch_of){.count = 3, .value = 500, .producer = 8, .epoch = 1}, 0),
		APPEND_STORED);
	memcpy(sent, w.batch, w.length);
	(void)storage_publish(w.part[0]);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 7, 4096, true, &r), 0);
	CU_ASSERT_EQUAL(r.length, w.length);
	CU_ASSERT_EQUAL(pread(r.fd, stored, r.length, (off_t)r.position), r.length);
	storage_unpin(r.pinned);
	CU_ASSERT_EQUAL(rb_base_offset(stored), 7);
	CU_ASSERT_EQUAL(rb_leader_epoch(stored), 0);
	memcpy(stored, sent, 8);
	memcpy(stored + RB_LEADER_EPOCH, sent + RB_LEADER_EPOCH, 4);
	CU_ASSERT_EQUAL(memcmp(stored, sent, w.length), 0);
	world_end();
}

static enum append_verdict
as_producer(int32_t sequence, int16_t epoch, unsigned flags)
{
	return world_append_as(0,
		(struct batch_of){
			.count = 10, .producer = 77, .epoch = epoch, .sequence = sequence},
		flags);
}

static void
a_producers_batches_are_stored_once_and_in_order(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(as_producer(5, 0, APPEND_UDP), APPEND_EARLY);
	CU_ASSERT_EQUAL(as_producer(0, 0, APPEND_UDP), APPEND_STORED);
	CU_ASSERT_EQUAL(as_producer(10, 0, 0), APPEND_STORED);
	CU_ASSERT_EQUAL(as_producer(0, 0, APPEND_UDP), APPEND_DUPLICATE);
	CU_ASSERT_TRUE(w.result.error == 0 && w.result.base_offset == 0);
	CU_ASSERT_EQUAL(as_producer(5, 0, 0), APPEND_DUPLICATE);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_DUPLICATE_SEQUENCE_NUMBER);
	CU_ASSERT_EQUAL(w.result.base_offset, -1);
	CU_ASSERT_EQUAL(as_producer(15, 0, APPEND_UDP), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_EQUAL(as_producer(30, 0, APPEND_UDP), APPEND_EARLY);
	CU_ASSERT_EQUAL(as_producer(30, 0, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_EQUAL(as_producer(0, 1, APPEND_UDP), APPEND_STORED);
	CU_ASSERT_EQUAL(as_producer(20, 0, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_INVALID_PRODUCER_EPOCH);
	(void)storage_publish(w.part[0]);
	CU_ASSERT_EQUAL(world_read(0), 30);
	world_end();
}

static enum append_verdict
of_77(int32_t sequence, uint32_t value)
{
	return world_append_as(0, (struct batch_of){.value = value, .producer = 77, .sequence = sequence}, 0);
}

/* A large batch finds no room, the small one sent behind it would. */
static void
behind_a_batch_that_was_given_up_an_unknown_producers_next_is_45(void)
{
	world_begin(1);
	while (world_append_as(0, (struct batch_of){.value = 1000}, 0) == APPEND_STORED)
		;
	CU_ASSERT_EQUAL(of_77(0, 1000), APPEND_WAIT);
	storage_give_up(w.part[0], w.batch, w.length, APPEND_CHECKED, w.now_ns);
	CU_ASSERT_EQUAL(of_77(1, 10), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	(void)world_append(0, (struct batch_of){.value = 1000, .producer = 77});
	CU_ASSERT_EQUAL(of_77(1, 10), APPEND_STORED);
	/* Unexamined, behind others that wait: damaged bytes are nobody's. */
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.value = 10, .producer = 78}, APPEND_UDP), APPEND_STORED);
	put_be64(w.batch + RB_PRODUCER_ID, 79);
	storage_give_up(w.part[0], w.batch, w.length, 0, w.now_ns);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.producer = 79, .sequence = 1}, 0), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	world_end();
}

/* Nor does its client send it again as it is: as in Kafka, the next one may begin. */
static void
behind_a_first_batch_that_is_too_large_the_next_may_begin(void)
{
	world_begin(1);
	world_first(0);
	CU_ASSERT_EQUAL(of_77(0, WORLD_SEGMENT), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(of_77(1, 10), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	world_end();
}

static void
a_damaged_batch_is_refused_and_a_checked_one_is_not_checked_again(void)
{
	world_begin(1);
	world_first(0);
	w.length = make_batch(w.batch, (struct batch_of){.value = 100});
	w.batch[100] ^= 1;
	CU_ASSERT_EQUAL(
		storage_append(w.part[0], w.batch, w.length, 0, w.now_ns, w.wall_ms, &w.result),
		APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_CORRUPT_MESSAGE);
	w.batch[100] ^= 1;
	w.batch[w.length] = 0;
	CU_ASSERT_EQUAL(
		storage_append(w.part[0], w.batch, w.length + 1, 0, w.now_ns, w.wall_ms, &w.result),
		APPEND_REFUSED); /* TCP: exactly one batch */
	CU_ASSERT_EQUAL(storage_append(w.part[0], w.batch, w.length + 1, APPEND_UDP, w.now_ns,
				w.wall_ms, &w.result),
		APPEND_STORED);
	w.batch[100] ^= 1;
	CU_ASSERT_EQUAL(storage_append(w.part[0], w.batch, w.length, APPEND_CHECKED, w.now_ns,
				w.wall_ms, &w.result),
		APPEND_STORED);
	world_end();
}

/* A retry of a stored batch succeeds though a limit was lowered since: rule 10 before 11. */
static void
a_duplicate_is_recognised_before_limits_are_judged(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(as_producer(0, 0, 0), APPEND_STORED);
	w.config.max_message_bytes = 10;
	storage_configure(w.part[0], &w.config);
	CU_ASSERT_EQUAL(as_producer(0, 0, 0), APPEND_DUPLICATE);
	CU_ASSERT_EQUAL(as_producer(10, 0, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	world_end();
}

/* ---- Commit numbers ----------------------------------------------------------------------- */

/* The hook runs inside the commit, after K1 and T2: what is appended there must not be claimed by
 * it. */
static uint64_t promised;

static int
append_while_syncing(enum io_kind kind, int fd, const char *name)
{
	if (kind != IO_SYNC_RANGE || promised)
		return 0;
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 4}, 0), APPEND_STORED);
	promised = storage_publish(w.part[0]);
	return 0;
}

static void
a_batch_appended_after_a_commit_began_is_covered_by_the_next(void)
{
	uint64_t first;

	world_begin(1);
	promised = 0;
	first = world_append(0, (struct batch_of){.count = 6});
	CU_ASSERT_EQUAL(first, storage_commit_done(w.s) + 1);
	fake.hook = append_while_syncing;
	storage_want_disk(w.s, 3, first);
	for (unsigned i = 0; i < 50 && storage_commit_done(w.s) < first; i++)
		world_turns(1);
	look(0);
	CU_ASSERT_EQUAL(storage_commit_done(w.s), first);
	CU_ASSERT_EQUAL(promised, first + 1);
	CU_ASSERT_EQUAL(ends.durable, 6);
	CU_ASSERT_EQUAL(ends.end, 10);
	storage_want_disk(w.s, 3, promised);
	for (unsigned i = 0; i < 50 && storage_commit_done(w.s) < promised; i++)
		world_turns(1);
	look(0);
	CU_ASSERT_EQUAL(ends.durable, 10);
	world_end();
}

static void
a_run_of_duplicates_names_a_commit_that_covers_them(void)
{
	uint64_t n;

	world_begin(1);
	CU_ASSERT_EQUAL(as_producer(0, 0, 0), APPEND_STORED);
	(void)storage_publish(w.part[0]);
	CU_ASSERT_EQUAL(as_producer(0, 0, 0), APPEND_DUPLICATE);
	n = storage_publish(w.part[0]);
	storage_want_disk(w.s, 0, n);
	world_turns(5);
	CU_ASSERT_EQUAL(storage_commit_done(w.s), n);
	look(0);
	CU_ASSERT_EQUAL(ends.durable, 10);
	world_end();
}

static void
flush_messages_orders_a_commit_at_once(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.flush_messages = 10;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	world_turns(200);
	(void)world_append(0, (struct batch_of){.count = 1}); /* heats it: the turn is quick */
	world_sync();
	(void)world_append(0, (struct batch_of){.count = 8});
	world_turns(3);
	look(0);
	CU_ASSERT_EQUAL(ends.durable, 1);
	(void)world_append(0, (struct batch_of){.count = 2});
	world_turns(3);
	look(0);
	CU_ASSERT_EQUAL(ends.durable, 11);
	world_end();
}

static const struct ut_test tests[] = {
	UT("offsets", offsets_are_dense_from_0_in_each_partition),
	UT("offsets", nothing_is_visible_before_it_is_published),
	UT("offsets", the_bytes_are_the_producers_but_for_offset_and_epoch),
	UT("calls", appending_and_publishing_make_no_system_call),
	UT("room", without_room_a_batch_waits_and_a_turn_releases_it),
	UT("room", what_was_asked_for_is_forgotten_once_a_batch_is_stored),
	UT("room", a_full_segment_is_left_for_the_spare_and_none_straddles),
	UT("room", a_roll_by_order_takes_the_spare_and_never_leaves_an_empty_segment),
	UT("room", a_segment_older_than_segment_ms_is_left_with_the_next_batch),
	UT("verdicts", what_is_too_large_is_refused_and_takes_no_offset),
	UT("verdicts", timestamps_outside_the_topics_limits_are_refused),
	UT("verdicts", a_topic_with_log_append_time_stamps_and_never_backwards),
	UT("verdicts", a_producers_batches_are_stored_once_and_in_order),
	UT("verdicts", behind_a_batch_that_was_given_up_an_unknown_producers_next_is_45),
	UT("verdicts", behind_a_first_batch_that_is_too_large_the_next_may_begin),
	UT("verdicts", a_damaged_batch_is_refused_and_a_checked_one_is_not_checked_again),
	UT("verdicts", a_duplicate_is_recognised_before_limits_are_judged),
	UT("commits", a_batch_appended_after_a_commit_began_is_covered_by_the_next),
	UT("commits", a_run_of_duplicates_names_a_commit_that_covers_them),
	UT("commits", flush_messages_orders_a_commit_at_once),
};

UT_MAIN(tests)
