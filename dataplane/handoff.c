/* SPDX-License-Identifier: MIT
 * handoff.c - from an rx lcore's stage into the ring of the storage lcore that owns the partition.
 * Thread: the rx lcore. Owns: nothing. Never: drops; that was decided before (D6 in rx.c). */
#include "dataplane/handoff.h"

#include "base/bits.h"

void
handoff_read_room(struct rx_stage *stage, const struct rte_ring *ring)
{
	stage->room = MIN(rte_ring_free_count(ring), (unsigned)ARRAY_LENGTH(stage->msg));
}

unsigned
handoff_send(struct rx_stage *stage, struct rte_ring *ring)
{
	const unsigned n = stage->n;
	unsigned took;

	if (n == 0)
		return 0;
	/* rte_ring's tail store is a release: what the packets hold is visible to who takes them. */
	took = rte_ring_sp_enqueue_bulk(ring, (void *const *)stage->msg, n, NULL);
	ASSERT(took == n);
	stage->n = 0;
	return n;
}
