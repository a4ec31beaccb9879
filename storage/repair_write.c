/* SPDX-License-Identifier: MIT
 * repair_write.c - files of a partition become what a repair decided. See repair_plan.h.
 *
 * No file is written in place: what stays of a broken one is copied to a new inode and takes its name in one
 * rename, after all that is cut out of it, and all that lay behind in it, is durable under names of its own.
 * Cut short anywhere, the broken place is still there to be found, and kirad still refuses it. */
#include "storage/repair_plan.h"

#include "storage/layout.h"
#include "storage/scan.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define CHUNK    (1 * MIB)
#define SECTOR   512
#define BADS_MAX 100 /* .log.bad files of one offset */

/* ---- Bytes -------------------------------------------------------------------------------- */

static int
open_log(const struct repair_log *log, int64_t base)
{
	char name[LAYOUT_NAME];

	layout_name(name, base, ".log");
	return log->io->openat(log->dir, name, O_RDONLY, 0);
}

/* Behind the last byte of [from, to) that is not zero. -errno. */
static int64_t
trimmed(const struct repair_log *log, int fd, uint64_t from, uint64_t to)
{
	uint8_t *b = malloc(CHUNK);
	int64_t end = (int64_t)from;

	ASSERT(b);
	while (to > from && end == (int64_t)from) {
		const uint64_t n = MIN(CHUNK, to - from);
		const int64_t got = log->io->pread(fd, b, n, to - n);

		if (got < 0) {
			end = got;
			break;
		}
		to -= n;
		for (uint64_t i = (uint64_t)got; i-- > 0;) {
			if (b[i] != 0) {
				end = (int64_t)(to + i + 1);
				break;
			}
		}
	}
	free(b);
	return end;
}

/* Bytes [from, to) of a descriptor as file `name`, synced; under `name`.tmp before. */
static int
copy_to(const struct repair_log *log, int fd, uint64_t from, uint64_t to, const char *name, bool rename_it)
{
	char tmp[LAYOUT_NAME + 4];
	uint8_t *b = malloc(CHUNK);
	uint64_t at = from;
	int64_t n = 0;
	int rc, out;

	ASSERT(b);
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	out = log->io->openat(log->dir, tmp, O_RDWR | O_CREAT | O_TRUNC, 0644);
	for (rc = MIN(out, 0); rc == 0 && at < to; at += (uint64_t)n) {
		n = log->io->pread(fd, b, MIN(CHUNK, to - at), at);
		if (n > 0)
			n = log->io->pwrite(out, b, (size_t)n, at - from);
		rc = n < 0 ? (int)n : n == 0 ? -EIO : 0;
	}
	free(b);
	if (rc == 0)
		rc = log->io->fsync(out);
	if (out >= 0)
		(void)log->io->close(out);
	if (rc == 0 && rename_it)
		rc = log->io->renameat(log->dir, tmp, name);
	return rc;
}

static bool
holds(const struct repair_log *log, const char *name, int fd, uint64_t from, uint64_t to)
{
	uint8_t *a = malloc(2 * CHUNK), *b = a + CHUNK;
	const int was = log->io->openat(log->dir, name, O_RDONLY, 0);
	uint64_t size = 0;
	bool same;

	ASSERT(a);
	same = was >= 0 && log->io->size(was, &size) == 0 && size == to - from;
	for (uint64_t at = from; same && at < to; at += CHUNK) {
		const size_t n = MIN(CHUNK, to - at);

		same = log->io->pread(fd, a, n, at) == (int64_t)n &&
			log->io->pread(was, b, n, at - from) == (int64_t)n && memcmp(a, b, n) == 0;
	}
	if (was >= 0)
		(void)log->io->close(was);
	free(a);
	return same;
}

/* A free name for what leaves the log at `offset`. True: one has these very bytes already. */
static bool
bad_name(const struct repair_log *log, char name[LAYOUT_NAME], int64_t offset, int fd, uint64_t from,
	uint64_t to)
{
	layout_name(name, offset, ".log.bad");
	for (unsigned i = 1; i < BADS_MAX; i++) {
		char suffix[16];
		const int was = log->io->openat(log->dir, name, O_RDONLY, 0);

		if (was < 0)
			return false;
		(void)log->io->close(was);
		if (holds(log, name, fd, from, to))
			return true;
		(void)snprintf(suffix, sizeof(suffix), ".log.bad.%u", i);
		layout_name(name, offset, suffix);
	}
	return false; /* the last one is written over */
}

/* Bytes that leave the log, but for the zeros behind them. */
static int
keep_bad(const struct repair_log *log, int fd, uint64_t from, uint64_t to, int64_t offset)
{
	const int64_t end = trimmed(log, fd, from, to);
	char name[LAYOUT_NAME];

	if (end < 0 || (uint64_t)end == from)
		return (int)MIN(end, 0);
	/* A batch may end in zeros of its own. */
	to = MIN(to, round_up((uint64_t)end, SECTOR));
	if (bad_name(log, name, offset, fd, from, to))
		return 0;
	return copy_to(log, fd, from, to, name, true);
}

