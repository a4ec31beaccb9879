/* SPDX-License-Identifier: MIT
 * flush_tidy.c - what is done by the second: free space watched, kira.state written, expired
 * segments deleted. Thread: the flush daemon; files change in jobs.
 * Order of a deletion: start published (O1) -> kira.state with it durable -> out of the array (L1)
 * -> unlinked. A crash between leaves files below the start, which the next start removes. */
#include "storage/directory.h"
#include "storage/layout.h"
#include "storage/retention.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/hook.h"

#include <errno.h>
#include <stdlib.h>

#define TIDY_NS       (500 * NS_PER_MS)
#define STATE_NS      (5 * NS_PER_S)
#define JUMP_MS       (600 * 1000)         /* a wall clock that jumped further pauses retention */
#define PAUSE_NS      (3600 * NS_PER_S)
#define FREE_MIN      (5 * GIB)            /* or 5 %, whichever is less: nothing is reserved below */
#define FREE_SHARE    20
#define STEP_SHARE    32                   /* of what is free, the most that one file reserves ahead */

/* ---- What cannot be written or removed ---------------------------------------------------- */

void
flush_file_failed(struct storage *s, int rc, const char *what)
{
	if (rc != -EIO && rc != -EROFS && rc != -EUCLEAN)
		return;
	counter_add(&s->count->file_failures, 1);
	if (atomic_load_explicit(&s->root_failed, memory_order_relaxed))
		return;
	(void)err_sys(&s->root_err, rc, "%s", what);
	atomic_store_explicit(&s->root_failed, true, memory_order_release);
}

const char *
storage_root_failure(const struct storage *s)
{
	return atomic_load_explicit(&s->root_failed, memory_order_acquire) ? s->root_err.text : NULL;
}

/* ---- kira.state --------------------------------------------------------------------------- */

static void
state_run(struct job *job)
{
	struct storage *s = (struct storage *)((char *)job - offsetof(struct storage, flush.state_job));

	job->rc = layout_put_text(s->io, s->dirfd, "state", s->flush.state_text);
	if (job->rc == 0 && s->flush.state_reserves)
		directory_reserve(s);
}

static void
state_done(struct job *job)
{
	struct storage *s = (struct storage *)((char *)job - offsetof(struct storage, flush.state_job));
	struct flush *f = &s->flush;

	free(f->state_text);
	f->state_text = NULL;
	f->state_busy = false;
	if (job->rc == 0) {
		f->states_done = f->states_begun;
	} else {
		f->state_moved = true; /* again next time: what it says lags, which is safe */
		flush_file_failed(s, job->rc, "write kira.state");
	}
}

static unsigned
write_state(struct storage *s)
{
	struct flush *f = &s->flush;

	if (f->state_busy || !f->state_moved || f->now_ns < f->state_ns)
		return 0;
	f->state_text = directory_state(s, false, f->wall_ms);
	f->state_moved = false;
	f->state_busy = true;
	f->state_reserves = !f->no_space;
	f->state_ns = f->now_ns + STATE_NS;
	f->states_begun++;
	f->state_job = (struct job){.run = state_run, .done = state_done};
	jobs_submit(f->jobs, &f->state_job);
	return 1;
}

/* ---- Deletion ----------------------------------------------------------------------------- */

static void
trim_run(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.trim_job));

	job->rc = 0;
	part->f.unlinked = 0;
	for (unsigned i = 0; i < part->f.expired_n && job->rc == 0; i++) {
		job->rc = layout_unlink_segment(part->storage->io, part->dirfd,
			part->f.expired[i]->base, true);
		part->f.unlinked += job->rc == 0;
	}
}

static void
trim_done(struct job *job)
{
	struct partition *part = (struct partition *)((char *)job -
		offsetof(struct partition, f.trim_job));
	struct storage *s = part->storage;

	/* What could not be unlinked lies below the start: the next start removes it. */
	for (unsigned i = 0; i < part->f.expired_n; i++)
		flush_hand_gone(s, part->f.expired[i]);
	counter_add(&s->count->segments_deleted, part->f.unlinked);
	if (job->rc < 0) {
		char what[TOPIC_NAME_MAX + 64];

		(void)snprintf(what, sizeof(what), "remove expired segments of %s", part->name);
		flush_file_failed(s, job->rc, what);
	}
	part->f.jobs--;
	free(part->f.expired);
	part->f.expired = NULL;
	part->f.expired_n = 0;
}

