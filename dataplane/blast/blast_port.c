/* SPDX-License-Identifier: MIT
 * blast_port.c - the port of a run: frames out and in, each way past an injector.
 * Thread: main, the generator's lcore. Owns: the port, its packets, the injectors.
 * Never: waits for the port; allocates anything but packets once it is open. */
#include "dataplane/blast/blast_port.h"

#include "base/assert.h"
#include "dataplane/blast/blast_arp.h"
#include "dataplane/blast/blast_reach.h"
#include "dataplane/eal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <sched.h>

#define DATA_PACKETS    2047  /* 1,024 descriptors of a NIC, the stage, those held back */

/* ---- The port ---------------------------------------------------------------------------- */

static void
fill_packet(struct rte_mempool *pool, void *arg, void *object, unsigned index)
{
	const struct frame_template *t = arg;
	struct rte_mbuf *m = object;

	(void)pool, (void)index;
	memcpy((uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM, t->bytes, t->frame_bytes);
}

static bool
parse_address(struct blast *b, struct err *err)
{
	char text[32];
	const char *slash = strchr(b->o->address, '/');
	char *end;
	unsigned long bits;
	uint32_t mask;

	if (!slash || (size_t)(slash - b->o->address) >= sizeof(text))
		goto bad;
	memcpy(text, b->o->address, (size_t)(slash - b->o->address));
	text[slash - b->o->address] = '\0';
	bits = strtoul(slash + 1, &end, 10);
	if (inet_pton(AF_INET, text, b->address) != 1 || end == slash + 1 || *end || bits > 32)
		goto bad;
	mask = htonl(bits ? UINT32_MAX << (32 - bits) : 0);
	memcpy(b->mask, &mask, 4);
	if (b->o->gateway && inet_pton(AF_INET, b->o->gateway, b->gateway) != 1) {
		err_set(err, "--gateway: \"%s\" is not an IPv4 address", b->o->gateway);
		return false;
	}
	memcpy(b->broker.address, b->address, 4);
	return true;
bad:
	err_set(err, "--address: \"%s\" is not an IPv4 A/LEN, such as 127.18.0.2/24", b->o->address);
	return false;
}

static int
first_cpu(const struct blast *b, struct err *err)
{
	cpu_set_t set;
	char *end;

	if (b->o->cpus) {
		const long cpu = strtol(b->o->cpus, &end, 10);

		if (end == b->o->cpus || cpu < 0 || cpu >= CPU_SETSIZE || !strchr(",-", *end)) {
			err_set(err, "--cpus: \"%s\" is not a list such as 0,1 or 2-3", b->o->cpus);
			return -1;
		}
		return (int)cpu;
	}
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &set))
				return cpu;
	err_set(err, "no CPU to run on; name one by --cpus");
	return -1;
}

/* DPDK's own lines: silence unless it does not start, and then the error holds the last one. */
static void
eal_line(void *arg, bool warn, const char *line)
{
	(void)arg, (void)warn, (void)line;
}

int
blast_port_open(struct blast *b, struct err *err)
{
	const uint16_t mtu = (uint16_t)MAX(1500u, b->frame.frame_bytes - FRAME_ETHER);
	const uint32_t room = (uint32_t)round_up(b->frame.frame_bytes, 1024) + RTE_PKTMBUF_HEADROOM;
	struct eal_options eal = {.dev = &b->device, .lcores = 1, .run_dir = b->o->run_dir,
		.extra = b->o->eal_extra, .log = eal_line};
	int rc;

	if (!parse_address(b, err))
		return -EINVAL;
	eal.cpu[0] = first_cpu(b, err);
	if (eal.cpu[0] < 0)
		return -EINVAL;
	rc = nic_parse(&b->device, b->o->device, true, 1, mtu, err);
	if (rc < 0)
		return rc;
	eal.memory_mib = nic_memory_mib(&b->device, 1, mtu, 1)
		+ (DATA_PACKETS + 1) * (room + 256) / (1024 * 1024) + 8;
	rc = eal_start(&eal, err);
	if (rc < 0)
		return rc;
	rc = nic_open(&b->nic, &b->device, 1, mtu, 1, err);
	if (rc < 0)
		return rc;
	b->guard = nic_guard_add();
	b->data = rte_pktmbuf_pool_create("blast", DATA_PACKETS, NIC_CACHE, 0, (uint16_t)room,
		b->nic.numa_node);
	if (!b->data) {
		err_set(err, "no memory for %d packets of %u bytes", DATA_PACKETS, room);
		return -ENOMEM;
	}
	(void)rte_mempool_obj_iter(b->data, fill_packet, &b->frame);
	inject_init(&b->out, b->o->loss, b->o->duplicate, b->o->reorder,
		(unsigned)b->o->reorder_depth, b->o->seed);
	inject_init(&b->in, b->o->loss, b->o->duplicate, b->o->reorder,
		(unsigned)b->o->reorder_depth, b->o->seed + 1);
	return 0;
}

