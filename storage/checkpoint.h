/* SPDX-License-Identifier: MIT
 * checkpoint.h - how far an open segment was durable at some moment, with all that a start needs to go on
 * from there: its index and what the table of producers knew. One file beside the .log (FORMAT.md).
 *
 * The flush daemon asks (H1), the storage lcore fills it in when it next publishes (H2, J1), the daemon takes
 * it (J2), waits until it is durable, and writes it in a job. */
#ifndef KIRA_STORAGE_CHECKPOINT_H
#define KIRA_STORAGE_CHECKPOINT_H

#include "storage/index.h"

#include <stdbool.h>
#include <stdint.h>

struct segment;

struct checkpoint {
	/* The flush daemon's, before H1. */
	struct segment *seg;
	int64_t base;
	uint32_t room;              /* of the snapshot */
	/* The storage lcore's, before J1. */
	int64_t end;
	uint64_t position, since;   /* `since`: struct index's, as the next two */
	int64_t max_timestamp;
	uint32_t max_delta, entries, times;
	int32_t leader_epoch;
	uint32_t snapshot_length;   /* 0: it did not fit */
	uint8_t snapshot[];
};

/* Its bytes, to be freed. Index entries below the counts do not change any more: any thread. */
uint8_t *checkpoint_bytes(const struct checkpoint *cp, const struct index *ix, uint32_t *n);

/* What lies in such bytes, judged by their checksum and bounds. The pointers point into them. */
struct checkpoint_file {
	int64_t base, end, max_timestamp;
	uint64_t position, since;
	uint32_t max_delta, entries, times, snapshot_length;
	int32_t leader_epoch;
	const uint8_t *entry, *time, *snapshot;
};
bool checkpoint_parse(const uint8_t *bytes, uint64_t n, struct checkpoint_file *ret);
/* The index becomes what it was. False: it has no room for that. */
bool checkpoint_index(const struct checkpoint_file *cp, struct index *ix);

#endif
