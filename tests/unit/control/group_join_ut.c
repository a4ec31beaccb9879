/* SPDX-License-Identifier: MIT
 * group_join_ut.c - JoinGroup: a test per state of the group, and the checks of a request in their order.
 * Static members: group_static_ut.c. */
#include "tests/unit/control/group_stage.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>

static struct asked a[8], b, s[8];

static void
a_first_join_opens_a_group_and_is_told_its_members(void)
{
	stage_open(0, 10);
	joins("g", "", &a[0]);
	CU_ASSERT_EQUAL(a[0].answers, 1);
	CU_ASSERT_EQUAL(a[0].error, 0);
	CU_ASSERT_EQUAL(a[0].generation, 1);
	CU_ASSERT_STRING_EQUAL(a[0].member, "c-00000000-0000-0000-0000-000000000001");
	CU_ASSERT_STRING_EQUAL(a[0].leader, a[0].member);
	CU_ASSERT_STRING_EQUAL(a[0].protocol, "range");
	CU_ASSERT_STRING_EQUAL(a[0].type, "consumer");
	CU_ASSERT_EQUAL(a[0].members, 1);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	stage_close();
}

static void
requests_that_cannot_join_are_refused_in_kafkas_order(void)
{
	struct group_join_request q;

	stage_open(0, 2);
	q = stage_join("", "nobody", NULL);
	q.session_ms = 1;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INVALID_GROUP_ID);
	q = stage_join("g", "nobody", NULL);
	q.session_ms = 5999;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INVALID_SESSION_TIMEOUT);
	q.session_ms = 1800001;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INVALID_SESSION_TIMEOUT);
	q.session_ms = 1800000;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_UNKNOWN_MEMBER_ID);
	CU_ASSERT_EQUAL(b.generation, -1);
	CU_ASSERT_STRING_EQUAL(b.member, "nobody");
	CU_ASSERT(b.protocol_null);
	CU_ASSERT_PTR_NULL(stage_group("g"));

	stage_stable("g", 2, a);
	q = stage_join("g", "", NULL);
	stage_protocols(&q, "sticky", "m");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_GROUP_MAX_SIZE_REACHED);
	CU_ASSERT_EQUAL(leaves("g", a[1].member, NULL), 0);
	q.id_required = true;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INCONSISTENT_GROUP_PROTOCOL);
	stage_protocols(&q, "sticky range", "m");
	q.protocol_type = view_text("connect");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INCONSISTENT_GROUP_PROTOCOL);
	stage_close();
}

static void
a_first_member_names_a_type_and_a_protocol(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stage_join("g", "", NULL);
	q.protocols = 0;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INCONSISTENT_GROUP_PROTOCOL);
	q = stage_join("g", "", NULL);
	q.protocol_type = view_text("");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INCONSISTENT_GROUP_PROTOCOL);
	CU_ASSERT_PTR_NULL(stage_group("g"));
	stage_close();
}

static void
names_and_lists_of_a_member_are_bounded(void)
{
	static const char longest[] = "0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789";
	struct group_protocol many[GROUP_PROTOCOLS_MAX + 1];
	struct group_join_request q;

	stage_open(0, 10);
	q = stage_join("g", "", longest);
	CU_ASSERT_EQUAL(q.instance.len, GROUP_NAME_MAX + 1);
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INVALID_REQUEST);
	q = stage_join("g", "", NULL);
	for (unsigned i = 0; i < GROUP_PROTOCOLS_MAX + 1; i++)
		many[i] = q.protocol[0];
	q.protocol = many;
	q.protocols = GROUP_PROTOCOLS_MAX + 1;
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_INVALID_REQUEST);
	CU_ASSERT_PTR_NULL(stage_group("g"));
	stage_close();
}

static void
from_v4_on_a_new_member_joins_with_an_id_that_it_was_given(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	q = stage_given("g", &b);
	CU_ASSERT_EQUAL(b.answers, 1);
	CU_ASSERT_EQUAL(b.error, KIRA_E_MEMBER_ID_REQUIRED);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_EMPTY);
	q.member = view_text(b.member);
	join(&q, &a[0]);
	CU_ASSERT_EQUAL(a[0].error, 0);
	CU_ASSERT_STRING_EQUAL(a[0].member, b.member);
	stage_close();
}

