/* SPDX-License-Identifier: MIT
 * flush_pages.c - the pages of an open segment: faulted in ahead of the tail, kept writable there,
 * written behind it. Thread: the flush daemon decides, jobs do it: a populate of 4 MiB takes
 * milliseconds, and so does any call that meets the file system's journal at a commit of its own.
 * `ready` is the only brake: at the dirty budget, on a full disk and after a failure it stops, and
 * the storage lcore waits in user space, not in a page fault. */
#include "storage/directory.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/hook.h"

#include <errno.h>

#define PIECE         (4 * MIB)      /* populated by one job: somebody may wait for its end */
#define DISTANCE_MAX  (16 * MIB)
#define DISTANCE_MS   20             /* of the partition's rate: a few turns, and a job in between */
#define WANT_AT_BUDGET (4 * MIB)     /* granted to one that waits, whatever the budget says */
/* The kernel's own flusher writes a file whose pages have been dirty for 30 s, those faulted in ahead
 * too, and protects them: they are made writable again before stores get there, mostly. */
#define REFRESH_NS    (5 * NS_PER_S)
#ifndef SMALL_SEGMENTS /* simulators: all of it happens within a few pages */
#define DISTANCE_MIN  (64 * KIB)
#define BEHIND_PIECE  (4 * MIB)
#define BEHIND_GAP    (2 * MIB)      /* from the tail: the pages there are still stored to */
#else
#define DISTANCE_MIN  (4 * KIB)
#define BEHIND_PIECE  (8 * KIB)
#define BEHIND_GAP    (4 * KIB)
#endif

/* ---- Ahead of the tail -------------------------------------------------------------------- */

static void
fill_run(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, fill_job));

	job->rc = seg->io->populate(seg->map + seg->fill_from, seg->fill_to - seg->fill_from);
	if (job->rc == -EFAULT && segment_reaches(seg, seg->fill_ready) < 0)
		job->rc = -EIO; /* records may be gone */
	if (job->rc == 0 && seg->fill_to > seg->populated) {
		job->rc = index_populate(&seg->index, seg->io, seg->populated, seg->fill_to);
		seg->populated = seg->fill_to;
	}
	/* R1: blocks and pages are there for whoever sees this; pairs with R2. Not in done(): somebody
	 * may wait for it, and that would be another thread to wake. */
	HOOK(R1);
	if (job->rc == 0)
		atomic_store_explicit(&seg->ready, seg->fill_to, memory_order_release);
}

static void
fill_done(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, fill_job));
	struct partition *part = seg->part;
	struct storage *s = part->storage;

	part->f.jobs--;
	seg->fill_busy = false;
	if (job->rc == 0) {
		counter_add(&s->count->prefaulted_bytes, seg->fill_to - seg->fill_ready);
		s->flush.granted = true;
		if (seg->fill_to > seg->fill_ready)
			seg->again = false;
	} else if (job->rc == -EFAULT && !seg->again) {
		/* What was reserved is not there: cut off by hand, or a disk that is full all the same. No
		 * store was let go there yet, so it is reserved once more, which waits for space. */
		if (!seg->space_busy) { /* else at the next try */
			seg->again = true;
			seg->allocated = seg->fill_ready;
		}
	} else if (job->rc != -EAGAIN && !flush_passes(s, job->rc)) {
		/* Again, or a bad device: no store may go there. */
		partition_fail(part);
	}
}

static void
fill(struct storage *s, struct segment *seg, uint64_t from, uint64_t to)
{
	seg->fill_from = from;
	seg->fill_to = to;
	seg->fill_ready = atomic_load_explicit(&seg->ready, memory_order_relaxed);
	seg->fill_busy = true;
	seg->fill_job = (struct job){.run = fill_run, .done = fill_done, .first = true};
	flush_job(s, seg->part, &seg->fill_job);
}

/* What was asked for and is not there yet, as a position; 0: nothing. Asked of a segment that was left
 * since, it is nothing. */
static uint64_t
wanted(struct partition *part, const struct segment *seg, uint64_t ready)
{
	struct flush_half *f = &part->f;

	if (f->want == 0 || f->want == WANT_SPARE)
		return 0;
	if (f->want_base == seg->base && f->want_to > ready)
		return f->want_to;
	f->want = 0;
	return 0;
}

unsigned
flush_fill(struct storage *s, struct partition *part, struct segment *seg, const struct mark *tail)
{
	const uint64_t distance = CLAMP(part->f.rate * DISTANCE_MS / 1000, DISTANCE_MIN, DISTANCE_MAX);
	const uint64_t ready = atomic_load_explicit(&seg->ready, memory_order_relaxed);
	const uint64_t want_to = wanted(part, seg, ready);
	const bool stale = s->flush.now_ns - seg->refreshed_ns >= REFRESH_NS &&
		s->flush.now_ns - part->f.moved_ns < NS_PER_S;
	uint64_t to = MAX(tail->position + distance, want_to);

	if (seg->fill_busy || seg->blank)
		return 0;
	if (s->flush.dirty >= s->dirty_budget)
		to = want_to && part->f.want <= WANT_AT_BUDGET + BATCH_BYTES_MAX ? want_to : 0;
	/* Half of it gone, or somebody waits: not a page at a time. */
	else if (want_to == 0 && ready >= tail->position + distance / 2)
		to = 0;
	to = MIN(MIN(round_up(to, FLUSH_PAGE), seg->allocated), ready + PIECE);
	if (to <= ready && !stale)
		return 0;
	to = MAX(to, ready);
	if (stale)
		seg->refreshed_ns = s->flush.now_ns;
	fill(s, seg, stale ? round_down(tail->position, FLUSH_PAGE) : ready, to);
	return 1;
}

/* ---- Behind it ---------------------------------------------------------------------------- */

static void
behind_run(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, behind_job));
	const uint64_t length = seg->behind - seg->behind_from;

	/* Map entries first: write-back of a mapped page interrupts every core, page by page. */
	(void)seg->io->unpopulate(seg->map + seg->behind_from, length);
	job->rc = seg->io->write_behind(seg->fd, seg->behind_from, length);
}

static void
behind_done(struct job *job)
{
	struct segment *seg = (struct segment *)((char *)job - offsetof(struct segment, behind_job));

	seg->part->f.jobs--;
	seg->sync_busy = false;
	if (job->rc < 0) {
		counter_add(&seg->part->storage->count->sync_failures, 1);
		partition_fail(seg->part);
	}
}

/* Start write-back of whole pieces, so that a commit finds little to do. It waits for nothing and
 * promises nothing; but an error that it is told is one that the next sync may not be told: final, and
 * no other such call on the file meanwhile. */
unsigned
flush_behind(struct storage *s, struct segment *seg, const struct mark *tail)
{
	const uint64_t to = round_down(tail->position - MIN(tail->position, BEHIND_GAP),
		BEHIND_PIECE);
	const uint64_t from = MAX(seg->behind, round_down(seg->synced, FLUSH_PAGE));

	if (seg->sync_busy || to <= from)
		return 0;
	seg->behind_from = from;
	seg->behind = to;
	seg->sync_busy = true;
	seg->behind_job = (struct job){.run = behind_run, .done = behind_done};
	flush_job(s, seg->part, &seg->behind_job);
	return 1;
}
