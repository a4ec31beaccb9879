/* SPDX-License-Identifier: MIT
 * group_round.c - one round of a group: gather its members, count one generation up, hand out what the leader
 * decided. Thread: control. Never: waits; what must wait hangs on a timer or on a write to the log. */
#include "control/groups/group.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/writer.h"

#include <kira/errors.h>

#include <stdlib.h>

/* A rebalance timeout of 0 must not turn waiting into work. */
#define WAIT_AGAIN_MIN_MS 1000

static void
arm(struct group *g, int64_t ms, uint64_t now_ns)
{
	loop_arm(g->groups->loop, &g->timer, now_ns + (uint64_t)ms * NS_PER_MS);
}

/* ---- What is kept ---- */

static uint64_t
record_bytes(const struct group *g)
{
	uint64_t bytes = 64u + g->protocol_type.len + g->protocol.len + (g->leader ? g->leader->id.len : 0);

	for (const struct group_member *m = g->members; m; m = m->next)
		bytes += 64u + m->id.len + m->instance.len + m->client_id.len + m->client_host.len +
			member_metadata(m).len + m->assignment.len;
	return bytes;
}

bool
group_keep(struct group *g, struct group_write *w)
{
	const size_t value_size = record_bytes(g), key_size = g->id.len + 8u;
	struct groups *gs = g->groups;
	struct writer key, value;
	struct group_record rec;
	uint8_t *bytes;
	bool kept;

	if (group_log_state(gs->log) != GROUP_LOG_READY)
		return false;
	bytes = malloc(value_size + key_size);
	if (!bytes)
		return false;
	key = kw_open(bytes, key_size, false);
	value = kw_open(bytes + key_size, value_size, false);
	kept = group_record(g, &key, &value) && !key.full && !value.full;
	if (kept) {
		rec = (struct group_record){{key.start, (uint32_t)kw_length(&key)},
			{value.start, (uint32_t)kw_length(&value)}};
		group_log_append(gs->log, g->id, &rec, 1, GROUP_LOG_APPENDED, w);
	}
	free(bytes);
	return kept;
}

/* ---- Answers ---- */

void
group_answer_join(struct group_member *m, bool skip_assignment, struct view leader)
{
	struct group *g = m->group;
	struct group_wait *w = m->join;
	const struct group_joined a = {
		.generation = g->generation,
		.protocol_type = g->protocol_type,
		.protocol = g->protocol,
		.leader = leader,
		.member = m->id,
		.skip_assignment = skip_assignment,
		.members_of = g->leader == m && view_same(leader, m->id) ? g : NULL,
	};

	m->joining = false;
	m->join = NULL;
	m->fresh = false;
	if (!w)
		return;
	w->member = NULL;
	g->groups->joined(g->groups, w, &a);
}

void
group_answer_sync(struct group_member *m)
{
	struct group *g = m->group;
	struct group_wait *w = m->sync;
	const struct group_synced a = {
		.protocol_type = g->protocol_type,
		.protocol = g->protocol,
		.assignment = m->assignment,
	};

	m->syncing = false;
	m->sync = NULL;
	if (!w)
		return;
	w->member = NULL;
	g->groups->synced(g->groups, w, &a);
}

/* Parked SyncGroups of a generation that will not be. */
static void
end_syncs(struct group *g, int16_t error, uint64_t now_ns)
{
	for (struct group_member *m = g->members; m; m = m->next) {
		(void)member_assign(m, (struct view){NULL, 0});
		m->must_sync = false;
		if (!m->syncing)
			continue;
		m->syncing = false;
		member_fail_sync(m, error);
		member_alive(m, now_ns);
	}
}

/* ---- The round ---- */

/* Clients take a generation below 0 for none. */
static void
count_up(struct group *g)
{
	g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
}

/* Nobody is left. A group that never had a generation has nothing to keep. */
static void
become_empty(struct group *g, uint64_t now_ns)
{
	loop_disarm(g->groups->loop, &g->timer);
	group_log_cancel(g->groups->log, &g->write);
	group_uncopy(g->groups, g->protocol);
	g->protocol = (struct view){NULL, 0};
	g->leader = NULL;
	g->initial = false;
	groups_set_state(g, GROUP_EMPTY, now_ns);
	if (g->generation > 0) {
		count_up(g);
		(void)group_keep(g, NULL);
	}
	groups_tidy(g);
}

/* Who did not come back goes; a static member may come later, until its session ends. True: some did. */
static bool
drop_absent(struct group *g)
{
	struct group_member *next, *there = NULL;

	for (struct group_member *m = g->members; m; m = next) {
		next = m->next;
		if (m->joining)
			there = there ? there : m;
		else if (!m->instance.p)
			member_remove(m, KIRA_E_UNKNOWN_MEMBER_ID);
	}
	if (there && !g->leader->joining)
		g->leader = there;
	return there != NULL;
}

