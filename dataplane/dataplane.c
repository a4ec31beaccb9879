/* SPDX-License-Identifier: MIT
 * dataplane.c - the door while the lcores run: messages between the control thread and them,
 * doorbells, where clients send.
 * Thread: control (EAL's main lcore); dataplane_ring() any. Owns: the counts of commands out.
 * Never: touches what an lcore owns. */
#include "dataplane/dataplane_private.h"

#include "base/assert.h"
#include "base/bits.h"
#include "dataplane/eal.h"

#include <rte_ring_elem.h>

#define UDP_IP4         28   /* IP and UDP header bytes */
#define UDP_IP6         48

/* ---- Draining ------------------------------------------------------------------------------ */

void
dataplane_drain(struct dataplane *dp)
{
	atomic_store_explicit(&dp->draining, true, memory_order_seq_cst);
	dataplane_ring(dp);
}

bool
dataplane_drained(const struct dataplane *dp)
{
	for (unsigned i = 0; i < dp->layout.store; i++)
		if (dp->cmd_out[i] > 0 ||
			atomic_load_explicit(&dp->store[i]->left, memory_order_acquire) > 0 ||
			store_has_work(dp->store[i]))
			return false;
	for (unsigned i = 0; i < dp->layout.rx; i++)
		if (dp->rx_cmd_out[i] > 0 || !rx_drained(dp->rx[i]))
			return false;
	return true;
}

/* ---- Doorbells ----------------------------------------------------------------------------- */

int
dataplane_event_fd(const struct dataplane *dp)
{
	return dp->control->fd;
}

bool
dataplane_control_sleeps(struct dataplane *dp)
{
	const bool watch = atomic_load_explicit(&dp->watch_data, memory_order_relaxed);
	bool something = false;

	bell_sleeps(dp->control);
	for (unsigned i = 0; i < dp->layout.store && !something; i++)
		something = rte_ring_count(dp->store[i]->cmd_done) > 0 ||
			(watch && atomic_load_explicit(&dp->new_data[i].set, memory_order_acquire));
	for (unsigned i = 0; i < dp->layout.rx && !something; i++)
		something = rte_ring_count(dp->rx[i]->cmd_done) > 0;
	if (something)
		atomic_store_explicit(&dp->control->asleep, 0, memory_order_relaxed);
	return !something;
}

bool
dataplane_control_wakes(struct dataplane *dp)
{
	bool moved = false;

	bell_wakes(dp->control);
	/* Cleared before control looks at the ends: what moves after that sets it again. */
	for (unsigned i = 0; i < dp->layout.store; i++)
		moved |= atomic_exchange_explicit(&dp->new_data[i].set, false,
			memory_order_seq_cst);
	eal_log_drain();
	return moved;
}

unsigned
dataplane_moved(struct dataplane *dp, uint32_t *slot, unsigned n)
{
	unsigned got = 0;

	BUILD_ASSERT(DATAPLANE_MOVED == MOVED_GROUP);
	for (unsigned left = dp->layout.store; left > 0 && n - got >= MOVED_GROUP; left--) {
		const unsigned i = dp->moved_next++ % dp->layout.store;

		got += moved_take(&dp->store[i]->moved, &dp->moved_at[i], slot + got, n - got);
	}
	return got;
}

void
dataplane_watch_data(struct dataplane *dp, bool on)
{
	atomic_store_explicit(&dp->watch_data, on, memory_order_seq_cst);
}

void
dataplane_ring(struct dataplane *dp)
{
	bell_ring(dp->control);
	for (unsigned i = 0; i < dp->lcores; i++)
		bell_ring(&dp->lcore[i]->bell);
}

/* ---- Messages ------------------------------------------------------------------------------ */