/* The new start is published; the files go once kira.state says so too. False: a segment among them is being rewritten; again at the next look. */
static bool
expire(struct storage *s, struct partition *part, unsigned drop)
{
	const struct segments *a = atomic_load_explicit(&part->segments, memory_order_relaxed);
	const int64_t from = drop < a->n ? a->seg[drop]->base : part->f.active->base;
	/* It may lie above that already, within a segment: OP_DELETE_RECORDS. */
	const int64_t start = MAX(from, atomic_load_explicit(&part->start, memory_order_relaxed));

	if (!flush_rewrite_lets_go(s, part, from)) /* not `start`: the segment that holds it stays */
		return false;
	part->f.expired = calloc(drop, sizeof(*part->f.expired));
	ASSERT(part->f.expired);
	for (unsigned i = 0; i < drop; i++)
		part->f.expired[i] = a->seg[i];
	part->f.expired_n = drop;
	part->f.expired_after = s->flush.states_begun + 1;
	part->f.trim_waits = true;
	HOOK(O1);
	atomic_store_explicit(&part->start, start, memory_order_release); /* O1 */
	s->flush.state_moved = true;
	s->flush.state_ns = s->flush.now_ns;
	s->flush.granted = true;
	return true;
}

static unsigned
trim(struct storage *s, struct partition *part)
{
	if (!part->f.trim_waits || s->flush.states_done < part->f.expired_after)
		return 0;
	part->f.trim_waits = false;
	flush_file(part, part->f.expired_n, NULL);
	part->f.trim_job = (struct job){.run = trim_run, .done = trim_done};
	flush_job(s, part, &part->f.trim_job);
	return 1;
}

/* ---- Retention ---------------------------------------------------------------------------- */

/* How many of the oldest a snapshot remembers, at the end of the last of them. None is written where a roll met more
 * producers than there was room for, or a start a full disk: until a later one stands nothing but the batches
 * says who sent them, and a start without them would store a retry again. Of durable ones: so kira.state says,
 * before a file goes, that the snapshot is not above the end of the log. */
static uint32_t
remembered(const struct segments *a, const struct mark *durable)
{
	uint32_t n = a->n;

	while (n > 0 && !(a->seg[n - 1]->remembered && a->seg[n - 1]->end <= durable->end))
		n--;
	return BUG(26) ? a->n : n;
}

static bool
may_go(const struct partition *part, const struct segments *a, uint32_t i, const struct mark *durable)
{
	const struct segment *seg = a->seg[i];

	return seg->sealed && atomic_load_explicit(&seg->looked, memory_order_relaxed) && seg != durable->seg &&
		seg->end <= durable->end && i < remembered(a, durable) && partition_state(part) == PART_OK;
}

static unsigned
expired_of(const struct storage *s, const struct partition *part, bool steady)
{
	const struct segments *a = atomic_load_explicit(&part->segments, memory_order_relaxed);
	const struct mark durable = frontier_read(&part->durable);
	struct retention_fact *fact;
	struct partition_config config;
	unsigned drop;

	if (!a || a->n == 0)
		return 0;
	fact = calloc(a->n, sizeof(*fact));
	ASSERT(fact);
	for (unsigned i = 0; i < a->n; i++)
		fact[i] = (struct retention_fact){segment_used(a->seg[i]), a->seg[i]->max_timestamp,
			a->seg[i]->sealed_wall_ms, may_go(part, a, i, &durable)};
	settings_get(&part->settings, &config);
	drop = steady ? retention_expired(fact, a->n, frontier_read(&part->tail).position, &config,
		s->flush.wall_ms) : 0;
	/* Wholly below the start, whatever the clock says. */
	while (drop < a->n && fact[drop].may_go &&
		a->seg[drop]->end <= atomic_load_explicit(&part->start, memory_order_relaxed))
		drop++;
	free(fact);
	return drop;
}

/* Blocks held: sealed files as long as they are, others as far as reserved. */
static uint64_t
held_bytes(const struct partition *part)
{
	const struct segments *a = atomic_load_explicit(&part->segments, memory_order_relaxed);
	uint64_t bytes = part->f.active ? part->f.active->allocated : 0;

	bytes += part->f.given ? part->f.given->allocated : 0;
	/* Once they are being unlinked the array is without them. */
	for (uint32_t i = part->f.trim_waits ? part->f.expired_n : 0; a && i < a->n; i++)
		bytes += a->seg[i]->allocated;
	return bytes;
}

