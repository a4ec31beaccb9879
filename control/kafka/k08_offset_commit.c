/* SPDX-License-Identifier: MIT
 * k08_offset_commit.c - offsets of a group, answered when they are on disk (`offsets-ack`). Those of one request
 * are stored together or not at all; what is wrong with one partition concerns it alone. Thread: control. */
#include "control/kafka/offset_wait.h"

#include "base/clock.h"

#include <kira/errors.h>

/* To the log, more than a batch holds is an UNKNOWN_SERVER_ERROR (group_log.h). */
static int16_t
of_all(const struct offset_wait *wait)
{
	const int16_t error = wait->all ? wait->all : offset_wait_error(wait);

	return error == KIRA_E_UNKNOWN_SERVER_ERROR ? KIRA_E_INVALID_COMMIT_OFFSET_SIZE : error;
}

static enum served
answer(struct conn *c, const struct offset_wait *wait)
{
	const int16_t all = of_all(wait);
	struct q_offset_commit q;
	struct writer *w;
	int32_t k = 0;

	if (!q_offset_commit(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	if (c->rq.version >= 3)
		kw_i32(w, 0);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		kw_view(w, q.topic[i].name);
		kw_array(w, q.topic[i].partitions);
		for (int32_t j = 0; j < q.topic[i].partitions; j++, k++) {
			kw_i32(w, q.topic[i].partition[j].partition);
			kw_i16(w, wait->error[k] ? wait->error[k] : all);
			kw_tags(w);
		}
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static int16_t
commit_one(const struct control *ctl, struct offset_commit *of, const struct q_commit_topic *qt,
	const struct q_commit_partition *q, int64_t wall_ms)
{
	const struct topic *t = topics_find(ctl, qt->name);
	const struct offset_record rec = {.offset = q->offset, .leader_epoch = q->leader_epoch,
		.commit_ms = wall_ms, .metadata = q->metadata.p ? q->metadata : view_text("")};

	if (!t || !topic_partition(t, q->partition))
		return KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	if (rec.metadata.len > OFFSET_METADATA_MAX)
		return KIRA_E_OFFSET_METADATA_TOO_LARGE;
	return offsets_commit_add(of, qt->name, q->partition, &rec) ? 0 : KIRA_E_COORDINATOR_NOT_AVAILABLE;
}

static void
commit(struct control *ctl, struct offset_wait *wait, const struct q_offset_commit *q, uint64_t now_ns)
{
	const struct group_claim claim = {q->group, q->member, q->instance, q->generation};
	const int64_t wall_ms = clock_wall_ms();
	struct group *g = NULL;
	int32_t k = 0;

	wait->all = serve_group_log(ctl, q->group);
	if (wait->all == 0)
		wait->all = groups_may_commit(&ctl->groups, &claim, now_ns, &g);
	if (wait->all)
		return;
	wait->of = offsets_commit_make(&ctl->groups, g, (unsigned)q->partitions);
	for (int32_t i = 0; i < q->topics; i++)
		for (int32_t j = 0; j < q->topic[i].partitions; j++)
			wait->error[k++] = commit_one(ctl, wait->of, &q->topic[i], &q->topic[i].partition[j], wall_ms);
	offset_wait_send(wait, ctl->cfg->offsets_ack == 0 ? GROUP_LOG_DURABLE : GROUP_LOG_APPENDED);
}

enum served
k08_offset_commit(struct conn *c, uint64_t now_ns)
{
	struct q_offset_commit q;
	struct offset_wait *wait;

	if (!q_offset_commit(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	wait = offset_wait_make(c, q.partitions, answer);
	commit(c->ctl, wait, &q, now_ns);
	return offset_wait_serve(wait, now_ns);
}
