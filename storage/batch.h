/* SPDX-License-Identifier: MIT
 * batch.h - is this a RecordBatch that may be stored, or that was stored? Pure. Any thread.
 * One function for ingest, recovery and tools; the flags say which rules apply. */
#ifndef KIRA_STORAGE_BATCH_H
#define KIRA_STORAGE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#define BATCH_RECORDS_MAX 1000000

#define BATCH_NEW   0x1u /* from a producer: base offset 0, no bit that only a broker sets */
#define BATCH_EXACT 0x2u /* the buffer holds the batch and nothing behind it */
#define BATCH_UNTIMED 0x4u /* with BATCH_NEW: the topic is LogAppendTime, timestamps are not judged */

/* Rules 2 to 8 of README.md's table, in that order; reads the header only. 0 or Kafka's code. */
int16_t batch_check(const uint8_t *b, uint32_t length, unsigned flags);

/* Rule 9. The header has passed batch_check(). */
bool batch_crc_right(const uint8_t *b);

/* LogAppendTime: timestamp type and maxTimestamp, inside the CRC, which follows. The old one was
 * right: a wrong one may become right here. */
void batch_stamp(uint8_t *b, int64_t append_ms);

/* The CRC follows: one that was wrong stays wrong. The length has been judged. */
void batch_set_max_timestamp(uint8_t *b, int64_t ms);

static inline int32_t
batch_last_sequence(int32_t first, int32_t count)
{
	return (int32_t)(((uint32_t)first + (uint32_t)count - 1) & 0x7fffffffu);
}

#endif
