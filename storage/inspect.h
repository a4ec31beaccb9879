/* SPDX-License-Identifier: MIT
 * inspect.h - the door of storage/ for tools: files of a data directory walked and judged, without an
 * engine. Nothing is ever changed, and only inspect_directory() takes a lock. Bytes are judged by the
 * functions that append and recovery use.
 * Blocking; one thread, the caller's. What is found goes to a callback, in the order of the files. */
#ifndef KIRA_STORAGE_INSPECT_H
#define KIRA_STORAGE_INSPECT_H

#include "storage/checkpoint.h"
#include "storage/records.h"

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct io; /* io.h; NULL below: the real system calls */

enum inspect_level {
	INSPECT_NOTE,   /* to know, and no damage */
	INSPECT_DAMAGE,
};

struct inspect_finding {
	enum inspect_level level;
	const char *file;         /* path */
	int64_t position, offset; /* -1: of none */
	const char *what, *cure;  /* cure: what to do, NULL: nothing */
};

struct inspect_batch {
	const char *file;
	uint64_t position;
	const uint8_t *bytes; /* valid during the call */
	uint32_t total;
	bool whole;           /* header, continuity and CRC are right; else a finding came before */
	bool crc;             /* the CRC is right */
};

struct inspect {
	const struct io *io;
	void (*found)(void *arg, const struct inspect_finding *f);
	void (*batch)(void *arg, const struct inspect_batch *b); /* NULL: not wanted */
	void (*progress)(void *arg);                             /* NULL; every few hundred batches */
	void *arg;
	/* What was gone through. */
	uint64_t partitions, segments, batches, records, bytes, damages, notes;
	int64_t producer_max;     /* highest producer id seen, -1 none: set it so before */
};

/* A .log: its own name says where it begins (another name: its first batch). The next offset goes to
 * *end. -errno: it could not be read. */
int inspect_log_file(struct inspect *in, const char *path, int64_t *end, struct err *err);
/* An .index or a .timeindex, and whether the .log beside it agrees, by Kafka's rules: every entry rises
 * and names a batch. An .index that Kafka has open ends in zeros. */
int inspect_index_file(struct inspect *in, const char *path, struct err *err);
/* A .snapshot's, a .checkpoint's and a leader-epoch-checkpoint's bytes, whole; the file kira.<kind> of a directory. */
bool inspect_snapshot_right(const uint8_t *bytes, uint32_t length);
bool inspect_checkpoint_right(const uint8_t *bytes, uint64_t length, struct checkpoint_file *ret);
bool inspect_epochs_right(const char *text, size_t length);
bool inspect_text_right(struct inspect *in, const char *dir, const char *kind);
/* The offset, or the end of the hole it lies in, by the kira.state above a partition's directory. */
int64_t inspect_hole_after(struct inspect *in, const char *dir, int64_t offset);
/* 00000000000000004711.log: 4711. -1: no such name. */
int64_t inspect_name(const char *name, const char *suffix);

/* All of a data directory. -EAGAIN: a broker runs on it; other -errno: it is none, or cannot be read. */
int inspect_directory(struct inspect *in, const char *path, struct err *err);

/* A copy of a directory that kirad may be writing to, in a new one: each partition up to the offset that
 * kira.state calls durable, sealed there. Takes no lock. For inspect_directory(); not synced. */
int inspect_copy(struct inspect *in, const char *from, const char *to, struct err *err);

#endif
