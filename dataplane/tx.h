/* SPDX-License-Identifier: MIT
 * tx.h - answers on their way out: headers from what the client sent, a burst per turn.
 * Thread: the rx lcore that owns the queue. */
#ifndef KIRA_DATAPLANE_TX_H
#define KIRA_DATAPLANE_TX_H

#include "base/counter.h"
#include "dataplane/nic_guard.h"
#include "dataplane/rx_parse.h"
#include "dataplane/session.h"

struct rte_mbuf;
struct rte_mempool;

#define TX_BURST 32

struct tx {
	/* Set before the thread starts. */
	uint16_t port, queue;
	struct rte_mempool *pool;
	struct nic_guard *guard;
	counter *drop;             /* [DROPS] */
	counter *no_buffer;        /* answers not made: the pool was empty */
	counter *bytes;            /* in frames that the port took */
	/* This lcore's alone. */
	unsigned n;
	struct rte_mbuf *pkt[TX_BURST];
};

/* Where answers go: back to where this frame came from, from where it was sent to. Nothing is done
 * where they go there already. */
void reply_learn(struct reply *r, const uint8_t *frame, const struct parsed *p);

/* A buffer for a payload of up to KUP_ACK_MAX bytes; *payload: where it goes. NULL: none free. */
struct rte_mbuf *tx_begin(struct tx *tx, const struct reply *r, uint8_t **payload);
/* It has `len` bytes: lengths, sums, and into the burst. */
void tx_end(struct tx *tx, const struct reply *r, struct rte_mbuf *m, uint32_t len);

/* A frame that is whole. */
void tx_frame(struct tx *tx, struct rte_mbuf *m);
/* Send what is gathered; what the port does not take is dropped: ACKs repair themselves. */
void tx_flush(struct tx *tx);

#endif
