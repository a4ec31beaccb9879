/* SPDX-License-Identifier: MIT
 * recover_check.c - where the log ends: sealed files by their tail, the others batch by batch.
 * Changes nothing but the name of a spare that goes on with the log. Blocking. */
#include "storage/recover.h"

#include "storage/layout.h"
#include "storage/scan.h"
#include "storage/sealed.h"

#include "base/assert.h"
#include "base/bug.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

/* The end of the last sealed segment: from its last index entry on, header by header. 1: index and log do
 * not agree on one. */
static int
sealed_end(struct recovery *r, struct segment *seg, struct err *err)
{
	uint64_t size, position;
	struct scan sc;
	enum scan_verdict v = SCAN_END;
	int64_t at = seg->base;
	bool agrees = false;
	int rc, fd = recover_file(r->io, r->part->dirfd, seg->base, ".log", O_RDONLY, &size);

	if (fd < 0)
		return err_sys(err, fd, "open %020" PRId64 ".log", seg->base);
	rc = sealed_last_batch(r->io, r->part->dirfd, fd, seg->base, &at, &position, &agrees);
	if (rc < 0)
		(void)err_sys(err, rc, "read the index of %020" PRId64, seg->base);
	if (rc < 0 || !agrees) {
		(void)r->io->close(fd);
		return rc < 0 ? rc : 1;
	}
	rc = scan_open(&sc, r->io, fd, position);
	if (rc == 0) {
		sc.fetched = &r->bytes_read;
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

/* A sealed segment in the middle must end where the next one begins. After a good stop, or a kill, a job
 * looks at it later (flush_look.c); here where kira.state has no good word for the partition, so that
 * what is served ends where it is whole. */
static int
check_middle(struct recovery *r, struct segment *seg, struct err *err)
{
	struct sealed_tail tail;
	int rc;

	r->end = seg->base; /* should it be unreadable */
	rc = sealed_look(r->io, r->part->dirfd, r->part->holes, seg->base, seg->end, &tail, err);
	if (rc == -EBADMSG) {
		atomic_store(&seg->used, tail.position);
		r->end = seg->end = tail.end;
	} else if (rc == 0) {
		seg->max_timestamp = tail.max_timestamp;
		atomic_store(&seg->looked, true);
	}
	return rc;
}

/* ---- Only what is on the disk ------------------------------------------------------------- */

#define CACHE_WAIT_MS 100
#define CACHE_MAX_MS  15000 /* of one start: readers on this machine have taken theirs within this */
#define CACHE_PROBE   "kira.cache.tmp"

/* Does a dropped page look dropped here? Not on every kernel and file system; where it does not, the
 * check below would halt every partition of every unclean start. */
static bool
cache_shows(struct storage *s)
{
	static const uint8_t page[4096];
	const struct io *io = s->io;
	int64_t left = 1;
	int rc, fd;

	fd = io->openat(s->dirfd, CACHE_PROBE, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return true;
	rc = io->pwrite(fd, page, sizeof(page), 0) == sizeof(page) ? io->fsync(fd) : -EIO;
	if (rc == 0)
		rc = io->drop_cache(fd);
	if (rc == 0)
		left = io->cached(fd, sizeof(page));
	(void)io->close(fd);
	(void)layout_unlink(io, s->dirfd, CACHE_PROBE);
	if (rc == 0 && left != 0)
		atomic_store(&s->cache_is_opaque, true);
	return rc < 0 || left == 0;
}

/* Time for pages to leave memory; false: there is none left. The sleep is inside the lock: what is counted is
 * the time of the start, not the sum of what its threads sleep, which is over while a busy machine has not yet
 * run who must let go. */
static bool
wait_for_cache(struct storage *s)
{
	bool may;

	(void)pthread_mutex_lock(&s->op_lock);
	may = s->cache_waited_ms < CACHE_MAX_MS;
	if (may && !atomic_load(&s->cache_is_opaque) && (s->cache_waited_ms > 0 || cache_shows(s))) {
		s->cache_waited_ms += CACHE_WAIT_MS;
		s->io->let_go(); /* one of these CPUs sent, before the start too */
		s->io->sleep_ms(CACHE_WAIT_MS);
	}
	(void)pthread_mutex_unlock(&s->op_lock);
	return may;
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
		if (rc < 0 || s->is_volatile || atomic_load(&s->cache_is_opaque))
			break;
		left = r->io->cached(fd, size);
		if (left <= 0) {
			rc = (int)left;
			break;
		}
		if (!wait_for_cache(s)) {
			err_set(err, "%" PRId64 " bytes of %020" PRId64 ".log stay in memory (held by an "
				"old connection, or by a process that maps the file), so what is on disk "
				"cannot be seen: restart when they are gone", left, base);
			return -EBUSY;
		}
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
	uint64_t size, position = 0, read_before;
	int64_t at = seg->base;
	int rc, fd = recover_file(r->io, r->part->dirfd, seg->base, ".log", O_RDWR, &size);

	if (fd < 0)
		return err_sys(err, fd, "open %020" PRId64 ".log", seg->base);
	rc = read_from_disk_only(r, fd, size, seg->base, err);
	if (rc < 0) {
		(void)r->io->close(fd);
		return rc;
	}
	rc = index_open(&seg->index, r->io, size);
	if (rc == 0 && !recover_checkpoint(r, seg, fd, size, &position, &at))
		at = seg->base;
	if (rc == 0)
		rc = scan_open(&sc, r->io, fd, position);
	if (rc < 0) {
		(void)r->io->close(fd);
		return err_sys(err, rc, "read %020" PRId64 ".log", seg->base);
	}
	/* What is in memory for good may hide what the disk has. */
	sc.skips_holes = !atomic_load(&r->part->storage->cache_is_opaque);
	sc.fetched = &r->bytes_read;
	read_before = atomic_load(&r->bytes_read);
	while ((v = scan_next(&sc, at, &r->part->epochs, true)) == SCAN_BATCH) {
		const int32_t delta = rb_last_offset_delta(sc.batch);

		index_add(&seg->index, (uint32_t)(sc.position - sc.total), sc.total,
			(uint32_t)(at + delta - seg->base), rb_max_timestamp(sc.batch));
		recover_fold(r, sc.batch, at);
		at += delta + 1;
	}
	/* Holes, and what lies behind the first of a torn tail, were not. */
	atomic_fetch_sub(&r->bytes, size - position - (atomic_load(&r->bytes_read) - read_before));
	index_finish(&seg->index);
	recover_found(r, at);
	seg->snapshot = recover_snapshot(r, &seg->snapshot_length);
	/* What lies behind a hole is in the next file. */
	seg->end = v == SCAN_BAD ? at : holes_after(r->part->holes, at);
	seg->max_timestamp = seg->index.max_timestamp;
	atomic_store(&seg->looked, true);
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
	uint64_t size = 0;
	int rc = r->io->openat(part->dirfd, LAYOUT_SPARE, O_RDWR, 0), fd = rc;

	if (rc < 0)
		return err_sys(err, rc, "open " LAYOUT_SPARE);
	rc = scan_open(&sc, r->io, fd, 0);
	if (rc == 0) {
		sc.first_only = true; /* it is reserved ahead, up to 256 MiB of zeros */
		sc.fetched = &r->bytes_read;
		size = sc.size;
		v = scan_next(&sc, r->end, &part->epochs, true);
		rc = v == SCAN_ERROR ? sc.rc : v == SCAN_BATCH;
		scan_close(&sc);
	}
	(void)r->io->close(fd);
	if (rc < 0)
		return err_sys(err, rc, "read " LAYOUT_SPARE);
	r->found.stale = rc == 0; /* to be unlinked once the epoch has risen: it says that there were appends */
	if (rc == 0)
		return 0;
	layout_name(name, r->end, ".log");
	rc = r->io->renameat(part->dirfd, LAYOUT_SPARE, name);
	if (rc == 0)
		rc = layout_sync_dir(r->io, part->dirfd);
	if (rc < 0)
		return err_sys(err, rc, "rename " LAYOUT_SPARE " to %s", name);
	atomic_fetch_add(&r->bytes, size);
	r->seg[r->n++] = segment_found(part, r->end, 0);
	return 1;
}

/* Where the log ends; segments above it are none of it. */
int
recover_check(struct recovery *r, struct err *err)
{
	unsigned i = r->unsealed;
	int rc;

	for (unsigned k = 0; k + 1 < r->unsealed && !(r->row && r->row->state == PART_OK); k++) {
		rc = check_middle(r, r->seg[k], err);
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
			atomic_fetch_add(&r->bytes, segment_used(r->seg[i]));
			r->end = r->seg[i]->base;
		}
	}
	rc = recover_producers(r, i, err);
	if (rc < 0)
		return rc;
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
		r->torn = rc > 0;
		if (r->torn) {
			i++;
			break;
		}
	}
	/* seg[i..] lie behind a gap or a torn tail. */
	for (unsigned j = i; j < r->n; j++)
		r->seg[j]->end = -1;
	return 0;
}
