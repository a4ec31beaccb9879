/* SPDX-License-Identifier: MIT
 * recover.c - a partition as it was found on disk: what is trusted, what is checked, what is cut,
 * what is refused. Blocking: the control thread at start, before any other thread runs.
 *
 * Sealed files (both indexes there) were whole and synced before their indexes were: trusted. From
 * the first unsealed one on every batch is checked. Where the check ends the log ends, and appends
 * go to a new segment, so that no byte of a torn tail can come back. If that lies below what
 * kira.state says was durable, acknowledged data is damaged: the partition is halted, nothing is
 * cut. After an unclean stop the leader epoch rises. Every step may be repeated after a crash. */
#include "storage/batch.h"
#include "storage/directory.h"
#include "storage/layout.h"
#include "storage/scan.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

/* Producer state is folded from at least so much log: seven full session windows of jumbo
 * datagrams, so that batches sent again after a restart are recognised. */
#define FOLD_BYTES (64 * MIB)

struct found {
	int64_t *base;   /* of .log files, sorted */
	unsigned n, room;
	int64_t *snapshot;
	unsigned snapshots, snapshots_room;
	bool pool;
	char (*junk)[64];
	unsigned junks, junks_room;
};

struct recovery {
	struct partition *part;
	const struct io *io;
	const struct state_row *row;
	struct found found;
	struct segment **seg;   /* as found, oldest first */
	unsigned n;
	unsigned unsealed;      /* index of the first that must be checked */
	int64_t start, end;
	int64_t wall_ms;
};

/* ---- What is there ------------------------------------------------------------------------ */

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
	int64_t v;

	if ((v = layout_offset(name, ".log")) >= 0) {
		push(&f->base, &f->n, &f->room, v);
	} else if ((v = layout_offset(name, ".snapshot")) >= 0) {
		push(&f->snapshot, &f->snapshots, &f->snapshots_room, v);
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

static int
unlink_segment(struct recovery *r, int64_t base, bool snapshot)
{
	/* The log last: cut short, it is found again and the rest goes then. Indexes left alone would
	 * lie beside the next log of that name, and make it look sealed. */
	static const char *const suffix[] = {".snapshot", ".index", ".timeindex", ".log"};
	char name[LAYOUT_NAME];
	int rc = 0;

	for (unsigned i = snapshot ? 0 : 1; i < ARRAY_LENGTH(suffix) && rc == 0; i++) {
		layout_name(name, base, suffix[i]);
		rc = layout_unlink(r->io, r->part->dirfd, name);
	}
	return rc;
}

static int
list_files(struct recovery *r, struct err *err)
{
	struct found *f = &r->found;
	const int dir = r->part->dirfd;
	unsigned first = 0;
	int rc = r->io->list(dir, look, f);

	if (rc < 0)
		return err_sys(err, rc, "list the directory");
	for (unsigned i = 0; i < f->junks && rc == 0; i++)
		rc = layout_unlink(r->io, dir, f->junk[i]);
	if (f->n > 0)
		qsort(f->base, f->n, sizeof(*f->base), by_value);
	if (f->snapshots > 0)
		qsort(f->snapshot, f->snapshots, sizeof(*f->snapshot), by_value);
	r->start = r->row ? r->row->start : f->n ? f->base[0] : 0;
	/* Wholly below the start: their deletion was cut short. */
	for (; rc == 0 && first + 1 < f->n && f->base[first + 1] <= r->start; first++)
		rc = unlink_segment(r, f->base[first], true);
	if (rc < 0)
		return err_sys(err, rc, "remove left-over files");
	f->n -= first;
	if (first > 0)
		memmove(f->base, f->base + first, f->n * sizeof(*f->base));
	return 0;
}

/* -ENOENT where it is not there. */
static int
open_file(const struct recovery *r, int64_t base, const char *suffix, int flags, uint64_t *size)
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
	int fd = open_file(r, seg->base, ".index", O_RDONLY, &entries), rc;

	if (fd < 0)
		return false;
	(void)r->io->close(fd);
	fd = open_file(r, seg->base, ".timeindex", O_RDONLY, &times);
	if (fd < 0)
		return false;
	rc = index_file_last_time(r->io, fd, times, &seg->max_timestamp, &delta);
	(void)r->io->close(fd);
	return rc == 0 && entries % INDEX_ENTRY_BYTES == 0 && times % TIME_ENTRY_BYTES == 0;
}

