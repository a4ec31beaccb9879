/* SPDX-License-Identifier: MIT
 * flush_room.c - what is needed before a page can be: the rate of a partition, its share of the dirty
 * bytes, blocks reserved, the next segment made. Thread: the flush daemon; what blocks is a job. */
#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/hook.h"

#include <errno.h>

#ifndef SMALL_SEGMENTS /* simulators: all of it happens within a few pages */
#define STEP_MIN      (1 * MIB)
#define SPARE_TOUCH   (1 * MIB)
#define FIRST_TOUCH   (64 * KIB)     /* the first one after a start: thousands may be asked for at once */
#else
#define STEP_MIN      (8 * KIB)
#define SPARE_TOUCH   (4 * KIB)
#define FIRST_TOUCH   (4 * KIB)
#endif
#define STEP_MAX      (256 * MIB)
#define STEP_SECONDS  10             /* of the partition's rate */
#define RATE_NS       (10 * NS_PER_MS)
#define RETRY_NS      (500 * NS_PER_MS)

/* ---- Account ------------------------------------------------------------------------------ */

static uint64_t
dirty_of(const struct segment *seg, uint64_t position)
{
	return position > seg->synced ? position - seg->synced : 0;
}

void
flush_account(struct storage *s, struct partition *part)
{
	const struct mark tail = frontier_read(&part->tail); /* E2 */
	const struct segment *active = part->f.active;
	const bool ok = partition_state(part) == PART_OK;
	uint64_t dirty = 0;

	/* What a failed one holds is never synced any more: it must not take the others' room. */
	for (const struct segment *seg = part->f.left_first; ok && seg;
		seg = seg->left_next)
		dirty += dirty_of(seg, segment_used(seg));
	if (ok && tail.seg == active) {
		const uint64_t ready = atomic_load_explicit(&active->ready, memory_order_relaxed);

		dirty += dirty_of(active, tail.position);
		/* What a silent one holds ahead of its tail was written once and counts no more. */
		if (part->f.hot_at && ready > tail.position)
			dirty += ready - tail.position;
	}
	s->flush.dirty += dirty - part->f.dirty;
	part->f.dirty = dirty;
}

static void
measure(struct storage *s, struct partition *part, const struct mark *tail)
{
	struct flush_half *f = &part->f;
	const uint64_t ns = s->flush.now_ns - f->seen_ns;
	uint64_t bytes;

	if (tail->position != f->seen_position || tail->seg->base != f->seen_base)
		f->moved_ns = s->flush.now_ns;
	if (ns < RATE_NS)
		return;
	/* Across a roll the new position is a lower bound, which is good enough for a rate. */
	bytes = tail->seg->base == f->seen_base ? tail->position - f->seen_position :
		tail->position;
	if (ns > NS_PER_S)
		f->rate = 0;
	else
		f->rate = (f->rate * 3 + bytes * NS_PER_S / ns) / 4;
	f->seen_position = tail->position;
	f->seen_base = tail->seg->base;
	f->seen_ns = s->flush.now_ns;
}

bool
flush_passes(struct storage *s, int rc)
{
	if (layout_no_space(rc))
		counter_add(&s->count->disk_full, 1);
	return layout_no_space(rc) || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* ---- Reserve ------------------------------------------------------------------------------ */

static void
space_run(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, space_job));

	/* Of a file cut short, zeros would take the place of records. */
	job->rc = segment_reaches(seg, atomic_load_explicit(&seg->ready, memory_order_relaxed));
	if (job->rc == 0)
		job->rc = seg->io->fallocate(seg->fd, seg->allocated, seg->reserving);
}

static void
space_done(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, space_job));
	struct storage *s = seg->part->storage;

	seg->part->f.jobs--;
	seg->space_busy = false;
	if (job->rc == 0) {
		seg->allocated += seg->reserving;
	} else if (flush_passes(s, job->rc)) {
		seg->part->f.retry_ns = s->flush.now_ns + RETRY_NS;
	} else {
		partition_fail(seg->part);
	}
}

/* `bytes` as a reservation: on a small disk, and near the end of any, smaller ones, or the last
 * space would be refused to the one that needs a little of it. */
static uint64_t
step_of(const struct storage *s, uint64_t bytes)
{
	return round_up(CLAMP(bytes, STEP_MIN, CLAMP(s->flush.step_max, STEP_MIN, STEP_MAX)), FLUSH_PAGE);
}

/* True: nothing may be reserved now. */
static bool
is_braked(struct storage *s, struct partition *part)
{
	if (s->flush.now_ns < part->f.retry_ns)
		return true;
	if (!s->flush.no_space)
		return false;
	counter_add(&s->count->disk_full, 1); /* control says it in the log */
	part->f.retry_ns = s->flush.now_ns + RETRY_NS;
	return true;
}

