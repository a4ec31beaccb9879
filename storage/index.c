/* SPDX-License-Identifier: MIT
 * index.c - see the header. Files hold Kafka's bytes: 8 per entry, 12 per time entry, big-endian. */
#include "storage/index.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "base/hook.h"

#include <errno.h>

BUILD_ASSERT(sizeof(struct index_entry) == 8);
BUILD_ASSERT(sizeof(struct time_entry) == 16);

int
index_open(struct index *ix, const struct io *io, uint64_t size)
{
	/* One entry per INDEX_INTERVAL at most, one time entry with each and one at the end. */
	const uint64_t room = size / INDEX_INTERVAL + 2;
	uint8_t *map;
	int rc;

	*ix = (struct index){.room = (uint32_t)room, .max_timestamp = -1};
	ix->bytes = room * (sizeof(*ix->entry) + sizeof(*ix->time));
	rc = io->map(-1, ix->bytes, &map);
	if (rc < 0)
		return rc;
	ix->time = (struct time_entry *)(void *)map;
	ix->entry = (struct index_entry *)(void *)(map + room * sizeof(*ix->time));
	return 0;
}

void
index_close(struct index *ix, const struct io *io)
{
	if (ix->time)
		(void)io->unmap(ix->time, ix->bytes);
	ix->time = NULL;
	ix->entry = NULL;
}

static int
populate(const struct io *io, void *array, size_t entry, uint64_t from, uint64_t to)
{
	const uint64_t page = 4096;
	const uintptr_t at = round_down((uintptr_t)array + from * entry, page);
	const uintptr_t end = round_up((uintptr_t)array + to * entry, page);

	return end > at ? io->populate((void *)at, end - at) : 0;
}

int
index_populate(struct index *ix, const struct io *io, uint64_t from, uint64_t position)
{
	const uint64_t first = MIN(from / INDEX_INTERVAL, (uint64_t)ix->room);
	const uint64_t last = MIN(position / INDEX_INTERVAL + 1, (uint64_t)ix->room);
	int rc = populate(io, ix->entry, sizeof(*ix->entry), first, last);

	return rc < 0 ? rc : populate(io, ix->time, sizeof(*ix->time), first, last);
}

static void
add_time(struct index *ix)
{
	const uint32_t n = atomic_load_explicit(&ix->times, memory_order_relaxed);

	if (ix->max_timestamp < 0 || (n > 0 && ix->time[n - 1].timestamp >= ix->max_timestamp))
		return;
	ASSERT(n < ix->room);
	ix->time[n] = (struct time_entry){.timestamp = ix->max_timestamp,
		.last_delta = ix->max_delta};
	atomic_store_explicit(&ix->times, n + 1, memory_order_release); /* I1 */
}

void
index_add(struct index *ix, uint32_t position, uint32_t length, uint32_t last_delta,
	int64_t max_timestamp)
{
	if (max_timestamp > ix->max_timestamp) {
		ix->max_timestamp = max_timestamp;
		ix->max_delta = last_delta;
	}
	if (ix->since > INDEX_INTERVAL) {
		const uint32_t n = atomic_load_explicit(&ix->n, memory_order_relaxed);

		ASSERT(n < ix->room);
		ix->entry[n] = (struct index_entry){last_delta, position};
		HOOK(I1);
		atomic_store_explicit(&ix->n, n + 1, memory_order_release); /* I1 */
		add_time(ix);
		ix->since = 0;
	}
	ix->since += length;
}

void
index_finish(struct index *ix)
{
	add_time(ix);
}

/* ---- Searches ----------------------------------------------------------------------------- */