static int
open_segments(struct recovery *r, struct err *err)
{
	struct found *f = &r->found;

	r->seg = calloc(f->n + 2, sizeof(struct segment *));
	ASSERT(r->seg);
	r->unsealed = f->n;
	for (; r->n < f->n; r->n++) {
		uint64_t size;
		const int fd = open_file(r, f->base[r->n], ".log", O_RDWR, &size);
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

/* ---- Checking ----------------------------------------------------------------------------- */

/* The last entry of the index, (0, 0) where there is none. -errno. */
static int
last_entry(const struct recovery *r, const struct segment *seg, uint32_t *delta, uint32_t *position)
{
	uint8_t b[INDEX_ENTRY_BYTES];
	uint64_t size;
	int rc = 0, fd = open_file(r, seg->base, ".index", O_RDONLY, &size);

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
	fd = open_file(r, seg->base, ".log", O_RDONLY, &size);
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

/* Every batch of an unsealed segment; index and size are made anew. 0: more may follow in the next
 * segment, 1: the log ends here. */
static int
check_segment(struct recovery *r, struct segment *seg, struct err *err)
{
	enum scan_verdict v = SCAN_ERROR;
	struct scan sc;
	uint64_t size;
	int64_t at = seg->base;
	int rc, fd = open_file(r, seg->base, ".log", O_RDWR, &size);

	if (fd < 0)
		return err_sys(err, fd, "open %020" PRId64 ".log", seg->base);
	/* Carries the page cache of a killed process to the disk, so that `log` acks survive; then
	 * dropped, since clean pages may hold bytes that are not on disk. */
	rc = r->io->fsync(fd);
	if (rc == 0)
		rc = r->io->drop_cache(fd);
	if (rc == 0)
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
	seg->end = at;
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
static int
find_end(struct recovery *r, struct err *err)
{
	unsigned i = r->unsealed;
	int rc;

	r->end = r->n ? r->seg[0]->base : r->start;
	if (i > 0) {
		rc = sealed_end(r, r->seg[i - 1], err);
		if (rc < 0)
			return rc;
		r->end = r->seg[i - 1]->end;
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
	int rc = r->io->ftruncate(seg->fd, used);

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
	int rc = 0;

	/* Behind the end first, from the last on: after a crash in between, what is left still ends
	 * where the log was found to end. */
	for (unsigned i = r->n; i-- > 0 && rc == 0;)
		if (r->seg[i]->end < 0)
			rc = drop_segment(r, r->seg[i]);
	for (unsigned i = 0; i < r->n; i++) {
		struct segment *seg = r->seg[i];
		bool keep = true;

		if (rc < 0) {
			; /* to be freed by the caller */
		} else if (seg->end < 0) {
			keep = false;
		} else if (seg->end == seg->base) {
			rc = unlink_segment(r, seg->base, false); /* empty: the new one takes its name */
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

/* ---- Producer state ----------------------------------------------------------------------- */

static bool
load_snapshot(struct recovery *r, struct producers *p, int64_t offset)
{
	char name[LAYOUT_NAME], *bytes;
	size_t n;
	bool good;

	layout_name(name, offset, ".snapshot");
	if (layout_read(r->io, r->part->dirfd, name, &bytes, &n) < 0)
		return false;
	good = producers_load(p, r->part->slot, (uint8_t *)bytes, (uint32_t)n, clock_now_ns());
	free(bytes);
	return good;
}

/* Headers of one segment, in the order they were appended. */
static int
fold_segment(struct recovery *r, struct producers *p, const struct segment *seg, uint64_t now_ns)
{
	enum scan_verdict v;
	struct scan sc;
	uint64_t size;
	int64_t at = seg->base;
	int rc, fd = open_file(r, seg->base, ".log", O_RDONLY, &size);

	if (fd < 0)
		return fd;
	rc = scan_open(&sc, r->io, fd, 0);
	if (rc < 0) {
		(void)r->io->close(fd);
		return rc;
	}
	while ((v = scan_next(&sc, at, NULL, false)) == SCAN_BATCH) {
		const int32_t first = rb_base_sequence(sc.batch), count = rb_count(sc.batch);

		if (rb_producer_id(sc.batch) >= 0)
			producers_stored(p, r->part->slot, rb_producer_id(sc.batch),
				rb_producer_epoch(sc.batch), first,
				batch_last_sequence(first, count), at, rb_max_timestamp(sc.batch),
				now_ns);
		at += count;
	}
	rc = v == SCAN_ERROR ? sc.rc : 0;
	scan_close(&sc);
	(void)r->io->close(fd);
	return rc;
}

static int
fold_producers(struct recovery *r, struct err *err)
{
	struct producers *p = r->part->storage->lcore[r->part->lcore].producers;
	const uint64_t now_ns = clock_now_ns();
	uint64_t bytes = 0;
	unsigned first = r->n;
	int rc = 0;

	/* Back to a snapshot with enough log above it, or to the beginning: what was deleted below
	 * that, the snapshot there remembers. */
	while (first > 0) {
		bytes += segment_used(r->seg[--first]);
		if ((bytes >= FOLD_BYTES || first == 0) &&
			load_snapshot(r, p, r->seg[first]->base))
			break;
	}
	if (r->n == 0)
		(void)load_snapshot(r, p, r->end);
	for (; first < r->n && rc == 0; first++)
		rc = fold_segment(r, p, r->seg[first], now_ns);
	if (rc < 0)
		return err_sys(err, rc, "read batch headers for producer state");
	atomic_store(&r->part->producers, producers_count(p, r->part->slot));
	return 0;
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

/* Nothing was changed on disk; what is whole is served, nothing is appended. */
static void
halt(struct recovery *r)
{
	struct partition *part = r->part;
	struct mark m = {r->end, 0, NULL};
	unsigned kept = 0;

	for (unsigned i = 0; i < r->n; i++) {
		struct segment *seg = r->seg[i];

		if (seg->end < 0 || seg->end > r->end) {
			segment_free(seg);
			continue;
		}
		m.seg = seg;
		m.position = segment_used(seg);
		r->seg[kept++] = seg;
	}
	r->n = kept;
	file_segments(r);
	part->claimed = r->row ? r->row->recovery : 0;
	part->next = r->end;
	frontier_publish(&part->tail, &m);
	frontier_publish(&part->durable, &m);
	atomic_store(&part->start, MIN(r->start, r->end));
	atomic_store(&part->state, PART_HALTED);
}

static int
recover(struct recovery *r, struct err *err)
{
	const struct state_row *row = r->row;
	const bool was_ok = row && row->state == PART_OK;
	bool clean = r->part->storage->was_clean && was_ok;
	int rc = read_epochs(r, err);

	if (rc == 0)
		rc = list_files(r, err);
	if (rc == 0)
		rc = open_segments(r, err);
	if (rc == 0)
		rc = find_end(r, err);
	if (rc < 0)
		return rc;
	/* Records below the end that are gone, or a file in front. */
	if (r->end < r->start || (row && r->end < row->recovery) ||
		(r->n > 0 && r->seg[0]->base > r->start)) {
		halt(r);
		return 0;
	}
	clean = clean && r->end == row->recovery && r->unsealed >= r->found.n;
	rc = cut(r, err);
	if (rc == 0 && !clean)
		rc = raise_epoch(r, err);
	if (rc == 0)
		rc = fold_producers(r, err);
	if (rc < 0)
		return rc;
	if (r->part->config.log_append_time && r->n > 0)
		r->part->append_ms = r->seg[r->n - 1]->max_timestamp; /* it never goes back */
	file_segments(r);
	/* Syncs the directory: all of the above is durable before a batch carries the new epoch. Each
	 * step alone, whichever of them a crash leaves, is found and done again by the next start. */
	return partition_begin(r->part, r->start, r->end, err);
}

int
recover_partition(struct partition *part, const struct state_row *row, int64_t wall_ms,
	struct err *err)
{
	struct recovery r = {.part = part, .io = part->storage->io, .row = row, .wall_ms = wall_ms};
	const struct segments *filed;
	int rc = part->storage->io->openat(part->storage->dirfd, part->name, O_RDONLY | O_DIRECTORY,
		0);

	if (rc < 0)
		return err_sys(err, rc, "open %s/%s", part->storage->dir, part->name);
	part->dirfd = rc;
	rc = recover(&r, err);
	filed = atomic_load(&part->segments);
	if (rc < 0) {
		err_prefix(err, "recover %s: ", part->name);
		for (unsigned i = 0; !filed && i < r.n; i++)
			segment_free(r.seg[i]);
	}
	free(r.seg);
	free(r.found.base);
	free(r.found.snapshot);
	free(r.found.junk);
	return rc;
}
