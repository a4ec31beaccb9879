/* SPDX-License-Identifier: MIT
 * flush_commit.c - one commit at a time: sync every partition touched since the last, publish its
 * durable end, then the commit's number. Thread: the flush daemon; the syncs are jobs.
 * A failed sync is never tried again: the kernel reports it once, and the next would say 0. */
#include "storage/directory.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/hook.h"

#include <errno.h>

#define STEADY_NS NS_PER_S /* since the last sync: stores come steadily */

/* ---- One file ----------------------------------------------------------------------------- */

/* The range alone: what is faulted in ahead of it must not be written, nor protected from the stores
 * that will go there. Behind the tail's page nobody stores any more: out of the map with it first, or
 * writing it back would interrupt every core once per page. The tail's page is protected now, and the
 * next store would fault: where stores come steadily it is made writable again here.
 * Of a file that somebody cut short the pages behind its end are gone, and a sync of them says 0: so its size is
 * asked, after the sync, once for all that it covers; where it cannot be, the sync's word stands. */
static void
sync_run(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, sync_job));
	const uint64_t from = round_down(seg->synced, FLUSH_PAGE);
	const uint64_t tail = round_down(seg->syncing, FLUSH_PAGE);

	if (tail > from)
		(void)seg->io->unpopulate(seg->map + from, tail - from);
	job->rc = seg->io->sync_range(seg->fd, seg->map, from,
		(BUG(17) ? tail : seg->syncing) - from);
	if (job->rc == 0 && segment_reaches(seg, seg->syncing) == -EIO)
		job->rc = -EIO;
	if (job->rc == 0 && seg->refill && seg->syncing > tail)
		(void)seg->io->populate(seg->map + tail, FLUSH_PAGE);
}

static void
sync_done(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, sync_job));
	struct partition *part = seg->part;
	struct storage *s = part->storage;

	part->f.jobs--;
	part->f.syncs--;
	seg->sync_busy = false;
	if (BUG(4) && job->rc < 0)
		sync_run(job);
	if (job->rc < 0) {
		counter_add(&s->count->sync_failures, 1);
		part->f.sync_failed = true;
		partition_fail(part); /* X1, before K3 of this commit */
		return;
	}
	counter_add(&s->count->syncs, 1);
	counter_add(&s->count->synced_bytes, seg->syncing - seg->synced);
	part->f.synced_ns = s->flush.now_ns;
	seg->synced = seg->syncing;
	if (seg->synced == segment_used(seg))
		seg->whole = true;
}

static void
sync_segment(struct storage *s, struct segment *seg, uint64_t to)
{
	ASSERT(!seg->sync_busy);
	seg->sync_busy = true;
	seg->syncing = to;
	seg->refill = seg == seg->part->f.active &&
		s->flush.now_ns - seg->part->f.synced_ns < STEADY_NS;
	seg->sync_job = (struct job){.run = sync_run, .done = sync_done};
	seg->part->f.syncs++;
	flush_job(s, seg->part, &seg->sync_job);
}

/* ---- One partition ------------------------------------------------------------------------ */

/* Segments left by a roll wholly, the open one up to the captured tail. Not while a call that may
 * report an error is in flight on one of them, nor before the open one has its name. */
static bool
submit(struct storage *s, struct partition *part)
{
	struct flush_half *f = &part->f;
	struct segment *active = f->captured.seg == f->active ? f->active : NULL;

	if (f->name_busy || !f->active->named || f->active->sync_busy)
		return false;
	for (struct segment *seg = f->left_first; seg; seg = seg->left_next)
		if (seg->sync_busy && !seg->whole)
			return false;
	for (struct segment *seg = f->left_first; seg; seg = seg->left_next) {
		if (seg->whole)
			continue;
		if (seg->synced == segment_used(seg))
			seg->whole = true; /* a commit of before the roll had it all */
		else
			sync_segment(s, seg, segment_used(seg));
	}
	if (active && f->captured.position > active->synced)
		sync_segment(s, active, f->captured.position);
	f->sync_submitted = true;
	return true;
}

void
flush_failed(struct storage *s, struct partition *part)
{
	if (part->f.failure_counted)
		return;
	part->f.failure_counted = true;
	if (partition_state(part) == PART_FAILED)
		counter_add(&s->count->partitions_failed, 1);
	if (atomic_load(&part->map_lost))
		counter_add(&s->count->maps_lost, 1);
	/* Another thread may have lost the race to say so: whoever waits for K3 must see `failures`
	 * moved first. */
	partition_fail(part);
}

/* True: this partition is done, durable or failed. */
static bool
step(struct storage *s, struct partition *part)
{
	struct flush_half *f = &part->f;
	struct mark durable;

	if (partition_state(part) != PART_OK && f->syncs == 0) {
		flush_failed(s, part);
		return true;
	}
	if (!f->sync_submitted && !submit(s, part))
		return false;
	if ((f->syncs > 0 && !BUG(2)) || f->sync_failed)
		return false; /* failed: the state is found by the next look */
	durable = frontier_read(&part->durable);
	/* Also into a new segment without a record: retention may then take the one before. */
	if (f->captured.end > durable.end || f->captured.seg != durable.seg) {
		HOOK(D1);
		frontier_publish(&part->durable, &f->captured); /* D1, pairs with D2 */
		s->flush.state_moved = true;
	}
	return true;
}

