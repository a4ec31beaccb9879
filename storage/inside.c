/* SPDX-License-Identifier: MIT
 * inside.c - the records of a batch that is to be appended: are they what the header says, and how late is
 * the latest of them? Pure but for the memory of a compressed batch. Any thread; control calls it for
 * the few batches whose header cannot be believed. */
#include "storage/batch.h"
#include "storage/records.h"
#include "storage/storage.h"

#include "base/bits.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#define LZ4_FLAGS       4    /* of an LZ4 frame, behind its magic number */
#define LZ4_INDEPENDENT 0x20 /* its blocks are; Java's consumers read no others */

struct looking {
	struct batch_inside *found;
	int32_t seen;
};

static bool
look(void *arg, struct record *r)
{
	struct looking *l = arg;

	if (r->offset != l->seen) {
		l->found->wrong = l->seen;
		l->found->why = "its offset is not one above that of the record before it";
		return false;
	}
	l->seen++;
	l->found->max_timestamp = MAX(l->found->max_timestamp, r->created_ms);
	return true;
}

int16_t
storage_look_inside(const uint8_t *batch, uint32_t length, uint64_t raw_max, struct batch_inside *ret)
{
	struct looking l = {.found = ret};
	unsigned codec;
	int16_t error;

	*ret = (struct batch_inside){.max_timestamp = INT64_MIN, .wrong = -1};
	error = batch_check(batch, length, BATCH_NEW | BATCH_EXACT | BATCH_UNTIMED);
	if (error != 0)
		return error;
	if (!batch_crc_right(batch))
		return KIRA_E_CORRUPT_MESSAGE;
	codec = rb_attributes(batch) & RB_CODEC_MASK;
	if (codec == RB_CODEC_LZ4 && length > RB_HEADER + LZ4_FLAGS &&
		!(batch[RB_HEADER + LZ4_FLAGS] & LZ4_INDEPENDENT)) {
		ret->why = "LZ4 blocks that depend on each other, which Java's consumers cannot read";
		return KIRA_E_INVALID_RECORD;
	}
	if (records_each_within(batch, MIN(raw_max, RECORDS_RAW_MAX), look, &l) == RECORDS_WHOLE)
		return ret->why ? KIRA_E_INVALID_RECORD : 0;
	if (codec == 0 || l.seen > 0)
		ret->wrong = l.seen;
	ret->why = codec == 0 ? "no record, or bytes behind the last one"
			      : "not what its codec says, too large once decompressed, or no record";
	return KIRA_E_INVALID_RECORD;
}

void
storage_set_max_timestamp(uint8_t *batch, int64_t ms)
{
	batch_set_max_timestamp(batch, ms);
}
