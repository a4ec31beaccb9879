/* SPDX-License-Identifier: MIT
 * repair_find.c - behind a broken place, the next batch from which the log goes on. Changes nothing.
 *
 * Where the broken batch's own length is right, that is where it says. Else every byte may begin one, and a
 * record's value may hold whole batches of somebody else's log: a batch found inside another must not be taken.
 * So what is found must lead, batch by batch, to a place that no value can reach: one that the index names, the
 * end of the file or its zeros, or further than the largest batch is long. */
#include "storage/repair_plan.h"

#include "storage/scan.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bytes.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <stdlib.h>

#define WINDOW (4 * MIB)

static bool
is_named(const struct repair_find *f, uint64_t position)
{
	unsigned lo = 0, hi = f->entries;

	while (lo < hi) {
		const unsigned mid = lo + (hi - lo) / 2;

		if (get_be32(f->index + (size_t)mid * INDEX_ENTRY_BYTES + 4) < position)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < f->entries && get_be32(f->index + (size_t)lo * INDEX_ENTRY_BYTES + 4) == position;
}

/* 1: batches follow each other from there to such a place. 0: until *broke, which is `position` itself where
 * not even one is whole. -errno. */
static int
leads_on(const struct repair_find *f, struct scan *sc, uint64_t position, int64_t at, uint64_t *broke)
{
	enum scan_verdict v;

	sc->position = position;
	while ((v = scan_next(sc, at, f->epochs, true)) == SCAN_BATCH && at + rb_count(sc->batch) <= f->below) {
		at += rb_count(sc->batch);
		*broke = sc->position;
		if (is_named(f, sc->position - sc->total) || sc->position - position >= BATCH_BYTES_MAX)
			return 1;
	}
	*broke = sc->position;
	if (v == SCAN_ERROR)
		return sc->rc;
	return sc->position > position && (v == SCAN_END || v == SCAN_ZEROS);
}

static bool
may_begin(const struct repair_find *f, const uint8_t *b, uint64_t left)
{
	return b[RB_MAGIC] == 2 && rb_base_offset(b) >= f->from && rb_base_offset(b) < f->below &&
		rb_total(b) >= RB_HEADER && rb_total(b) <= BATCH_BYTES_MAX && (uint64_t)rb_total(b) <= left &&
		rb_count(b) >= 1 && rb_count(b) - 1 == rb_last_offset_delta(b);
}

/* By the broken batch's own length and count; it has that twice, one of the two may be what is broken. */
static int
where_it_says(const struct repair_find *f, struct scan *sc, uint64_t *position, int64_t *offset)
{
	uint8_t was[RB_HEADER], b[RB_HEADER];
	int64_t records;

	if (f->declared == 0 || f->declared + RB_HEADER > f->size ||
		f->io->pread(f->fd, was, sizeof(was), f->broken) != RB_HEADER ||
		f->io->pread(f->fd, b, sizeof(b), f->declared) != RB_HEADER ||
		!may_begin(f, b, f->size - f->declared))
		return 0;
	records = rb_base_offset(b) - f->from;
	if (records != rb_count(was) && records != (int64_t)rb_last_offset_delta(was) + 1)
		return 0;
	sc->position = f->declared;
	if (scan_next(sc, rb_base_offset(b), f->epochs, true) != SCAN_BATCH)
		return 0;
	*position = f->declared;
	*offset = rb_base_offset(b);
	return 1;
}

/* Among the `n` bytes of the file from `base` on. 0: none; *next: where to go on. */
static int
in_window(const struct repair_find *f, struct scan *sc, const uint8_t *w, uint64_t base, uint64_t n,
	uint64_t *next, int64_t *offset)
{
	uint64_t i = 0, broke;
	int rc;

	while (i + RB_HEADER <= n) {
		const uint8_t *magic = memchr(w + i + RB_MAGIC, 2, n - RB_HEADER + 1 - i);

		if (!magic)
			break;
		i = (uint64_t)(magic - w) - RB_MAGIC;
		if (!may_begin(f, w + i, f->size - base - i)) {
			i++;
			continue;
		}
		rc = leads_on(f, sc, base + i, rb_base_offset(w + i), &broke);
		if (rc != 0) {
			*next = base + i;
			*offset = rb_base_offset(w + i);
			return rc;
		}
		/* A whole batch that leads nowhere: whatever is real begins no earlier than where it broke. */
		i = MAX(i + 1, broke - base);
	}
	*next = base + MAX(i, n - RB_HEADER + 1);
	return 0;
}

int
repair_find(const struct repair_find *f, uint64_t *position, int64_t *offset)
{
	uint64_t base = f->broken + 1;
	struct scan sc;
	uint8_t *w;
	int rc = scan_open(&sc, f->io, f->fd, 0);

	if (rc < 0)
		return rc;
	w = malloc(MIN(WINDOW, f->size) + 1);
	ASSERT(w);
	rc = where_it_says(f, &sc, position, offset);
	while (rc == 0 && base + RB_HEADER <= f->size) {
		const int64_t n = f->io->pread(f->fd, w, MIN(WINDOW, f->size - base), base);

		if (n < RB_HEADER) {
			rc = n < 0 ? (int)n : -EIO;
			break;
		}
		rc = in_window(f, &sc, w, base, (uint64_t)n, &base, offset);
		*position = base;
	}
	scan_close(&sc);
	free(w);
	return rc;
}
