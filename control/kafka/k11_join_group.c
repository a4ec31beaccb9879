/* SPDX-License-Identifier: MIT
 * k11_join_group.c - become a member of a group, or say again what one wants. Parks until the others are there.
 * Thread: control. */
#include "control/groups/group_serve.h"
#include "control/kafka/requests_groups.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

static void
write_members(struct writer *w, const struct group *g, int16_t version)
{
	kw_array(w, g ? (int32_t)g->member_count : 0);
	for (const struct group_member *m = g ? g->members : NULL; m; m = m->next) {
		const struct view metadata = member_metadata(m);

		kw_view(w, m->id);
		if (version >= 5)
			kw_view(w, m->instance);
		kw_bytes(w, metadata.p ? (const void *)metadata.p : "", (int32_t)metadata.len);
		kw_tags(w);
	}
}

void
k11_write(struct conn *c, const struct group_joined *a)
{
	const int16_t version = c->rq.version;
	struct writer *w = conn_answer(c);

	if (version >= 2)
		kw_i32(w, 0);
	kw_i16(w, a->error);
	kw_i32(w, a->generation);
	if (version >= 7)
		kw_view(w, a->protocol_type);
	/* Null only where the schema has it nullable. */
	kw_view(w, a->protocol.p || version >= 7 ? a->protocol : view_text(""));
	kw_view(w, a->leader);
	if (version >= 9)
		kw_bool(w, a->skip_assignment);
	kw_view(w, a->member);
	write_members(w, a->members_of, version);
	kw_tags(w);
}

enum served
k11_join_group(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct group_join_request q;
	char host[64];
	int16_t error;

	if (!q_join_group(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	error = serve_group_log(ctl, q.group);
	if (error) {
		k11_write(c, &(struct group_joined){.error = error, .generation = -1, .leader = view_text(""),
			.member = q.member});
		return SERVED_ANSWER;
	}
	q.client_id = c->rq.client_id.p ? c->rq.client_id : view_text("");
	q.client_host = view_text(group_client_host(c, host));
	group_join(&ctl->groups, &q, &c->group_wait, now_ns);
	return group_served(c);
}
