/* SPDX-License-Identifier: MIT
 * world.c - rx lcore, storage lcore, port and storage on one thread. See world.h. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/unit/dataplane/world.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bytes.h"
#include "dataplane/client/client_wire.h"
#include "dataplane/eal.h"
#include "tests/unit/ut.h"

#include <kira/record_batch.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH_BYTES 240
#define TEST_RECORDS 10

struct world world;

static struct nic nic;
static struct nic_device dev = {.kind = NIC_NULL, .name = "net_ring0", .devargs = "net_ring0",
	.frame_max = 1518};
static struct nic_guard *guard;
static struct rte_ring *wire; /* net_ring gives back what it sends: emptied after every turn */
static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, client_mac[6] = {2, 0, 0, 0, 0, 2};

/* What a test's own set-up cannot do without. */
static void
must(bool done)
{
	ASSERT(done);
}

void
world_eal(void)
{
	static char dir[] = "/tmp/kira_world_XXXXXX";
	struct eal_options o = {.dev = &dev, .lcores = 1};
	struct err err = {""};

	if (wire)
		return;
	must(mkdtemp(dir) != NULL);
	o.run_dir = dir;
	o.memory_mib = nic_memory_mib(&dev, 1, 1500, 1) + 16;
	if (eal_start(&o, &err) < 0 || nic_open(&nic, &dev, 1, 1500, 1, &err) < 0)
		ut_skip(err.text);
	wire = rte_ring_lookup("ETH_RXTX0_net_ring0");
	ASSERT(wire);
	guard = nic_guard_add();
	(void)rmdir(dir); /* with --no-shconf EAL leaves it empty */
}

static struct rte_ring *
ring(const char *name, unsigned size, unsigned element)
{
	struct rte_ring *r = rte_ring_create_elem(name, element, size, 0,
		RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);

	ASSERT(r);
	return r;
}

void
world_begin(unsigned credit, unsigned room)
{
	struct world *w = &world;
	struct rx_lcore *rx = &w->rx;
	struct store_lcore *st = &w->store;
	struct err err;

	world_eal();
	memset(w, 0, sizeof(*w));
	w->now = 1000 * NS_PER_S;
	for (unsigned i = 0; i < WORLD_PARTITIONS; i++) {
		fake_partition(&w->part[i], &w->storage, i, 0);
		w->orders.topic.part[i] = &w->part[i];
	}
	w->orders.topic.partitions = WORLD_PARTITIONS;
	*rx = (struct rx_lcore){.rx_lcores = 1, .store_lcores = 1, .port = nic.port,
		.udp_port = WORLD_PORT, .answers = true, .sums = PARSE_SUM_IP | PARSE_SUM_UDP,
		.guard = guard, .storage = &w->storage, .draining = &w->draining,
		.gifts = &w->gifts, .count = &w->rx_count, .drop = w->drop};
	must(neigh_parse(&rx->neigh, "10.0.0.1/24,fd00::1/64", &err) == 0);
	memcpy(rx->neigh.mac, our_mac, sizeof(our_mac));
	rx->to_store[0] = ring("w_pkt", room ? room : credit, sizeof(void *));
	rx->done[0] = ring("w_done", credit, sizeof(struct store_done));
	rx->cmd = ring("w_cmd", 16, sizeof(void *));
	rx->cmd_done = ring("w_cmd_done", 16, sizeof(void *));
	must(rx_open(rx, credit, nic.pool[0]));
	*st = (struct store_lcore){.rx_lcores = 1, .storage = &w->storage,
		.cmd = ring("w_scmd", 64, sizeof(void *)), .cmd_done = ring("w_scmdd", 64,
			sizeof(void *)), .from_rx = {rx->to_store[0]}, .done = {rx->done[0]},
		.ended = {rx->sessions.ended}, .draining = &w->draining, .new_data = &w->new_data,
		.gifts = &w->gifts, .count = &w->store_count, .wait_count = &w->wait_count};
	must(store_open(st, WORLD_PARTITIONS, credit));
}

