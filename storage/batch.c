/* SPDX-License-Identifier: MIT
 * batch.c - every rule a RecordBatch v2 must meet to be stored; its CRC; the LogAppendTime stamp.
 * Pure. Any thread. Format: include/kira/record_batch.h. */
#include "storage/batch.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#define CODEC_MAX 4 /* zstd */
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

void
batch_stamp(uint8_t *b, int64_t append_ms)
{
	put_be16(b + RB_ATTRIBUTES, (uint16_t)(rb_attributes(b) | RB_ATTR_LOG_APPEND));
	put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)append_ms);
	put_be32(b + RB_CRC, crc_of(b));
}
