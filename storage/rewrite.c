/* SPDX-License-Identifier: MIT
 * rewrite.c - see the header: copy, read back. The names: rewrite_names.c.
 * Bounded memory: a scan's buffer, a group of records, a buffer to write, the new index. */
#include "storage/rewrite.h"

#include "storage/batch.h"
#include "storage/layout.h"
#include "storage/producer_state.h"
#include "storage/read.h"
#include "storage/rewrite_merge.h"
#include "storage/rewrite_names.h"
#include "storage/scan.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* Read by one call of rewrite_step(). What it wrote is synced at its end: a commit of the topic next
 * door that waits for the file system's journal waits for no more than this. */
#define PIECE    (4 * MIB)
#define BUFFER   (256 * KIB)
#define SAVED_OF 10 /* a tenth of the file must go */
#define EARLY_OF 8  /* so much of it is tried before that is judged for the first time */

enum phase { BEGIN, COPY, READ_BACK };

struct rewrite {
	struct rewrite_order o;
	enum phase phase;
	int dir;                    /* layout_open_dir(): its errors are not final for the partition */
	int old[SEGMENT_PARTS], fd; /* fd: of the new .log */
	struct scan sc;
	int64_t at;                 /* next offset */
	struct merge m;
	uint64_t group;             /* where the group begins in the source */
	struct index ix;
	uint8_t *buffer;            /* not written yet */
	uint64_t have, written;     /* of it; before it */
	uint64_t hash, hash_back;
	int64_t end;                /* of the source, for the reading back */
};

struct rewrite *
rewrite_open(const struct rewrite_order *order)
{
	struct rewrite *rw = calloc(1, sizeof(*rw));

	ASSERT(rw);
	rw->o = *order;
	rw->at = order->base;
	rw->dir = rw->fd = -1;
	for (unsigned i = 0; i < SEGMENT_PARTS; i++)
		rw->old[i] = -1;
	merge_open(&rw->m, order->bytes_max);
	return rw;
}

void
rewrite_close(struct rewrite *rw)
{
	if (!rw)
		return;
	scan_close(&rw->sc);
	merge_close(&rw->m);
	index_close(&rw->ix, rw->o.io);
	for (unsigned i = 0; i < SEGMENT_PARTS; i++)
		(void)rw->o.io->close(rw->old[i]);
	(void)rw->o.io->close(rw->fd);
	(void)rw->o.io->close(rw->dir);
	free(rw->buffer);
	free(rw);
}

void
rewrite_drop(struct rewrite *rw)
{
	/* Left-overs are no harm: the next start removes them. */
	if (rw->fd >= 0)
		(void)rewrite_undo(rw->o.io, rw->dir, rw->o.base);
	rewrite_close(rw);
}

uint64_t
rewrite_give(struct rewrite *rw, int kept[SEGMENT_PARTS])
{
	for (unsigned i = 0; i < SEGMENT_PARTS; i++) {
		if (kept[i] >= 0) /* of a swap that failed before: of the same files, and somebody may read there */
			continue;
		kept[i] = rw->old[i];
		rw->old[i] = -1;
	}
	return rw->written;
}

int
rewrite_swap(struct rewrite *rw)
{
	return rewrite_names(rw->o.io, rw->dir, rw->o.base);
}

/* ---- Is it worth it, may it be ------------------------------------------------------------ */

/* What producers stored the headers say; those of merged batches no longer do. */
static bool
state_is_kept(const struct rewrite *rw)
{
	unsigned right = 0;

	for (unsigned i = 0; i < rw->o.snapshots && right < REWRITE_SNAPSHOTS_MIN; i++) {
		char name[LAYOUT_NAME], *bytes;
		size_t n;

		layout_name(name, rw->o.snapshot[i], ".snapshot");
		if (layout_read(rw->o.io, rw->o.dir, name, &bytes, &n) < 0)
			continue;
		right += producers_snapshot_right((uint8_t *)bytes, (uint32_t)n);
		free(bytes);
	}
	return right >= REWRITE_SNAPSHOTS_MIN;
}

/* By the headers of its first part: what is compressed already, by producers or by an earlier
 * rewriting, is not written once more to find that out. */
