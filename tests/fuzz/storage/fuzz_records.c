/* SPDX-License-Identifier: MIT
 * fuzz_records.c - the records of a batch that passed its checks, plain or compressed, looked at for their
 * times, and each of them walked over with its headers. Input: byte 0: codec and timestamp type; bytes
 * 1..8 the target; then the records. An answer lies within the batch and is not below the target; no
 * more records come than the batch has. */
#include "storage/records.h"

#include "storage/batch.h"

#include "base/bytes.h"

#include <kira/record_batch.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE  1000000
#define COUNT 10
#define MS    1700000000000

static bool
each(void *arg, struct record *r)
{
	struct view name, value;
	uint8_t sum = 0;

	if (++*(int *)arg > COUNT || r->offset < BASE || r->offset >= BASE + COUNT)
		__builtin_trap();
	for (int32_t i = 0; i < r->headers; i++) {
		records_header(r, &name, &value);
		if (!name.p || r->rest.bad)
			__builtin_trap(); /* they were walked over before */
		for (uint32_t k = 0; k < value.len; k++)
			sum ^= value.p[k];
	}
	return sum != 0x5a; /* now and then not to the end */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t target, offset, timestamp;
	uint8_t *b;
	int n = 0;

	if (size < 9)
		return 0;
	target = (int64_t)get_be64(data + 1);
	b = calloc(1, RB_HEADER + size - 9);
	if (!b)
		return 0;
	put_be64(b, BASE);
	put_be32(b + RB_LENGTH, (uint32_t)(RB_HEADER + size - 9 - RB_LENGTH_FROM));
	b[RB_MAGIC] = 2;
	put_be16(b + RB_ATTRIBUTES, data[0] & 0x0f);
	put_be32(b + RB_LAST_OFFSET_DELTA, COUNT - 1);
	put_be64(b + RB_BASE_TIMESTAMP, MS);
	put_be64(b + RB_MAX_TIMESTAMP, MS + 5);
	put_be64(b + RB_PRODUCER_ID, UINT64_MAX);
	put_be32(b + RB_COUNT, COUNT);
	memcpy(b + RB_HEADER, data + 9, size - 9);
	if (records_find_time(b, 0, target, &offset, &timestamp))
		if (timestamp < target || offset < BASE || offset >= BASE + COUNT)
			__builtin_trap();
	(void)records_each(b, each, &n);
	free(b);
	return 0;
}