/* The partition whose oldest segment that may still go was sealed first of all. */
static struct partition *
oldest_of_all(const struct storage *s)
{
	struct partition *oldest = NULL;
	int64_t wall_ms = 0;

	for (unsigned i = 0; i < s->o.partitions_max; i++) {
		struct partition *part = s->flush.live[i];
		const struct segments *a;
		struct mark durable;

		if (!part || part->f.expired)
			continue;
		a = atomic_load_explicit(&part->segments, memory_order_relaxed);
		durable = frontier_read(&part->durable);
		if (!a || part->f.over_cap >= a->n ||
			!may_go(part, a, part->f.over_cap, &durable))
			continue;
		if (!oldest || a->seg[part->f.over_cap]->sealed_wall_ms < wall_ms) {
			oldest = part;
			wall_ms = a->seg[part->f.over_cap]->sealed_wall_ms;
		}
	}
	return oldest;
}

/* Beyond the directory's cap the oldest sealed segments of all go, whatever their topics allow: a
 * line-rate user fills a disk in minutes, and a full one stops everybody. As many as it takes: the
 * next look is half a second away, and small segments fill faster. */
static void
keep_below_cap(struct storage *s, uint64_t held)
{
	struct flush *f = &s->flush;
	struct partition *part;

	if (f->cap_bytes == 0)
		return; /* not known yet */
	while (held > f->cap_bytes && (part = oldest_of_all(s)) != NULL) {
		const struct segments *a = atomic_load_explicit(&part->segments,
			memory_order_relaxed);

		const uint64_t bytes = a->seg[part->f.over_cap]->allocated;

		part->f.over_cap++;
		held -= MIN(held, bytes);
	}
	/* Still above: next time, or never, and reservations end at the free minimum. */
	for (unsigned i = 0; i < s->o.partitions_max; i++) {
		part = f->live[i];
		if (!part || part->f.over_cap == 0)
			continue;
		if (expire(s, part, part->f.over_cap))
			counter_add(&s->count->segments_over_cap, part->f.over_cap);
		part->f.over_cap = 0;
	}
}

/* A clock that jumps must not expire everything at once. */
static bool
clock_is_steady(struct storage *s)
{
	struct flush *f = &s->flush;
	const int64_t passed = (int64_t)((f->now_ns - f->tidied_ns) / NS_PER_MS);
	const int64_t walked = f->wall_ms - f->tidied_wall_ms;

	if (f->tidied_ns != 0 && (walked - passed > JUMP_MS || passed - walked > JUMP_MS))
		f->paused_until_ns = f->now_ns + PAUSE_NS;
	f->tidied_ns = f->now_ns;
	f->tidied_wall_ms = f->wall_ms;
	return f->now_ns >= f->paused_until_ns;
}

static void
look_at_space(struct storage *s)
{
	struct io_space space;
	uint64_t min;

	if (s->io->space(s->dirfd, &space) < 0)
		return;
	min = MIN(FREE_MIN, space.total / FREE_SHARE);
	s->flush.no_space = space.free < min;
	s->flush.room = space.free - MIN(space.free, min);
	s->flush.step_max = space.free / STEP_SHARE;
	s->flush.cap_bytes = (uint64_t)((double)space.total * s->o.disk_cap);
	counter_set(&s->count->disk_free_bytes, space.free);
}

unsigned
flush_tidy(struct storage *s)
{
	struct flush *f = &s->flush;
	unsigned work = write_state(s);
	uint64_t held = 0, flush_ns = s->o.flush_ms * NS_PER_MS;
	bool steady;

	if (f->now_ns < f->tidy_ns)
		return work;
	f->tidy_ns = f->now_ns + TIDY_NS;
	look_at_space(s);
	steady = clock_is_steady(s);
	for (unsigned i = 0; i < s->o.partitions_max; i++) {
		struct partition *part = f->live[i];
		unsigned drop;

		if (!part)
			continue;
		work += trim(s, part);
		held += held_bytes(part);
		flush_ns = MIN(flush_ns, flush_longest_ns(s, part));
		if (part->f.expired)
			continue;
		drop = expired_of(s, part, steady);
		if (drop > 0)
			(void)expire(s, part, drop);
	}
	f->flush_ns = flush_ns; /* topics go, and change */
	counter_set(&s->count->disk_held_bytes, held);
	keep_below_cap(s, held);
	return work;
}
