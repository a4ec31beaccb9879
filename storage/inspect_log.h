/* SPDX-License-Identifier: MIT
 * inspect_log.h - the steps of an inspection; private to inspect*.c. Blocking, one thread. */
#ifndef KIRA_STORAGE_INSPECT_LOG_H
#define KIRA_STORAGE_INSPECT_LOG_H

#include "storage/directory.h"
#include "storage/inspect.h"
#include "storage/scan.h"

/* An open directory and its path, for messages. */
struct inspect_place {
	int fd;
	const char *path;
};

/* Counts it and gives it out. `name` NULL: the directory itself. */
__attribute__((format(printf, 8, 9))) void
inspect_say(struct inspect *in, enum inspect_level level, const struct inspect_place *at,
	const char *name, int64_t position, int64_t offset, const char *cure, const char *format, ...);

/* ---- inspect.c: one .log, batch by batch -------------------------------------------------- */

struct inspect_log {
	/* Asked. */
	int64_t base;                  /* -1: the first batch says it */
	const struct epochs *epochs;   /* NULL: any, if they do not fall */
	bool tail;                     /* what does not continue the log ends it, and is no damage */
	struct index *index;           /* made anew on the way; NULL: not wanted */
	struct producers *producers;   /* folded into slot 0; NULL: not */
	/* Answered. */
	int64_t end;                   /* the next offset */
	uint64_t size, position;       /* position: behind the last batch */
	uint64_t batches;
	int32_t epoch;                 /* of the last batch, -1 */
	enum scan_verdict verdict;     /* how the walk ended */
	bool damaged;
	char why[200];                 /* SCAN_BAD: what is wrong at `position` */
};

int inspect_log(struct inspect *in, const struct inspect_place *at, const char *name,
	struct inspect_log *log, struct err *err);

/* ---- inspect_index.c ---------------------------------------------------------------------- */

/* Both index files of a sealed segment are, byte for byte, what its log gives. */
int inspect_indexes(struct inspect *in, const struct inspect_place *at, int64_t base,
	const struct index *made, struct err *err);

/* ---- inspect_partition.c ------------------------------------------------------------------ */

struct inspect_partition {
	const char *topic;
	int32_t index;
	const uint8_t *id;             /* NULL: the catalogue cannot be read */
	const struct state_row *row;   /* NULL: kira.state has none */
	bool clean;                    /* the last stop was */
	struct producers *producers;   /* slots 0 and 1, used for one partition after the other */
};

int inspect_partition(struct inspect *in, const struct inspect_place *root,
	const struct inspect_partition *p, struct err *err);

/* ---- inspect_producers.c ------------------------------------------------------------------ */

/* The snapshot at `offset`, if there is one, against what the headers gave. `before`: the first offset
 * of the walk; what a producer stored below it is taken from the first snapshot there is. */
int inspect_snapshot(struct inspect *in, const struct inspect_place *at, struct producers *p,
	int64_t offset, int64_t before, bool *loaded, struct err *err);

#endif
