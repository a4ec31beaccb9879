/* SPDX-License-Identifier: MIT
 * group_time_ut.c - a group over time: its timers, members that come back under the same name, what is kept over
 * a restart, memory. */
#include "tests/unit/control/group_stage.h"
#include "tests/unit/ut.h"

#include "base/writer.h"

#include <kira/errors.h>

static struct asked a[8], b, s[8];

/* ---- Timers ---- */

static void
the_first_round_waits_again_while_members_come_but_not_beyond_the_rebalance_timeout(void)
{
	stage_open(3000, 20);
	joins("g", "", &a[0]);
	stage_pass(2999);
	CU_ASSERT_EQUAL(a[0].answers, 0);
	joins("g", "", &a[1]);
	/* One came (the first counts): 3 s more. */
	stage_pass(3000);
	CU_ASSERT_EQUAL(a[0].answers, 0);
	stage_pass(3001);
	CU_ASSERT_EQUAL(a[0].answers, 1);
	CU_ASSERT_EQUAL(a[0].members, 2);
	stage_close();

	stage_open(3000, 20);
	for (unsigned i = 0; i < 8; i++) {
		joins("g", "", &a[i]);
		stage_pass(2500);
	}
	CU_ASSERT_EQUAL(a[0].answers, 0);
	for (unsigned i = 0; i < 4; i++) {
		joins("g", "", &s[i]);
		stage_pass(2500);
	}
	CU_ASSERT_EQUAL(a[0].answers, 1);
	CU_ASSERT_EQUAL(a[0].members, 12);
	stage_close();
}

