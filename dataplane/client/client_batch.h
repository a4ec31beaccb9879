/* SPDX-License-Identifier: MIT
 * client_batch.h - build Kafka RecordBatches v2 into the caller's buffer, compress them as LZ4
 * frames of independent 64 KiB blocks (Java refuses dependent ones), stamp producer id, epoch and
 * sequence, choose partitions as Java does. Pure but for cbatch_lz4_new(), which allocates.
 * Thread: a builder has one user at a time. */
#ifndef KIRA_CLIENT_BATCH_H
#define KIRA_CLIENT_BATCH_H

#include <kira/record_batch.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A batch being filled. Its header is written by cbatch_close(). */
struct cbatch {
	uint8_t *p;
	uint32_t room, length;  /* length counts the header from the start */
	int32_t count;
	int64_t base_ms, max_ms;
};

void cbatch_open(struct cbatch *b, uint8_t *p, uint32_t room);

/* Append one record without headers; NULL key or value: null. False: it does not fit, the batch is
 * as before. Timestamps below the first one's are fine. */
bool cbatch_add(struct cbatch *b, int64_t timestamp_ms, const void *key, uint32_t key_length,
	const void *value, uint32_t value_length);

/* The bytes of a batch that holds just this record; UINT64_MAX where no batch can. */
uint64_t cbatch_one(uint32_t key_length, uint32_t value_length);

/* Who wrote it. producer_id -1: not idempotent, epoch and sequence -1. */
struct cbatch_identity {
	int64_t producer_id;
	int16_t epoch;
	int32_t base_sequence;
};

/* Write the header, with the CRC; codec RB_CODEC_LZ4 if `compressed` (by cbatch_compress(), which
 * changed b->length). Returns the length of the whole batch. count > 0. `id` NULL: identity and CRC
 * come later, by cbatch_restamp(). */
uint32_t cbatch_close(struct cbatch *b, const struct cbatch_identity *id, bool compressed);

/* Give a closed batch another identity; the CRC is computed anew. */
void cbatch_restamp(uint8_t *batch, uint32_t length, const struct cbatch_identity *id);

struct cbatch_lz4;
struct cbatch_lz4 *cbatch_lz4_new(void); /* NULL: no memory */
void cbatch_lz4_free(struct cbatch_lz4 *lz4);

/* The most that cbatch_compress() may need for `length` bytes of records. */
size_t cbatch_lz4_bound(uint32_t length);

/* Compress the records of `b` through `scratch` (cbatch_lz4_bound() bytes) back into b->p. False:
 * it would not get smaller; the batch is as before. */
bool cbatch_compress(struct cbatch_lz4 *lz4, struct cbatch *b, uint8_t *scratch, size_t scratch_size);

/* Kafka's default partitioner for records with a key (Java's Utils.murmur2, BuiltInPartitioner). */
uint32_t cbatch_murmur2(const void *key, size_t length);
int32_t cbatch_partition(const void *key, size_t length, int32_t partitions);

#endif
