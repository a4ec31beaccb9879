/* SPDX-License-Identifier: MIT
 * directory_reserve.c - kira.reserve: blocks held while there are some, so that a start on a full disk can
 * write the few small files that it must (kira.state, raised epochs, indexes) before it serves.
 * Blocking: the control thread before others run, then the job that writes kira.state. */
#include "storage/directory.h"
#include "storage/layout.h"

#include <fcntl.h>

static const char name[] = "kira.reserve";

void
directory_reserve(struct storage *s)
{
	uint64_t size = 0;
	int fd, rc;

	if (s->reserved)
		return;
	fd = s->io->openat(s->dirfd, name, O_RDWR | O_CREAT, 0644);
	if (fd < 0)
		return;
	rc = s->io->size(fd, &size);
	if (rc == 0 && size < s->o.reserve_bytes)
		rc = s->io->fallocate(fd, 0, s->o.reserve_bytes);
	(void)s->io->close(fd);
	s->reserved = rc == 0;
	if (rc < 0) /* another time; a part of it would pass for the whole */
		(void)layout_unlink(s->io, s->dirfd, name);
}

bool
directory_release(struct storage *s)
{
	s->reserved = false;
	if (s->io->unlinkat(s->dirfd, name, false) < 0)
		return false;
	(void)layout_sync_dir(s->io, s->dirfd); /* some file systems free blocks at a commit only */
	return true;
}

void
directory_release_if_low(struct storage *s)
{
	struct io_space space;

	if (s->io->space(s->dirfd, &space) == 0 && space.free < 4 * s->o.reserve_bytes)
		(void)directory_release(s);
}
