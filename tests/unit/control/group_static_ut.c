/* SPDX-License-Identifier: MIT
 * group_static_ut.c - static members: who comes back under the same name, who is fenced, who is away. */
#include "tests/unit/control/group_stage.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>

static struct asked a[8], b, s[8];

static void
an_instance_that_comes_back_gets_a_new_id_and_nobody_else_notices(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_static("g", a);
	CU_ASSERT_EQUAL(strncmp(a[1].member, "i2-", 3), 0);
	q = stage_join("g", "", "i2");
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
	q = stage_join("g", a[1].member, "i2");
	join(&q, &s[4]);
	CU_ASSERT_EQUAL(s[4].error, KIRA_E_FENCED_INSTANCE_ID);
	stage_close();
}

static void
a_leader_that_comes_back_does_not_assign_again(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_static("g", a);
	q = stage_join("g", "", "i1");
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
	q = stage_join("g", "", "i1");
	stage_protocols(&q, "range sticky", "m");
	join(&q, &a[0]);
	sync_as("g", a[0].member, "i1", 1, &s[0]);
	CU_ASSERT_STRING_EQUAL(a[0].protocol, "range");
	q = stage_join("g", "", "i1");
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

	stage_open(0, 10);
	stage_static("g", a);
	joins("g", "", &s[2]);
	q = stage_join("g", a[1].member, "i2");
	join(&q, &s[3]);
	CU_ASSERT_EQUAL(s[3].answers, 0);
	q = stage_join("g", "", "i2");
	join(&q, &s[4]);
	CU_ASSERT_EQUAL(s[3].answers, 1);
	CU_ASSERT_EQUAL(s[3].error, KIRA_E_FENCED_INSTANCE_ID);
	CU_ASSERT_EQUAL(s[4].answers, 0);
	q = stage_join("g", a[0].member, "i1");
	join(&q, &s[5]);
	CU_ASSERT_EQUAL(s[4].answers, 1);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_COMPLETING);
	sync_as("g", s[4].member, "i2", s[4].generation, &s[6]);
	CU_ASSERT_EQUAL(s[6].answers, 0);
	q = stage_join("g", "", "i2");
	join(&q, &s[7]);
	CU_ASSERT_EQUAL(s[6].answers, 1);
	CU_ASSERT_EQUAL(s[6].error, KIRA_E_FENCED_INSTANCE_ID);
	CU_ASSERT_EQUAL(state_of("g"), GROUP_PREPARING);
	stage_close();
}

static void
an_absent_static_member_outlives_a_round_until_its_session_ends(void)
{
	stage_open(0, 10);
	stage_absent("g", 30000, a);
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
	stage_open(0, 10);
	stage_absent("g", 0, a);
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
	stage_open(0, 10);
	stage_static("g", a);
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

	stage_open(0, 10);
	stage_static("g", a);
	stage.gs.limits.members_max = 2;
	q = stage_join("g", "", "i3");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_GROUP_MAX_SIZE_REACHED);
	q = stage_join("g", "", "i2");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, 0);
	stage_close();
}

static void
an_instance_that_finds_no_memory_to_come_back_has_a_session_still(void)
{
	struct group_join_request q;

	stage_open(0, 10);
	stage_static("g", a);
	q = stage_join("g", a[0].member, "i1");
	join(&q, &a[2]);
	q = stage_join("g", a[1].member, "i2");
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
	q = stage_join("g", "", "i2");
	join(&q, &b);
	CU_ASSERT_EQUAL(b.error, KIRA_E_COORDINATOR_NOT_AVAILABLE);
	CU_ASSERT_EQUAL(s[2].error, KIRA_E_FENCED_INSTANCE_ID);
	stage_pass(9999);
	CU_ASSERT_PTR_NOT_NULL(member_of_instance(stage_group("g"), view_text("i2")));
	stage_pass(1);
	CU_ASSERT_PTR_NULL(member_of_instance(stage_group("g"), view_text("i2")));
	stage_close();
}

static const struct ut_test tests[] = {
	UT("static", an_instance_that_comes_back_gets_a_new_id_and_nobody_else_notices),
	UT("static", a_leader_that_comes_back_does_not_assign_again),
	UT("static", an_instance_that_comes_back_with_another_protocol_begins_a_round),
	UT("static", parked_requests_of_a_fenced_id_are_told_at_once),
	UT("static", an_absent_static_member_outlives_a_round_until_its_session_ends),
	UT("static", a_round_to_which_nobody_comes_is_waited_for_again),
	UT("static", admin_tools_remove_an_instance_without_its_member_id),
	UT("static", a_full_group_takes_an_instance_back),
	UT("static", an_instance_that_finds_no_memory_to_come_back_has_a_session_still),
};

UT_MAIN(tests)
