/* SPDX-License-Identifier: MIT
 * k19_create_topics.c - make topics; answered when their directories are on disk.
 * Thread: control. Each topic succeeds or fails by itself. */
#include "control/kafka/serve.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/topic_rows.h"

#include <kira/errors.h>

#include <stdlib.h>

#define ROWS_MAX 64

struct result {
	struct topic *topic; /* being made; held */
	int16_t error;
	int32_t partitions;
	char message[256];
};

struct create {
	int32_t n;
	struct result result[];
};

static const struct park wait_for_disk;

static int16_t
refuse(struct result *r, int16_t error, const char *text)
{
	(void)snprintf(r->message, sizeof(r->message), "%.255s", text);
	return error;
}

/* The replica assignment that admin tools may send: it can only name us, for 0..n-1. */
static int16_t
judge_assignment(const struct control *ctl, const struct q_create_topic *q, struct result *r)
{
	if (q->partitions != -1 || q->replication_factor != -1)
		return refuse(r, KIRA_E_INVALID_REQUEST, "with an assignment, the number of partitions "
			"and the replication factor must be -1");
	for (int32_t i = 0; i < q->assignments; i++) {
		const struct q_assignment *a = &q->assignment[i];

		if (a->partition != i || a->brokers != 1 || a->first_broker != ctl->cfg->node_id)
			return refuse(r, KIRA_E_INVALID_REPLICA_ASSIGNMENT,
				"partitions 0..n-1 must be assigned to this broker alone, in order");
	}
	return 0;
}

static int16_t
judge_replication(const struct control *ctl, const struct q_create_topic *q, struct result *r)
{
	if (q->replication_factor == 1 || q->replication_factor == -1 ||
		(q->replication_factor > 1 && ctl->cfg->any_replication_factor))
		return 0;
	return refuse(r, KIRA_E_INVALID_REPLICATION_FACTOR, "Kira keeps one copy: replication factor 1 "
		"or -1 (accept-any-replication-factor takes larger ones and keeps one)");
}

static int16_t
read_configs(const struct q_create_topic *q, struct topic_spec *spec,
	struct topic_setting setting[ROWS_MAX], struct result *r)
{
	for (int32_t i = 0; i < q->configs; i++) {
		const struct q_topic_config *k = &q->config[i];
		const int row = topic_config_row((const char *)k->name.p, k->name.len);
		unsigned at = 0;

		if (row < 0 || !k->value.p || k->value.len > TOPIC_CONFIG_VALUE_MAX) {
			(void)snprintf(r->message, sizeof(r->message), "%.*s: %s",
				(int)MIN(k->name.len, 64u), (const char *)k->name.p,
				row < 0 ? "no such topic configuration" :
				k->value.p ? "value too long" : "value must not be null");
			return KIRA_E_INVALID_CONFIG;
		}
		while (at < spec->configs && setting[at].row != (unsigned)row)
			at++;
		if (at == spec->configs)
			spec->configs++;
		setting[at].row = (unsigned)row;
		memcpy(setting[at].value, k->value.p, k->value.len);
		setting[at].value[k->value.len] = 0;
	}
	return 0;
}

static int16_t
create_one(struct control *ctl, const struct q_create_topic *q, bool validate_only, bool twice,
	struct result *r)
{
	struct topic_setting setting[ROWS_MAX];
	struct topic_spec spec = {.name = q->name, .partitions = q->partitions, .config = setting};
	struct err err = {""};
	int16_t error;

