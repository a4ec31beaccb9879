/* SPDX-License-Identifier: MIT
 * recover_check.c - where the log ends: sealed files by their tail, the others batch by batch.
 * Changes nothing but the name of a spare that goes on with the log. Blocking. */
#include "storage/recover.h"

#include "storage/layout.h"
#include "storage/read.h"
#include "storage/scan.h"

#include "base/assert.h"
#include "base/bug.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

/* The last entry of the index, (0, 0) where there is none. -errno. */
static int
last_entry(const struct recovery *r, const struct segment *seg, uint32_t *delta, uint32_t *position)
{
	uint8_t b[INDEX_ENTRY_BYTES];
	uint64_t size;
	int rc = 0, fd = recover_file(r, seg->base, ".index", O_RDONLY, &size);

	*delta = *position = 0;
	if (fd < 0)
		return fd;
	if (size >= sizeof(b)) {
		rc = r->io->pread(fd, b, sizeof(b), size - sizeof(b)) == sizeof(b) ? 0 : -EIO;
		*delta = rc == 0 ? rb_get32(b, 0) : 0;
		*position = rc == 0 ? rb_get32(b, 4) : 0;
	}
	(void)r->io->close(fd);
	return rc;
}

/* Where the batch at the last entry's position begins, by the entry: the batch's own word is not
 * covered by its checksum. -1: they do not agree. */
static int64_t
entry_offset(const struct recovery *r, int fd, const struct segment *seg, uint32_t delta,
	uint32_t position)
{
	uint8_t b[RB_HEADER];
	int64_t at;

	if (r->io->pread(fd, b, sizeof(b), position) != sizeof(b))
		return -1;
	at = seg->base + delta - rb_last_offset_delta(b);
	return rb_last_offset_delta(b) >= 0 && at >= seg->base && at == rb_base_offset(b) ? at : -1;
}

/* The end of a sealed segment: from its last index entry on, header by header. 1: index and log do
 * not agree on one. */
static int
sealed_end(struct recovery *r, struct segment *seg, struct err *err)
{
	uint64_t size;
	uint32_t delta, position;
	struct scan sc;
	enum scan_verdict v = SCAN_END;
	int64_t at = seg->base;
	int fd, rc = last_entry(r, seg, &delta, &position);

	if (rc < 0)
		return err_sys(err, rc, "read the index of %020" PRId64, seg->base);
	fd = recover_file(r, seg->base, ".log", O_RDONLY, &size);
	if (fd < 0)
		return err_sys(err, fd, "open %020" PRId64 ".log", seg->base);
	if (position > 0)
		at = entry_offset(r, fd, seg, delta, position);
	if (at < 0) {
		(void)r->io->close(fd);
		return 1;
	}
	rc = scan_open(&sc, r->io, fd, position);
	if (rc == 0) {
		while ((v = scan_next(&sc, at, NULL, false)) == SCAN_BATCH)
			at += rb_count(sc.batch);
		scan_close(&sc);
	}
	(void)r->io->close(fd);
	seg->end = at;
	if (rc < 0 || v == SCAN_ERROR)
		return err_sys(err, rc < 0 ? rc : sc.rc, "read %020" PRId64 ".log", seg->base);
	return v == SCAN_END ? 0 : 1;
}

/* Header by header from a batch boundary on, as far as they continue the log. -EIO and the like. */
static int
walk_headers(const struct recovery *r, int fd, uint64_t size, uint64_t *position, int64_t *at)
{
	uint8_t b[READ_HEADER];
	int rc = 0;

	while (rc == 0 && *position < size) {
		rc = read_header(r->io, fd, *position, size, b);
		if (rc == 0 && rb_base_offset(b) != *at)
			rc = -EBADMSG;
		if (rc == 0) {
			*position += (uint64_t)rb_total(b);
			*at += rb_count(b);
		}
	}
	return rc == -EBADMSG ? 0 : rc;
}

/* A sealed segment in the middle must end where the next one begins: what lies behind the last index
 * entry is walked, a few KiB. Found here, since a reader may come years later, when the copy that
 * could have mended it is gone. */