static int
look(const struct rewrite *rw)
{
	const uint64_t end = rw->o.size, until = end / EARLY_OF;
	uint64_t position = 0, wanted = 0;

	while (position <= until && position < end) {
		uint8_t header[READ_HEADER];
		const int rc = read_header(rw->o.io, rw->old[SEGMENT_LOG], position, end, header);

		if (rc < 0)
			return rc;
		wanted += merge_wants(header) ? (uint64_t)rb_total(header) : 0;
		position += (uint64_t)rb_total(header);
	}
	return wanted * SAVED_OF < position ? REWRITE_USELESS : REWRITE_MORE;
}

static int
begin(struct rewrite *rw)
{
	char name[LAYOUT_NAME];
	int rc;

	if (!state_is_kept(rw))
		return REWRITE_LATER;
	rc = rw->dir = layout_open_dir(rw->o.io, rw->o.dir);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < SEGMENT_PARTS; i++) {
		layout_name(name, rw->o.base, segment_suffix[i]);
		rc = rw->old[i] = rw->o.io->openat(rw->dir, name, O_RDONLY, 0);
		if (rc < 0)
			return rc;
	}
	rc = scan_open(&rw->sc, rw->o.io, rw->old[SEGMENT_LOG], 0);
	if (rc == 0 && rw->sc.size != rw->o.size)
		rc = -EBADMSG;
	if (rc == 0)
		rc = look(rw);
	if (rc != REWRITE_MORE)
		return rc;
	rc = index_open(&rw->ix, rw->o.io, rw->o.size);
	if (rc < 0)
		return rc;
	rw->buffer = malloc(BUFFER);
	ASSERT(rw->buffer);
	layout_name(name, rw->o.base, ".log" REWRITE_CLEANED);
	rc = layout_unlink(rw->o.io, rw->dir, name); /* nobody has it open, but a new inode it is */
	if (rc == 0)
		rc = rw->fd = rw->o.io->openat(rw->dir, name, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (rc < 0)
		return rc;
	rw->phase = COPY;
	return REWRITE_MORE;
}

/* ---- Copy --------------------------------------------------------------------------------- */

static int
write_out(struct rewrite *rw, const uint8_t *bytes, uint64_t n)
{
	const int64_t put = rw->o.io->pwrite(rw->fd, bytes, n, rw->written);

	if (put < 0 || (uint64_t)put < n)
		return put < 0 ? (int)put : -ENOSPC;
	rw->written += n;
	return 0;
}

static int
flush_buffer(struct rewrite *rw)
{
	const int rc = rw->have ? write_out(rw, rw->buffer, rw->have) : 0;

	rw->have = 0;
	return rc;
}

static int
put(struct rewrite *rw, const uint8_t *batch)
{
	const uint32_t total = (uint32_t)rb_total(batch);
	int rc = 0;

	index_add(&rw->ix, (uint32_t)(rw->written + rw->have), total,
		(uint32_t)(rb_base_offset(batch) + rb_last_offset_delta(batch) - rw->o.base),
		rb_max_timestamp(batch));
	if (rw->have + total > BUFFER)
		rc = flush_buffer(rw);
	if (rc == 0 && total > BUFFER)
		return write_out(rw, batch, total);
	if (rc == 0) {
		memcpy(rw->buffer + rw->have, batch, total);
		rw->have += total;
	}
	return rc;
}

/* The batches of the source from `from` to `to` as they are: together they were no smaller. */
static int
put_again(struct rewrite *rw, uint64_t from, uint64_t to)
{
	const struct io *io = rw->o.io;
	int rc = 0;

	while (rc == 0 && from < to) {
		uint8_t header[READ_HEADER], *batch;
		uint64_t total;

		rc = read_header(io, rw->old[SEGMENT_LOG], from, to, header);
		if (rc < 0)
			return rc;
		total = (uint64_t)rb_total(header);
		batch = malloc(total);
		ASSERT(batch);
		rc = io->pread(rw->old[SEGMENT_LOG], batch, total, from) == (int64_t)total ?
			put(rw, batch) : -EIO;
		free(batch);
		from += total;
	}
	return rc;
}

