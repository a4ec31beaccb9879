/* SPDX-License-Identifier: MIT
 * counter.h - a counter with one writer and any number of readers, in a mapped file.
 * The writer's load and store are relaxed: no lock prefix, no torn value at the reader. */
#ifndef KIRA_BASE_COUNTER_H
#define KIRA_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

static inline void
counter_add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static inline void
counter_set(counter *c, uint64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

static inline void
counter_max(counter *c, uint64_t v)
{
	if (v > atomic_load_explicit(c, memory_order_relaxed))
		counter_set(c, v);
}

static inline uint64_t
counter_read(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#endif
