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
	bool merged;                   /* it may have been rewritten: producers are gone from some headers */
	char why[200];                 /* SCAN_BAD: what is wrong at `position` */
};

int inspect_log(struct inspect *in, const struct inspect_place *at, const char *name,
	struct inspect_log *log, struct err *err);

/* The bytes of a batch that scan_next() refused, and why. */
struct inspect_refused {
	uint8_t *bytes;                /* to be freed; NULL: its length is none */
	uint32_t total;
	bool crc;                      /* which is right all the same */
};

/* Says in log->why what is wrong at the scan's position, where log->end must follow. -errno. */
int inspect_refuse(const struct scan *sc, struct inspect_log *log, struct inspect_refused *r);

/* ---- inspect_index.c ---------------------------------------------------------------------- */

/* Both index files of a sealed segment are, byte for byte, what its log gives. `suffix`: of the offset
 * index and of the time index. */
int inspect_indexes(struct inspect *in, const struct inspect_place *at, int64_t base,
	const char *const suffix[2], const struct index *made, struct err *err);

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

struct inspect_snapshot {
	struct producers *producers;   /* what the headers gave, in slot 0 */
	int64_t offset;                /* of the snapshot */
	int64_t before;                /* first offset of the walk: what lies below it the first snapshot says */
	const struct holes *holes;     /* what lies in one a snapshot may know, and the headers do not; NULL */
};

/* The snapshot at an offset, if there is one, against what the headers gave. */
int inspect_snapshot(struct inspect *in, const struct inspect_place *at, const struct inspect_snapshot *s,
	bool *loaded, struct err *err);

#endif
