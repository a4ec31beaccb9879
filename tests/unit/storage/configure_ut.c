/* SPDX-License-Identifier: MIT
 * configure_ut.c - a partition's configuration changes while it is written to: what acts at once, and what
 * with the next segment. */
#include "tests/unit/storage/world.h"

#define HALF (WORLD_SEGMENT / 2)

static void
begin(void)
{
	world_begin(1);
	world_first(0);
}

static enum append_verdict
append(struct batch_of o)
{
	const enum append_verdict v = world_append_as(0, o, 0);

	(void)storage_publish(w.part[0]);
	return v;
}

static void
limits_are_those_of_the_next_batch(void)
{
	struct partition_config config;

	begin();
	config = w.config;
	CU_ASSERT_EQUAL(append((struct batch_of){.value = 1000}), APPEND_STORED);
	config.max_message_bytes = 1000;
	config.timestamp_before_max_ms = 5000;
	storage_configure(w.part[0], &config);
	CU_ASSERT_EQUAL(append((struct batch_of){.value = 1000}), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(append((struct batch_of){.timestamp = w.wall_ms - 5001}), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_INVALID_TIMESTAMP);
	CU_ASSERT_EQUAL(append((struct batch_of){.value = 800}), APPEND_STORED);
	storage_configure(w.part[0], &w.config);
	CU_ASSERT_EQUAL(append((struct batch_of){.value = 1000}), APPEND_STORED);
	CU_ASSERT_EQUAL(world_read(0), 3);
	world_end();
}

static void
stamps_begin_and_end_with_the_next_batch(void)
{
	struct partition_config config;

	begin();
	config = w.config;
	CU_ASSERT_EQUAL(append((struct batch_of){.timestamp = 5}), APPEND_STORED);
	CU_ASSERT_EQUAL(w.result.append_ms, -1);
	config.log_append_time = true;
	storage_configure(w.part[0], &config);
	CU_ASSERT_EQUAL(append((struct batch_of){.timestamp = 5}), APPEND_STORED);
	CU_ASSERT_EQUAL(w.result.append_ms, w.wall_ms);
	storage_configure(w.part[0], &w.config);
	CU_ASSERT_EQUAL(append((struct batch_of){.timestamp = 5}), APPEND_STORED);
	CU_ASSERT_EQUAL(w.result.append_ms, -1);
	CU_ASSERT_EQUAL(rb_max_timestamp(w.batch), 5);
	CU_ASSERT_EQUAL(world_read(0), 3);
	world_end();
}

/* Stopped, or killed, and started again `late_ms` later by its clock. */
static void
again(bool kill, int64_t late_ms)
{
	if (kill)
		world_kill();
	else
		CU_ASSERT_EQUAL(world_stop(), 0);
	w.wall_ms += late_ms;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	(void)world_append(0, (struct batch_of){.timestamp = 5});
}

/* The last append time, that is; what a producer had set ahead of the clock is none. */
static void
append_times_go_on_behind_a_start(void)
{
	int64_t stamped;

	for (unsigned kill = 0; kill < 2; kill++) {
		begin();
		w.config.timestamp_before_max_ms = w.config.timestamp_after_max_ms = INT64_MAX;
		storage_configure(w.part[0], &w.config);
		(void)world_append(0, (struct batch_of){.timestamp = w.wall_ms + 3600000});
		w.config.log_append_time = true;
		again(kill, 0);
		CU_ASSERT(w.result.append_ms > 0 && w.result.append_ms <= w.wall_ms);
		/* In one segment with such a one. */
		w.config.log_append_time = false;
		storage_configure(w.part[0], &w.config);
		(void)world_append(0, (struct batch_of){.timestamp = w.wall_ms + 3600000});
		w.config.log_append_time = true;
		storage_configure(w.part[0], &w.config);
		(void)world_append(0, (struct batch_of){.timestamp = 5});
		stamped = w.wall_ms;
		CU_ASSERT_EQUAL(w.result.append_ms, stamped);
		again(kill, -1000);
		CU_ASSERT_EQUAL(w.result.append_ms, stamped);
		again(kill, 2000);
		CU_ASSERT(w.result.append_ms > stamped && w.result.append_ms <= w.wall_ms);
		CU_ASSERT_EQUAL(world_read(0), 6);
		world_end();
	}
}

/* While the topic was LogAppendTime its timestamps were not judged, and what was checked is not checked
 * again. */
static void
a_batch_that_waited_is_judged_by_what_holds_now(void)
{
	struct partition_config config;

	begin();
	config = w.config;
	config.log_append_time = true;
	storage_configure(w.part[0], &config);
	CU_ASSERT_EQUAL(append((struct batch_of){.timestamp = 5}), APPEND_STORED);
	put_be64(w.batch + RB_MAX_TIMESTAMP, UINT64_MAX); /* unset */
	put_be16(w.batch + RB_ATTRIBUTES, 0);
	storage_configure(w.part[0], &w.config);
	CU_ASSERT_EQUAL(storage_append(w.part[0], w.batch, w.length, APPEND_CHECKED, w.now_ns, w.wall_ms,
		&w.result), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_INVALID_TIMESTAMP);
	storage_configure(w.part[0], &config);
	CU_ASSERT_EQUAL(storage_append(w.part[0], w.batch, w.length, APPEND_CHECKED, w.now_ns, w.wall_ms,
		&w.result), APPEND_STORED);
	world_end();
}

static void
retention_takes_what_the_new_limit_allows(void)
{
	struct partition_config config;
	struct partition_ends ends;

	begin();
	config = w.config;
	world_fill(0, 8 * WORLD_SEGMENT);
	world_settle();
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	config.retention_bytes = 2 * WORLD_SEGMENT;
	storage_configure(w.part[0], &config);
	world_settle();
	CU_ASSERT_TRUE(storage_bytes(w.part[0]) >= 2 * WORLD_SEGMENT);
	CU_ASSERT_TRUE(storage_bytes(w.part[0]) < 3 * WORLD_SEGMENT);
	config.retention_bytes = -1;
	config.retention_ms = 60000;
	storage_configure(w.part[0], &config);
	world_turns(61000);
	world_settle();
	CU_ASSERT_TRUE(storage_bytes(w.part[0]) < WORLD_SEGMENT);
	world_end();
}

static void
an_older_segment_is_rolled_once_segment_ms_says_so(void)
{
	struct partition_config config;

	begin();
	config = w.config;
	CU_ASSERT_EQUAL(append((struct batch_of){0}), APPEND_STORED);
	world_turns(5000);
	CU_ASSERT_FALSE(storage_roll_due(w.part[0], w.now_ns));
	config.segment_ms = 4000;
	storage_configure(w.part[0], &config);
	CU_ASSERT_TRUE(storage_roll_due(w.part[0], w.now_ns));
	world_end();
}

/* One segment is made ahead, as small as before; what is larger waits for no room that will not come. */
static void
larger_segments_come_after_the_one_made_ahead(void)
{
	const struct batch_of large = {.value = WORLD_SEGMENT + 1000};
	struct partition_config config;

	begin();
	config = w.config;
	config.segment_bytes = 4 * WORLD_SEGMENT;
	world_fill(0, HALF + 4096); /* half full: the next is made */
	world_turns(10);
	storage_configure(w.part[0], &config);
	CU_ASSERT_EQUAL(append(large), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	world_fill(0, HALF); /* into the one made ahead, and what comes after it is made anew */
	world_turns(10);
	(void)world_append(0, large);
	world_settle();
	CU_ASSERT_TRUE(world_read(0) > 0);
	/* And small again: what the new limit refuses, though the segment had room. */
	storage_configure(w.part[0], &w.config);
	CU_ASSERT_EQUAL(append(large), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(append((struct batch_of){.value = 1000}), APPEND_STORED);
	world_end();
}

static void
an_empty_segment_as_small_as_before_takes_what_fits_it(void)
{
	struct partition_config config;

	begin();
	config = w.config;
	config.segment_bytes = 4 * WORLD_SEGMENT;
	world_fill(0, HALF + 4096);
	world_turns(10);
	storage_configure(w.part[0], &config);
	storage_roll(w.part[0], w.now_ns); /* into the one made ahead: it is empty now */
	CU_ASSERT_EQUAL(append((struct batch_of){.value = WORLD_SEGMENT + 1000}), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(atomic_load(&w.part[0]->want), 0); /* nothing is asked for in vain */
	(void)world_append(0, (struct batch_of){.value = 1000});
	world_end();
}

/* Made ahead while segment.bytes was small, and taken for its time, not for want of room: too small for the batch
 * that came first. Nobody would ever make room for that in it, and all others of the partition stand behind. */
static void
a_roll_for_time_into_a_smaller_segment_lets_no_batch_wait_for_ever(void)
{
	const struct batch_of large = {.value = WORLD_SEGMENT + 1000};
	struct partition_config config;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.segment_bytes = 4 * WORLD_SEGMENT;
	w.config.segment_ms = 8000; /* the next one is made at once */
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	world_first(0);
	config = w.config;
	config.segment_bytes = WORLD_SEGMENT;
	storage_configure(w.part[0], &config);
	(void)world_append(0, (struct batch_of){.value = 1000});
	world_turns(10);
	CU_ASSERT_EQUAL_FATAL(w.part[0]->f.given->size, WORLD_SEGMENT);
	storage_configure(w.part[0], &w.config);
	world_turns(9000);
	for (unsigned i = 0; i < 3000 && append(large) == APPEND_WAIT; i++) {
		world_turns(1);
		if (storage_has_room(w.part[0]))
			break;
	}
	CU_ASSERT_TRUE_FATAL(storage_has_room(w.part[0]));
	CU_ASSERT_EQUAL(append(large), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(append((struct batch_of){.value = 1000}), APPEND_STORED);
	world_end();
}

static void
consumers_see_what_the_new_visibility_shows(void)
{
	struct partition_config config;
	struct partition_ends ends;

	begin();
	config = w.config;
	CU_ASSERT_EQUAL(append((struct batch_of){.count = 3}), APPEND_STORED);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.visible, 3);
	config.visible_at_disk = true;
	storage_configure(w.part[0], &config);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.visible, 0);
	world_sync();
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.visible, 3);
	world_end();
}

static void
commits_come_as_often_as_the_lowest_flush_ms_asks(void)
{
	struct partition_config config;

	begin();
	config = w.config;
	config.flush_ms = 7;
	storage_configure(w.part[0], &config);
	world_turns(1000); /* looked at twice a second */
	CU_ASSERT_EQUAL(w.s->flush.flush_ns, 7 * NS_PER_MS);
	storage_configure(w.part[0], &w.config);
	world_turns(1000);
	CU_ASSERT_EQUAL(w.s->flush.flush_ns, w.o.flush_ms * NS_PER_MS);
	world_end();
}

static const struct ut_test tests[] = {
	UT("configure", limits_are_those_of_the_next_batch),
	UT("configure", stamps_begin_and_end_with_the_next_batch),
	UT("configure", append_times_go_on_behind_a_start),
	UT("configure", a_batch_that_waited_is_judged_by_what_holds_now),
	UT("configure", retention_takes_what_the_new_limit_allows),
	UT("configure", an_older_segment_is_rolled_once_segment_ms_says_so),
	UT("configure", larger_segments_come_after_the_one_made_ahead),
	UT("configure", an_empty_segment_as_small_as_before_takes_what_fits_it),
	UT("configure", a_roll_for_time_into_a_smaller_segment_lets_no_batch_wait_for_ever),
	UT("configure", consumers_see_what_the_new_visibility_shows),
	UT("configure", commits_come_as_often_as_the_lowest_flush_ms_asks),
};
UT_MAIN(tests)
