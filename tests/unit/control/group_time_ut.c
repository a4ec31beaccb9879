/* SPDX-License-Identifier: MIT
 * group_time_ut.c - the timers of a group: rounds, sessions, members that never come. */
#include "tests/unit/control/group_stage.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>

static struct asked a[8], s[8];

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
};

UT_MAIN(tests)
