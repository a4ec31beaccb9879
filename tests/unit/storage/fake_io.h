/* SPDX-License-Identifier: MIT
 * fake_io.h - io_posix with a counter at each call and a hook that may refuse it. Syncs reach no
 * disk: the page cache is the disk of these tests, which makes them fast; what a sync promised is
 * what the test believes. Free space is made up. Or over another table (`under`), which all calls
 * reach. Thread: main. */
#ifndef KIRA_TESTS_STORAGE_FAKE_IO_H
#define KIRA_TESTS_STORAGE_FAKE_IO_H

#include "storage/io.h"

#include <stdatomic.h>

enum io_kind {
	IO_OPENAT,
	IO_CLOSE,
	IO_SIZE,
	IO_FALLOCATE,
	IO_FTRUNCATE,
	IO_PREAD,
	IO_PWRITE,
	IO_FSYNC,
	IO_SYNC_RANGE,
	IO_WRITE_BEHIND,
	IO_DROP_CACHE,
	IO_CACHED,
	IO_NEXT_DATA,
	IO_MAP,
	IO_UNMAP,
	IO_POPULATE,
	IO_UNPOPULATE,
	IO_RENAMEAT,
	IO_UNLINKAT,
	IO_MKDIRAT,
	IO_SIZE_AT,
	IO_CHANGED_MS,
	IO_LIST,
	IO_LOCK,
	IO_SPACE,
	IO_SYNC_ALL,
	IO_KINDS,
};

#define FAKE_FDS 1024 /* above: not told */

struct fake_io {
	const struct io *under; /* NULL: io_posix, as above */
	uint64_t calls[IO_KINDS], total; /* close, unmap and next_data never fail, and are not in the total */
	/* 0: go on; else -errno, and the call is not made. `name`: of a file, or NULL. */
	int (*hook)(enum io_kind kind, int fd, const char *name);
	uint64_t dies_at;  /* this call, counted by `total`, and all after it fail */
	uint64_t fails_at; /* only this one */
	uint64_t short_at; /* this one, a pread or pwrite, moves half of what it should */
	int fail_rc;
	unsigned cached_for; /* so many looks find 8 KiB in the page cache; else nothing */
	bool tells_no_holes; /* as a file system that knows none */
	unsigned let_go;     /* calls */
	uint64_t slept_ms;   /* nobody sleeps, */
	_Atomic unsigned asleep, asleep_most; /* or for no longer than another thread needs to do so too */
	int64_t changed_ms;  /* of every file: the test's wall clock is none of the kernel's */
	struct io_space space;
	/* Of the file with this inode number the kernel could not write something back, so many times: told by fsync
	 * once to each open file; one opened later is told of the last, if nobody was before. */
	uint64_t lost_inode;
	unsigned lost;
	bool lost_told;
	unsigned lost_seen[FAKE_FDS];
};

extern struct fake_io fake;
extern const struct io fake_io;

/* Once more, of that descriptor's file: one file per test. */
void fake_io_lose(int fd);
/* No hook, no failure, counters 0, 50 of 100 GiB free. */
void fake_io_reset(void);

#endif
