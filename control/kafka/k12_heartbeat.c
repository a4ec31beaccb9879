/* SPDX-License-Identifier: MIT
 * k12_heartbeat.c - a member is alive, and learns whether it must join again. Thread: control. */
#include "control/kafka/requests_groups.h"
#include "control/kafka/serve.h"

enum served
k12_heartbeat(struct conn *c, uint64_t now_ns)
{
	struct group_claim q;
	struct writer *w;
	int16_t error;

	if (!q_heartbeat(&q, &c->rq))
		return SERVED_MALFORMED;
	error = serve_group_log(c->ctl, q.group);
	if (!error)
		error = group_heartbeat(&c->ctl->groups, &q, now_ns);
	w = conn_answer(c);
	if (c->rq.version >= 1)
		kw_i32(w, 0);
	kw_i16(w, error);
	kw_tags(w);
	return SERVED_ANSWER;
}
