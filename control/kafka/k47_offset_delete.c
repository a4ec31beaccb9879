/* SPDX-License-Identifier: MIT
 * k47_offset_delete.c - forget committed offsets of topics that no member of the group subscribes to; answered when
 * that is appended. Thread: control. */
#include "control/kafka/offset_wait.h"

#include <kira/errors.h>

static enum served
answer(struct conn *c, const struct offset_wait *wait)
{
	const int16_t late = offset_wait_error(wait);
	struct q_offset_delete q;
	struct writer *w;
	int32_t k = 0;

	if (!q_offset_delete(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i16(w, wait->all);
	kw_i32(w, 0);
	kw_array(w, wait->all ? 0 : q.of.topics);
	for (int32_t i = 0; i < q.of.topics && !wait->all; i++) {
		const struct q_topic_partitions *t = &q.of.topic[i];

		kw_view(w, t->name);
		kw_array(w, t->partitions);
		for (int32_t j = 0; j < t->partitions; j++, k++) {
			kw_i32(w, t->partition[j]);
			kw_i16(w, wait->error[k] ? wait->error[k] : late);
		}
	}
	return SERVED_ANSWER;
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
remove_all(struct control *ctl, struct offset_wait *wait, const struct q_offset_delete *q, int32_t partitions)
{
	struct group *g;
	int32_t k = 0;

	wait->all = serve_group_log(ctl, q->group);
	if (wait->all)
		return;
	g = groups_find(&ctl->groups, q->group);
	wait->all = judge(g);
	if (wait->all)
		return;
	wait->of = offsets_commit_make(&ctl->groups, g, (unsigned)partitions);
	for (int32_t i = 0; i < q->of.topics; i++) {
		const struct q_topic_partitions *t = &q->of.topic[i];

		for (int32_t j = 0; j < t->partitions; j++, k++) {
			wait->error[k] = judge_topic(ctl, g, t, t->partition[j]);
			/* One that is not there is no error. */
			if (wait->error[k] == 0)
				(void)offsets_commit_remove(wait->of, t->name, t->partition[j]);
		}
	}
	offset_wait_send(wait, GROUP_LOG_APPENDED);
}

enum served
k47_offset_delete(struct conn *c, uint64_t now_ns)
{
	struct q_offset_delete q;
	struct offset_wait *wait;
	int32_t partitions = 0;

	if (!q_offset_delete(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < q.of.topics; i++)
		partitions += q.of.topic[i].partitions;
	wait = offset_wait_make(c, partitions, answer);
	remove_all(c->ctl, wait, &q, partitions);
	return offset_wait_serve(wait, now_ns);
}
