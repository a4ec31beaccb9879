/* SPDX-License-Identifier: MIT
 * settings.h - a partition's configuration as its threads share it. The storage lcore writes it, once the
 * partition is known to others (storage_configure); flush daemon, jobs and control read. Field by field: two
 * that are read one after the other may be of two configurations, and nobody takes them for one. */
#ifndef KIRA_STORAGE_SETTINGS_H
#define KIRA_STORAGE_SETTINGS_H

#include "base/assert.h"
#include "storage/storage.h"

#include <stdatomic.h>

#define SETTINGS(X)                                                                                \
	X(int64_t, segment_bytes)                                                                  \
	X(int64_t, segment_ms)                                                                     \
	X(int64_t, retention_bytes)                                                                \
	X(int64_t, retention_ms)                                                                   \
	X(int64_t, max_message_bytes)                                                              \
	X(int64_t, timestamp_before_max_ms)                                                        \
	X(int64_t, timestamp_after_max_ms)                                                         \
	X(int64_t, flush_ms)                                                                       \
	X(int64_t, flush_messages)                                                                 \
	X(bool, log_append_time)                                                                   \
	X(bool, visible_at_disk)                                                                   \
	X(bool, rewrite_lz4)

struct settings {
#define FIELD(type, name) _Atomic type name;
	SETTINGS(FIELD)
#undef FIELD
};
_Static_assert(sizeof(struct settings) == sizeof(struct partition_config), "a field is missing above");

static inline void
settings_set(struct settings *to, const struct partition_config *from)
{
#define FIELD(type, name) atomic_store_explicit(&to->name, from->name, memory_order_relaxed);
	SETTINGS(FIELD)
#undef FIELD
}

static inline void
settings_get(const struct settings *from, struct partition_config *to)
{
#define FIELD(type, name) to->name = atomic_load_explicit(&from->name, memory_order_relaxed);
	SETTINGS(FIELD)
#undef FIELD
}

/* One field. */
#define SETTING(part, name) atomic_load_explicit(&(part)->settings.name, memory_order_relaxed)

#endif
