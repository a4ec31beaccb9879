/* SPDX-License-Identifier: MIT
 * batch.c - every rule a RecordBatch v2 must meet to be stored; its CRC; the LogAppendTime stamp.
 * Pure. Any thread. Format: include/kira/record_batch.h. */
#include "storage/batch.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#define CODEC_MAX 4 /* zstd */
/* A checksum of so much just checked and still in the cache costs as much as patching it. */
#define PATCH_FROM (16 * KIB)
/* Rules 6 and 7 answer for bits that mean something; bits 7 to 15 mean nothing yet and pass, as in
 * Kafka. */
#define ATTR_BROKERS (RB_ATTR_CONTROL | RB_ATTR_DELETE_HORIZON)

static int16_t
check_counts(const uint8_t *b, int64_t total, unsigned flags)
{
	const int32_t count = rb_count(b);

	if ((flags & BATCH_NEW) && rb_base_offset(b) != 0)
		return KIRA_E_INVALID_RECORD;
	if (count < 1 || count > BATCH_RECORDS_MAX || rb_last_offset_delta(b) != count - 1)
		return KIRA_E_INVALID_RECORD;
	/* A lie here would burn 2^31 offsets with one small batch. */
	if ((rb_attributes(b) & RB_CODEC_MASK) == 0 && count > (total - RB_HEADER) / RB_RECORD_MIN)
		return KIRA_E_INVALID_RECORD;
	return 0;
}

static int16_t
check_producer(const uint8_t *b)
{
	if ((rb_attributes(b) & ATTR_BROKERS) || rb_producer_id(b) < -1)
		return KIRA_E_INVALID_RECORD;
	if (rb_producer_id(b) >= 0 && (rb_producer_epoch(b) < 0 || rb_base_sequence(b) < 0))
		return KIRA_E_INVALID_RECORD;
	return 0;
}

int16_t
batch_check(const uint8_t *b, uint32_t length, unsigned flags)
{
	int64_t total;
	int16_t error;

	if (length < RB_HEADER)
		return KIRA_E_CORRUPT_MESSAGE;
	total = rb_total(b);
	if (total < RB_HEADER || total > length || ((flags & BATCH_EXACT) && total != length))
		return KIRA_E_CORRUPT_MESSAGE;
	if (b[RB_MAGIC] != 2)
		return KIRA_E_INVALID_RECORD;
	if ((rb_attributes(b) & RB_CODEC_MASK) > CODEC_MAX)
		return KIRA_E_UNSUPPORTED_COMPRESSION_TYPE;
	error = check_counts(b, total, flags);
	if (error == 0)
		error = check_producer(b);
	if (error != 0 || !(flags & BATCH_NEW))
		return error;
	if (rb_attributes(b) & RB_ATTR_TRANSACTIONAL)
		return KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	if (rb_attributes(b) & RB_ATTR_LOG_APPEND)
		return KIRA_E_INVALID_TIMESTAMP;
	if (!(flags & BATCH_UNTIMED) && rb_max_timestamp(b) < rb_base_timestamp(b))
		return KIRA_E_INVALID_TIMESTAMP;
	return 0;
}

static uint32_t
crc_of(const uint8_t *b)
{
	return crc32c(b + RB_ATTRIBUTES, (size_t)rb_total(b) - RB_ATTRIBUTES);
}

bool
batch_crc_right(const uint8_t *b)
{
	return crc_of(b) == rb_crc(b);
}

/* ---- The checksum after a change of attributes or maxTimestamp ---------------------------------
 * CRC-32C is linear: what a change of bytes does to it depends on the difference alone, advanced over
 * the bytes behind it, which need not be read. 0.3 to 0.5 us whatever the length. */

#define POLYNOMIAL 0x82f63b78u /* bit 31 stands for x^0 */
#define HEAD       (RB_PRODUCER_ID - RB_ATTRIBUTES) /* where both fields lie */

/* x^(8 * 2^k): what 2^k bytes of zeros do. */
static const uint32_t zero_bytes[] = {0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18,
	0x510ac59a, 0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62,
	0x28461564, 0xbf455269, 0xe2ea32dc, 0xfe7740e6, 0xf946610b, 0x3c204f8f, 0x538586e3, 0x59726915,
	0x734d5309, 0xbc1ac763, 0x7d0722cc, 0xd289cabe, 0xe94ca9bc, 0x05b74f3f, 0xa51e1f42, 0x40000000,
	0x20000000, 0x08000000};

static uint32_t
multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (unsigned i = 0; i < 32; i++) {
		product ^= b & -(a >> 31);
		a <<= 1;
		b = b >> 1 ^ (POLYNOMIAL & -(b & 1));
	}
	return product;
}

/* `was`: HEAD bytes from the attributes on, before the change. */
static void
patch_crc(uint8_t *b, const uint8_t *was)
{
	uint8_t difference[HEAD];
	uint32_t change;

	for (unsigned i = 0; i < HEAD; i++)
		difference[i] = was[i] ^ b[RB_ATTRIBUTES + i];
	change = ~crc32c_more(~0u, difference, HEAD); /* neither initial nor final inversion */
	for (uint32_t k = 0, n = (uint32_t)rb_total(b) - RB_PRODUCER_ID; n > 0; k++, n >>= 1)
		if (n & 1)
			change = multiply(change, zero_bytes[k]);
	put_be32(b + RB_CRC, rb_crc(b) ^ change);
}

void
batch_set_max_timestamp(uint8_t *b, int64_t ms)
{
	uint8_t was[HEAD];

	memcpy(was, b + RB_ATTRIBUTES, HEAD);
	put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)ms);
	patch_crc(b, was);
}

void
batch_stamp(uint8_t *b, int64_t append_ms)
{
	uint8_t was[HEAD];

	memcpy(was, b + RB_ATTRIBUTES, HEAD);
	put_be16(b + RB_ATTRIBUTES, (uint16_t)(rb_attributes(b) | RB_ATTR_LOG_APPEND));
	put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)append_ms);
	if (rb_total(b) < (int64_t)PATCH_FROM)
		put_be32(b + RB_CRC, crc_of(b));
	else
		patch_crc(b, was);
}