void
blast_port_close(struct blast *b)
{
	void *m;

	while ((m = inject_release(&b->out, 0, true)) || (m = inject_release(&b->in, 0, true)))
		rte_pktmbuf_free(m);
	rte_pktmbuf_free_bulk(b->stage, b->staged);
	rte_pktmbuf_free(b->spare_data);
	rte_pktmbuf_free(b->spare_plain);
	b->staged = 0;
	b->spare_data = b->spare_plain = NULL;
	(void)nic_close(&b->nic);
	eal_stop();
}

/* ---- Out --------------------------------------------------------------------------------- */

static void
stage(struct blast *b, struct rte_mbuf *m)
{
	ASSERT(b->staged < BLAST_STAGE);
	b->stage[b->staged++] = m;
}

/* Returns false while the port does not take everything. */
bool
port_flush(struct blast *b)
{
	uint16_t sent;

	if (b->staged == 0)
		return true;
	nic_guard_enter(b->guard);
	sent = rte_eth_tx_burst(b->nic.port, 0, b->stage, (uint16_t)MIN(b->staged, 512u));
	nic_guard_leave(b->guard);
	b->out_frames += sent;
	b->staged -= sent;
	memmove(b->stage, b->stage + sent, b->staged * sizeof(*b->stage));
	return b->staged == 0;
}

static void
stage_copy(struct blast *b, const struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_alloc(m->pool);

	if (!copy)
		return;
	memcpy(rte_pktmbuf_append(copy, m->data_len), rte_pktmbuf_mtod(m, void *), m->data_len);
	stage(b, copy);
}

/* A datagram of ours on its way out, past the injector. */
static void
emit(struct blast *b, struct rte_mbuf *m, uint64_t now_ns)
{
	void *held;

	if (!inject_active(&b->out)) {
		stage(b, m);
		return;
	}
	switch (inject_judge(&b->out)) {
	case INJECT_LOSE:
		rte_pktmbuf_free(m);
		break;
	case INJECT_HOLD:
		inject_keep(&b->out, m, now_ns);
		break;
	case INJECT_TWICE:
		stage(b, m);
		stage_copy(b, m);
		break;
	case INJECT_PASS:
		stage(b, m);
		break;
	}
	while ((held = inject_release(&b->out, now_ns, false)))
		stage(b, held);
}

bool
port_spares(struct blast *b)
{
	if (!b->spare_data)
		b->spare_data = rte_pktmbuf_alloc(b->data);
	if (!b->spare_plain)
		b->spare_plain = rte_pktmbuf_alloc(b->nic.pool[0]);
	return b->spare_data && b->spare_plain;
}

static struct rte_mbuf *
take(struct rte_mbuf **spare, uint32_t bytes)
{
	struct rte_mbuf *m = *spare;

	*spare = NULL;
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	return m;
}

void
port_data(struct blast *b, uint32_t bytes, uint64_t now_ns)
{
	emit(b, take(&b->spare_data, bytes), now_ns);
}

void
port_plain(struct blast *b, uint32_t bytes, uint64_t now_ns)
{
	emit(b, take(&b->spare_plain, bytes), now_ns);
}

