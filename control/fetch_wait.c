/* SPDX-License-Identifier: MIT
 * fetch_wait.c - long polls: who waits for which partition, and the bell that wakes them.
 * Thread: control. Owns: the lists, one per partition. Never: polls while nobody waits; looks at a fetch
 * whose partitions did not move.
 * A lcore that publishes an end marks the partition and rings (dataplane_moved()). Where consumers see no
 * more than is on disk, the partition is `behind` until a commit of the flush daemon has caught up.
 * Between two looks lies a pause that grows with the number that the last one woke: under load it gathers
 * many batches into one answer. */
#include "control/fetch_wait.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"
#include "control/fetch_session.h"

#include <stdlib.h>

#define LOOK_EACH_NS 20000            /* so looks take a small share of the thread, however many wait */
#define LOOK_MIN_NS  (NS_PER_MS / 10) /* what a consumer that keeps up waits at most, about */
#define LOOK_MAX_NS  NS_PER_MS
#define TAKE_SLOTS   (4 * DATAPLANE_MOVED)

void
fetch_waits_open(struct control *ctl)
{
	struct fetch_waits *fw = &ctl->fetches;

	fw->slots = (uint32_t)ctl->cfg->max_partitions;
	fw->of_slot = calloc(fw->slots, sizeof(struct fetch_watch *));
	fw->behind = calloc(fw->slots, sizeof(struct partition *));
	fw->behind_slot = calloc(fw->slots, sizeof(*fw->behind_slot));
	ASSERT(fw->of_slot && fw->behind && fw->behind_slot);
}

void
fetch_waits_close(struct control *ctl)
{
	free(ctl->fetches.of_slot);
	free(ctl->fetches.behind);
	free(ctl->fetches.behind_slot);
}

/* ---- Who watches what ---------------------------------------------------------------------- */

static void
is_behind(struct fetch_waits *fw, struct partition *part, const struct partition_ends *ends)
{
	const uint32_t slot = storage_slot(part);

	if (ends->visible >= ends->end || fw->behind[slot])
		return;
	fw->behind[slot] = part;
	fw->behind_slot[fw->behind_n++] = slot;
}

void
fetch_watch(struct control *ctl, struct fetch_watch *w, struct partition *part,
	const struct partition_ends *ends)
{
	struct fetch_waits *fw = &ctl->fetches;
	const uint32_t slot = storage_slot(part);

	if (w->at)
		return;
	ASSERT(slot < fw->slots);
	w->part = part;
	w->at = &fw->of_slot[slot];
	w->next = *w->at;
	if (w->next)
		w->next->at = &w->next;
	*w->at = w;
	is_behind(fw, part, ends);
}

void
fetch_unwatch(struct fetch_watch *w)
{
	if (!w->at)
		return;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->at = NULL;
}

/* ---- Who is woken -------------------------------------------------------------------------- */

static void
tell(struct control *ctl, struct fetch_watch *w)
{
	struct conn *c = w->session ? fetch_session_moved(w->session) : w->conn;

	if (c && c->wait_in == &ctl->fetches.parked)
		wait_add(&ctl->fetches.woken, c);
}

static void
tell_all(struct control *ctl, uint32_t slot)
{
	for (struct fetch_watch *w = ctl->fetches.of_slot[slot]; w; w = w->next)
		tell(ctl, w);
}

/* Those of whom a commit may have shown more. */
static void
look_behind(struct control *ctl)
{
	struct fetch_waits *fw = &ctl->fetches;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < fw->behind_n; i++) {
		const uint32_t slot = fw->behind_slot[i];
		struct partition_ends ends;

		storage_ends(fw->behind[slot], &ends);
		tell_all(ctl, slot);
		if (ends.visible < ends.end && fw->of_slot[slot])
			fw->behind_slot[kept++] = slot;
		else
			fw->behind[slot] = NULL;
	}
	fw->behind_n = kept;
}

