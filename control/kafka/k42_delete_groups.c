/* SPDX-License-Identifier: MIT
 * k42_delete_groups.c - groups without members go, with their offsets. Answered when the log says so.
 * Thread: control. Memory: one piece per request, which the log's writes point into; a connection that goes
 * takes them back. */
#include "control/groups/group.h"
#include "control/kafka/requests_groups.h"
#include "control/kafka/serve.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>

#define PATIENCE_NS (30 * NS_PER_S) /* DeleteGroups names no time limit; Kafka's default for requests */

struct one {
	struct group_write write;
	int16_t error;
};

struct groups_deletion {
	struct conn *c;
	int32_t n;
	int32_t left; /* writes that the log has */
	struct one one[];
};

static void
stored(struct group_write *w, int16_t error, uint64_t now_ns)
{
	struct one *one = (struct one *)((char *)w - offsetof(struct one, write));
	struct groups_deletion *d = w->owner;

	one->error = error;
	if (--d->left == 0)
		conn_wake(d->c, now_ns, false);
}

static void
delete_one(struct groups_deletion *d, struct one *one, struct view id)
{
	struct groups *gs = &d->c->ctl->groups;
	struct group *g;

	one->error = serve_group_log(d->c->ctl, id);
	if (one->error)
		return;
	if (!group_id_legal(id)) {
		one->error = KIRA_E_INVALID_GROUP_ID;
		return;
	}
	g = groups_find(gs, id);
	if (!g || g->state != GROUP_EMPTY) {
		one->error = g ? KIRA_E_NON_EMPTY_GROUP : KIRA_E_GROUP_ID_NOT_FOUND;
		return;
	}
	one->error = KIRA_E_REQUEST_TIMED_OUT; /* until stored() says better */
	one->write = (struct group_write){.stored = stored, .owner = d};
	d->left++;
	groups_remove(gs, g, &one->write);
}

static enum served
answer(struct conn *c, const struct groups_deletion *d)
{
	struct q_group_ids q;
	struct writer *w;

	if (!q_delete_groups(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_array(w, q.groups);
	for (int32_t i = 0; i < q.groups; i++) {
		kw_view(w, q.group[i]);
		kw_i16(w, d->one[i].error);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static void
forget(struct conn *c)
{
	struct groups_deletion *d = c->park_data;

	for (int32_t i = 0; i < d->n; i++)
		group_log_cancel(c->ctl->group_log, &d->one[i].write);
	free(d);
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	return answer(c, c->park_data);
}

static const struct park wait_for_log = {again, forget};

enum served
k42_delete_groups(struct conn *c, uint64_t now_ns)
{
	struct groups_deletion *d;
	struct q_group_ids q;
	enum served served;

	if (!q_delete_groups(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	d = calloc(1, sizeof(*d) + (size_t)q.groups * sizeof(d->one[0]));
	ASSERT(d);
	d->c = c;
	d->n = q.groups;
	for (int32_t i = 0; i < q.groups; i++)
		delete_one(d, &d->one[i], q.group[i]);
	c->park_data = d;
	if (d->left > 0)
		return conn_park(c, &wait_for_log, d, now_ns + PATIENCE_NS);
	served = answer(c, d);
	forget(c);
	return served;
}