/* PREPARING is over: by time, or since all are there. */
static void
complete_join(struct group *g, uint64_t now_ns)
{
	const bool some = drop_absent(g);
	struct view protocol;

	if (!g->members) {
		become_empty(g, now_ns);
		return;
	}
	protocol = some ? group_copy(g->groups, group_vote(g)) : (struct view){NULL, 0};
	if (!protocol.p) {
		/* Nobody came back, or there is no memory for 20 bytes: another round of waiting. */
		arm(g, MAX(group_rebalance_ms(g), WAIT_AGAIN_MIN_MS), now_ns);
		return;
	}
	group_uncopy(g->groups, g->protocol);
	g->protocol = protocol;
	g->initial = false;
	count_up(g);
	groups_set_state(g, GROUP_COMPLETING, now_ns);
	for (struct group_member *m = g->members; m; m = m->next) {
		m->must_sync = m->joining;
		if (!m->joining)
			continue;
		member_alive(m, now_ns);
		group_answer_join(m, false, g->leader->id);
	}
	arm(g, group_rebalance_ms(g), now_ns);
}

static bool
all_joined(const struct group *g)
{
	if (g->pending)
		return false;
	for (const struct group_member *m = g->members; m; m = m->next)
		if (!m->joining)
			return false;
	return true;
}

void
group_prepare(struct group *g, uint64_t now_ns)
{
	const int32_t rebalance_ms = group_rebalance_ms(g);

	if (g->state == GROUP_COMPLETING) {
		group_log_cancel(g->groups->log, &g->write);
		end_syncs(g, KIRA_E_REBALANCE_IN_PROGRESS, now_ns);
	}
	g->initial = g->state == GROUP_EMPTY && g->groups->limits.initial_delay_ns > 0;
	g->grown = false;
	groups_set_state(g, GROUP_PREPARING, now_ns);
	if (g->initial) {
		const int64_t delay_ms = MIN((int64_t)(g->groups->limits.initial_delay_ns / NS_PER_MS),
			(int64_t)rebalance_ms);

		g->initial_left_ms = rebalance_ms - delay_ms;
		arm(g, delay_ms, now_ns);
		return;
	}
	arm(g, rebalance_ms, now_ns);
	group_changed(g, now_ns);
}

void
group_changed(struct group *g, uint64_t now_ns)
{
	switch (g->state) {
	case GROUP_EMPTY:
		groups_tidy(g);
		return;
	case GROUP_COMPLETING:
	case GROUP_STABLE:
		group_prepare(g, now_ns);
		return;
	case GROUP_PREPARING:
		break;
	}
	if (!g->members)
		become_empty(g, now_ns);
	else if (!g->initial && all_joined(g))
		complete_join(g, now_ns);
}

/* The first round waits again while members keep coming, in all at most the rebalance timeout. */
static void
initial_timer(struct group *g, uint64_t now_ns)
{
	const int64_t delay_ms = MIN((int64_t)(g->groups->limits.initial_delay_ns / NS_PER_MS),
		g->initial_left_ms);

	if (!g->grown || delay_ms == 0) {
		complete_join(g, now_ns);
		return;
	}
	g->grown = false;
	g->initial_left_ms -= delay_ms;
	arm(g, delay_ms, now_ns);
}

/* Who has its place in the generation but has not asked for its part is not there. */
static void
sync_timer(struct group *g, uint64_t now_ns)
{
	struct group_member *next;
	bool gone = false;

	for (struct group_member *m = g->members; m; m = next) {
		next = m->next;
		if (!m->must_sync)
			continue;
		member_remove(m, KIRA_E_UNKNOWN_MEMBER_ID);
		gone = true;
	}
	if (gone)
		group_prepare(g, now_ns);
}

void
group_timer(struct timer *t, uint64_t now_ns)
{
	struct group *g = (struct group *)((char *)t - offsetof(struct group, timer));

	if (g->state == GROUP_PREPARING && g->initial)
		initial_timer(g, now_ns);
	else if (g->state == GROUP_PREPARING)
		complete_join(g, now_ns);
	else if (g->state != GROUP_EMPTY)
		sync_timer(g, now_ns);
}

void
group_assignment_stored(struct group_write *w, int16_t error, uint64_t now_ns)
{
	struct group *g = w->owner;

	ASSERT(g->state == GROUP_COMPLETING);
	if (error) {
		end_syncs(g, error, now_ns);
		group_prepare(g, now_ns);
		return;
	}
	groups_set_state(g, GROUP_STABLE, now_ns);
	for (struct group_member *m = g->members; m; m = m->next) {
		if (!m->syncing)
			continue;
		member_alive(m, now_ns);
		group_answer_sync(m);
	}
}