static void
who_does_not_come_back_within_the_rebalance_timeout_is_dropped(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", "", &s[0]);
	joins("g", a[1].member, &s[1]);
	for (unsigned t = 0; t < 29; t++) {
		stage_pass(1000);
		/* It beats, but does not join. */
		CU_ASSERT_EQUAL(beats("g", a[0].member, a[0].generation), KIRA_E_REBALANCE_IN_PROGRESS);
	}
	CU_ASSERT_EQUAL(s[0].answers, 0);
	stage_pass(1000);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	CU_ASSERT_EQUAL(s[1].answers, 1);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 2);
	/* The leader was the one that is gone. */
	CU_ASSERT_STRING_EQUAL(s[1].leader, a[1].member);
	CU_ASSERT_EQUAL(s[1].members, 2);
	CU_ASSERT_EQUAL(beats("g", a[0].member, a[0].generation), KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static void
the_longest_rebalance_timeout_of_the_members_counts(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_stable("g", 1, a);
	q = stage_join("g", "", NULL);
	q.rebalance_ms = 60000;
	q.session_ms = 70000;
	join(&q, &s[0]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	for (unsigned t = 0; t < 59; t++) {
		stage_pass(1000);
		(void)beats("g", a[0].member, 1);
	}
	CU_ASSERT_EQUAL(s[0].answers, 0);
	stage_pass(1000);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	stage_close();
}

static void
v0_knows_no_rebalance_timeout_its_session_timeout_serves(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stage_join("g", "", NULL);
	q.rebalance_ms = -1;
	join(&q, &a[0]);
	CU_ASSERT_EQUAL(stage_group("g")->members->rebalance_ms, 10000);
	stage_close();
}

static void
who_does_not_sync_within_the_rebalance_timeout_is_removed(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", a[0].member, &s[0]);
	joins("g", a[1].member, &s[1]);
	syncs("g", &s[0], &s[2]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	for (unsigned t = 0; t < 30; t++) {
		stage_pass(1000);
		(void)beats("g", a[0].member, s[0].generation);
		(void)beats("g", a[1].member, s[1].generation);
	}
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	stage_close();
}

static void
a_leader_that_never_assigns_does_not_hold_the_others_for_ever(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", a[0].member, &s[0]);
	joins("g", a[1].member, &s[1]);
	syncs("g", &s[1], &s[2]);
	for (unsigned t = 0; t < 30; t++) {
		stage_pass(1000);
		(void)beats("g", a[0].member, s[0].generation);
	}
	CU_ASSERT_EQUAL(s[2].answers, 1);
	CU_ASSERT_EQUAL(s[2].error, KIRA_E_REBALANCE_IN_PROGRESS);
	stage_close();
}

static void
a_member_lives_as_long_as_it_beats_commits_or_waits(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	for (unsigned t = 0; t < 5; t++) {
		stage_pass(9999);
		CU_ASSERT_EQUAL(beats("g", a[0].member, a[0].generation), 0);
		CU_ASSERT_EQUAL(commits("g", a[1].member, a[1].generation), 0);
	}
	stage_pass(9999);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	CU_ASSERT_EQUAL(beats("g", a[0].member, a[0].generation), 0);
	stage_pass(1);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	/* Parked: nobody expects it to beat. */
	joins("g", a[0].member, &s[0]);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	joins("g", "", &s[1]);
	joins("g", "", &s[2]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	joins("g", a[0].member, &s[3]);
	CU_ASSERT_EQUAL(s[3].answers, 1);
	syncs("g", &s[1], &s[4]);
	stage_pass(19999);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	CU_ASSERT_EQUAL(s[4].error, KIRA_E_REBALANCE_IN_PROGRESS);
	stage_close();
}

static void
a_group_whose_members_all_expire_is_empty(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	stage_pass(10000);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_EMPTY);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 0);
	CU_ASSERT_EQUAL(stage_group("g")->generation, 3);
	stage_close();
}

static void
a_parked_join_whose_connection_dies_keeps_its_place(void)
{
	stage_open(0, 10);
	stage_stable("g", 1, a);
	joins("g", "", &s[0]);
	group_forget(&s[0].w);
	joins("g", a[0].member, &s[1]);
	/* Nobody was there to be answered, the member is. */
	CU_ASSERT_EQUAL(s[0].answers, 0);
	CU_ASSERT_EQUAL(s[1].members, 2);
	syncs("g", &s[1], &s[2]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	/* Its session has begun with the answer; it does not beat. */
	stage_pass(9999);
	(void)beats("g", a[0].member, s[1].generation);
	stage_pass(1);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	stage_close();
}

static void
a_new_member_is_waited_for_five_minutes_at_most(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stage_join("g", "", NULL);
	q.session_ms = 1800000;
	q.rebalance_ms = 1800000;
	join(&q, &a[0]);
	syncs("g", &a[0], &s[0]);
	joins("g", "", &s[1]);
	stage_pass(299999);
	CU_ASSERT_EQUAL(s[1].answers, 0);
	stage_pass(1);
	CU_ASSERT_EQUAL(s[1].answers, 1);
	CU_ASSERT_EQUAL(s[1].error, KIRA_E_UNKNOWN_MEMBER_ID);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	stage_close();
}

/* ---- Static members ---- */

static struct group_join_request
stays(const char *member, const char *instance)
{
	return stage_join("g", member, instance);
}

static void
stable_static(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stays("", "i1");
	join(&q, &a[0]);
	q = stays("", "i2");
	join(&q, &a[1]);
	q = stays(a[0].member, "i1");
	join(&q, &a[2]);
	sync_as("g", a[2].member, "i1", 2, &s[0]);
	sync_as("g", a[1].member, "i2", 2, &s[1]);
	CU_ASSERT_EQUAL_FATAL(state_of("g"), GROUP_STABLE);
}

static void
an_instance_that_comes_back_gets_a_new_id_and_nobody_else_notices(void)
{
	struct group_join_request q;

	stable_static();
	CU_ASSERT_EQUAL(strncmp(a[1].member, "i2-", 3), 0);
	q = stays("", "i2");
	q.id_required = true;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.answers, 1);
	CU_ASSERT_EQUAL(b.error, 0);
	CU_ASSERT_EQUAL(b.generation, 2);
	CU_ASSERT_STRING_NOT_EQUAL(b.member, a[1].member);
	CU_ASSERT_STRING_EQUAL(b.leader, a[0].member);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	/* The new id is kept. */
	CU_ASSERT_PTR_NOT_NULL(memmem(stage.log.value, stage.log.value_length, b.member, strlen(b.member)));
	sync_as("g", b.member, "i2", 2, &s[2]);
	CU_ASSERT_STRING_EQUAL(s[2].assignment + 1, a[1].member);
	/* The old one is fenced. */
	sync_as("g", a[1].member, "i2", 2, &s[3]);
	CU_ASSERT_EQUAL(s[3].error, KIRA_E_FENCED_INSTANCE_ID);
	sync_as("g", a[1].member, NULL, 2, &s[3]);
	CU_ASSERT_EQUAL(s[3].error, KIRA_E_UNKNOWN_MEMBER_ID);
	sync_as("g", a[1].member, "i9", 2, &s[3]);
	CU_ASSERT_EQUAL(s[3].error, KIRA_E_UNKNOWN_MEMBER_ID);
	q = stays(a[1].member, "i2");
	join(&q, &s[4]);
	CU_ASSERT_EQUAL(s[4].error, KIRA_E_FENCED_INSTANCE_ID);
	stage_close();
}

static void
a_leader_that_comes_back_does_not_assign_again(void)
{
	struct group_join_request q;

	stable_static();
	q = stays("", "i1");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, 0);
	CU_ASSERT_STRING_EQUAL(b.leader, a[0].member);
	CU_ASSERT_STRING_NOT_EQUAL(b.member, a[0].member);
	CU_ASSERT_EQUAL(b.members, 0);
	CU_ASSERT_FALSE(b.skip);
	/* From v9 on it learns that it leads, and that there is nothing to do. */
	q.skip_offered = true;
	join(&q, &s[2]);
	CU_ASSERT_STRING_EQUAL(s[2].leader, s[2].member);
	CU_ASSERT(s[2].skip);
	CU_ASSERT_EQUAL(s[2].members, 2);
	CU_ASSERT_EQUAL(s[2].generation, 2);
	stage_close();
}

static void
an_instance_that_comes_back_with_another_protocol_begins_a_round(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stays("", "i1");
	stage_protocols(&q, "range sticky", "m");
	join(&q, &a[0]);
	sync_as("g", a[0].member, "i1", 1, &s[0]);
	CU_ASSERT_STRING_EQUAL(a[0].protocol, "range");
	q = stays("", "i1");
	stage_protocols(&q, "sticky", "m");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.answers, 1);
	CU_ASSERT_EQUAL(b.generation, 2);
	CU_ASSERT_STRING_EQUAL(b.protocol, "sticky");
	stage_close();
}

