/* SPDX-License-Identifier: MIT
 * frontier.h - what frontier's threads share. What lies at an offset follows from the topic, its
 * generation and the offset, so that whoever reads knows each byte that must be there. */
#ifndef KIRA_TESTS_FRONTIER_H
#define KIRA_TESTS_FRONTIER_H

#include "storage/storage.h"

#include <pthread.h>
#include <stdatomic.h>

/* Seen at log, at disk; deleted again and again; with compression.type=lz4. */
enum { TOPIC_LOG, TOPIC_DISK, TOPIC_GONE, TOPIC_PACKED, TOPICS };

#define READERS      4
#define RANGE_BYTES  (256 * 1024)
#define BATCH_ROOM   (200 * 1024)

/* What must have happened, and how often. */
enum event {
	APPENDED, ON_DISK, READ_AT_TAIL, READ_AGAIN, SENT, OVER_ROLL, OVER_DELETE, WAITED, ROLLED, SEALED,
	RETAINED, DELETED, SWAPPED, READ_PACKED, EVENTS,
};

/* Control writes `part` and `generation`, under the lock; the storage lcore the rest. */
struct topic {
	struct partition *part;               /* NULL: there is none now */
	unsigned generation;
	struct partition *_Atomic for_lcore;  /* what it may append to; control clears it to take it back */
	_Atomic bool lcore_has;               /* and waits for this to fall */
	_Atomic int64_t acked;                /* ends of runs whose publish has returned */
};

struct frontier_test {
	struct storage *s;
	struct topic topic[TOPICS];
	/* Who holds it is the control thread: storage_read(), pins, operations. */
	pthread_mutex_t control;
	uint64_t seed;
	_Atomic bool stop;
	_Atomic int64_t swapping; /* base of the segment whose names are being changed; -1: none */
	_Atomic uint64_t event[EVENTS], bytes, batches;
};
extern struct frontier_test t;
extern uint64_t append_bytes_per_s;

uint64_t mix(uint64_t v);
uint64_t dice(uint64_t *state, uint64_t below);
void happened(enum event e);
/* The first violation ends the run: exit 1. */
_Noreturn void violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The batch that begins at an offset, as a producer gives it; its length. */
uint32_t expected_batch(uint8_t *to, unsigned topic, unsigned generation, int64_t offset);
/* Are these the bytes of whole batches from `offset` on, all of this topic? Of one that is packed, the
 * records. The offset behind them. */
int64_t judge(const uint8_t *bytes, uint32_t length, unsigned topic, unsigned generation, int64_t offset,
	const char *how);

void *append_run(void *unused);
void *frontier_reader_run(void *number); /* unsigned * */

#endif
