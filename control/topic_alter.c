/* SPDX-License-Identifier: MIT
 * topic_alter.c - the configurations of a topic change: on disk first, then in force, then answered.
 * Thread: control. Owns: struct alteration, one per topic at a time, so that each is judged by what the one
 * before made of the topic. Never: waits. */
#include "control/topic_alter.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/control.h"
#include "control/log.h"

#include <kira/errors.h>

#include <stdlib.h>

static void
alteration_free(struct alteration *a)
{
	for (uint32_t i = 0; i < a->configs; i++)
		free((void *)(uintptr_t)a->config[2 * i + 1]);
	free(a->config);
	free(a->msg);
	free(a);
}

void
alteration_forget(struct alteration *a)
{
	a->forgotten = true;
	if (a->done || !a->change.topic)
		alteration_free(a);
}

/* ---- What a topic sets itself -------------------------------------------------------------- */

/* Its place among `a->config`, or a->configs. */
static uint32_t
find(const struct alteration *a, const char *name)
{
	uint32_t i = 0;

	while (i < a->configs && strcmp(a->config[2 * i], name) != 0)
		i++;
	return i;
}

static void
drop(struct alteration *a, const char *name)
{
	const uint32_t i = find(a, name);

	if (i == a->configs)
		return;
	free((void *)(uintptr_t)a->config[2 * i + 1]);
	a->configs--;
	memmove(&a->config[2 * i], &a->config[2 * i + 2], 2 * (a->configs - i) * sizeof(*a->config));
}

/* `name` is of the table. */
static void
put(struct alteration *a, const char *name, const char *value)
{
	const uint32_t i = find(a, name);
	char *copy = strdup(value);

	if (i == a->configs) {
		a->config = realloc(a->config, 2 * (a->configs + 1) * sizeof(*a->config));
		ASSERT(a->config);
		a->configs++;
	} else {
		free((void *)(uintptr_t)a->config[2 * i + 1]);
	}
	ASSERT(copy);
	a->config[2 * i] = name;
	a->config[2 * i + 1] = copy;
}

/* ---- Lists: words by comma ------------------------------------------------------------------ */

static bool
has_word(const char *list, const char *word, size_t length)
{
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == length && memcmp(p, word, length) == 0)
			return true;
	return false;
}

/* The words of `list` that are not, or are, among `others`, behind what stands in `ret`. */
static void
add_words(char ret[TOPIC_CONFIG_VALUE_MAX + 1], const char *list, const char *others, bool among)
{
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',') {
		const size_t length = strcspn(p, ","), n = strlen(ret);

		if (length > 0 && has_word(others, p, length) == among)
			(void)snprintf(ret + n, TOPIC_CONFIG_VALUE_MAX + 1 - n, "%s%.*s", n ? "," : "", (int)length, p);
	}
}

/* ---- Judging -------------------------------------------------------------------------------- */

static int16_t
apply_list(struct alteration *a, const struct topic_config *base, unsigned row, const char *value, bool append,
	struct err *err)
{
	const char *name = topic_config_name(row);
	const uint32_t i = find(a, name);
	char was[TOPIC_CONFIG_VALUE_MAX + 1], now[TOPIC_CONFIG_VALUE_MAX + 1] = "";

	if (topic_config_type(row) != CONFIG_LIST) {
		err_set(err, "%s is no list: nothing can be appended to it or subtracted from it", name);
		return KIRA_E_INVALID_CONFIG;
	}
	topic_config_text(row, base, was);
	if (i < a->configs)
		(void)snprintf(was, sizeof(was), "%s", a->config[2 * i + 1]);
	add_words(now, was, append ? "" : value, false);
	if (append)
		add_words(now, value, was, false);
	put(a, name, now);
	return 0;
}

static int16_t
apply(const struct control *ctl, struct alteration *a, const struct config_change *c, struct err *err)
{
	const int row = topic_config_row((const char *)c->name.p, c->name.len);
	char value[TOPIC_CONFIG_VALUE_MAX + 1];

	if (row < 0) {
		err_set(err, "%.*s: no such topic configuration", (int)MIN(c->name.len, 64u), (const char *)c->name.p);
		return KIRA_E_INVALID_CONFIG;
	}
	if (c->operation == CONFIG_DELETE) {
		drop(a, topic_config_name((unsigned)row));
		return 0;
	}
	if (!c->value.p) {
		err_set(err, "%s: a value is wanted; to return to the default delete it", topic_config_name((unsigned)row));
		return KIRA_E_INVALID_REQUEST;
	}
	if (c->value.len > TOPIC_CONFIG_VALUE_MAX || memchr(c->value.p, 0, c->value.len)) {
		err_set(err, "%s: a value of more than %d bytes, or with a zero in it", topic_config_name((unsigned)row),
			TOPIC_CONFIG_VALUE_MAX);
		return KIRA_E_INVALID_CONFIG;
	}
	(void)snprintf(value, sizeof(value), "%.*s", (int)c->value.len, (const char *)c->value.p);
	switch ((enum config_operation)c->operation) {
	case CONFIG_SET:
		put(a, topic_config_name((unsigned)row), value);
		return 0;
	case CONFIG_APPEND:
	case CONFIG_SUBTRACT:
		return apply_list(a, &ctl->topics.defaults, (unsigned)row, value, c->operation == CONFIG_APPEND, err);
	case CONFIG_DELETE:
		break;
	}
	err_set(err, "%s: operation %d; there are 0 set, 1 delete, 2 append, 3 subtract",
		topic_config_name((unsigned)row), c->operation);
	return KIRA_E_INVALID_REQUEST;
}