/* `to`: where the group ends in the source. */
static int
put_group(struct rewrite *rw, uint64_t to)
{
	const uint8_t *batch;
	const uint32_t n = merge_put(&rw->m, &batch);

	if (n == 0)
		return 0;
	return n < to - rw->group ? put(rw, batch) : put_again(rw, rw->group, to);
}

static int
take(struct rewrite *rw, const uint8_t *batch, uint64_t position)
{
	enum merge_verdict v = MERGE_FULL;
	int rc = 0;

	rw->hash = merge_hash(rw->hash, batch);
	if (rw->m.count > 0)
		v = merge_take(&rw->m, batch);
	if (v == MERGE_TAKEN)
		return 0;
	rc = put_group(rw, position);
	if (v == MERGE_FULL) { /* with those before it, not without */
		rw->group = position;
		v = merge_take(&rw->m, batch);
	}
	return rc == 0 && v == MERGE_APART ? put(rw, batch) : rc;
}

static int
end_copy(struct rewrite *rw)
{
	const struct io *io = rw->o.io;
	int rc;

	index_finish(&rw->ix);
	if (rw->written * SAVED_OF > rw->o.size * (SAVED_OF - 1))
		return REWRITE_USELESS;
	rc = segment_put_entries(io, rw->dir, rw->o.base, &rw->ix, REWRITE_CLEANED);
	if (rc == 0)
		rc = layout_sync_dir(io, rw->dir);
	index_close(&rw->ix, io);
	scan_close(&rw->sc);
	/* From the disk, not from the cache that was just filled. */
	if (rc == 0)
		rc = io->drop_cache(rw->fd);
	if (rc == 0)
		rc = scan_open(&rw->sc, io, rw->fd, 0);
	if (rc < 0)
		return rc;
	rw->end = rw->at;
	rw->at = rw->o.base;
	rw->phase = READ_BACK;
	return REWRITE_MORE;
}

static int
copy(struct rewrite *rw)
{
	const uint64_t from = rw->sc.position;
	enum scan_verdict v = SCAN_BATCH;
	int rc = 0;

	while (rc == 0 && v == SCAN_BATCH && rw->sc.position - from < PIECE) {
		v = scan_next(&rw->sc, rw->at, rw->o.epochs, true);
		if (v != SCAN_BATCH)
			break;
		rw->at += rb_count(rw->sc.batch);
		rc = take(rw, rw->sc.batch, rw->sc.position - rw->sc.total);
	}
	if (v == SCAN_BAD || v == SCAN_ZEROS || v == SCAN_ERROR)
		return v == SCAN_ERROR ? rw->sc.rc : -EBADMSG;
	if (rc == 0 && v == SCAN_END)
		rc = put_group(rw, rw->sc.position);
	if (rc == 0)
		rc = flush_buffer(rw);
	if (rc == 0)
		rc = rw->o.io->fsync(rw->fd);
	if (rc < 0)
		return rc;
	if (v == SCAN_END)
		return end_copy(rw);
	if (rw->sc.position >= rw->o.size / EARLY_OF &&
		rw->written * SAVED_OF > rw->sc.position * (SAVED_OF - 1))
		return REWRITE_USELESS;
	return REWRITE_MORE;
}

/* ---- Read back ---------------------------------------------------------------------------- */

static int
read_back(struct rewrite *rw)
{
	const uint64_t from = rw->sc.position;
	enum scan_verdict v = SCAN_BATCH;

	while (v == SCAN_BATCH && rw->sc.position - from < PIECE) {
		v = scan_next(&rw->sc, rw->at, rw->o.epochs, true);
		if (v != SCAN_BATCH)
			break;
		rw->at += rb_count(rw->sc.batch);
		rw->hash_back = merge_hash(rw->hash_back, rw->sc.batch);
	}
	if (v == SCAN_BATCH)
		return REWRITE_MORE;
	if (v == SCAN_ERROR)
		return rw->sc.rc;
	return v == SCAN_END && rw->sc.position == rw->written && rw->at == rw->end &&
		rw->hash_back == rw->hash ? REWRITE_READY : -EBADMSG;
}

int
rewrite_step(struct rewrite *rw)
{
	switch (rw->phase) {
	case BEGIN:
		return begin(rw);
	case COPY:
		return copy(rw);
	case READ_BACK:
		break;
	}
	return read_back(rw);
}