static int
check_middle(struct recovery *r, struct segment *seg, int64_t next, struct err *err)
{
	uint64_t size, at_byte;
	uint32_t delta, position;
	int64_t at = seg->base;
	int fd, rc = last_entry(r, seg, &delta, &position);

	r->end = seg->base; /* should it be unreadable */
	if (rc < 0)
		return err_sys(err, rc, "read the index of %020" PRId64, seg->base);
	fd = recover_file(r, seg->base, ".log", O_RDONLY, &size);
	if (fd < 0)
		return err_sys(err, fd, "open %020" PRId64 ".log", seg->base);
	if (position > 0)
		at = entry_offset(r, fd, seg, delta, position);
	if (at < 0) { /* cut below that, or the index is wrong */
		at = seg->base;
		position = 0;
	}
	at_byte = position;
	rc = walk_headers(r, fd, size, &at_byte, &at);
	(void)r->io->close(fd);
	if (rc < 0)
		return err_sys(err, rc, "read %020" PRId64 ".log", seg->base);
	if (holes_after(r->part->holes, at) == next && at_byte == size)
		return 0;
	atomic_store(&seg->used, at_byte);
	r->end = seg->end = at;
	err_set(err, "acknowledged data is missing: %020" PRId64 ".log is whole up to offset %" PRId64
		", the next file begins at %" PRId64, seg->base, at, next);
	return -EBADMSG;
}

/* ---- Only what is on the disk ------------------------------------------------------------- */

#define CACHE_WAIT_MS 100
#define CACHE_MAX_MS  5000 /* of one start: connections of a killed process end within this */
#define CACHE_PROBE   "kira.cache.tmp"

/* Does a dropped page look dropped here? Not on every kernel and file system; where it does not, the
 * check below would halt every partition of every unclean start. */
