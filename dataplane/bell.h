/* SPDX-License-Identifier: MIT
 * bell.h - nobody sleeps over a gift. The sleeper says so (Z1), then looks once more at all it can
 * be given, then sleeps; the giver gives, then asks (Z2) and rings the eventfd.
 * Thread: one sleeper per bell, any number of givers. */
#ifndef KIRA_DATAPLANE_BELL_H
#define KIRA_DATAPLANE_BELL_H

#include "base/bits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

struct bell {
	_Alignas(CACHE_LINE) _Atomic uint32_t asleep; /* Z1 by the sleeper */
	int fd;                                       /* eventfd, non-blocking; set before threads */
};

/* What a turn gave to others; the loop rings for it after the turn, never in it. */
struct gifts {
	uint32_t rx, store; /* a bit per lcore */
	bool control;       /* a completion */
	bool data;          /* an end moved: control wants to know while a fetch is parked */
	bool flush;         /* something was touched, or a commit is waited for */
};

static inline void
bell_sleeps(struct bell *b)
{
	/* Z1: before the last look. A look first and the store after it would miss a gift that came
	 * between the two, and its giver would have seen a thread awake. */
	atomic_store_explicit(&b->asleep, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void
bell_wakes(struct bell *b)
{
	uint64_t n;

	atomic_store_explicit(&b->asleep, 0, memory_order_relaxed);
	(void)!read(b->fd, &n, sizeof(n));
}

static inline void
bell_ring(struct bell *b)
{
	const uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst); /* Z2: the gift before the question */
	if (atomic_load_explicit(&b->asleep, memory_order_relaxed))
		(void)!write(b->fd, &one, sizeof(one));
}

#endif
