/* SPDX-License-Identifier: MIT
 * record_batch.h - Kafka's RecordBatch v2, the one format of wire, disk and consumer. Big-endian.
 * Source: apache/kafka, clients/.../record/DefaultRecordBatch.java and the protocol guide.
 *
 *  0            8        12            16      17    21               57      61
 *  | baseOffset | length | leaderEpoch | magic | crc | attributes ... | count | records ...
 *    ^ patched             ^ patched                 |<----- covered by crc, to the end ----->
 *
 * The two fields the broker writes lie outside the CRC. The accessors read a buffer whose first
 * RB_HEADER bytes are there; they judge nothing. Any thread. */
#ifndef KIRA_RECORD_BATCH_H
#define KIRA_RECORD_BATCH_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define RB_BASE_OFFSET       0  /* i64 */
#define RB_LENGTH            8  /* i32: total - RB_LENGTH_FROM */
#define RB_LENGTH_FROM       12
#define RB_LEADER_EPOCH      12 /* i32 */
#define RB_MAGIC             16 /* i8, 2 */
#define RB_CRC               17 /* u32, CRC-32C of RB_ATTRIBUTES to the end */
#define RB_ATTRIBUTES        21 /* i16 */
#define RB_LAST_OFFSET_DELTA 23 /* i32, count - 1 */
#define RB_BASE_TIMESTAMP    27 /* i64, ms */
#define RB_MAX_TIMESTAMP     35 /* i64, ms */
#define RB_PRODUCER_ID       43 /* i64, -1 none */
#define RB_PRODUCER_EPOCH    51 /* i16, -1 none */
#define RB_BASE_SEQUENCE     53 /* i32, -1 none; 0..2^31-1, wraps to 0 */
#define RB_COUNT             57 /* i32, >= 1 */
#define RB_HEADER            61
#define RB_RECORD_MIN        7  /* bytes of the smallest record */

#define RB_CODEC_MASK          0x07 /* 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd */
#define RB_CODEC_LZ4           3
#define RB_ATTR_LOG_APPEND     0x08
#define RB_ATTR_TRANSACTIONAL  0x10
#define RB_ATTR_CONTROL        0x20
#define RB_ATTR_DELETE_HORIZON 0x40

static inline uint16_t
rb_get16(const uint8_t *b, unsigned at)
{
	uint16_t v;

	memcpy(&v, b + at, sizeof(v));
	return be16toh(v);
}

static inline uint32_t
rb_get32(const uint8_t *b, unsigned at)
{
	uint32_t v;

	memcpy(&v, b + at, sizeof(v));
	return be32toh(v);
}

static inline uint64_t
rb_get64(const uint8_t *b, unsigned at)
{
	uint64_t v;

	memcpy(&v, b + at, sizeof(v));
	return be64toh(v);
}

static inline int64_t
rb_base_offset(const uint8_t *b)
{
	return (int64_t)rb_get64(b, RB_BASE_OFFSET);
}

/* The whole batch, header included, as the length field claims: 12..2^31+11. */
static inline int64_t
rb_total(const uint8_t *b)
{
	return (int64_t)(int32_t)rb_get32(b, RB_LENGTH) + RB_LENGTH_FROM;
}

static inline int32_t
rb_leader_epoch(const uint8_t *b)
{
	return (int32_t)rb_get32(b, RB_LEADER_EPOCH);
}

static inline uint32_t
rb_crc(const uint8_t *b)
{
	return rb_get32(b, RB_CRC);
}

static inline uint16_t
rb_attributes(const uint8_t *b)
{
	return rb_get16(b, RB_ATTRIBUTES);
}

static inline int32_t
rb_last_offset_delta(const uint8_t *b)
{
	return (int32_t)rb_get32(b, RB_LAST_OFFSET_DELTA);
}

static inline int64_t
rb_base_timestamp(const uint8_t *b)
{
	return (int64_t)rb_get64(b, RB_BASE_TIMESTAMP);
}

static inline int64_t
rb_max_timestamp(const uint8_t *b)
{
	return (int64_t)rb_get64(b, RB_MAX_TIMESTAMP);
}

static inline int64_t
rb_producer_id(const uint8_t *b)
{
	return (int64_t)rb_get64(b, RB_PRODUCER_ID);
}

static inline int16_t
rb_producer_epoch(const uint8_t *b)
{
	return (int16_t)rb_get16(b, RB_PRODUCER_EPOCH);
}

static inline int32_t
rb_base_sequence(const uint8_t *b)
{
	return (int32_t)rb_get32(b, RB_BASE_SEQUENCE);
}

static inline int32_t
rb_count(const uint8_t *b)
{
	return (int32_t)rb_get32(b, RB_COUNT);
}

/* Sequences are 31 bits and wrap to 0: a + n, a - b. */
static inline int32_t
rb_sequence_add(int32_t a, int32_t n)
{
	return (int32_t)(((uint32_t)a + (uint32_t)n) & 0x7fffffffu);
}

/* a lies below b on the circle iff (a - b) mod 2^31 >= 2^30. */
static inline int
rb_sequence_below(int32_t a, int32_t b)
{
	return (((uint32_t)a - (uint32_t)b) & 0x7fffffffu) >= 0x40000000u;
}

#endif