static void
parked_requests_of_a_fenced_id_are_told_at_once(void)
{
	struct group_join_request q;

	stable_static();
	joins("g", "", &s[2]);
	q = stays(a[1].member, "i2");
	join(&q, &s[3]);
	CU_ASSERT_EQUAL(s[3].answers, 0);
	q = stays("", "i2");
	join(&q, &s[4]);
	CU_ASSERT_EQUAL(s[3].answers, 1);
	CU_ASSERT_EQUAL(s[3].error, KIRA_E_FENCED_INSTANCE_ID);
	CU_ASSERT_EQUAL(s[4].answers, 0);
	q = stays(a[0].member, "i1");
	join(&q, &s[5]);
	CU_ASSERT_EQUAL(s[4].answers, 1);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	sync_as("g", s[4].member, "i2", s[4].generation, &s[6]);
	CU_ASSERT_EQUAL(s[6].answers, 0);
	q = stays("", "i2");
	join(&q, &s[7]);
	CU_ASSERT_EQUAL(s[6].answers, 1);
	CU_ASSERT_EQUAL(s[6].error, KIRA_E_FENCED_INSTANCE_ID);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage_close();
}

static void
an_absent_static_member_outlives_a_round_until_its_session_ends(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stays("", "i1");
	q.session_ms = 100000;
	join(&q, &a[0]);
	sync_as("g", a[0].member, "i1", 1, &s[0]);
	joins("g", "", &a[1]);
	stage_pass(30000);
	/* Not there, not dropped; the one that is there leads. */
	CU_ASSERT_EQUAL(a[1].answers, 1);
	CU_ASSERT_STRING_EQUAL(a[1].leader, a[1].member);
	CU_ASSERT_EQUAL(a[1].members, 2);
	syncs("g", &a[1], &s[1]);
	for (unsigned t = 0; t < 69; t++) {
		stage_pass(1000);
		CU_ASSERT_EQUAL(beats("g", a[1].member, a[1].generation), 0);
	}
	stage_pass(1001);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage_close();
}

