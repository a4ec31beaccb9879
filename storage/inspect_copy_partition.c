/* SPDX-License-Identifier: MIT
 * inspect_copy_partition.c - one partition's files, copied while kirad may write, seal, rewrite and delete there.
 *
 * Bytes below a published end never change. Index files of sealed segments are copied, since they are to be judged
 * too; a segment may be rewritten meanwhile, see take_sealed(). The one that the cut lies in gets its index files
 * here. */
#include "storage/inspect_copy.h"

#include "storage/inspect_log.h"
#include "storage/layout.h"
#include "storage/rewrite.h"
#include "storage/segment.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define CHUNK     (1 * MIB)
#define LOOKS_MAX 1000 /* a millisecond apart, at one segment: no rewriting renames for so long */

/* ---- Bytes -------------------------------------------------------------------------------- */

/* The first `size` bytes of a descriptor: shared with it where the file system can, else copied. */
static int
copy_bytes(const struct copy *c, int fd, const char *name, uint64_t size)
{
	const int out = c->io->openat(c->to, name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	uint8_t *b = NULL;
	int64_t n = 0;
	int rc = out;

	if (out < 0)
		return rc;
	rc = size > 0 ? c->io->clone(fd, out) : 0;
	if (rc == 0) {
		rc = c->io->ftruncate(out, size);
		goto out;
	}
	b = malloc(CHUNK);
	ASSERT(b);
	rc = 0;
	for (uint64_t at = 0; at < size && rc == 0; at += (uint64_t)n) {
		n = c->io->pread(fd, b, MIN(CHUNK, size - at), at);
		if (n > 0)
			n = c->io->pwrite(out, b, (size_t)n, at);
		rc = n < 0 ? (int)n : n == 0 ? -EIO : 0;
	}
	free(b);
out:
	(void)c->io->close(out);
	return rc;
}

static int
open_part(const struct copy *c, int64_t base, const char *suffix, uint64_t *size)
{
	char name[LAYOUT_NAME];
	int fd, rc;

	layout_name(name, base, suffix);
	fd = c->io->openat(c->from, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	rc = c->io->size(fd, size);
	if (rc < 0)
		(void)c->io->close(fd);
	return rc < 0 ? rc : fd;
}

int
copy_small(const struct copy *c, const char *name)
{
	char *bytes;
	size_t n;
	int rc = layout_read(c->io, c->from, name, &bytes, &n);

	if (rc < 0)
		return rc;
	rc = layout_put(c->io, c->to, name, bytes, n);
	free(bytes);
	return rc;
}

/* ---- Segments ----------------------------------------------------------------------------- */

/* What a rewriting has of a segment beside it: a bit per part. */
struct beside {
	int64_t base;
	unsigned cleaned, swap;
};

static int
find_beside(void *arg, const char *name)
{
	struct beside *b = arg;
	unsigned part;
	bool cleaned;

	if (rewrite_left(name, &cleaned, &part) == b->base)
		*(cleaned ? &b->cleaned : &b->swap) |= 1u << part;
	return 0;
}

/* As a start would open it: while anything is .cleaned no final name was touched; once nothing is, each new file has
 * its own name or is .swap. */
static int
open_sealed(const struct copy *c, const struct beside *b, unsigned part, uint64_t *size)
{
	const bool swap = !b->cleaned && b->swap >> part & 1;
	char suffix[24];
	int fd;

	(void)snprintf(suffix, sizeof(suffix), "%s%s", segment_suffix[part], swap ? ".swap" : "");
	fd = open_part(c, b->base, suffix, size);
	return fd == -ENOENT && swap ? -ESTALE : fd; /* renamed since it was listed, and not gone */
}

/* A log and its two index files of one kind, old or new. A rewriting changes names one by one, and one that failed
 * leaves them by halves until the next start. So they are opened by what lies beside them: what is listed as .swap was
 * new and is still there, or renamed. Where nothing is, the log is the first to become new and is smaller then: if it
 * has still that size in the end, no index file was new. And a name that changes while the directory is listed may be
 * missed: a second list must agree. -ESTALE: try again. */
static int
take_sealed(const struct copy *c, int64_t base)
{
	uint64_t size[SEGMENT_PARTS], again = 0;
	struct beside before = {.base = base}, after = {.base = base};
	int fd[SEGMENT_PARTS] = {-1, -1, -1}, last, rc = c->io->list(c->from, find_beside, &before);
	char name[LAYOUT_NAME];

	for (unsigned i = 0; i < SEGMENT_PARTS && rc == 0; i++) {
		fd[i] = open_sealed(c, &before, i, &size[i]);
		rc = MIN(fd[i], 0);
	}
	if (rc == 0)
		rc = c->io->list(c->from, find_beside, &after);
	last = rc == 0 ? open_sealed(c, &before, SEGMENT_LOG, &again) : -1;
	if (rc == 0)
		rc = MIN(last, 0);
	if (rc == 0 && (before.cleaned != after.cleaned || before.swap != after.swap || again != size[SEGMENT_LOG]))
		rc = -ESTALE;
	for (unsigned i = 0; i < SEGMENT_PARTS && rc == 0; i++) {
		layout_name(name, base, segment_suffix[i]);
		rc = copy_bytes(c, fd[i], name, size[i]);
	}
	for (unsigned i = 0; i < SEGMENT_PARTS; i++)
		if (fd[i] >= 0)
			(void)c->io->close(fd[i]);
	if (last >= 0)
		(void)c->io->close(last);
	return rc;
}

/* A rewriting changes ten names, and few segments are rewritten twice. */
static int
take_at_rest(struct copy *c, int64_t base)
{
	int rc = take_sealed(c, base);

	for (unsigned i = 1; i < LOOKS_MAX && rc == -ESTALE; i++) {
		c->io->sleep_ms(1);
		rc = take_sealed(c, base);
	}
	if (rc == -ESTALE)
		c->restless = base;
	return rc;
}

/* Up to the offset `end`, as if it were sealed there. Where its batches end before that the check tells. */
static int
take_open(const struct copy *c, int64_t base, int64_t end)
{
	struct index made = {0};
	struct scan sc = {0};
	char name[LAYOUT_NAME];
	uint8_t *bytes;
	size_t n, m;
	uint64_t size;
	int64_t at = base;
	int fd = open_part(c, base, ".log", &size), rc = MIN(fd, 0);

	if (rc == 0)
		rc = index_open(&made, c->io, SEGMENT_BYTES_MAX);
	if (rc == 0)
		rc = scan_open(&sc, c->io, fd, 0);
	while (rc == 0 && at < end && scan_next(&sc, at, NULL, false) == SCAN_BATCH) {
		index_add(&made, (uint32_t)(sc.position - sc.total), sc.total,
			(uint32_t)(at + rb_count(sc.batch) - 1 - base), rb_max_timestamp(sc.batch));
		at += rb_count(sc.batch);
	}
	if (rc == 0)
		rc = sc.rc;
	layout_name(name, base, ".log");
	if (rc == 0)
		rc = copy_bytes(c, fd, name, sc.position);
	if (rc == 0) {
		index_finish(&made);
		n = atomic_load(&made.n) * (size_t)INDEX_ENTRY_BYTES;
		m = atomic_load(&made.times) * (size_t)TIME_ENTRY_BYTES;
		bytes = malloc(n + m + 1);
		ASSERT(bytes);
		index_put(&made, bytes, bytes + n);
		layout_name(name, base, ".index");
		rc = layout_put(c->io, c->to, name, bytes, n);
		layout_name(name, base, ".timeindex");
		if (rc == 0)
			rc = layout_put(c->io, c->to, name, bytes + n, m);
		free(bytes);
	}
	scan_close(&sc);
	index_close(&made, c->io);
	if (fd >= 0)
		(void)c->io->close(fd);
	return rc;
}

/* ---- A partition -------------------------------------------------------------------------- */

static void
push(int64_t **list, unsigned *n, int64_t v)
{
	*list = realloc(*list, (*n + 1) * sizeof(**list));
	ASSERT(*list);
	(*list)[(*n)++] = v;
}

static int
look(void *arg, const char *name)
{
	struct copy *c = arg;
	int64_t v;

	if ((v = layout_offset(name, ".log")) >= 0)
		push(&c->base, &c->bases, v);
	else if ((v = layout_offset(name, ".snapshot")) >= 0)
		push(&c->snapshot, &c->snapshots, v);
	else if ((v = layout_offset(name, ".index")) >= 0)
		push(&c->index, &c->indexes, v);
	else if ((v = layout_offset(name, ".timeindex")) >= 0)
		push(&c->times, &c->timess, v);
	return 0;
}

static int
by_value(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static bool
is_in(const int64_t *list, unsigned n, int64_t v)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

static int
take_segments(struct copy *c)
{
	int rc = 0;

	for (unsigned i = 0; i < c->bases && rc == 0; i++) {
		const int64_t base = c->base[i], next = i + 1 < c->bases ? c->base[i + 1] : INT64_MAX;

		if (next <= c->start || base >= c->cut) {
			/* of a try before, perhaps: expired since */
			rc = layout_unlink_segment(c->io, c->to, base, true);
			continue;
		}
		if (is_in(c->done, c->dones, base))
			continue;
		if (next <= c->cut && is_in(c->index, c->indexes, base) && is_in(c->times, c->timess, base)) {
			rc = take_at_rest(c, base);
			if (rc == 0)
				push(&c->done, &c->dones, base);
		} else {
			rc = take_open(c, base, MIN(next, c->cut));
		}
	}
	return rc;
}

struct stale {
	const struct copy *c;
	bool all;
	char name[LAYOUT_NAME]; /* "": none */
};

static int
find_stale(void *arg, const char *name)
{
	static const char *const suffix[] = {".log", ".index", ".timeindex"};
	struct stale *s = arg;
	int64_t base = -1;

	for (unsigned i = 0; i < ARRAY_LENGTH(suffix) && base < 0; i++)
		base = layout_offset(name, suffix[i]);
	if ((!s->all && base >= 0 && is_in(s->c->done, s->c->dones, base) && is_in(s->c->base, s->c->bases, base)) ||
		strlen(name) >= sizeof(s->name))
		return 0;
	memcpy(s->name, name, strlen(name) + 1);
	return 1; /* ends the walk */
}

/* What a try before left, but for sealed segments that are still there; or all. */
static int
forget(const struct copy *c, bool all)
{
	struct stale s;
	int rc;

	do {
		s = (struct stale){.c = c, .all = all};
		rc = c->io->list(c->to, find_stale, &s);
		if (rc >= 0 && s.name[0])
			rc = layout_unlink(c->io, c->to, s.name);
	} while (rc >= 0 && s.name[0]);
	return MIN(rc, 0);
}

/* Where the segments begin that were taken, and where the log ends. */
static int
take_snapshots(struct copy *c)
{
	int64_t first = 0; /* base of the first that was taken */
	int rc = 0;

	for (unsigned i = 0; i < c->bases && (i == 0 || c->base[i] <= c->start); i++)
		first = c->base[i];
	for (unsigned i = 0; i < c->snapshots && rc == 0; i++) {
		char name[LAYOUT_NAME];

		if (c->snapshot[i] != c->cut && (c->snapshot[i] < first || c->snapshot[i] > c->cut ||
			!is_in(c->base, c->bases, c->snapshot[i])))
			continue;
		layout_name(name, c->snapshot[i], ".snapshot");
		rc = copy_small(c, name);
		if (rc == -ENOENT)
			rc = 0; /* an older one does */
	}
	return rc;
}

/* An epoch that begins above the cut is none of the copy's. */
static int
take_epochs(const struct copy *c)
{
	struct epochs e;
	char *text;
	size_t n;
	int rc = layout_read(c->io, c->from, LAYOUT_EPOCHS, &text, &n);

	if (rc < 0)
		return rc;
	if (!epochs_parse(&e, text, n)) {
		free(text);
		return copy_small(c, LAYOUT_EPOCHS); /* to be judged */
	}
	free(text);
	while (e.n > 1 && e.entry[e.n - 1].start > c->cut)
		e.n--;
	text = epochs_text(&e);
	rc = layout_put(c->io, c->to, LAYOUT_EPOCHS, text, strlen(text));
	free(text);
	epochs_free(&e);
	return rc;
}

int
copy_partition(struct copy *c)
{
	int rc;

	c->bases = c->snapshots = c->indexes = c->timess = 0;
	rc = c->io->list(c->from, look, c);
	if (rc == 0 && c->bases > 0)
		qsort(c->base, c->bases, sizeof(*c->base), by_value);
	if (rc == 0)
		rc = forget(c, false);
	if (rc == 0)
		rc = take_segments(c);
	if (rc == 0)
		rc = take_snapshots(c);
	if (rc == 0)
		rc = take_epochs(c);
	return rc < 0 ? rc : copy_small(c, LAYOUT_METADATA);
}

int
copy_forget(const struct copy *c)
{
	return forget(c, true);
}

void
copy_free(struct copy *c)
{
	free(c->base);
	free(c->snapshot);
	free(c->index);
	free(c->times);
	free(c->done);
}
