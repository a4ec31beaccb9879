/* SPDX-License-Identifier: MIT
 * repair_plan.h - what a repair knows of one partition, and its steps; private to repair*.c. Blocking. */
#ifndef KIRA_STORAGE_REPAIR_PLAN_H
#define KIRA_STORAGE_REPAIR_PLAN_H

#include "storage/epoch.h"
#include "storage/offline.h"
#include "storage/repair.h"

#define REPAIR_WHY     240
#define REPAIR_NO_FILE UINT32_MAX

/* A stretch of the log, in the order of offsets. Kept: whole batches that continue each other. Lost: what lies
 * between two of those; without bytes where a file is missing. */
struct repair_piece {
	bool lost;
	unsigned file;           /* place in repair_log.file; REPAIR_NO_FILE: in none */
	uint64_t from, to;       /* bytes of the file */
	int64_t first, end;      /* offsets; of a lost piece those that no kept one has */
	uint64_t batches, records; /* of a kept one */
	char why[REPAIR_WHY];    /* of a lost one */
};

struct repair_file {
	int64_t base;
	uint64_t size;
	bool sealed;             /* both index files are there */
	bool read;               /* walked: it is part of the chain */
	bool index_wrong;        /* and are not what the log gives */
	uint64_t used;           /* where its walk ended: zeros from there on, or a torn tail */
};

struct repair_log {
	const struct io *io;
	const struct state_row *row; /* NULL: none */
	int dir;                 /* the partition's directory, -1: missing */
	char path[DIR_PATH_MAX];
	struct epochs epochs;
	bool epochs_lost;        /* the file was; these were made from the batches */
	bool clean;              /* the last stop was */
	struct repair_file *file;
	unsigned files;
	bool pool;               /* there is a spare that goes on with the log, at offset `end` */
	struct repair_piece *piece;
	unsigned pieces;
	int64_t start, promised; /* start offset; up to here it was durable */
	int64_t end;             /* behind the last piece */
};

/* repair_scan.c: fills it but for io, row, dir, path, clean. Changes nothing. */
int repair_scan(struct repair_log *log, struct err *err);
void repair_forget(struct repair_log *log);
/* The first lost piece that matters; NULL: nothing is lost. */
const struct repair_piece *repair_first_lost(const struct repair_log *log);

/* repair_find.c: behind a broken place the next one from which the log goes on: a batch at or above offset
 * `from` and below `below`. 1 found, at *position and *offset; 0: none up to the end of the file; -errno. */
struct repair_find {
	const struct io *io;
	int fd;
	uint64_t size;
	const struct epochs *epochs;
	uint64_t broken, declared;     /* position of the broken place; behind it by its own length, 0: none */
	int64_t from, below;
	const uint8_t *index;          /* entries of the .index file, if there is one */
	unsigned entries;
};
int repair_find(const struct repair_find *f, uint64_t *position, int64_t *offset);

/* repair_write.c: files become what the plan says, in an order that may be cut short anywhere. */
int repair_skip(const struct repair_log *log, struct err *err);
int repair_truncate(const struct repair_log *log, int64_t end, struct err *err);
/* Of the files that stay as they are, below `end`. */
int repair_indexes(const struct repair_log *log, int64_t end, struct err *err);

#endif
