/* SPDX-License-Identifier: MIT
 * recover_files.c - the files of a partition: listed, left-overs removed; nothing is opened. Blocking. */
#include "storage/recover.h"

#include "storage/layout.h"
#include "storage/rewrite.h"
#include "storage/sealed.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define DROPPED_KEPT_MS (24 * 3600 * (int64_t)1000)

static void
push(struct found *f, int64_t offset, unsigned has)
{
	if (f->n == f->room) {
		f->room = f->room ? f->room * 2 : 16;
		f->at = realloc(f->at, f->room * sizeof(*f->at));
		ASSERT(f->at);
	}
	f->at[f->n++] = (struct found_at){offset, has};
}

static bool
is_junk(const char *name)
{
	static const char *const end[] = {".tmp", ".deleted"};
	const size_t n = strlen(name);

	for (unsigned i = 0; i < ARRAY_LENGTH(end); i++)
		if (n > strlen(end[i]) && strcmp(name + n - strlen(end[i]), end[i]) == 0)
			return true;
	return false;
}

static int
look(void *arg, const char *name)
{
	static const struct {
		const char *suffix;
		unsigned has;
	} kind[] = {{".log", FOUND_LOG}, {".index", FOUND_INDEX}, {".timeindex", FOUND_TIME},
		{".snapshot", FOUND_SNAPSHOT}, {LAYOUT_CHECKPOINT, FOUND_CHECKPOINT},
		 {".log.dropped", FOUND_DROPPED}};
	struct found *f = arg;
	bool cleaned = false;
	int64_t offset;

	for (unsigned i = 0; i < ARRAY_LENGTH(kind); i++) {
		offset = layout_offset(name, kind[i].suffix);
		if (offset >= 0) {
			push(f, offset, kind[i].has);
			return 0;
		}
	}
	offset = rewrite_left(name, &cleaned, NULL);
	if (offset >= 0) {
		push(f, offset, FOUND_REWRITTEN | (cleaned ? FOUND_CLEANED : 0));
	} else if (strcmp(name, LAYOUT_SPARE) == 0) {
		f->pool = true;
	} else if (is_junk(name) && strlen(name) < sizeof(f->junk[0])) {
		if (f->junks == f->junks_room) {
			f->junks_room = f->junks_room ? f->junks_room * 2 : 8;
			f->junk = realloc(f->junk, f->junks_room * sizeof(f->junk[0]));
			ASSERT(f->junk);
		}
		memcpy(f->junk[f->junks++], name, strlen(name) + 1);
	}
	return 0;
}

static int
by_offset(const void *a, const void *b)
{
	const int64_t x = ((const struct found_at *)a)->offset, y = ((const struct found_at *)b)->offset;

	return x < y ? -1 : x > y;
}

/* Sorted, and one entry per offset. */
static void
merge(struct found *f)
{
	unsigned n = 0;

	if (f->n > 0)
		qsort(f->at, f->n, sizeof(*f->at), by_offset);
	for (unsigned i = 0; i < f->n; i++) {
		if (n > 0 && f->at[n - 1].offset == f->at[i].offset)
			f->at[n - 1].has |= f->at[i].has;
		else
			f->at[n++] = f->at[i];
	}
	f->n = n;
}

bool
recover_has(const struct recovery *r, int64_t offset, unsigned what)
{
	const struct found *f = &r->found;
	const struct found_at key = {offset, 0};
	const struct found_at *at = f->n ? bsearch(&key, f->at, f->n, sizeof(key), by_offset) : NULL;

	return at && (at->has & what) == what;
}

/* What a rewriting left when it was cut short, done with first: it says which files are the log's. */
static int
settle_rewritten(struct recovery *r)
{
	struct found *f = &r->found;
	bool any = false;
	int rc = 0;

	for (unsigned i = 0; i < f->n && rc == 0; i++) {
		if (!(f->at[i].has & FOUND_REWRITTEN))
			continue;
		any = true;
		rc = rewrite_recover(r->io, r->part->dirfd, f->at[i].offset, f->at[i].has & FOUND_CLEANED);
	}
	if (rc < 0 || !any)
		return rc;
	f->n = f->junks = 0;
	f->pool = false;
	rc = r->io->list(r->part->dirfd, look, f);
	merge(f);
	return rc;
}

/* Behind a torn tail, above what kira.state said was durable: a day for a person to look. By ctime: the
 * renaming set it, mtime may be old already. What cannot be removed waits for the next start. */
