/* SPDX-License-Identifier: MIT
 * fake_storage.h - storage.h's append side in memory, for tests of the turns: the sequence rules, WAIT
 * on order, a commit when the test says so. No flush daemon, no files. One thread. */
#ifndef KIRA_TESTS_FAKE_STORAGE_H
#define KIRA_TESTS_FAKE_STORAGE_H

#include "storage/storage.h"

#define FAKE_LOG       4096 /* batches a partition keeps */
#define FAKE_PRODUCERS  16
#define FAKE_PARTITIONS 8

struct fake_batch {
	int64_t producer, base_offset;
	int32_t sequence, records;
};

struct partition {
	struct storage *storage;
	unsigned slot, lcore;
	enum partition_state state;
	bool detached;
	struct partition_config config;
	unsigned room;             /* batches that still fit; then WAIT */
	unsigned spares, segment;  /* segments ready to take over, of so many batches; 0: none ever */
	unsigned breaks_at;        /* the append of this batch fails the partition (SIGBUS); 0: none */
	bool wants_spare;          /* asked for at the last WAIT, as storage remembers it */
	struct fake_batch log[FAKE_LOG];
	unsigned appended, published, durable; /* batches */
	int64_t end;
	struct {
		int64_t id;
		int32_t next;
	} producer[FAKE_PRODUCERS];
	unsigned producers;
};

struct storage {
	struct partition *part[FAKE_PARTITIONS];
	uint64_t commit_done, failures, wanted;
	unsigned appends, publishes, given_up;
	bool flush_woken;
};

void fake_partition(struct partition *ret, struct storage *s, unsigned slot, unsigned lcore);
/* Everything published so far is on disk. */
void fake_commit(struct storage *s);
void fake_fail(struct partition *part);
/* Is a batch with this producer and sequence in the published part of the log? How often? */
unsigned fake_stored(const struct partition *part, int64_t producer, int32_t sequence);
bool fake_on_disk(const struct partition *part, int64_t producer, int32_t sequence);

#endif
