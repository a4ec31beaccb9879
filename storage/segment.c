/* SPDX-License-Identifier: MIT
 * segment.c - make, name, seal and free the file of a segment. Blocking: a job thread, or the
 * control thread while no other runs. */
#include "storage/segment.h"

#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/bug.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

const char *const segment_suffix[SEGMENT_PARTS] = {".log", ".index", ".timeindex"};

static struct segment *
alloc(struct partition *part, int64_t base, uint64_t size)
{
	struct segment *seg = aligned_alloc(CACHE_LINE, round_up(sizeof(*seg), CACHE_LINE));

	ASSERT(seg);
	memset(seg, 0, sizeof(*seg));
	seg->part = part;
	seg->io = part->storage->io;
	seg->base = base;
	seg->prev_base = SEGMENT_NO_BASE;
	seg->size = size;
	seg->fd = -1;
	seg->max_timestamp = -1;
	for (unsigned i = 0; i < SEGMENT_PARTS; i++)
		seg->kept[i] = -1;
	atomic_init(&seg->looked, true);
	return seg;
}

int
segment_make(struct segment **ret, struct partition *part, uint64_t size, uint64_t first,
	uint64_t touch, uint32_t producers)
{
	const struct io *io = part->storage->io;
	struct segment *seg = alloc(part, SEGMENT_NO_BASE, size);
	int rc;

	atomic_init(&seg->used, SEGMENT_OPEN);
	first = MIN(first, size);
	touch = MIN(touch, first);
	rc = layout_unlink(io, part->dirfd, LAYOUT_SPARE);
	if (rc == 0)
		rc = io->openat(part->dirfd, LAYOUT_SPARE, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (rc < 0)
		goto fail;
	seg->fd = rc;
	/* Not synced: its first commit carries the blocks, its naming the directory entry. */
	rc = io->fallocate(seg->fd, 0, first);
	if (rc == 0)
		rc = io->map(seg->fd, size, &seg->map);
	if (rc == 0)
		rc = index_open(&seg->index, io, size);
	if (rc == 0)
		rc = io->populate(seg->map, touch);
	if (rc == 0)
		rc = index_populate(&seg->index, io, 0, touch);
	if (rc < 0)
		goto fail_unlink;
	seg->allocated = first;
	seg->populated = touch;
	seg->snapshot_room = PRODUCER_SNAPSHOT_BYTES(producers);
	seg->snapshot = malloc(seg->snapshot_room);
	ASSERT(seg->snapshot);
	atomic_init(&seg->ready, touch);
	*ret = seg;
	return 0;
fail_unlink:
	(void)io->unlinkat(part->dirfd, LAYOUT_SPARE, false);
fail:
	segment_free(seg);
	return rc;
}

struct segment *
segment_found(struct partition *part, int64_t base, uint64_t size)
{
	struct segment *seg = alloc(part, base, size);

	atomic_init(&seg->used, size);
	seg->synced = size;
	seg->named = seg->whole = true;
	atomic_init(&seg->looked, false);
	return seg;
}

/* The error of a sync: what it lost it says once, and never again, whatever it is called. No caller may
 * take it for one that passes. */
static int
final(int rc)
{
	return rc < 0 ? -EIO : 0;
}

struct segment *
segment_blank(struct partition *part, int64_t base)
{
	struct segment *seg = alloc(part, base, 0);

	seg->named = seg->whole = seg->blank = true;
	return seg;
}

int
segment_reaches(const struct segment *seg, uint64_t length)
{
	uint64_t size;
	const int rc = seg->io->size(seg->fd, &size);

	return rc < 0 ? rc : size < length ? -EIO : 0;
}

int
segment_name(struct segment *seg)
{
	struct partition *part = seg->part;
	const struct io *io = part->storage->io;
	char name[LAYOUT_NAME];
	int rc;

	layout_name(name, seg->base, ".log");
	rc = io->renameat(part->dirfd, LAYOUT_SPARE, name);
	return rc < 0 || BUG(9) ? rc : final(layout_sync_dir(io, part->dirfd));
}

int
segment_put_entries(const struct io *io, int dir, int64_t base, const struct index *ix,
	const char *tail)
{
	const uint32_t n = atomic_load_explicit(&ix->n, memory_order_acquire);
	const uint32_t m = atomic_load_explicit(&ix->times, memory_order_acquire);
	char name[LAYOUT_NAME], suffix[24];
	uint8_t *entries = malloc((size_t)n * INDEX_ENTRY_BYTES + (size_t)m * TIME_ENTRY_BYTES + 1);
	uint8_t *times = entries + (size_t)n * INDEX_ENTRY_BYTES;
	int rc = 0;

	ASSERT(entries);
	index_put(ix, entries, times);
	(void)snprintf(suffix, sizeof(suffix), ".index%s", tail);
	layout_name(name, base, suffix);
	rc = layout_put(io, dir, name, entries, (size_t)n * INDEX_ENTRY_BYTES);
	(void)snprintf(suffix, sizeof(suffix), ".timeindex%s", tail);
	layout_name(name, base, suffix);
	if (rc == 0)
		rc = layout_put(io, dir, name, times, (size_t)m * TIME_ENTRY_BYTES);
	free(entries);
	return rc;
}

int
segment_put_index(struct segment *seg)
{
	struct partition *part = seg->part;
	const struct io *io = part->storage->io;
	char name[LAYOUT_NAME];
	int rc = 0;

	/* The indexes last: a segment that has both is sealed, and has its snapshot. None where there were
	 * more producers than was guessed: a start then reads on from the one before. */
	if (seg->snapshot_length > 0) {
		producers_seal_snapshot(seg->snapshot, seg->snapshot_length);
		layout_name(name, seg->end, ".snapshot");
		rc = layout_put(io, part->dirfd, name, seg->snapshot, seg->snapshot_length);
	}
	return rc < 0 ? rc : segment_put_entries(io, part->dirfd, seg->base, &seg->index, "");
}

int
segment_seal(struct segment *seg)
{
	struct partition *part = seg->part;
	const struct io *io = part->storage->io;
	const uint64_t used = segment_used(seg);
	char name[LAYOUT_NAME];
	int rc = 0;

	ASSERT(used != SEGMENT_OPEN && (seg->synced >= used || BUG(22)));
	if (seg->map)
		rc = io->unmap(seg->map, seg->size);
	seg->map = NULL;
	if (rc == 0)
		rc = segment_reaches(seg, used); /* else zeros would take the place of records */
	if (rc == 0)
		rc = io->ftruncate(seg->fd, used);
	if (rc == 0)
		rc = final(io->fsync(seg->fd));
	if (rc == 0)
		rc = segment_put_index(seg);
	if (rc == 0) {
		layout_name(name, seg->base, LAYOUT_CHECKPOINT);
		(void)layout_unlink(io, part->dirfd, name); /* else the next start does */
	}
	return rc < 0 ? rc : final(layout_sync_dir(io, part->dirfd));
}

void
segment_free(struct segment *seg)
{
	if (!seg)
		return;
	if (seg->map)
		(void)seg->io->unmap(seg->map, seg->size);
	index_close(&seg->index, seg->io);
	(void)seg->io->close(seg->fd);
	for (unsigned i = 0; i < SEGMENT_PARTS; i++)
		(void)seg->io->close(seg->kept[i]);
	free(seg->snapshot);
	free(atomic_load(&seg->asked));
	free(seg);
}
