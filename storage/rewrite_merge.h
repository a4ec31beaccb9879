/* SPDX-License-Identifier: MIT
 * rewrite_merge.h - neighbouring small batches made into one larger LZ4 batch with the same records.
 * Pure but for its memory, which it owns; any one thread. Bytes are judged: what cannot be merged is
 * told apart, and stays as it is. */
#ifndef KIRA_STORAGE_REWRITE_MERGE_H
#define KIRA_STORAGE_REWRITE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of records in one merged batch, uncompressed. A fetch hands out whole batches, and a reader that
 * wants one record decompresses all of its batch. A batch that was larger stays as large. */
#define MERGE_RAW_MAX (256 * 1024)

/* The group: what was taken since the last merge_put(). */
struct merge {
	size_t limit;        /* bytes of records */
	uint8_t *raw, *made; /* records with new deltas; the batch made of them */
	size_t length, raw_room, made_room;
	int32_t count, leader_epoch;
	int64_t base_offset, base_ms, max_ms;
	bool stamped;        /* LogAppendTime: max_ms is the time of every record */
};

/* `bytes_max`: no larger batch is made, of several (max.message.bytes). */
void merge_open(struct merge *m, int64_t bytes_max);
void merge_close(struct merge *m);

enum merge_verdict {
	MERGE_TAKEN,
	MERGE_FULL,  /* not with what was taken so far: merge_put() first, then again */
	MERGE_APART, /* never: compressed, or its records do not add up to what its header says */
};

/* May its header say so at all? Reads RB_HEADER bytes. */
bool merge_wants(const uint8_t *header);

/* A whole batch with a right header and checksum. */
enum merge_verdict merge_take(struct merge *m, const uint8_t *batch);

/* The group as one batch, valid until the next call; the group is empty then. 0: there was none. */
uint32_t merge_put(struct merge *m, const uint8_t **batch);

/* What must survive: of every record epoch, offset, both times, attributes, key, value and headers,
 * continued over batches however they are cut. A batch whose records cannot be read counts with all
 * its bytes. */
uint64_t merge_hash(uint64_t hash, const uint8_t *batch);

#endif