	ASSERT(topic_config_count() <= ROWS_MAX);
	if (twice)
		return refuse(r, KIRA_E_INVALID_REQUEST, "named twice in this request");
	if (!topic_name_legal(q->name))
		return refuse(r, KIRA_E_INVALID_TOPIC_EXCEPTION,
			"a topic name is 1 to 249 bytes of a-z A-Z 0-9 . _ - and not . or ..");
	if (q->assignments > 0) {
		error = judge_assignment(ctl, q, r);
		spec.partitions = q->assignments;
	} else {
		error = judge_replication(ctl, q, r);
	}
	if (!error)
		error = read_configs(q, &spec, setting, r);
	if (error)
		return error;
	r->partitions = spec.partitions == -1 ? (int32_t)ctl->cfg->num_partitions : spec.partitions;
	if (validate_only)
		error = topics_judge(ctl, &spec, &err);
	else
		error = topics_create(ctl, &spec, &r->topic, &err);
	if (error)
		return refuse(r, error, err.text);
	if (r->topic)
		topic_hold(r->topic);
	return 0;
}

static void
write_configs(struct writer *w, const struct control *ctl, const struct topic *t)
{
	char value[TOPIC_CONFIG_VALUE_MAX + 1];

	kw_array(w, (int32_t)topic_config_count());
	for (unsigned row = 0; row < topic_config_count(); row++) {
		topic_row_value(t, row, value);
		kw_string(w, topic_config_name(row));
		kw_string(w, value);
		kw_bool(w, false);
		kw_i8(w, (int8_t)topic_row_source(ctl, t, row));
		kw_bool(w, false);
		kw_tags(w);
	}
}

static enum served
answer(struct conn *c, const struct create *cr)
{
	const int16_t version = c->rq.version;
	struct q_create_topics q;
	struct writer *w;

	if (!q_create_topics(&q, &c->rq, &c->ctl->arena) || q.topics != cr->n)
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		const struct result *r = &cr->result[i];

		kw_view(w, q.topic[i].name);
		if (version >= 7)
			kw_raw(w, r->topic && !r->error ? r->topic->id : serve_no_id, UUID_BYTES);
		kw_i16(w, r->error);
		kw_string(w, r->error ? r->message : NULL);
		if (version >= 5) {
			kw_i32(w, r->error ? -1 : r->partitions);
			kw_i16(w, r->error ? -1 : 1);
			if (r->topic && !r->error)
				write_configs(w, c->ctl, r->topic);
			else
				kw_array(w, 0);
		}
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static void
forget(struct conn *c)
{
	struct create *cr = c->park_data;

	wait_remove(c);
	for (int32_t i = 0; i < cr->n; i++)
		if (cr->result[i].topic)
			topic_release(c->ctl, cr->result[i].topic);
	free(cr);
}

static bool
still_making(struct create *cr)
{
	for (int32_t i = 0; i < cr->n; i++) {
		struct result *r = &cr->result[i];

		if (r->topic && r->topic->state == TOPIC_CREATING)
			return true;
		if (r->topic && r->topic->state == TOPIC_FAILED)
			r->error = refuse(r, KIRA_E_KAFKA_STORAGE_ERROR, r->topic->err.text);
	}
	return false;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct create *cr = c->park_data;

	if (!still_making(cr))
		return answer(c, cr);
	wait_add(&c->ctl->topics.waits, c);
	return SERVED_PARKED;
}

static const struct park wait_for_disk = {again, forget};

enum served
k19_create_topics(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	enum served served;
	struct q_create_topics q;
	struct create *cr;

	if (!q_create_topics(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	cr = calloc(1, sizeof(*cr) + (size_t)q.topics * sizeof(cr->result[0]));
	if (!cr)
		return SERVED_CLOSE;
	cr->n = q.topics;
	for (int32_t i = 0; i < q.topics; i++)
		cr->result[i].error = create_one(ctl, &q.topic[i], q.validate_only,
			serve_named_twice(&q.topic[0].name, sizeof(q.topic[0]), q.topics, i), &cr->result[i]);
	if (still_making(cr)) {
		wait_add(&ctl->topics.waits, c);
		return conn_park(c, &wait_for_disk, cr, UINT64_MAX);
	}
	served = answer(c, cr);
	c->park_data = cr;
	forget(c);
	return served;
}
