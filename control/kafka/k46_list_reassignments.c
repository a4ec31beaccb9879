/* SPDX-License-Identifier: MIT
 * k46_list_reassignments.c - ListPartitionReassignments: a partition has one replica, here; none is ever moved.
 * Thread: control. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

enum served
k46_list_reassignments(struct conn *c, uint64_t now_ns)
{
	struct q_partitions q;
	struct writer *w;

	if (!q_reassignments(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_i16(w, 0);
	kw_string(w, NULL);
	kw_array(w, 0);
	kw_tags(w);
	return SERVED_ANSWER;
}
