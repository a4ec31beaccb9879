/* SPDX-License-Identifier: MIT
 * offsets_change.c - commits and removals: into the log first, into the table when they are stored.
 * Thread: control. Owns: a struct offset_commit that nobody hears of any more. */
#include "control/groups/offsets.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/groups/group_batch.h"
#include "control/groups/offsets_table.h"

#include <kira/errors.h>

#include <stdlib.h>

/* ---- Records for a batch ---- */

struct offset_pad *
offset_pad(void)
{
	static struct offset_pad *pad; /* pages that nobody wrote to cost nothing */

	if (!pad)
		pad = malloc(sizeof(*pad));
	ASSERT(pad);
	pad->n = 0;
	pad->w = kw_open(pad->bytes, sizeof(pad->bytes), false);
	return pad;
}

bool
offset_pad_add(struct offset_pad *pad, struct view group, struct view topic, int32_t partition,
	const struct offset_record *o)
{
	struct group_record *rec = &pad->rec[pad->n];
	uint8_t *const from = pad->w.p;

	if (pad->n == OFFSET_PAD_RECORDS)
		return false;
	offset_key_write(&pad->w, group, topic, partition);
	*rec = (struct group_record){.key = {from, (uint32_t)(pad->w.p - from)}};
	if (o) {
		rec->value.p = pad->w.p;
		offset_value_write(&pad->w, o);
		rec->value.len = (uint32_t)(pad->w.p - rec->value.p);
	}
	if (pad->w.full) {
		pad->w.full = false;
		pad->w.p = from;
		return false;
	}
	pad->n++;
	return true;
}

/* ---- A commit ---- */

/* What was sent is decided, or will not be sent. */
static void
settle(struct offset_commit *c, int16_t error)
{
	struct group_offsets *of = c->of;

	c->decided = true;
	c->error = error;
	for (unsigned i = 0; i < c->n; i++) {
		struct offset_change *ch = &c->change[i];
		struct offset *o = ch->topic->part[ch->partition];

		/* What waits for the disk is decided after a removal that stands behind it in the log and does not. */
		if (error == 0 && c->order >= o->order) {
			offset_value_set(of, &o->now, ch->value);
			o->order = c->order;
		}
		if (--o->pending == 0)
			offset_value_set(of, &o->last, o->now);
		offset_value_set(of, &ch->value, NULL);
	}
	/* Afterwards: a commit may name an offset twice. */
	for (unsigned i = 0; i < c->n; i++)
		offset_drop_if_nothing(of, c->change[i].topic, c->change[i].partition);
	c->n = 0;
	c->of = NULL;
	if (of)
		offsets_release(of);
}

static void
stored(struct group_write *w, int16_t error, uint64_t now_ns)
{
	struct offset_commit *c = (struct offset_commit *)(void *)w;

	settle(c, error);
	if (c->owner)
		c->done(c->owner, c, now_ns);
	else
		free(c);
}

struct offset_commit *
offsets_commit_make(struct groups *gs, struct group *g, unsigned room)
{
	struct offset_commit *c = calloc(1, sizeof(*c) + room * sizeof(c->change[0]));

	ASSERT(c);
	c->write.stored = stored;
	c->groups = gs;
	c->room = room;
	c->of = offsets_of(gs, g);
	c->of->refs++;
	return c;
}

static void
change(struct offset_commit *c, struct offset_topic *t, int32_t partition, struct offset_value *v)
{
	struct offset_change *ch = &c->change[c->n++];

	ASSERT(c->n <= c->room);
	*ch = (struct offset_change){.topic = t, .partition = partition};
	offset_value_set(c->of, &ch->value, v);
	t->part[partition]->pending++;
}

bool
offsets_commit_add(struct offset_commit *c, struct view topic, int32_t partition, const struct offset_record *o)
{
	struct offset_topic *t = offset_obtain(c->of, topic, partition);
	struct offset_value *v = t ? offset_value_make(c->of, o) : NULL;

	if (v)
		change(c, t, partition, v);
	else if (t)
		offset_drop_if_nothing(c->of, t, partition);
	return v;
}

bool
offsets_commit_remove(struct offset_commit *c, struct view topic, int32_t partition)
{
	struct offset_topic *t = offset_topic_find(c->of, topic);
	const struct offset *o = offset_find(c->of, topic, partition);

	if (!o || !o->last)
		return false;
	change(c, t, partition, NULL);
	return true;
}

void
offsets_commit_send(struct offset_commit *c, enum group_log_level level)
{
	struct offset_pad *pad = offset_pad();
	const struct view group = c->of->group->id;

	for (unsigned i = 0; i < c->n; i++) {
		const struct offset_change *ch = &c->change[i];

		if (!offset_pad_add(pad, group, ch->topic->name, ch->partition,
			ch->value ? &ch->value->is : NULL)) {
			settle(c, KIRA_E_INVALID_COMMIT_OFFSET_SIZE);
			return;
		}
	}
	if (c->n == 0) {
		settle(c, 0);
		return;
	}
	c->order = ++c->of->sent;
	for (unsigned i = 0; i < c->n; i++)
		offset_value_set(c->of, &c->change[i].topic->part[c->change[i].partition]->last,
			c->change[i].value);
	group_log_append(c->groups->log, group, pad->rec, pad->n, level, &c->write);
}