unsigned
world_end(void)
{
	struct rx_lcore *rx = &world.rx;

	store_close(&world.store);
	rx_close(rx);
	rte_ring_free(rx->to_store[0]);
	rte_ring_free(rx->done[0]);
	rte_ring_free(rx->cmd);
	rte_ring_free(rx->cmd_done);
	rte_ring_free(world.store.cmd);
	rte_ring_free(world.store.cmd_done);
	return rte_mempool_in_use_count(nic.pool[0]);
}

struct rx_cmd
world_grant_cmd(uint16_t window, uint32_t capabilities)
{
	struct rx_cmd cmd = {.kind = RX_GRANT, .secret = 0x1122334455667788, .incarnation = 5,
		.peer_port = WORLD_CLIENT, .max_dgram = 1472, .window = window, .ack_every = 16,
		.keepalive_s = 10, .ack_delay_us = 50, .lease_ms = 10000,
		.capabilities = capabilities, .handles = 1, .topic = {&world.orders.topic}};
	static const uint8_t peer[16] = {[10] = 0xff, 0xff, 10, 0, 0, 2};

	memcpy(&cmd.peer, peer, sizeof(peer));
	return cmd;
}

struct session *
world_grant(uint16_t window, uint32_t capabilities)
{
	struct rx_cmd cmd = world_grant_cmd(window, capabilities), *back = NULL;

	must(rte_ring_sp_enqueue(world.rx.cmd, &cmd) == 0);
	world_rx();
	must(rte_ring_sc_dequeue(world.rx.cmd_done, (void **)&back) == 0 && back == &cmd);
	return cmd.error ? NULL : sessions_find(&world.rx.sessions, cmd.session_id);
}

/* ---- Frames in ---------------------------------------------------------------------------- */

uint8_t *
world_udp(struct frame *f, uint16_t len)
{
	uint8_t *ip = f->bytes + 14, *udp = ip + 20;

	ASSERT(PAYLOAD_AT + len <= FRAME_MAX);
	memset(f->bytes, 0, (size_t)PAYLOAD_AT + len);
	f->len = (uint16_t)(PAYLOAD_AT + len);
	f->payload = PAYLOAD_AT;
	f->payload_len = len;
	memcpy(f->bytes, our_mac, 6);
	memcpy(f->bytes + 6, client_mac, 6);
	put_be16(f->bytes + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(28 + len));
	ip[8] = 64;
	ip[9] = 17;
	put_be32(ip + 12, 0x0a000002);
	put_be32(ip + 16, 0x0a000001);
	put_be16(udp, WORLD_CLIENT);
	put_be16(udp + 2, WORLD_PORT);
	put_be16(udp + 4, (uint16_t)(8 + len));
	return f->bytes + PAYLOAD_AT;
}

void
world_sums(struct frame *f)
{
	const struct parsed p = {.l3 = 14, .l4 = 34, .l4_proto = 17};
	uint8_t *ip = f->bytes + 14, *udp = ip + 20;
	uint16_t sum;

	memset(ip + 10, 0, 2);
	memset(udp + 6, 0, 2);
	sum = sum_finish(sum_bytes(ip, 20, 0));
	memcpy(ip + 10, &sum, 2);
	sum = sum_l4(f->bytes, &p, (uint32_t)f->len - 34);
	memcpy(udp + 6, &sum, 2);
}

void
world_put(const struct frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(nic.pool[0]);

	ASSERT(m);
	memcpy(rte_pktmbuf_append(m, f->len), f->bytes, f->len);
	must(rte_ring_enqueue(wire, m) == 0);
	world.sent++;
}

void
world_data_frame(struct frame *f, const struct session *s, uint32_t pkt_seq, uint16_t handle,
	int32_t partition, int64_t producer, int32_t sequence)
{
	const struct cwire_session who = {.id = s->who.session_id, .secret = s->who.secret};
	uint8_t *p = world_udp(f, (uint16_t)cwire_data_length(BATCH_BYTES));
	uint8_t *b = p + KUP_DATA_BATCH;

	cwire_data(p, &who, pkt_seq, (uint32_t)(world.now / 1000), handle, partition, 0, 0);
	put_be32(b + RB_LENGTH, BATCH_BYTES - RB_LENGTH_FROM);
	b[RB_MAGIC] = 2;
	put_be64(b + RB_PRODUCER_ID, (uint64_t)producer);
	put_be16(b + RB_PRODUCER_EPOCH, (uint16_t)(producer < 0 ? -1 : 0));
	put_be32(b + RB_BASE_SEQUENCE, (uint32_t)sequence);
	put_be32(b + RB_COUNT, TEST_RECORDS);
	world_sums(f);
}