static void
an_id_that_was_given_is_held_for_a_session_and_then_the_group_goes(void)
{
	stage_open(0, 10);
	(void)stage_given("g", &b);
	stage_pass(9999);
	CU_ASSERT_PTR_NOT_NULL(stage_group("g"));
	stage_pass(1);
	CU_ASSERT_PTR_NULL(stage_group("g"));
	CU_ASSERT_EQUAL(stage.log.appends, 0);
	stage_close();
}

static void
more_ids_than_members_are_not_held_the_oldest_goes(void)
{
	struct group_join_request q;

	stage_open(0, 2);
	q = stage_join("g", "", NULL);
	q.id_required = true;
	for (unsigned i = 0; i < 3; i++)
		join(&q, &a[i]);
	CU_ASSERT_EQUAL(stage_group("g")->pending_count, 2);
	q.member = view_text(a[0].member);
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static void
a_round_waits_for_ids_that_were_given(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_stable("g", 1, a);
	q = stage_given("g", &b);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	joins("g", a[0].member, &a[1]);
	CU_ASSERT_EQUAL(a[1].answers, 0);
	q.member = view_text(b.member);
	join(&q, &a[2]);
	CU_ASSERT_EQUAL(a[1].answers, 1);
	CU_ASSERT_EQUAL(a[1].members, 2);
	CU_ASSERT_EQUAL(a[2].answers, 1);
	CU_ASSERT_EQUAL(a[2].members, 0);
	stage_close();
}

static void
preparing_parks_new_and_known_members_until_all_are_there(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", "", &s[0]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	CU_ASSERT_EQUAL(s[0].answers, 0);
	joins("g", "", &s[1]);
	CU_ASSERT_EQUAL(s[1].answers, 0);
	joins("g", a[1].member, &s[2]);
	CU_ASSERT_EQUAL(s[2].answers, 0);
	joins("g", a[0].member, &s[3]);
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(s[i].answers, 1);
		CU_ASSERT_EQUAL(s[i].error, 0);
		CU_ASSERT_EQUAL(s[i].generation, a[0].generation + 1);
		CU_ASSERT_EQUAL(s[i].members, i == 3 ? 4 : 0);
		CU_ASSERT_STRING_EQUAL(s[i].leader, a[0].member);
	}
	stage_close();
}

static void
preparing_takes_what_a_known_member_changed(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_stable("g", 1, a);
	joins("g", "", &s[0]);
	q = stage_join("g", a[0].member, NULL);
	stage_protocols(&q, "range", "other");
	q.rebalance_ms = 77;
	join(&q, &s[1]);
	CU_ASSERT_EQUAL(s[1].answers, 1);
	CU_ASSERT(view_same(stage_group("g")->members->protocol[0].metadata, view_text("other")));
	CU_ASSERT_EQUAL(stage_group("g")->members->rebalance_ms, 77);
	stage_close();
}

static void
a_member_that_joins_on_a_second_connection_ends_the_first_wait(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", a[1].member, &s[0]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_STABLE);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	joins("g", "", &s[1]);
	joins("g", a[1].member, &s[2]);
	joins("g", a[1].member, &s[3]);
	CU_ASSERT_EQUAL(s[2].answers, 1);
	CU_ASSERT_EQUAL(s[2].error, KIRA_E_REBALANCE_IN_PROGRESS);
	CU_ASSERT_EQUAL(s[3].answers, 0);
	joins("g", a[0].member, &s[4]);
	CU_ASSERT_EQUAL(s[3].answers, 1);
	CU_ASSERT_EQUAL(s[3].error, 0);
	stage_close();
}

static void
completing_answers_a_known_member_again_if_it_changed_nothing(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	joins("g", "", &a[0]);
	joins("g", a[0].member, &a[1]);
	CU_ASSERT_EQUAL(a[1].answers, 1);
	CU_ASSERT_EQUAL(a[1].generation, a[0].generation);
	CU_ASSERT_EQUAL(a[1].members, 1);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	q = stage_join("g", a[0].member, NULL);
	stage_protocols(&q, "range", "other");
	join(&q, &a[2]);
	CU_ASSERT_EQUAL(a[2].generation, a[0].generation + 1);
	stage_close();
}