static bool
cache_shows(struct storage *s)
{
	static const uint8_t page[4096];
	const struct io *io = s->io;
	int64_t left = 1;
	int rc, fd = io->openat(s->dirfd, CACHE_PROBE, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		return true;
	rc = io->pwrite(fd, page, sizeof(page), 0) == sizeof(page) ? io->fsync(fd) : -EIO;
	if (rc == 0)
		rc = io->drop_cache(fd);
	if (rc == 0)
		left = io->cached(fd, sizeof(page));
	(void)io->close(fd);
	(void)layout_unlink(io, s->dirfd, CACHE_PROBE);
	return rc < 0 || left == 0;
}

/* The page cache of a killed process goes to the disk, so that `log` acks survive; then it is dropped,
 * since clean pages may hold bytes that are not on disk: after a failed write-back they look clean,
 * and the next fsync says 0. Pages that a dying socket or another process's map holds stay. */
static int
read_from_disk_only(struct recovery *r, int fd, uint64_t size, int64_t base, struct err *err)
{
	struct storage *s = r->part->storage;
	int64_t left = 0;
	int rc = r->io->fsync(fd);

	while (rc == 0) {
		rc = BUG(5) ? 0 : r->io->drop_cache(fd);
		if (rc < 0 || s->is_volatile || s->cache_is_opaque)
			break;
		left = r->io->cached(fd, size);
		if (left <= 0) {
			rc = (int)left;
			break;
		}
		if (s->cache_waited_ms == 0 && !cache_shows(s)) {
			s->cache_is_opaque = true;
			break;
		}
		if (s->cache_waited_ms >= CACHE_MAX_MS) {
			err_set(err, "%" PRId64 " bytes of %020" PRId64 ".log stay in memory (held by an "
				"old connection, or by a process that maps the file), so what is on disk "
				"cannot be seen: restart when they are gone", left, base);
			return -EBUSY;
		}
		s->cache_waited_ms += CACHE_WAIT_MS;
		r->io->sleep_ms(CACHE_WAIT_MS);
	}
	return rc < 0 ? err_sys(err, rc, "sync %020" PRId64 ".log", base) : 0;
}

/* Every batch of an unsealed segment; index and size are made anew. 0: more may follow in the next
 * segment, 1: the log ends here. */
static int
check_segment(struct recovery *r, struct segment *seg, struct err *err)
{
	enum scan_verdict v = SCAN_ERROR;
	struct scan sc;
	uint64_t size;
	int64_t at = seg->base;
	int rc, fd = recover_file(r, seg->base, ".log", O_RDWR, &size);

	if (fd < 0)
		return err_sys(err, fd, "open %020" PRId64 ".log", seg->base);
	rc = read_from_disk_only(r, fd, size, seg->base, err);
	if (rc < 0) {
		(void)r->io->close(fd);
		return rc;
	}
	rc = index_open(&seg->index, r->io, size);
	if (rc == 0)
		rc = scan_open(&sc, r->io, fd, 0);
	if (rc < 0) {
		(void)r->io->close(fd);
		return err_sys(err, rc, "read %020" PRId64 ".log", seg->base);
	}
	while ((v = scan_next(&sc, at, &r->part->epochs, true)) == SCAN_BATCH) {
		const int32_t delta = rb_last_offset_delta(sc.batch);

		index_add(&seg->index, (uint32_t)(sc.position - sc.total), sc.total,
			(uint32_t)(at + delta - seg->base), rb_max_timestamp(sc.batch));
		at += delta + 1;
	}
	index_finish(&seg->index);
	/* What lies behind a hole is in the next file. */
	seg->end = v == SCAN_BAD ? at : holes_after(r->part->holes, at);
	seg->max_timestamp = seg->index.max_timestamp;
	atomic_store(&seg->used, sc.position);
	seg->fd = fd;
	scan_close(&sc);
	if (v == SCAN_ERROR)
		return err_sys(err, sc.rc, "read %020" PRId64 ".log", seg->base);
	return v == SCAN_BAD ? 1 : 0;
}

/* The spare goes on with the log if the roll into it was not named yet. */
static int
adopt_pool(struct recovery *r, struct err *err)
{
	struct partition *part = r->part;
	char name[LAYOUT_NAME];
	struct scan sc;
	enum scan_verdict v;
	int rc = r->io->openat(part->dirfd, LAYOUT_SPARE, O_RDWR, 0), fd = rc;

	if (rc < 0)
		return err_sys(err, rc, "open " LAYOUT_SPARE);
	rc = scan_open(&sc, r->io, fd, 0);
	if (rc == 0) {
		v = scan_next(&sc, r->end, &part->epochs, true);
		rc = v == SCAN_ERROR ? sc.rc : v == SCAN_BATCH;
		scan_close(&sc);
	}
	(void)r->io->close(fd);
	if (rc < 0)
		return err_sys(err, rc, "read " LAYOUT_SPARE);
	if (rc == 0)
		return layout_unlink(r->io, part->dirfd, LAYOUT_SPARE);
	layout_name(name, r->end, ".log");
	rc = r->io->renameat(part->dirfd, LAYOUT_SPARE, name);
	if (rc == 0)
		rc = layout_sync_dir(r->io, part->dirfd);
	if (rc < 0)
		return err_sys(err, rc, "rename " LAYOUT_SPARE " to %s", name);
	r->seg[r->n++] = segment_found(part, r->end, 0);
	return 1;
}

/* Where the log ends; segments above it are none of it. */
int
recover_check(struct recovery *r, struct err *err)
{
	unsigned i = r->unsealed;
	int rc;

	for (unsigned k = 0; k + 1 < r->unsealed; k++) {
		rc = check_middle(r, r->seg[k], r->seg[k + 1]->base, err);
		if (rc < 0)
			return rc;
	}
	r->end = r->n ? r->seg[0]->base : holes_after(r->part->holes, r->start);
	if (i > 0) {
		r->end = r->seg[i - 1]->base; /* should it be unreadable */
		rc = sealed_end(r, r->seg[i - 1], err);
		if (rc < 0)
			return rc;
		r->seg[i - 1]->end = r->end = holes_after(r->part->holes, r->seg[i - 1]->end);
		if (rc > 0) { /* a tail that is no batch: the file is checked like an unsealed one */
			r->unsealed = --i;
			r->end = r->seg[i]->base;
		}
	}
	for (;; i++) {
		if (i == r->n && r->found.pool) {
			r->found.pool = false;
			rc = adopt_pool(r, err);
			if (rc < 0)
				return rc;
		}
		if (i == r->n || r->seg[i]->base != r->end)
			break;
		rc = check_segment(r, r->seg[i], err);
		if (rc < 0)
			return rc;
		r->end = r->seg[i]->end;
		if (rc > 0) {
			i++;
			break;
		}
	}
	/* seg[i..] lie behind a gap or a torn tail. */
	for (unsigned j = i; j < r->n; j++)
		r->seg[j]->end = -1;
	return 0;
}
