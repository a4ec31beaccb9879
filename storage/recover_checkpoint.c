/* SPDX-License-Identifier: MIT
 * recover_checkpoint.c - an unsealed segment goes on from its checkpoint: what lies below was durable when it was
 * written. Believed only where the file, read from the disk, has at that place what it says. Blocking. */
#include "storage/recover.h"

#include "storage/checkpoint.h"
#include "storage/layout.h"
#include "storage/scan.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <stdlib.h>

/* From the last index entry on, batches with their checksums: they lead to the end and the position, in the
 * epoch of the checkpoint. A file of that name from another time has another epoch. */
static bool
leads_to(struct recovery *r, int fd, const struct checkpoint_file *cp)
{
	const struct epochs *e = &r->part->epochs;
	uint64_t position = 0;
	int64_t at = cp->base;
	enum scan_verdict v;
	struct scan sc;

	if (epochs_at(e, cp->base) != cp->leader_epoch || epochs_at(e, cp->end - 1) != cp->leader_epoch)
		return false;
	if (cp->entries > 0) {
		const uint8_t *last = cp->entry + (size_t)(cp->entries - 1) * INDEX_ENTRY_BYTES;
		uint8_t b[RB_HEADER];

		position = rb_get32(last, 4);
		if (r->io->pread(fd, b, sizeof(b), position) != sizeof(b))
			return false;
		at = cp->base + rb_get32(last, 0) - rb_last_offset_delta(b);
	}
	if (scan_open(&sc, r->io, fd, position) < 0)
		return false;
	sc.size = MIN(sc.size, cp->position);
	sc.fetched = &r->bytes_read;
	while (sc.position < cp->position && (v = scan_next(&sc, at, e, true)) == SCAN_BATCH)
		at += rb_count(sc.batch);
	position = sc.position;
	scan_close(&sc);
	return position == cp->position && at == cp->end;
}

bool
recover_checkpoint(struct recovery *r, struct segment *seg, int fd, uint64_t size, uint64_t *position,
	int64_t *at)
{
	struct checkpoint_file cp;
	char name[LAYOUT_NAME], *bytes;
	bool good;
	size_t n;

	layout_name(name, seg->base, LAYOUT_CHECKPOINT);
	if (!recover_has(r, seg->base, FOUND_CHECKPOINT) ||
		layout_read(r->io, r->part->dirfd, name, &bytes, &n) < 0)
		return false;
	good = checkpoint_parse((const uint8_t *)bytes, n, &cp) && cp.base == seg->base && cp.position <= size &&
		leads_to(r, fd, &cp);
	if (good)
		good = producers_load(r->producers, 1, cp.snapshot, cp.snapshot_length, 0);
	producers_forget(r->producers, 1);
	good = good && checkpoint_index(&cp, &seg->index);
	if (good) {
		producers_forget(r->producers, 0);
		(void)producers_load(r->producers, 0, cp.snapshot, cp.snapshot_length, clock_now_ns());
		r->founded = true;
		*position = cp.position;
		*at = cp.end;
		atomic_fetch_sub(&r->bytes, cp.position);
	}
	free(bytes);
	return good;
}