static void
completing_begins_a_new_round_for_a_new_member_and_parked_syncs_are_told(void)
{
	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", a[0].member, &s[0]);
	joins("g", a[1].member, &s[1]);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	syncs("g", &s[1], &s[2]);
	CU_ASSERT_EQUAL(s[2].answers, 0);
	joins("g", "", &s[3]);
	CU_ASSERT_EQUAL(s[2].answers, 1);
	CU_ASSERT_EQUAL(s[2].error, KIRA_E_REBALANCE_IN_PROGRESS);
	CU_ASSERT_EQUAL(s[3].answers, 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage_close();
}

static void
stable_rejoins_of_followers_change_nothing_the_leaders_begins_a_round(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_stable("g", 2, a);
	joins("g", a[1].member, &s[0]);
	CU_ASSERT_EQUAL(s[0].answers, 1);
	CU_ASSERT_EQUAL(s[0].generation, a[1].generation);
	CU_ASSERT_EQUAL(s[0].members, 0);
	CU_ASSERT_STRING_EQUAL(s[0].leader, a[0].member);
	joins("g", a[0].member, &s[1]);
	CU_ASSERT_EQUAL(s[1].answers, 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	joins("g", a[1].member, &s[2]);
	CU_ASSERT_EQUAL(s[1].generation, a[0].generation + 1);
	syncs("g", &s[1], &s[3]);
	syncs("g", &s[2], &s[4]);
	/* A changed subscription, of a follower too: cooperative assignors live on it. */
	q = stage_join("g", a[1].member, NULL);
	stage_protocols(&q, "range", "other");
	join(&q, &s[5]);
	CU_ASSERT_EQUAL(s[5].answers, 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage_close();
}

static void
who_is_no_member_is_told_so_in_every_state(void)
{
	stage_open(0, 10);
	joins("g", "", &a[0]);
	joins("g", "nobody", &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_UNKNOWN_MEMBER_ID);
	CU_ASSERT_EQUAL(leaves("g", a[0].member, NULL), 0);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_EMPTY);
	joins("g", a[0].member, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_UNKNOWN_MEMBER_ID);
	stage_close();
}

static void
the_protocol_is_one_that_all_support_and_most_prefer(void)
{
	struct group_join_request q;

	stage_open(1000, 10);
	q = stage_join("g", "", NULL);
	stage_protocols(&q, "x range sticky", "m");
	join(&q, &a[0]);
	stage_protocols(&q, "sticky range", "m");
	join(&q, &a[1]);
	stage_protocols(&q, "y sticky range", "m");
	join(&q, &a[2]);
	stage_pass(2000);
	CU_ASSERT_STRING_EQUAL(a[0].protocol, "sticky");
	CU_ASSERT_STRING_EQUAL(a[2].protocol, "sticky");
	stage_close();
}

static void
a_member_alone_may_change_its_only_protocol(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_stable("g", 1, a);
	q = stage_join("g", a[0].member, NULL);
	stage_protocols(&q, "sticky", "m");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, 0);
	CU_ASSERT_STRING_EQUAL(b.protocol, "sticky");
	stage_close();
}

static const struct ut_test tests[] = {
	UT("join", a_first_join_opens_a_group_and_is_told_its_members),
	UT("join", requests_that_cannot_join_are_refused_in_kafkas_order),
	UT("join", a_first_member_names_a_type_and_a_protocol),
	UT("join", names_and_lists_of_a_member_are_bounded),
	UT("join", from_v4_on_a_new_member_joins_with_an_id_that_it_was_given),
	UT("join", an_id_that_was_given_is_held_for_a_session_and_then_the_group_goes),
	UT("join", more_ids_than_members_are_not_held_the_oldest_goes),
	UT("join", a_round_waits_for_ids_that_were_given),
	UT("join", preparing_parks_new_and_known_members_until_all_are_there),
	UT("join", preparing_takes_what_a_known_member_changed),
	UT("join", a_member_that_joins_on_a_second_connection_ends_the_first_wait),
	UT("join", completing_answers_a_known_member_again_if_it_changed_nothing),
	UT("join", completing_begins_a_new_round_for_a_new_member_and_parked_syncs_are_told),
	UT("join", stable_rejoins_of_followers_change_nothing_the_leaders_begins_a_round),
	UT("join", who_is_no_member_is_told_so_in_every_state),
	UT("join", the_protocol_is_one_that_all_support_and_most_prefer),
	UT("join", a_member_alone_may_change_its_only_protocol),
};

UT_MAIN(tests)
