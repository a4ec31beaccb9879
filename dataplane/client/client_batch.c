/* SPDX-License-Identifier: MIT
 * client_batch.c - record batches, built once and never re-encoded on their way to a consumer.
 * Thread: the builder's user. Never: reads a clock, sends; allocates only an LZ4 context. */
#include "dataplane/client/client_batch.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"

#include <lz4frame.h>
#include <stdlib.h>

/* Magic 2 and the two fields outside the CRC that the broker fills in. */
#define MAGIC          2
#define EPOCH_UNKNOWN  0xffffffffu

static inline uint64_t
zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline uint32_t
leb_length(uint64_t v)
{
	return v == 0 ? 1 : (uint32_t)(64 - __builtin_clzll(v) + 6) / 7;
}

static inline uint8_t *
put_leb(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

void
cbatch_open(struct cbatch *b, uint8_t *p, uint32_t room)
{
	*b = (struct cbatch){.p = p, .room = room, .length = RB_HEADER};
}

/* A record: varint length | i8 attributes | varlong timestamp delta | varint offset delta |
 * varint key length, key | varint value length, value | varint headers. Null: length -1. */
bool
cbatch_add(struct cbatch *b, int64_t timestamp_ms, const void *key, uint32_t key_length,
	const void *value, uint32_t value_length)
{
	const int64_t base = b->count == 0 ? timestamp_ms : b->base_ms;
	const uint64_t when = zigzag((int64_t)((uint64_t)timestamp_ms - (uint64_t)base));
	const uint64_t delta = zigzag(b->count);
	const uint64_t klen = key ? zigzag(key_length) : zigzag(-1);
	const uint64_t vlen = value ? zigzag(value_length) : zigzag(-1);
	const uint64_t body = 1 + leb_length(when) + leb_length(delta) + leb_length(klen)
		+ (key ? key_length : 0) + leb_length(vlen) + (value ? value_length : 0) + 1;
	uint8_t *p;

	if (body > INT32_MAX || b->length + leb_length(zigzag((int64_t)body)) + body > b->room
			|| b->count == INT32_MAX)
		return false;
	p = put_leb(b->p + b->length, zigzag((int64_t)body));
	*p++ = 0;
	p = put_leb(p, when);
	p = put_leb(p, delta);
	p = put_leb(p, klen);
	if (key) {
		memcpy(p, key, key_length);
		p += key_length;
	}
	p = put_leb(p, vlen);
	if (value) {
		memcpy(p, value, value_length);
		p += value_length;
	}
	*p++ = 0;
	b->length = (uint32_t)(p - b->p);
	b->max_ms = b->count == 0 ? timestamp_ms : MAX(b->max_ms, timestamp_ms);
	b->base_ms = base;
	b->count++;
	return true;
}

uint64_t
cbatch_one(uint32_t key_length, uint32_t value_length)
{
	const uint64_t body = 4 + (uint64_t)leb_length(zigzag(key_length)) + key_length
		+ leb_length(zigzag(value_length)) + value_length;

	if (body > INT32_MAX)
		return UINT64_MAX;
	return RB_HEADER + leb_length(zigzag((int64_t)body)) + body;
}

void
cbatch_restamp(uint8_t *batch, uint32_t length, const struct cbatch_identity *id)
{
	put_be64(batch + RB_PRODUCER_ID, (uint64_t)id->producer_id);
	put_be16(batch + RB_PRODUCER_EPOCH, (uint16_t)id->epoch);
	put_be32(batch + RB_BASE_SEQUENCE, (uint32_t)id->base_sequence);
	put_be32(batch + RB_CRC, crc32c(batch + RB_ATTRIBUTES, length - RB_ATTRIBUTES));
}

uint32_t
cbatch_close(struct cbatch *b, const struct cbatch_identity *id, bool compressed)
{
	uint8_t *p = b->p;

	put_be64(p + RB_BASE_OFFSET, 0);
	put_be32(p + RB_LENGTH, b->length - RB_LENGTH_FROM);
	put_be32(p + RB_LEADER_EPOCH, EPOCH_UNKNOWN);
	p[RB_MAGIC] = MAGIC;
	put_be16(p + RB_ATTRIBUTES, compressed ? RB_CODEC_LZ4 : 0);
	put_be32(p + RB_LAST_OFFSET_DELTA, (uint32_t)(b->count - 1));
	put_be64(p + RB_BASE_TIMESTAMP, (uint64_t)b->base_ms);
	put_be64(p + RB_MAX_TIMESTAMP, (uint64_t)b->max_ms);
	put_be32(p + RB_COUNT, (uint32_t)b->count);
	if (id)
		cbatch_restamp(p, b->length, id);
	return b->length;
}

/* ---- LZ4 --------------------------------------------------------------------------------- */

struct cbatch_lz4 {
	LZ4F_cctx *context;
};

/* Independent blocks: Java's Lz4BlockInputStream takes no others. */
static const LZ4F_preferences_t lz4_preferences = {
	.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
};

struct cbatch_lz4 *
cbatch_lz4_new(void)
{
	struct cbatch_lz4 *lz4 = calloc(1, sizeof(*lz4));

	if (lz4 && LZ4F_isError(LZ4F_createCompressionContext(&lz4->context, LZ4F_VERSION))) {
		free(lz4);
		return NULL;
	}
	return lz4;
}

void
cbatch_lz4_free(struct cbatch_lz4 *lz4)
{
	if (!lz4)
		return;
	(void)LZ4F_freeCompressionContext(lz4->context);
	free(lz4);
}

size_t
cbatch_lz4_bound(uint32_t length)
{
	return LZ4F_HEADER_SIZE_MAX + LZ4F_compressBound(length, &lz4_preferences);
}

bool
cbatch_compress(struct cbatch_lz4 *lz4, struct cbatch *b, uint8_t *scratch, size_t scratch_size)
{
	const size_t raw = b->length - RB_HEADER;
	size_t at, n;

	n = LZ4F_compressBegin(lz4->context, scratch, scratch_size, &lz4_preferences);
	if (LZ4F_isError(n))
		return false;
	at = n;
	n = LZ4F_compressUpdate(lz4->context, scratch + at, scratch_size - at, b->p + RB_HEADER, raw,
		NULL);
	if (LZ4F_isError(n))
		return false;
	at += n;
	n = LZ4F_compressEnd(lz4->context, scratch + at, scratch_size - at, NULL);
	if (LZ4F_isError(n) || at + n >= raw)
		return false;
	at += n;
	memcpy(b->p + RB_HEADER, scratch, at);
	b->length = RB_HEADER + (uint32_t)at;
	return true;
}

/* ---- Partitioner ------------------------------------------------------------------------- */

/* MurmurHash2, 32 bits, seed and byte order as in Kafka's Utils.murmur2(). */
uint32_t
cbatch_murmur2(const void *key, size_t length)
{
	const uint8_t *p = key;
	const uint32_t m = 0x5bd1e995;
	uint32_t h = 0x9747b28c ^ (uint32_t)length;

	for (; length >= 4; length -= 4, p += 4) {
		uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16
			| (uint32_t)p[3] << 24;

		k *= m;
		k ^= k >> 24;
		k *= m;
		h *= m;
		h ^= k;
	}
	if (length == 3)
		h ^= (uint32_t)p[2] << 16;
	if (length >= 2)
		h ^= (uint32_t)p[1] << 8;
	if (length >= 1) {
		h ^= p[0];
		h *= m;
	}
	h ^= h >> 13;
	h *= m;
	h ^= h >> 15;
	return h;
}

int32_t
cbatch_partition(const void *key, size_t length, int32_t partitions)
{
	return (int32_t)((cbatch_murmur2(key, length) & 0x7fffffffu) % (uint32_t)partitions);
}
