/* SPDX-License-Identifier: MIT
 * offsets_log_ut.c - the log of committed offsets: what a start reads, and that a renewal takes nothing back. */
#include "tests/unit/control/offset_client.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <unistd.h>

static void
a_start_reads_what_was_committed_last(void)
{
	begin();
	for (int64_t i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(commit(i % 2 ? "g" : "h", "t", (int32_t)(i % 3), i), 0);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 45);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 49);
	CU_ASSERT_EQUAL(fetch("h", "t", 0), 48);
	CU_ASSERT_EQUAL(fetch("h", "t", 2), 44);
	CU_ASSERT_EQUAL(commit("h", "t", 2, 99), 0);
	restart();
	CU_ASSERT_EQUAL(fetch("h", "t", 2), 99);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 49);
	end();
}

/* With less memory than before nothing more is taken in, but what was promised is there. */
static void
a_start_with_less_memory_drops_nothing(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("h", "t", 1, 2), 0);
	world_run(&w);
	w.ctl->groups.limits.memory_max = 1;
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1);
	CU_ASSERT_EQUAL(fetch("h", "t", 1), 2);
	CU_ASSERT_EQUAL(commit("i", "t", 1, 2), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	end();
}

static void
a_halted_log_leaves_groups_unserved_and_records_served(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	fake_set_state(log_part(), PART_HALTED);
	restart();
	CU_ASSERT_EQUAL(group_log_state(w.ctl->group_log), GROUP_LOG_BROKEN);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	end();
}

/* Two commits per turn of the test, one of them still under way when the state is written. */
static void
a_renewal_keeps_all_and_takes_nothing_back(void)
{
	static const char *const options[] = {"--offsets-topic-segment-bytes", "1048576", NULL};
	struct partition_ends ends;
	const struct one one[] = {{"t", 0, 1000, "m"}, {"u", 0, 5, "m"}}; /* one that was there, one that was not */
	int other;

	begin_with(options);
	other = world_connect(&w);
	CU_ASSERT_EQUAL(commit("old", "t", 2, 77), 0);
	for (int64_t i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(commit("g", "t", (int32_t)(i % 3), i), 0);
	w.ctl->group_log->part[0].bytes = 3 * 1048576; /* as if so much had been appended */
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, one, 2);          /* appended, not answered */
	world_send(&w, other);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 18);
	w.lazy = true;
	world_pass(&w, 2 * NS_PER_S);                  /* looks, and orders the roll */
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_ROLLING);
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_EQUAL(fake_rolls(log_part()), 1);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_WRITING); /* the disk is waited for */
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	fake.hold_commits = false;
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_IDLE);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 23);               /* 21 commits, and the two under way */
	CU_ASSERT_EQUAL(ends.end, 28);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1000);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1000);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 19);
	CU_ASSERT_EQUAL(fetch("g", "t", 2), 17);
	CU_ASSERT_EQUAL(fetch("g", "u", 0), 5);
	CU_ASSERT_EQUAL(fetch("old", "t", 2), 77);
	(void)close(other);
	end();
}

static void
a_renewal_that_fails_moves_nothing_and_comes_again(void)
{
	static const char *const options[] = {"--offsets-topic-segment-bytes", "1048576", NULL};
	struct partition_ends ends;

	begin_with(options);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	w.ctl->group_log->part[0].bytes = 3 * 1048576;
	lcores.append_error = KIRA_E_KAFKA_STORAGE_ERROR;
	world_pass(&w, 2 * NS_PER_S);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_IDLE);
	lcores.append_error = 0;
	world_pass(&w, 30 * NS_PER_S);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	world_pass(&w, 40 * NS_PER_S);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 1);
	end();
}

#define MANY 900

/* Offsets of `topic` from partition `from` on, each so large that 64 fill a batch of a renewal. */
static void
commit_many(const char *topic, int32_t from, int32_t n, int64_t offset)
{
	static const uint8_t metadata[OFFSET_METADATA_MAX];
	const struct offset_record rec = {.offset = offset, .metadata = {metadata, sizeof(metadata)}};
	struct groups *gs = &w.ctl->groups;
	struct offset_commit *c = offsets_commit_make(gs, groups_find(gs, view_text("g")), (unsigned)n);

	for (int32_t i = 0; i < n; i++)
		CU_ASSERT_TRUE(offsets_commit_add(c, view_text(topic), from + i, &rec));
	offsets_commit_send(c, GROUP_LOG_APPENDED);
	offsets_commit_forget(c);
	world_run(&w);
}

static int64_t
kept(const char *topic, int32_t partition)
{
	struct offset_record rec;
	const bool found = offsets_find(groups_find(&w.ctl->groups, view_text("g")), view_text(topic), partition, &rec);

	return found ? rec.offset : -1;
}

/* Eight batches are under way at most, so that commits have room beside it; what they change is not taken back. */
static void
a_group_larger_than_all_that_may_be_under_way_is_renewed_in_parts(void)
{
	struct offset_commit *c;
	struct partition_ends ends;

	begin();
	(void)world_topic(&w, "many", MANY);
	(void)world_topic(&w, "before", 4);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	commit_many("many", 0, MANY, 1);
	w.ctl->group_log->part[0].bytes = 64 * 1048576;
	fake.hold_commits = true;
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_WRITING);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.batches, 8);
	CU_ASSERT_TRUE(w.ctl->group_log->bytes_used < 8 * 300 * 1024);
	commit_many("before", 3, 1, 7);              /* what is to be written next is one topic further now */
	commit_many("many", 1, 1, 8);                /* written already */
	commit_many("many", MANY - 1, 1, 9);         /* not yet */
	c = offsets_commit_make(&w.ctl->groups, groups_find(&w.ctl->groups, view_text("g")), 1);
	CU_ASSERT_TRUE(offsets_commit_remove(c, view_text("many"), MANY - 2));
	offsets_commit_send(c, GROUP_LOG_APPENDED);
	offsets_commit_forget(c);
	fake.hold_commits = false;
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_IDLE);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, MANY + 1);
	restart();
	CU_ASSERT_EQUAL(kept("t", 0), 1);
	for (int32_t i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(kept("many", i), i == 1 ? 8 : i == MANY - 2 ? -1 : i == MANY - 1 ? 9 : 1);
	CU_ASSERT_EQUAL(kept("before", 3), 7);
	end();
}

/* A full disk takes the oldest segments, wherever they are. */
static void
a_start_that_was_moved_from_outside_has_the_state_written_again(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 1, 2), 0);
	fake_set_start(log_part(), 2);
	world_pass(&w, 2 * NS_PER_S);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 2);
	end();
}

static const struct ut_test tests[] = {
	UT("log", a_start_reads_what_was_committed_last),
	UT("log", a_start_with_less_memory_drops_nothing),
	UT("log", a_halted_log_leaves_groups_unserved_and_records_served),
	UT("log", a_renewal_keeps_all_and_takes_nothing_back),
	UT("log", a_renewal_that_fails_moves_nothing_and_comes_again),
	UT("log", a_group_larger_than_all_that_may_be_under_way_is_renewed_in_parts),
	UT("log", a_start_that_was_moved_from_outside_has_the_state_written_again),
};

UT_MAIN(tests)