/* ---- The commit --------------------------------------------------------------------------- */

static void
begin(struct storage *s)
{
	struct commit *c = &s->flush.commit;

	c->number++;
	c->n = 0;
	c->running = true;
	c->last_ns = s->flush.now_ns;
	atomic_store_explicit(&s->commit_ns, s->flush.now_ns, memory_order_relaxed);
	/* K1, then T2, then E2, all seq_cst: a lcore either sees this number (K2) and names the next
	 * commit, or its touched bit (T1) is among those taken here. */
	HOOK(K1);
	atomic_store(&s->commit_begun, c->number);
	for (unsigned l = 0; l < s->o.store_lcores; l++) {
		for (unsigned i = 0; i < s->words; i++) {
			uint64_t bits;

			HOOK(T2);
			bits = atomic_exchange(&s->lcore[l].touched[i], 0); /* T2 */
			for (; bits; bits &= bits - 1) {
				const unsigned slot = i * 64 + (unsigned)__builtin_ctzll(bits);
				struct partition *part = s->flush.live[slot];

				if (!part)
					continue;
				HOOK(E2);
				part->f.captured = frontier_read(&part->tail); /* E2 */
				/* F2 again: a segment left before that tail joins with all of it. */
				(void)flush_take_full(s, part);
				part->f.in_commit = true;
				part->f.sync_submitted = part->f.sync_failed = false;
				flush_heat(s, part);
				c->part[c->n++] = part;
			}
		}
	}
	c->left = c->n;
}

static bool
touched(const struct storage *s)
{
	for (unsigned l = 0; l < s->o.store_lcores; l++)
		for (unsigned i = 0; i < s->words; i++)
			if (atomic_load_explicit(&s->lcore[l].touched[i], memory_order_relaxed))
				return true;
	return false;
}

/* W2: the highest number that anybody waits for. */
uint64_t
flush_wanted(const struct storage *s)
{
	uint64_t n = 0;

	HOOK(W2);
	for (unsigned g = 0; g < STORAGE_GIVERS_MAX; g++)
		n = MAX(n, atomic_load(&s->sync_wanted[g]));
	for (unsigned l = 0; l < s->o.store_lcores; l++)
		n = MAX(n, atomic_load(&s->lcore[l].wanted));
	return n;
}

static bool
due(const struct storage *s)
{
	const struct flush *f = &s->flush;

	if (flush_wanted(s) > f->commit.number)
		return true;
	if (f->op_waits)
		return touched(s);
	if (f->now_ns - f->commit.last_ns < f->flush_ns && f->dirty < s->dirty_budget / 2)
		return false;
	return touched(s);
}

unsigned
flush_commit(struct storage *s)
{
	struct commit *c = &s->flush.commit;
	unsigned work = 0;

	if (!c->running) {
		if (!due(s))
			return 0;
		begin(s);
		work = 1;
	}
	for (unsigned i = 0; i < c->left;) {
		struct partition *part = c->part[i];

		if (!step(s, part)) {
			i++;
			continue;
		}
		part->f.in_commit = false;
		flush_account(s, part);
		c->part[i] = c->part[--c->left];
		work++;
	}
	if (c->left > 0)
		return work;
	c->running = false;
	atomic_store_explicit(&s->commit_ns, 0, memory_order_relaxed);
	counter_add(&s->count->commits, 1);
	HOOK(K3);
	/* K3: D1 and X1 of all its partitions came before; pairs with K4. */
	atomic_store_explicit(&s->commit_done, c->number, memory_order_release);
	s->flush.granted = true;
	return work + 1;
}

/* ---- Asked by others ---------------------------------------------------------------------- */

uint64_t
storage_commit_done(const struct storage *s)
{
	HOOK(K4);
	return atomic_load_explicit(&s->commit_done, memory_order_acquire); /* K4 */
}

uint64_t
storage_stuck_ns(const struct storage *s, uint64_t now_ns)
{
	const uint64_t turn_ns = atomic_load_explicit(&s->turn_ns, memory_order_relaxed);
	const uint64_t commit_ns = atomic_load_explicit(&s->commit_ns, memory_order_relaxed);
	uint64_t since_ns = turn_ns ? turn_ns : now_ns; /* no turn yet: it begins */

	if (commit_ns)
		since_ns = MIN(since_ns, commit_ns);
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

uint64_t
storage_failures(const struct storage *s)
{
	HOOK(X2);
	return atomic_load_explicit(&s->failures, memory_order_acquire); /* X2 */
}

void
storage_want_disk(struct storage *s, unsigned giver, uint64_t commit)
{
	ASSERT(giver < STORAGE_GIVERS_MAX);
	if (commit <= atomic_load_explicit(&s->sync_wanted[giver], memory_order_relaxed))
		return;
	HOOK(W1);
	atomic_store(&s->sync_wanted[giver], commit); /* W1 */
	atomic_store(&s->urgent, 1);
}