static void
a_round_to_which_nobody_comes_is_waited_for_again(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stays("", "i1");
	q.session_ms = 100000;
	q.rebalance_ms = 0;
	join(&q, &a[0]);
	sync_as("g", a[0].member, "i1", 1, &s[0]);
	joins("g", "", &a[1]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT_EQUAL(leaves("g", "c-00000000-0000-0000-0000-000000000002", NULL), 0);
	stage_pass(50000);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT_EQUAL(stage_group("g")->generation, 1);
	stage_close();
}

static void
admin_tools_remove_an_instance_without_its_member_id(void)
{
	stable_static();
	CU_ASSERT_EQUAL(leaves("g", "", "i9"), KIRA_E_UNKNOWN_MEMBER_ID);
	CU_ASSERT_EQUAL(leaves("g", "x", "i2"), KIRA_E_FENCED_INSTANCE_ID);
	CU_ASSERT_EQUAL(leaves("g", "", "i2"), 0);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	stage_close();
}

static void
a_full_group_takes_an_instance_back(void)
{
	struct group_join_request q;

	stable_static();
	stage.gs.limits.members_max = 2;
	q = stays("", "i3");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_GROUP_MAX_SIZE_REACHED);
	q = stays("", "i2");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, 0);
	stage_close();
}

/* ---- What is kept ---- */

static uint8_t key[512], value[65536];
static struct view kept_key, kept_value;

static void
take_record(void)
{
	memcpy(key, stage.log.key, stage.log.key_length);
	memcpy(value, stage.log.value, stage.log.value_length);
	/* Without the leading version and the length of the group id. */
	kept_key = (struct view){key + 4, stage.log.key_length - 4};
	kept_value = (struct view){value, stage.log.value_length};
}

static void
a_restart_finds_members_and_assignments_and_gives_them_a_whole_session(void)
{
	stable_static();
	take_record();
	CU_ASSERT(view_same(kept_key, view_text("g")));
	stage_close();
	stage_open(0, 10);
	stage.now_ns = 7;
	CU_ASSERT(groups_replay(&stage.gs, kept_key, kept_value, stage.now_ns));
	groups_replayed(&stage.gs, stage.now_ns);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	CU_ASSERT(group_is_consumer(stage_group("g")));
	stage_pass(9999);
	{
		const struct group_claim q = {view_text("g"), view_text(a[0].member), view_text("i1"), 2};

		CU_ASSERT_EQUAL(group_heartbeat(&stage.gs, &q, stage.now_ns), 0);
	}
	sync_as("g", a[0].member, "i1", 2, &b);
	CU_ASSERT_STRING_EQUAL(b.assignment + 1, a[0].member);
	stage_pass(1);
	CU_ASSERT_EQUAL(stage_group("g")->member_count, 1);
	CU_ASSERT(view_same(stage_group("g")->members->client_host, view_text("/127.0.0.1")));
	stage_close();
}

static int16_t
beats_as(const char *member, const char *instance)
{
	const struct group_claim q = {view_text("g"), view_text(member), view_text(instance), 2};

	return group_heartbeat(&stage.gs, &q, stage.now_ns);
}

