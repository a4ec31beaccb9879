/* SPDX-License-Identifier: MIT
 * fake_dataplane.c - the door of dataplane/ with one rx and one storage lcore that work when the test
 * says so. One thread, no DPDK. */
#include "tests/unit/control/fake_dataplane.h"
#include "tests/unit/control/fake_storage.h"

#include "base/assert.h"
#include "base/bits.h"

#include <arpa/inet.h>

struct dataplane lcores;

void
lcores_reset(void)
{
	lcores = (struct dataplane){.room = ARRAY_LENGTH(lcores.queue), .next_session = 1};
}

static bool
refused(struct dataplane *dp, unsigned held)
{
	if (dp->late == 0)
		return held >= dp->room;
	dp->late--;
	return true;
}

bool
dataplane_store(struct dataplane *dp, struct store_msg *msg)
{
	if (refused(dp, dp->queued + dp->finished))
		return false;
	dp->queue[dp->queued++] = msg;
	return true;
}

unsigned
lcores_store_turn(void)
{
	const unsigned n = lcores.queued;

	for (unsigned i = 0; i < n; i++) {
		struct store_msg *msg = lcores.queue[i];
		struct append_result result = {.base_offset = -1, .append_ms = -1};

		msg->error = lcores.append_error;
		if (msg->kind == STORE_ROLL)
			storage_roll(msg->part, 0);
		if (msg->kind == STORE_CONFIGURE)
			storage_configure(msg->part, msg->config);
		if (msg->kind == STORE_PRODUCE && !msg->error) {
			(void)storage_append(msg->part, msg->batch, msg->length, msg->append_flags, 0,
				0, &result);
			msg->error = result.error;
			msg->commit = storage_publish(msg->part);
		}
		if (msg->kind == STORE_PRODUCERS)
			result.base_offset = storage_producers(msg->part, msg->producers, msg->length, 0);
		msg->base_offset = result.base_offset;
		msg->append_ms = result.append_ms;
		lcores.done[lcores.finished++] = msg;
	}
	lcores.queued = 0;
	return n;
}

unsigned
dataplane_stored(struct dataplane *dp, struct store_msg **ret, unsigned n)
{
	const unsigned got = MIN(n, dp->finished);

	memcpy(ret, dp->done, got * sizeof(*ret));
	dp->finished -= got;
	memmove(dp->done, dp->done + got, dp->finished * sizeof(*ret));
	return got;
}

bool
dataplane_rx(struct dataplane *dp, struct rx_cmd *cmd)
{
	if (refused(dp, dp->rx_queued + dp->rx_finished))
		return false;
	dp->rx[dp->rx_queued++] = cmd;
	return true;
}

unsigned
lcores_rx_turn(void)
{
	const unsigned n = lcores.rx_queued;

	for (unsigned i = 0; i < n; i++) {
		struct rx_cmd *cmd = lcores.rx[i];

		cmd->error = lcores.rx_error;
		if (cmd->kind == RX_GRANT && !cmd->error)
			cmd->session_id = lcores.next_session++;
		cmd->credit_limit = 2;
		lcores.rx_done[lcores.rx_finished++] = cmd;
	}
	lcores.rx_queued = 0;
	return n;
}

unsigned
dataplane_rx_done(struct dataplane *dp, struct rx_cmd **ret, unsigned n)
{
	const unsigned got = MIN(n, dp->rx_finished);

	memcpy(ret, dp->rx_done, got * sizeof(*ret));
	dp->rx_finished -= got;
	memmove(dp->rx_done, dp->rx_done + got, dp->rx_finished * sizeof(*ret));
	return got;
}

unsigned
dataplane_owner(const struct dataplane *dp)
{
	return 0;
}

unsigned
dataplane_store_lcores(const struct dataplane *dp)
{
	return 1;
}

int
dataplane_store_thread(const struct dataplane *dp, unsigned i)
{
	return 0; /* it does not run */
}

unsigned
dataplane_rx_lcores(const struct dataplane *dp)
{
	return 1;
}

bool
dataplane_endpoint(const struct dataplane *dp, const struct in6_addr *peer, unsigned rx,
	struct in6_addr *address, uint16_t *port, uint16_t *max_dgram)
{
	ASSERT(inet_pton(AF_INET6, "::ffff:127.18.0.1", address) == 1);
	*port = 9104;
	*max_dgram = 1472;
	return !dp->unreachable;
}

bool
dataplane_in_subnet(const struct dataplane *dp, const struct in6_addr *a)
{
	struct in6_addr net;

	ASSERT(inet_pton(AF_INET6, "::ffff:127.18.0.0", &net) == 1);
	return memcmp(a, &net, 15) == 0;
}

unsigned
dataplane_moved(struct dataplane *dp, uint32_t *slot, unsigned n)
{
	unsigned got = 0;

	for (; fake.moved; fake.moved &= fake.moved - 1)
		slot[got++] = (uint32_t)__builtin_ctzll(fake.moved);
	return got;
}

void
dataplane_watch_data(struct dataplane *dp, bool on)
{
	dp->watching = on;
	dp->watches += on;
}