void
recover_forget_dropped(const struct recovery *r)
{
	for (unsigned i = 0; i < r->found.n; i++) {
		char name[LAYOUT_NAME];
		int64_t since_ms;

		if (!(r->found.at[i].has & FOUND_DROPPED))
			continue;
		layout_name(name, r->found.at[i].offset, ".log.dropped");
		if (r->io->changed_ms(r->part->dirfd, name, &since_ms) == 0 &&
			r->wall_ms - DROPPED_KEPT_MS > since_ms)
			(void)layout_unlink(r->io, r->part->dirfd, name);
	}
}

bool
recover_has_snapshot_above(const struct recovery *r, int64_t offset)
{
	for (unsigned i = r->found.n; i-- > 0 && r->found.at[i].offset > offset;)
		if (r->found.at[i].has & FOUND_SNAPSHOT)
			return true;
	return false;
}

/* From `i` on, and no further than what was durable: above the end of the log it may be of another one. */
static bool
snapshot_stands(const struct recovery *r, unsigned i)
{
	const int64_t promised = r->row ? r->row->recovery : 0;

	while (i < r->found.n && r->found.at[i].offset <= promised)
		if (r->found.at[i++].has & FOUND_SNAPSHOT)
			return true;
	return false;
}

/* Of the files below the start, from which on they are needed: an index into what was found. Where no snapshot
 * stands from the one on that holds the start (`holds`), only those before it say who sent what, back to one that
 * begins with a snapshot. A deletion that was cut short, and may have left any of their names, had one above. */
static int
first_needed(const struct recovery *r, unsigned holds)
{
	const struct found_at *at = r->found.at;
	unsigned first = holds;

	if (snapshot_stands(r, holds))
		return (int)holds;
	for (unsigned i = holds; i-- > 0 && !(at[first].has & FOUND_SNAPSHOT);) {
		struct sealed_tail tail;
		struct err why;
		int rc = 0;

		if (!(at[i].has & FOUND_LOG))
			continue;
		if ((at[i].has & FOUND_SEALED) == FOUND_SEALED) /* where another ends is not known yet */
			rc = sealed_look(r->io, r->part->dirfd, r->part->holes, at[i].offset, at[first].offset,
				&tail, &why);
		if (rc == -EBADMSG)
			break;
		if (rc < 0)
			return rc;
		first = i;
	}
	return (int)first;
}

/* Their deletion was cut short. */
static int
remove_below(const struct recovery *r)
{
	struct found_at *at = r->found.at;
	unsigned holds = 0;
	int first, rc = 0;

	for (unsigned i = 0; i < r->found.n && at[i].offset <= r->start; i++)
		if (at[i].has & FOUND_LOG)
			holds = i;
	first = first_needed(r, holds);
	if (first < 0)
		return first;
	for (int i = 0; i < first && rc == 0; i++) {
		if (!(at[i].has & FOUND_LOG))
			continue;
		rc = layout_unlink_segment(r->io, r->part->dirfd, at[i].offset, true);
		at[i].has = 0;
	}
	return rc;
}

/* Of a segment that was sealed since, or is gone: a later one may get the name. Not yet of one that is gone and held
 * what was never promised: it tells of appends (recover_tells_more()). */
static void
remove_old_checkpoints(const struct recovery *r)
{
	const struct found *f = &r->found;
	const int64_t promised = r->row ? r->row->recovery : 0;
	char name[LAYOUT_NAME];

	for (unsigned i = 0; i < f->n; i++) {
		const bool is_sealed = (f->at[i].has & FOUND_SEALED) == FOUND_SEALED;

		if (!(f->at[i].has & FOUND_CHECKPOINT) ||
			(!is_sealed && ((f->at[i].has & FOUND_LOG) || f->at[i].offset >= promised)))
			continue;
		layout_name(name, f->at[i].offset, LAYOUT_CHECKPOINT);
		(void)layout_unlink(r->io, r->part->dirfd, name); /* it is not believed beside another log */
	}
}

/* An index without its log: a later segment may get the name, and must not look sealed. */
static int
remove_lone_indexes(const struct recovery *r)
{
	const struct found *f = &r->found;
	bool any = false;
	int rc = 0;

	for (unsigned i = 0; i < f->n && rc == 0; i++) {
		if ((f->at[i].has & FOUND_LOG) || !(f->at[i].has & (FOUND_INDEX | FOUND_TIME)))
			continue;
		rc = layout_unlink_segment(r->io, r->part->dirfd, f->at[i].offset, false);
		any = true;
	}
	return rc < 0 || !any ? rc : layout_sync_dir(r->io, r->part->dirfd);
}

