/* SPDX-License-Identifier: MIT
 * sealed.h - a sealed segment that was found by name and size: is it whole up to the next one? By its
 * tail, a few KiB: last index entry, the batch there, headers to the end of the file. Blocking: a start,
 * or a job. Owns nothing. */
#ifndef KIRA_STORAGE_SEALED_H
#define KIRA_STORAGE_SEALED_H

#include "storage/holes.h"
#include "storage/io.h"

#include "base/err.h"

struct sealed_tail {
	int64_t end;            /* where its batches end, */
	uint64_t position;      /* and the byte behind them */
	int64_t max_timestamp;  /* by its time index; -1: it has no batch */
};

/* Reads the tail of the segment at `base`. -EBADMSG: it does not end at `next`, or in a hole before that, or
 * not with its file: records are missing; the tail says how far it is whole. -errno: it could not be
 * read. Either way `err` is a sentence. */
int sealed_look(const struct io *io, int dir, const struct holes *holes, int64_t base, int64_t next,
	struct sealed_tail *ret, struct err *err);
/* The last entry of its time index alone. */
int sealed_max_timestamp(const struct io *io, int dir, int64_t base, int64_t *ret);
/* LogAppendTime of its last batch; -1: that has a producer's time, or there is none. */
int sealed_append_ms(const struct io *io, int dir, int64_t base, int64_t *ret);
/* Where to begin: the batch at the last index entry, or the beginning where entry and batch disagree;
 * then *agrees is false. */
int sealed_last_batch(const struct io *io, int dir, int fd, int64_t base, int64_t *at,
	uint64_t *position, bool *agrees);

#endif
