/* SPDX-License-Identifier: MIT
 * nic_guard.h - a burst never runs on memory that a driver's interrupt thread is unmapping.
 * When a memif peer dies, DPDK's driver clears "connected" and unmaps the shared rings on its
 * interrupt thread, while an lcore may sit in the middle of a burst, perhaps descheduled: that was
 * a SIGSEGV. Every burst is put between enter and leave; nic_guard.c holds back the unmapping
 * until no burst that began before is still running. Costs two plain stores a burst. */
#ifndef KIRA_DATAPLANE_NIC_GUARD_H
#define KIRA_DATAPLANE_NIC_GUARD_H

#include "base/bits.h"

#include <stdatomic.h>
#include <stdint.h>

struct nic_guard {
	_Alignas(CACHE_LINE) _Atomic uint32_t busy; /* this lcore writes; the interrupt thread reads */
};

/* Before the lcore's first burst; main thread. The slot lives as long as the process. */
struct nic_guard *nic_guard_add(void);

static inline void
nic_guard_enter(struct nic_guard *g)
{
	/* B1: pairs with the membarrier in munmap() (B2): either that call sees busy, or this
	 * burst sees the driver's cleared flag. */
	atomic_store_explicit(&g->busy, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void
nic_guard_leave(struct nic_guard *g)
{
	atomic_store_explicit(&g->busy, 0, memory_order_release);
}

#endif
