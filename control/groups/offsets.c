/* SPDX-License-Identifier: MIT
 * offsets.c - the table of committed offsets: what is there, what is under way, what a renewal writes.
 * Thread: control. Owns: struct group_offsets of every group, until nothing points at it any more.
 * Never: looks at a clock or a topic. */
#include "control/groups/offsets.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/groups/offsets_table.h"

#include <stdlib.h>

/* ---- Memory ---- */

static bool
charge(struct group_offsets *of, uint64_t bytes)
{
	if (!groups_memory_take(of->groups, bytes))
		return false;
	if (of->group)
		of->group->offsets_bytes += bytes;
	return true;
}

static void
give_back(struct group_offsets *of, uint64_t bytes)
{
	groups_memory_give(of->groups, bytes);
	if (of->group)
		of->group->offsets_bytes -= bytes;
}

struct offset_value *
offset_value_make(struct group_offsets *of, const struct offset_record *o)
{
	const size_t size = sizeof(struct offset_value) + o->metadata.len;
	struct offset_value *v;

	if (!charge(of, size))
		return NULL;
	v = malloc(size);
	ASSERT(v);
	v->refs = 0;
	v->is = *o;
	if (o->metadata.len > 0)
		memcpy(v->metadata, o->metadata.p, o->metadata.len);
	v->is.metadata.p = v->metadata;
	return v;
}

void
offset_value_set(struct group_offsets *of, struct offset_value **at, struct offset_value *v)
{
	struct offset_value *was = *at;

	if (v)
		v->refs++;
	*at = v;
	if (was && --was->refs == 0) {
		give_back(of, sizeof(*was) + was->is.metadata.len);
		free(was);
	}
}

/* ---- The table ---- */

/* Where the topic is, or would be. */
static unsigned
topic_at(const struct group_offsets *of, struct view name)
{
	unsigned low = 0, high = of->topics;

	while (low < high) {
		const unsigned mid = (low + high) / 2;

		if (view_order(of->topic[mid]->name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct offset_topic *
offset_topic_find(const struct group_offsets *of, struct view name)
{
	const unsigned i = of ? topic_at(of, name) : 0;

	return of && i < of->topics && view_same(of->topic[i]->name, name) ? of->topic[i] : NULL;
}

struct offset *
offset_find(const struct group_offsets *of, struct view topic, int32_t partition)
{
	const struct offset_topic *t = offset_topic_find(of, topic);

	return t && partition >= 0 && partition < t->room ? t->part[partition] : NULL;
}

static struct offset_topic *
topic_obtain(struct group_offsets *of, struct view name)
{
	struct offset_topic *t = offset_topic_find(of, name);
	const size_t size = sizeof(*t) + name.len;
	unsigned at;

	if (t || !charge(of, size))
		return t;
	t = malloc(size);
	ASSERT(t);
	*t = (struct offset_topic){.name = {(uint8_t *)(t + 1), name.len}};
	memcpy(t + 1, name.p, name.len);
	if (of->topics == of->topic_room) {
		of->topic_room = of->topic_room ? 2 * of->topic_room : 4;
		of->topic = realloc(of->topic, of->topic_room * sizeof(struct offset_topic *));
		ASSERT(of->topic);
	}
	at = topic_at(of, name);
	memmove(of->topic + at + 1, of->topic + at, (of->topics - at) * sizeof(struct offset_topic *));
	of->topic[at] = t;
	of->topics++;
	return t;
}

static bool
topic_grow(struct group_offsets *of, struct offset_topic *t, int32_t partition)
{
	const int32_t room = MAX(partition + 1, MIN(2 * t->room, OFFSET_PARTITIONS_MAX));

	if (partition < t->room)
		return true;
	if (!charge(of, (uint64_t)(room - t->room) * sizeof(struct offset *)))
		return false;
	t->part = realloc(t->part, (size_t)room * sizeof(struct offset *));
	ASSERT(t->part);
	memset(t->part + t->room, 0, (size_t)(room - t->room) * sizeof(struct offset *));
	t->room = room;
	return true;
}

struct offset_topic *
offset_obtain(struct group_offsets *of, struct view topic, int32_t partition)
{
	struct offset_topic *t = topic_obtain(of, topic);
	struct offset *o;

	if (!t || !topic_grow(of, t, partition))
		return NULL;
	if (t->part[partition])
		return t;
	if (!charge(of, sizeof(*o)))
		return NULL;
	o = calloc(1, sizeof(*o));
	ASSERT(o);
	o->partition = partition;
	t->part[partition] = o;
	of->n++;
	return t;
}

void
offset_drop_if_nothing(struct group_offsets *of, struct offset_topic *t, int32_t partition)
{
	struct offset *o = t->part[partition];

	if (!o || o->pending > 0 || o->now || o->last)
		return;
	t->part[partition] = NULL;
	of->n--;
	free(o);
	give_back(of, sizeof(*o));
}

struct group_offsets *
offsets_of(struct groups *gs, struct group *g)
{
	struct group_offsets *of = g->offsets;

	if (of)
		return of;
	of = calloc(1, sizeof(*of));
	ASSERT(of);
	of->groups = gs;
	of->group = g;
	of->refs = 1;
	g->offsets = of;
	return of;
}

void
offsets_release(struct group_offsets *of)
{
	if (--of->refs > 0)
		return;
	for (unsigned i = 0; i < of->topics; i++) {
		struct offset_topic *t = of->topic[i];

		for (int32_t p = 0; p < t->room; p++)
			if (t->part[p]) {
				offset_value_set(of, &t->part[p]->now, NULL);
				offset_value_set(of, &t->part[p]->last, NULL);
				free(t->part[p]);
				give_back(of, sizeof(struct offset));
			}
		give_back(of, (uint64_t)t->room * sizeof(struct offset *) + sizeof(*t) + t->name.len);
		free(t->part);
		free(t);
	}
	free(of->topic);
	free(of);
}

/* ---- Looking ---- */

bool
offsets_find(const struct group *g, struct view topic, int32_t partition, struct offset_record *ret)
{
	const struct offset *o = offset_find(g->offsets, topic, partition);

	if (!o || !o->now)
		return false;
	*ret = o->now->is;
	return true;
}

unsigned
offsets_topics(const struct group *g)
{
	return g->offsets ? g->offsets->topics : 0;
}

struct view
offsets_topic(const struct group *g, unsigned i)
{
	return g->offsets->topic[i]->name;
}

int32_t
offsets_next(const struct group *g, unsigned i, int32_t from, struct offset_record *ret)
{
	const struct offset_topic *t = g->offsets->topic[i];

	for (int32_t p = from; p < t->room; p++)
		if (t->part[p] && t->part[p]->now) {
			*ret = t->part[p]->now->is;
			return p;
		}
	return -1;
}

bool
offsets_empty(const struct group *g)
{
	return !g->offsets || g->offsets->n == 0;
}
