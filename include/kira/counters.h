/* SPDX-License-Identifier: MIT
 * counters.h - the mapped file of counters: DATA/run/counters, a link to a file in /dev/shm. It
 * describes itself: a head, a table of entries (group, name, where its value lies), then values.
 * kirad writes, each value by one thread, values of one group on cache lines of their own; any
 * process that may read the file maps it read-only. Host byte order: a file for this host alone.
 *
 *   0            64                                      values_at
 *   | head       | entry[0] entry[1] .. entry[entries_max-1] | group | group | ..
 *
 * Reading: map, kira_counters_valid(), then entries 0..kira_counters_entries()-1. The table grows
 * while kirad starts and never changes afterwards. A kirad that was killed leaves its file behind
 * until the next start: look whether `pid` lives. */
#ifndef KIRA_COUNTERS_H
#define KIRA_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KIRA_COUNTERS_MAGIC   "KIRACNTR"
#define KIRA_COUNTERS_VERSION 1
#define KIRA_COUNTERS_GROUP   32 /* bytes of a group's name, the closing 0 included */
#define KIRA_COUNTERS_NAME    48

struct kira_counters_entry {
	char group[KIRA_COUNTERS_GROUP]; /* who writes it: "control", "storage", "rx0", "store1" .. */
	char name[KIRA_COUNTERS_NAME];
	uint32_t value_at;               /* byte offset of its u64 from the start of the file */
	uint32_t reserved[3];
};

struct kira_counters_head {
	char magic[8];
	uint32_t version;
	uint32_t bytes;          /* of the file */
	int32_t pid;
	uint32_t entries_max;
	int64_t started_wall_ms; /* when kirad started, ms since 1970 */
	uint32_t entries_at;     /* byte offset of entry[0] */
	uint32_t values_at;
	_Atomic uint32_t entries; /* N1, release: entries below it are complete; pairs with N2 */
	uint32_t reserved[5];
};

_Static_assert(sizeof(struct kira_counters_entry) == 96, "layout");
_Static_assert(sizeof(struct kira_counters_head) == 64, "layout");

/* Is this a file that we can read? `bytes`: what was mapped. */
static inline bool
kira_counters_valid(const void *map, size_t bytes)
{
	const struct kira_counters_head *h = (const struct kira_counters_head *)map;

	return bytes >= sizeof(*h) && memcmp(h->magic, KIRA_COUNTERS_MAGIC, sizeof(h->magic)) == 0 &&
		h->version == KIRA_COUNTERS_VERSION && h->bytes == bytes &&
		h->entries_at >= sizeof(*h) && h->values_at <= bytes &&
		h->entries_at + (uint64_t)h->entries_max * sizeof(struct kira_counters_entry) <=
			h->values_at;
}

/* N2, acquire: see `entries`. */
static inline uint32_t
kira_counters_entries(const void *map)
{
	const struct kira_counters_head *h = (const struct kira_counters_head *)map;
	const uint32_t n = atomic_load_explicit(&h->entries, memory_order_acquire);

	return n < h->entries_max ? n : h->entries_max;
}

static inline const struct kira_counters_entry *
kira_counters_entry(const void *map, uint32_t i)
{
	const struct kira_counters_head *h = (const struct kira_counters_head *)map;

	return (const struct kira_counters_entry *)((const char *)map + h->entries_at) + i;
}

/* The value now; 0 where the entry points outside the file. */
static inline uint64_t
kira_counters_value(const void *map, const struct kira_counters_entry *e)
{
	const struct kira_counters_head *h = (const struct kira_counters_head *)map;

	if (e->value_at % sizeof(uint64_t) || e->value_at > h->bytes - sizeof(uint64_t))
		return 0;
	return atomic_load_explicit(
		(const _Atomic uint64_t *)(const void *)((const char *)map + e->value_at),
		memory_order_relaxed);
}

#endif
