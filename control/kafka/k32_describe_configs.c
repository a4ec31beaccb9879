/* SPDX-License-Identifier: MIT
 * k32_describe_configs.c - the configurations of topics and of the broker: values, where they come from,
 * what they mean. Thread: control. A broker has kirad's own options, under Kafka's names where there are
 * any, and its defaults for topics; all of them are read-only. */
#include "control/kafka/requests_configs.h"
#include "control/kafka/serve.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/config_rows.h"
#include "control/topic_rows.h"

#include <kira/errors.h>

/* Kept free behind the configurations: a refusal for each resource that the arena can hold, their names
 * as long as the request's. */
#define REFUSALS_BYTES (ARENA_BYTES / sizeof(struct q_described) * 100 + MIB)

/* One row, before it is written. */
struct row {
	const char *name, *value, *help;
	enum config_type type;
	enum config_source source;
	bool read_only;
	int32_t synonyms;
	struct {
		const char *name, *value;
		enum config_source source;
	} synonym[3];
};

/* The answer to one resource, being written. */
struct telling {
	struct control *ctl;
	struct writer *w;
	const struct q_describe_configs *q;
	const struct q_described *resource;
	int16_t version;
	uint8_t *end;  /* of the room for configurations, and of all there is */
	uint8_t *last;
	bool counting; /* the first of two passes: an array begins with its length */
	int32_t n;
};

static bool
wanted(const struct q_described *d, const char *name)
{
	for (int32_t i = 0; i < d->keys; i++)
		if (d->key[i].len == strlen(name) && memcmp(d->key[i].p, name, d->key[i].len) == 0)
			return true;
	return d->keys < 0;
}

static void
add_synonym(struct row *row, const char *name, const char *value, enum config_source source)
{
	ASSERT((size_t)row->synonyms < sizeof(row->synonym) / sizeof(row->synonym[0]));
	row->synonym[row->synonyms].name = name;
	row->synonym[row->synonyms].value = value;
	row->synonym[row->synonyms++].source = source;
}

static void
write_row(const struct telling *t, const struct row *row)
{
	struct writer *w = t->w;

	kw_string(w, row->name);
	kw_string(w, row->value);
	kw_bool(w, row->read_only);
	kw_i8(w, (int8_t)row->source);
	kw_bool(w, false); /* none is a secret */
	kw_array(w, t->q->synonyms ? row->synonyms : 0);
	for (int32_t i = 0; t->q->synonyms && i < row->synonyms; i++) {
		kw_string(w, row->synonym[i].name);
		kw_string(w, row->synonym[i].value);
		kw_i8(w, (int8_t)row->synonym[i].source);
		kw_tags(w);
	}
	if (t->version >= 3) {
		kw_i8(w, (int8_t)row->type);
		kw_string(w, t->q->documentation && *row->help ? row->help : NULL);
	}
	kw_tags(w);
}

/* Row `i` of the topic, or of the broker's defaults for topics (NULL). */
static void
tell_topic_row(const struct telling *t, const struct topic *topic, unsigned i)
{
	char value[TOPIC_CONFIG_VALUE_MAX + 1], set[TOPIC_CONFIG_VALUE_MAX + 1];
	char built_in[TOPIC_CONFIG_VALUE_MAX + 1];
	const char *broker_name = topic_config_broker_name(i);
	const bool is_set = topic_row_default(t->ctl, i, set, built_in);
	struct row row = {.name = broker_name, .value = set, .help = topic_config_help(i),
		.type = topic_config_type(i), .source = is_set ? SOURCE_BROKER : SOURCE_DEFAULT,
		.read_only = !topic || topic->internal};

	if (topic) {
		topic_row_value(topic, i, value);
		row.name = topic_config_name(i);
		row.value = value;
		row.source = topic_row_source(t->ctl, topic, i);
	}
	if (row.source == SOURCE_TOPIC)
		add_synonym(&row, row.name, value, SOURCE_TOPIC);
	if (is_set && *broker_name)
		add_synonym(&row, broker_name, set, SOURCE_BROKER);
	if (*broker_name)
		add_synonym(&row, broker_name, built_in, SOURCE_DEFAULT);
	write_row(t, &row);
}

static void
tell_topic(struct telling *t, const struct topic *topic)
{
	int32_t n = 0;

	for (unsigned i = 0; i < topic_config_count(); i++)
		n += wanted(t->resource, topic_config_name(i));
	kw_array(t->w, n);
	for (unsigned i = 0; i < topic_config_count() && !t->w->full; i++)
		if (wanted(t->resource, topic_config_name(i)))
			tell_topic_row(t, topic, i);
}