/* The record of its new id was not on disk: it joins again, and is not fenced for good. */
static void
an_instance_whose_new_id_a_power_cut_took_joins_again(void)
{
	struct group_join_request q;

	stable_static();
	take_record();
	q = stays("", "i2");
	join(&q, &b);
	CU_ASSERT_EQUAL(beats_as(b.member, "i2"), 0);
	stage_close();
	stage_open(0, 10);
	CU_ASSERT(groups_replay(&stage.gs, kept_key, kept_value, stage.now_ns));
	groups_replayed(&stage.gs, stage.now_ns);
	CU_ASSERT_EQUAL(beats_as(b.member, "i2"), KIRA_E_UNKNOWN_MEMBER_ID);
	q = stays("", "i2");
	join(&q, &s[2]);
	CU_ASSERT_EQUAL(s[2].error, 0);
	CU_ASSERT_EQUAL(beats_as(s[2].member, "i2"), 0);
	CU_ASSERT_EQUAL(beats_as(b.member, "i2"), KIRA_E_FENCED_INSTANCE_ID);
	/* One that was heard of by its id is sure of it. */
	CU_ASSERT_EQUAL(beats_as(a[0].member, "i1"), 0);
	CU_ASSERT_EQUAL(beats_as("x", "i1"), KIRA_E_FENCED_INSTANCE_ID);
	stage_close();
}

static void
a_restart_finds_the_leader_whoever_stands_first(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stays("", "i1");
	q.session_ms = 100000;
	join(&q, &a[0]);
	sync_as("g", a[0].member, "i1", 1, &s[0]);
	joins("g", "", &a[1]);
	stage_pass(30000);
	syncs("g", &a[1], &s[1]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	take_record();
	CU_ASSERT(groups_replay(&stage.gs, view_text("h"), kept_value, stage.now_ns));
	CU_ASSERT_PTR_EQUAL(stage_group("h")->leader, stage_group("h")->members_last);
	CU_ASSERT(view_same(stage_group("h")->leader->id, view_text(a[1].member)));
	groups_replayed(&stage.gs, stage.now_ns);
	stage_close();
}

static void
the_last_record_counts_and_a_removal_removes(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	take_record();
	CU_ASSERT(groups_replay(&stage.gs, view_text("h"), kept_value, stage.now_ns));
	CU_ASSERT(groups_replay(&stage.gs, view_text("h"), kept_value, stage.now_ns));
	CU_ASSERT_EQUAL(stage_group("h")->member_count, 2);
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), 0);
	CU_ASSERT_EQUAL(leaves("g", a[1].member, NULL), 0);
	take_record();
	CU_ASSERT(groups_replay(&stage.gs, view_text("h"), kept_value, stage.now_ns));
	CU_ASSERT_EQUAL(state_of("h"), GROUP_EMPTY);
	CU_ASSERT_EQUAL(stage_group("h")->generation, 3);
	CU_ASSERT_EQUAL(stage_group("h")->member_count, 0);
	groups_replayed(&stage.gs, stage.now_ns);
	CU_ASSERT_PTR_NOT_NULL(stage_group("h"));
	CU_ASSERT(groups_replay(&stage.gs, view_text("h"), (struct view){NULL, 0}, stage.now_ns));
	CU_ASSERT_PTR_NULL(stage_group("h"));
	stage_close();
}

/* A renewal of the log writes groups as they are. */
static void
what_is_written_between_two_rounds_has_no_members(void)
{
	struct writer k = kw_open(key, sizeof(key), false), r = kw_open(value, sizeof(value), false);

	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", "", &s[0]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT(group_record(stage_group("g"), &k, &r));
	kept_value = (struct view){value, (uint32_t)kw_length(&r)};
	CU_ASSERT(groups_replay(&stage.gs, view_text("h"), kept_value, stage.now_ns));
	CU_ASSERT_EQUAL(state_of("h"), GROUP_EMPTY);
	CU_ASSERT_EQUAL(stage_group("h")->generation, stage_group("g")->generation);
	CU_ASSERT_EQUAL(beats("h", a[0].member, a[0].generation), KIRA_E_UNKNOWN_MEMBER_ID);
	groups_replayed(&stage.gs, stage.now_ns);
	stage_close();
}

static void
a_record_cut_short_or_of_another_version_is_left_out(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	take_record();
	stage_close();
	stage_open(0, 10);
	for (uint32_t n = 0; n < kept_value.len; n++)
		CU_ASSERT_FALSE(groups_replay(&stage.gs, view_text("g"), (struct view){value, n}, stage.now_ns));
	value[1] = 4;
	CU_ASSERT_FALSE(groups_replay(&stage.gs, view_text("g"), kept_value, stage.now_ns));
	groups_replayed(&stage.gs, stage.now_ns);
	stage_close();
}

