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

#define RX_CMD_BURST 8

struct rx_counters {
#define COUNTER(name, help) counter name;
#include "dataplane/rx_counters.def"
#undef COUNTER
};

struct rx_lcore {
	/* Set before the thread starts. */
	unsigned index, store_lcores;
	uint16_t port, queue;
	unsigned sums;                              /* PARSE_SUM_*: what software verifies */
	struct rte_mempool *pool;                   /* for answers */
	struct nic_guard *guard;
	struct neigh neigh;
	struct storage *storage;
	struct rte_ring *to_store[STORE_LCORES_MAX]; /* struct store_msg * of packets */
	struct rte_ring *done[STORE_LCORES_MAX];     /* struct store_done */
	struct rte_ring *cmd, *cmd_done;             /* struct rx_cmd *, from and to control */
	const _Atomic bool *draining;
	struct gifts *gifts;
	struct rx_counters *count;
	counter *drop;                              /* [DROPS] */
	/* This lcore's alone. */
	struct rx_stage stage[STORE_LCORES_MAX];
	/* This lcore writes. */
	_Alignas(CACHE_LINE) _Atomic uint32_t granted; /* G2: sessions alive; control reads (G1) */
};

unsigned rx_turn(struct rx_lcore *rx, uint64_t now_ns);

bool rx_has_work(const struct rx_lcore *rx);     /* something in a ring: the last look before sleep */
bool rx_has_pending(const struct rx_lcore *rx);  /* an answer is due soon: do not sleep */
bool rx_drained(const struct rx_lcore *rx);      /* any thread, once draining */
bool rx_has_sessions(const struct rx_lcore *rx);

#endif
