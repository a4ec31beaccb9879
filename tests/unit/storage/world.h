/* SPDX-License-Identifier: MIT
 * world.h - one data directory on one thread: time is the test's, jobs run inside the turns, system
 * calls pass fake_io.c. What was appended is remembered, so that what is read back can be judged.
 * A kill leaves the files as a killed process would. */
#ifndef KIRA_TESTS_STORAGE_WORLD_H
#define KIRA_TESTS_STORAGE_WORLD_H

#include "storage/directory.h"
#include "storage/layout.h"
#include "tests/unit/storage/fake_io.h"
#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define WORLD_PARTITIONS 4
#define WORLD_SEGMENT    65536 /* bytes: less than a topic may ask for, enough for the engine */
#define WORLD_APPENDED   20000
#define WORLD_BATCH      (6 * 1024 * 1024)

/* A batch that storage_append() stored. */
struct appended {
	int64_t offset;
	uint32_t crc, total;
	int32_t count, epoch;
};

struct world {
	char dir[64];
	struct storage *s;
	struct storage_options o;
	struct storage_counters count;
	struct partition_config config; /* of what is created or attached from now on */
	struct partition *part[WORLD_PARTITIONS];
	unsigned parts;
	uint64_t now_ns;
	int64_t wall_ms;
	struct err err;
	struct storage_op *other; /* of the test, which ended while one of ours was waited for */
	struct append_result result;
	uint64_t seed;
	struct appended was[WORLD_PARTITIONS][WORLD_APPENDED];
	unsigned was_n[WORLD_PARTITIONS];
	uint8_t batch[WORLD_BATCH];
	uint32_t length;
};
extern struct world w;

/* A fresh directory, opened, with topic "t" of `partitions`. */
void world_begin(unsigned partitions);
/* Clean stop, if it is open, and the directory removed. */
void world_end(void);

int world_open(void);  /* storage_open() and storage_attach() of all that is there */
int world_stop(void);  /* clean */
void world_kill(void); /* memory and descriptors go, files stay as they are */

/* OP_CREATE_TOPIC or OP_DELETE_TOPIC through turns; its rc. Partitions go to w.part[]. */
int world_create(const char *name, unsigned partitions);
int world_delete(void);
/* More partitions for the topic that is there, `partitions` in all. */
int world_grow(unsigned partitions);

void world_turns(unsigned n); /* of 1 ms each */
void world_sync(void);        /* turns until a commit that begins now is done */
void world_look(void);        /* turns until the tails of all sealed segments were looked at */
void world_settle(void);      /* turns until nothing is left to seal, and two seconds more */

/* Append one batch to partition `p`, publish; w.result, w.length. */
enum append_verdict world_append_as(unsigned p, struct batch_of o, unsigned flags);
/* The partition's first segment is made and ready, and not yet taken. */
void world_first(unsigned p);
/* One that must be stored: waits for room by turns. Returns the commit number. */
uint64_t world_append(unsigned p, struct batch_of o);
/* Batches of 2 records and about 1 KiB until `bytes` were appended. */
void world_fill(unsigned p, uint64_t bytes);

/* Read from start to visible: every batch is one that was appended there, in order, dense but for the
 * holes of kira.state, bytes and checksum right. Returns the next offset; -1 and a failed check else. */
int64_t world_read(unsigned p);
/* The remembered batches at or above `offset` never happened (they were lost). */
void world_forget(unsigned p, int64_t offset);

/* Files of a partition's directory. */
bool world_has(unsigned p, const char *name);
uint64_t world_size(unsigned p, const char *name);
unsigned world_count(unsigned p, const char *suffix);
int world_open_file(unsigned p, const char *name); /* read and write; the caller closes */
/* The segment file that holds the end of the log, by name. */
void world_last_log(unsigned p, char name[40]);
/* A copy of the whole data directory in w.dir + ".copy", and back. */
void world_save(void);
void world_restore(void);
void world_remove(const char *dir); /* with all that is in it */

#endif
