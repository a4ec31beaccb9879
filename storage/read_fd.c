/* SPDX-License-Identifier: MIT
 * read_fd.c - descriptors and pins of segments, and what the flush daemon hands over.
 * Thread: control. Owns: the list of open read descriptors, the freeing of segments and arrays. */
#include "storage/directory.h"
#include "storage/layout.h"
#include "storage/read.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/hook.h"

#include <fcntl.h>
#include <stdlib.h>

/* ---- The list, most recently used first; s->lru is its head ------------------------------- */

static void
lru_leave(struct storage *s, struct segment *seg)
{
	if (!seg->lru_next)
		return;
	seg->lru_prev->lru_next = seg->lru_next;
	seg->lru_next->lru_prev = seg->lru_prev;
	seg->lru_next = seg->lru_prev = NULL;
	s->read_fds--;
}

static void
lru_enter(struct storage *s, struct segment *seg)
{
	seg->lru_prev = &s->lru;
	seg->lru_next = s->lru.lru_next;
	seg->lru_next->lru_prev = seg;
	s->lru.lru_next = seg;
	s->read_fds++;
}

static void
close_oldest(struct storage *s)
{
	struct segment *seg = s->lru.lru_prev;

	while (s->read_fds > READ_FDS_MAX && seg != &s->lru) {
		struct segment *newer = seg->lru_prev;

		if (seg->pins == 0) {
			lru_leave(s, seg);
			(void)s->io->close(seg->fd);
			seg->fd = -1;
		}
		seg = newer;
	}
}

int
read_open(const struct segment *seg, enum segment_part part, bool *kept)
{
	char name[LAYOUT_NAME];
	int fd;

	layout_name(name, seg->base, segment_suffix[part]);
	fd = seg->io->openat(seg->part->dirfd, name, O_RDONLY, 0);
	/* S2, after the open: a name that was changed before it was changed after S1. */
	*kept = atomic_load(&seg->swapping) && !BUG(18);
	if (!*kept)
		return fd;
	(void)seg->io->close(fd);
	return seg->kept[part];
}

int
storage_segment_fd(struct storage *s, struct segment *seg)
{
	bool kept;

	/* Open and not in the list: not sealed yet, the flush daemon's. */
	if (seg->fd >= 0 && !seg->lru_next)
		return seg->fd;
	if (seg->fd < 0) {
		const int fd = read_open(seg, SEGMENT_LOG, &kept);

		if (fd < 0 || kept)
			return fd;
		seg->fd = fd;
	} else {
		lru_leave(s, seg);
	}
	lru_enter(s, seg);
	seg->pins++; /* not this one */
	close_oldest(s);
	seg->pins--;
	return seg->fd;
}

/* ---- Pins and freeing --------------------------------------------------------------------- */

void
storage_unpin(struct segment *seg)
{
	ASSERT(seg->pins > 0);
	if (--seg->pins == 0 && seg->orphan)
		segment_free(seg);
}

void
storage_free_segment(struct storage *s, struct segment *seg)
{
	if (!seg)
		return;
	lru_leave(s, seg);
	if (seg->pins > 0)
		seg->orphan = true; /* its inode lives on in the descriptor */
	else
		segment_free(seg);
}

const struct segments *
storage_segments(struct partition *part)
{
	struct segments *a;

	HOOK(L2);
	a = atomic_load_explicit(&part->segments, memory_order_acquire); /* L2 */
	while (a && a->older) {
		struct segments *older = a->older;

		a->older = older->older;
		free(older);
	}
	return a;
}

void
storage_take_segments(struct storage *s)
{
	struct segment *gone, *sealed, *next;

	/* In this order: what is gone was sealed before. */
	gone = atomic_exchange_explicit(&s->gone, NULL, memory_order_acquire);
	sealed = atomic_exchange_explicit(&s->sealed, NULL, memory_order_acquire);
	for (; sealed; sealed = next) {
		next = sealed->sealed_next;
		index_close(&sealed->index, s->io);
		free(sealed->snapshot);
		sealed->snapshot = NULL;
		lru_enter(s, sealed);
		(void)storage_segments(sealed->part);
	}
	for (; gone; gone = next) {
		next = gone->gone_next;
		(void)storage_segments(gone->part);
		storage_free_segment(s, gone);
	}
	close_oldest(s);
}