void
port_plain_surely(struct blast *b, uint32_t bytes)
{
	stage(b, take(&b->spare_plain, bytes));
}

/* ---- In ---------------------------------------------------------------------------------- */

static void
answer_arp(struct blast *b, const uint8_t *in, uint32_t bytes)
{
	if (port_full(b) || !port_spares(b) || !arp_answer(rte_pktmbuf_mtod(b->spare_plain, uint8_t *),
			in, bytes, b->nic.mac, b->address))
		return;
	port_plain_surely(b, ARP_FRAME);
}

/* True: a session took it. */
static bool
deliver(struct blast *b, const uint8_t *frame, uint32_t bytes, uint64_t now_ns)
{
	struct frame_datagram d;
	struct blast_session *s;
	unsigned i;

	if (!frame_parse(frame, bytes, b->address, &d))
		return false;
	i = (unsigned)d.to_port - b->session[0].from_port;
	if (i >= b->broker.sessions)
		return false;
	s = &b->session[i];
	if (memcmp(d.from, s->to, 4) == 0 && d.from_port == s->to_port
			&& session_datagram(s, d.payload, d.length, now_ns))
		return true;
	b->ignored++;
	return false;
}

static void
forge(struct blast *b, uint64_t now_ns)
{
	uint8_t frame[FRAME_LINK + KUP_ACK_MAX];

	hostile_answered(&b->hostile);
	while (hostile_forgery_due(&b->hostile))
		(void)deliver(b, frame, hostile_forge(&b->hostile, frame), now_ns);
}

static void
answered(struct blast *b, const struct rte_mbuf *m, uint64_t now_ns)
{
	if (deliver(b, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, now_ns))
		b->answer_bytes += m->data_len;
	else
		b->unclaimed_bytes += m->data_len;
	if (b->hostile.per_honest > 0)
		forge(b, now_ns);
}

static void
arrived(struct blast *b, struct rte_mbuf *m, uint64_t now_ns)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	void *held;

	if (m->data_len >= ARP_FRAME - 18 && p[12] == 0x08 && p[13] == 0x06) {
		b->arp_bytes += m->data_len;
		answer_arp(b, p, m->data_len);
		if (arp_learn(p, m->data_len, reach_next_hop(b), b->peer_mac))
			b->peer_known = true;
		rte_pktmbuf_free(m);
		return;
	}
	if (!inject_active(&b->in)) {
		answered(b, m, now_ns);
		rte_pktmbuf_free(m);
		return;
	}
	switch (inject_judge(&b->in)) {
	case INJECT_LOSE:
		rte_pktmbuf_free(m);
		break;
	case INJECT_HOLD:
		inject_keep(&b->in, m, now_ns);
		break;
	case INJECT_TWICE:
		answered(b, m, now_ns);
		answered(b, m, now_ns);
		rte_pktmbuf_free(m);
		break;
	case INJECT_PASS:
		answered(b, m, now_ns);
		rte_pktmbuf_free(m);
		break;
	}
	while ((held = inject_release(&b->in, now_ns, false))) {
		answered(b, held, now_ns);
		rte_pktmbuf_free(held);
	}
}

unsigned
port_receive(struct blast *b, uint64_t now_ns)
{
	struct rte_mbuf *pkt[BLAST_BURST];
	uint16_t n;

	nic_guard_enter(b->guard);
	n = rte_eth_rx_burst(b->nic.port, 0, pkt, BLAST_BURST);
	nic_guard_leave(b->guard);
	b->in_frames += n;
	for (uint16_t i = 0; i < n; i++) {
		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkt[i + 1], void *));
		arrived(b, pkt[i], now_ns);
	}
	return n;
}

void
port_release_late(struct blast *b, uint64_t now_ns)
{
	void *m;

	while ((m = inject_release(&b->out, now_ns, false)))
		stage(b, m);
	while ((m = inject_release(&b->in, now_ns, false))) {
		answered(b, m, now_ns);
		rte_pktmbuf_free(m);
	}
}
