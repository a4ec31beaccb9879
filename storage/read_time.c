/* SPDX-License-Identifier: MIT
 * read_time.c - timestamp -> offset: segment, time index, headers, then the records of one batch.
 * Thread: control. Cold: a consumer asks once. */
#include "storage/read.h"

#include "storage/directory.h"
#include "storage/layout.h"
#include "storage/records.h"
#include "storage/sealed.h"

#include "base/assert.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define TARGET_MAX (-3) /* Kafka's MAX_TIMESTAMP */

/* Where to begin: no batch before this delta has a timestamp >= target. */
static int
time_before(const struct segment *seg, int64_t target, uint32_t *delta)
{
	uint64_t size;
	bool kept;
	int fd, rc;

	*delta = 0;
	if (seg->index.time) {
		*delta = index_find_time(&seg->index, target);
		return 0;
	}
	fd = read_open(seg, SEGMENT_TIME, &kept);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	rc = seg->io->size(fd, &size);
	if (rc == 0)
		rc = index_file_find_time(seg->io, fd, size, target, delta);
	if (!kept)
		(void)seg->io->close(fd);
	return rc;
}

/* The batch at the place, decoded for its first record at or above offset `from`, at or after the target.
 * 0: it has none, 1: found. */
static int
in_batch(const struct place *place, uint64_t total, int64_t from, int64_t target, int64_t *offset,
	int64_t *timestamp)
{
	uint8_t *batch = malloc(total);
	int found = 1;
	const int64_t n = batch ? place->seg->io->pread(place->fd, batch, total, place->position) :
		-ENOMEM;

	if (n != (int64_t)total) {
		free(batch);
		return n < 0 ? (int)n : -EIO;
	}
	/* Records that cannot be read: the batch as a whole, never later than the record. Below the start
	 * lies what made its time so large, perhaps. */
	if (!records_find_time(batch, from, target, offset, timestamp)) {
		*offset = MAX(rb_base_offset(batch), from);
		*timestamp = rb_max_timestamp(batch);
		found = *offset == rb_base_offset(batch);
	}
	free(batch);
	return found;
}

/* Headers from the place on, each at the offset where the one before ends: no checksum covers what they say of
 * it. `best`: the largest timestamp instead of the first large enough. 0 found nothing, 1 found. */
static int
in_segment(struct place *place, int64_t from, int64_t target, bool best, int64_t *offset, int64_t *timestamp)
{
	uint8_t header[READ_HEADER];
	struct place at = *place;
	uint64_t total = 0;
	int64_t max = -1, expected = place->offset;
	int rc;

	while (place->position < place->end) {
		rc = read_header(place->seg->io, place->fd, place->position, place->end, header);
		if (rc < 0 || rb_base_offset(header) != expected)
			return rc < 0 ? rc : -EBADMSG;
		expected += (int64_t)rb_last_offset_delta(header) + 1;
		if (rb_max_timestamp(header) >= target && rb_max_timestamp(header) > max) {
			at = *place;
			total = (uint64_t)rb_total(header);
			max = best ? rb_max_timestamp(header) : max;
			rc = best ? 0 : in_batch(&at, total, from, target, offset, timestamp);
			if (rc != 0)
				return rc;
		}
		place->position += (uint64_t)rb_total(header);
	}
	return best && total > 0 ? in_batch(&at, total, from, max, offset, timestamp) : 0;
}

/* An error is one that who asks is told; so it counts. */
static int
counted(struct partition *part, const struct segment *seg, int rc)
{
	if (rc < 0)
		read_failed(part->storage, rc, part->name, seg->base);
	return rc;
}

static int
look_in(struct partition *part, struct segment *seg, const struct mark *limit, int64_t target,
	bool best, int64_t *offset, int64_t *timestamp)
{
	struct place place = {.seg = seg, .end = read_segment_end(seg, limit), .offset = seg->base};
	const int64_t start = atomic_load_explicit(&part->start, memory_order_acquire);
	const int64_t from = MAX(start, seg->base); /* records may be deleted up to within a segment */
	uint32_t delta;
	int rc;

	if (place.end == 0) /* it may have no file yet */
		return 0;
	place.fd = storage_segment_fd(part->storage, seg);
	if (place.fd < 0)
		return place.fd;
	rc = time_before(seg, target, &delta);
	if (rc < 0)
		return rc;
	/* `delta` is the last offset of a batch below the target, or the segment's first. */
	if (delta > 0 || from > seg->base) {
		const int64_t at = MAX(seg->base + delta, from);

		if (seg == limit->seg && at >= limit->end)
			return 0; /* not visible yet */
		rc = read_find(&place, at);
		if (rc < 0)
			return rc;
	}
	return in_segment(&place, from, target, best, offset, timestamp);
}

static int
search(struct partition *part, struct segment *seg, const struct mark *limit, int64_t target,
	bool best, int64_t *offset, int64_t *timestamp)
{
	return counted(part, seg, look_in(part, seg, limit, target, best, offset, timestamp));
}

