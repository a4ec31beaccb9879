/* SPDX-License-Identifier: MIT
 * k33_alter_configs.c - AlterConfigs (33) and IncrementalAlterConfigs (44): configurations of topics change;
 * answered when they are on disk and in force. By 33 what is not named returns to its default.
 * Thread: control. Each resource succeeds wholly or not at all, by itself. One change of a topic at a time: the
 * next one is judged, and begun, when that is over. */
#include "control/kafka/requests_configs.h"
#include "control/kafka/serve.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>

#define PATIENCE_NS (30 * NS_PER_S) /* the request names no time limit; Kafka's default for requests */

struct result {
	struct alteration *a; /* begun, and not looked at yet */
	bool waits;           /* for another change of its topic */
	int16_t error;
	char message[192];
};

struct altering {
	int32_t n;
	struct result result[];
};

static bool
read_request(struct conn *c, struct q_alter_configs *q)
{
	return c->rq.api->key == API_ALTER_CONFIGS ? q_alter_configs(q, &c->rq, &c->ctl->arena)
		: q_incremental_alter_configs(q, &c->rq, &c->ctl->arena);
}

static void
refuse(struct result *r, int16_t error, const char *text)
{
	r->error = error;
	(void)snprintf(r->message, sizeof(r->message), "%.191s", text);
}

static bool
named_twice(const struct q_alter_configs *q, int32_t i)
{
	for (int32_t j = 0; j < q->resources; j++)
		if (j != i && q->resource[j].type == q->resource[i].type &&
			q->resource[j].name.len == q->resource[i].name.len &&
			memcmp(q->resource[j].name.p, q->resource[i].name.p, q->resource[i].name.len) == 0)
			return true;
	return false;
}

/* Judge, and begin where the topic is free. */
static void
begin(struct conn *c, const struct q_alter_configs *q, int32_t i, struct result *r)
{
	const struct q_altered *resource = &q->resource[i];
	struct alteration *a = NULL;
	struct err err = {""};
	struct topic *t;
	int16_t error;

	r->waits = false;
	if (resource->type != RESOURCE_TOPIC) {
		refuse(r, KIRA_E_INVALID_REQUEST, resource->type == RESOURCE_BROKER
			? "the broker's options are read once, when kirad starts: see kirad.conf"
			: "topics (type 2) have configurations that can be altered");
		return;
	}
	t = topics_find(c->ctl, resource->name);
	if (!t) {
		refuse(r, topic_name_legal(resource->name) ? KIRA_E_UNKNOWN_TOPIC_OR_PARTITION
			: KIRA_E_INVALID_TOPIC_EXCEPTION, "no such topic");
		return;
	}
	if (named_twice(q, i)) {
		refuse(r, KIRA_E_INVALID_REQUEST, "named twice in this request");
		return;
	}
	if (t->altering && !q->validate_only) {
		r->waits = true;
		return;
	}
	error = topics_judge_alteration(c->ctl, t, resource->change, resource->changes,
		c->rq.api->key == API_ALTER_CONFIGS, &a, &err);
	if (error) {
		refuse(r, error, err.text);
	} else if (q->validate_only) {
		alteration_forget(a);
	} else {
		r->a = a;
		topics_alter(c->ctl, t, a);
	}
}

/* True: nothing is to be waited for any more. */
static bool
look(struct conn *c, const struct q_alter_configs *q, struct altering *al)
{
	bool all = true;

	for (int32_t i = 0; i < al->n; i++) {
		struct result *r = &al->result[i];

		if (r->waits)
			begin(c, q, i, r);
		if (r->a && r->a->done) {
			if (r->a->error)
				refuse(r, r->a->error, r->a->err.text);
			alteration_forget(r->a);
			r->a = NULL;
		}
		all &= !r->a && !r->waits;
	}
	return all;
}

static enum served
answer(struct conn *c, const struct q_alter_configs *q, const struct altering *al)
{
	struct writer *w = conn_answer(c);

	kw_i32(w, 0);
	kw_array(w, q->resources);
	for (int32_t i = 0; i < q->resources; i++) {
		const struct result *r = &al->result[i];
		const bool late = r->a || r->waits;

		kw_i16(w, late ? KIRA_E_REQUEST_TIMED_OUT : r->error);
		kw_string(w, late ? "not on disk yet; perhaps later" : r->error ? r->message : NULL);
		kw_i8(w, q->resource[i].type);
		kw_view(w, q->resource[i].name);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static void
forget(struct conn *c)
{
	struct altering *al = c->park_data;

	wait_remove(c);
	for (int32_t i = 0; i < al->n; i++)
		if (al->result[i].a)
			alteration_forget(al->result[i].a);
	free(al);
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct altering *al = c->park_data;
	struct q_alter_configs q;

	if (!read_request(c, &q) || q.resources != al->n)
		return SERVED_MALFORMED;
	if (look(c, &q, al) || deadline)
		return answer(c, &q, al);
	wait_add(&c->ctl->topics.waits, c);
	return SERVED_PARKED;
}

static const struct park wait_for_disk = {again, forget};

enum served
k33_alter_configs(struct conn *c, uint64_t now_ns)
{
	struct q_alter_configs q;
	struct altering *al;
	enum served served;

	if (!read_request(c, &q))
		return SERVED_MALFORMED;
	al = calloc(1, sizeof(*al) + (size_t)q.resources * sizeof(al->result[0]));
	if (!al)
		return SERVED_CLOSE;
	al->n = q.resources;
	for (int32_t i = 0; i < q.resources; i++)
		al->result[i].waits = true;
	if (!look(c, &q, al)) {
		wait_add(&c->ctl->topics.waits, c);
		return conn_park(c, &wait_for_disk, al, now_ns + PATIENCE_NS);
	}
	served = answer(c, &q, al);
	c->park_data = al;
	forget(c);
	return served;
}
