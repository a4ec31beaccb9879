/* SPDX-License-Identifier: MIT
 * tx.c - answers on their way out. See tx.h.
 * Thread: the rx lcore that owns the queue. Owns: the burst being gathered.
 * Never: waits for a port; asks a neighbour table: an answer goes back to the MAC it came from. */
#include "dataplane/kira_dpdk_compat.h"

#include "dataplane/tx.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "dataplane/drop.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define UDP_HEADER  8
#define PROTO_UDP   17
#define HOPS        64

static bool
goes_there(const struct reply *r, const uint8_t *frame, const struct parsed *p)
{
	const unsigned address = p->v6 ? 8 : 12, bytes = p->v6 ? 16 : 4;
	const uint8_t *ours = r->head + r->l3 + address, *theirs = frame + p->l3 + address;

	return r->l4 != 0 && r->l3 == p->l3 && r->v6 == p->v6 &&
		memcmp(r->head, frame + 6, 6) == 0 && memcmp(r->head + 6, frame, 6) == 0 &&
		memcmp(r->head + 12, frame + 12, p->l3 - 12u) == 0 &&
		memcmp(ours, theirs + bytes, bytes) == 0 && memcmp(ours + bytes, theirs, bytes) == 0 &&
		get_be16(r->head + r->l4) == p->dst_port &&
		get_be16(r->head + r->l4 + 2) == p->src_port;
}

void
reply_learn(struct reply *r, const uint8_t *frame, const struct parsed *p)
{
	const unsigned address = p->v6 ? 8 : 12, bytes = p->v6 ? 16 : 4;
	uint8_t *ip = r->head + p->l3;

	if (goes_there(r, frame, p))
		return;
	BUILD_ASSERT(sizeof(r->head) == 14 + 2 * 4 + IPV6_HEADER + UDP_HEADER);
	memset(r, 0, sizeof(*r));
	r->v6 = p->v6;
	r->l3 = (uint8_t)p->l3; /* rx_parse() takes two tags at most */
	r->l4 = (uint8_t)(p->l3 + (p->v6 ? IPV6_HEADER : IPV4_HEADER));
	memcpy(r->head, frame + 6, 6);
	memcpy(r->head + 6, frame, 6);
	memcpy(r->head + 12, frame + 12, p->l3 - 12u); /* tags, and the type */
	if (p->v6) {
		ip[0] = 0x60;
		ip[6] = PROTO_UDP;
		ip[7] = HOPS;
	} else {
		ip[0] = 0x45;
		ip[6] = 0x40; /* DF: answers are small, and a fragment would be dropped anyway */
		ip[8] = HOPS;
		ip[9] = PROTO_UDP;
	}
	memcpy(ip + address, frame + p->l3 + address + bytes, bytes);
	memcpy(ip + address + bytes, frame + p->l3 + address, bytes);
	put_be16(r->head + r->l4, p->dst_port);
	put_be16(r->head + r->l4 + 2, p->src_port);
}

struct rte_mbuf *
tx_begin(struct tx *tx, const struct reply *r, uint8_t **payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(tx->pool);
	uint8_t *frame;

	if (!m) {
		counter_add(tx->no_buffer, 1);
		return NULL;
	}
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(frame, r->head, r->l4 + UDP_HEADER);
	*payload = frame + r->l4 + UDP_HEADER;
	return m;
}

void
tx_end(struct tx *tx, const struct reply *r, struct rte_mbuf *m, uint32_t len)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *ip = frame + r->l3, *udp = frame + r->l4;
	const struct parsed p = {.l3 = r->l3, .l4 = r->l4, .l4_proto = PROTO_UDP, .v6 = r->v6};
	const uint16_t udp_len = (uint16_t)(UDP_HEADER + len);
	uint16_t sum;

	if (r->v6) {
		put_be16(ip + 4, udp_len);
	} else {
		put_be16(ip + 2, (uint16_t)(IPV4_HEADER + udp_len));
		sum = sum_finish(sum_bytes(ip, IPV4_HEADER, 0));
		memcpy(ip + 10, &sum, 2);
	}
	put_be16(udp + 4, udp_len);
	sum = sum_l4(frame, &p, udp_len);
	if (sum == 0)
		sum = 0xffff; /* zero would say: no checksum */
	memcpy(udp + 6, &sum, 2);
	m->data_len = (uint16_t)(r->l4 + udp_len);
	m->pkt_len = m->data_len;
	tx_frame(tx, m);
}

void
tx_frame(struct tx *tx, struct rte_mbuf *m)
{
	if (tx->n == TX_BURST)
		tx_flush(tx);
	tx->pkt[tx->n++] = m;
}

void
tx_flush(struct tx *tx)
{
	uint64_t bytes = 0;
	uint16_t sent;

	if (tx->n == 0)
		return;
	for (unsigned i = 0; i < tx->n; i++) /* before: those sent are the port's */
		bytes += tx->pkt[i]->pkt_len;
	nic_guard_enter(tx->guard);
	sent = rte_eth_tx_burst(tx->port, tx->queue, tx->pkt, (uint16_t)tx->n);
	nic_guard_leave(tx->guard);
	for (unsigned i = sent; i < tx->n; i++) {
		bytes -= tx->pkt[i]->pkt_len;
		drop_packet(tx->drop, tx->pkt[i], DROP_TX_FULL);
	}
	counter_add(tx->bytes, bytes);
	tx->n = 0;
}
