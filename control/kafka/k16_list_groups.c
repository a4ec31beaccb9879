/* SPDX-License-Identifier: MIT
 * k16_list_groups.c - all groups, or those in certain states (v4+) or of certain types (v5+; ours are "classic").
 * Thread: control. */
#include "control/groups/group.h"
#include "control/kafka/requests_groups.h"
#include "control/kafka/serve.h"

#include <strings.h>

/* Kafka's tools write states and types in any case. */
static bool
listed(int32_t n, const struct view *list, const char *name)
{
	for (int32_t i = 0; i < n; i++)
		if (list[i].len == strlen(name) &&
			strncasecmp((const char *)list[i].p, name, list[i].len) == 0)
			return true;
	return n == 0;
}

static bool
wanted(const struct q_list_groups *q, const struct group *g)
{
	return listed(q->states, q->state, group_state_name(g->state)) &&
		listed(q->types, q->type, "classic");
}

enum served
k16_list_groups(struct conn *c, uint64_t now_ns)
{
	const int16_t version = c->rq.version;
	struct q_list_groups q;
	struct writer *w;
	int16_t error;
	int32_t n = 0;

	if (!q_list_groups(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	error = serve_group_log(c->ctl, view_text(""));
	for (const struct group *g = error ? NULL : c->ctl->groups.first; g; g = g->next)
		n += wanted(&q, g);
	w = conn_answer(c);
	if (version >= 1)
		kw_i32(w, 0);
	kw_i16(w, error);
	kw_array(w, n);
	for (const struct group *g = error ? NULL : c->ctl->groups.first; g; g = g->next) {
		if (!wanted(&q, g))
			continue;
		kw_view(w, g->id);
		kw_view(w, g->protocol_type.p ? g->protocol_type : view_text(""));
		if (version >= 4)
			kw_string(w, group_state_name(g->state));
		if (version >= 5)
			kw_string(w, "classic");
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}