/* ---- Which segments ----------------------------------------------------------------------- */

/* In order: the filed ones, the one left by a roll that is not filed yet, the open one. NULL behind
 * the last. */
static struct segment *
segment_at(const struct partition *part, const struct segments *a, const struct mark *tail,
	uint32_t i)
{
	const uint32_t n = a ? a->n : 0;
	struct segment *unfiled;

	if (i < n)
		return a->seg[i];
	if (!tail->seg || (n > 0 && a->seg[n - 1]->base >= tail->seg->base))
		return NULL;
	unfiled = read_unfiled(part, a, tail);
	if (unfiled && i == n)
		return unfiled;
	return i == n + (unfiled != NULL) ? tail->seg : NULL;
}

/* Of a segment that was left: flush copies it when it files the segment, or a job does that looks at what a
 * start found; until then its file says. -errno. */
static int
largest_of(const struct segment *seg, bool filed, int64_t *ret)
{
	if (filed && !atomic_load_explicit(&seg->looked, memory_order_acquire))
		return sealed_max_timestamp(seg->io, seg->part->dirfd, seg->base, ret);
	*ret = filed ? seg->max_timestamp : seg->index.max_timestamp;
	return 0;
}

/* Of the one that the limit lies in: no more than is visible, as far as its index says. */
static int64_t
largest_visible(const struct segment *seg, const struct mark *limit)
{
	uint32_t n = atomic_load_explicit(&seg->index.times, memory_order_acquire); /* I2 */

	if (!seg->index.time)
		return seg->max_timestamp;
	while (n > 0 && seg->base + seg->index.time[n - 1].last_delta >= limit->end)
		n--;
	return n ? seg->index.time[n - 1].timestamp : 0;
}

static int
find_first(struct partition *part, const struct mark *tail, const struct mark *limit,
	int64_t target, int64_t *offset, int64_t *timestamp)
{
	const struct segments *a = storage_segments(part);
	const int64_t start = atomic_load_explicit(&part->start, memory_order_acquire);
	struct segment *seg;
	int64_t largest;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && (seg = segment_at(part, a, tail, i)) != NULL; i++) {
		if (seg == limit->seg)
			return search(part, seg, limit, target, false, offset, timestamp);
		if (seg->base >= limit->end)
			return 0;
		if (seg->end <= start)
			continue;
		rc = counted(part, seg, largest_of(seg, a && i < a->n, &largest));
		if (rc == 0 && largest >= target)
			rc = search(part, seg, limit, target, false, offset, timestamp);
	}
	return rc;
}

static int
find_largest(struct partition *part, const struct mark *tail, const struct mark *limit,
	int64_t *offset, int64_t *timestamp)
{
	const struct segments *a = storage_segments(part);
	const int64_t start = atomic_load_explicit(&part->start, memory_order_acquire);
	struct segment *best = NULL, *seg;
	int64_t largest = -1, its = -1, o, t;
	int rc = 0, found = 0;

	for (uint32_t i = 0; (seg = segment_at(part, a, tail, i)) != NULL; i++) {
		if (seg == limit->seg || seg->base >= limit->end)
			break;
		if (seg->end <= start)
			continue;
		/* What made it so large may lie below the start: all that is left of it is looked at. */
		if (seg->base < start) {
			found = search(part, seg, limit, 0, true, offset, timestamp);
			if (found < 0)
				return found;
			continue;
		}
		rc = counted(part, seg, largest_of(seg, a && i < a->n, &its));
		if (rc < 0)
			return rc;
		if (its > largest) {
			best = seg;
			largest = its;
		}
	}
	if (best && (found == 0 || largest > *timestamp))
		found = search(part, best, limit, largest, true, offset, timestamp);
	if (found < 0 || seg != limit->seg || !seg)
		return found;
	rc = search(part, seg, limit, seg->base < start ? 0 : largest_visible(seg, limit), true, &o, &t);
	if (rc > 0 && (!found || t > *timestamp)) {
		*offset = o;
		*timestamp = t;
	}
	return rc < 0 ? rc : found || rc;
}

int16_t
storage_find_time(struct partition *part, int64_t target_ms, int64_t *offset, int64_t *timestamp_ms)
{
	struct mark tail;
	const struct mark limit = read_limit(part, &tail);
	const int64_t start = atomic_load_explicit(&part->start, memory_order_acquire);
	int rc = 0;

	*offset = *timestamp_ms = -1;
	if (limit.end <= start)
		return 0;
	if (target_ms == TARGET_MAX)
		rc = find_largest(part, &tail, &limit, offset, timestamp_ms);
	else
		rc = find_first(part, &tail, &limit, MAX(target_ms, (int64_t)0), offset, timestamp_ms);
	if (rc == 0)
		*offset = *timestamp_ms = -1;
	return rc < 0 ? KIRA_E_KAFKA_STORAGE_ERROR : 0;
}
