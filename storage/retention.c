/* SPDX-License-Identifier: MIT
 * retention.c - see the header. As Kafka: by size while what would be left is not below
 * retention.bytes, by time when the largest timestamp is older than retention.ms. */
#include "storage/retention.h"

static bool
too_old(const struct retention_fact *f, int64_t retention_ms, int64_t wall_ms)
{
	const bool trust = f->max_timestamp >= 0 && f->max_timestamp <= wall_ms + RETENTION_FUTURE_MS;
	const int64_t at = trust ? f->max_timestamp : f->sealed_wall_ms;

	return retention_ms >= 0 && at < wall_ms && wall_ms - at > retention_ms;
}

unsigned
retention_expired(const struct retention_fact *fact, unsigned n, uint64_t active_bytes,
	const struct partition_config *cfg, int64_t wall_ms)
{
	uint64_t total = active_bytes;
	unsigned drop = 0;

	for (unsigned i = 0; i < n; i++)
		total += fact[i].bytes;
	while (drop < n && fact[drop].may_go) {
		const bool by_size = cfg->retention_bytes >= 0 &&
			total - fact[drop].bytes >= (uint64_t)cfg->retention_bytes;

		if (!by_size && !too_old(&fact[drop], cfg->retention_ms, wall_ms))
			break;
		total -= fact[drop].bytes;
		drop++;
	}
	return drop;
}
