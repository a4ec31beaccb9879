/* SPDX-License-Identifier: MIT
 * drop.h - the reasons a packet dies unanswered, and the only functions that free packets. */
#ifndef KIRA_DATAPLANE_DROP_H
#define KIRA_DATAPLANE_DROP_H

#include "base/counter.h"

struct rte_mbuf;
struct store_msg;

enum drop {
#define DROP(name, counter_name, meaning) DROP_##name,
#include "dataplane/drop.def"
#undef DROP
	DROPS
};

/* Free an unanswered packet and count why. `count`: DROPS counters, one writer. */
void drop_packet(counter *count, struct rte_mbuf *m, enum drop why);

/* Packets that storage is done with: msg[0..n), n <= 64. */
void drop_stored(struct store_msg *const *msg, unsigned n);

/* A packet that was answered, or its answer was built in another buffer. */
void drop_answered(struct rte_mbuf *m);

#endif