bool
dataplane_store(struct dataplane *dp, struct store_msg *msg)
{
	const unsigned s = storage_lcore(msg->part);

	ASSERT(s < dp->layout.store && msg->kind != STORE_UDP);
	if (dp->cmd_out[s] == CMD_OUT_MAX || rte_ring_sp_enqueue(dp->store[s]->cmd, msg) != 0)
		return false;
	dp->cmd_out[s]++;
	bell_ring(dp->lcore[0]->store_bell[s]);
	return true;
}

unsigned
dataplane_stored(struct dataplane *dp, struct store_msg **ret, unsigned n)
{
	unsigned got = 0;

	for (unsigned s = 0; s < dp->layout.store && got < n; s++) {
		const unsigned took = rte_ring_sc_dequeue_burst(dp->store[s]->cmd_done,
			(void **)(ret + got), n - got, NULL);

		dp->cmd_out[s] -= took;
		got += took;
	}
	return got;
}

bool
dataplane_rx(struct dataplane *dp, struct rx_cmd *cmd)
{
	ASSERT(cmd->rx < dp->layout.rx);
	if (dp->rx_cmd_out[cmd->rx] == RX_CMD_OUT_MAX ||
		rte_ring_sp_enqueue(dp->rx[cmd->rx]->cmd, cmd) != 0)
		return false;
	dp->rx_cmd_out[cmd->rx]++;
	bell_ring(dp->lcore[0]->rx_bell[cmd->rx]);
	return true;
}

unsigned
dataplane_rx_done(struct dataplane *dp, struct rx_cmd **ret, unsigned n)
{
	unsigned got = 0;

	for (unsigned r = 0; r < dp->layout.rx && got < n; r++) {
		const unsigned took = rte_ring_sc_dequeue_burst(dp->rx[r]->cmd_done,
			(void **)(ret + got), n - got, NULL);

		dp->rx_cmd_out[r] -= took;
		got += took;
	}
	return got;
}

/* ---- Where clients send -------------------------------------------------------------------- */

unsigned
dataplane_owner(const struct dataplane *dp)
{
	unsigned best = 0;
	uint32_t least = UINT32_MAX;

	for (unsigned r = 0; r < dp->layout.rx; r++) {
		/* G1: pairs with G2 in rx.c; grants under way count too. */
		const uint32_t load = dp->rx_cmd_out[r] +
			atomic_load_explicit(&dp->rx[r]->granted, memory_order_acquire);

		if (load < least) {
			least = load;
			best = r;
		}
	}
	return best;
}

unsigned
dataplane_store_lcores(const struct dataplane *dp)
{
	return dp->layout.store;
}

int
dataplane_store_thread(const struct dataplane *dp, unsigned i)
{
	const unsigned at = dp->layout.merged ? 0 : dp->layout.rx + i;

	return atomic_load_explicit(&dp->lcore[at]->thread, memory_order_acquire);
}

unsigned
dataplane_rx_lcores(const struct dataplane *dp)
{
	return dp->layout.rx;
}

bool
dataplane_in_subnet(const struct dataplane *dp, const struct in6_addr *a)
{
	return neigh_in_subnet(&dp->neigh, a);
}

bool
dataplane_endpoint(const struct dataplane *dp, const struct in6_addr *peer, unsigned rx,
	struct in6_addr *address, uint16_t *port, uint16_t *max_dgram)
{
	const bool v4 = neigh_is_v4(peer);
	const struct neigh_address *own = neigh_family(&dp->neigh, v4);
	const unsigned room = dp->max_frame_payload - (v4 ? UDP_IP4 : UDP_IP6);

	if (!own || dp->dev.kind == NIC_NULL || dp->dev.kind == NIC_PCAP)
		return false;
	/* No kernel socket reaches a memif: only who calls itself its neighbour sits on it. */
	if (dp->dev.kind == NIC_MEMIF && !neigh_in_subnet(&dp->neigh, peer))
		return false;
	*address = own->ip;
	*port = (uint16_t)(dp->udp_port + rx);
	*max_dgram = (uint16_t)MIN(room, (unsigned)KUP_DGRAM_MAX);
	return true;
}
