/* SPDX-License-Identifier: MIT
 * flush_rewrite.c - topics with compression.type=lz4: which sealed segment is rewritten next, one at a
 * time in the directory, and the new one filed in the place of the old. Thread: the flush daemon; the
 * pieces run on a job thread of their own, which steps back, so that no sync waits in a queue
 * behind one. The swap does not: others need the directory that it holds while names change.
 * A segment may go once no start wants its batch headers again, where producer ids stand: snapshots at
 * its end and above remember them. */
#include "storage/directory.h"
#include "storage/layout.h"
#include "storage/rewrite.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>

#define LOOK_NS  (1 * NS_PER_S)
#define HOLD_NS  (100 * NS_PER_MS) /* a piece lets a running commit pass, but not one after another */
#define PAUSE_NS (60 * NS_PER_S)   /* of a partition: after a full disk, without snapshots, when cut short */

/* ---- Which one ---------------------------------------------------------------------------- */

static bool
is_durable(const struct segment *seg, const struct mark *durable)
{
	return segment_used(seg) != SEGMENT_OPEN && seg != durable->seg && seg->end <= durable->end;
}

static bool
is_due(const struct storage *s, const struct segment *seg, const struct mark *durable)
{
	return seg->sealed && atomic_load(&seg->looked) && !seg->rewritten && is_durable(seg, durable) && segment_used(seg) > 0 &&
		segment_used(seg) <= s->flush.room &&
		s->flush.wall_ms - seg->sealed_wall_ms >= s->o.rewrite_after_ms;
}

/* Snapshots at the ends of the segment and of those behind it: from any of them on a start goes. */
static unsigned
snapshots(const struct segments *a, unsigned at, const struct mark *durable,
	int64_t ret[REWRITE_SNAPSHOTS])
{
	unsigned n = 0;

	for (unsigned i = at; i < a->n && n < REWRITE_SNAPSHOTS; i++)
		if (a->seg[i]->sealed && is_durable(a->seg[i], durable))
			ret[n++] = a->seg[i]->end;
	return n;
}

static bool
choose_in(struct storage *s, struct partition *part)
{
	const struct segments *a = atomic_load_explicit(&part->segments, memory_order_relaxed);
	const struct mark durable = frontier_read(&part->durable);
	struct rewriting *r = &s->flush.rewriting;
	struct rewrite_order o = {.io = s->io,
		.dir = part->dirfd,
		.bytes_max = SETTING(part, max_message_bytes),
		.epochs = &part->epochs};
	unsigned i = part->f.trim_waits ? part->f.expired_n : 0;

	if (!SETTING(part, rewrite_lz4) || partition_state(part) != PART_OK || !a ||
		s->flush.now_ns < part->f.rewrite_ns)
		return false;
	while (i < a->n && !is_due(s, a->seg[i], &durable))
		i++;
	o.snapshots = snapshots(a, i, &durable, o.snapshot);
	if (o.snapshots < REWRITE_SNAPSHOTS_MIN)
		return false;
	o.base = a->seg[i]->base;
	o.size = segment_used(a->seg[i]);
	r->part = part;
	r->seg = a->seg[i];
	r->snapshots = o.snapshots;
	r->rw = rewrite_open(&o);
	r->swaps = r->cancel = false;
	return true;
}

/* Partition after partition, a segment each. */
static bool
choose(struct storage *s)
{
	struct rewriting *r = &s->flush.rewriting;

	if (s->flush.now_ns < r->look_ns)
		return false;
	for (unsigned i = 0; i < s->o.partitions_max; i++) {
		struct partition *part = s->flush.live[r->slot];

		r->slot = (r->slot + 1) % s->o.partitions_max;
		if (part && choose_in(s, part))
			return true;
	}
	r->look_ns = s->flush.now_ns + LOOK_NS;
	return false;
}

/* ---- How it ends -------------------------------------------------------------------------- */

static void
end(struct rewriting *r)
{
	r->part = NULL;
	r->seg = NULL;
	r->rw = NULL;
}

static void
file(struct storage *s, struct rewriting *r)
{
	struct segment *old = r->seg, *seg = segment_found(r->part, old->base, r->size);

	seg->end = old->end;
	seg->max_timestamp = old->max_timestamp;
	seg->sealed_wall_ms = old->sealed_wall_ms;
	seg->allocated = r->size;
	seg->sealed = seg->rewritten = true;
	seg->remembered = old->remembered;
	atomic_init(&seg->looked, true);
	seg->generation = old->generation + 1;
	counter_add(&s->count->rewrite_segments, 1);
	counter_add(&s->count->rewrite_bytes_before, segment_used(old));
	counter_add(&s->count->rewrite_bytes_after, r->size);
	flush_replace(r->part, old, seg); /* L1 */
	flush_hand_gone(s, old);
}

