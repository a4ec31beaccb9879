/* SPDX-License-Identifier: MIT
 * offsets_gone_ut.c - committed offsets that go: deleted, with their topic or group, expired; over restarts too. */
#include "tests/unit/control/offset_client.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <unistd.h>

static int16_t
delete(const char *group, const char *topic, int32_t partition, int16_t *top)
{
	struct writer *q = world_request(&w, API_OFFSET_DELETE, 0);
	struct reader r;

	kw_string(q, group);
	kw_array(q, 1);
	kw_string(q, topic);
	kw_array(q, 1);
	kw_i32(q, partition);
	r = world_ask(&w, fd);
	*top = kr_i16(&r);
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	if (kr_array(&r, 1, 1) == 0)
		return 0;
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	CU_ASSERT_EQUAL(kr_i32(&r), partition);
	return kr_i16(&r);
}

static void
a_deleted_offset_is_gone_over_a_restart_too(void)
{
	int16_t top;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 1, 2), 0);
	CU_ASSERT_EQUAL(delete("g", "t", 0, &top), 0);
	CU_ASSERT_EQUAL(top, 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(delete("g", "t", 2, &top), 0); /* nothing was there */
	CU_ASSERT_EQUAL(delete("g", "nope", 0, &top), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(delete("nobody", "t", 0, &top), 0);
	CU_ASSERT_EQUAL(top, KIRA_E_GROUP_ID_NOT_FOUND);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 2);
	end();
}

/* The commit waits for the disk, the removal behind it does not. */
static void
a_removal_overtakes_no_commit_that_is_under_way(void)
{
	const struct one one = {"t", 0, 9, "m"};
	const int other = (begin(), world_connect(&w));
	int16_t top;

	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, &one, 1);
	world_send(&w, other);
	CU_ASSERT_EQUAL(delete("g", "t", 0, &top), 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	fake.hold_commits = false;
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 6), 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 6);
	(void)close(other);
	end();
}

static void
a_new_topic_of_a_deleted_ones_name_inherits_no_offsets(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "u", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), 0);
	topics_delete(w.ctl, topics_any(w.ctl, view_text("u")));
	world_run(&w);
	(void)world_topic(&w, "u", 1);
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2);
	end();
}

/* A kill between the end of the topic and the end of its offsets: the log has them still. */
static void
offsets_of_a_topic_that_is_gone_go_at_the_start(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "u", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), 0);
	lcores.append_error = KIRA_E_KAFKA_STORAGE_ERROR;
	topics_delete(w.ctl, topics_any(w.ctl, view_text("u")));
	world_run(&w);
	lcores.append_error = 0;
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2); /* the first turn looks for them */
	(void)world_topic(&w, "u", 1);
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	end();
}

/* A clock that is far ahead at boot and right a minute later takes nothing. */
static void
nothing_expires_at_the_start(void)
{
	static const char *const options[] = {"--offsets-retention-check-interval-ms", "1000", NULL};

	begin_with(options);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), 0);
	w.ctl->cfg->offsets_retention_minutes = -1; /* as if so much time had gone by */
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2);
	world_pass(&w, 1);
	CU_ASSERT_EQUAL(w.ctl->group_log->swept, true); /* it did look */
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2);
	world_pass(&w, NS_PER_S);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	end();
}

static void
a_removed_group_takes_its_offsets_with_it(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	groups_remove(&w.ctl->groups, groups_find(&w.ctl->groups, view_text("g")), NULL);
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_PTR_NULL(groups_find(&w.ctl->groups, view_text("g")));
	end();
}

/* A group whose 40 removals take more bytes than a segment of the log has. */
static void
commit_many(char group[30001])
{
	static const char *const options[] = {"--offsets-topic-segment-bytes", "1048576", NULL};

	memset(group, 'g', 30000);
	group[30000] = 0;
	begin_with(options);
	(void)world_topic(&w, "many", 40);
	for (int32_t i = 0; i < 40; i++)
		CU_ASSERT_EQUAL(commit(group, "many", i, i), 0);
	CU_ASSERT_EQUAL(commit(group, "t", 0, 7), 0);
}

