/* SPDX-License-Identifier: MIT
 * k03_metadata.c - brokers (one) and topics; a topic that a client names may be created.
 * Thread: control. A created topic is answered with its leader, not with "not yet": the request is
 * parked until the directories are on disk. Asking for all topics creates nothing. */
#include "control/kafka/serve.h"

#include <kira/errors.h>

static const struct park wait_for_topics;

static void
write_partition(struct writer *w, const struct topic *t, int32_t i, int16_t version, int32_t node)
{
	kw_i16(w, 0);
	kw_i32(w, i);
	kw_i32(w, node);
	if (version >= 7)
		kw_i32(w, storage_leader_epoch(t->part->part[i]));
	kw_array(w, 1);
	kw_i32(w, node);
	kw_array(w, 1);
	kw_i32(w, node);
	if (version >= 5)
		kw_array(w, 0);
	kw_tags(w);
}

static void
write_topic(struct conn *c, struct writer *w, const struct topic *t, int16_t error,
	struct view name, const uint8_t *id, bool operations)
{
	const int16_t version = c->rq.version;
	const int32_t node = (int32_t)c->ctl->cfg->node_id;

	kw_i16(w, error);
	kw_view(w, name);
	if (version >= 10)
		kw_raw(w, id, UUID_BYTES);
	if (version >= 1)
		kw_bool(w, !error && t->internal);
	kw_array(w, error ? 0 : t->partitions);
	for (int32_t i = 0; !error && i < t->partitions; i++)
		write_partition(w, t, i, version, node);
	if (version >= 8)
		kw_i32(w, operations && !error ? SERVE_TOPIC_OPERATIONS : INT32_MIN);
	kw_tags(w);
}

/* Why a named topic is not there. */
static int16_t
missing(struct control *ctl, struct view name, bool may_create)
{
	const struct topic_spec spec = {.name = name, .partitions = -1};
	const struct topic *t = topics_any(ctl, name);
	struct err err;
	int16_t error;

	if (!topic_name_legal(name))
		return KIRA_E_INVALID_TOPIC_EXCEPTION;
	if (t && t->state == TOPIC_FAILED)
		return KIRA_E_KAFKA_STORAGE_ERROR;
	if (t || !may_create || topic_name_internal(name))
		return KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	error = topics_judge(ctl, &spec, &err);
	return error ? error : KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
}

static bool
has_id(const struct q_metadata_topic *a)
{
	return a->id && memcmp(a->id, serve_no_id, UUID_BYTES) != 0;
}

static void
write_asked(struct conn *c, struct writer *w, const struct q_metadata *q,
	const struct q_metadata_topic *a)
{
	struct control *ctl = c->ctl;
	const bool by_id = has_id(a) || !a->name.p;
	const struct topic *t;

	if (c->rq.version < 12 && by_id) {
		/* These versions have ids in answers only. */
		write_topic(c, w, NULL, KIRA_E_INVALID_REQUEST,
			a->name.p ? a->name : view_text(""), a->id ? a->id : serve_no_id, false);
		return;
	}
	t = by_id ? topics_find_id(ctl, a->id) : topics_find(ctl, a->name);
	if (t)
		write_topic(c, w, t, 0, view_text(t->name), t->id, q->topic_operations);
	else if (!by_id)
		write_topic(c, w, NULL, missing(ctl, a->name, ctl->cfg->auto_create_topics &&
			q->auto_create), a->name, serve_no_id, false);
	else
		write_topic(c, w, NULL, KIRA_E_UNKNOWN_TOPIC_ID, (struct view){NULL, 0}, a->id, false);
}

static enum served
answer(struct conn *c, const struct q_metadata *q)
{
	struct control *ctl = c->ctl;
	const int16_t version = c->rq.version;
	struct writer *w = conn_answer(c);
	int32_t live = 0;
	char host[256];

	if (version >= 3)
		kw_i32(w, 0);
	kw_array(w, 1);
	kw_i32(w, (int32_t)ctl->cfg->node_id);
	kw_string(w, control_host(ctl, c, host));
	kw_i32(w, control_port(ctl, c));
	if (version >= 1)
		kw_string(w, NULL);
	kw_tags(w);
	if (version >= 2)
		kw_string(w, storage_cluster_id(ctl->storage));
	if (version >= 1)
		kw_i32(w, (int32_t)ctl->cfg->node_id);
	if (q->all) {
		for (const struct topic *t = ctl->topics.first; t; t = t->next)
			live += t->state == TOPIC_LIVE;
		kw_array(w, live);
		for (const struct topic *t = ctl->topics.first; t; t = t->next)
			if (t->state == TOPIC_LIVE)
				write_topic(c, w, t, 0, view_text(t->name), t->id, q->topic_operations);
	} else {
		kw_array(w, q->topics);
		for (int32_t i = 0; i < q->topics; i++)
			write_asked(c, w, q, &q->topic[i]);
	}
	if (version >= 8 && version <= 10)
		kw_i32(w, q->cluster_operations ? SERVE_CLUSTER_OPERATIONS : INT32_MIN);
	kw_tags(w);
	return SERVED_ANSWER;
}

/* Is one of the named topics being made? */
static bool
must_wait(const struct control *ctl, const struct q_metadata *q)
{
	for (int32_t i = 0; i < q->topics; i++)
		if (serve_being_made(ctl, q->topic[i].name))
			return true;
	return false;
}

static enum served
answer_or_wait(struct conn *c, const struct q_metadata *q)
{
	if (!must_wait(c->ctl, q))
		return answer(c, q);
	wait_add(&c->ctl->topics.waits, c);
	return conn_park(c, &wait_for_topics, NULL, UINT64_MAX);
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct q_metadata q;

	if (!q_metadata(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	return answer_or_wait(c, &q);
}

static const struct park wait_for_topics = {again, wait_remove};

enum served
k03_metadata(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_metadata q;
	struct topic *made;

	if (!q_metadata(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < q.topics && ctl->cfg->auto_create_topics && q.auto_create; i++)
		if (!has_id(&q.topic[i]) && topic_name_legal(q.topic[i].name) && !topic_name_internal(q.topic[i].name) &&
			!topics_any(ctl, q.topic[i].name))
			(void)topics_create_default(ctl, q.topic[i].name, &made);
	return answer_or_wait(c, &q);
}
