/* SPDX-License-Identifier: MIT
 * repair.h - the door of storage/ for `kira repair`: damage that a start refuses to cut is decided by a person,
 * offline. Nothing is asked and nothing is changed unless `mode` says so and `dry` does not.
 *
 * Where the log of a partition is broken (a batch that does not continue it, a file that is missing or cut
 * short, an end below what was durable) two ways lead on:
 *   truncate  the log ends before the first such place; its offsets are given out again, in a new epoch
 *   skip      the broken stretches are cut out and recorded as holes; all whole batches stay
 * What leaves the log is kept beside it, as <offset>.log.bad. Index files that are wrong and a lost
 * leader-epoch-checkpoint are made anew in both ways. Every step may be repeated: after a crash, run it again.
 * Blocking; one thread, the caller's; holds the directory's lock. */
#ifndef KIRA_STORAGE_REPAIR_H
#define KIRA_STORAGE_REPAIR_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct io; /* io.h */

enum repair_mode {
	REPAIR_LOOK,     /* say what is broken and what either way would cost */
	REPAIR_TRUNCATE,
	REPAIR_SKIP,
};

enum repair_line {
	REPAIR_BROKEN,   /* a broken stretch: what is wrong, which offsets it holds */
	REPAIR_LOSES,    /* what a way costs, or has cost */
	REPAIR_DOES,     /* what is made, or was made; nothing is lost by it */
};

struct repair {
	const struct io *io;      /* NULL: the real system calls */
	enum repair_mode mode;
	bool dry;                 /* say what `mode` would do, and do nothing */
	const char *partition;    /* "t-0"; NULL: all of the catalogue */
	/* A sentence, without a line's end. `path`: of the file or directory it is about. */
	void (*say)(void *arg, enum repair_line kind, const char *path, const char *text);
	void *arg;
	/* What was found and done. */
	uint64_t partitions, broken, repaired; /* partitions looked at, with something to repair, repaired */
	uint64_t offsets_lost;                 /* by `mode`, or to be lost by it */
};

/* 0, or -errno: -EAGAIN a broker runs on it, -ENOENT no such partition; what was repaired before stays. */
int repair_directory(struct repair *r, const char *path, struct err *err);

#endif
