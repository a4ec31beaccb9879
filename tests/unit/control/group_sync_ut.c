/* SPDX-License-Identifier: MIT
 * group_sync_ut.c - SyncGroup, Heartbeat, LeaveGroup and who may commit: a test per cell of request and state,
 * and the checks of a request in their order. */
#include "tests/unit/control/group_stage.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>

static struct asked a[8], b, s[8];

/* ---- SyncGroup ---- */

static void
sync_is_refused_while_members_gather_and_by_who_is_not_there(void)
{
	struct group_sync_request q = {.claim = {.group = view_text("")}};

	stage_open(0, 10);
	group_sync(&stage.gs, &q, &b.w, stage.now_ns);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INVALID_GROUP_ID);
	sync_as("g", "m", NULL, 1, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_UNKNOWN_MEMBER_ID);
	stage_stable("g", 2, a);
	sync_as("g", "nobody", NULL, 2, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_UNKNOWN_MEMBER_ID);
	sync_as("g", a[0].member, NULL, 1, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_ILLEGAL_GENERATION);
	joins("g", "", &s[0]);
	syncs("g", &a[0], &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_REBALANCE_IN_PROGRESS);
	stage_close();
}

static void
sync_waits_for_the_leader_whose_assignment_is_stored_before_all_are_answered(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", a[0].member, &a[2]);
	joins("g", a[1].member, &a[3]);
	stage.log.hold = true;
	syncs("g", &a[3], &s[1]);
	CU_ASSERT_EQUAL(s[1].answers, 0);
	syncs("g", &a[2], &s[0]);
	CU_ASSERT_EQUAL(s[0].answers, 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	stage_store();
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	CU_ASSERT_EQUAL(s[1].answers, 1);
	CU_ASSERT_STRING_EQUAL(s[1].assignment + 1, a[1].member);
	CU_ASSERT_STRING_EQUAL(s[1].protocol, "range");
	CU_ASSERT_STRING_EQUAL(s[1].type, "consumer");
	/* Stable: what is stored, as often as asked. */
	syncs("g", &a[3], &s[2]);
	CU_ASSERT_EQUAL(s[2].answers, 1);
	CU_ASSERT_STRING_EQUAL(s[2].assignment, s[1].assignment);
	stage_close();
}

static void
an_assignment_that_cannot_be_stored_is_nobodys_and_a_round_begins(void)
{
	stage_open(0, 10);
	joins("g", "", &a[0]);
	stage.log.error = KIRA_E_COORDINATOR_NOT_AVAILABLE;
	syncs("g", &a[0], &s[0]);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	CU_ASSERT_EQUAL(s[0].error, KIRA_E_COORDINATOR_NOT_AVAILABLE);
	CU_ASSERT_EQUAL(s[0].assignment[0], '\0');
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage.log.error = 0;
	joins("g", a[0].member, &a[1]);
	syncs("g", &a[1], &s[1]);
	CU_ASSERT_EQUAL(s[1].error, 0);
	stage.log.state = GROUP_LOG_BROKEN;
	joins("g", a[0].member, &a[2]);
	syncs("g", &a[2], &s[2]);
	CU_ASSERT_EQUAL(s[2].error, KIRA_E_COORDINATOR_NOT_AVAILABLE);
	stage_close();
}

static void
an_assignment_of_a_round_that_is_over_is_not_waited_for(void)
{
	stage_open(0, 10);
	joins("g", "", &a[0]);
	stage.log.hold = true;
	syncs("g", &a[0], &s[0]);
	CU_ASSERT_EQUAL(stage.log.waits, 1);
	joins("g", "", &a[1]);
	CU_ASSERT_EQUAL(s[0].error, KIRA_E_REBALANCE_IN_PROGRESS);
	CU_ASSERT_EQUAL(stage.log.waits, 0);
	stage_store();
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage_close();
}

static void
sync_from_v5_on_names_the_protocol_and_must_name_the_right_one(void)
{
	struct group_sync_request q = {.protocol_type = view_text("connect")};

	stage_open(0, 10);
	joins("g", "", &a[0]);
	q.claim = (struct group_claim){view_text("g"), view_text(a[0].member), {NULL, 0}, 1};
	b = (struct asked){0};
	group_sync(&stage.gs, &q, &b.w, stage.now_ns);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INCONSISTENT_GROUP_PROTOCOL);
	q.protocol_type = view_text("consumer");
	q.protocol = view_text("sticky");
	b = (struct asked){0};
	group_sync(&stage.gs, &q, &b.w, stage.now_ns);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INCONSISTENT_GROUP_PROTOCOL);
	q.protocol = view_text("range");
	b = (struct asked){0};
	group_sync(&stage.gs, &q, &b.w, stage.now_ns);
	stage_store();
	CU_ASSERT_EQUAL(b.answers, 1);
	CU_ASSERT_EQUAL(b.error, 0);
	stage_close();
}

