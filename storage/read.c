/* SPDX-License-Identifier: MIT
 * read.c - (offset, limits) -> (fd, position, length) of whole batches, for sendfile.
 * Thread: control. Never touches a map: by descriptor an I/O error is an errno. Pairs with the
 * appending lcore (E1/E2, U1/U2, I1/I2) and the flush daemon (D1/D2, L1/L2). */
#include "storage/read.h"

#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/hook.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>

/* ---- Which segment, how far --------------------------------------------------------------- */

struct mark
read_limit(const struct partition *part, struct mark *tail)
{
	/* D2 before E2: the other way round the durable end may lie in a segment behind that tail. */
	const struct mark durable = frontier_read(&part->durable);

	HOOK(E2);
	*tail = frontier_read(&part->tail); /* E2 */
	return SETTING(part, visible_at_disk) || partition_state(part) != PART_OK ? durable : *tail;
}

/* A roll that is not filed yet: the one left is found through the new one. Once filed it may be
 * freed, but then the array has it, or a newer one, or the start lies above it. */
struct segment *
read_unfiled(const struct partition *part, const struct segments *a, const struct mark *tail)
{
	const int64_t base = tail->seg->prev_base;

	if (base == SEGMENT_NO_BASE || (a && a->n > 0 && a->seg[a->n - 1]->base >= base))
		return NULL;
	HOOK(O2);
	/* After the array: it lost a segment only once the start at its end was published (O1, L1). Records may be
	 * deleted up to within it, while it waits to be filed. */
	if (atomic_load_explicit(&part->start, memory_order_acquire) >= tail->seg->base)
		return NULL;
	return tail->seg->prev;
}

