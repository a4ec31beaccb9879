/* SPDX-License-Identifier: MIT
 * retention.h - which whole segments may go. Pure: facts in, a count out. Any thread. */
#ifndef KIRA_STORAGE_RETENTION_H
#define KIRA_STORAGE_RETENTION_H

#include "storage/storage.h"

struct retention_fact {
	uint64_t bytes;
	int64_t max_timestamp;  /* of its records; -1 none */
	int64_t sealed_wall_ms; /* when it was sealed, or found at start */
	bool may_go;            /* sealed, and wholly below the durable end */
};

/* Timestamps further in the future than this count as the time of sealing. */
#define RETENTION_FUTURE_MS (3600 * 1000)

/* How many of the oldest of n segments (the active one is not among them, `active_bytes`) have
 * outlived the topic's limits. */
unsigned retention_expired(const struct retention_fact *fact, unsigned n, uint64_t active_bytes,
	const struct partition_config *cfg, int64_t wall_ms);

#endif
