/* SPDX-License-Identifier: MIT
 * recover_producers.c - producer state after a start: the newest good snapshot, then batch headers, by the
 * function that append uses. A snapshot knows all that the table knew, so nothing below it is read.
 * Blocking. */
#include "storage/recover.h"

#include "storage/batch.h"
#include "storage/layout.h"
#include "storage/scan.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static int
read_snapshot(const struct recovery *r, int64_t offset, char **bytes, size_t *n)
{
	char name[LAYOUT_NAME];

	if (!recover_has(r, offset, FOUND_SNAPSHOT))
		return -ENOENT;
	layout_name(name, offset, ".snapshot");
	return layout_read(r->io, r->part->dirfd, name, bytes, n);
}

bool
recover_snapshot_at_end(struct recovery *r)
{
	char *bytes;
	size_t n;
	bool good;

	if (read_snapshot(r, r->end, &bytes, &n) < 0)
		return false;
	good = recover_load(r, (const uint8_t *)bytes, (uint32_t)n);
	free(bytes);
	if (good && r->n > 0)
		r->seg[r->n - 1]->remembered = true;
	return good;
}

static bool
load_snapshot(struct recovery *r, int64_t offset)
{
	char *bytes;
	size_t n;
	bool good;

	if (read_snapshot(r, offset, &bytes, &n) < 0)
		return false;
	good = producers_load(r->producers, 0, (const uint8_t *)bytes, (uint32_t)n, clock_now_ns());
	free(bytes);
	return good;
}

/* The first segment is what a deletion left of one: the snapshot at its beginning went with it, and only
 * that at its end knows who came before. */
void
recover_found(struct recovery *r, int64_t offset)
{
	if (r->founded || !recover_has(r, offset, FOUND_SNAPSHOT))
		return;
	producers_forget(r->producers, 0);
	r->founded = load_snapshot(r, offset);
}

uint8_t *
recover_snapshot(const struct recovery *r, uint32_t *n)
{
	const uint32_t room = PRODUCER_SNAPSHOT_BYTES(producers_count(r->producers, 0));
	uint8_t *bytes = malloc(room);

	ASSERT(bytes);
	*n = producers_put(r->producers, 0, bytes, room);
	producers_seal_snapshot(bytes, *n);
	return bytes;
}

void
recover_fold(struct recovery *r, const uint8_t *batch, int64_t at)
{
	if (!BUG(12))
		producers_fold(r->producers, 0, batch, at, clock_now_ns());
}

/* Headers of one sealed segment, in the order they were appended. */
static int
fold_segment(struct recovery *r, const struct segment *seg)
{
	enum scan_verdict v;
	struct scan sc;
	uint64_t size;
	int64_t at = seg->base;
	int rc, fd = recover_file(r->io, r->part->dirfd, seg->base, ".log", O_RDONLY, &size);

	if (fd < 0)
		return fd;
	rc = scan_open(&sc, r->io, fd, 0);
	if (rc < 0) {
		(void)r->io->close(fd);
		return rc;
	}
	sc.fetched = &r->bytes_read;
	while ((v = scan_next(&sc, at, NULL, false)) == SCAN_BATCH) {
		recover_fold(r, sc.batch, at);
		at += rb_count(sc.batch);
	}
	rc = v == SCAN_ERROR ? sc.rc : 0;
	scan_close(&sc);
	(void)r->io->close(fd);
	return rc;
}

/* At the end of a segment, what a roll could not write down (more producers than was guessed), or a person
 * removed: once retention has taken the batches, only this remembers. A full disk takes it later, and they
 * stay so long. */
static int
put_snapshot(struct recovery *r, struct segment *seg, int64_t offset)
{
	char name[LAYOUT_NAME];
	uint32_t n;
	uint8_t *bytes = recover_snapshot(r, &n);
	int rc;

	layout_name(name, offset, ".snapshot");
	rc = layout_replace(r->io, r->part->dirfd, name, bytes, n);
	free(bytes);
	seg->remembered = rc == 0;
	return layout_no_space(rc) ? 0 : rc;
}

int
recover_producers(struct recovery *r, unsigned upto, struct err *err)
{
	const int64_t at = upto < r->n ? r->seg[upto]->base : r->end;
	unsigned first = upto;
	int rc = 0;

	/* Back to the newest good one. What was deleted below the first segment, the one there remembers. */
	while (!(r->founded = load_snapshot(r, first < r->n ? r->seg[first]->base : r->end)) && first > 0)
		atomic_fetch_add(&r->bytes, segment_used(r->seg[--first]));
	if (r->founded && first > 0)
		r->seg[first - 1]->remembered = true;
	if (first == upto)
		return 0;
	for (; first < upto && rc == 0; first++)
		rc = fold_segment(r, r->seg[first]);
	if (rc < 0)
		return err_sys(err, rc, "read batch headers for producer state");
	/* Without a snapshot below, these batches are all that is known so far; one above knew those before them, whose
	 * files went for it. Less is not written down: a start after this one would begin with it. */
	if (!r->founded && recover_has_snapshot_above(r, at))
		return 0;
	rc = put_snapshot(r, r->seg[upto - 1], at);
	return rc < 0 ? err_sys(err, rc, "write a producer snapshot") : 0;
}