static void
failed(struct storage *s, struct rewriting *r, int rc)
{
	char what[TOPIC_NAME_MAX + 120];

	if (layout_no_space(rc)) {
		r->part->f.rewrite_ns = s->flush.now_ns + PAUSE_NS;
		return;
	}
	r->seg->rewritten = true; /* not again in this run */
	counter_add(&s->count->rewrite_failures, 1);
	(void)snprintf(what, sizeof(what), "rewrite %020" PRId64 ".log of %s%s", r->seg->base,
		r->part->name, rc == -EBADMSG ? " (a batch in it is damaged: see kira check)" : "");
	flush_file_failed(s, rc == -EBADMSG ? -EUCLEAN : rc, what);
}

static void
run(struct job *job)
{
	struct rewriting *r = (struct rewriting *)((char *)job - offsetof(struct rewriting, job));

	if (r->drops) {
		rewrite_drop(r->rw);
		return;
	}
	if (r->swaps) {
		job->rc = rewrite_swap(r->rw);
		rewrite_close(r->rw);
		return;
	}
	(void)r->part->storage->io->be_idle();
	job->rc = rewrite_step(r->rw);
	if (job->rc != REWRITE_MORE && job->rc != REWRITE_READY)
		rewrite_drop(r->rw);
}

static void
stepped(struct storage *s, struct rewriting *r, int rc)
{
	/* No seal to come will be among the snapshots that it is judged by, and others wait behind it. */
	if (rc == REWRITE_LATER && r->snapshots == REWRITE_SNAPSHOTS)
		rc = REWRITE_USELESS;
	switch (rc) {
	case REWRITE_MORE:
		return;
	case REWRITE_READY:
		r->size = rewrite_give(r->rw, r->seg->kept);
		r->swaps = true;
		/* S1, before the first name changes; pairs with S2 in read_open(). */
		atomic_store(&r->seg->swapping, true);
		return;
	case REWRITE_LATER:
		r->part->f.rewrite_ns = s->flush.now_ns + PAUSE_NS;
		break;
	case REWRITE_USELESS:
		r->seg->rewritten = true;
		counter_add(&s->count->rewrite_given_up, 1);
		break;
	default:
		failed(s, r, rc);
	}
	end(r);
}

static void
done(struct job *job)
{
	struct rewriting *r = (struct rewriting *)((char *)job - offsetof(struct rewriting, job));
	struct storage *s = r->part->storage;

	r->busy = false;
	r->ended_ns = r->next_ns = s->flush.now_ns;
	/* Somebody else syncs: one piece in a third of the time, so that most syncs meet none. */
	if (counter_read(&s->count->commits) != r->commits)
		r->next_ns += 2 * (r->ended_ns - r->begun_ns);
	if (r->drops) {
		r->part->f.rewrite_ns = s->flush.now_ns + PAUSE_NS;
		end(r);
	} else if (!r->swaps) {
		stepped(s, r, job->rc);
	} else {
		/* By halves: the next start finishes it. The old one has its files open. */
		if (job->rc < 0)
			failed(s, r, job->rc);
		else
			file(s, r);
		end(r);
	}
}

/* On whose threads its job is, or goes. */
static struct jobs *
threads(struct storage *s)
{
	const struct rewriting *r = &s->flush.rewriting;

	return r->swaps ? s->flush.jobs : r->jobs;
}

/* ---- The turn ----------------------------------------------------------------------------- */

unsigned
flush_rewrite(struct storage *s)
{
	struct rewriting *r = &s->flush.rewriting;
	unsigned work = jobs_reap(r->jobs);

	if (r->busy || r->stopped || (!r->part && !choose(s)))
		return work;
	r->cancel |= s->flush.no_space && !r->swaps;
	if (!r->cancel && (s->flush.now_ns < r->next_ns ||
			(s->flush.commit.running && s->flush.now_ns - r->ended_ns < HOLD_NS)))
		return work;
	r->drops = r->cancel;
	r->busy = true;
	r->begun_ns = s->flush.now_ns;
	r->commits = counter_read(&s->count->commits);
	r->job = (struct job){.run = run, .done = done};
	jobs_submit(threads(s), &r->job);
	return work + 1;
}

bool
flush_rewrite_lets_go(struct storage *s, const struct partition *part, int64_t below)
{
	struct rewriting *r = &s->flush.rewriting;

	if (r->part != part || r->seg->base >= below)
		return true;
	if (!r->swaps) /* else the swap is next: its segment keeps old files open, and must not be given more */
		r->cancel = true;
	return false;
}

void
flush_rewrite_stop(struct storage *s)
{
	struct rewriting *r = &s->flush.rewriting;

	r->stopped = true;
	while (r->busy) { /* a swap ends; anything else is given up */
		struct jobs *j = threads(s); /* done() may change that */

		jobs_wait(j);
		(void)jobs_reap(j);
	}
	if (r->rw)
		rewrite_drop(r->rw);
	end(r);
}
