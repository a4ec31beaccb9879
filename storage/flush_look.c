/* SPDX-License-Identifier: MIT
 * flush_look.c - the tails of sealed segments that a start found by name and size alone: one job at a time
 * walks through them, a few KiB each, until all were seen. One that is not whole halts its partition: a
 * reader may come years later, when the copy that could have mended it is gone.
 * Thread: the flush daemon; files are read in the job, which knows segments by their base, not by pointer:
 * retention may take them meanwhile. */
#include "storage/directory.h"
#include "storage/sealed.h"

#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>

struct looking {
	struct job job;
	struct partition *part;
	unsigned n;
	struct looked {
		int64_t base, next;
		struct sealed_tail tail;
		struct err err;
		int rc;
	} at[FLUSH_LOOKS];
};

static struct looking *
of_job(struct job *job)
{
	return (struct looking *)((char *)job - offsetof(struct looking, job));
}

static void
look_run(struct job *job)
{
	struct looking *l = of_job(job);
	const struct partition *part = l->part;

	for (unsigned i = 0; i < l->n; i++)
		l->at[i].rc = sealed_look(part->storage->io, part->dirfd, part->holes, l->at[i].base,
			l->at[i].next, &l->at[i].tail, &l->at[i].err);
}

static struct segment *
find(const struct partition *part, int64_t base)
{
	const struct segments *a = atomic_load_explicit(&part->segments, memory_order_relaxed);

	for (uint32_t i = 0; a && i < a->n; i++)
		if (a->seg[i]->base == base)
			return a->seg[i];
	return NULL; /* retention took it */
}

/* Not of these files: they are looked at again. */
static bool
passes(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

static void
look_done(struct job *job)
{
	struct looking *l = of_job(job);
	struct partition *part = l->part;

	part->f.jobs--;
	part->storage->flush.looks = false;
	for (unsigned i = 0; i < l->n; i++) {
		struct segment *seg = find(part, l->at[i].base);

		if (!seg || passes(l->at[i].rc))
			continue;
		if (l->at[i].rc == 0) {
			seg->max_timestamp = l->at[i].tail.max_timestamp;
			part->f.unlooked--;
			/* For control's searches by time, and for retention. */
			atomic_store_explicit(&seg->looked, true, memory_order_release);
		} else if (partition_state(part) == PART_OK) {
			partition_halt(part, l->at[i].rc, l->at[i].err.text);
			part->storage->flush.state_moved = true; /* for the next start, if this one is killed */
		}
	}
	free(l);
}

/* The next of them, oldest first. */
static unsigned
choose(const struct partition *part, struct looking *l)
{
	const struct segments *a = atomic_load_explicit(&part->segments, memory_order_relaxed);

	for (uint32_t i = 0; a && i < a->n && l->n < FLUSH_LOOKS; i++)
		if (!atomic_load_explicit(&a->seg[i]->looked, memory_order_relaxed))
			l->at[l->n++] = (struct looked){.base = a->seg[i]->base, .next = a->seg[i]->end};
	return l->n;
}

unsigned
flush_look(struct storage *s)
{
	struct flush *f = &s->flush;
	struct partition *part = NULL;
	struct looking *l;

	if (f->looks || f->look_slot == s->o.partitions_max)
		return 0;
	for (; f->look_slot < s->o.partitions_max; f->look_slot++) {
		part = f->live[f->look_slot];
		if (part && part->f.unlooked > 0 && partition_state(part) == PART_OK)
			break;
	}
	if (f->look_slot == s->o.partitions_max)
		return 0; /* all were seen */
	l = calloc(1, sizeof(*l));
	ASSERT(l);
	l->part = part;
	if (choose(part, l) == 0) { /* retention took the rest */
		part->f.unlooked = 0;
		free(l);
		return 1;
	}
	l->job = (struct job){.run = look_run, .done = look_done};
	f->looks = true;
	flush_job(s, part, &l->job);
	return 1;
}
