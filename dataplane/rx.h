/* SPDX-License-Identifier: MIT
 * rx.h - an rx lcore: what it owns, and its turn. */
#ifndef KIRA_DATAPLANE_RX_H
#define KIRA_DATAPLANE_RX_H

#include "dataplane/bell.h"
#include "dataplane/dataplane.h"
#include "dataplane/drop.h"
#include "dataplane/handoff.h"
#include "dataplane/neigh.h"
#include "dataplane/nic.h"
#include "dataplane/nic_guard.h"
#include "dataplane/rx_counters.h"
#include "dataplane/rx_produce.h"
#include "dataplane/session.h"
#include "dataplane/tx.h"

#define RX_CMD_BURST  8
#define RX_DONE_BURST 64
#define RX_AHEAD      4   /* packets prefetched ahead of the one at hand */
#define RX_MISROUTED  512 /* room of each ring between rx lcores */

struct rx_lcore {
	/* Set before the thread starts. */
	unsigned index, rx_lcores, store_lcores;
	uint16_t port, queue;
	uint16_t udp_port;                          /* P of P..P+15 */
	bool answers;                               /* ARP, ND and ping: no kernel does it here */
	unsigned sums;                              /* PARSE_SUM_*: what software verifies */
	struct nic_guard *guard;
	struct neigh neigh;
	struct storage *storage;
	struct rte_ring *to_store[STORE_LCORES_MAX]; /* struct store_msg * of packets */
	struct rte_ring *done[STORE_LCORES_MAX];     /* struct store_done */
	struct rte_ring *to_rx[RX_LCORES_MAX];       /* mbufs for the sessions of others, */
	struct rte_ring *from_rx[RX_LCORES_MAX];     /* and theirs for ours; NULL: itself */
	struct rte_ring *cmd, *cmd_done;             /* struct rx_cmd *, from and to control */
	const _Atomic bool *draining;
	struct gifts *gifts;
	struct rx_counters *count;
	counter *drop;                              /* [DROPS] */
	/* This lcore's alone. */
	struct sessions sessions;
	struct tx tx;
	struct ack ack;                             /* the one being made */
	struct rx_stage stage[STORE_LCORES_MAX];
	uint32_t in_store;                          /* packets handed over and not back */
	uint64_t commit_done, failures;             /* K4, X2: as loaded at the start of the turn */
	uint64_t neigh_since_ns;                    /* second of neigh_n */
	unsigned neigh_n;
	bool drain_said;                            /* every session was told, or will be */
	/* This lcore writes. */
	_Alignas(CACHE_LINE) _Atomic uint32_t granted; /* G2: sessions alive; control reads (G1) */
	_Atomic bool drained;                       /* nothing left to finish; draining was seen */
};

/* What does not come with the zeroed struct: tables. False: no memory. Main thread. */
bool rx_open(struct rx_lcore *rx, uint32_t credit, struct rte_mempool *pool);
/* After its thread ended: frees tables and what lies in the rings to it. */
void rx_close(struct rx_lcore *rx);

unsigned rx_turn(struct rx_lcore *rx, uint64_t now_ns);

/* rx_ack.c: an ACK for each session that is due one. Returns how many were sent. */
unsigned rx_send_acks(struct rx_lcore *rx, uint64_t now_ns);

/* rx_ack.c: PONG and RESET, within what came in. */
void rx_send_pong(struct rx_lcore *rx, struct session *s, const struct produce_head *h,
	uint16_t len);
void rx_send_reset(struct rx_lcore *rx, struct session *s, uint32_t echo);

/* Moves disk_seq as far as the commits that are done allow; true: it did, and the client waits for it. */
bool rx_on_disk(struct rx_lcore *rx, struct session *s);

bool rx_has_work(const struct rx_lcore *rx);     /* something in a ring: the last look before sleep */
bool rx_has_pending(const struct rx_lcore *rx);  /* an answer is due soon: do not sleep */
bool rx_drained(const struct rx_lcore *rx);      /* any thread, once draining */
bool rx_has_sessions(const struct rx_lcore *rx);

#endif
