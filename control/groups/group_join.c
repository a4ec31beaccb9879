/* SPDX-License-Identifier: MIT
 * group_join.c - JoinGroup: who may come in, under which id, and whether a new round begins.
 * Thread: control. Never: leaves a request without an answer or a place where one comes from. */
#include "control/groups/group.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

/* How long a new member is waited for whose client may be gone: it does not beat before its first answer. */
#define FRESH_NS (300 * NS_PER_S)

#define ID_SIZE (GROUP_NAME_MAX + 1 + GROUP_UUID_TEXT)

struct joining {
	struct groups *gs;
	const struct group_join_request *q;
	struct group_wait *w;
	uint64_t now_ns;
};

static void
refuse(const struct joining *j, int16_t error, struct view member)
{
	const struct group_joined a = {.error = error, .generation = -1, .leader = view_text(""),
		.member = member.p ? member : view_text("")};

	j->gs->joined(j->gs, j->w, &a);
}

/* Client id or instance id, "-", a random UUID. */
static struct view
new_id(const struct joining *j, char ret[ID_SIZE])
{
	const struct view from = j->q->instance.p ? j->q->instance : j->q->client_id;
	const uint32_t n = MIN(from.len, (uint32_t)GROUP_NAME_MAX);

	if (n > 0)
		memcpy(ret, from.p, n);
	ret[n] = '-';
	j->gs->uuid(j->gs, ret + n + 1);
	return (struct view){(uint8_t *)ret, n + GROUP_UUID_TEXT};
}

/* The request waits for the others; what it brings may be all that was missing. */
static void
park(const struct joining *j, struct group_member *m)
{
	struct group *g = m->group;

	/* Of the same member on another connection: who sent that is not heard any more. */
	member_fail_join(m, KIRA_E_REBALANCE_IN_PROGRESS);
	m->joining = true;
	m->join = j->w;
	j->w->member = m;
	if (g->state == GROUP_PREPARING)
		group_changed(g, j->now_ns);
	else
		group_prepare(g, j->now_ns);
}

/* The member is in this generation already. */
static void
answer_now(const struct joining *j, struct group_member *m, bool skip_assignment, struct view leader)
{
	m->join = j->w;
	member_alive(m, j->now_ns);
	group_answer_join(m, skip_assignment, leader);
}

static void
add(const struct joining *j, struct group *g, struct view id)
{
	struct view type = {NULL, 0};
	struct group_member *m;

	if (!view_same(g->protocol_type, j->q->protocol_type)) {
		type = group_copy(j->gs, j->q->protocol_type);
		if (!type.p) {
			refuse(j, KIRA_E_COORDINATOR_NOT_AVAILABLE, j->q->member);
			groups_tidy(g);
			return;
		}
	}
	m = member_add(g, j->q, id);
	if (!m) {
		group_uncopy(j->gs, type);
		refuse(j, KIRA_E_COORDINATOR_NOT_AVAILABLE, j->q->member);
		groups_tidy(g);
		return;
	}
	if (type.p) {
		group_uncopy(j->gs, g->protocol_type);
		g->protocol_type = type;
	}
	m->fresh = true;
	m->deadline_ns = j->now_ns + FRESH_NS;
	loop_arm(j->gs->loop, &m->timer, m->deadline_ns);
	g->grown = true;
	park(j, m);
}

/* A client that was restarted: a new id, whoever had the old one is fenced. Nobody else need know. */
static void
take_over(const struct joining *j, struct group *g, struct group_member *m)
{
	char text[ID_SIZE], old_text[ID_SIZE];
	const struct view id = new_id(j, text);
	const struct view old = {(uint8_t *)old_text, MIN(m->id.len, (uint32_t)ID_SIZE)};

	memcpy(old_text, m->id.p, old.len);
	member_fail_join(m, KIRA_E_FENCED_INSTANCE_ID);
	member_fail_sync(m, KIRA_E_FENCED_INSTANCE_ID);
	m->joining = m->syncing = m->fresh = false;
	/* Before anything can fail: its timer may have run out while it was parked. */
	member_alive(m, j->now_ns);
	if (!member_update(m, j->q, id)) {
		refuse(j, KIRA_E_COORDINATOR_NOT_AVAILABLE, j->q->member);
		return;
	}
	if (g->state != GROUP_STABLE || !view_same(group_vote(g), g->protocol)) {
		park(j, m);
		return;
	}
	(void)group_keep(g, NULL);
	if (g->leader != m)
		answer_now(j, m, false, g->leader->id);
	else if (j->q->skip_offered)
		answer_now(j, m, true, m->id);
	else /* by its old id it does not take itself for the leader, and assigns nothing */
		answer_now(j, m, false, old);
}

static void
update(const struct joining *j, struct group_member *m)
{
	if (!member_update(m, j->q, m->id))
		refuse(j, KIRA_E_COORDINATOR_NOT_AVAILABLE, j->q->member);
	else
		park(j, m);
}

