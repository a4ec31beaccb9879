/* SPDX-License-Identifier: MIT
 * sim_check_final.c - the log that was left, unit by unit, and whether each ack is kept in it. */
#include "tests/sim/sim_check_private.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>

/* What leader-epoch-checkpoint says of an offset; -1: nothing was told. */
static int64_t
leader_of(unsigned part, int64_t offset)
{
	int64_t leader = -1;

	for (unsigned i = 0; i < k.epochs; i++)
		if (k.epoch[i].part == part && k.epoch[i].from <= offset)
			leader = MAX(leader, k.epoch[i].to);
	return leader;
}

/* ---- Second: the log that was left --------------------------------------------------------- */

static int
take_final(const struct event *e)
{
	struct log *l = &k.log[e->part];

	if (l->final)
		return cannot("a second final log of this partition");
	l->final = true;
	l->start = l->expected = e->offset;
	l->end = e->end;
	l->leader = -1;
	l->place.row = sizeof(struct place);
	if (l->start > l->start_allowed)
		BROKEN(C7, "partition %u begins at %" PRId64 ", and nobody moved its start beyond %" PRId64,
			e->part, l->start, l->start_allowed);
	return 0;
}

static bool
found_in_order(const struct event *e, struct unit *u, uint32_t stream)
{
	struct stream *s = &k.stream[stream - 1];
	bool right = true;

	if (s->plain) {
		/* What it sends again may be there again, behind what came after it. */
	} else if (u->found) {
		BROKEN(C2, "partition %u: the unit at %" PRId64 " is there again at %" PRId64, e->part,
			u->found_at, e->offset);
		right = false;
	} else if (e->sequence < s->last_found) {
		BROKEN(C3, "partition %u, offset %" PRId64 ": sequence %" PRId64 " of producer %" PRId64
			" behind %" PRId64, e->part, e->offset, e->sequence, e->id, s->last_found);
		right = false;
	}
	s->last_found = MAX(s->last_found, e->sequence);
	if (!u->found)
		u->found_at = e->offset;
	u->found = true;
	return right;
}

static int
take_found(const struct event *e)
{
	struct log *l = &k.log[e->part];
	const int64_t leader = leader_of(e->part, e->offset);
	struct place *p;
	struct unit *u;
	uint32_t stream;
	bool right = true;

	if (!l->final)
		return cannot("found, before the `final` line of its partition");
	if (e->offset != l->expected && !in_hole(e->part, l->expected, e->offset)) {
		BROKEN(C7, "partition %u: offset %" PRId64 " where %" PRId64 " was due", e->part, e->offset,
			l->expected);
		right = false;
	}
	l->expected = e->offset + e->count;
	if (e->leader < l->leader || (leader >= 0 && e->leader != leader)) {
		BROKEN(C11, "partition %u, offset %" PRId64 ": of epoch %" PRId64 ", where epoch %" PRId64
			" holds", e->part, e->offset, e->leader, MAX(leader, (int64_t)l->leader));
		right = false;
	}
	l->leader = MAX(l->leader, (int32_t)e->leader);
	p = rows_at(&l->place, &k.arena, e->offset);
	if (!p)
		return full();
	u = as_sent(e, e->part, &stream);
	*p = (struct place){e->sequence, u ? stream : UINT32_MAX, (int32_t)e->leader};
	if (u && found_in_order(e, u, stream) && right)
		k.v->valid++;
	return 0;
}

int
pass_final(const struct event *e)
{
	switch (e->kind) {
	case EVENT_FINAL:
		return take_final(e);
	case EVENT_FOUND:
		return take_found(e);
	default:
		return 0;
	}
}

int
end_of_logs(void)
{
	for (unsigned i = 0; i < HISTORY_PARTITIONS; i++) {
		const struct log *l = &k.log[i];

		if (l->used && !l->final) {
			err_set(k.err, "no `final` line of partition %u: what was left is not told", i);
			return -EINVAL;
		}
		if (l->final && l->expected != l->end && !in_hole(i, l->expected, l->end))
			broken(C7, "final", 0, "partition %u: read to %" PRId64 ", its end is %" PRId64, i,
				l->expected, l->end);
	}
	return 0;
}

/* ---- Last: each ack ------------------------------------------------------------------------ */

static void
acked_and_gone(const struct stream *s, const struct unit *u, int64_t sequence)
{
	const struct log *l = &k.log[s->part];
	const struct place *p = rows_find(&l->place, u->acked_at);
	const bool must = u->level == HISTORY_DISK ||
		(u->level == HISTORY_LOG && u->acked_ms > k.last_power_ms);

	/* Retention, or a repair, took it. Where the ack had no offset, that cannot be told. */
	if (u->acked_at < 0 ? l->start > 0 :
		u->acked_at < l->start || in_hole(s->part, u->acked_at, u->acked_at + u->count))
		return;
	if (must)
		broken(C1, k.file[u->file], u->line, "acked, and not in the log: producer %" PRId64
			" epoch %" PRId64 " sequence %" PRId64 ", partition %u, offset %" PRId64, s->id,
			s->epoch, sequence, s->part, u->acked_at);
	else if (u->level != HISTORY_NONE && sequence < s->last_found && !s->plain)
		broken(C3, k.file[u->file], u->line, "producer %" PRId64 ": sequence %" PRId64
			", acked, is gone, and what came after it is there", s->id, sequence);
	else if (p && p->stream && u->acked_leader >= 0 && p->leader == u->acked_leader)
		broken(C6, k.file[u->file], u->line, "offset %" PRId64 " of epoch %" PRId32
			" was acked to another unit than the final log has", u->acked_at, u->acked_leader);
}

static void
acked_and_there(const struct stream *s, uint32_t number, const struct unit *u, int64_t sequence)
{
	const struct place *p = rows_find(&k.log[s->part].place, u->acked_at);

	if (u->acked_at < 0)
		return; /* known to be stored, and no more: the ack says so */
	if (!p || p->stream != number || p->sequence != sequence ||
		(u->acked_leader >= 0 && p->leader != u->acked_leader))
		broken(C4, k.file[u->file], u->line, "acked at offset %" PRId64 " of epoch %" PRId32
			", and lies at %" PRId64, u->acked_at, u->acked_leader, u->found_at);
}

void
judge_acks(void)
{
	for (uint32_t i = 0; i < k.streams; i++) {
		const struct stream *s = &k.stream[i];

		for (int64_t n = 0; n < (int64_t)s->unit.chunks * ROWS_CHUNK; n++) {
			const struct unit *u = rows_find(&s->unit, n);

			if (!u || !u->acked)
				continue;
			if (u->found)
				acked_and_there(s, i + 1, u, n);
			else
				acked_and_gone(s, u, n);
		}
	}
}
