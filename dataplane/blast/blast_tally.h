/* SPDX-License-Identifier: MIT
 * blast_tally.h - which numbers of each producer and partition were seen: a bit each, and in what
 * order. Lost, doubled and reordered are counted here and nowhere else. Pure but for its own
 * memory. Thread: one caller. */
#ifndef KIRA_BLAST_TALLY_H
#define KIRA_BLAST_TALLY_H

#include "base/bits.h"

struct tally_stream {
	uint32_t tag;       /* producer id, low 24 bits */
	int32_t partition;  /* -1: free place */
	uint64_t *bits, words;
	uint64_t seen, doubled, behind, end; /* end: highest number seen + 1 */
};

struct tally {
	struct tally_stream *stream; /* open addressing, `places` a power of two */
	uint32_t places, used;
	uint64_t records, doubled, reordered, foreign;
};

int tally_init(struct tally *t);
void tally_free(struct tally *t);

/* One record's value as read back. Shorter than 16 bytes: foreign, counted, not judged. Returns
 * 0, or -ENOMEM. */
int tally_add(struct tally *t, int32_t partition, const uint8_t *value, uint64_t bytes);

/* How many of the numbers [from, to) were not seen. */
uint64_t tally_missing(const struct tally *t, uint32_t tag, int32_t partition, uint64_t from,
	uint64_t to);

/* Holes below the highest number of every stream: what can be said without knowing what was sent. */
uint64_t tally_holes(const struct tally *t);

#endif
