/* SPDX-License-Identifier: MIT
 * producer_sim_wire.c - datagrams on their way: lost, doubled, late, damaged; and libkira's client_udp.h
 * over them. See producer_sim.h. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/sim/producer_sim.h"

#include "base/assert.h"
#include "dataplane/client/client_gso.h"
#include "dataplane/client/client_udp.h"
#include "dataplane/rx_parse.h"
#include "tests/unit/dataplane/world.h"

#include <kira/record_batch.h>
#include <kira/wire.h>
#include <stdlib.h>
#include <string.h>

#define FLYING_MAX 4096
#define ECN_AT     15 /* in an untagged IPv4 frame */
#define LATE_MS    3000 /* one of late_in comes so late at most: from an earlier session, even */
#define SOCKET_MAX 1000 /* datagrams that wait for kirad: its port has no more room */

struct flying {
	uint64_t at_ns;
	bool to_broker;
	struct frame frame;
};

/* What a client's turn queues before it flushes; the next client's turn comes behind that. */
static struct queued {
	struct frame frame;
	uint32_t tx; /* 0: in no burst */
} queue[CUDP_BURST];
static unsigned n_queue;
static bool may_burst;

static struct flying air[FLYING_MAX];
static unsigned n_air, n_socket;

void
sim_wire_begin(void)
{
	n_air = n_socket = n_queue = 0;
	sim_watch_begin();
}

void
sim_wire_clear(void)
{
	n_air = 0;
}

/* Anywhere in the frame, which its sums find; or in the batch, with sums that are right, as by a switch
 * with bad memory: that the batch's own sum must find. */
static void
damage(struct frame *f, bool to_broker)
{
	const uint32_t batch = PAYLOAD_AT + KUP_DATA_BATCH;

	if (to_broker && sim_once_in(2) && (f->bytes[PAYLOAD_AT + KUP_OFF_TYPE] & 15) == KUP_DATA) {
		f->bytes[batch + RB_LENGTH + sim_draw((uint32_t)rb_total(f->bytes + batch) - RB_LENGTH)]
			^= (uint8_t)(1 + sim_draw(255));
		world_sums(f);
		sim_fired(FAULT_CORRUPT);
	} else {
		f->bytes[14 + sim_draw(f->len - 14u)] ^= (uint8_t)(1 + sim_draw(255));
		sim_fired(FAULT_DAMAGED);
	}
}

static void
fly(bool to_broker, const struct frame *f)
{
	const struct sim_plan *p = &sim.plan;
	unsigned copies = 1;

	if (to_broker ? sim.dark_out : sim.dark_back)
		return;
	if (sim_draw(1000) < p->loss) {
		copies = 0;
		if (!to_broker)
			sim_watch_lost(f);
		sim_fired(FAULT_LOST);
	} else if (sim_draw(1000) < p->doubling) {
		copies = 2;
		sim_fired(FAULT_DOUBLED);
	}
	for (; copies > 0 && n_air < FLYING_MAX; copies--) {
		struct flying *a = &air[n_air++];

		a->to_broker = to_broker;
		a->frame = *f;
		a->at_ns = sim.now_ns + (p->distance_us + sim_draw(p->jitter_us)) * NS_PER_US;
		if (sim_once_in(p->late_in)) {
			a->at_ns += sim_draw(LATE_MS) * NS_PER_MS;
			sim_fired(FAULT_LATE);
		}
		if (to_broker && sim_draw(1000) < p->marks) {
			a->frame.bytes[ECN_AT] |= 3;
			world_sums(&a->frame);
			sim_fired(FAULT_MARKED);
		}
		if (sim_draw(1000) < p->damage)
			damage(&a->frame, to_broker);
	}
}

static void
to_clients(const struct frame *f)
{
	struct parsed p;

	/* As a kernel would: sums are judged, and the session's id says whose it is. */
	if (rx_parse(f->bytes, f->len, PARSE_SUM_IP | PARSE_SUM_UDP, &p) != PARSE_UDP)
		return;
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		sim_client_datagram(i, f->bytes + p.payload, p.payload_len);
}

static void
to_kirad(const struct frame *f)
{
	if (sim.away || n_socket == SOCKET_MAX)
		return;
	n_socket++;
	sim_watch_arrived(f);
	world_put(f);
}

void
sim_wire_turn(void)
{
	for (unsigned i = 0; i < n_air;) {
		struct flying *a = &air[i];

		if (a->at_ns > sim.now_ns) {
			i++;
			continue;
		}
		if (!a->to_broker)
			to_clients(&a->frame);
		else
			to_kirad(&a->frame);
		*a = air[--n_air];
	}
}

void
sim_wire_answers(void)
{
	n_socket = 0; /* all that waited was taken before */
	for (unsigned i = 0; i < world.out_n; i++) {
		sim_watch_answer(&world.out[i]);
		fly(false, &world.out[i]);
	}
	world_clear();
}

uint64_t
sim_wire_next_ns(void)
{
	uint64_t at_ns = UINT64_MAX;

	for (unsigned i = 0; i < n_air; i++)
		at_ns = MIN(at_ns, air[i].at_ns);
	return at_ns;
}

/* ---- client_udp.h, the sending half -------------------------------------------------------- */

void
cudp_send_data(struct cudp *u, const void *p, uint32_t length, uint32_t tx, unsigned bursts)
{
	struct queued *q = &queue[n_queue++];

	ASSERT(length <= FRAME_MAX - PAYLOAD_AT);
	memcpy(world_udp(&q->frame, (uint16_t)length), p, length);
	world_sums(&q->frame);
	q->tx = tx;
	may_burst = bursts > 0;
	if (n_queue == CUDP_BURST)
		cudp_flush(u);
}

void
cudp_send(struct cudp *u, const void *p, uint32_t length)
{
	cudp_send_data(u, p, length, 0, may_burst);
}

/* How many from queue[at] on leave as one burst: DATA, one behind the other. */
static unsigned
burst_at(unsigned at)
{
	unsigned n = 1;

	while (at + n < n_queue && queue[at].tx != 0 && queue[at + n].tx == queue[at].tx + n)
		n++;
	return may_burst && n >= GSO_BURST_MIN ? n : 1;
}

void
cudp_flush(struct cudp *u)
{
	for (unsigned at = 0, n; at < n_queue; at += n) {
		n = burst_at(at);
		if (n > 1) {
			sim_client_burst(u, queue[at].tx, n);
			sim_fired(sim.plan.bursts == SIM_CARRIES ? FAULT_BURST : FAULT_BURST_LOST);
		}
		for (unsigned i = 0; i < n; i++)
			if (n == 1 || sim.plan.bursts == SIM_CARRIES || (sim.plan.bursts == SIM_SHORTENS && i == 0))
				fly(true, &queue[at + i].frame);
	}
	n_queue = 0;
}

uint32_t
cudp_payload_max(const struct cudp *u)
{
	(void)u;
	return FRAME_MAX - PAYLOAD_AT;
}

int
cudp_fd(const struct cudp *u)
{
	(void)u;
	return -1;
}
