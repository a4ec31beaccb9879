/* SPDX-License-Identifier: MIT
 * handoff.h - what travels between an rx lcore and a storage lcore, and how it gets there.
 * To storage: pointers to the packet's private area, in a ring that holds all the credit of the
 * queue. Back: completions by value, in a ring as large. One writer and one reader each. */
#ifndef KIRA_DATAPLANE_HANDOFF_H
#define KIRA_DATAPLANE_HANDOFF_H

#include "dataplane/kira_dpdk_compat.h"

#include "base/assert.h"
#include "dataplane/dataplane.h"
#include "dataplane/hold.h"
#include "dataplane/nic.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#define RX_BURST    32
#define STORE_BURST 32

/* An mbuf's private area. */
struct packet {
	struct store_msg msg; /* first: the rings carry pointers to it */
	struct held held;
};
BUILD_ASSERT(sizeof(struct packet) <= NIC_PRIVATE_BYTES);

static inline struct packet *
packet_of(struct rte_mbuf *m)
{
	return (struct packet *)rte_mbuf_to_priv(m);
}

static inline struct rte_mbuf *
packet_mbuf(struct store_msg *msg)
{
	return (struct rte_mbuf *)((uint8_t *)msg - sizeof(struct rte_mbuf));
}

static inline struct packet *
packet_of_held(struct held *b)
{
	return (struct packet *)((uint8_t *)b - offsetof(struct packet, held));
}

/* Storage to rx, once per packet handed over, whatever became of it: the rx lcore counts on it for
 * credit and for giving a session's slot back. */
struct store_done {
	uint32_t session_id, pkt_seq;
	int64_t base_offset;  /* -1 unknown */
	uint64_t commit;      /* 0: no sync stands for it */
	int16_t error;
	uint16_t zero[3];
};
BUILD_ASSERT(sizeof(struct store_done) == 32);

/* Packets of one turn for one storage lcore. */
struct rx_stage {
	unsigned n, room;     /* room: read once per turn; only this lcore fills the ring */
	struct store_msg *msg[RX_BURST * 2];
};

void handoff_read_room(struct rx_stage *stage, const struct rte_ring *ring);
/* Staged packets into the ring: they fit (D6 was asked first). Returns how many. */
unsigned handoff_send(struct rx_stage *stage, struct rte_ring *ring);

#endif
