/* SPDX-License-Identifier: MIT
 * k15_describe_groups.c - state and members of groups. What members subscribe to and were assigned is told of a
 * stable group alone: in any other state it is of no round, or half a round. Thread: control. */
#include "control/groups/group.h"
#include "control/kafka/requests_groups.h"
#include "control/kafka/serve.h"

#define GROUP_OPERATIONS 328 /* bits of AclOperation: READ, DELETE, DESCRIBE */

static void
write_blob(struct writer *w, struct view v, bool stable)
{
	kw_bytes(w, stable && v.p ? (const void *)v.p : "", stable ? (int32_t)v.len : 0);
}

static void
write_members(struct writer *w, const struct group *g, int16_t version)
{
	const bool stable = g->state == GROUP_STABLE;

	kw_array(w, (int32_t)g->member_count);
	for (const struct group_member *m = g->members; m && !w->full; m = m->next) {
		kw_view(w, m->id);
		if (version >= 4)
			kw_view(w, m->instance);
		kw_view(w, m->client_id);
		kw_view(w, m->client_host);
		write_blob(w, member_metadata(m), stable);
		write_blob(w, m->assignment, stable);
		kw_tags(w);
	}
}

static void
write_group(struct writer *w, const struct conn *c, struct view id, bool operations)
{
	const int16_t error = serve_group_log(c->ctl, id);
	const struct group *g = error ? NULL : groups_find(&c->ctl->groups, id);
	const struct view none = view_text("");

	kw_i16(w, error);
	kw_view(w, id);
	kw_string(w, error ? "" : g ? group_state_name(g->state) : "Dead");
	kw_view(w, g && g->protocol_type.p ? g->protocol_type : none);
	kw_view(w, g && g->state == GROUP_STABLE ? g->protocol : none);
	if (g)
		write_members(w, g, c->rq.version);
	else
		kw_array(w, 0);
	if (c->rq.version >= 3)
		kw_i32(w, operations && !error ? GROUP_OPERATIONS : INT32_MIN);
	kw_tags(w);
}

enum served
k15_describe_groups(struct conn *c, uint64_t now_ns)
{
	struct q_group_ids q;
	struct writer *w;

	if (!q_describe_groups(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	if (c->rq.version >= 1)
		kw_i32(w, 0);
	kw_array(w, q.groups);
	for (int32_t i = 0; i < q.groups && !w->full; i++)
		write_group(w, c, q.group[i], q.operations);
	kw_tags(w);
	return SERVED_ANSWER;
}
