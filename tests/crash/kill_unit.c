/* SPDX-License-Identifier: MIT
 * kill_unit.c - the units of kill_load: bytes that say whose they are, and the lines about them.
 * Thread: any, each with its own worker. */
#include "tests/crash/kill_load.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"

#include <inttypes.h>

static const char mark[8] = "KIRAUNIT";

static uint64_t
mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
	return v ^ (v >> 31);
}

int32_t
unit_count(int64_t id, int32_t sequence)
{
	return (int32_t)(mix(load.seed + (uint64_t)id * 1000003 + (uint64_t)sequence) % UNIT_RECORDS) + 1;
}

uint32_t
unit_value(const struct unit_id *u, int32_t n, uint8_t value[UNIT_VALUE_MAX])
{
	uint64_t r = mix(load.seed ^ mix((uint64_t)u->id << 40 ^ (uint64_t)(u->sequence + n)));
	/* One in eight is large: segments fill, rolls come. */
	const uint32_t length = UNIT_VALUE_MIN +
		(uint32_t)(r % (r >> 61 ? 64 : UNIT_VALUE_MAX - UNIT_VALUE_MIN));

	for (uint32_t i = 0; i + 8 <= length; i += 8) {
		r = r * 6364136223846793005u + 1442695040888963407u;
		put_be64(value + i, i % 32 < 16 ? r : 0x7878787878787878); /* half of it can be saved */
	}
	memset(value + length / 8 * 8, (int)r, length % 8);
	if (n == 0) {
		memcpy(value, mark, sizeof(mark));
		put_be64(value + 8, (uint64_t)u->id);
		put_be32(value + 16, (uint32_t)u->epoch);
		put_be32(value + 20, (uint32_t)u->sequence);
		put_be32(value + 24, (uint32_t)u->count);
	} else {
		value[0] = 0; /* no mark, by no chance */
	}
	return length;
}

uint64_t
unit_hash(uint64_t hash, const void *value, uint32_t length)
{
	return (uint64_t)crc32c_more((uint32_t)(hash >> 32), value, length) << 32 |
		((uint32_t)hash + length);
}

bool
unit_of(const void *value, uint32_t length, struct unit_id *ret)
{
	const uint8_t *v = value;

	if (length < UNIT_VALUE_MIN || memcmp(v, mark, sizeof(mark)) != 0)
		return false;
	*ret = (struct unit_id){(int64_t)get_be64(v + 8), (int32_t)get_be32(v + 16),
		(int32_t)get_be32(v + 20), (int32_t)get_be32(v + 24)};
	return ret->count >= 1;
}

void
unit_sent(struct worker *w, const struct unit_id *u, uint64_t hash)
{
	fprintf(w->history, "send %" PRId64 " %" PRId64 " %" PRId32 " %" PRId32 " %" PRId32 " %u %" PRIx64
		"\n", load_ms(), u->id, u->epoch, u->sequence, u->count, w->part, hash);
	atomic_fetch_add(&load.progress->in_flight, 1);
}

void
unit_acked(struct worker *w, const struct unit_id *u, bool disk, int64_t offset)
{
	const int64_t now = load_ms();

	fprintf(w->history, "ack %" PRId64 " %" PRId64 " %" PRId32 " %" PRId32 " %u %s %" PRId64 " -1\n",
		now, u->id, u->epoch, u->sequence, w->part, disk ? "disk" : "log", offset);
	atomic_fetch_sub(&load.progress->in_flight, 1);
	atomic_fetch_add(&load.progress->acked, 1);
	atomic_store(&load.progress->last_ack_ms, (uint64_t)now);
}