/* Somebody who says that it is a member. */
static void
join_known(const struct joining *j, struct group *g, struct group_member *m)
{
	switch (g->state) {
	case GROUP_EMPTY:
		refuse(j, KIRA_E_UNKNOWN_MEMBER_ID, j->q->member);
		return;
	case GROUP_PREPARING:
		update(j, m);
		return;
	case GROUP_COMPLETING:
		/* Its answer was lost: here it is again. */
		if (member_matches(m, j->q))
			answer_now(j, m, false, g->leader->id);
		else
			update(j, m);
		return;
	case GROUP_STABLE:
		if (m != g->leader && member_matches(m, j->q))
			answer_now(j, m, false, g->leader->id);
		else
			update(j, m);
		return;
	}
}

static void
join_new(const struct joining *j, struct group *g)
{
	struct group_member *m = j->q->instance.p ? member_of_instance(g, j->q->instance) : NULL;
	char text[ID_SIZE];
	struct view id;

	if (m) {
		take_over(j, g, m);
		return;
	}
	id = new_id(j, text);
	if (j->q->instance.p || !j->q->id_required) {
		add(j, g, id);
		return;
	}
	if (!pending_add(g, id, j->q->session_ms, j->now_ns)) {
		refuse(j, KIRA_E_COORDINATOR_NOT_AVAILABLE, j->q->member);
		groups_tidy(g);
		return;
	}
	refuse(j, KIRA_E_MEMBER_ID_REQUIRED, id);
}

/* The group may hold one more; who is in it already needs no room, but for what it brings. */
static bool
has_room(const struct group *g, const struct group_join_request *q)
{
	const struct group_member *m = q->instance.p ? member_of_instance(g, q->instance)
		: q->member.len > 0 ? member_find(g, q->member) : NULL;
	const uint64_t old = m ? group_brings(m->protocols, m->protocol) : 0;

	if (!m && g->member_count >= g->groups->limits.members_max)
		return false;
	return group_brought(g) - old + group_brings(q->protocols, q->protocol) <= GROUP_BROUGHT_MAX;
}

/* 0: it may come in, `*m` is NULL where it is new. */
static int16_t
judge(const struct joining *j, struct group *g, struct group_member **m, struct group_pending **p)
{
	const struct group_join_request *q = j->q;
	int16_t error = 0;

	*m = NULL;
	*p = q->member.len > 0 && !q->instance.p ? pending_find(g, q->member) : NULL;
	if (!has_room(g, q))
		return KIRA_E_GROUP_MAX_SIZE_REACHED;
	if (q->member.len > 0 && !*p)
		error = member_claimed(g, q->member, q->instance, m);
	if (!group_agrees(g, q, *m ? *m : q->instance.p ? member_of_instance(g, q->instance) : NULL))
		return KIRA_E_INCONSISTENT_GROUP_PROTOCOL;
	return error;
}

/* What is kept of a member stays small: names are names, assignors few. */
static bool
within_bounds(const struct group_join_request *q)
{
	if (q->instance.p && (q->instance.len == 0 || q->instance.len > GROUP_NAME_MAX))
		return false;
	if (q->protocol_type.len > GROUP_NAME_MAX || q->protocols > GROUP_PROTOCOLS_MAX)
		return false;
	for (int32_t i = 0; i < q->protocols; i++)
		if (q->protocol[i].name.len > GROUP_NAME_MAX)
			return false;
	return true;
}

void
group_join(struct groups *gs, const struct group_join_request *q, struct group_wait *w,
	uint64_t now_ns)
{
	const struct joining j = {gs, q, w, now_ns};
	struct group_pending *p;
	struct group_member *m;
	struct group *g;
	int16_t error;

	w->member = NULL;
	if (!group_id_legal(q->group)) {
		refuse(&j, KIRA_E_INVALID_GROUP_ID, q->member);
		return;
	}
	if (q->session_ms < gs->limits.session_min_ms || q->session_ms > gs->limits.session_max_ms) {
		refuse(&j, KIRA_E_INVALID_SESSION_TIMEOUT, q->member);
		return;
	}
	if (!within_bounds(q)) {
		refuse(&j, KIRA_E_INVALID_REQUEST, q->member);
		return;
	}
	g = q->member.len > 0 ? groups_find(gs, q->group) : groups_obtain(gs, q->group, now_ns);
	if (!g) {
		refuse(&j, q->member.len > 0 ? KIRA_E_UNKNOWN_MEMBER_ID
			: KIRA_E_COORDINATOR_NOT_AVAILABLE, q->member);
		return;
	}
	error = judge(&j, g, &m, &p);
	if (error) {
		refuse(&j, error, q->member);
		groups_tidy(g);
	} else if (m) {
		join_known(&j, g, m);
	} else if (p) {
		pending_remove(p);
		add(&j, g, q->member);
	} else {
		join_new(&j, g);
	}
}
