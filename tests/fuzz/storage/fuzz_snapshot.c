/* SPDX-License-Identifier: MIT
 * fuzz_snapshot.c - a producer snapshot from disk. Input: byte 0 bit 0: make count and checksum right;
 * then the file. What loads leaves a table that answers, and a snapshot of it loads again. */
#include "storage/producer_state.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAPACITY 8

static void
ask(struct producers *p, const uint8_t *entry)
{
	const int64_t id = (int64_t)get_be64(entry);
	const int16_t epoch = (int16_t)get_be16(entry + 8);
	const int32_t last = (int32_t)(get_be32(entry + 10) & 0x7fffffff);
	int64_t offset = -1;

	(void)producers_judge(p, 0, id, epoch, last, last, true, 1, &offset);
	(void)producers_judge(p, 0, id, epoch, 0, last, false, 1, &offset);
	(void)producers_judge(p, 0, id, (int16_t)(epoch ^ 1), 0, 5, true, 1, &offset);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[PRODUCER_SNAPSHOT_BYTES(CAPACITY)];
	struct producers *p;
	uint8_t *file;
	uint32_t n;

	if (size < 2 || !producers_open(&p, CAPACITY, 2))
		return 0;
	n = (uint32_t)size - 1;
	file = malloc(n);
	if (!file)
		abort();
	memcpy(file, data + 1, n);
	if ((data[0] & 1) && n >= PRODUCER_SNAPSHOT_BYTES(0)) {
		put_be16(file, 1);
		put_be32(file + 6, (n - 10) / (PRODUCER_SNAPSHOT_BYTES(1) - 10));
		n = PRODUCER_SNAPSHOT_BYTES((n - 10) / (PRODUCER_SNAPSHOT_BYTES(1) - 10));
		producers_seal_snapshot(file, n);
	}
	if (producers_load(p, 0, file, n, 1)) {
		if (producers_count(p, 0) > CAPACITY)
			__builtin_trap();
		for (uint32_t at = 10; at + 46 <= n; at += 46)
			ask(p, file + at);
		n = producers_put(p, 0, again, sizeof(again));
		producers_seal_snapshot(again, n);
		producers_forget(p, 0);
		if (n == 0 || producers_count(p, 0) != 0 || !producers_load(p, 1, again, n, 1))
			__builtin_trap();
	} else if (producers_count(p, 0) != 0) {
		__builtin_trap();
	}
	producers_close(p);
	free(file);
	return 0;
}
