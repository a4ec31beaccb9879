/* SPDX-License-Identifier: MIT
 * index.h - sparse offset and time index of a segment. In memory while it is active, two flat
 * arrays that the storage lcore fills; in Kafka's files once it is sealed (FORMAT.md).
 * The storage lcore writes entry, then count (I1); readers load the count first (I2). */
#ifndef KIRA_STORAGE_INDEX_H
#define KIRA_STORAGE_INDEX_H

#include "storage/io.h"

#include <stdatomic.h>
#include <stdint.h>

#define INDEX_INTERVAL 4096 /* bytes of log between entries, Kafka's log.index.interval.bytes */

struct index_entry {
	uint32_t last_delta; /* last offset of a batch, less the segment's base */
	uint32_t position;   /* where that batch starts */
};

struct time_entry {
	int64_t timestamp;   /* the largest so far */
	uint32_t last_delta; /* of the earliest batch that holds it */
	uint32_t zero;
};

struct index {
	struct index_entry *entry;
	struct time_entry *time;
	uint32_t room;                /* entries of each */
	_Atomic uint32_t n, times;    /* I1, I2 */
	uint64_t bytes;               /* of the one map that holds both */
	/* Storage lcore's. */
	uint64_t since;               /* bytes of log since the last entry */
	int64_t max_timestamp;        /* -1: no batch yet */
	uint32_t max_delta;
};

/* Enough for a segment of `size` bytes; pages come when touched. */
int index_open(struct index *ix, const struct io *io, uint64_t size);
void index_close(struct index *ix, const struct io *io);
/* Fault in what the first `position` bytes of the segment may need; `from`: done before. */
int index_populate(struct index *ix, const struct io *io, uint64_t from, uint64_t position);

/* A batch was copied to `position`. */
void index_add(struct index *ix, uint32_t position, uint32_t length, uint32_t last_delta,
	int64_t max_timestamp);
/* The last time entry, when the segment is left. */
void index_finish(struct index *ix);

/* Where to start looking for `delta`: the position of the last entry <= it, else 0. */
uint32_t index_find(const struct index *ix, uint64_t delta);
/* The last entry whose position is <= `limit`, else 0: a batch boundary. */
uint32_t index_floor(const struct index *ix, uint64_t limit);
/* Delta of the first batch that may hold a timestamp >= target: search on from there. */
uint32_t index_find_time(const struct index *ix, int64_t target);

/* Kafka's files: bytes of n entries, at `to`. */
#define INDEX_ENTRY_BYTES 8
#define TIME_ENTRY_BYTES  12
void index_put(const struct index *ix, uint8_t *entries, uint8_t *times);
/* The first n and m of them. */
void index_put_first(const struct index *ix, uint32_t n, uint32_t m, uint8_t *entries, uint8_t *times);

/* The same searches over an open file of `size` bytes. -errno when it cannot be read. */
int index_file_find(const struct io *io, int fd, uint64_t size, uint64_t delta, uint32_t *position);
int index_file_floor(const struct io *io, int fd, uint64_t size, uint64_t limit, uint32_t *position);
int index_file_find_time(const struct io *io, int fd, uint64_t size, int64_t target,
	uint32_t *delta);
/* Largest timestamp and its batch; -1 where there is no entry. */
int index_file_last_time(const struct io *io, int fd, uint64_t size, int64_t *timestamp,
	uint32_t *delta);

#endif
