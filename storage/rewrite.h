/* SPDX-License-Identifier: MIT
 * rewrite.h - a sealed segment rewritten: copied into larger LZ4 batches beside it, read back from the
 * disk, and put in its place by renames that a crash cannot leave half done (FORMAT.md, .cleaned and
 * .swap). The old files are not touched: who has them open reads on. Blocking, in pieces of some
 * MiB: a job thread of the flush daemon; recovery calls the last function. */
#ifndef KIRA_STORAGE_REWRITE_H
#define KIRA_STORAGE_REWRITE_H

#include "storage/epoch.h"
#include "storage/io.h"
#include "storage/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* A start folds producer state from the newest good snapshot on. Two must lie above what is rewritten:
 * one may be damaged later. */
#define REWRITE_SNAPSHOTS     8
#define REWRITE_SNAPSHOTS_MIN 2

struct rewrite_order {
	const struct io *io;
	int dir;                     /* of the partition; stays the caller's */
	int64_t base;
	uint64_t size;               /* of the .log */
	int64_t bytes_max;           /* max.message.bytes */
	const struct epochs *epochs; /* not copied */
	int64_t snapshot[REWRITE_SNAPSHOTS]; /* offsets: REWRITE_SNAPSHOTS_MIN must be there and right */
	unsigned snapshots;
};

enum rewrite_result {
	REWRITE_READY,   /* read back and found equal: rewrite_swap() */
	REWRITE_MORE,    /* a piece is done: call again */
	REWRITE_USELESS, /* less than 10 % would be saved, or nothing of it may be merged */
	REWRITE_LATER,   /* too few snapshots: producer state may need its headers yet */
};

struct rewrite;

struct rewrite *rewrite_open(const struct rewrite_order *order);
/* One piece: enum rewrite_result or -errno (-EBADMSG: the source is damaged, or what was written is
 * not the same). After anything but MORE and READY only rewrite_drop() may follow. */
int rewrite_step(struct rewrite *rw);
/* The old files, open, and the size of the new log. The descriptors are the caller's from here on;
 * where it has some already those stay. */
uint64_t rewrite_give(struct rewrite *rw, int kept[SEGMENT_PARTS]);
/* 0: the names are the new files'. Else -errno: they may be by halves, which the next start undoes or
 * finishes; until then the old files are read by what rewrite_give() gave. */
int rewrite_swap(struct rewrite *rw);
/* What was made and not swapped is removed. */
void rewrite_drop(struct rewrite *rw);
/* Memory and descriptors alone. NULL is nothing. */
void rewrite_close(struct rewrite *rw);

/* The base in the name of a .cleaned or .swap file, -1: it is none. `part`: of segment_suffix; may be NULL. */
int64_t rewrite_left(const char *name, bool *cleaned, unsigned *part);
/* At a start, of a base with a .cleaned or .swap file: undone while one is .cleaned, else finished.
 * May be repeated after a crash anywhere in it. */
int rewrite_recover(const struct io *io, int dir, int64_t base, bool any_cleaned);

#endif
