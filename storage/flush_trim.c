/* SPDX-License-Identifier: MIT
 * flush_trim.c - records deleted up to an offset: the start moves, no byte does. Thread: the flush daemon.
 * Order: all below is durable -> start published (O1) -> kira.state with it durable -> answered. Segments wholly
 * below it go as expired ones do (flush_tidy.c). Any number of these wait at once; no other operation does for
 * them. */
#include "storage/directory.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>

void
flush_trim_take(struct storage *s, struct storage_op *op)
{
	op->state_after = 0;
	op->next = s->flush.trims;
	s->flush.trims = op;
}

static void
end(struct storage *s, struct storage_op **at, int rc, const char *why)
{
	struct storage_op *op = *at;

	*at = op->next;
	op->rc = rc;
	if (rc < 0)
		err_set(&op->err, "%s: %s", op->part[0]->name, why);
	flush_op_done(s, op);
}

static void
publish(struct storage *s, struct storage_op *op)
{
	struct partition *part = op->part[0];
	struct flush *f = &s->flush;
	const int64_t start = atomic_load_explicit(&part->start, memory_order_relaxed);

	if (op->offset > start)
		atomic_store_explicit(&part->start, op->offset, memory_order_release); /* O1 */
	else
		op->offset = start; /* the answer: of now, for the kira.state below will hold it; a later one it may not */
	/* One that begins now has it; also where another moved the start so far, and is not done yet. */
	op->state_after = f->states_begun + 1;
	f->state_moved = true;
	f->state_ns = f->now_ns;
}

/* True: it is done with, and out of the list. */
static bool
step(struct storage *s, struct storage_op **at)
{
	struct storage_op *op = *at;
	const struct partition *part = op->part[0];

	if (op->state_after > 0) {
		if (s->flush.states_done < op->state_after)
			return false;
		end(s, at, 0, "");
	} else if (partition_state(part) != PART_OK) {
		end(s, at, -EIO, "the partition is failed or halted");
	} else if (op->offset < 0 || op->offset > frontier_read(&part->tail).end) {
		end(s, at, -ERANGE, "the offset is not one of its log");
	} else if (op->offset > frontier_read(&part->durable).end) {
		s->flush.op_waits = true; /* for a commit */
		return false;
	} else if (atomic_load(&part->full) || (part->f.left_first && part->f.left_first->end <= op->offset)) {
		/* For a seal: until then no snapshot says what lies below the next segment. That waits for a commit. */
		s->flush.op_waits |= part->f.left_first && !part->f.left_first->whole;
		return false;
	} else {
		publish(s, op);
		return false;
	}
	return true;
}

unsigned
flush_trims(struct storage *s)
{
	struct storage_op **at = &s->flush.trims;
	unsigned work = 0;

	while (*at) {
		if (step(s, at))
			work++;
		else
			at = &(*at)->next;
	}
	return work;
}

void
flush_trim_forget(struct storage *s, const struct partition *part)
{
	struct storage_op **at = &s->flush.trims;

	while (*at) {
		if ((*at)->part[0] == part)
			end(s, at, -ENOENT, "the topic is deleted");
		else
			at = &(*at)->next;
	}
}