struct segment *
read_segment(struct partition *part, int64_t offset, const struct mark *tail)
{
	const struct segments *a = storage_segments(part); /* L2 */
	struct segment *seg = NULL, *unfiled;
	uint32_t lo = 0, hi = a ? a->n : 0;

	if (offset >= tail->seg->base)
		return tail->seg;
	while (lo < hi) {
		const uint32_t mid = lo + (hi - lo) / 2;

		if (a->seg[mid]->base <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0)
		seg = a->seg[lo - 1];
	unfiled = read_unfiled(part, a, tail);
	return unfiled && offset >= unfiled->base ? unfiled : seg;
}

uint64_t
read_segment_end(const struct segment *seg, const struct mark *limit)
{
	if (seg == limit->seg)
		return limit->position;
	HOOK(U2);
	ASSERT(segment_used(seg) != SEGMENT_OPEN);
	return segment_used(seg); /* U2 */
}

/* ---- Batch boundaries --------------------------------------------------------------------- */

int
read_header(const struct io *io, int fd, uint64_t position, uint64_t end,
	uint8_t header[READ_HEADER])
{
	int64_t n;

	if (position + RB_HEADER > end)
		return -EBADMSG;
	n = io->pread(fd, header, RB_HEADER, position);
	if (n != RB_HEADER)
		return n < 0 ? (int)n : -EIO;
	if (rb_total(header) < RB_HEADER || (uint64_t)rb_total(header) > end - position ||
		header[RB_MAGIC] != 2 || rb_last_offset_delta(header) < 0)
		return -EBADMSG;
	return 0;
}

static bool
in_its_epoch(const struct segment *seg, const uint8_t header[READ_HEADER])
{
	return rb_leader_epoch(header) == epochs_at(&seg->part->epochs, rb_base_offset(header));
}

/* From `place`, a batch boundary, on to the batch that contains `offset`. */
static int
walk(const struct io *io, struct place *place, int64_t offset)
{
	uint8_t header[READ_HEADER];
	int64_t expected = place->position == 0 ? place->seg->base : -1;
	int rc;

	for (;;) {
		rc = read_header(io, place->fd, place->position, place->end, header);
		if (rc < 0)
			return rc;
		place->offset = rb_base_offset(header);
		/* No checksum covers these words, but each batch begins where the one before ends, in the
		 * epoch of that offset. */
		if (place->offset > offset || (expected >= 0 && place->offset != expected) ||
			!in_its_epoch(place->seg, header))
			return -EBADMSG;
		expected = place->offset + rb_last_offset_delta(header) + 1;
		if (offset <= place->offset + rb_last_offset_delta(header))
			return 0;
		place->position += (uint64_t)rb_total(header);
	}
}

/* ---- Index: memory while it is ours, the file once sealed --------------------------------- */

/* A batch boundary from the index, in memory or in its file. Without a file (a halted partition may
 * lack it): the beginning. */
static int
in_index(const struct segment *seg, uint32_t (*memory)(const struct index *ix, uint64_t key),
	int (*file)(const struct io *io, int fd, uint64_t size, uint64_t key, uint32_t *position),
	uint64_t key, uint32_t *position)
{
	uint64_t size;
	bool kept;
	int fd, rc;

	*position = 0;
	if (seg->index.entry) {
		*position = memory(&seg->index, key);
		return 0;
	}
	fd = read_open(seg, SEGMENT_INDEX, &kept);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	rc = seg->io->size(fd, &size);
	if (rc == 0)
		rc = file(seg->io, fd, size, key, position);
	if (!kept)
		(void)seg->io->close(fd);
	return rc;
}

/* The last one at or before the batch with `offset`. */
static int
index_before(const struct segment *seg, int64_t offset, uint32_t *position)
{
	return in_index(seg, index_find, index_file_find, (uint64_t)(offset - seg->base), position);
}

/* The last one at or before the position `limit`. */
static int
boundary_before(const struct segment *seg, uint64_t limit, uint32_t *position)
{
	return in_index(seg, index_floor, index_file_floor, limit, position);
}

/* ---- Cursors: who reads on from where it stopped needs no search -------------------------- */

static bool
from_cursor(const struct partition *part, struct place *place, int64_t offset)
{
	for (unsigned i = 0; i < CURSORS; i++) {
		const struct cursor *c = &part->cursor[i];

		if (c->offset == offset && c->base == place->seg->base &&
			c->generation == place->seg->generation && c->position > 0 &&
			c->position < place->end) {
			place->position = c->position;
			place->offset = offset;
			return true;
		}
	}
	return false;
}

static void
keep_cursor(struct partition *part, const struct segment *seg, int64_t offset, uint64_t position)
{
	for (unsigned i = 0; i < CURSORS; i++)
		if (part->cursor[i].offset == offset && part->cursor[i].base == seg->base &&
			part->cursor[i].generation == seg->generation &&
			part->cursor[i].position == position)
			return;
	part->cursor[part->cursor_next] = (struct cursor){offset, seg->base, seg->generation, position};
	part->cursor_next = (part->cursor_next + 1) % CURSORS;
}

int
read_find(struct place *place, int64_t offset)
{
	uint32_t position;
	const int rc = index_before(place->seg, offset, &position);

	if (rc < 0)
		return rc;
	place->position = position;
	return walk(place->seg->io, place, offset);
}

static int
find_batch(struct partition *part, struct place *place, int64_t offset)
{
	return from_cursor(part, place, offset) ? 0 : read_find(place, offset);
}

/* ---- How much ----------------------------------------------------------------------------- */

/* Batch by batch from the place on: as many as fit, and one whatever its size if `one`. */
static int
whole_batches(const struct place *place, uint32_t max_bytes, bool one, uint64_t *to)
{
	uint8_t header[READ_HEADER];
	uint64_t at = place->position;
	int rc;

	*to = at;
	while (at < place->end) {
		rc = read_header(place->seg->io, place->fd, at, place->end, header);
		if (rc < 0)
			return rc;
		at += (uint64_t)rb_total(header);
		if (at - place->position > max_bytes && !(one && *to == place->position))
			return 0;
		*to = at;
	}
	return 0;
}

static int
find_end(struct partition *part, const struct place *place, uint32_t max_bytes, bool one,
	uint64_t *to)
{
	uint8_t header[READ_HEADER];
	uint32_t boundary;
	int rc;

	*to = place->end;
	if (place->end - place->position <= max_bytes)
		return 0;
	rc = boundary_before(place->seg, place->position + max_bytes, &boundary);
	if (rc < 0)
		return rc;
	*to = boundary;
	if (boundary <= place->position)
		rc = whole_batches(place, max_bytes, one, to);
	/* Where the next read will begin: its header says which offset that is. */
	if (rc == 0 && *to > place->position && *to < place->end) {
		rc = read_header(place->seg->io, place->fd, *to, place->end, header);
		if (rc == 0 && in_its_epoch(place->seg, header)) /* else that read finds it damaged */
			keep_cursor(part, place->seg, rb_base_offset(header), *to);
	}
	return rc;
}

/* ---- What could not be read ---------------------------------------------------------------- */

void
read_failed(struct storage *s, int rc, const char *name, int64_t at)
{
	if (io_gave_up())
		return; /* not failed: read elsewhere, and tried again */
	counter_add(&s->count->read_failures, 1);
	s->read_err.text[0] = 0;
	(void)err_sys(&s->read_err, rc, "%s at offset %lld", name, (long long)at);
}

void
storage_range_failed(struct storage *s, const struct segment *seg, int rc)
{
	/* Of an orphan the partition may be gone. */
	read_failed(s, rc, seg->orphan ? "an expired segment" : seg->part->name, seg->base);
}

const char *
storage_read_failure(const struct storage *s)
{
	return s->read_err.text[0] ? s->read_err.text : NULL;
}

void
storage_nowait(bool on)
{
	io_nowait(on);
}

bool
storage_cold(struct storage_cold *ret)
{
	return io_take_cold(&ret->fd, &ret->position, &ret->length);
}

/* ---- The door ----------------------------------------------------------------------------- */

/* 0 with place->seg NULL: nothing there yet. */
static int16_t
find_place(struct partition *part, int64_t offset, struct mark *limit, struct place *place)
{
	const int64_t start = atomic_load_explicit(&part->start, memory_order_acquire); /* O2 */
	const bool ok = partition_state(part) == PART_OK;
	struct mark tail;
	int rc;

	*limit = read_limit(part, &tail);
	place->seg = NULL;
	if (offset < start || (ok && offset > tail.end))
		return KIRA_E_OFFSET_OUT_OF_RANGE;
	offset = holes_after(part->holes, offset); /* nothing will ever be there: on with the next batch */
	if (offset >= limit->end)
		return ok ? 0 : KIRA_E_KAFKA_STORAGE_ERROR;
	place->seg = read_segment(part, offset, &tail);
	/* Retention came between the two looks, or the file is lost (halted). */
	if (!place->seg)
		return offset < atomic_load_explicit(&part->start, memory_order_acquire) ?
			KIRA_E_OFFSET_OUT_OF_RANGE : KIRA_E_KAFKA_STORAGE_ERROR;
	place->end = read_segment_end(place->seg, limit);
	place->fd = storage_segment_fd(part->storage, place->seg);
	rc = place->fd < 0 ? place->fd : find_batch(part, place, offset);
	if (rc == 0)
		return 0;
	read_failed(part->storage, rc, part->name, offset);
	return KIRA_E_KAFKA_STORAGE_ERROR;
}

int16_t
storage_read(struct partition *part, int64_t offset, uint32_t max_bytes, bool one,
	struct storage_range *ret)
{
	struct mark limit;
	struct place place;
	uint64_t to;
	int16_t error = find_place(part, offset, &limit, &place);
	int rc;

	*ret = (struct storage_range){.fd = -1};
	if (error != 0 || !place.seg)
		return error;
	rc = find_end(part, &place, max_bytes, one, &to);
	if (rc < 0) {
		read_failed(part->storage, rc, part->name, offset);
		return KIRA_E_KAFKA_STORAGE_ERROR;
	}
	if (to == place.position)
		return 0;
	/* All there is: the next read begins where the segment grows. */
	if (to == place.end && place.seg == limit.seg)
		keep_cursor(part, place.seg, limit.end, to);
	place.seg->pins++;
	*ret = (struct storage_range){
		.fd = place.fd,
		.position = place.position,
		.length = (uint32_t)(to - place.position),
		.first_offset = place.offset,
		.pinned = place.seg,
	};
	return 0;
}

uint64_t
storage_available(struct partition *part, int64_t offset, uint64_t enough)
{
	struct mark limit;
	struct place place;
	uint64_t n;

	if (find_place(part, offset, &limit, &place) != 0 || !place.seg)
		return 0;
	n = place.end - place.position;
	if (place.seg != limit.seg)
		n += limit.position; /* and segments between, which are no small ones */
	return MIN(n, enough);
}

uint64_t
storage_bytes(const struct partition *part)
{
	const struct mark tail = frontier_read(&part->tail);
	const struct segments *a = atomic_load_explicit(&part->segments, memory_order_acquire);
	uint64_t n = tail.position;

	for (uint32_t i = 0; a && i < a->n; i++)
		if (a->seg[i] != tail.seg)
			n += segment_used(a->seg[i]);
	return n;
}
