/* SPDX-License-Identifier: MIT
 * fuzz_batch_check.c - what the bytes of a producer may do to the rules of a batch. Input: byte 0 the
 * flags, then the batch, exactly as long as it is. What passes may be read by every accessor and
 * checksummed without leaving the buffer; the rules' promises hold. */
#include "storage/batch.h"

#include <kira/record_batch.h>

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t copy[1 << 16];
	const unsigned flags = size ? data[0] & 7 : 0;
	const uint8_t *b = data + 1;

	if (size < 1 || size > sizeof(copy))
		return 0;
	size--;
	if (batch_check(b, (uint32_t)size, flags) != 0)
		return 0;
	if (rb_total(b) < RB_HEADER || rb_total(b) > (int64_t)size)
		__builtin_trap();
	if ((flags & BATCH_EXACT) && rb_total(b) != (int64_t)size)
		__builtin_trap();
	if (rb_count(b) < 1 || rb_count(b) > BATCH_RECORDS_MAX ||
		rb_last_offset_delta(b) != rb_count(b) - 1)
		__builtin_trap();
	if (rb_producer_id(b) >= 0 && (rb_producer_epoch(b) < 0 || rb_base_sequence(b) < 0))
		__builtin_trap();
	if ((flags & BATCH_NEW) &&
		(rb_base_offset(b) != 0 ||
			(rb_attributes(b) &
				(RB_ATTR_CONTROL | RB_ATTR_TRANSACTIONAL | RB_ATTR_LOG_APPEND))))
		__builtin_trap();
	(void)batch_crc_right(b);
	memcpy(copy, b, size);
	batch_stamp(copy, 1700000000000);
	if (!batch_crc_right(copy) || batch_check(copy, (uint32_t)size, flags & ~BATCH_NEW) != 0)
		__builtin_trap();
	return 0;
}
