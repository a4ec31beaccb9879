/* SPDX-License-Identifier: MIT
 * recover.c - a partition as it was found on disk: what is trusted, what is checked, what is cut, what is
 * refused. Blocking: a job of storage_recover(), before any other thread runs.
 *
 * A partition whose last sealed file is the one that kira.state names, of that size, with nothing unsealed
 * and no spare beside it, nor a snapshot or checkpoint of more, was not appended to since: it opens by names
 * alone. Of the others the files from the first unsealed one on are checked batch by batch. Where the check ends
 * the log ends, and appends go to a new segment, so that no byte of a torn tail can come back. If that lies below
 * what kira.state says was durable, acknowledged data is damaged: the partition is halted, nothing is cut. A file that cannot be read or written halts it too, for want of space until the next start; the
 * others start. Where there may have been appends the leader epoch rises, before anything is removed that
 * tells of them. Every step may be repeated after a crash. */
#include "storage/recover.h"

#include "storage/layout.h"
#include "storage/sealed.h"

#include "base/assert.h"
#include "base/bug.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- Cutting ------------------------------------------------------------------------------ */

static int
drop_segment(struct recovery *r, struct segment *seg)
{
	char name[LAYOUT_NAME], dropped[LAYOUT_NAME];
	int rc;

	/* Before the log: a later one may get the same name, and must not look sealed. */
	layout_name(name, seg->base, LAYOUT_CHECKPOINT);
	(void)layout_unlink(r->io, r->part->dirfd, name);
	layout_name(name, seg->base, ".index");
	rc = layout_unlink(r->io, r->part->dirfd, name);
	layout_name(name, seg->base, ".timeindex");
	if (rc == 0)
		rc = layout_unlink(r->io, r->part->dirfd, name);
	layout_name(name, seg->base, ".log");
	layout_name(dropped, seg->base, ".log.dropped");
	return rc < 0 ? rc : r->io->renameat(r->part->dirfd, name, dropped);
}

static int
cut_segment(struct recovery *r, struct segment *seg)
{
	const uint64_t used = segment_used(seg);
	char name[LAYOUT_NAME];
	int rc = BUG(6) ? 0 : r->io->ftruncate(seg->fd, used);

	if (rc == 0)
		rc = r->io->fsync(seg->fd);
	if (rc == 0)
		rc = segment_put_index(seg);
	seg->remembered = rc == 0;
	if (rc == 0) {
		layout_name(name, seg->base, LAYOUT_CHECKPOINT);
		(void)layout_unlink(r->io, r->part->dirfd, name); /* else the next start does */
	}
	seg->synced = seg->allocated = used;
	return rc;
}

/* Files become what was found to be the log: each as long as its batches, sealed, contiguous. */
static int
cut(struct recovery *r, struct err *err)
{
	unsigned kept = 0;
	bool dropped = false;
	int rc = 0;

	/* Behind the end first, from the last on: after a crash in between, what is left still ends
	 * where the log was found to end. */
	for (unsigned i = r->n; i-- > 0 && rc == 0;) {
		if (r->seg[i]->end < 0) {
			rc = drop_segment(r, r->seg[i]);
			dropped = true;
		}
	}
	if (rc == 0 && dropped) /* before what is in front of them looks sealed, and they a gap */
		rc = layout_sync_dir(r->io, r->part->dirfd);
	for (unsigned i = 0; i < r->n; i++) {
		struct segment *seg = r->seg[i];
		bool keep = true;

		if (rc < 0) {
			; /* to be freed by the caller */
		} else if (seg->end < 0) {
			keep = false;
		} else if (segment_used(seg) == 0) {
			rc = layout_unlink_segment(r->io, r->part->dirfd, seg->base, false); /* empty: the new one takes its name */
			keep = false;
		} else if (i >= r->unsealed) {
			rc = cut_segment(r, seg);
		}
		if (keep)
			r->seg[kept++] = seg;
		else
			segment_free(seg);
	}
	r->n = kept;
	if (rc == 0 && r->found.stale)
		rc = layout_unlink(r->io, r->part->dirfd, LAYOUT_SPARE);
	if (rc == 0)
		rc = recover_forget_above(r);
	return rc < 0 ? err_sys(err, rc, "cut the log to offset %" PRId64, r->end) : 0;
}

static int
raise_epoch(struct recovery *r, struct err *err)
{
	struct partition *part = r->part;
	const int32_t was = MAX(epochs_latest(&part->epochs), r->row ? r->row->epoch : -1);
	char *text;
	int rc;

	epochs_begin(&part->epochs, was + 1, r->end);
	text = epochs_text(&part->epochs);
	rc = layout_replace(r->io, part->dirfd, LAYOUT_EPOCHS, text, strlen(text));
	free(text);
	return rc < 0 ? err_sys(err, rc, "write " LAYOUT_EPOCHS) : 0;
}

