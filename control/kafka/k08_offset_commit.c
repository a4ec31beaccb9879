/* SPDX-License-Identifier: MIT
 * k08_offset_commit.c - offsets of a group, answered when they are on disk (`offsets-ack`). Those of one request
 * are stored together or not at all; what is wrong with one partition concerns it alone. Thread: control. */
#include "control/groups/offsets.h"
#include "control/kafka/serve.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>

/* Kafka's offsets.commit.timeout.ms. */
#define COMMIT_NS (5 * NS_PER_S)

struct commit {
	struct conn *c;
	struct offset_commit *of; /* NULL: nothing is to be stored */
	int16_t error[];          /* of each partition, in the order of the request */
};

static void
drop(struct commit *cm)
{
	if (cm->of)
		offsets_commit_forget(cm->of);
	free(cm);
}

static int16_t
of_all(const struct commit *cm)
{
	if (!cm->of)
		return 0;
	if (!cm->of->decided)
		return KIRA_E_REQUEST_TIMED_OUT;
	return cm->of->error == KIRA_E_UNKNOWN_SERVER_ERROR ? KIRA_E_INVALID_COMMIT_OFFSET_SIZE : cm->of->error;
}

static enum served
answer(struct conn *c, const struct commit *cm)
{
	const int16_t all = of_all(cm);
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
			kw_i16(w, cm->error[k] ? cm->error[k] : all);
			kw_tags(w);
		}
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	const struct commit *cm = c->park_data;

	return cm->of->decided || deadline ? answer(c, cm) : SERVED_PARKED;
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
	const struct commit *cm = owner;

	conn_wake(cm->c, now_ns, false);
}

static int16_t
commit_one(const struct control *ctl, struct offset_commit *of, const struct q_commit_topic *qt,
	const struct q_commit_partition *q, int64_t wall_ms)
{
	const struct topic *t = topics_find(ctl, qt->name);
	const struct offset_record rec = {.offset = q->offset, .leader_epoch = q->leader_epoch,
		.commit_ms = wall_ms, .metadata = q->metadata.p ? q->metadata : (struct view){(const uint8_t *)"", 0}};

	if (!t || !topic_partition(t, q->partition))
		return KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	if (rec.metadata.len > OFFSET_METADATA_MAX)
		return KIRA_E_OFFSET_METADATA_TOO_LARGE;
	return offsets_commit_add(of, qt->name, q->partition, &rec) ? 0 : KIRA_E_COORDINATOR_NOT_AVAILABLE;
}

static void
prepare(struct conn *c, struct commit *cm, const struct q_offset_commit *q, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	const struct group_claim claim = {q->group, q->member, q->instance, q->generation};
	const int64_t wall_ms = clock_wall_ms();
	struct group *g = NULL;
	int16_t all = serve_group_log(ctl, q->group);
	int32_t k = 0;

	if (all == 0)
		all = groups_may_commit(&ctl->groups, &claim, now_ns, &g);
	if (all == 0)
		cm->of = offsets_commit_make(&ctl->groups, g, (unsigned)q->partitions);
	for (int32_t i = 0; i < q->topics; i++)
		for (int32_t j = 0; j < q->topic[i].partitions; j++, k++)
			cm->error[k] = all ? all :
				commit_one(ctl, cm->of, &q->topic[i], &q->topic[i].partition[j], wall_ms);
	if (cm->of) {
		cm->of->owner = cm;
		cm->of->done = done;
		offsets_commit_send(cm->of, ctl->cfg->offsets_ack == 0 ? GROUP_LOG_DURABLE : GROUP_LOG_APPENDED);
	}
}

enum served
k08_offset_commit(struct conn *c, uint64_t now_ns)
{
	struct q_offset_commit q;
	struct commit *cm;
	enum served served;

	if (!q_offset_commit(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	cm = calloc(1, sizeof(*cm) + (size_t)q.partitions * sizeof(cm->error[0]));
	ASSERT(cm);
	cm->c = c;
	prepare(c, cm, &q, now_ns);
	if (cm->of && !cm->of->decided)
		return conn_park(c, &wait_for_log, cm, now_ns + COMMIT_NS);
	served = answer(c, cm);
	drop(cm);
	return served;
}
