/* SPDX-License-Identifier: MIT
 * recover.h - the steps of a partition's recovery; private to recover*.c. Blocking. A partition is on
 * one thread at a time: a job of storage_recover(), before any other thread runs. */
#ifndef KIRA_STORAGE_RECOVER_H
#define KIRA_STORAGE_RECOVER_H

#include "storage/directory.h"

/* What lies at an offset, by name. */
enum {
	FOUND_LOG = 1,
	FOUND_INDEX = 2,
	FOUND_TIME = 4,
	FOUND_SNAPSHOT = 8,
	FOUND_DROPPED = 16,
	FOUND_REWRITTEN = 32, /* left by a rewriting that was cut short; CLEANED: before its swap */
	FOUND_CLEANED = 64,
	FOUND_CHECKPOINT = 128,
	FOUND_SEALED = FOUND_LOG | FOUND_INDEX | FOUND_TIME,
};

struct found_at {
	int64_t offset;
	unsigned has;
};

struct found {
	struct found_at *at; /* sorted, one per offset */
	unsigned n, room;
	bool pool;           /* a spare; `stale`: with nothing of the log in it */
	bool stale;
	char (*junk)[64];
	unsigned junks, junks_room;
};

struct recover_all;

struct recovery {
	struct partition *part;
	const struct io *io;
	const struct state_row *row;
	struct recover_all *all;
	struct found found;
	struct segment **seg;   /* as found, oldest first */
	unsigned n;
	unsigned unsealed;      /* index of the first that must be checked */
	int64_t start, end;
	bool torn;              /* the check ended at bytes that are no batch, in the file that ends at `end` */
	int64_t wall_ms;
	/* The thread that tells how far all are reads these. */
	_Atomic uint64_t bytes; /* of log to be read: unsealed, or folded for want of a snapshot */
	_Atomic uint64_t bytes_read;
	uint64_t log_bytes;     /* of all its segments */
	bool trusted;           /* sealed as kira.state says: nothing was appended since */
	bool over;              /* nothing is left to be done */
	struct producers *producers; /* slot 0: of this partition, while it is recovered; 1: to try one */
	bool founded;           /* and on a snapshot */
	struct job job;
	int rc;                 /* of the process, not of this partition: the start is given up */
	struct err err;
};

/* recover.c: names, sizes and small files; the whole of it where kira.state says enough. */
void recover_look(struct recovery *r);
/* What needs the log itself. */
void recover_rest(struct recovery *r);
void recover_free(struct recovery *r);

/* recover_all.c: what a table of producers has learnt, to the storage lcore's. */
bool recover_load(struct recovery *r, const uint8_t *snapshot, uint32_t length);

/* recover_files.c: what is there; left-overs and what lies below the start are removed. */
int recover_list(struct recovery *r, struct err *err);
int recover_segments(struct recovery *r, struct err *err);
/* A file of a segment, and its size. -ENOENT. */
int recover_file(const struct io *io, int dir, int64_t base, const char *suffix, int flags,
	uint64_t *size);
/* What an older start put aside; after a recovery that went well. */
void recover_forget_dropped(const struct recovery *r);
bool recover_has(const struct recovery *r, int64_t offset, unsigned what);
bool recover_has_snapshot_above(const struct recovery *r, int64_t offset);
/* A snapshot or a checkpoint of more than a log that ends at `end`: there was more, whatever became of its files. */
bool recover_tells_more(const struct recovery *r, int64_t end);
/* These, unlinked, once the epoch has risen: a later log may end where such a snapshot was taken, and be without one. */
int recover_forget_above(const struct recovery *r);

/* recover_check.c: where the log ends. Segments above it have end -1. */
int recover_check(struct recovery *r, struct err *err);

/* recover_checkpoint.c: the index and the producers as a checkpoint of the segment has them, which is open as
 * `fd`; from where it is to be checked. False: there is none that can be believed, and nothing changed. */
bool recover_checkpoint(struct recovery *r, struct segment *seg, int fd, uint64_t size, uint64_t *position,
	int64_t *at);

/* recover_producers.c: r->producers becomes what it was where seg[upto] begins (n: at the end), from the
 * newest good snapshot and the headers of sealed segments above it. */
int recover_producers(struct recovery *r, unsigned upto, struct err *err);
/* The log was checked up to here: a snapshot, if none was met yet. */
void recover_found(struct recovery *r, int64_t offset);
/* One more batch, at an offset; and all of it as a snapshot, to be freed. */
void recover_fold(struct recovery *r, const uint8_t *batch, int64_t at);
uint8_t *recover_snapshot(const struct recovery *r, uint32_t *n);
/* Straight to the storage lcore, where a snapshot stands at the end. */
bool recover_snapshot_at_end(struct recovery *r);

#endif
