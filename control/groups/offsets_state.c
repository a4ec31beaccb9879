/* SPDX-License-Identifier: MIT
 * offsets_state.c - walks over all committed offsets: what a renewal of the log writes, and what has expired.
 * Thread: control. Owns: nothing. */
#include "control/groups/offsets.h"

#include "control/groups/offsets_table.h"

bool
offsets_state(const struct group *g, struct offset_walk *at, struct offset_pad *pad, size_t enough)
{
	const struct group_offsets *of = g->offsets;

	for (; of && at->topic < of->topics; at->topic++, at->partition = 0) {
		const struct offset_topic *t = of->topic[at->topic];

		for (; at->partition < t->room; at->partition++) {
			const struct offset *o = t->part[at->partition];

			if (!o || !o->last)
				continue;
			if (kw_length(&pad->w) >= enough ||
				!offset_pad_add(pad, g->id, t->name, at->partition, &o->last->is))
				return true;
		}
	}
	return false;
}

/* Since when is this offset of no use? INT64_MAX: it is in use. */
static int64_t
unused_since(const struct group *g, bool subscribed, const struct offset_record *o)
{
	if (g->protocol_type.len == 0)
		return g->state == GROUP_EMPTY ? o->commit_ms : INT64_MAX;
	if (g->state == GROUP_EMPTY)
		return g->state_since_ms > o->commit_ms ? g->state_since_ms : o->commit_ms;
	return g->state == GROUP_STABLE && group_is_consumer(g) && !subscribed ? o->commit_ms : INT64_MAX;
}

static void
send(struct offset_commit *c)
{
	offsets_commit_send(c, GROUP_LOG_APPENDED);
	offsets_commit_forget(c);
}

static unsigned
expire_topic(struct groups *gs, struct group *g, const struct offset_topic *t, const struct offset_expiry *e)
{
	const bool subscribed = g->state != GROUP_EMPTY && group_subscribes(g, t->name);
	struct offset_commit *c = NULL;
	unsigned n = 0;

	for (int32_t p = 0; p < t->room; p++) {
		const struct offset *o = t->part[p];
		int64_t since;

		/* One that is being changed is in use. */
		if (!o || !o->now || o->pending > 0)
			continue;
		since = unused_since(g, subscribed, &o->now->is);
		if ((since == INT64_MAX || e->wall_ms - since < e->retention_ms) &&
			(!e->exists || e->exists(e->arg, t->name, p)))
			continue;
		if (!c)
			c = offsets_commit_make(gs, g, offsets_removals(gs, g, t->name, t->room - p));
		n += offsets_commit_remove(c, t->name, p);
		if (c->n == c->room) {
			send(c);
			c = NULL;
		}
	}
	if (c)
		send(c);
	return n;
}

unsigned
offsets_expire(struct groups *gs, const struct offset_expiry *e)
{
	struct group *next;
	unsigned n = 0;

	for (struct group *g = gs->first; g; g = next) {
		next = g->next;
		for (unsigned i = 0; i < offsets_topics(g); i++)
			n += expire_topic(gs, g, g->offsets->topic[i], e);
		if (g->state == GROUP_EMPTY && !g->pending && offsets_empty(g))
			groups_remove(gs, g, NULL);
	}
	return n;
}