/* ---- Heartbeat ---- */

static void
heartbeats_tell_a_member_what_to_do(void)
{
	stage_open(0, 10);
	CU_ASSERT_EQUAL(beats("", "m", 1), KIRA_E_INVALID_GROUP_ID);
	CU_ASSERT_EQUAL(beats("g", "m", 1), KIRA_E_UNKNOWN_MEMBER_ID);
	joins("g", "", &a[0]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	CU_ASSERT_EQUAL(beats("g", a[0].member, 1), 0);
	CU_ASSERT_EQUAL(beats("g", a[0].member, 0), KIRA_E_ILLEGAL_GENERATION);
	CU_ASSERT_EQUAL(beats("g", "nobody", 1), KIRA_E_UNKNOWN_MEMBER_ID);
	syncs("g", &a[0], &s[0]);
	CU_ASSERT_EQUAL(beats("g", a[0].member, 1), 0);
	joins("g", "", &a[1]);
	CU_ASSERT_EQUAL(beats("g", a[0].member, 1), KIRA_E_REBALANCE_IN_PROGRESS);
	stage_close();
	stage_open(0, 10);
	joins("g", "", &a[0]);
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_EMPTY);
	CU_ASSERT_EQUAL(beats("g", a[0].member, 1), KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

/* ---- LeaveGroup ---- */

static void
who_leaves_an_empty_group_or_none_is_no_member(void)
{
	stage_open(0, 10);
	CU_ASSERT_EQUAL(leaves("g", "m", NULL), KIRA_E_UNKNOWN_MEMBER_ID);
	joins("g", "", &a[0]);
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), 0);
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static void
the_last_that_leaves_makes_the_group_empty_which_is_kept(void)
{
	stage_open(0, 10);
	stage_stable("g", 1, a);
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_EMPTY);
	CU_ASSERT_EQUAL(stage_group("g")->generation, 2);
	CU_ASSERT_EQUAL(stage.log.appends, 2);
	CU_ASSERT_FALSE(stage.log.value_null);
	/* The count goes on. */
	joins("g", "", &a[1]);
	CU_ASSERT_EQUAL(a[1].generation, 3);
	stage_close();
}

static void
leaving_while_members_gather_ends_the_wait_for_the_leaver(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", "", &s[0]);
	joins("g", a[0].member, &s[1]);
	CU_ASSERT_EQUAL(s[1].answers, 0);
	CU_ASSERT_EQUAL(leaves("g", a[1].member, NULL), 0);
	CU_ASSERT_EQUAL(s[1].answers, 1);
	CU_ASSERT_EQUAL(s[1].members, 2);
	stage_close();
}

