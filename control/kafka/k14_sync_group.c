/* SPDX-License-Identifier: MIT
 * k14_sync_group.c - what the leader decided, for each member its part. Parks until the leader has sent it and the
 * log has it. Thread: control. */
#include "control/groups/group_serve.h"
#include "control/kafka/requests_groups.h"
#include "control/kafka/serve.h"

void
k14_write(struct conn *c, const struct group_synced *a)
{
	const int16_t version = c->rq.version;
	struct writer *w = conn_answer(c);

	if (version >= 1)
		kw_i32(w, 0);
	kw_i16(w, a->error);
	if (version >= 5) {
		kw_view(w, a->protocol_type);
		kw_view(w, a->protocol);
	}
	kw_bytes(w, a->assignment.p ? (const void *)a->assignment.p : "", (int32_t)a->assignment.len);
	kw_tags(w);
}

enum served
k14_sync_group(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct group_sync_request q;
	int16_t error;

	if (!q_sync_group(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	error = serve_group_log(ctl, q.claim.group);
	if (error) {
		k14_write(c, &(struct group_synced){.error = error});
		return SERVED_ANSWER;
	}
	group_sync(&ctl->groups, &q, &c->group_wait, now_ns);
	return group_served(c);
}
