/* SPDX-License-Identifier: MIT
 * recover.c - a partition as it was found on disk: what is trusted, what is checked, what is cut,
 * what is refused. Blocking: the control thread at start, before any other thread runs.
 *
 * Sealed files (both indexes there) were whole and synced before their indexes were: trusted, but
 * that each must reach the next. From the first unsealed one on every batch is checked. Where the check ends the log ends, and appends
 * go to a new segment, so that no byte of a torn tail can come back. If that lies below what
 * kira.state says was durable, acknowledged data is damaged: the partition is halted, nothing is
 * cut. A file that cannot be read or written halts it too; the others start. After an unclean stop
 * the leader epoch rises. Every step may be repeated after a crash. */
#include "storage/recover.h"

#include "storage/layout.h"

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
	int rc = BUG(6) ? 0 : r->io->ftruncate(seg->fd, used);

	seg->snapshot_length = 0;
	if (rc == 0)
		rc = r->io->fsync(seg->fd);
	if (rc == 0)
		rc = segment_put_index(seg);
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
	rc = layout_put(r->io, part->dirfd, LAYOUT_EPOCHS, text, strlen(text));
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
	}
	atomic_store(&r->part->segments, a);
}

/* What is known to be whole is served, nothing is appended, the row of kira.state stays: the next
 * start judges anew. Also after a step that failed: segments not looked at yet end nowhere. */
static void
halt(struct recovery *r, int rc, const char *reason)
{
	struct partition *part = r->part;
	struct mark m = {r->end, 0, NULL};
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
	if (!atomic_load(&part->segments))
		file_segments(r);
	if (part->epochs.n == 0)
		epochs_begin(&part->epochs, r->row ? MAX(r->row->epoch, 0) : 0, r->start);
	/* Pages that stay in memory go by themselves; all else somebody must decide. */
	if (rc == -EBUSY)
		part->halt_reason = strdup(reason);
	else if (asprintf(&part->halt_reason, "%s; with kirad stopped, `kira repair %s %s` says what is broken, and "
		"what --truncate or --skip would cost", reason, part->storage->dir, part->name) < 0)
		part->halt_reason = NULL;
	ASSERT(part->halt_reason);
	part->found_row = r->row;
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

/* All that was found lies below the start, above which nothing was promised: left-overs of a deletion
 * whose unlinks reached the disk in another order. */
static int
remove_left_overs(struct recovery *r, struct err *err)
{
	int rc = 0;

	if (r->end >= r->start || !r->row || r->row->recovery > r->start)
		return 0;
	for (unsigned i = 0; i < r->n && rc == 0; i++)
		rc = layout_unlink_segment(r->io, r->part->dirfd, r->seg[i]->base, true);
	if (rc < 0)
		return err_sys(err, rc, "remove files below the start");
	while (r->n > 0)
		segment_free(r->seg[--r->n]);
	r->end = r->start;
	return 0;
}

/* Not of these files: every partition would meet it, and the start is given up. */
static bool
is_of_process(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -ENOSPC || rc == -EDQUOT;
}

static int
recover(struct recovery *r, struct err *err)
{
	const struct state_row *row = r->row;
	const bool was_ok = row && row->state == PART_OK;
	bool clean = r->part->storage->was_clean && was_ok;
	int rc = read_epochs(r, err);

	if (rc == 0)
		rc = recover_list(r, err);
	if (rc == 0)
		rc = recover_open(r, err);
	if (rc == 0)
		rc = recover_check(r, err);
	if (rc == 0)
		rc = remove_left_overs(r, err);
	if (rc < 0)
		return rc;
	rc = judge(r, err);
	if (rc < 0)
		return rc;
	clean = clean && r->end == row->recovery && r->unsealed >= r->found.n;
	rc = cut(r, err);
	if (rc == 0 && !clean && !BUG(7))
		rc = raise_epoch(r, err);
	if (rc == 0)
		rc = recover_producers(r, err);
	if (rc < 0)
		return rc;
	if (r->part->config.log_append_time && r->n > 0)
		r->part->append_ms = r->seg[r->n - 1]->max_timestamp; /* it never goes back */
	file_segments(r);
	/* All of the above is durable before a batch carries the new epoch. Each
	 * step alone, whichever of them a crash leaves, is found and done again by the next start. */
	rc = layout_sync_dir(r->io, r->part->dirfd);
	if (rc < 0)
		return err_sys(err, rc, "sync the directory");
	partition_begin(r->part, r->start, r->end);
	recover_forget_dropped(r);
	return 0;
}

int
recover_partition(struct partition *part, const struct state_row *row, int64_t wall_ms,
	struct err *err)
{
	struct storage *s = part->storage;
	struct recovery r = {.part = part, .io = s->io, .row = row, .wall_ms = wall_ms};
	int rc = s->io->openat(s->dirfd, part->name, O_RDONLY | O_DIRECTORY, 0);

	r.start = r.end = row ? row->start : 0;
	if (row)
		part->holes = &row->holes;
	part->dirfd = rc;
	rc = rc < 0 ? err_sys(err, rc, "open %s/%s", s->dir, part->name) : recover(&r, err);
	if (rc < 0 && !is_of_process(rc)) {
		halt(&r, rc, err->text);
		rc = 0;
	}
	if (rc < 0) {
		const struct segments *filed = atomic_load(&part->segments);

		err_prefix(err, "recover %s: ", part->name);
		for (unsigned i = 0; !filed && i < r.n; i++)
			segment_free(r.seg[i]);
	}
	free(r.seg);
	free(r.found.base);
	free(r.found.index);
	free(r.found.snapshot);
	free(r.found.dropped);
	free(r.found.left);
	free(r.found.cleaned);
	free(r.found.junk);
	return rc;
}
