/* SPDX-License-Identifier: MIT
 * group_members.c - the members of a group, the ids given out, and the protocol all of them support.
 * Thread: control. Owns: struct group_member, struct group_pending. Never: changes the state of a group. */
#include "control/groups/group.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>

struct group_member *
member_find(const struct group *g, struct view id)
{
	struct group_member *m = g->members;

	while (m && !view_same(m->id, id))
		m = m->next;
	return m;
}

struct group_member *
member_of_instance(const struct group *g, struct view instance)
{
	struct group_member *m = g->members;

	while (m && !(m->instance.p && view_same(m->instance, instance)))
		m = m->next;
	return m;
}

int16_t
member_claimed(const struct group *g, struct view id, struct view instance,
	struct group_member **ret)
{
	struct group_member *m;

	if (instance.p) {
		m = member_of_instance(g, instance);
		if (!m)
			return KIRA_E_UNKNOWN_MEMBER_ID;
		/* A power cut may have taken the record of a newer id: who has that one is to join again, and not to
		 * end, as clients do that are fenced. */
		if (!view_same(m->id, id))
			return m->unheard ? KIRA_E_UNKNOWN_MEMBER_ID : KIRA_E_FENCED_INSTANCE_ID;
	} else {
		m = member_find(g, id);
		if (!m)
			return KIRA_E_UNKNOWN_MEMBER_ID;
	}
	m->unheard = false;
	*ret = m;
	return 0;
}

/* ---- Memory ---- */

static uint64_t
protocols_bytes(int32_t n, const struct group_protocol *p)
{
	return (uint64_t)n * sizeof(*p) + group_brings(n, p);
}

static struct view
put(uint8_t **at, struct view v)
{
	const struct view ret = {*at, v.len};

	if (v.len > 0)
		memcpy(*at, v.p, v.len);
	*at += v.len;
	return ret;
}

/* One block: the array, then what it points to. NULL: memory. */
static struct group_protocol *
copy_protocols(struct groups *gs, int32_t n, const struct group_protocol *from)
{
	const uint64_t bytes = protocols_bytes(n, from);
	struct group_protocol *ret;
	uint8_t *at;

	if (!groups_memory_take(gs, bytes))
		return NULL;
	ret = malloc(bytes + 1);
	if (!ret) {
		groups_memory_give(gs, bytes);
		return NULL;
	}
	at = (uint8_t *)(ret + n);
	for (int32_t i = 0; i < n; i++) {
		ret[i].name = put(&at, from[i].name);
		ret[i].metadata = put(&at, from[i].metadata);
	}
	return ret;
}

static void
free_protocols(struct groups *gs, int32_t n, struct group_protocol *p)
{
	if (!p)
		return;
	groups_memory_give(gs, protocols_bytes(n, p));
	free(p);
}

static void
free_member(struct group_member *m)
{
	struct groups *gs = m->group->groups;

	loop_disarm(gs->loop, &m->timer);
	group_uncopy(gs, m->id);
	group_uncopy(gs, m->instance);
	group_uncopy(gs, m->client_id);
	group_uncopy(gs, m->client_host);
	group_uncopy(gs, m->assignment);
	free_protocols(gs, m->protocols, m->protocol);
	groups_memory_give(gs, sizeof(*m));
	free(m);
}

static void
take_times(struct group_member *m, const struct group_join_request *q)
{
	m->session_ms = q->session_ms;
	m->rebalance_ms = q->rebalance_ms < 0 ? q->session_ms : q->rebalance_ms;
}

static void member_timer(struct timer *t, uint64_t now_ns);

struct group_member *
member_add(struct group *g, const struct group_join_request *q, struct view id)
{
	struct groups *gs = g->groups;
	struct group_member *m;

	if (!groups_memory_take(gs, sizeof(*m)))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m) {
		groups_memory_give(gs, sizeof(*m));
		return NULL;
	}
	m->group = g;
	m->timer.fire = member_timer;
	m->id = group_copy(gs, id);
	if (q->instance.p)
		m->instance = group_copy(gs, q->instance);
	m->client_id = group_copy(gs, q->client_id);
	m->client_host = group_copy(gs, q->client_host);
	m->protocol = copy_protocols(gs, q->protocols, q->protocol);
	m->protocols = q->protocols;
	if (!m->id.p || (q->instance.p && !m->instance.p) || !m->client_id.p || !m->client_host.p ||
		!m->protocol) {
		free_member(m);
		return NULL;
	}
	take_times(m, q);
	m->prev = g->members_last;
	*(g->members_last ? &g->members_last->next : &g->members) = m;
	g->members_last = m;
	g->member_count++;
	if (!g->leader)
		g->leader = m;
	return m;
}

bool
member_update(struct group_member *m, const struct group_join_request *q, struct view id)
{
	struct groups *gs = m->group->groups;
	const bool renamed = !view_same(m->id, id);
	struct group_protocol *p = copy_protocols(gs, q->protocols, q->protocol);
	struct view copy = {NULL, 0};

	if (p && renamed)
		copy = group_copy(gs, id);
	if (!p || (renamed && !copy.p)) {
		free_protocols(gs, q->protocols, p);
		return false;
	}
	free_protocols(gs, m->protocols, m->protocol);
	m->protocol = p;
	m->protocols = q->protocols;
	if (renamed) {
		group_uncopy(gs, m->id);
		m->id = copy;
		m->unheard = false;
	}
	take_times(m, q);
	return true;
}

