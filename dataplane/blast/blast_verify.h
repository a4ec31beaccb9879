/* SPDX-License-Identifier: MIT
 * blast_verify.h - the topic through the eyes of an ordinary Kafka consumer (librdkafka): make it,
 * see where it ends, read it back. Thread: main, before and after the run; it blocks, within the
 * time limits given. */
#ifndef KIRA_BLAST_VERIFY_H
#define KIRA_BLAST_VERIFY_H

#include "base/err.h"
#include "dataplane/blast/blast_tally.h"

struct verify;

int verify_open(struct verify **ret, const char *bootstrap, const char *topic, struct err *err);
void verify_close(struct verify *v);

/* How many partitions the topic has; where it does not exist, it is made with `create` (0: never,
 * -ENOENT). */
int verify_partitions(struct verify *v, int32_t create, int32_t *ret, struct err *err);

/* The end offset of each partition 0..n-1; the start offset with `start`. */
int verify_offsets(struct verify *v, int32_t n, bool start, int64_t *ret, struct err *err);

struct verify_result {
	uint64_t records, bytes;   /* read back; bytes of values */
	uint64_t gaps;             /* offsets that no record had */
	uint64_t crc_errors;
	double seconds;
};

/* Everything in [from[p], to[p]) of each partition, CRCs checked, into the tally. */
int verify_read(struct verify *v, int32_t n, const int64_t *from, const int64_t *to,
	struct tally *tally, bool progress, struct verify_result *ret, struct err *err);

#endif