static void
an_empty_group_without_offsets_goes_with_a_tombstone(void)
{
	stage_open(0, 10);
	stage_stable("g", 1, a);
	groups_sweep(&stage.gs);
	CU_ASSERT_PTR_NOT_NULL(stage_group("g"));
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), 0);
	stage_group("g")->offsets = (struct group_offsets *)&stage;
	groups_sweep(&stage.gs);
	CU_ASSERT_PTR_NOT_NULL(stage_group("g"));
	groups_remove(&stage.gs, stage_group("g"), NULL);
	CU_ASSERT_EQUAL(stage.offsets_removed, 1);
	CU_ASSERT_PTR_NULL(stage_group("g"));
	CU_ASSERT_EQUAL(stage.log.tombstones, 1);
	stage_close();
}

/* ---- Subscriptions ---- */

static void
subscribed_topics_are_found_and_what_cannot_be_read_counts_as_subscribed(void)
{
	static const uint8_t subscription[] = {0, 1, 0, 0, 0, 2, 0, 2, 't', '1', 0, 1, 'u', 0, 0, 0, 0};
	struct group_protocol p = {view_text("range"), {subscription, sizeof(subscription)}};
	struct group_join_request q;

	stage_open(0, 10);
	q = stage_join("g", "", NULL);
	q.protocol = &p;
	join(&q, &a[0]);
	CU_ASSERT(group_subscribes(stage_group("g"), view_text("t1")));
	CU_ASSERT(group_subscribes(stage_group("g"), view_text("u")));
	CU_ASSERT_FALSE(group_subscribes(stage_group("g"), view_text("t")));
	joins("h", "", &a[1]);
	CU_ASSERT(group_subscribes(stage_group("h"), view_text("t")));
	q = stage_join("k", "", NULL);
	q.protocol_type = view_text("connect");
	join(&q, &a[2]);
	CU_ASSERT_FALSE(group_subscribes(stage_group("k"), view_text("t")));
	stage_close();
}

/* ---- Memory ---- */

static void
memory_is_bounded_and_who_finds_none_may_try_again(void)
{
	static char id[8];
	uint64_t used;
	unsigned n = 0;

	stage_open(0, 10);
	stage_stable("g", 2, a);
	used = stage.gs.memory_used;
	stage.gs.limits.memory_max = used + 2000;
	for (;; n++) {
		id[0] = (char)('A' + n);
		joins(id, "", &s[0]);
		CU_ASSERT_EQUAL(s[0].answers, 1);
		if (s[0].error)
			break;
		CU_ASSERT_FATAL(n < 20);
	}
	CU_ASSERT(n > 0);
	CU_ASSERT_EQUAL(s[0].error, KIRA_E_COORDINATOR_NOT_AVAILABLE);
	CU_ASSERT_PTR_NULL(stage_group(id));
	CU_ASSERT(stage.gs.memory_used <= stage.gs.limits.memory_max);
	/* Those that are in stay in. */
	CU_ASSERT_EQUAL(beats("g", a[0].member, a[0].generation), 0);
	stage.gs.limits.memory_max = 1 << 20;
	joins(id, "", &s[0]);
	CU_ASSERT_EQUAL(s[0].error, 0);
	stage_close();
}

static void
an_instance_that_finds_no_memory_to_come_back_has_a_session_still(void)
{
	struct group_join_request q;

	stable_static();
	q = stays(a[0].member, "i1");
	join(&q, &a[2]);
	q = stays(a[1].member, "i2");
	join(&q, &a[3]);
	CU_ASSERT_EQUAL(a[2].answers, 1);
	sync_as("g", a[1].member, "i2", a[3].generation, &s[2]);
	CU_ASSERT_EQUAL(s[2].answers, 0);
	/* Its timer runs out while it is parked. */
	for (unsigned t = 0; t < 11; t++) {
		const struct group_claim beat = {view_text("g"), view_text(a[0].member), view_text("i1"),
			a[2].generation};

		stage_pass(1000);
		CU_ASSERT_EQUAL(group_heartbeat(&stage.gs, &beat, stage.now_ns), 0);
	}
	stage.gs.limits.memory_max = stage.gs.memory_used;
	q = stays("", "i2");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_COORDINATOR_NOT_AVAILABLE);
	CU_ASSERT_EQUAL(s[2].error, KIRA_E_FENCED_INSTANCE_ID);
	stage_pass(9999);
	CU_ASSERT_PTR_NOT_NULL(member_of_instance(stage_group("g"), view_text("i2")));
	stage_pass(1);
	CU_ASSERT_PTR_NULL(member_of_instance(stage_group("g"), view_text("i2")));
	stage_close();
}

