/* SPDX-License-Identifier: MIT
 * read.h - the read path's steps, shared by reads by offset and by time. Thread: control. */
#ifndef KIRA_STORAGE_READ_H
#define KIRA_STORAGE_READ_H

#include "storage/partition.h"

struct place {
	struct segment *seg;
	int fd;
	uint64_t position; /* where a batch starts */
	uint64_t end;      /* readable up to here in this segment */
	int64_t offset;    /* base offset of that batch */
};

/* How far consumers may read, and the tail, which is not below that. */
struct mark read_limit(const struct partition *part, struct mark *tail);
/* The segment that holds `offset`, which lies between start and the tail's end. NULL: none has it. */
struct segment *read_segment(struct partition *part, int64_t offset, const struct mark *tail);
/* The segment left by a roll that is in no array yet, NULL: there is none. `a` was read after `tail`. */
struct segment *read_unfiled(const struct partition *part, const struct segments *a,
	const struct mark *tail);
/* How far it may be read. */
uint64_t read_segment_end(const struct segment *seg, const struct mark *limit);

/* A file of a sealed segment: by its name, or, once that may be another's, by the descriptor that was
 * opened before; `*kept`: not to be closed. -errno. */
int read_open(const struct segment *seg, enum segment_part part, bool *kept);

/* A batch header at a position, judged: it lies before `end`. -errno, -EBADMSG. */
#define READ_HEADER 61
int read_header(const struct io *io, int fd, uint64_t position, uint64_t end,
	uint8_t header[READ_HEADER]);

/* From the index entry before it on to the batch that contains `offset`, which lies below place->end. -errno. */
int read_find(struct place *place, int64_t offset);

/* Counts it, and keeps what storage_read_failure() says. Not where io_nowait() gave up. */
void read_failed(struct storage *s, int rc, const char *name, int64_t at);

#endif
