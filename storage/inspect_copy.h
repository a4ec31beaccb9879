/* SPDX-License-Identifier: MIT
 * inspect_copy.h - one partition of inspect_copy(); private to inspect_copy*.c. Blocking. */
#ifndef KIRA_STORAGE_INSPECT_COPY_H
#define KIRA_STORAGE_INSPECT_COPY_H

#include "storage/io.h"

#include <stdint.h>

struct copy {
	const struct io *io;
	int from, to;        /* directories */
	int64_t start, cut;  /* what is copied: by kira.state */
	/* The rest is inspect_copy_partition.c's; zeroed at first, kept between tries. */
	int64_t *base;       /* of its .log files, sorted */
	unsigned bases;
	int64_t *snapshot, *index, *times;
	unsigned snapshots, indexes, timess;
	int64_t *done;       /* bases of those that are copied, as they were */
	unsigned dones;
	int64_t restless;    /* of -ESTALE: its base */
};

/* What is there of [start, cut). -ENOENT: a file was gone when it was to be opened, kira.state is newer by now: again,
 * with what it says; sealed segments that are copied stay. -ESTALE: a segment changes its names all the time. */
int copy_partition(struct copy *c);
/* All that was copied is removed. */
int copy_forget(const struct copy *c);
void copy_free(struct copy *c);

/* One file as a whole, of any directory. */
int copy_small(const struct copy *c, const char *name);

#endif