static void
leaving_a_complete_or_stable_group_begins_a_round(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	joins("g", a[1].member, &s[0]);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	CU_ASSERT_STRING_EQUAL(s[0].leader, a[1].member);
	CU_ASSERT_EQUAL(s[0].members, 1);
	joins("g", "", &s[1]);
	joins("g", a[1].member, &s[2]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	syncs("g", &s[1], &s[3]);
	CU_ASSERT_EQUAL(leaves("g", a[1].member, NULL), 0);
	CU_ASSERT_EQUAL(s[3].error, KIRA_E_REBALANCE_IN_PROGRESS);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage_close();
}

static void
leaving_ends_a_parked_sync_of_the_leaver(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", a[0].member, &s[0]);
	joins("g", a[1].member, &s[1]);
	syncs("g", &s[1], &s[2]);
	CU_ASSERT_EQUAL(s[2].answers, 0);
	CU_ASSERT_EQUAL(leaves("g", a[1].member, NULL), 0);
	CU_ASSERT_EQUAL(s[2].answers, 1);
	CU_ASSERT_EQUAL(s[2].error, KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static void
an_id_that_was_given_may_leave_and_disturbs_nobody(void)
{
	stage_open(0, 10);
	stage_stable("g", 1, a);
	(void)stage_given("g", &b);
	CU_ASSERT_EQUAL(leaves("g", b.member, NULL), 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	stage_close();
}

/* ---- OffsetCommit ---- */

static void
members_may_commit_in_stable_and_preparing(void)
{
	stage_open(0, 10);
	stage_stable("g", 1, a);
	CU_ASSERT_EQUAL(commits("g", a[0].member, 1), 0);
	CU_ASSERT_EQUAL(commits("g", a[0].member, 0), KIRA_E_ILLEGAL_GENERATION);
	CU_ASSERT_EQUAL(commits("g", "nobody", 1), KIRA_E_UNKNOWN_MEMBER_ID);
	CU_ASSERT_EQUAL(commits("g", "", -1), KIRA_E_UNKNOWN_MEMBER_ID);
	joins("g", "", &a[1]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT_EQUAL(commits("g", a[0].member, 1), 0);
	CU_ASSERT_EQUAL(commits("g", "", -1), KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static void
a_commit_before_the_assignment_is_told_to_join_again_not_that_it_is_fenced(void)
{
	stage_open(0, 10);
	joins("g", "", &a[0]);
	CU_ASSERT_EQUAL(commits("g", a[0].member, 1), KIRA_E_REBALANCE_IN_PROGRESS);
	CU_ASSERT_EQUAL(commits("g", "", -1), KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static void
simple_consumers_commit_to_groups_without_members(void)
{
	struct group_claim q = {view_text("g"), {NULL, 0}, {NULL, 0}, 3};
	struct group *g = NULL;

	stage_open(0, 10);
	CU_ASSERT_EQUAL(commits("", "", -1), KIRA_E_INVALID_GROUP_ID);
	CU_ASSERT_EQUAL(groups_may_commit(&stage.gs, &q, stage.now_ns, &g), KIRA_E_ILLEGAL_GENERATION);
	CU_ASSERT_EQUAL(commits("g", "", -1), 0);
	CU_ASSERT_PTR_NOT_NULL(stage_group("g"));
	CU_ASSERT_EQUAL(commits("g", "", -1), 0);
	CU_ASSERT_EQUAL(commits("g", "m", 1), KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static const struct ut_test tests[] = {
	UT("sync", sync_is_refused_while_members_gather_and_by_who_is_not_there),
	UT("sync", sync_waits_for_the_leader_whose_assignment_is_stored_before_all_are_answered),
	UT("sync", an_assignment_that_cannot_be_stored_is_nobodys_and_a_round_begins),
	UT("sync", an_assignment_of_a_round_that_is_over_is_not_waited_for),
	UT("sync", sync_from_v5_on_names_the_protocol_and_must_name_the_right_one),
	UT("heartbeat", heartbeats_tell_a_member_what_to_do),
	UT("leave", who_leaves_an_empty_group_or_none_is_no_member),
	UT("leave", the_last_that_leaves_makes_the_group_empty_which_is_kept),
	UT("leave", leaving_while_members_gather_ends_the_wait_for_the_leaver),
	UT("leave", leaving_a_complete_or_stable_group_begins_a_round),
	UT("leave", leaving_ends_a_parked_sync_of_the_leaver),
	UT("leave", an_id_that_was_given_may_leave_and_disturbs_nobody),
	UT("commit", members_may_commit_in_stable_and_preparing),
	UT("commit", a_commit_before_the_assignment_is_told_to_join_again_not_that_it_is_fenced),
	UT("commit", simple_consumers_commit_to_groups_without_members),
};

UT_MAIN(tests)