static int
read_epochs(struct recovery *r, struct err *err)
{
	char *text;
	size_t n;
	int rc = layout_read(r->io, r->part->dirfd, LAYOUT_EPOCHS, &text, &n);

	if (rc == 0) {
		rc = epochs_parse(&r->part->epochs, text, n) ? 0 : -EBADMSG;
		free(text);
	}
	return rc < 0 ? err_sys(err, rc, "read " LAYOUT_EPOCHS) : 0;
}

/* ---- The whole ---------------------------------------------------------------------------- */

static void
file_segments(struct recovery *r)
{
	struct segments *a = calloc(1, sizeof(*a) + r->n * sizeof(a->seg[0]));

	ASSERT(a);
	a->n = r->n;
	for (unsigned i = 0; i < r->n; i++) {
		struct segment *seg = r->seg[i];

		index_close(&seg->index, r->io); /* from now on by its files */
		(void)r->io->close(seg->fd);
		seg->fd = -1;
		seg->synced = seg->allocated = segment_used(seg);
		seg->sealed = true;
		a->seg[i] = seg;
		r->part->f.unlooked += !atomic_load(&seg->looked);
	}
	atomic_store(&r->part->segments, a);
}

/* What is known to be whole is served, nothing is appended, the row of kira.state stays: the next
 * start judges anew. Also after a step that failed: segments not looked at yet end nowhere. */
static void
halt(struct recovery *r, int rc, const char *reason)
{
	struct partition *part = r->part;
	struct mark m = {.seg = NULL};
	unsigned kept = 0;

	for (unsigned i = 0; i < r->n; i++) {
		struct segment *seg = r->seg[i];

		if (seg->end <= seg->base || seg->end > r->end) {
			segment_free(seg);
			continue;
		}
		m.seg = seg;
		m.position = segment_used(seg);
		r->seg[kept++] = seg;
	}
	r->n = kept;
	if (kept == 0) /* the first file lost, the next unreadable: an end says that there is a segment */
		r->end = MIN(r->end, r->start);
	m.end = r->end;
	if (!atomic_load(&part->segments))
		file_segments(r);
	if (part->epochs.n == 0)
		epochs_begin(&part->epochs, r->row ? MAX(r->row->epoch, 0) : 0, r->start);
	part->halt_reason = partition_halt_text(part, rc, reason);
	part->found_row = r->row;
	part->halted_at_start = true;
	part->next = r->end;
	frontier_publish(&part->tail, &m);
	frontier_publish(&part->durable, &m);
	atomic_store(&part->start, MIN(r->start, r->end));
	atomic_store(&part->state, PART_HALTED);
}

/* Records that were acknowledged and are gone: at the end, or a file in front. */
static int
judge(const struct recovery *r, struct err *err)
{
	const int64_t promised = MAX(r->start, r->row ? r->row->recovery : 0);

	if (r->n > 0 && r->seg[0]->base > holes_after(r->part->holes, r->start)) {
		err_set(err, "acknowledged data is missing: the log begins at offset %" PRId64
			", its first file at %" PRId64, r->start, r->seg[0]->base);
		return -EBADMSG;
	}
	if (r->end < promised && !BUG(11)) {
		err_set(err, "acknowledged data is damaged: the log is whole up to offset %" PRId64
			", it was durable up to %" PRId64, r->end, promised);
		return -EBADMSG;
	}
	return 0;
}

/* The log that was found ends below the start, above which nothing was promised: left-overs of a deletion whose
 * unlinks reached the disk in another order. What lies behind a gap may be the log itself. A file that goes on with
 * other bytes than its batches is none: it was durable before the start moved, so that is damage, and records above
 * the start may lie behind it. */
static bool
is_left_over(const struct recovery *r)
{
	return r->n > 0 && !r->torn && r->end < r->start && r->row && r->row->recovery <= r->start;
}

static int
remove_left_overs(struct recovery *r, struct err *err)
{
	unsigned n = 0;
	int rc = 0;

	for (; n < r->n && r->seg[n]->end >= 0 && rc == 0; n++)
		rc = layout_unlink_segment(r->io, r->part->dirfd, r->seg[n]->base, true);
	if (rc < 0)
		return err_sys(err, rc, "remove files below the start");
	for (unsigned i = 0; i < n; i++)
		segment_free(r->seg[i]);
	r->n -= n;
	memmove(r->seg, r->seg + n, r->n * sizeof(r->seg[0]));
	r->unsealed = 0;
	while (r->unsealed < r->n && recover_has(r, r->seg[r->unsealed]->base, FOUND_SEALED))
		r->unsealed++;
	for (unsigned i = 0; i < r->n; i++)
		r->seg[i]->end = i + 1 < r->n ? r->seg[i + 1]->base : 0;
	producers_forget(r->producers, 0);
	return recover_check(r, err);
}

