/* SPDX-License-Identifier: MIT
 * group_batch.h - records of __consumer_offsets into a batch and out of one: magic 2, not compressed.
 * Pure; any thread. */
#ifndef KIRA_CONTROL_GROUP_BATCH_H
#define KIRA_CONTROL_GROUP_BATCH_H

#include "control/groups/group_log.h"

#include <stddef.h>

#define GROUP_RECORD_ROOM 24 /* length 5, attributes 1, timestamp 1, offset 5, two sizes 5 each, headers 1; 1 spare */

/* Bytes that are enough for n records in one batch: a header, and each its key, value and GROUP_RECORD_ROOM. */
size_t group_batch_room(const struct group_record *rec, unsigned n);
/* Write n >= 1 records into `to`, which has that room; returns the length of the batch, CRC and all. */
uint32_t group_batch_write(uint8_t *to, const struct group_record *rec, unsigned n, int64_t wall_ms);

/* The records of one whole batch, one after the other. */
struct group_walk {
	struct reader r;
	int32_t left;
};

enum group_walk_verdict {
	GROUP_WALK_RECORDS,
	GROUP_WALK_OTHER,   /* compressed or of a transaction: another program's, whole all the same */
	GROUP_WALK_DAMAGED,
};

enum group_walk_verdict group_walk_open(struct group_walk *w, const uint8_t *batch, uint32_t length);
/* False: no more; w->r.bad tells whether for a damage. */
bool group_walk_next(struct group_walk *w, struct group_record *ret);

#endif