static void
what_members_bring_fits_into_one_answer(void)
{
	static uint8_t much[GROUP_BROUGHT_MAX];
	struct group_protocol p = {view_text("range"), {much, GROUP_BROUGHT_MAX / 2}};
	struct group_join_request q;

	stage_open(0, 10);
	stage.gs.limits.memory_max = 1 << 24;
	joins("g", "", &a[0]);
	q = stage_join("g", "", NULL);
	q.protocol = &p;
	join(&q, &a[1]);
	CU_ASSERT_EQUAL(a[1].answers, 0);
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_GROUP_MAX_SIZE_REACHED);
	/* Its own place is no second one. */
	joins("g", a[0].member, &a[2]);
	q.member = view_text(a[1].member);
	join(&q, &a[3]);
	CU_ASSERT_EQUAL(a[3].error, 0);
	p.metadata.len = GROUP_BROUGHT_MAX;
	join(&q, &a[4]);
	CU_ASSERT_EQUAL(a[4].error, KIRA_E_GROUP_MAX_SIZE_REACHED);
	stage_close();
}

static const struct ut_test tests[] = {
	UT("timers", the_first_round_waits_again_while_members_come_but_not_beyond_the_rebalance_timeout),
	UT("timers", who_does_not_come_back_within_the_rebalance_timeout_is_dropped),
	UT("timers", the_longest_rebalance_timeout_of_the_members_counts),
	UT("timers", v0_knows_no_rebalance_timeout_its_session_timeout_serves),
	UT("timers", who_does_not_sync_within_the_rebalance_timeout_is_removed),
	UT("timers", a_leader_that_never_assigns_does_not_hold_the_others_for_ever),
	UT("timers", a_member_lives_as_long_as_it_beats_commits_or_waits),
	UT("timers", a_group_whose_members_all_expire_is_empty),
	UT("timers", a_parked_join_whose_connection_dies_keeps_its_place),
	UT("timers", a_new_member_is_waited_for_five_minutes_at_most),
	UT("static", an_instance_that_comes_back_gets_a_new_id_and_nobody_else_notices),
	UT("static", a_leader_that_comes_back_does_not_assign_again),
	UT("static", an_instance_that_comes_back_with_another_protocol_begins_a_round),
	UT("static", parked_requests_of_a_fenced_id_are_told_at_once),
	UT("static", an_absent_static_member_outlives_a_round_until_its_session_ends),
	UT("static", a_round_to_which_nobody_comes_is_waited_for_again),
	UT("static", admin_tools_remove_an_instance_without_its_member_id),
	UT("static", a_full_group_takes_an_instance_back),
	UT("kept", a_restart_finds_members_and_assignments_and_gives_them_a_whole_session),
	UT("kept", an_instance_whose_new_id_a_power_cut_took_joins_again),
	UT("kept", a_restart_finds_the_leader_whoever_stands_first),
	UT("kept", the_last_record_counts_and_a_removal_removes),
	UT("kept", what_is_written_between_two_rounds_has_no_members),
	UT("kept", a_record_cut_short_or_of_another_version_is_left_out),
	UT("kept", an_empty_group_without_offsets_goes_with_a_tombstone),
	UT("subscriptions", subscribed_topics_are_found_and_what_cannot_be_read_counts_as_subscribed),
	UT("memory", an_instance_that_finds_no_memory_to_come_back_has_a_session_still),
	UT("memory", what_members_bring_fits_into_one_answer),
	UT("memory", memory_is_bounded_and_who_finds_none_may_try_again),
};
UT_MAIN(tests)
