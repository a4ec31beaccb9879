/* SPDX-License-Identifier: MIT
 * scan.c - see the header. */
#include "storage/scan.h"

#include "storage/batch.h"
#include "storage/storage.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bug.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (8 * MIB)
#define FIRST_BYTES  (4 * KIB) /* then twice as many each time: of the zeros behind a short log not much is read */
BUILD_ASSERT(BUFFER_BYTES >= BATCH_BYTES_MAX);

int
scan_open(struct scan *sc, const struct io *io, int fd, uint64_t position)
{
	int rc;

	*sc = (struct scan){.io = io, .fd = fd, .position = position, .at = position, .ahead = FIRST_BYTES,
		.farthest = position};
	rc = io->size(fd, &sc->size);
	if (rc < 0)
		return rc;
	sc->buffer = malloc(MIN(BUFFER_BYTES, sc->size - MIN(position, sc->size)) + 1);
	ASSERT(sc->buffer);
	return 0;
}

void
scan_close(struct scan *sc)
{
	free(sc->buffer);
	sc->buffer = NULL;
}

/* A batch at the end of the buffer is read twice, the second time from memory. */
static void
count(struct scan *sc)
{
	const uint64_t end = sc->at + sc->have, from = MAX(sc->at, sc->farthest);

	if (end <= from)
		return;
	sc->farthest = end;
	if (sc->fetched)
		atomic_fetch_add_explicit(sc->fetched, end - from, memory_order_relaxed);
}

/* At least `n` bytes from the position on, or all that is left. NULL: could not be read. */
static const uint8_t *
need(struct scan *sc, uint64_t n)
{
	const uint64_t left = sc->size - sc->position;
	int64_t got;

	n = MIN(n, left);
	if (sc->position < sc->at || sc->position + n > sc->at + sc->have) {
		got = sc->io->pread(sc->fd, sc->buffer, MIN(MAX(n, sc->ahead), left), sc->position);
		if (got < 0 || (uint64_t)got < n) {
			sc->rc = got < 0 ? (int)got : -EIO;
			return NULL;
		}
		sc->at = sc->position;
		sc->have = (uint64_t)got;
		sc->ahead = MIN(2 * sc->ahead, BUFFER_BYTES);
		count(sc);
	}
	return sc->buffer + (sc->position - sc->at);
}

static bool
all_zero(const uint8_t *p, uint64_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* To the next byte that need not be zero. False: none is left. */
static bool
skip_hole(struct scan *sc)
{
	uint64_t next;

	/* What the kernel read ahead of us is in the page cache, and counts as data: on and on, each answer read, each
	 * read ahead of the next. */
	(void)sc->io->drop_cache(sc->fd);
	next = sc->io->next_data(sc->fd, sc->position);
	if (next > sc->position)
		sc->ahead = FIRST_BYTES;
	sc->position = MIN(next, sc->size);
	return sc->position < sc->size;
}

/* From the position to the end of the file: zeros, hundreds of MiB of them reserved ahead of an open segment's
 * tail, of which most were never written. */
static enum scan_verdict
rest(struct scan *sc)
{
	const uint64_t start = sc->position;
	enum scan_verdict verdict = SCAN_ZEROS;

	while (verdict == SCAN_ZEROS && sc->position < sc->size) {
		const uint64_t buffered = sc->at + sc->have - sc->position;
		const uint8_t *p;
		uint64_t n;

		if (buffered == 0 && sc->skips_holes && !skip_hole(sc))
			break;
		n = buffered ? buffered : MIN(sc->ahead, sc->size - sc->position);
		p = need(sc, n);
		if (!p)
			verdict = SCAN_ERROR;
		else if (!all_zero(p, n))
			verdict = SCAN_BAD;
		sc->position += n;
	}
	sc->position = start;
	return verdict;
}

enum scan_verdict
scan_next(struct scan *sc, int64_t expected, const struct epochs *epochs, bool crc)
{
	const uint64_t left = sc->size - sc->position;
	const uint8_t *b;
	int64_t total;

	if (left == 0)
		return SCAN_END;
	b = need(sc, RB_HEADER);
	if (!b)
		return SCAN_ERROR;
	if (left < RB_HEADER || all_zero(b, RB_HEADER))
		return sc->first_only ? SCAN_ZEROS : rest(sc);
	total = rb_total(b);
	if (total < RB_HEADER || total > BATCH_BYTES_MAX || (uint64_t)total > left)
		return SCAN_BAD;
	b = need(sc, (uint64_t)total);
	if (!b)
		return SCAN_ERROR;
	/* What the CRC does not cover must continue the log. */
	if (batch_check(b, (uint32_t)total, BATCH_EXACT) != 0 || expected > INT64_MAX - rb_count(b) ||
		(rb_base_offset(b) != expected && !BUG(10)) ||
		(epochs && rb_leader_epoch(b) != epochs_at(epochs, expected) && !BUG(10)))
		return SCAN_BAD;
	if (crc && !batch_crc_right(b))
		return SCAN_BAD;
	sc->batch = b;
	sc->total = (uint32_t)total;
	sc->position += (uint64_t)total;
	return SCAN_BATCH;
}
