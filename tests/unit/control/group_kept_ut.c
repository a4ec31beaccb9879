/* SPDX-License-Identifier: MIT
 * group_kept_ut.c - what a group keeps: its record over a restart, what its members subscribe to, within which
 * memory. */
#include "tests/unit/control/group_stage.h"
#include "tests/unit/ut.h"

#include "base/writer.h"

#include <kira/errors.h>

static struct asked a[8], b, s[8];

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
	stage_open(0, 10);
	stage_static("g", a);
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

	stage_open(0, 10);
	stage_static("g", a);
	take_record();
	q = stage_join("g", "", "i2");
	join(&q, &b);
	CU_ASSERT_EQUAL(beats_as(b.member, "i2"), 0);
	stage_close();
	stage_open(0, 10);
	CU_ASSERT(groups_replay(&stage.gs, kept_key, kept_value, stage.now_ns));
	groups_replayed(&stage.gs, stage.now_ns);
	CU_ASSERT_EQUAL(beats_as(b.member, "i2"), KIRA_E_UNKNOWN_MEMBER_ID);
	q = stage_join("g", "", "i2");
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
	stage_open(0, 10);
	stage_absent("g", 30000, a);
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
	UT("kept", a_restart_finds_members_and_assignments_and_gives_them_a_whole_session),
	UT("kept", an_instance_whose_new_id_a_power_cut_took_joins_again),
	UT("kept", a_restart_finds_the_leader_whoever_stands_first),
	UT("kept", the_last_record_counts_and_a_removal_removes),
	UT("kept", what_is_written_between_two_rounds_has_no_members),
	UT("kept", a_record_cut_short_or_of_another_version_is_left_out),
	UT("kept", an_empty_group_without_offsets_goes_with_a_tombstone),
	UT("subscriptions", subscribed_topics_are_found_and_what_cannot_be_read_counts_as_subscribed),
	UT("memory", what_members_bring_fits_into_one_answer),
	UT("memory", memory_is_bounded_and_who_finds_none_may_try_again),
};

UT_MAIN(tests)