static void
look_at_moved(struct control *ctl)
{
	struct fetch_waits *fw = &ctl->fetches;
	uint32_t slot[TAKE_SLOTS];
	unsigned n, all = 0;

	/* Not for ever, where lcores mark as fast as this takes. */
	do {
		n = dataplane_moved(ctl->dp, slot, TAKE_SLOTS);
		for (unsigned i = 0; i < n; i++) {
			struct fetch_watch *w = fw->of_slot[slot[i]];
			struct partition_ends ends;

			if (!w)
				continue; /* nobody waits for it */
			storage_ends(w->part, &ends);
			is_behind(fw, w->part, &ends);
			tell_all(ctl, slot[i]);
		}
		all += n;
	} while (n > TAKE_SLOTS - DATAPLANE_MOVED && all < fw->slots);
	fw->more = n > TAKE_SLOTS - DATAPLANE_MOVED;
}

void
fetch_look(struct control *ctl)
{
	struct fetch_waits *fw = &ctl->fetches;
	const uint64_t commit = storage_commit_done(ctl->storage);
	const uint64_t failures = storage_failures(ctl->storage);

	look_at_moved(ctl);
	if (fw->behind_n > 0 && commit != fw->commit)
		look_behind(ctl);
	fw->commit = commit;
	/* Rare, and it does not say whose. */
	for (uint32_t slot = 0; failures != fw->failures && slot < fw->slots; slot++)
		tell_all(ctl, slot);
	fw->failures = failures;
	fw->due |= fw->woken.n > 0 || fw->more;
}

/* ---- The bell ------------------------------------------------------------------------------ */

static uint64_t
pause_ns(const struct fetch_waits *fw)
{
	return CLAMP((uint64_t)fw->looked_at * LOOK_EACH_NS, LOOK_MIN_NS, LOOK_MAX_NS);
}

void
fetch_park(struct control *ctl, struct conn *c)
{
	struct fetch_waits *fw = &ctl->fetches;

	wait_add(&fw->parked, c);
	if (fw->watching)
		return;
	fw->watching = true;
	dataplane_watch_data(ctl->dp, true);
	fw->due = true; /* what was published before the bell was on rang nobody */
}

/* In the next turn, not here: the caller is a request that uses arena and scratch. */
static void
look_soon(struct fetch_waits *fw)
{
	fw->due = true;
	fw->looked_ns = 0;
}

void
fetch_wake(struct control *ctl, struct conn *c)
{
	wait_add(&ctl->fetches.woken, c);
	look_soon(&ctl->fetches);
}

void
fetch_rang(struct control *ctl)
{
	ctl->fetches.due = true;
}

uint64_t
fetch_due_ns(const struct control *ctl)
{
	const struct fetch_waits *fw = &ctl->fetches;

	return fw->due && fw->parked.n + fw->woken.n > 0 ? fw->looked_ns + pause_ns(fw) : UINT64_MAX;
}

unsigned
fetch_turn(struct control *ctl)
{
	struct fetch_waits *fw = &ctl->fetches;
	const unsigned n = fw->parked.n + fw->woken.n;

	if (n == 0) {
		if (fw->watching) {
			fw->watching = false;
			dataplane_watch_data(ctl->dp, false);
		}
		fw->due = false;
		return 0;
	}
	if (!fw->due || ctl->now_ns - fw->looked_ns < pause_ns(fw))
		return 0;
	fw->looked_ns = ctl->now_ns;
	fetch_look(ctl);
	fw->due = fw->more;
	fw->looked_at = fw->woken.n;
	counter_add(&ctl->count->fetch_looks, fw->looked_at);
	wait_wake(&fw->woken, ctl->now_ns, false);
	return n - MIN(n, fw->parked.n + fw->woken.n); /* woken in vain is no work done */
}

void
fetch_topic_altered(struct control *ctl, const struct topic *t)
{
	for (int32_t p = 0; p < t->partitions; p++)
		tell_all(ctl, storage_slot(t->part->part[p]));
	look_soon(&ctl->fetches);
}

void
fetch_topic_gone(struct control *ctl, const struct topic *t)
{
	struct fetch_waits *fw = &ctl->fetches;

	for (int32_t p = 0; p < t->partitions; p++) {
		const uint32_t slot = storage_slot(t->part->part[p]);

		for (struct fetch_watch *w = fw->of_slot[slot], *next; w; w = next) {
			next = w->next;
			tell(ctl, w);
			fetch_unwatch(w);
		}
		for (uint32_t i = 0; fw->behind[slot] && i < fw->behind_n; i++)
			if (fw->behind_slot[i] == slot) {
				fw->behind_slot[i] = fw->behind_slot[--fw->behind_n];
				fw->behind[slot] = NULL;
			}
	}
	look_soon(fw);
}
