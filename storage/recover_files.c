/* SPDX-License-Identifier: MIT
 * recover_files.c - the files of a partition: listed, opened, left-overs removed. Blocking. */
#include "storage/recover.h"

#include "storage/layout.h"
#include "storage/rewrite.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define DROPPED_KEPT_MS (24 * 3600 * (int64_t)1000)

static void
push(int64_t **list, unsigned *n, unsigned *room, int64_t v)
{
	if (*n == *room) {
		*room = *room ? *room * 2 : 16;
		*list = realloc(*list, *room * sizeof(**list));
		ASSERT(*list);
	}
	(*list)[(*n)++] = v;
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
	struct found *f = arg;
	bool cleaned;
	int64_t v;

	if ((v = layout_offset(name, ".log")) >= 0) {
		push(&f->base, &f->n, &f->room, v);
	} else if ((v = layout_offset(name, ".index")) >= 0 || (v = layout_offset(name, ".timeindex")) >= 0) {
		push(&f->index, &f->indexes, &f->indexes_room, v);
	} else if ((v = layout_offset(name, ".snapshot")) >= 0) {
		push(&f->snapshot, &f->snapshots, &f->snapshots_room, v);
	} else if ((v = layout_offset(name, ".log.dropped")) >= 0) {
		push(&f->dropped, &f->droppeds, &f->droppeds_room, v);
	} else if ((v = rewrite_left(name, &cleaned)) >= 0) {
		push(&f->left, &f->lefts, &f->lefts_room, v);
		if (cleaned)
			push(&f->cleaned, &f->cleaneds, &f->cleaneds_room, v);
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
by_value(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* What a rewriting left when it was cut short, done with first: it says which files are the log's. */
static int
settle_rewritten(struct recovery *r)
{
	struct found *f = &r->found;
	int rc = 0;

	for (unsigned i = 0; i < f->lefts && rc == 0; i++) {
		bool cleaned = false;

		for (unsigned k = 0; k < f->cleaneds; k++)
			cleaned |= f->cleaned[k] == f->left[i];
		rc = rewrite_recover(r->io, r->part->dirfd, f->left[i], cleaned);
	}
	if (rc < 0 || f->lefts == 0)
		return rc;
	f->n = f->snapshots = f->droppeds = f->junks = f->lefts = f->cleaneds = 0;
	f->pool = false;
	return r->io->list(r->part->dirfd, look, f);
}

/* Behind a torn tail, above what kira.state said was durable: a day for a person to look. By ctime: the
 * renaming set it, mtime may be old already. What cannot be removed waits for the next start. */
void
recover_forget_dropped(const struct recovery *r)
{
	for (unsigned i = 0; i < r->found.droppeds; i++) {
		char name[LAYOUT_NAME];
		int64_t since_ms;

		layout_name(name, r->found.dropped[i], ".log.dropped");
		if (r->io->changed_ms(r->part->dirfd, name, &since_ms) == 0 &&
			r->wall_ms - DROPPED_KEPT_MS > since_ms)
			(void)layout_unlink(r->io, r->part->dirfd, name);
	}
}

/* An index without its log: a later segment may get the name, and must not look sealed. */
static int
remove_lone_indexes(const struct recovery *r)
{
	const struct found *f = &r->found;
	bool any = false;
	int rc = 0;

	for (unsigned i = 0; i < f->indexes && rc == 0; i++) {
		if (f->n > 0 && bsearch(&f->index[i], f->base, f->n, sizeof(*f->base), by_value))
			continue;
		rc = layout_unlink_segment(r->io, r->part->dirfd, f->index[i], false);
		any = true;
	}
	return rc < 0 || !any ? rc : layout_sync_dir(r->io, r->part->dirfd);
}

int
recover_list(struct recovery *r, struct err *err)
{
	struct found *f = &r->found;
	const int dir = r->part->dirfd;
	unsigned first = 0;
	int rc = r->io->list(dir, look, f);

	if (rc == 0)
		rc = settle_rewritten(r);
	if (rc < 0)
		return err_sys(err, rc, "list the directory and finish what a rewriting left");
	for (unsigned i = 0; i < f->junks && rc == 0; i++)
		rc = layout_unlink(r->io, dir, f->junk[i]);
	if (f->n > 0)
		qsort(f->base, f->n, sizeof(*f->base), by_value);
	if (rc == 0)
		rc = remove_lone_indexes(r);
	if (f->snapshots > 0)
		qsort(f->snapshot, f->snapshots, sizeof(*f->snapshot), by_value);
	r->start = r->row ? r->row->start : f->n ? f->base[0] : 0;
	/* Wholly below the start: their deletion was cut short. */
	for (; rc == 0 && first + 1 < f->n && f->base[first + 1] <= r->start; first++)
		rc = layout_unlink_segment(r->io, r->part->dirfd, f->base[first], true);
	if (rc < 0)
		return err_sys(err, rc, "remove left-over files");
	f->n -= first;
	if (first > 0)
		memmove(f->base, f->base + first, f->n * sizeof(*f->base));
	return 0;
}

/* -ENOENT where it is not there. */
int
recover_file(const struct recovery *r, int64_t base, const char *suffix, int flags, uint64_t *size)
{
	char name[LAYOUT_NAME];
	int fd, rc;

	layout_name(name, base, suffix);
	fd = r->io->openat(r->part->dirfd, name, flags, 0);
	if (fd < 0)
		return fd;
	rc = r->io->size(fd, size);
	if (rc < 0) {
		(void)r->io->close(fd);
		return rc;
	}
	return fd;
}

/* Both index files whole: sealed. Learns the largest timestamp on the way. */
static bool
is_sealed(const struct recovery *r, struct segment *seg)
{
	uint64_t entries, times;
	uint32_t delta;
	int fd = recover_file(r, seg->base, ".index", O_RDONLY, &entries), rc;

	if (fd < 0)
		return false;
	(void)r->io->close(fd);
	fd = recover_file(r, seg->base, ".timeindex", O_RDONLY, &times);
	if (fd < 0)
		return false;
	rc = index_file_last_time(r->io, fd, times, &seg->max_timestamp, &delta);
	(void)r->io->close(fd);
	return rc == 0 && entries % INDEX_ENTRY_BYTES == 0 && times % TIME_ENTRY_BYTES == 0;
}

int
recover_open(struct recovery *r, struct err *err)
{
	struct found *f = &r->found;

	r->seg = calloc(f->n + 2, sizeof(struct segment *));
	ASSERT(r->seg);
	r->unsealed = f->n;
	for (; r->n < f->n; r->n++) {
		uint64_t size;
		const int fd = recover_file(r, f->base[r->n], ".log", O_RDWR, &size);
		struct segment *seg;

		if (fd < 0)
			return err_sys(err, fd, "open %020" PRId64 ".log", f->base[r->n]);
		(void)r->io->close(fd);
		seg = r->seg[r->n] = segment_found(r->part, f->base[r->n], size);
		seg->sealed_wall_ms = r->wall_ms;
		if (r->n > 0)
			r->seg[r->n - 1]->end = seg->base;
		if (r->unsealed == f->n && !is_sealed(r, seg))
			r->unsealed = r->n;
	}
	return 0;
}