static void
tell_option(const struct telling *t, const struct config *defaults, const struct option *o)
{
	char name[CONFIG_NAME_MAX], value[CONFIG_TEXT_MAX], built_in[CONFIG_TEXT_MAX];
	struct row row = {.name = name, .value = value, .help = o->help, .type = config_kafka_type(o),
		.source = SOURCE_DEFAULT, .read_only = true};

	config_kafka_name(o, name);
	config_text(t->ctl->cfg, o, value);
	config_text(defaults, o, built_in);
	if (strcmp(value, built_in) != 0) {
		row.source = SOURCE_BROKER;
		add_synonym(&row, name, value, SOURCE_BROKER);
	}
	add_synonym(&row, name, built_in, SOURCE_DEFAULT);
	write_row(t, &row);
}

/* Called twice, to count and to write. */
static void
walk_broker(struct telling *t, const struct config *defaults)
{
	char name[CONFIG_NAME_MAX];

	for (unsigned i = 0; i < CONFIG_ROWS && !t->w->full; i++) {
		config_kafka_name(&config_row[i], name);
		if (!wanted(t->resource, name))
			continue;
		t->n++;
		if (!t->counting)
			tell_option(t, defaults, &config_row[i]);
	}
	for (unsigned i = 0; i < topic_config_count() && !t->w->full; i++) {
		if (!*topic_config_broker_name(i) || !wanted(t->resource, topic_config_broker_name(i)))
			continue;
		t->n++;
		if (!t->counting)
			tell_topic_row(t, NULL, i);
	}
}

static void
tell_broker(struct telling *t)
{
	char *argv[] = {(char *)(uintptr_t)"kirad"};
	struct err err = {""};
	struct config defaults;

	ASSERT(config_read(&defaults, 1, argv, &err) == CONFIG_OK);
	t->counting = true;
	walk_broker(t, &defaults);
	kw_array(t->w, t->n);
	t->counting = false;
	walk_broker(t, &defaults);
	config_free(&defaults);
}

static int16_t
judge(const struct control *ctl, const struct q_described *d, const struct topic **topic, const char **why)
{
	char id[16];

	if (d->type == RESOURCE_TOPIC) {
		*topic = topics_find(ctl, d->name);
		if (*topic)
			return 0;
		*why = topic_name_legal(d->name) ? "no such topic" : "no legal name of a topic";
		return topic_name_legal(d->name) ? KIRA_E_UNKNOWN_TOPIC_OR_PARTITION
						 : KIRA_E_INVALID_TOPIC_EXCEPTION;
	}
	*why = "configurations are kept of topics (type 2) and of this broker (4)";
	if (d->type != RESOURCE_BROKER)
		return KIRA_E_INVALID_REQUEST;
	(void)snprintf(id, sizeof(id), "%d", (int)ctl->cfg->node_id);
	*why = "there is one broker; its id is in the metadata";
	if (d->name.len == 0 || (d->name.len == strlen(id) && memcmp(d->name.p, id, d->name.len) == 0))
		return 0;
	return KIRA_E_INVALID_REQUEST;
}

static void
tell(struct telling *t)
{
	const struct q_described *d = t->resource;
	struct writer *w = t->w;
	uint8_t *const from = w->p;
	const struct topic *topic = NULL;
	const char *why = NULL;
	int16_t error = judge(t->ctl, d, &topic, &why);

	w->end = MAX(from, t->end);
	/* What does not fit is refused by itself. */
	for (;;) {
		w->p = from;
		kw_i16(w, error);
		kw_string(w, error ? why : NULL);
		kw_i8(w, d->type);
		kw_view(w, d->name);
		t->n = 0;
		if (error)
			kw_array(w, 0);
		else if (topic)
			tell_topic(t, topic);
		else
			tell_broker(t);
		kw_tags(w);
		if (!w->full || w->end == t->last)
			return;
		w->full = false;
		w->end = t->last;
		if (!error) {
			error = KIRA_E_POLICY_VIOLATION;
			why = "the answer would be too long: ask for fewer at a time";
		}
	}
}

enum served
k32_describe_configs(struct conn *c, uint64_t now_ns)
{
	struct q_describe_configs q;
	struct telling t = {.ctl = c->ctl, .q = &q, .version = c->rq.version};

	if (!q_describe_configs(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	t.w = conn_answer(c);
	t.last = t.w->end;
	t.end = t.w->end - REFUSALS_BYTES;
	kw_i32(t.w, 0);
	kw_array(t.w, q.resources);
	for (int32_t i = 0; i < q.resources; i++) {
		t.resource = &q.resource[i];
		tell(&t);
	}
	t.w->end = t.last;
	kw_tags(t.w);
	return SERVED_ANSWER;
}