/* ---- A segment from a piece --------------------------------------------------------------- */

static int
put_index(const struct repair_log *log, int64_t base, struct index *made)
{
	const size_t n = atomic_load(&made->n) * (size_t)INDEX_ENTRY_BYTES;
	const size_t m = atomic_load(&made->times) * (size_t)TIME_ENTRY_BYTES;
	uint8_t *bytes = malloc(n + m + 1);
	char name[LAYOUT_NAME];
	int rc;

	ASSERT(bytes);
	index_put(made, bytes, bytes + n);
	layout_name(name, base, ".index");
	rc = layout_put(log->io, log->dir, name, bytes, n);
	layout_name(name, base, ".timeindex");
	if (rc == 0)
		rc = layout_put(log->io, log->dir, name, bytes + n, m);
	free(bytes);
	return rc;
}

/* The index files of the file `name`, from its batches, which must be those of [base, end). */
static int
index_file(const struct repair_log *log, const char *name, int64_t base, int64_t end)
{
	const int fd = log->io->openat(log->dir, name, O_RDONLY, 0);
	struct index made = {0};
	struct scan sc = {0};
	int64_t at = base;
	enum scan_verdict v = SCAN_ERROR;
	int rc = MIN(fd, 0);

	if (rc == 0)
		rc = index_open(&made, log->io, SEGMENT_BYTES_MAX);
	if (rc == 0)
		rc = scan_open(&sc, log->io, fd, 0);
	while (rc == 0 && (v = scan_next(&sc, at, &log->epochs, true)) == SCAN_BATCH) {
		index_add(&made, (uint32_t)(sc.position - sc.total), sc.total,
			(uint32_t)(at + rb_count(sc.batch) - 1 - base), rb_max_timestamp(sc.batch));
		at += rb_count(sc.batch);
	}
	if (rc == 0 && (v != SCAN_END || at != end))
		rc = v == SCAN_ERROR ? sc.rc : -EIO; /* read twice, and not the same */
	if (rc == 0) {
		index_finish(&made);
		rc = put_index(log, base, &made);
	}
	scan_close(&sc);
	index_close(&made, log->io);
	if (fd >= 0)
		(void)log->io->close(fd);
	return rc;
}

/* What a checkpoint says of a file that is no more what it was. */
static int
forget_checkpoint(const struct repair_log *log, int64_t base)
{
	char name[LAYOUT_NAME];

	layout_name(name, base, ".checkpoint");
	return layout_unlink(log->io, log->dir, name);
}

/* Of a new name the log comes last: from then on the segment is there, and looks sealed. Of the broken file the
 * log comes first: with an index that ends early, batches behind the broken place could not be found any more, and
 * nobody would be told why. */
static int
put_segment(const struct repair_log *log, const struct repair_piece *p, int fd)
{
	const bool head = p->first == log->file[p->file].base;
	char name[LAYOUT_NAME], tmp[LAYOUT_NAME + 4];
	int rc;

	layout_name(name, p->first, ".log");
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	rc = copy_to(log, fd, p->from, p->to, name, false);
	if (rc == 0 && !head)
		rc = index_file(log, tmp, p->first, p->end);
	if (rc == 0)
		rc = log->io->renameat(log->dir, tmp, name);
	if (rc == 0 && head)
		rc = layout_sync_dir(log->io, log->dir);
	return rc == 0 && head ? index_file(log, name, p->first, p->end) : rc;
}

/* ---- Producer state ----------------------------------------------------------------------- */

/* At the beginning of each segment that is new: where it becomes the first one, nothing else remembers what lay
 * below. From the snapshot of the broken file on; where that cannot be read a start goes by an older one. */
