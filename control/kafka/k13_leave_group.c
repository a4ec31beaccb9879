/* SPDX-License-Identifier: MIT
 * k13_leave_group.c - members leave, or an admin tool takes them out. Below v3 one, whose error stands at the
 * top. Thread: control. */
#include "control/groups/group.h"
#include "control/kafka/requests_groups.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

enum served
k13_leave_group(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	/* In the arena's order; a request holds at most as many members. */
	static int16_t left[ARENA_BYTES / sizeof(struct q_leave_member)];
	struct q_leave_group q;
	struct group *g = NULL;
	struct writer *w;
	int16_t error;

	if (!q_leave_group(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	error = serve_group_log(ctl, q.group);
	if (!error && !group_id_legal(q.group))
		error = KIRA_E_INVALID_GROUP_ID;
	if (!error)
		g = groups_find(&ctl->groups, q.group);
	for (int32_t i = 0; !error && i < q.members; i++)
		left[i] = group_leave(g, q.member[i].member, q.member[i].instance);
	if (g)
		group_left(g, now_ns);
	w = conn_answer(c);
	if (c->rq.version >= 1)
		kw_i32(w, 0);
	kw_i16(w, error || c->rq.version >= 3 ? error : left[0]);
	if (c->rq.version >= 3) {
		kw_array(w, error ? 0 : q.members);
		for (int32_t i = 0; !error && i < q.members; i++) {
			kw_view(w, q.member[i].member);
			kw_view(w, q.member[i].instance);
			kw_i16(w, left[i]);
			kw_tags(w);
		}
	}
	kw_tags(w);
	return SERVED_ANSWER;
}
