/* SPDX-License-Identifier: MIT
 * stall.h - a histogram of times as plain counters, one writer: powers of two of 1,024 ns, the last
 * bucket open, and the longest. A handful of stores each; nothing reads a clock here. */
#ifndef KIRA_BASE_STALL_H
#define KIRA_BASE_STALL_H

#include "base/bits.h"
#include "base/counter.h"

#define STALL_BUCKETS 22 /* up to a second; dataplane/stall_counters.def names them */

struct stall_counters {
	counter bucket[STALL_BUCKETS];
	counter longest_ns;
};

static inline unsigned
stall_bucket(uint64_t ns)
{
	const uint64_t v = ns >> 10;

	return v == 0 ? 0 : MIN(64u - (unsigned)__builtin_clzll(v), STALL_BUCKETS - 1u);
}

static inline void
stall_add(struct stall_counters *c, uint64_t ns)
{
	counter_add(&c->bucket[stall_bucket(ns)], 1);
	counter_max(&c->longest_ns, ns);
}

/* The time that a share `q` of all stayed below; `before`: so many of 0 that are in no bucket. 0: there
 * were none. At most the longest: a bucket's end may lie far behind it. */
static inline uint64_t
stall_quantile_ns(const uint64_t bucket[STALL_BUCKETS], uint64_t before, uint64_t longest_ns, double q)
{
	uint64_t n = before, seen = before;

	for (unsigned i = 0; i < STALL_BUCKETS; i++)
		n += bucket[i];
	if ((double)seen >= q * (double)n)
		return 0;
	for (unsigned i = 0; i + 1 < STALL_BUCKETS; i++) {
		seen += bucket[i];
		if ((double)seen >= q * (double)n)
			return MIN((uint64_t)1024 << i, longest_ns);
	}
	return longest_ns;
}

#endif