void
offsets_commit_forget(struct offset_commit *c)
{
	c->owner = NULL;
	if (c->write.pending)
		return;
	if (!c->decided)
		settle(c, KIRA_E_COORDINATOR_NOT_AVAILABLE);
	free(c);
}

/* ---- Removals that nobody waits for ---- */

unsigned
offsets_removals(const struct groups *gs, const struct group *g, struct view topic, int32_t wanted)
{
	const size_t key = OFFSET_KEY_ROOM(g->id, topic);
	const size_t most = (group_log_most(gs->log) - group_batch_room(NULL, 0)) / (GROUP_RECORD_ROOM + key);

	return (unsigned)MIN(MIN(most, OFFSET_PAD_BYTES / key), (size_t)MIN((uint32_t)wanted, OFFSET_PAD_RECORDS));
}

/* An offset into the pad, which is emptied into the log when it, or a batch, is full. */
static void
bury(struct groups *gs, const struct group *g, struct offset_pad *pad, struct view topic, int32_t partition)
{
	const size_t room = group_batch_room(NULL, 0) + kw_length(&pad->w) + (pad->n + 1) * GROUP_RECORD_ROOM +
		OFFSET_KEY_ROOM(g->id, topic);

	if (room <= group_log_most(gs->log) && offset_pad_add(pad, g->id, topic, partition, NULL))
		return;
	group_log_append(gs->log, g->id, pad->rec, pad->n, GROUP_LOG_APPENDED, NULL);
	pad = offset_pad();
	(void)offset_pad_add(pad, g->id, topic, partition, NULL);
}

/* Changes under way are of no consequence from now on. */
static void
let_go(struct group *g)
{
	struct group_offsets *of = g->offsets;

	g->offsets = NULL;
	g->offsets_bytes = 0;
	of->group = NULL;
	offsets_release(of);
}

void
offsets_remove(struct groups *gs, struct group *g)
{
	struct group_offsets *of = g->offsets;
	struct offset_pad *pad = offset_pad();

	if (!of)
		return;
	for (unsigned i = 0; i < of->topics && group_log_state(gs->log) == GROUP_LOG_READY; i++)
		for (int32_t p = 0; p < of->topic[i]->room; p++)
			if (of->topic[i]->part[p] && of->topic[i]->part[p]->last)
				bury(gs, g, pad, of->topic[i]->name, p);
	if (pad->n > 0)
		group_log_append(gs->log, g->id, pad->rec, pad->n, GROUP_LOG_APPENDED, NULL);
	let_go(g);
}

void
offsets_close(struct groups *gs)
{
	for (struct group *g = gs->first; g; g = g->next)
		if (g->offsets)
			let_go(g);
}

void
offsets_topic_gone(struct groups *gs, struct view topic)
{
	for (struct group *g = gs->first; g; g = g->next) {
		const struct offset_topic *t = offset_topic_find(g->offsets, topic);

		for (int32_t p = 0; t && p < t->room;) {
			struct offset_commit *c = offsets_commit_make(gs, g, offsets_removals(gs, g, topic, t->room - p));

			for (; p < t->room && c->n < c->room; p++)
				(void)offsets_commit_remove(c, topic, p);
			offsets_commit_send(c, GROUP_LOG_APPENDED);
			offsets_commit_forget(c);
		}
	}
}

/* ---- At start ---- */

bool
offsets_replay(struct groups *gs, const struct group_key *key, struct view value, uint64_t now_ns)
{
	struct group *g = groups_find(gs, key->group);
	struct offset_record rec;
	struct offset_topic *t;
	struct offset_value *v;

	if (key->partition >= OFFSET_PARTITIONS_MAX)
		return false;
	if (!value.p) {
		struct offset *o = g ? offset_find(g->offsets, key->topic, key->partition) : NULL;

		if (o) {
			t = offset_topic_find(g->offsets, key->topic);
			offset_value_set(g->offsets, &o->now, NULL);
			offset_value_set(g->offsets, &o->last, NULL);
			offset_drop_if_nothing(g->offsets, t, key->partition);
		}
		return true;
	}
	if (!offset_value_read(&rec, value))
		return false;
	g = g ? g : groups_obtain(gs, key->group, now_ns);
	t = g ? offset_obtain(offsets_of(gs, g), key->topic, key->partition) : NULL;
	v = t ? offset_value_make(g->offsets, &rec) : NULL;
	if (!v)
		return false;
	offset_value_set(g->offsets, &t->part[key->partition]->now, v);
	offset_value_set(g->offsets, &t->part[key->partition]->last, v);
	return true;
}
