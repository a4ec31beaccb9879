/* SPDX-License-Identifier: MIT
 * fuzz_rewrite_merge.c - batches whose records are anything, merged as a rewriting does it. Input, per
 * batch: attributes (1 byte), records it claims (1), bytes of records (2, big-endian), the records.
 * Whatever they are: what comes out hashes as what went in, and is made of batches that pass. */
#include "storage/rewrite_merge.h"

#include "storage/batch.h"
#include "storage/records.h"

#include "base/bytes.h"

#include <kira/record_batch.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD 4
#define MS   1700000000000

struct fuzz {
	struct merge m;
	uint64_t in, out;
	int64_t next;
};

static bool
latest(void *arg, struct record *r)
{
	int64_t *max = arg;

	if (r->timestamp_ms > *max)
		*max = r->timestamp_ms;
	return true;
}

static uint8_t *
make(const struct fuzz *f, const uint8_t *head, const uint8_t *records, size_t n)
{
	const int32_t count = head[1] ? head[1] : 1;
	uint8_t *b = calloc(1, RB_HEADER + n);
	int64_t max = INT64_MIN;

	if (!b)
		abort();
	put_be64(b, (uint64_t)f->next);
	put_be32(b + RB_LENGTH, (uint32_t)(RB_HEADER + n - RB_LENGTH_FROM));
	b[RB_MAGIC] = 2;
	put_be16(b + RB_ATTRIBUTES, head[0] & 0x1f);
	put_be32(b + RB_LAST_OFFSET_DELTA, (uint32_t)(count - 1));
	put_be64(b + RB_BASE_TIMESTAMP, MS);
	put_be64(b + RB_MAX_TIMESTAMP, MS);
	put_be64(b + RB_PRODUCER_ID, UINT64_MAX);
	put_be32(b + RB_COUNT, (uint32_t)count);
	memcpy(b + RB_HEADER, records, n);
	/* What a producer that does not lie would have written; bit 7 lies. */
	(void)records_each(b, latest, &max);
	if (!(head[0] & 0x80))
		put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)max);
	return b;
}

static void
put(struct fuzz *f)
{
	const uint8_t *out;
	const uint32_t n = merge_put(&f->m, &out);

	if (n == 0)
		return;
	if (batch_check(out, n, BATCH_EXACT) != 0 || !batch_crc_right(out))
		__builtin_trap();
	f->out = merge_hash(f->out, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.next = 1000};

	merge_open(&f.m, size & 1 ? 4096 : INT64_MAX);
	while (size >= HEAD) {
		const uint8_t *head = data;
		size_t n = get_be16(data + 2);
		enum merge_verdict v;
		uint8_t *b;

		data += HEAD;
		size -= HEAD;
		n = n < size ? n : size;
		b = make(&f, head, data, n);
		data += n;
		size -= n;
		v = merge_take(&f.m, b);
		if (v == MERGE_FULL) {
			put(&f);
			v = merge_take(&f.m, b);
		}
		if (v == MERGE_FULL)
			__builtin_trap(); /* there is nothing left to put */
		if (v == MERGE_APART) {
			put(&f);
			f.out = merge_hash(f.out, b);
		}
		f.in = merge_hash(f.in, b);
		f.next += rb_count(b);
		free(b);
	}
	put(&f);
	if (f.in != f.out)
		__builtin_trap();
	merge_close(&f.m);
	return 0;
}
