/* SPDX-License-Identifier: MIT
 * k47_offset_delete.c - forget committed offsets of topics that no member of the group subscribes to; answered when
 * that is appended. Thread: control. */
#include "control/groups/offsets.h"
#include "control/kafka/serve.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>

#define DELETE_NS (5 * NS_PER_S)

struct deletion {
	struct conn *c;
	struct offset_commit *of; /* NULL: nothing is to be stored */
	int16_t all;              /* at the top: no topics are told */
	int16_t error[];          /* of each partition, in the order of the request */
};

static void
drop(struct deletion *d)
{
	if (d->of)
		offsets_commit_forget(d->of);
	free(d);
}

static enum served
answer(struct conn *c, const struct deletion *d)
{
	const int16_t late = !d->of ? 0 : d->of->decided ? d->of->error : KIRA_E_REQUEST_TIMED_OUT;
	struct q_offset_delete q;
	struct writer *w;
	int32_t k = 0;

	if (!q_offset_delete(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i16(w, d->all);
	kw_i32(w, 0);
	kw_array(w, d->all ? 0 : q.of.topics);
	for (int32_t i = 0; i < q.of.topics && !d->all; i++) {
		const struct q_topic_partitions *t = &q.of.topic[i];

		kw_view(w, t->name);
		kw_array(w, t->partitions);
		for (int32_t j = 0; j < t->partitions; j++, k++) {
			kw_i32(w, t->partition[j]);
			kw_i16(w, d->error[k] ? d->error[k] : late);
		}
	}
	return SERVED_ANSWER;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	const struct deletion *d = c->park_data;

	return d->of->decided || deadline ? answer(c, d) : SERVED_PARKED;
}

static void
forget(struct conn *c)
{
	drop(c->park_data);
}

static const struct park wait_for_log = {again, forget};

static void
done(void *owner, struct offset_commit *of, uint64_t now_ns)
{
	const struct deletion *d = owner;

	conn_wake(d->c, now_ns, false);
}

static int16_t
judge(const struct group *g)
{
	if (!g)
		return KIRA_E_GROUP_ID_NOT_FOUND;
	return g->member_count > 0 && !group_is_consumer(g) ? KIRA_E_NON_EMPTY_GROUP : 0;
}

static int16_t
judge_topic(const struct control *ctl, const struct group *g, const struct q_topic_partitions *q, int32_t partition)
{
	const struct topic *t = topics_find(ctl, q->name);

	if (!t || !topic_partition(t, partition))
		return KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	return group_subscribes(g, q->name) ? KIRA_E_GROUP_SUBSCRIBED_TO_TOPIC : 0;
}

static void
prepare(struct control *ctl, struct deletion *d, struct group *g, const struct q_partitions *q, int32_t n)
{
	int32_t k = 0;

	d->of = offsets_commit_make(&ctl->groups, g, (unsigned)n);
	for (int32_t i = 0; i < q->topics; i++)
		for (int32_t j = 0; j < q->topic[i].partitions; j++, k++) {
			d->error[k] = judge_topic(ctl, g, &q->topic[i], q->topic[i].partition[j]);
			/* One that is not there is no error. */
			if (d->error[k] == 0)
				(void)offsets_commit_remove(d->of, q->topic[i].name, q->topic[i].partition[j]);
		}
	d->of->owner = d;
	d->of->done = done;
	offsets_commit_send(d->of, GROUP_LOG_APPENDED);
}

enum served
k47_offset_delete(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_offset_delete q;
	struct deletion *d;
	struct group *g;
	enum served served;
	int32_t n = 0;

	if (!q_offset_delete(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < q.of.topics; i++)
		n += q.of.topic[i].partitions;
	d = calloc(1, sizeof(*d) + (size_t)n * sizeof(d->error[0]));
	ASSERT(d);
	d->c = c;
	d->all = serve_group_log(ctl, q.group);
	g = d->all ? NULL : groups_find(&ctl->groups, q.group);
	if (d->all == 0)
		d->all = judge(g);
	if (d->all == 0)
		prepare(ctl, d, g, &q.of, n);
	if (d->of && !d->of->decided)
		return conn_park(c, &wait_for_log, d, now_ns + DELETE_NS);
	served = answer(c, d);
	drop(d);
	return served;
}
