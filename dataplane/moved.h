/* SPDX-License-Identifier: MIT
 * moved.h - which partitions' published ends have moved: marks by slot that a storage lcore sets and control
 * takes. Pure. Two plain stores for each partition and run of the lcore, no atomic operation; control takes
 * as many exchanges as there are marks, and one look per MOVED_GROUP slots. */
#ifndef KIRA_DATAPLANE_MOVED_H
#define KIRA_DATAPLANE_MOVED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MOVED_GROUP 64 /* slots to a group: a cache line of marks */

struct moved {
	_Atomic uint8_t *slot;  /* [slots]: M1 sets, M2 clears */
	_Atomic uint8_t *group; /* [slots / MOVED_GROUP]: some slot of it is set, or is being set */
	unsigned slots;
};

/* False: no memory. */
bool moved_open(struct moved *m, unsigned slots);
void moved_close(struct moved *m);

/* The lcore, after storage_publish(). M1, release: who takes the mark sees the end that was published; pairs
 * with M2. The group last: whoever finds it set finds the slot, or will find the group set again. */
static inline void
moved_mark(struct moved *m, unsigned slot)
{
	atomic_store_explicit(&m->slot[slot], 1, memory_order_release);
	atomic_store_explicit(&m->group[slot / MOVED_GROUP], 1, memory_order_release);
}

/* Control: up to `n` (at least MOVED_GROUP) slots marked since they were taken last, each cleared (M2) before
 * the caller looks at its partition. Fewer than `n` - MOVED_GROUP + 1: there are no more. `at`, 0 at first, is where
 * the next one goes on: else those that are marked all the time would keep back the ones behind them. */
unsigned moved_take(struct moved *m, unsigned *at, uint32_t *ret, unsigned n);

#endif
