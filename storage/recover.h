/* SPDX-License-Identifier: MIT
 * recover.h - the steps of a partition's recovery; private to recover*.c. Blocking: the control
 * thread at start, before any other thread runs. */
#ifndef KIRA_STORAGE_RECOVER_H
#define KIRA_STORAGE_RECOVER_H

#include "storage/directory.h"

struct found {
	int64_t *base;   /* of .log files, sorted */
	unsigned n, room;
	int64_t *index;  /* of .index and .timeindex files */
	unsigned indexes, indexes_room;
	int64_t *snapshot;
	unsigned snapshots, snapshots_room;
	int64_t *dropped; /* of .log.dropped files */
	unsigned droppeds, droppeds_room;
	int64_t *left, *cleaned; /* of files that a rewriting left; of those that are .cleaned */
	unsigned lefts, lefts_room, cleaneds, cleaneds_room;
	bool pool;
	char (*junk)[64];
	unsigned junks, junks_room;
};

struct recovery {
	struct partition *part;
	const struct io *io;
	const struct state_row *row;
	struct found found;
	struct segment **seg;   /* as found, oldest first */
	unsigned n;
	unsigned unsealed;      /* index of the first that must be checked */
	int64_t start, end;
	int64_t wall_ms;
};

/* recover_files.c: what is there; left-overs and what lies below the start are removed. */
int recover_list(struct recovery *r, struct err *err);
int recover_open(struct recovery *r, struct err *err);
/* A file of a segment, and its size. -ENOENT. */
int recover_file(const struct recovery *r, int64_t base, const char *suffix, int flags,
	uint64_t *size);
/* What an older start put aside; after a recovery that went well. */
void recover_forget_dropped(const struct recovery *r);

/* recover_check.c: where the log ends. Segments above it have end -1. */
int recover_check(struct recovery *r, struct err *err);

/* recover_producers.c: producer state at the end, from a snapshot and the headers above it. */
int recover_producers(struct recovery *r, struct err *err);

#endif
