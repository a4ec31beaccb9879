/* SPDX-License-Identifier: MIT
 * k37_create_partitions.c - more partitions for topics; answered when they are on disk and every rx lcore knows
 * them. Thread: control. Each topic succeeds or fails by itself; two requests for one topic come one after the
 * other. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

#include <stdlib.h>

struct result {
	struct topic *topic; /* growing, or to be; held */
	bool growing;        /* for us */
	bool done;
	int16_t error;
	char message[256];
};

struct growths {
	int32_t n;
	struct result result[];
};

static const struct park wait_for_partitions;

static void
settle(struct result *r, int16_t error, const char *text)
{
	r->done = true;
	r->error = error;
	(void)snprintf(r->message, sizeof(r->message), "%.255s", text);
}

/* The new partitions can only be ours. */
static bool
assigned_here(const struct control *ctl, const struct q_more_partitions *q, int32_t more)
{
	if (q->assignments < 0)
		return true;
	for (int32_t i = 0; i < q->assignments; i++)
		if (q->assignment[i].brokers != 1 || q->assignment[i].first_broker != ctl->cfg->node_id)
			return false;
	return q->assignments == more;
}

/* The topic is live and at rest. */
static void
begin(struct control *ctl, const struct q_more_partitions *q, bool validate_only, struct result *r)
{
	struct err err = {""};
	const int16_t error = topics_judge_growth(ctl, r->topic, q->count, &err);

	if (error) {
		settle(r, error, err.text);
	} else if (!assigned_here(ctl, q, q->count - r->topic->partitions)) {
		settle(r, KIRA_E_INVALID_REPLICA_ASSIGNMENT, "an assignment names this broker alone, once for each "
			"new partition");
	} else if (validate_only) {
		settle(r, 0, "");
	} else {
		topics_grow(ctl, r->topic, q->count);
		r->growing = true;
	}
}

/* Go on with one topic as far as it can. */
static void
advance(struct control *ctl, const struct q_more_partitions *q, bool validate_only, struct result *r)
{
	if (r->topic->state == TOPIC_CREATING || (r->topic->growth && !validate_only))
		return;
	if (r->topic->state != TOPIC_LIVE)
		settle(r, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION, "no such topic");
	else if (!r->growing)
		begin(ctl, q, validate_only, r);
	else if (r->topic->partitions < q->count)
		settle(r, KIRA_E_KAFKA_STORAGE_ERROR, r->topic->err.text);
	else
		settle(r, 0, "");
}

static enum served
answer(struct conn *c, const struct growths *g, const struct q_create_partitions *q)
{
	struct writer *w = conn_answer(c);

	kw_i32(w, 0);
	kw_array(w, g->n);
	for (int32_t i = 0; i < g->n; i++) {
		kw_view(w, q->topic[i].name);
		kw_i16(w, g->result[i].error);
		kw_string(w, g->result[i].error ? g->result[i].message : NULL);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct control *ctl = c->ctl;
	struct growths *g = c->park_data;
	struct q_create_partitions q;
	bool all = true;

	if (!q_create_partitions(&q, &c->rq, &ctl->arena) || q.topics != g->n)
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < g->n; i++) {
		/* Once more: what it begins may be over at once. */
		for (unsigned twice = 0; twice < 2 && !g->result[i].done; twice++)
			advance(ctl, &q.topic[i], q.validate_only, &g->result[i]);
		all &= g->result[i].done;
	}
	if (all)
		return answer(c, g, &q);
	wait_add(&ctl->topics.waits, c);
	return SERVED_PARKED;
}

static void
forget(struct conn *c)
{
	struct growths *g = c->park_data;

	wait_remove(c);
	for (int32_t i = 0; i < g->n; i++)
		if (g->result[i].topic)
			topic_release(c->ctl, g->result[i].topic);
	free(g);
}

static const struct park wait_for_partitions = {again, forget};

enum served
k37_create_partitions(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_create_partitions q;
	enum served served;
	struct growths *g;

	if (!q_create_partitions(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	g = calloc(1, sizeof(*g) + (size_t)q.topics * sizeof(g->result[0]));
	if (!g)
		return SERVED_CLOSE;
	g->n = q.topics;
	for (int32_t i = 0; i < q.topics; i++) {
		struct result *r = &g->result[i];

		r->topic = topics_any(ctl, q.topic[i].name);
		if (r->topic)
			topic_hold(r->topic);
		if (serve_named_twice(&q.topic[0].name, sizeof(q.topic[0]), q.topics, i))
			settle(r, KIRA_E_INVALID_REQUEST, "named twice in this request");
		else if (!r->topic)
			settle(r, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION, "no such topic");
	}
	(void)conn_park(c, &wait_for_partitions, g, UINT64_MAX);
	served = again(c, now_ns, false);
	if (served != SERVED_PARKED) {
		c->park = NULL;
		forget(c);
	}
	return served;
}
