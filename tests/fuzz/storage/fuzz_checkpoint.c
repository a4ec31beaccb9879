/* SPDX-License-Identifier: MIT
 * fuzz_checkpoint.c - a checkpoint from disk. Input: byte 0 bit 0: make magic, version, length of the snapshot
 * and checksum right, bit 1: make the snapshot's checksum right; then the file. What is taken lies within the
 * file, gives an index that answers out of it, and is written again as it was. */
#include "storage/checkpoint.h"

#include "storage/producer_state.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD     68          /* FORMAT.md */
#define SEGMENT  (64 * 1024) /* the index is opened for one of this size */
#define CAPACITY 8

/* As far as its counts leave a place for it; else the checksum ends nearly every input at once. */
static void
mend(uint8_t *b, size_t n, bool snapshot_too)
{
	uint64_t arrays;

	if (n < HEAD)
		return;
	arrays = (uint64_t)get_be32(b + 40) * INDEX_ENTRY_BYTES + (uint64_t)get_be32(b + 44) * TIME_ENTRY_BYTES;
	if (HEAD + arrays <= n) {
		const uint32_t left = (uint32_t)(n - HEAD - arrays);

		put_be32(b + 64, left);
		if (snapshot_too && left >= PRODUCER_SNAPSHOT_BYTES(0))
			producers_seal_snapshot(b + n - left, left);
	}
	memcpy(b, "KCPT\0\0\0\1", 8);
	put_be32(b + 8, crc32c(b + 12, n - 12));
}

static bool
is_position(const struct index *ix, uint32_t position)
{
	for (uint32_t i = 0; i < atomic_load(&ix->n); i++)
		if (ix->entry[i].position == position)
			return true;
	return position == 0;
}

static void
ask(const struct index *ix)
{
	const uint32_t n = atomic_load(&ix->n), times = atomic_load(&ix->times);

	for (uint32_t i = 0; i < n; i++)
		if (!is_position(ix, index_find(ix, ix->entry[i].last_delta)) ||
			!is_position(ix, index_floor(ix, ix->entry[i].position)))
			__builtin_trap();
	for (uint32_t i = 0; i < times; i++)
		(void)index_find_time(ix, ix->time[i].timestamp);
}

/* A checkpoint made of what was read: byte for byte the file, since its snapshot's checksum is right. */
static void
write_again(const struct checkpoint_file *file, const struct index *ix, const uint8_t *b, size_t n)
{
	struct checkpoint *cp = malloc(sizeof(*cp) + file->snapshot_length);
	uint8_t *again;
	uint32_t length;

	if (!cp)
		abort();
	*cp = (struct checkpoint){.base = file->base, .end = file->end, .position = file->position,
		.since = ix->since, .max_timestamp = ix->max_timestamp, .max_delta = ix->max_delta,
		.entries = atomic_load(&ix->n), .times = atomic_load(&ix->times),
		.leader_epoch = file->leader_epoch, .snapshot_length = file->snapshot_length};
	memcpy(cp->snapshot, file->snapshot, file->snapshot_length);
	again = checkpoint_bytes(cp, ix, &length);
	if (length != n || memcmp(again, b, n) != 0)
		__builtin_trap();
	free(again);
	free(cp);
}

static void
taken(const struct checkpoint_file *cp, const uint8_t *b, size_t n)
{
	struct producers *p;
	struct index ix;

	if (cp->base < 0 || cp->end <= cp->base || cp->position == 0 || cp->since > cp->position ||
		cp->leader_epoch < 0 || cp->entry != b + HEAD || cp->snapshot + cp->snapshot_length != b + n ||
		cp->time != cp->entry + (size_t)cp->entries * INDEX_ENTRY_BYTES ||
		cp->snapshot != cp->time + (size_t)cp->times * TIME_ENTRY_BYTES)
		__builtin_trap();
	if (index_open(&ix, &io_posix, SEGMENT) != 0 || !producers_open(&p, CAPACITY, 1))
		abort();
	if (checkpoint_index(cp, &ix)) {
		if (cp->entries > ix.room || cp->times > ix.room)
			__builtin_trap();
		ask(&ix);
		if (producers_load(p, 0, cp->snapshot, cp->snapshot_length, 1))
			write_again(cp, &ix, b, n);
	} else if ((cp->entries <= ix.room && cp->times <= ix.room) || atomic_load(&ix.n) != 0) {
		__builtin_trap();
	}
	producers_close(p);
	index_close(&ix, &io_posix);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct checkpoint_file cp;
	uint8_t *file;

	if (size < 2)
		return 0;
	file = malloc(size - 1); /* exactly: a byte behind it is a fault */
	if (!file)
		abort();
	memcpy(file, data + 1, size - 1);
	if (data[0] & 1)
		mend(file, size - 1, data[0] & 2);
	if (checkpoint_parse(file, size - 1, &cp))
		taken(&cp, file, size - 1);
	free(file);
	return 0;
}
