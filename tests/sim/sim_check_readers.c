/* SPDX-License-Identifier: MIT
 * sim_check_readers.c - what readers saw, against itself and against the log that was left. */
#include "tests/sim/sim_check_private.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>

#define VISIBLE_AT_DISK (-2) /* stands for the leader: offset alone names a unit */

/* ---- Third: what readers saw --------------------------------------------------------------- */

static bool
may_jump(const struct consumer *r, int64_t to)
{
	return r->next < 0 || to == r->next || in_hole(r->part, r->next, to) ||
		(to > r->next && to <= k.log[r->part].start_allowed);
}

static void
take_from(struct consumer *r, const struct event *e)
{
	/* What was not on disk may have gone with the power, and the reader was sent back. */
	if (!may_jump(r, e->offset) && k.last_power_ms < 0)
		BROKEN(C7, "reader %u goes on at %" PRId64 ", where %" PRId64 " is next", e->reader, e->offset,
			r->next);
	r->next = e->offset;
	r->leader = r->start = r->durable = r->visible = r->end = -1;
}

static void
take_again(struct consumer *r, const struct event *e)
{
	if (e->offset > r->next)
		BROKEN(C7, "reader %u goes on at %" PRId64 ", where %" PRId64 " is next", e->reader, e->offset,
			r->next);
	r->next = e->offset;
	r->leader = -1;
}

static void
take_ends(struct consumer *r, const struct event *e)
{
	const int64_t now[] = {e->offset, e->durable, e->visible, e->end};
	int64_t *was[] = {&r->start, &r->durable, &r->visible, &r->end};
	int64_t low = -1;

	for (unsigned i = 0; i < ARRAY_LENGTH(now); i++) {
		if (now[i] < 0)
			continue;
		if (now[i] < *was[i] || now[i] < low)
			BROKEN(C10, "reader %u: published %" PRId64 ", was %" PRId64 " before; the one below is %"
				PRId64, e->reader, now[i], *was[i], low);
		*was[i] = low = now[i];
	}
}

/* (leader, offset) and, at disk, offset alone: the same unit as ever. */
static int
same_as_ever(const struct event *e, const struct consumer *r, uint32_t stream, int32_t leader)
{
	struct seen *s = seen_slot(&k.seen, &k.arena, r->part, leader, e->offset);

	if (!s)
		return full();
	if (!s->unit_stream) {
		k.seen.n++;
		*s = (struct seen){e->offset, leader, r->part, stream, k.h->line, e->sequence, e->hash};
	} else if (s->unit_stream != stream || s->sequence != e->sequence || s->hash != e->hash) {
		BROKEN(C6, "reader %u: offset %" PRId64 " of epoch %" PRId64 " was another unit in line %u",
			e->reader, e->offset, e->leader, s->line);
	}
	return 0;
}

static int
against_final(const struct event *e, const struct consumer *r, uint32_t stream)
{
	const struct log *l = &k.log[r->part];
	const struct place *p = rows_find(&l->place, e->offset);
	const bool there = p && p->stream;

	if (there && p->leader == e->leader) {
		if (p->stream != stream || p->sequence != e->sequence)
			BROKEN(C6, "reader %u: offset %" PRId64 " of epoch %" PRId64
				" is another unit in the final log", e->reader, e->offset, e->leader);
		return 0;
	}
	if (e->offset >= l->start && !in_hole(r->part, e->offset, e->offset + e->count) &&
		(r->at_disk || e->time > k.last_power_ms)) {
		BROKEN(C5, "reader %u saw offset %" PRId64 " of epoch %" PRId64 ": the final log has %s there",
			e->reader, e->offset, e->leader, there ? "another unit" : "nothing");
		return 0;
	}
	if (r->at_disk && same_as_ever(e, r, stream, VISIBLE_AT_DISK) < 0)
		return -EINVAL;
	return same_as_ever(e, r, stream, (int32_t)e->leader);
}

static int
take_read(struct consumer *r, const struct event *e)
{
	uint32_t stream;

	k.v->read++;
	if (!may_jump(r, e->offset))
		BROKEN(C7, "reader %u: offset %" PRId64 " where %" PRId64 " was due", e->reader, e->offset,
			r->next);
	r->next = e->offset + e->count;
	if (e->leader < r->leader)
		BROKEN(C11, "reader %u: offset %" PRId64 " of epoch %" PRId64 " behind epoch %" PRId64,
			e->reader, e->offset, e->leader, r->leader);
	r->leader = MAX(r->leader, e->leader);
	return as_sent(e, r->part, &stream) ? against_final(e, r, stream) : 0;
}

int
pass_read(const struct event *e)
{
	struct consumer *r = &k.reader[e->reader];

	if (e->kind != EVENT_FROM && e->kind != EVENT_AGAIN && e->kind != EVENT_READ && e->kind != EVENT_ENDS)
		return 0;
	if (!r->declared)
		return cannot("a reader without its `reader` line");
	if (!k.log[r->part].final)
		return cannot("read from a partition whose final log is not told");
	if (e->kind == EVENT_READ)
		return take_read(r, e);
	if (e->kind == EVENT_FROM)
		take_from(r, e);
	else if (e->kind == EVENT_AGAIN)
		take_again(r, e);
	else
		take_ends(r, e);
	return 0;
}