void
world_data(const struct session *s, uint32_t pkt_seq, uint16_t handle, int32_t partition,
	int64_t producer, int32_t sequence)
{
	static struct frame f;

	world_data_frame(&f, s, pkt_seq, handle, partition, producer, sequence);
	world_put(&f);
}

void
world_lose(void)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(wire, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

/* ---- Turns, and frames out ---------------------------------------------------------------- */

static void
take_answers(void)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(wire, (void **)&m) == 0) {
		struct frame *f = &world.out[world.out_n];
		struct parsed p;

		ASSERT(world.out_n < WORLD_OUT && m->data_len <= FRAME_MAX);
		f->len = m->data_len;
		f->payload = 0;
		memcpy(f->bytes, rte_pktmbuf_mtod(m, void *), m->data_len);
		rte_pktmbuf_free(m);
		world.out_n++;
		if (rx_parse(f->bytes, f->len, PARSE_SUM_IP | PARSE_SUM_UDP, &p) == PARSE_UDP) {
			f->payload = p.payload;
			f->payload_len = p.payload_len;
			world.bad_answers += p.dst_port != WORLD_CLIENT ||
				p.src_port != WORLD_PORT || memcmp(f->bytes, client_mac, 6) != 0;
		} else if (memcmp(f->bytes + 6, our_mac, 6) != 0) {
			world.bad_answers++;
		}
	}
}

/* The wire ring holds what is put in and, once the turn has sent, what comes out: all that was put
 * in goes in first, a burst a turn, answers waiting their turn in `out`. */
void
world_rx(void)
{
	unsigned n = rte_ring_count(wire);

	do {
		struct rte_mbuf *later[1024];
		const unsigned rest = n > RX_BURST ? n - RX_BURST : 0;

		/* Behind the first burst nothing may lie while answers are appended. */
		if (rest > 0) {
			struct rte_mbuf *first[RX_BURST];

			must(rte_ring_dequeue_bulk(wire, (void **)first, RX_BURST, NULL) > 0);
			must(rte_ring_dequeue_bulk(wire, (void **)later, rest, NULL) > 0);
			must(rte_ring_enqueue_bulk(wire, (void **)first, RX_BURST, NULL) > 0);
		}
		(void)rx_turn(&world.rx, world.now);
		take_answers();
		if (rest > 0)
			must(rte_ring_enqueue_bulk(wire, (void **)later, rest, NULL) > 0);
		n = rest;
	} while (n > 0);
}

void
world_store(void)
{
	(void)store_turn(&world.store, world.now, 1700000000000);
}

void
world_both(void)
{
	world_rx();
	world_store();
}

void
world_clear(void)
{
	world.out_n = 0;
}

const uint8_t *
world_answer(uint8_t type)
{
	for (unsigned i = world.out_n; i-- > 0;) {
		const struct frame *f = &world.out[i];

		if (f->payload && (f->bytes[f->payload + KUP_OFF_TYPE] & 15) == type)
			return f->bytes + f->payload;
	}
	return NULL;
}

uint64_t
world_drops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROPS; i++)
		sum += i == DROP_TX_FULL ? 0 : counter_read(&world.drop[i]);
	return sum;
}

bool
world_adds_up(void)
{
	const struct rx_counters *c = &world.rx_count;
	const struct store_counters *st = &world.store_count;
	const uint64_t ended = counter_read(&st->udp_batches) + counter_read(&st->duplicates) +
		counter_read(&st->refused) + counter_read(&st->hold_refused) + counter_read(&st->freed_with_session);

	if (world.rx.in_store == 0 && counter_read(&c->data) != ended)
		return false;
	return counter_read(&c->frames) == world.sent &&
		world.sent == counter_read(&c->data) + counter_read(&c->data_refused) +
			counter_read(&c->pings) + counter_read(&c->asked) +
			counter_read(&c->to_ended) + counter_read(&c->neighbours) + world_drops();
}
