/* SPDX-License-Identifier: MIT
 * rx.c - take packets from one NIC queue, hand them to the storage lcores, answer the producers.
 * Thread: one pinned rx lcore per queue. Owns: the queue, its sessions, its stages, its counters.
 * Never:  allocates, locks, logs, makes a system call (some vdev drivers do: CORES.md). */
#include "dataplane/rx.h"

#include <kira/errors.h>

#include <rte_ethdev.h>

unsigned
rx_turn(struct rx_lcore *rx, uint64_t now_ns)
{
	struct rte_mbuf *pkt[RX_BURST];
	struct rx_cmd *cmd[RX_CMD_BURST];
	uint16_t n;
	unsigned commands;

	nic_guard_enter(rx->guard);
	n = rte_eth_rx_burst(rx->port, rx->queue, pkt, RX_BURST);
	nic_guard_leave(rx->guard);
	for (uint16_t i = 0; i < n; i++)
		drop_packet(rx->drop, pkt[i], DROP_NOT_OURS);
	commands = rte_ring_sc_dequeue_burst(rx->cmd, (void **)cmd, RX_CMD_BURST, NULL);
	for (unsigned i = 0; i < commands; i++) {
		cmd[i]->error = KIRA_E_THROTTLING_QUOTA_EXCEEDED;
		cmd[i]->retry_ms = 1000;
		(void)rte_ring_sp_enqueue(rx->cmd_done, cmd[i]);
		rx->gifts->control = true;
	}
	(void)now_ns;
	return n + commands;
}

bool
rx_has_work(const struct rx_lcore *rx)
{
	return rte_ring_count(rx->cmd) > 0;
}

bool
rx_has_pending(const struct rx_lcore *rx)
{
	(void)rx;
	return false;
}

bool
rx_has_sessions(const struct rx_lcore *rx)
{
	return atomic_load_explicit(&rx->granted, memory_order_relaxed) > 0;
}

bool
rx_drained(const struct rx_lcore *rx)
{
	(void)rx;
	return true;
}