/* Where the log begins. Without a row, nor a segment: all were deleted, and what was written down about
 * the offset they ended at is the least. */
static int64_t
start_of(const struct recovery *r)
{
	const struct found *f = &r->found;
	const struct epochs *e = &r->part->epochs;
	int64_t least = e->n ? e->entry[e->n - 1].start : 0;

	if (r->row)
		return r->row->start;
	for (unsigned i = 0; i < f->n; i++) {
		if (f->at[i].has & FOUND_LOG)
			return f->at[i].offset;
		if (f->at[i].has & FOUND_SNAPSHOT)
			least = MAX(least, f->at[i].offset);
	}
	return least;
}

int
recover_list(struct recovery *r, struct err *err)
{
	struct found *f = &r->found;
	const int dir = r->part->dirfd;
	int rc = r->io->list(dir, look, f);

	merge(f);
	if (rc == 0)
		rc = settle_rewritten(r);
	if (rc < 0)
		return err_sys(err, rc, "list the directory and finish what a rewriting left");
	for (unsigned i = 0; i < f->junks && rc == 0; i++)
		rc = layout_unlink(r->io, dir, f->junk[i]);
	if (rc == 0)
		rc = remove_lone_indexes(r);
	remove_old_checkpoints(r);
	r->start = start_of(r);
	if (rc == 0)
		rc = remove_below(r);
	return rc < 0 ? err_sys(err, rc, "remove left-over files") : 0;
}

/* A snapshot is named by the end of what it knows, a checkpoint by the beginning. */
static bool
is_above(const struct found_at *at, int64_t end)
{
	return ((at->has & FOUND_SNAPSHOT) && at->offset > end) || ((at->has & FOUND_CHECKPOINT) && at->offset >= end);
}

bool
recover_tells_more(const struct recovery *r, int64_t end)
{
	for (unsigned i = 0; i < r->found.n; i++)
		if (is_above(&r->found.at[i], end))
			return true;
	return false;
}

int
recover_forget_above(const struct recovery *r)
{
	char name[LAYOUT_NAME];
	int rc = 0;

	for (unsigned i = 0; i < r->found.n && rc == 0; i++) {
		const struct found_at *at = &r->found.at[i];
		const bool above = is_above(at, r->end);

		layout_name(name, at->offset, ".snapshot");
		if (above && (at->has & FOUND_SNAPSHOT))
			rc = layout_unlink(r->io, r->part->dirfd, name);
		layout_name(name, at->offset, LAYOUT_CHECKPOINT);
		if (rc == 0 && (at->has & FOUND_CHECKPOINT) && (above || !(at->has & FOUND_LOG)))
			rc = layout_unlink(r->io, r->part->dirfd, name);
	}
	return rc;
}

/* -ENOENT where it is not there. */
int
recover_file(const struct io *io, int dir, int64_t base, const char *suffix, int flags,
	uint64_t *size)
{
	char name[LAYOUT_NAME];
	int fd, rc;

	layout_name(name, base, suffix);
	fd = io->openat(dir, name, flags, 0);
	if (fd < 0)
		return fd;
	rc = io->size(fd, size);
	if (rc < 0) {
		(void)io->close(fd);
		return rc;
	}
	return fd;
}

/* By name and size alone; nothing is opened. Sealed: both index files are there, which are written last. */
int
recover_segments(struct recovery *r, struct err *err)
{
	const struct found *f = &r->found;

	r->seg = calloc(f->n + 2, sizeof(struct segment *));
	ASSERT(r->seg);
	r->unsealed = UINT32_MAX;
	for (unsigned i = 0; i < f->n; i++) {
		char name[LAYOUT_NAME];
		struct segment *seg;
		uint64_t size;
		int rc;

		if (!(f->at[i].has & FOUND_LOG))
			continue;
		layout_name(name, f->at[i].offset, ".log");
		rc = r->io->size_at(r->part->dirfd, name, &size);
		if (rc < 0)
			return err_sys(err, rc, "look at %s", name);
		seg = segment_found(r->part, f->at[i].offset, size);
		seg->sealed_wall_ms = r->wall_ms;
		if (r->n > 0)
			r->seg[r->n - 1]->end = seg->base;
		if (r->unsealed == UINT32_MAX && (f->at[i].has & FOUND_SEALED) != FOUND_SEALED)
			r->unsealed = r->n;
		if (r->unsealed != UINT32_MAX)
			atomic_fetch_add(&r->bytes, size);
		r->log_bytes += size;
		r->seg[r->n++] = seg;
	}
	r->unsealed = MIN(r->unsealed, r->n);
	return 0;
}