static bool
named_before(const struct config_change *change, int32_t i)
{
	for (int32_t j = 0; j < i; j++)
		if (change[j].name.len == change[i].name.len &&
			memcmp(change[j].name.p, change[i].name.p, change[i].name.len) == 0)
			return true;
	return false;
}

int16_t
topics_judge_alteration(const struct control *ctl, const struct topic *t, const struct config_change *change,
	int32_t changes, bool replace, struct alteration **ret, struct err *err)
{
	struct alteration *a;
	int16_t error = 0;

	if (t->internal) {
		err_set(err, "%s is the broker's own: it is configured by the options of kirad", t->name);
		return KIRA_E_INVALID_TOPIC_EXCEPTION;
	}
	a = calloc(1, sizeof(*a));
	ASSERT(a);
	for (uint32_t i = 0; i < t->configs && !replace; i++)
		put(a, t->config[2 * i], t->config[2 * i + 1]);
	for (int32_t i = 0; i < changes && !error; i++) {
		if (named_before(change, i)) {
			err_set(err, "%.*s is named twice", (int)MIN(change[i].name.len, 64u), (const char *)change[i].name.p);
			error = KIRA_E_INVALID_REQUEST;
		} else {
			error = apply(ctl, a, &change[i], err);
		}
	}
	if (!error && topics_settle(ctl, a->config, a->configs, &a->cfg, err) < 0)
		error = KIRA_E_INVALID_CONFIG;
	if (error)
		alteration_free(a);
	else
		*ret = a;
	return error;
}

/* ---- Doing ---------------------------------------------------------------------------------- */

void
topics_alter(struct control *ctl, struct topic *t, struct alteration *a)
{
	ASSERT(t->state == TOPIC_LIVE && !t->altering);
	t->altering = a;
	topic_hold(t);
	a->change = (struct catalogue_op){.change = TOPIC_ALTER, .topic = t};
	catalogue_queue(ctl, &a->change);
}

static void
finish(struct control *ctl, struct alteration *a)
{
	struct topic *t = a->change.topic;

	t->altering = NULL;
	a->done = true;
	if (a->forgotten)
		alteration_free(a);
	wait_wake(&ctl->topics.waits, ctl->now_ns, false);
	topic_release(ctl, t);
}

static void
tell_lcores(struct control *ctl, struct alteration *a)
{
	struct topic *t = a->change.topic;

	a->msg = calloc((size_t)t->partitions, sizeof(*a->msg));
	ASSERT(a->msg);
	a->outstanding = t->partitions;
	for (int32_t i = 0; i < t->partitions; i++) {
		a->msg[i] = (struct store_msg){.kind = STORE_CONFIGURE, .part = t->part->part[i], .config = &a->cfg.log,
			.owner = a};
		produce_give(ctl, &a->msg[i]);
	}
}

void
topics_altered(struct control *ctl, struct catalogue_op *op)
{
	struct alteration *a = (struct alteration *)((char *)op - offsetof(struct alteration, change));
	struct topic *t = op->topic;
	const char **was = t->config;
	const uint32_t was_n = t->configs;

	if (op->op.rc < 0) {
		a->error = KIRA_E_KAFKA_STORAGE_ERROR;
		a->err = op->op.err;
		log_error("topic %s keeps its configuration: %s", t->name, op->op.err.text);
		finish(ctl, a);
		return;
	}
	/* The alteration goes with what was, the topic has what is. */
	t->config = a->config;
	t->configs = a->configs;
	a->config = was;
	a->configs = was_n;
	t->cfg = a->cfg;
	log_info("topic %s: its configuration was altered by a client", t->name);
	if (t->state == TOPIC_LIVE) {
		tell_lcores(ctl, a);
		return;
	}
	/* It is being deleted: its lcores were told to let go, and are told no more. */
	a->error = KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	err_set(&a->err, "topic %s is being deleted", t->name);
	finish(ctl, a);
}

void
topics_configured(struct control *ctl, struct store_msg *msg)
{
	struct alteration *a = msg->owner;

	if (--a->outstanding > 0)
		return;
	fetch_topic_altered(ctl, a->change.topic); /* kira.visibility may show more */
	finish(ctl, a);
}