bool
member_assign(struct group_member *m, struct view assignment)
{
	struct groups *gs = m->group->groups;

	group_uncopy(gs, m->assignment);
	m->assignment = (struct view){NULL, 0};
	if (assignment.len > 0)
		m->assignment = group_copy(gs, assignment);
	return m->assignment.len == assignment.len;
}

/* ---- Answers that end a wait ---- */

void
member_fail_join(struct group_member *m, int16_t error)
{
	struct groups *gs = m->group->groups;
	struct group_wait *w = m->join;
	const struct group_joined a = {.error = error, .generation = -1, .member = m->id,
		.leader = view_text("")};

	m->join = NULL;
	if (!w)
		return;
	w->member = NULL;
	gs->joined(gs, w, &a);
}

void
member_fail_sync(struct group_member *m, int16_t error)
{
	struct groups *gs = m->group->groups;
	struct group_wait *w = m->sync;
	const struct group_synced a = {.error = error};

	m->sync = NULL;
	if (!w)
		return;
	w->member = NULL;
	gs->synced(gs, w, &a);
}

void
member_remove(struct group_member *m, int16_t error)
{
	struct group *g = m->group;

	member_fail_join(m, error);
	member_fail_sync(m, error);
	*(m->prev ? &m->prev->next : &g->members) = m->next;
	*(m->next ? &m->next->prev : &g->members_last) = m->prev;
	g->member_count--;
	if (g->leader == m)
		g->leader = g->members;
	free_member(m);
}

void
group_forget(struct group_wait *w)
{
	struct group_member *m = w->member;

	if (!m)
		return;
	w->member = NULL;
	if (m->join == w)
		m->join = NULL;
	else
		m->sync = NULL;
}

/* ---- Sessions ---- */

/* A heartbeat moves the deadline alone; the timer, which fires too early then, is set again as it fires. */
void
member_alive(struct group_member *m, uint64_t now_ns)
{
	m->deadline_ns = now_ns + (uint64_t)m->session_ms * NS_PER_MS;
	if (m->timer.slot == 0 || m->timer.at_ns > m->deadline_ns)
		loop_arm(m->group->groups->loop, &m->timer, m->deadline_ns);
}

static void
member_timer(struct timer *t, uint64_t now_ns)
{
	struct group_member *m = (struct group_member *)((char *)t - offsetof(struct group_member, timer));
	struct group *g = m->group;

	if (m->deadline_ns > now_ns) {
		loop_arm(g->groups->loop, t, m->deadline_ns);
		return;
	}
	/* While it waits for us it cannot beat; the answer begins its session anew. */
	if ((m->joining && !m->fresh) || m->syncing)
		return;
	member_remove(m, KIRA_E_UNKNOWN_MEMBER_ID);
	group_changed(g, now_ns);
}

/* ---- Ids given out ---- */

static void
pending_timer(struct timer *t, uint64_t now_ns)
{
	struct group_pending *p = (struct group_pending *)((char *)t - offsetof(struct group_pending, timer));
	struct group *g = p->group;

	pending_remove(p);
	if (g->state == GROUP_PREPARING)
		group_changed(g, now_ns);
	else
		groups_tidy(g);
}

bool
pending_add(struct group *g, struct view id, int32_t session_ms, uint64_t now_ns)
{
	struct groups *gs = g->groups;
	struct group_pending *p;

	if (g->pending_count >= gs->limits.members_max)
		pending_remove(g->pending);
	if (!groups_memory_take(gs, sizeof(*p)))
		return false;
	p = calloc(1, sizeof(*p));
	if (p)
		p->id = group_copy(gs, id);
	if (!p || !p->id.p) {
		free(p);
		groups_memory_give(gs, sizeof(*p));
		return false;
	}
	p->group = g;
	p->timer.fire = pending_timer;
	p->prev = g->pending_last;
	*(g->pending_last ? &g->pending_last->next : &g->pending) = p;
	g->pending_last = p;
	g->pending_count++;
	loop_arm(gs->loop, &p->timer, now_ns + (uint64_t)session_ms * NS_PER_MS);
	return true;
}

struct group_pending *
pending_find(const struct group *g, struct view id)
{
	struct group_pending *p = g->pending;

	while (p && !view_same(p->id, id))
		p = p->next;
	return p;
}

void
pending_remove(struct group_pending *p)
{
	struct group *g = p->group;
	struct groups *gs = g->groups;

	loop_disarm(gs->loop, &p->timer);
	*(p->prev ? &p->prev->next : &g->pending) = p->next;
	*(p->next ? &p->next->prev : &g->pending_last) = p->prev;
	g->pending_count--;
	group_uncopy(gs, p->id);
	groups_memory_give(gs, sizeof(*p));
	free(p);
}
