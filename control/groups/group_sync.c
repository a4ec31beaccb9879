/* SPDX-License-Identifier: MIT
 * group_sync.c - what members of a generation ask for: SyncGroup, Heartbeat, LeaveGroup, and whether they may
 * commit. Thread: control. */
#include "control/groups/group.h"

#include "base/clock.h"

#include <kira/errors.h>

/* Group, member and generation, in Kafka's order. */
static int16_t
judge(const struct groups *gs, const struct group_claim *q, struct group **g, struct group_member **m)
{
	int16_t error;

	if (!group_id_legal(q->group))
		return KIRA_E_INVALID_GROUP_ID;
	*g = groups_find(gs, q->group);
	if (!*g)
		return KIRA_E_UNKNOWN_MEMBER_ID;
	error = member_claimed(*g, q->member, q->instance, m);
	if (error)
		return error;
	return q->generation == (*g)->generation ? 0 : KIRA_E_ILLEGAL_GENERATION;
}

/* ---- SyncGroup ---- */

static void
refuse(struct groups *gs, struct group_wait *w, int16_t error)
{
	const struct group_synced a = {.error = error};

	gs->synced(gs, w, &a);
}

/* What the leader decided. False: no memory. */
static bool
take_assignments(struct group *g, const struct group_sync_request *q)
{
	for (struct group_member *m = g->members; m; m = m->next)
		if (!member_assign(m, (struct view){NULL, 0}))
			return false;
	for (int32_t i = 0; i < q->assignments; i++) {
		struct group_member *m = member_find(g, q->assignment[i].member);

		if (m && !member_assign(m, q->assignment[i].assignment))
			return false;
	}
	return true;
}

static void
park(struct group_member *m, const struct group_sync_request *q, struct group_wait *w,
	uint64_t now_ns)
{
	struct group *g = m->group;

	member_fail_sync(m, KIRA_E_REBALANCE_IN_PROGRESS);
	m->syncing = true;
	m->sync = w;
	w->member = m;
	if (m != g->leader || g->write.pending)
		return;
	if (!take_assignments(g, q))
		group_assignment_stored(&g->write, KIRA_E_UNKNOWN_SERVER_ERROR, now_ns);
	else if (!group_keep(g, &g->write))
		group_assignment_stored(&g->write, KIRA_E_COORDINATOR_NOT_AVAILABLE, now_ns);
}

void
group_sync(struct groups *gs, const struct group_sync_request *q, struct group_wait *w,
	uint64_t now_ns)
{
	struct group_member *m = NULL;
	struct group *g = NULL;
	int16_t error = judge(gs, &q->claim, &g, &m);

	w->member = NULL;
	if (!error && ((q->protocol_type.p && !view_same(q->protocol_type, g->protocol_type)) ||
		(q->protocol.p && !view_same(q->protocol, g->protocol))))
		error = KIRA_E_INCONSISTENT_GROUP_PROTOCOL;
	if (error) {
		refuse(gs, w, error);
		return;
	}
	m->must_sync = false;
	switch (g->state) {
	case GROUP_EMPTY:
		refuse(gs, w, KIRA_E_UNKNOWN_MEMBER_ID);
		return;
	case GROUP_PREPARING:
		refuse(gs, w, KIRA_E_REBALANCE_IN_PROGRESS);
		return;
	case GROUP_COMPLETING:
		park(m, q, w, now_ns);
		return;
	case GROUP_STABLE:
		m->sync = w;
		member_alive(m, now_ns);
		group_answer_sync(m);
		return;
	}
}

/* ---- Heartbeat ---- */

int16_t
group_heartbeat(struct groups *gs, const struct group_claim *q, uint64_t now_ns)
{
	struct group_member *m = NULL;
	struct group *g = NULL;
	const int16_t error = judge(gs, q, &g, &m);

	if (error)
		return error;
	if (!m->fresh)
		member_alive(m, now_ns);
	return g->state == GROUP_PREPARING ? KIRA_E_REBALANCE_IN_PROGRESS : 0;
}

/* ---- LeaveGroup ---- */

int16_t
group_leave(struct group *g, struct view member, struct view instance)
{
	struct group_member *m = NULL;
	struct group_pending *p;
	int16_t error;

	if (!g)
		return KIRA_E_UNKNOWN_MEMBER_ID;
	if (member.len == 0 && instance.p) {
		m = member_of_instance(g, instance);
		if (!m)
			return KIRA_E_UNKNOWN_MEMBER_ID;
	} else {
		p = instance.p ? NULL : pending_find(g, member);
		if (p) {
			pending_remove(p);
			return 0;
		}
		error = member_claimed(g, member, instance, &m);
		if (error)
			return error;
	}
	member_remove(m, KIRA_E_UNKNOWN_MEMBER_ID);
	g->shrunk = true;
	return 0;
}

void
group_left(struct group *g, uint64_t now_ns)
{
	const bool shrunk = g->shrunk;

	g->shrunk = false;
	/* An id given out that left is no longer waited for, but changes no round that is complete. */
	if (shrunk || g->state == GROUP_PREPARING || g->state == GROUP_EMPTY)
		group_changed(g, now_ns);
}

/* ---- OffsetCommit ---- */

int16_t
groups_may_commit(struct groups *gs, const struct group_claim *q, uint64_t now_ns, struct group **ret)
{
	const bool claims = q->generation >= 0 || q->member.len > 0 || q->instance.p;
	struct group_member *m = NULL;
	struct group *g;
	int16_t error;

	if (!group_id_legal(q->group))
		return KIRA_E_INVALID_GROUP_ID;
	g = groups_find(gs, q->group);
	if (!g) {
		/* In version 9, too: at Kafka's 69 Java's consumer throws, where it joins again at 22. */
		if (q->generation >= 0)
			return KIRA_E_ILLEGAL_GENERATION;
		*ret = groups_obtain(gs, q->group, now_ns);
		return *ret ? 0 : KIRA_E_COORDINATOR_NOT_AVAILABLE;
	}
	*ret = g;
	if (q->generation < 0 && g->state == GROUP_EMPTY)
		return 0;
	if (!claims)
		return KIRA_E_UNKNOWN_MEMBER_ID;
	error = judge(gs, q, &g, &m);
	if (error)
		return error;
	if (g->state == GROUP_COMPLETING)
		return KIRA_E_REBALANCE_IN_PROGRESS;
	if (!m->fresh)
		member_alive(m, now_ns);
	return 0;
}