/* Not of these files: every partition would meet it, and the start is given up. A full disk is met only by
 * those that must write, and the others, and readers of all of them, can do without. */
static bool
is_of_process(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* Sealed as kira.state says: by names and sizes, which is all that is looked at. */
static bool
is_trusted(const struct recovery *r)
{
	const struct state_row *row = r->row;
	const struct segment *last = r->n ? r->seg[r->n - 1] : NULL;

	if (!row || row->state != PART_OK || r->found.pool || r->unsealed < r->n ||
		recover_tells_more(r, MAX(row->recovery, r->start)))
		return false;
	if (!last)
		return row->recovery <= holes_after(r->part->holes, row->start);
	return row->last_base == last->base && row->last_bytes == segment_used(last) &&
		row->recovery > last->base;
}

/* What a partition begins with. */
static int
begin(struct recovery *r, struct err *err)
{
	struct partition *part = r->part;
	struct segment *last = r->n ? r->seg[r->n - 1] : NULL;
	int rc = 0;

	if (last)
		last->end = r->end;
	if (SETTING(part, log_append_time) && last) /* it never goes back */
		rc = sealed_append_ms(r->io, part->dirfd, last->base, &part->append_ms);
	if (rc < 0)
		return err_sys(err, rc, "read the last batch of %020" PRId64, last->base);
	file_segments(r);
	partition_begin(part, r->start, r->end);
	recover_forget_dropped(r);
	r->over = true;
	return 0;
}

static int
look(struct recovery *r, struct err *err)
{
	struct partition *part = r->part;
	struct storage *s = part->storage;
	int rc = s->io->openat(s->dirfd, part->name, O_RDONLY | O_DIRECTORY, 0);

	r->start = r->end = r->row ? r->row->start : 0;
	if (r->row)
		part->holes = &r->row->holes;
	part->dirfd = rc;
	if (rc < 0)
		return err_sys(err, rc, "open %s/%s", s->dir, part->name);
	rc = read_epochs(r, err);
	if (rc == 0)
		rc = recover_list(r, err);
	if (rc == 0)
		rc = recover_segments(r, err);
	if (rc < 0)
		return rc;
	r->trusted = is_trusted(r);
	if (!r->trusted)
		return 0;
	r->end = MAX(r->row->recovery, r->start);
	if (r->n > 0)
		r->seg[r->n - 1]->end = r->end; /* also where it is halted: this one is whole */
	rc = judge(r, err);
	if (rc < 0 || !recover_snapshot_at_end(r))
		return rc;
	return begin(r, err);
}

static int
check(struct recovery *r, struct err *err)
{
	int rc = recover_check(r, err);

	while (rc == 0 && is_left_over(r))
		rc = remove_left_overs(r, err);
	return rc < 0 ? rc : judge(r, err);
}

static int
rest(struct recovery *r, struct err *err)
{
	const struct state_row *row = r->row;
	bool clean = r->trusted;
	uint8_t *producers;
	uint32_t n;
	int rc = r->trusted ? recover_producers(r, r->n, err) : check(r, err);

	if (rc < 0)
		return rc;
	if (!clean)
		clean = r->part->storage->was_clean && row && row->state == PART_OK && r->end == row->recovery &&
			r->unsealed >= r->n && !r->found.pool && !recover_tells_more(r, r->end);
	if (!clean && !BUG(7))
		rc = raise_epoch(r, err);
	if (rc == 0)
		rc = cut(r, err);
	/* All of it is durable before a batch carries the new epoch. Each step alone, whichever of them a
	 * crash leaves, is found and done again by the next start. */
	if (rc == 0 && !r->trusted) {
		rc = layout_sync_dir(r->io, r->part->dirfd);
		if (rc < 0)
			(void)err_sys(err, rc, "sync the directory");
	}
	if (rc < 0)
		return rc;
	producers = recover_snapshot(r, &n);
	ASSERT(recover_load(r, producers, n));
	free(producers);
	return begin(r, err);
}

/* Halted, or given up. */
static void
settle(struct recovery *r, int rc)
{
	if (rc < 0 && !is_of_process(rc)) {
		halt(r, rc, r->err.text);
		r->over = true;
	} else if (rc < 0) {
		err_prefix(&r->err, "recover %s: ", r->part->name);
		r->rc = rc;
	}
}

void
recover_look(struct recovery *r)
{
	settle(r, look(r, &r->err));
}

void
recover_rest(struct recovery *r)
{
	settle(r, rest(r, &r->err));
}

void
recover_free(struct recovery *r)
{
	if (!r->over) /* else they are the partition's */
		for (unsigned i = 0; i < r->n; i++)
			segment_free(r->seg[i]);
	free(r->seg);
	free(r->found.at);
	free(r->found.junk);
}
