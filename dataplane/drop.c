/* SPDX-License-Identifier: MIT
 * drop.c - where packets end. Thread: rx and storage lcores, each on its own packets; a pool takes
 * them back from any thread. Owns: nothing. Never: frees without a reason. */
#include "dataplane/drop.h"

#include "base/assert.h"
#include "dataplane/handoff.h"

#define FREE_MAX 64

void
drop_packet(counter *count, struct rte_mbuf *m, enum drop why)
{
	counter_add(&count[why], 1);
	rte_pktmbuf_free(m);
}

void
drop_stored(struct store_msg *const *msg, unsigned n)
{
	struct rte_mbuf *m[FREE_MAX];

	ASSERT(n <= FREE_MAX);
	for (unsigned i = 0; i < n; i++)
		m[i] = packet_mbuf(msg[i]);
	rte_pktmbuf_free_bulk(m, n);
}

void
drop_answered(struct rte_mbuf *m)
{
	rte_pktmbuf_free(m);
}
