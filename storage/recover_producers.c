/* SPDX-License-Identifier: MIT
 * recover_producers.c - producer state after a start: a snapshot, then batch headers up to the end,
 * by the function that append uses. Blocking. */
#include "storage/recover.h"

#include "storage/batch.h"
#include "storage/layout.h"
#include "storage/scan.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <fcntl.h>
#include <stdlib.h>

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

/* Was there one at this offset? Not asked of whether it is good. */
static bool
has_snapshot(const struct recovery *r, int64_t offset)
{
	for (unsigned i = 0; i < r->found.snapshots; i++)
		if (r->found.snapshot[i] == offset)
			return true;
	return false;
}

/* What a recovery sealed, no roll wrote down: once retention has taken that, only this remembers. */
static int
put_snapshot(struct recovery *r, const struct producers *p, int64_t offset)
{
	const uint32_t room = PRODUCER_SNAPSHOT_BYTES(producers_count(p, r->part->slot));
	uint8_t *bytes = malloc(room);
	char name[LAYOUT_NAME];
	uint32_t n;
	int rc;

	ASSERT(bytes);
	n = producers_put(p, r->part->slot, bytes, room);
	producers_seal_snapshot(bytes, n);
	layout_name(name, offset, ".snapshot");
	rc = layout_put(r->io, r->part->dirfd, name, bytes, n);
	free(bytes);
	return rc;
}

/* Headers of one segment, in the order they were appended. */
static int
fold_segment(struct recovery *r, struct producers *p, const struct segment *seg, uint64_t now_ns)
{
	enum scan_verdict v;
	struct scan sc;
	uint64_t size;
	int64_t at = seg->base;
	int rc, fd = recover_file(r, seg->base, ".log", O_RDONLY, &size);

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

int
recover_producers(struct recovery *r, struct err *err)
{
	struct producers *p = r->part->storage->lcore[r->part->lcore].producers;
	const uint64_t now_ns = clock_now_ns();
	unsigned first = r->n;
	int rc = 0;

	/* Back to the newest good snapshot: it judges as the table did when it was written. What was
	 * deleted below the first segment, the one there remembers. */
	while (!load_snapshot(r, p, first < r->n ? r->seg[first]->base : r->end) && first > 0)
		first--;
	for (; first < r->n && rc == 0 && !BUG(12); first++) {
		rc = fold_segment(r, p, r->seg[first], now_ns);
		if (rc < 0)
			return err_sys(err, rc, "read batch headers for producer state");
		if (!has_snapshot(r, r->seg[first]->end))
			rc = put_snapshot(r, p, r->seg[first]->end);
	}
	if (rc < 0)
		return err_sys(err, rc, "write a producer snapshot");
	atomic_store(&r->part->producers, producers_count(p, r->part->slot));
	return 0;
}
