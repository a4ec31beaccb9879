/* SPDX-License-Identifier: MIT
 * flush_seal.c - after a roll: file the segment that was left, name the new one, and once a commit
 * has synced the old one wholly, cut it to size and write its index. Thread: the flush daemon. */
#include "storage/checkpoint.h"
#include "storage/directory.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/hook.h"

#include <errno.h>
#include <stdlib.h>

#define SEAL_RETRY_NS NS_PER_S

void
flush_file(struct partition *part, unsigned drop, struct segment *add)
{
	struct segments *old = atomic_load_explicit(&part->segments, memory_order_relaxed);
	const uint32_t kept = old ? old->n - drop : 0, n = kept + (add ? 1 : 0);
	struct segments *a = malloc(sizeof(*a) + n * sizeof(a->seg[0]));

	ASSERT(a);
	a->n = n;
	a->older = old;
	for (uint32_t i = 0; i < kept; i++)
		a->seg[i] = old->seg[drop + i];
	if (add)
		a->seg[n - 1] = add;
	HOOK(L1);
	/* L1: control frees the older ones once it has taken this (L2). */
	atomic_store_explicit(&part->segments, a, memory_order_release);
}

void
flush_replace(struct partition *part, const struct segment *old, struct segment *seg)
{
	struct segments *was = atomic_load_explicit(&part->segments, memory_order_relaxed);
	struct segments *a = malloc(sizeof(*a) + was->n * sizeof(a->seg[0]));

	ASSERT(a);
	a->n = was->n;
	a->older = was;
	for (uint32_t i = 0; i < a->n; i++)
		a->seg[i] = was->seg[i] == old ? seg : was->seg[i];
	atomic_store_explicit(&part->segments, a, memory_order_release); /* L1 */
}

/* ---- The new one gets its name ------------------------------------------------------------ */

static void
name_run(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.name_job));

	job->rc = segment_name(part->f.active);
}

static void
name_done(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.name_job));

	struct storage *s = part->storage;

	part->f.jobs--;
	part->f.name_busy = false;
	if (job->rc == 0)
		part->f.active->named = true;
	else if (flush_passes(s, job->rc))
		part->f.seal_retry_ns = s->flush.now_ns + SEAL_RETRY_NS;
	else
		partition_fail(part);
}

/* Appends go on in it meanwhile; nothing of it counts as durable before it has its name. */
static void
name(struct storage *s, struct partition *part)
{
	part->f.name_busy = true;
	part->f.name_job = (struct job){.run = name_run, .done = name_done};
	flush_job(s, part, &part->f.name_job);
}

/* Again, where the first try found no space. */
unsigned
flush_name(struct storage *s, struct partition *part)
{
	if (part->f.active->named || part->f.name_busy || s->flush.now_ns < part->f.seal_retry_ns)
		return 0;
	name(s, part);
	return 1;
}

bool
flush_take_full(struct storage *s, struct partition *part)
{
	struct flush_half *f = &part->f;
	struct segment *seg;

	HOOK(F2);
	seg = atomic_exchange_explicit(&part->full, NULL, memory_order_acquire);
	if (!seg)
		return false; /* F2 */
	ASSERT(seg == f->active && f->given);
	flush_checkpoint_left(part, seg);
	if (!seg->blank) {
		seg->max_timestamp = seg->index.max_timestamp;
		*f->left_last = seg;
		f->left_last = &seg->left_next;
		flush_file(part, 0, seg);
	}
	/* The base of the next was set before F1. */
	f->active = f->given;
	f->given = NULL;
	name(s, part);
	return true;
}

/* ---- The old one is sealed ---------------------------------------------------------------- */

static void
seal_run(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.seal_job));

	job->rc = segment_seal(part->f.left_first);
}

static void
seal_done(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.seal_job));
	struct storage *s = part->storage;
	struct segment *seg = part->f.left_first;

	part->f.jobs--;
	part->f.seal_busy = seg->sync_busy = false;
	if (job->rc < 0 && flush_passes(s, job->rc)) {
		part->f.seal_retry_ns = s->flush.now_ns + SEAL_RETRY_NS;
		return;
	}
	if (job->rc < 0) {
		partition_fail(part);
		return;
	}
	part->f.left_first = seg->left_next;
	if (!part->f.left_first)
		part->f.left_last = &part->f.left_first;
	seg->sealed = true;
	seg->remembered = seg->snapshot_length > 0;
	seg->sealed_wall_ms = s->flush.wall_ms;
	seg->allocated = segment_used(seg);
	counter_add(&s->count->segments_sealed, 1);
	s->flush.state_moved = true;
	flush_hand_sealed(s, seg);
}

unsigned
flush_seal(struct storage *s, struct partition *part)
{
	struct flush_half *f = &part->f;
	struct segment *seg = f->left_first;

	if (!seg || !seg->named || seg->space_busy || seg->fill_busy || f->seal_busy)
		return 0;
	if ((!seg->whole || seg->sync_busy) && !BUG(22))
		return 0;
	if (partition_state(part) != PART_OK || s->flush.now_ns < f->seal_retry_ns)
		return 0;
	if (f->checkpoint_busy && f->checkpoint->seg == seg)
		return 0; /* it reads the index, and the file goes with the seal */
	/* It may report a write-back error: no other call on the file meanwhile. */
	f->seal_busy = seg->sync_busy = true;
	f->seal_job = (struct job){.run = seal_run, .done = seal_done};
	flush_job(s, part, &f->seal_job);
	return 1;
}