/* Position of the last entry whose last_delta, or position, is <= key; 0 where there is none. */
static uint32_t
search(const struct index *ix, uint64_t key, bool by_position)
{
	uint32_t lo = 0, hi;

	HOOK(I2);
	hi = atomic_load_explicit(&ix->n, memory_order_acquire); /* I2 */

	while (lo < hi) {
		const uint32_t mid = lo + (hi - lo) / 2;
		const struct index_entry *e = &ix->entry[mid];

		if ((by_position ? e->position : e->last_delta) <= key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? ix->entry[lo - 1].position : 0;
}

uint32_t
index_find(const struct index *ix, uint64_t delta)
{
	return search(ix, delta, false);
}

uint32_t
index_floor(const struct index *ix, uint64_t limit)
{
	return search(ix, limit, true);
}

uint32_t
index_find_time(const struct index *ix, int64_t target)
{
	uint32_t lo = 0, hi;

	HOOK(I2);
	hi = atomic_load_explicit(&ix->times, memory_order_acquire); /* I2 */

	while (lo < hi) {
		const uint32_t mid = lo + (hi - lo) / 2;

		if (ix->time[mid].timestamp < target)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? ix->time[lo - 1].last_delta : 0;
}

void
index_put(const struct index *ix, uint8_t *entries, uint8_t *times)
{
	index_put_first(ix, atomic_load_explicit(&ix->n, memory_order_acquire),
		atomic_load_explicit(&ix->times, memory_order_acquire), entries, times);
}

void
index_put_first(const struct index *ix, uint32_t n, uint32_t m, uint8_t *entries, uint8_t *times)
{
	for (uint32_t i = 0; i < n; i++, entries += INDEX_ENTRY_BYTES) {
		put_be32(entries, ix->entry[i].last_delta);
		put_be32(entries + 4, ix->entry[i].position);
	}
	for (uint32_t i = 0; i < m; i++, times += TIME_ENTRY_BYTES) {
		put_be64(times, (uint64_t)ix->time[i].timestamp);
		put_be32(times + 8, ix->time[i].last_delta);
	}
}

/* The last entry of `bytes` each for which key(entry) <= limit (or < it), into `entry`. 0: none,
 * 1: found. The files are sorted by both their columns. */
static int
file_search(const struct io *io, int fd, uint64_t size, unsigned bytes,
	uint64_t (*key)(const uint8_t *entry), uint64_t limit, bool or_equal, uint8_t *entry)
{
	uint64_t lo = 0, hi = size / bytes;
	uint8_t b[TIME_ENTRY_BYTES];

	while (lo < hi) {
		const uint64_t mid = lo + (hi - lo) / 2;
		const int64_t n = io->pread(fd, b, bytes, mid * bytes);

		if (n != bytes)
			return n < 0 ? (int)n : -EIO;
		if (key(b) < limit || (or_equal && key(b) == limit))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return 0;
	return io->pread(fd, entry, bytes, (lo - 1) * bytes) == bytes ? 1 : -EIO;
}

static uint64_t
key_delta(const uint8_t *entry)
{
	return get_be32(entry);
}

static uint64_t
key_position(const uint8_t *entry)
{
	return get_be32(entry + 4);
}

static uint64_t
key_time(const uint8_t *entry)
{
	return get_be64(entry);
}

int
index_file_find(const struct io *io, int fd, uint64_t size, uint64_t delta, uint32_t *position)
{
	uint8_t b[INDEX_ENTRY_BYTES];
	const int rc = file_search(io, fd, size, sizeof(b), key_delta, delta, true, b);

	if (rc >= 0)
		*position = rc ? get_be32(b + 4) : 0;
	return rc < 0 ? rc : 0;
}

int
index_file_floor(const struct io *io, int fd, uint64_t size, uint64_t limit, uint32_t *position)
{
	uint8_t b[INDEX_ENTRY_BYTES];
	const int rc = file_search(io, fd, size, sizeof(b), key_position, limit, true, b);

	if (rc >= 0)
		*position = rc ? get_be32(b + 4) : 0;
	return rc < 0 ? rc : 0;
}

int
index_file_find_time(const struct io *io, int fd, uint64_t size, int64_t target, uint32_t *delta)
{
	uint8_t b[TIME_ENTRY_BYTES];
	const int rc = target < 0 ? 0 :
		file_search(io, fd, size, sizeof(b), key_time, (uint64_t)target, false, b);

	if (rc >= 0)
		*delta = rc ? get_be32(b + 8) : 0;
	return rc < 0 ? rc : 0;
}

int
index_file_last_time(const struct io *io, int fd, uint64_t size, int64_t *timestamp,
	uint32_t *delta)
{
	const uint64_t n = size / TIME_ENTRY_BYTES;
	uint8_t b[TIME_ENTRY_BYTES];

	*timestamp = -1;
	*delta = 0;
	if (n == 0)
		return 0;
	if (io->pread(fd, b, sizeof(b), (n - 1) * TIME_ENTRY_BYTES) != sizeof(b))
		return -EIO;
	*timestamp = (int64_t)get_be64(b);
	*delta = get_be32(b + 8);
	return 0;
}