static unsigned
reserve(struct storage *s, struct partition *part, struct segment *seg, const struct mark *tail)
{
	const uint64_t step = step_of(s, MAX(part->f.rate * STEP_SECONDS, seg->allocated));
	const uint64_t left = seg->allocated - MIN(tail->position, seg->allocated);
	const bool wanted = part->f.want != WANT_SPARE && part->f.want > left;

	if (seg->space_busy || seg->allocated >= seg->size || (left >= step / 2 && !wanted))
		return 0;
	if (is_braked(s, part))
		return 0;
	seg->reserving = MIN(step, seg->size - seg->allocated);
	seg->space_busy = true;
	seg->space_job = (struct job){.run = space_run, .done = space_done, .first = true};
	flush_job(s, part, &seg->space_job);
	return 1;
}

/* ---- The next segment --------------------------------------------------------------------- */

static void
spare_run(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.spare_job));
	const uint32_t producers = atomic_load_explicit(&part->producers, memory_order_relaxed);
	const bool first = part->f.active->blank;

	job->rc = segment_make(&part->f.made, part, (uint64_t)SETTING(part, segment_bytes),
		part->f.spare_bytes, first ? FIRST_TOUCH : SPARE_TOUCH, 2 * producers + 64);
	/* Before a batch goes into it: a directory with neither a spare nor an unsealed segment proves to
	 * the next start that nothing was appended since this one. Later there is always a named one. */
	if (job->rc == 0 && first && layout_sync_dir(part->storage->io, part->dirfd) < 0) {
		segment_free(part->f.made);
		job->rc = -EIO; /* whatever it is called: what a sync lost it says once */
	}
}

static void
spare_done(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.spare_job));
	struct storage *s = part->storage;

	part->f.jobs--;
	part->f.spare_busy = false;
	if (job->rc == 0) {
		part->f.given = part->f.made;
		counter_add(&s->count->segments_made, 1);
		HOOK(N1);
		atomic_store_explicit(&part->spare, part->f.made, memory_order_release); /* N1 */
		if (part->f.want == WANT_SPARE)
			part->f.want = 0;
		s->flush.granted = true;
	} else if (flush_passes(s, job->rc)) {
		part->f.retry_ns = s->flush.now_ns + RETRY_NS;
	} else {
		partition_fail(part);
	}
}

bool
flush_order_spare(struct storage *s, struct partition *part)
{
	struct flush_half *f = &part->f;

	/* One unnamed file at a time. */
	if (f->spare_busy || f->given || f->name_busy || !f->active->named)
		return false;
	if (is_braked(s, part))
		return false;
	f->spare_busy = true;
	f->spare_bytes = step_of(s, f->rate * STEP_SECONDS);
	f->spare_job = (struct job){.run = spare_run, .done = spare_done, .first = true};
	flush_job(s, part, &f->spare_job);
	return true;
}

static bool
spare_due(const struct storage *s, const struct partition *part, const struct mark *tail)
{
	const struct segment *seg = tail->seg;
	const uint64_t first_ns = atomic_load_explicit(&seg->first_ns, memory_order_relaxed);

	if (part->f.want == WANT_SPARE)
		return true;
	if (tail->position == 0)
		return false;
	if (tail->position >= seg->size / 2 ||
		seg->size - tail->position < part->f.rate * STEP_SECONDS)
		return true;
	return first_ns && SETTING(part, segment_ms) - (int64_t)((s->flush.now_ns - first_ns) /
		NS_PER_MS) < STEP_SECONDS * 1000;
}

unsigned
flush_room(struct storage *s, struct partition *part)
{
	struct mark tail;
	unsigned work = flush_take_full(s, part);

	if (partition_state(part) != PART_OK) {
		part->f.want = 0;
		flush_failed(s, part);
		flush_account(s, part);
		return work;
	}
	HOOK(E2);
	tail = frontier_read(&part->tail); /* E2 */
	if (tail.seg != part->f.active) {
		/* A roll between the two looks: `full` is there for the next turn. */
		flush_account(s, part);
		return work + 1;
	}
	measure(s, part, &tail);
	/* Asked before it saw N1: one after a roll would have brought that roll's F1 with it. Kept, it would
	 * hold the partition hot, and this thread awake, for as long as nobody rolls. */
	if (part->f.want == WANT_SPARE && part->f.given)
		part->f.want = 0;
	work += flush_name(s, part);
	work += reserve(s, part, tail.seg, &tail);
	work += flush_fill(s, part, tail.seg, &tail);
	if (spare_due(s, part, &tail) && flush_order_spare(s, part))
		work++;
	if (!s->is_volatile)
		work += flush_behind(s, tail.seg, &tail);
	flush_account(s, part);
	return work;
}
