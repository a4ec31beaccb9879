/* SPDX-License-Identifier: MIT
 * make_batch.h - whole, right batches for the tests of storage/, built by other code than the
 * client's. Contents follow from a seed, so that two batches never look alike. */
#ifndef KIRA_TESTS_STORAGE_MAKE_BATCH_H
#define KIRA_TESTS_STORAGE_MAKE_BATCH_H

#include "base/bytes.h"
#include "base/crc32c.h"

#include <kira/record_batch.h>

#include <stdbool.h>

struct batch_of {
	int32_t count;    /* records; 0: 1 */
	uint32_t value;   /* bytes of each record's value */
	int64_t producer; /* 0: none */
	int16_t epoch;
	int32_t sequence;
	int64_t timestamp; /* of the first record; 0: BATCH_WALL_MS */
	int64_t step_ms;   /* between records */
	uint64_t seed;
	bool text;        /* values that compress: one letter each */
};

#define BATCH_WALL_MS INT64_C(1700000000000)

static inline uint8_t *
put_varlong(uint8_t *p, int64_t v)
{
	uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);

	for (; z >= 0x80; z >>= 7)
		*p++ = (uint8_t)(z | 0x80);
	*p++ = (uint8_t)z;
	return p;
}

static inline unsigned
varlong_bytes(int64_t v)
{
	uint8_t b[10];

	return (unsigned)(put_varlong(b, v) - b);
}

/* One record, as Kafka's DefaultRecord: no key, no headers. */
static inline uint8_t *
put_record(uint8_t *p, int64_t timestamp_delta, int32_t offset_delta, uint32_t value, uint64_t seed)
{
	const uint32_t body = 1 + varlong_bytes(timestamp_delta) + varlong_bytes(offset_delta) + 1 +
			      varlong_bytes(value) + value + 1;

	p = put_varlong(p, body);
	*p++ = 0;
	p = put_varlong(p, timestamp_delta);
	p = put_varlong(p, offset_delta);
	p = put_varlong(p, -1);
	p = put_varlong(p, value);
	for (uint32_t i = 0; i < value; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		*p++ = (uint8_t)(seed >> 56);
	}
	return put_varlong(p, 0);
}

/* After a change to the header or the records: the length and checksum that go with it. */
static inline uint32_t
seal_batch(uint8_t *b, uint32_t total)
{
	put_be32(b + RB_LENGTH, total - RB_LENGTH_FROM);
	put_be32(b + RB_CRC, crc32c(b + RB_ATTRIBUTES, total - RB_ATTRIBUTES));
	return total;
}

static inline void
put_batch_header(uint8_t *b, const struct batch_of *o)
{
	const int32_t count = o->count ? o->count : 1;
	const int64_t at = o->timestamp ? o->timestamp : BATCH_WALL_MS;

	memset(b, 0, RB_HEADER);
	put_be32(b + RB_LEADER_EPOCH, 0xffffffff);
	b[RB_MAGIC] = 2;
	put_be32(b + RB_LAST_OFFSET_DELTA, (uint32_t)(count - 1));
	put_be64(b + RB_BASE_TIMESTAMP, (uint64_t)at);
	put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)(at + o->step_ms * (count - 1)));
	put_be64(b + RB_PRODUCER_ID, o->producer ? (uint64_t)o->producer : UINT64_MAX);
	put_be16(b + RB_PRODUCER_EPOCH, o->producer ? (uint16_t)o->epoch : 0xffff);
	put_be32(b + RB_BASE_SEQUENCE, o->producer ? (uint32_t)o->sequence : 0xffffffff);
	put_be32(b + RB_COUNT, (uint32_t)count);
}

/* Returns the whole length; `b` has room for it. */
static inline uint32_t
make_batch(uint8_t *b, struct batch_of o)
{
	const int32_t count = o.count ? o.count : 1;
	uint8_t *p = b + RB_HEADER;

	put_batch_header(b, &o);
	for (int32_t i = 0; i < count; i++) {
		p = put_record(p, o.step_ms * i, i, o.value, o.seed * 1000003 + (uint64_t)i);
		if (o.text)
			memset(p - 1 - o.value, 'a' + (int)((o.seed + (uint64_t)i) % 26), o.value);
	}
	return seal_batch(b, (uint32_t)(p - b));
}

#endif
