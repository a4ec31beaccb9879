/* SPDX-License-Identifier: MIT
 * k20_delete_topics.c - delete topics by name or id; answered when the catalogue no longer names
 * them. Thread: control. Parked fetches wake with error 3; sends in progress finish. */
#include "control/kafka/serve.h"

#include <kira/errors.h>

#include <stdlib.h>

struct result {
	struct topic *topic; /* going; held */
	int16_t error;
	uint8_t id[UUID_BYTES];
	char name[TOPIC_NAME_MAX + 1];
};

struct deletion {
	int32_t n;
	struct result result[];
};

static const struct park wait_for_end;

static void
delete_one(struct control *ctl, int16_t version, const struct q_delete_topic *q, struct result *r)
{
	const bool has_id = q->id && memcmp(q->id, serve_no_id, UUID_BYTES) != 0;
	struct topic *t;

	if (has_id)
		memcpy(r->id, q->id, UUID_BYTES);
	if ((q->name.p != NULL) == has_id) {
		r->error = KIRA_E_INVALID_REQUEST;
		return;
	}
	if (!ctl->cfg->delete_topics) {
		/* A code that older clients do not know. */
		r->error = version < 3 ? KIRA_E_INVALID_REQUEST : KIRA_E_TOPIC_DELETION_DISABLED;
		return;
	}
	t = q->name.p ? topics_find(ctl, q->name) : topics_find_id(ctl, q->id);
	if (!t) {
		r->error = q->name.p ? KIRA_E_UNKNOWN_TOPIC_OR_PARTITION : KIRA_E_UNKNOWN_TOPIC_ID;
		return;
	}
	memcpy(r->name, t->name, sizeof(r->name));
	memcpy(r->id, t->id, UUID_BYTES);
	if (t->internal) {
		r->error = KIRA_E_INVALID_TOPIC_EXCEPTION;
		return;
	}
	r->topic = t;
	topic_hold(t);
	topics_delete(ctl, t);
}

static enum served
answer(struct conn *c, const struct deletion *d)
{
	const int16_t version = c->rq.version;
	struct q_delete_topics q;
	struct writer *w;

	if (!q_delete_topics(&q, &c->rq, &c->ctl->arena) || q.topics != d->n)
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		const struct result *r = &d->result[i];
		/* The catalogue could not be written: it is there again. */
		const int16_t error = r->topic && r->topic->state == TOPIC_LIVE ? KIRA_E_KAFKA_STORAGE_ERROR : r->error;

		if (r->name[0])
			kw_string(w, r->name);
		else
			kw_view(w, q.topic[i].name);
		if (version >= 6)
			kw_raw(w, r->id, UUID_BYTES);
		kw_i16(w, error);
		if (version >= 5)
			kw_string(w, error ? kira_error_meaning(error) : NULL);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static void
forget(struct conn *c)
{
	struct deletion *d = c->park_data;

	wait_remove(c);
	for (int32_t i = 0; i < d->n; i++)
		if (d->result[i].topic)
			topic_release(c->ctl, d->result[i].topic);
	free(d);
}

static bool
still_going(const struct deletion *d)
{
	for (int32_t i = 0; i < d->n; i++)
		if (d->result[i].topic && d->result[i].topic->state == TOPIC_DELETING &&
			!d->result[i].topic->op_done)
			return true;
	return false;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct deletion *d = c->park_data;

	if (!still_going(d))
		return answer(c, d);
	wait_add(&c->ctl->topics.waits, c);
	return SERVED_PARKED;
}

static const struct park wait_for_end = {again, forget};

enum served
k20_delete_topics(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	enum served served;
	struct q_delete_topics q;
	struct deletion *d;

	if (!q_delete_topics(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	d = calloc(1, sizeof(*d) + (size_t)q.topics * sizeof(d->result[0]));
	if (!d)
		return SERVED_CLOSE;
	d->n = q.topics;
	for (int32_t i = 0; i < d->n; i++)
		delete_one(ctl, c->rq.version, &q.topic[i], &d->result[i]);
	if (still_going(d)) {
		wait_add(&ctl->topics.waits, c);
		return conn_park(c, &wait_for_end, d, UINT64_MAX);
	}
	served = answer(c, d);
	c->park_data = d;
	forget(c);
	return served;
}
