/* SPDX-License-Identifier: MIT
 * flush_checkpoint.c - every so many bytes of an open segment, or of a quieter one after a while, a
 * checkpoint is written beside it, so that a start after a crash reads no more than what came since.
 * Thread: the flush daemon; the file is written in a job. Never ahead of the durable end. */
#include "storage/checkpoint.h"
#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES    (256 * MIB)
#define SHARE    16                /* of that, for one that was not asked for so long: */
#define AGE_NS   (60 * NS_PER_S)
#define RETRY_NS NS_PER_S

static struct partition *
of_job(struct job *job)
{
	return (struct partition *)((char *)job - offsetof(struct partition, f.checkpoint_job));
}

static void
run(struct job *job)
{
	struct partition *part = of_job(job);
	const struct io *io = part->storage->io;
	const struct checkpoint *cp = part->f.checkpoint;
	char name[LAYOUT_NAME];
	uint32_t n;
	uint8_t *bytes = checkpoint_bytes(cp, &cp->seg->index, &n);

	layout_name(name, cp->base, LAYOUT_CHECKPOINT);
	job->rc = layout_replace(io, part->dirfd, name, bytes, n);
	free(bytes);
}

static void
done(struct job *job)
{
	struct partition *part = of_job(job);
	struct flush_half *f = &part->f;
	struct storage *s = part->storage;
	char what[TOPIC_NAME_MAX + 64];

	f->jobs--;
	f->checkpoint_busy = false;
	if (job->rc < 0) { /* the one before stays good, and lag is safe */
		f->checkpoint_retry_ns = s->flush.now_ns + RETRY_NS;
		(void)snprintf(what, sizeof(what), "write a checkpoint of %s", part->name);
		flush_file_failed(s, job->rc, what);
	} else {
		f->checkpoint_base = f->checkpoint->base;
		f->checkpoint_position = f->checkpoint->position;
		f->checkpoint_ns = s->flush.now_ns;
		counter_add(&s->count->checkpoints, 1);
	}
	free(f->checkpoint);
	f->checkpoint = NULL;
}

/* What the lcore filled in; one of a segment that was left since is useless. */
static void
take(struct partition *part)
{
	struct flush_half *f = &part->f;

	f->checkpoint = atomic_exchange_explicit(&part->checkpoint, NULL, memory_order_acquire); /* J2 */
	if (!f->checkpoint)
		return;
	f->checkpoint_asked = false;
	if (f->checkpoint->seg == f->active && f->checkpoint->snapshot_length > 0)
		return;
	free(f->checkpoint);
	f->checkpoint = NULL;
}

static unsigned
ask(struct storage *s, struct partition *part)
{
	struct flush_half *f = &part->f;
	const struct mark tail = frontier_read(&part->tail);
	const uint64_t all = s->o.checkpoint_bytes ? s->o.checkpoint_bytes : BYTES;
	const uint32_t producers = atomic_load_explicit(&part->producers, memory_order_relaxed);
	struct segment *seg = f->active;
	struct checkpoint *cp;
	uint64_t since;

	if (f->checkpoint_base != seg->base) {
		f->checkpoint_base = seg->base;
		f->checkpoint_position = 0;
		f->checkpoint_ns = s->flush.now_ns;
	}
	if (tail.seg != seg || tail.position <= f->checkpoint_position || s->flush.now_ns < f->checkpoint_retry_ns)
		return 0;
	since = tail.position - f->checkpoint_position;
	if (since < (s->flush.now_ns - f->checkpoint_ns >= AGE_NS ? all / SHARE : all))
		return 0;
	cp = malloc(sizeof(*cp) + PRODUCER_SNAPSHOT_BYTES(2 * producers + 64));
	ASSERT(cp);
	*cp = (struct checkpoint){.seg = seg, .base = seg->base,
		.room = PRODUCER_SNAPSHOT_BYTES(2 * producers + 64)};
	f->checkpoint_asked = true;
	atomic_store_explicit(&seg->asked, cp, memory_order_release); /* H1, pairs with H2 */
	return 1;
}

void
flush_checkpoint_left(struct partition *part, struct segment *seg)
{
	struct checkpoint *cp = atomic_exchange_explicit(&seg->asked, NULL, memory_order_acquire);

	if (cp) /* nobody will fill it in: the lcore has left the segment (F1) */
		part->f.checkpoint_asked = false;
	free(cp);
}

unsigned
flush_checkpoint(struct storage *s, struct partition *part)
{
	struct flush_half *f = &part->f;
	struct mark durable;

	if (f->checkpoint_busy || f->active->blank || partition_state(part) != PART_OK)
		return 0;
	if (!f->checkpoint)
		take(part);
	if (!f->checkpoint)
		return f->checkpoint_asked ? 0 : ask(s, part);
	if (f->checkpoint->seg != f->active) {
		free(f->checkpoint);
		f->checkpoint = NULL;
		return 1;
	}
	durable = frontier_read(&part->durable);
	if ((durable.seg != f->active || durable.end < f->checkpoint->end) && !BUG(25))
		return 0;
	f->checkpoint_busy = true;
	f->checkpoint_job = (struct job){.run = run, .done = done};
	flush_job(s, part, &f->checkpoint_job);
	return 1;
}
