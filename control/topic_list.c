/* SPDX-License-Identifier: MIT
 * topic_list.c - struct topic in memory: the list in order of creation, and who is found by name or id.
 * Thread: control. Never: decides whether a topic may be, or touches the disk (topics.c). */
#include "control/topic_list.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "control/control.h"
#include "control/topic_name.h"

#include <stdlib.h>

static uint32_t
bucket_of(struct view name)
{
	return topic_name_hash(name) % TOPIC_BUCKETS;
}

/* Ids are random but for two nibbles; the last bytes are not among these. */
static uint32_t
id_bucket_of(const uint8_t id[16])
{
	return get_be32(id + 12) % TOPIC_BUCKETS;
}

struct topic *
topics_any(const struct control *ctl, struct view name)
{
	struct topic *t;

	if (!name.p || name.len > TOPIC_NAME_MAX)
		return NULL;
	t = ctl->topics.bucket[bucket_of(name)];
	while (t && (strlen(t->name) != name.len || memcmp(t->name, name.p, name.len) != 0))
		t = t->chain;
	return t;
}

const struct topic *
topics_colliding(const struct control *ctl, struct view name)
{
	const struct topic *t = ctl->topics.bucket[bucket_of(name)];

	while (t && !topic_name_collides(name, view_text(t->name)))
		t = t->chain;
	return t;
}

struct topic *
topics_find(const struct control *ctl, struct view name)
{
	struct topic *t = topics_any(ctl, name);

	return t && t->state == TOPIC_LIVE ? t : NULL;
}

struct topic *
topics_find_id(const struct control *ctl, const uint8_t id[16])
{
	struct topic *t = ctl->topics.id_bucket[id_bucket_of(id)];

	while (t && memcmp(t->id, id, sizeof(t->id)) != 0)
		t = t->id_chain;
	return t && t->state == TOPIC_LIVE ? t : NULL;
}

struct partition *
topic_partition(const struct topic *t, int32_t index)
{
	return index >= 0 && index < t->partitions ? t->part->part[index] : NULL;
}

/* ---- As they come and go ---- */

struct topic *
topic_make(const char *name, int32_t partitions)
{
	struct topic *t = calloc(1, sizeof(*t));

	ASSERT(t);
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	t->partitions = partitions;
	t->internal = topic_name_internal(view_text(name));
	t->part = calloc(1, sizeof(*t->part) + (size_t)partitions * sizeof(t->part->part[0]));
	t->said_failed = calloc((size_t)partitions, sizeof(*t->said_failed));
	ASSERT(t->part && t->said_failed);
	t->part->partitions = partitions;
	return t;
}

void
topic_set_config(struct topic *t, const char *name, const char *value)
{
	char *copy = strdup(value);

	t->config = realloc(t->config, (t->configs + 1) * 2 * sizeof(*t->config));
	ASSERT(t->config && copy);
	t->config[2 * t->configs] = name;
	t->config[2 * t->configs + 1] = copy;
	t->configs++;
}

void
topic_free(struct topic *t)
{
	for (uint32_t i = 0; i < t->configs; i++)
		free((void *)(uintptr_t)t->config[2 * i + 1]);
	free(t->config);
	free(t->forget);
	free(t->detach);
	free(t->change.op.catalogue);
	free(t->part);
	free(t->said_failed);
	free(t);
}

static void
count_topics(struct control *ctl)
{
	counter_set(&ctl->count->topics, ctl->topics.n);
	counter_set(&ctl->count->partitions, (uint64_t)ctl->topics.partitions);
}

void
topic_counted(struct control *ctl, int32_t more)
{
	ctl->topics.partitions += more;
	count_topics(ctl);
}

void
topic_link(struct control *ctl, struct topic *t)
{
	struct topics *ts = &ctl->topics;
	const uint32_t b = bucket_of(view_text(t->name)), i = id_bucket_of(t->id);

	t->chain = ts->bucket[b];
	ts->bucket[b] = t;
	t->id_chain = ts->id_bucket[i];
	ts->id_bucket[i] = t;
	t->prev = ts->last;
	if (ts->last)
		ts->last->next = t;
	else
		ts->first = t;
	ts->last = t;
	ts->n++;
	topic_counted(ctl, t->partitions);
}

void
topic_unlink(struct control *ctl, struct topic *t)
{
	struct topics *ts = &ctl->topics;
	struct topic **at = &ts->bucket[bucket_of(view_text(t->name))];

	while (*at != t)
		at = &(*at)->chain;
	*at = t->chain;
	at = &ts->id_bucket[id_bucket_of(t->id)];
	while (*at != t)
		at = &(*at)->id_chain;
	*at = t->id_chain;
	*(t->prev ? &t->prev->next : &ts->first) = t->next;
	*(t->next ? &t->next->prev : &ts->last) = t->prev;
	ts->n--;
	topic_counted(ctl, -t->partitions);
}
