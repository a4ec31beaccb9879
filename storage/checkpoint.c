/* SPDX-License-Identifier: MIT
 * checkpoint.c - the bytes of a checkpoint. Pure; what comes from disk is judged. */
#include "storage/checkpoint.h"

#include "storage/producer_state.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC   0x4b435054u /* KCPT */
#define VERSION 1
#define CRC_AT  8
#define BODY    12          /* the checksum covers all from here on */
#define HEAD    68

uint8_t *
checkpoint_bytes(const struct checkpoint *cp, const struct index *ix, uint32_t *n)
{
	const uint32_t entries = cp->entries * INDEX_ENTRY_BYTES, times = cp->times * TIME_ENTRY_BYTES;
	uint8_t *b = malloc(HEAD + (size_t)entries + times + cp->snapshot_length);

	ASSERT(b);
	*n = HEAD + entries + times + cp->snapshot_length;
	put_be32(b, MAGIC);
	put_be32(b + 4, VERSION);
	put_be64(b + 12, (uint64_t)cp->base);
	put_be64(b + 20, (uint64_t)cp->end);
	put_be64(b + 28, cp->position);
	put_be32(b + 36, (uint32_t)cp->leader_epoch);
	put_be32(b + 40, cp->entries);
	put_be32(b + 44, cp->times);
	put_be32(b + 48, (uint32_t)cp->since);
	put_be64(b + 52, (uint64_t)cp->max_timestamp);
	put_be32(b + 60, cp->max_delta);
	put_be32(b + 64, cp->snapshot_length);
	index_put_first(ix, cp->entries, cp->times, b + HEAD, b + HEAD + entries);
	memcpy(b + HEAD + entries + times, cp->snapshot, cp->snapshot_length);
	producers_seal_snapshot(b + HEAD + entries + times, cp->snapshot_length);
	put_be32(b + CRC_AT, crc32c(b + BODY, *n - BODY));
	return b;
}

bool
checkpoint_parse(const uint8_t *b, uint64_t n, struct checkpoint_file *ret)
{
	struct checkpoint_file cp;

	if (n < HEAD || get_be32(b) != MAGIC || get_be32(b + 4) != VERSION ||
		get_be32(b + CRC_AT) != crc32c(b + BODY, n - BODY))
		return false;
	cp = (struct checkpoint_file){
		.base = (int64_t)get_be64(b + 12),
		.end = (int64_t)get_be64(b + 20),
		.position = get_be64(b + 28),
		.leader_epoch = (int32_t)get_be32(b + 36),
		.entries = get_be32(b + 40),
		.times = get_be32(b + 44),
		.since = get_be32(b + 48),
		.max_timestamp = (int64_t)get_be64(b + 52),
		.max_delta = get_be32(b + 60),
		.snapshot_length = get_be32(b + 64),
	};
	if (n != HEAD + (uint64_t)cp.entries * INDEX_ENTRY_BYTES + (uint64_t)cp.times * TIME_ENTRY_BYTES +
		cp.snapshot_length)
		return false;
	if (cp.base < 0 || cp.end <= cp.base || cp.position == 0 || cp.leader_epoch < 0 || cp.since > cp.position)
		return false;
	cp.entry = b + HEAD;
	cp.time = cp.entry + (size_t)cp.entries * INDEX_ENTRY_BYTES;
	cp.snapshot = cp.time + (size_t)cp.times * TIME_ENTRY_BYTES;
	*ret = cp;
	return true;
}

bool
checkpoint_index(const struct checkpoint_file *cp, struct index *ix)
{
	if (cp->entries > ix->room || cp->times > ix->room)
		return false;
	for (uint32_t i = 0; i < cp->entries; i++)
		ix->entry[i] = (struct index_entry){get_be32(cp->entry + i * INDEX_ENTRY_BYTES),
			get_be32(cp->entry + i * INDEX_ENTRY_BYTES + 4)};
	for (uint32_t i = 0; i < cp->times; i++)
		ix->time[i] = (struct time_entry){.timestamp = (int64_t)get_be64(cp->time + i * TIME_ENTRY_BYTES),
			.last_delta = get_be32(cp->time + i * TIME_ENTRY_BYTES + 8)};
	atomic_store(&ix->n, cp->entries);
	atomic_store(&ix->times, cp->times);
	ix->since = cp->since;
	ix->max_timestamp = cp->max_timestamp;
	ix->max_delta = cp->max_delta;
	return true;
}