static int
put_snapshots(const struct repair_log *log, unsigned file, int fd)
{
	const int64_t base = log->file[file].base;
	char name[LAYOUT_NAME], *bytes = NULL;
	struct producers *p;
	struct scan sc;
	size_t n = 0;
	int rc;

	ASSERT(producers_open(&p, PRODUCERS_PER_LCORE, 1));
	layout_name(name, base, ".snapshot");
	rc = layout_read(log->io, log->dir, name, &bytes, &n);
	if (base > 0 && (rc < 0 || !producers_load(p, 0, (const uint8_t *)bytes, (uint32_t)n, 0)))
		goto out; /* 0 or not: a start goes by an older one */
	rc = 0;
	for (unsigned i = 0; i < log->pieces && rc == 0; i++) {
		const struct repair_piece *k = &log->piece[i];
		int64_t at = k->first;

		if (k->lost || k->file != file)
			continue;
		if (k->first != base) {
			uint8_t *to = malloc(PRODUCER_SNAPSHOT_BYTES(producers_count(p, 0)));
			uint32_t length;

			ASSERT(to);
			length = producers_put(p, 0, to, PRODUCER_SNAPSHOT_BYTES(producers_count(p, 0)));
			producers_seal_snapshot(to, length);
			layout_name(name, k->first, ".snapshot");
			rc = layout_put(log->io, log->dir, name, to, length);
			free(to);
		}
		if (rc < 0 || (rc = scan_open(&sc, log->io, fd, k->from)) < 0)
			break;
		for (; at < k->end && scan_next(&sc, at, &log->epochs, false) == SCAN_BATCH;
			at += rb_count(sc.batch))
			producers_fold(p, 0, sc.batch, at, 0);
		scan_close(&sc);
	}
out:
	free(bytes);
	producers_close(p);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- Skip --------------------------------------------------------------------------------- */

static bool
must_change(const struct repair_log *log, unsigned file)
{
	const struct repair_file *f = &log->file[file];
	bool any = false;

	for (unsigned i = 0; i < log->pieces; i++) {
		const struct repair_piece *p = &log->piece[i];

		if (p->file != file)
			continue;
		if ((p->lost && p->to > p->from) || (!any && p->from > 0))
			return true; /* something to cut out, or in front */
		any = true;
	}
	return f->read && f->sealed && f->used != f->size;
}

/* What stays of a broken file, the last part first, the one that takes its name at the end. */
static int
put_parts(const struct repair_log *log, unsigned file, int fd)
{
	const int64_t base = log->file[file].base;
	const struct repair_piece *head = NULL;
	int rc = 0;

	for (unsigned i = log->pieces; i-- > 0 && rc == 0;) {
		const struct repair_piece *p = &log->piece[i];

		if (p->lost || p->file != file)
			continue;
		if (p->first == base) {
			head = p;
			continue;
		}
		rc = put_segment(log, p, fd);
		/* Durable before the next: a file that is there ends the broken one for a repair that is run again, which
		 * would give up what lies behind. */
		if (rc == 0)
			rc = layout_sync_dir(log->io, log->dir);
	}
	if (rc == 0)
		rc = forget_checkpoint(log, base);
	if (rc == 0)
		rc = layout_sync_dir(log->io, log->dir);
	if (rc == 0)
		rc = head ? put_segment(log, head, fd) :
			layout_unlink_segment(log->io, log->dir, base, file == 0);
	return rc < 0 ? rc : layout_sync_dir(log->io, log->dir);
}

static int
split_file(const struct repair_log *log, unsigned file)
{
	const struct repair_file *f = &log->file[file];
	const int fd = open_log(log, f->base);
	int64_t end = f->base;
	int rc = MIN(fd, 0);

	for (unsigned i = 0; i < log->pieces && rc == 0; i++) {
		const struct repair_piece *p = &log->piece[i];

		if (p->file != file)
			continue;
		end = p->end;
		if (p->lost)
			rc = keep_bad(log, fd, p->from, p->to, p->first);
	}
	if (rc == 0) /* a torn tail goes with the old inode */
		rc = keep_bad(log, fd, f->used, f->size, end);
	if (rc == 0)
		rc = layout_sync_dir(log->io, log->dir);
	if (rc == 0)
		rc = put_snapshots(log, file, fd);
	if (rc == 0)
		rc = put_parts(log, file, fd);
	if (fd >= 0)
		(void)log->io->close(fd);
	return rc;
}

int
repair_skip(const struct repair_log *log, struct err *err)
{
	int rc = 0;

	for (unsigned i = log->files; i-- > 0 && rc == 0;)
		if (must_change(log, i))
			rc = split_file(log, i);
	return rc < 0 ? err_sys(err, rc, "write the repaired files of %s (run it again)", log->path) : 0;
}

/* ---- Truncate ----------------------------------------------------------------------------- */

/* A whole file leaves the log under another name. */
static int
set_aside(const struct repair_log *log, const char *name, int64_t offset)
{
	const int fd = log->io->openat(log->dir, name, O_RDWR, 0);
	char bad[LAYOUT_NAME];
	uint64_t size = 0;
	int64_t end = 0;
	int rc = MIN(fd, 0);

	if (rc == 0)
		rc = log->io->size(fd, &size);
	if (rc == 0) {
		end = trimmed(log, fd, 0, size);
		rc = (int)MIN(end, 0);
		end = (int64_t)MIN(size, round_up((uint64_t)end, SECTOR));
	}
	if (rc == 0 && end == 0)
		rc = layout_unlink(log->io, log->dir, name);
	else if (rc == 0) {
		(void)bad_name(log, bad, offset, fd, 0, (uint64_t)end);
		rc = log->io->renameat(log->dir, name, bad);
		if (rc == 0)
			rc = log->io->ftruncate(fd, (uint64_t)end); /* the zeros reserved ahead */
	}
	if (fd >= 0)
		(void)log->io->close(fd);
	return rc;
}

static int
set_aside_segment(const struct repair_log *log, int64_t base)
{
	char name[LAYOUT_NAME];
	int rc;

	layout_name(name, base, ".index");
	rc = layout_unlink(log->io, log->dir, name);
	layout_name(name, base, ".timeindex");
	if (rc == 0)
		rc = forget_checkpoint(log, base);
	if (rc == 0)
		rc = layout_unlink(log->io, log->dir, name);
	layout_name(name, base, ".log");
	return rc == 0 ? set_aside(log, name, base) : rc;
}

struct snapshots {
	int64_t end, *offset;
	unsigned n;
};

static int
find_snapshot(void *arg, const char *name)
{
	struct snapshots *s = arg;
	const int64_t offset = layout_offset(name, ".snapshot");

	if (offset > s->end) {
		s->offset = realloc(s->offset, (s->n + 1) * sizeof(*s->offset));
		ASSERT(s->offset);
		s->offset[s->n++] = offset;
	}
	return 0;
}

/* They speak of batches that are none any more. */
static int
remove_snapshots(const struct repair_log *log, int64_t end)
{
	struct snapshots s = {.end = end};
	char name[LAYOUT_NAME];
	int rc = log->io->list(log->dir, find_snapshot, &s);

	for (unsigned i = 0; i < s.n && rc == 0; i++) {
		layout_name(name, s.offset[i], ".snapshot");
		rc = layout_unlink(log->io, log->dir, name);
	}
	free(s.offset);
	return rc;
}

/* The file that the end lies in: what is before it stays. */
static int
cut_file(const struct repair_log *log, const struct repair_piece *broken, int64_t end)
{
	const struct repair_file *f = &log->file[broken->file];
	const struct repair_piece *head = NULL;
	const int fd = open_log(log, f->base);
	int rc = MIN(fd, 0);

	for (const struct repair_piece *p = log->piece; p < broken; p++)
		if (p->file == broken->file && p->end == end)
			head = p;
	if (rc == 0)
		rc = keep_bad(log, fd, broken->from, f->size, broken->first);
	if (rc == 0)
		rc = forget_checkpoint(log, f->base);
	if (rc == 0)
		rc = layout_sync_dir(log->io, log->dir);
	if (rc == 0)
		rc = head ? put_segment(log, head, fd) : 0;
	if (rc == 0 && !(head && head->first == f->base)) {
		rc = layout_sync_dir(log->io, log->dir);
		if (rc == 0)
			rc = layout_unlink_segment(log->io, log->dir, f->base, false);
	}
	if (fd >= 0)
		(void)log->io->close(fd);
	return rc;
}

int
repair_truncate(const struct repair_log *log, int64_t end, struct err *err)
{
	const struct repair_piece *broken = repair_first_lost(log);
	int rc = 0;

	for (unsigned i = 0; i < log->files && rc == 0; i++)
		if (log->file[i].base < end && i != broken->file && must_change(log, i))
			rc = split_file(log, i);
	if (rc == 0 && log->pool)
		rc = set_aside(log, LAYOUT_SPARE, log->end);
	for (unsigned i = log->files; i-- > 0 && rc == 0;)
		if (log->file[i].base >= end && i != broken->file)
			rc = set_aside_segment(log, log->file[i].base);
	if (rc == 0)
		rc = remove_snapshots(log, end);
	if (rc == 0)
		rc = layout_sync_dir(log->io, log->dir);
	if (rc == 0 && broken->file != REPAIR_NO_FILE)
		rc = cut_file(log, broken, end);
	if (rc == 0)
		rc = layout_sync_dir(log->io, log->dir);
	return rc < 0 ? err_sys(err, rc, "cut the files of %s (run it again)", log->path) : 0;
}

/* ---- Index files -------------------------------------------------------------------------- */

int
repair_indexes(const struct repair_log *log, int64_t end, struct err *err)
{
	int rc = 0;

	for (unsigned i = 0; i < log->pieces && rc == 0; i++) {
		const struct repair_piece *p = &log->piece[i];
		char name[LAYOUT_NAME];

		if (p->lost || p->end > end || !log->file[p->file].index_wrong || must_change(log, p->file))
			continue;
		layout_name(name, p->first, ".log");
		rc = index_file(log, name, p->first, p->end);
	}
	if (rc == 0)
		rc = layout_sync_dir(log->io, log->dir);
	return rc < 0 ? err_sys(err, rc, "write the index files of %s (run it again)", log->path) : 0;
}