static void
more_removals_than_a_batch_holds_are_kept_too(void)
{
	static char group[30001];

	commit_many(group);
	topics_delete(w.ctl, topics_any(w.ctl, view_text("many")));
	world_run(&w);
	(void)world_topic(&w, "many", 40);
	CU_ASSERT_EQUAL(fetch(group, "many", 0), -1);
	CU_ASSERT_EQUAL(fetch(group, "many", 39), -1);
	restart();
	CU_ASSERT_EQUAL(fetch(group, "many", 39), -1);
	CU_ASSERT_EQUAL(fetch(group, "t", 0), 7);
	end();
	commit_many(group);
	groups_remove(&w.ctl->groups, groups_find(&w.ctl->groups, view_text(group)), NULL);
	restart();
	CU_ASSERT_EQUAL(fetch(group, "many", 0), -1);
	CU_ASSERT_EQUAL(fetch(group, "many", 39), -1);
	CU_ASSERT_EQUAL(fetch(group, "t", 0), -1);
	end();
}

static void
many_offsets_expire_too(void)
{
	struct offset_expiry e = {.retention_ms = 1000, .wall_ms = INT64_MAX / 2};
	static char group[30001];

	commit_many(group);
	CU_ASSERT_EQUAL(offsets_expire(&w.ctl->groups, &e), 41);
	world_run(&w);
	CU_ASSERT_EQUAL(fetch(group, "many", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch(group, "many", 39), -1);
	end();
}

static void
offsets_of_a_simple_group_expire_after_their_commit(void)
{
	struct offset_expiry e = {.retention_ms = 1000};
	struct offset_record rec;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL_FATAL(offsets_find(groups_find(&w.ctl->groups, view_text("g")), view_text("t"), 0, &rec), true);
	e.wall_ms = rec.commit_ms + 999;
	CU_ASSERT_EQUAL(offsets_expire(&w.ctl->groups, &e), 0);
	e.wall_ms++;
	CU_ASSERT_EQUAL(offsets_expire(&w.ctl->groups, &e), 1);
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(offsets_expire(&w.ctl->groups, &e), 0);
	CU_ASSERT_PTR_NULL(groups_find(&w.ctl->groups, view_text("g"))); /* an empty group goes, too */
	end();
}

/* Of a group with a protocol: `type`, in `state` since 5 s after its commit. How many expire so many ms after that? */
static unsigned
expired(const char *type, enum group_state state, int64_t after_ms)
{
	struct offset_expiry e = {.retention_ms = 1000};
	struct offset_record rec;
	struct group *g;
	struct view was;
	unsigned n;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	g = groups_find(&w.ctl->groups, view_text("g"));
	CU_ASSERT_EQUAL_FATAL(offsets_find(g, view_text("t"), 0, &rec), true);
	was = g->protocol_type;
	g->protocol_type = view_text(type);
	g->state = state;
	g->state_since_ms = rec.commit_ms + 5000;
	e.wall_ms = g->state_since_ms + after_ms;
	n = offsets_expire(&w.ctl->groups, &e);
	g->protocol_type = was;
	g->state = GROUP_EMPTY;
	end();
	return n;
}

static void
offsets_of_a_group_expire_after_it_became_empty(void)
{
	CU_ASSERT_EQUAL(expired("consumer", GROUP_EMPTY, 999), 0);
	CU_ASSERT_EQUAL(expired("consumer", GROUP_EMPTY, 1000), 1);
	CU_ASSERT_EQUAL(expired("connect", GROUP_EMPTY, 1000), 1);
}

static void
in_a_group_with_members_only_what_nobody_subscribes_to_expires(void)
{
	CU_ASSERT_EQUAL(expired("consumer", GROUP_STABLE, -4001), 0); /* since its commit */
	CU_ASSERT_EQUAL(expired("consumer", GROUP_STABLE, -4000), 1);
	CU_ASSERT_EQUAL(expired("connect", GROUP_STABLE, 1 << 30), 0);
	CU_ASSERT_EQUAL(expired("consumer", GROUP_PREPARING, 1 << 30), 0);
}

static const struct ut_test tests[] = {
	UT("removal", a_deleted_offset_is_gone_over_a_restart_too),
	UT("removal", a_removal_overtakes_no_commit_that_is_under_way),
	UT("removal", a_new_topic_of_a_deleted_ones_name_inherits_no_offsets),
	UT("removal", offsets_of_a_topic_that_is_gone_go_at_the_start),
	UT("removal", nothing_expires_at_the_start),
	UT("removal", a_removed_group_takes_its_offsets_with_it),
	UT("removal", more_removals_than_a_batch_holds_are_kept_too),
	UT("removal", many_offsets_expire_too),
	UT("removal", offsets_of_a_simple_group_expire_after_their_commit),
	UT("removal", offsets_of_a_group_expire_after_it_became_empty),
	UT("removal", in_a_group_with_members_only_what_nobody_subscribes_to_expires),
};

UT_MAIN(tests)
