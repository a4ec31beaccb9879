/* SPDX-License-Identifier: MIT
 * rx.c - take packets from one NIC queue, hand them to the storage lcores, answer the producers.
 * Thread: one pinned rx lcore per queue. Owns: the queue, its sessions, its stages, its counters.
 * Never:  allocates, locks, logs, makes a system call (some vdev drivers do: CORES.md). */
#include "dataplane/kira_dpdk_compat.h"

#include "dataplane/rx.h"

#include "base/bits.h"
#include "base/bug.h"
#include "base/bytes.h"

#include <kira/errors.h>

#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <rte_ring_elem.h>

#define PLAIN_HEADERS (14 + 20 + 8) /* Ethernet, IPv4, UDP */
#define NEIGH_PER_S 1000 /* ARP, ND, ping answered a second: a flood of them shall cost little */

bool
rx_open(struct rx_lcore *rx, uint32_t credit, struct rte_mempool *pool)
{
	rx->tx = (struct tx){.port = rx->port, .queue = rx->queue, .pool = pool, .guard = rx->guard,
		.drop = rx->drop, .no_buffer = &rx->count->no_buffer,
		.bytes = &rx->count->tx_bytes};
	rx->failures = storage_failures(rx->storage);
	return sessions_open(&rx->sessions, rx->index, credit, rx->count);
}

void
rx_close(struct rx_lcore *rx)
{
	struct rte_mbuf *m;

	for (unsigned r = 0; r < rx->rx_lcores; r++)
		while (rx->from_rx[r] && rte_ring_sc_dequeue(rx->from_rx[r], (void **)&m) == 0)
			drop_packet(rx->drop, m, DROP_DRAINING);
	sessions_close(&rx->sessions);
}

/* ---- One packet --------------------------------------------------------------------------- */

/* V1's sums: what the device has judged is not summed again. */
static unsigned
sums_left(const struct rx_lcore *rx, const struct rte_mbuf *m)
{
	unsigned sums = rx->sums;

	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		sums &= ~PARSE_SUM_IP;
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		sums &= ~PARSE_SUM_UDP;
	return sums;
}

static void
rx_neighbour(struct rx_lcore *rx, struct rte_mbuf *m, const struct parsed *p, uint64_t now_ns)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t len;

	if (now_ns - rx->neigh_since_ns >= NS_PER_S) {
		rx->neigh_since_ns = now_ns;
		rx->neigh_n = 0;
	}
	if (rx->neigh_n >= NEIGH_PER_S) {
		drop_packet(rx->drop, m, DROP_RESPONDER_RATE);
		return;
	}
	len = rx->answers ? neigh_answer(&rx->neigh, frame, m->data_len,
		m->data_len + rte_pktmbuf_tailroom(m), p) : 0;
	if (len == 0) {
		drop_packet(rx->drop, m, DROP_NOT_OURS);
		return;
	}
	rx->neigh_n++;
	counter_add(&rx->count->neighbours, 1);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	m->ol_flags = 0; /* of its reception; the answer's sums are in it */
	tx_frame(&rx->tx, m);
}

/* The partition that DATA names, D5; the broker's choice goes round, 64 packets each. */
static struct partition *
partition_of(struct session *s, struct produce_data *d)
{
	const struct dataplane_topic *topic;

	if (d->handle == 0 || d->handle > s->handles || !s->topic[d->handle - 1])
		return NULL;
	topic = s->topic[d->handle - 1];
	if (d->partition == -1) {
		if (s->spread_left-- == 0) {
			s->spread_left = 63;
			s->spread_at++;
		}
		if (s->spread_at >= topic->partitions)
			s->spread_at = 0;
		d->partition = s->spread_at;
	}
	return d->partition >= 0 && d->partition < topic->partitions ? topic->part[d->partition] :
								       NULL;
}

/* It counts as received: from here on its outcome will be told. */
static void
receive(struct rx_lcore *rx, struct session *s, const struct produce_head *h,
	const struct produce_data *d, const struct parsed *p, uint64_t now_ns)
{
	const bool gap = window_receive(&s->window, h->word, d->handle, d->partition, d->records);
	const bool ce = p->ecn == 3;

	s->ts_echo = h->word2;
	s->echo_ns = now_ns;
	s->ce_count = (uint16_t)(s->ce_count + ce);
	if (h->flags & KUP_FLAG_ACK_NOW) {
		s->asked_seq = h->word;
		s->asked = true;
	}
	counter_add(&rx->count->retransmitted, h->aux > 0);
	session_ack_due(&rx->sessions, s, gap || ce, now_ns);
}

/* Outcome of a packet of a living session. */
static void
finish(struct rx_lcore *rx, struct session *s, uint32_t seq, int16_t error, int64_t base_offset,
	uint64_t commit, uint64_t now_ns)
{
	struct window *w = &s->window;
	bool now;

	window_final(w, seq, error, base_offset, commit);
	sessions_weigh(&rx->sessions, s);
	now = (error != 0 && error != KIRA_E_DUPLICATE_SEQUENCE_NUMBER) ||
		(s->asked && s->asked_seq == seq) ||
		(w->credit_limit - w->max_seq < w->size / 4u &&
			session_credit_can_rise(&rx->sessions, s));
	if (s->asked && s->asked_seq == seq)
		s->asked = false;
	session_ack_due(&rx->sessions, s, now, now_ns);
}

static void
rx_data(struct rx_lcore *rx, struct rte_mbuf *m, struct session *s, const struct produce_head *h,
	const struct parsed *p, uint64_t now_ns)
{
	uint8_t *payload = rte_pktmbuf_mtod_offset(m, uint8_t *, p->payload);
	const enum window_verdict verdict = window_judge(&s->window, h->word);
	struct partition *part = NULL;
	struct rx_stage *stage;
	struct produce_data d;
	struct store_msg *msg;

	if (verdict != WINDOW_NEW || (rx->drain_said && !BUG(43))) {
		session_ack_due(&rx->sessions, s, true, now_ns);
		drop_packet(rx->drop, m, verdict == WINDOW_OVER_CREDIT ? DROP_OVER_CREDIT :
			verdict == WINDOW_DUP ? DROP_DUP : DROP_DRAINING);
		return;
	}
	session_active(&rx->sessions, s);
	produce_data(payload, p->payload_len, &d);
	if (d.error == 0) {
		part = partition_of(s, &d);
		d.error = part ? 0 : KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	}
	if (d.error != 0) {
		receive(rx, s, h, &d, p, now_ns);
		finish(rx, s, h->word, d.error, -1, 0, now_ns);
		counter_add(&rx->count->data_refused, 1);
		drop_answered(m);
		return;
	}
	/* D6: room first, received second. Once an ACK has named a packet the producer never sends
	 * it again, so a ring that then fell short would lose it for good. */
	/* With one of them the partition, which is far away, is not looked at here. */
	stage = &rx->stage[rx->store_lcores > 1 ? storage_lcore(part) : 0];
	if (stage->n == stage->room) {
		if (BUG(31))
			receive(rx, s, h, &d, p, now_ns);
		drop_packet(rx->drop, m, DROP_RING_FULL); /* as if lost on the wire: not received */
		return;
	}
	receive(rx, s, h, &d, p, now_ns);
	s->in_store++;
	rx->in_store++;
	msg = &packet_of(m)->msg;
	*msg = (struct store_msg){
		.part = part,
		.batch = payload + KUP_DATA_BATCH,
		.length = d.length,
		.kind = STORE_UDP,
		.append_flags = APPEND_UDP,
		.base_offset = -1,
		.session_id = s->who.session_id,
		.pkt_seq = h->word,
		.arrived_ns = now_ns,
	};
	packet_of(m)->held.list = NULL;
	stage->msg[stage->n++] = msg;
	counter_add(&rx->count->data, 1);
}

/* V4, V5 and the upper bound of V2. DROPS: it is valid. */
static enum drop
judge(struct session *s, const uint8_t *frame, const struct parsed *p, const struct produce_head *h)
{
	struct in6_addr from;

	if (h->auth != s->who.secret)
		return DROP_AUTH;
	if (p->payload_len > s->max_dgram)
		return DROP_LENGTH;
	parsed_source(frame, p, &from);
	if (!IN6_ARE_ADDR_EQUAL(&from, &s->peer) || (s->peer_port != 0 && s->peer_port != p->src_port))
		return DROP_PEER;
	return DROPS;
}

/* Which owner it is for is settled: ours. */
static void
rx_session(struct rx_lcore *rx, struct rte_mbuf *m, const struct produce_head *h,
	const struct parsed *p, uint64_t now_ns)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	struct session *s = sessions_find(&rx->sessions, h->session_id);
	const enum drop why = s ? judge(s, frame, p, h) : DROP_NO_SESSION;

	if (why != DROPS) {
		drop_packet(rx->drop, m, why);
		return;
	}
	s->peer_port = p->src_port; /* bound now, if it was open */
	s->bytes_in += p->payload_len;
	s->heard_ns = now_ns;
	reply_learn(&s->reply, frame, p);
	if (h->type == KUP_CLOSE)
		session_end(&rx->sessions, s, KUP_RESET_CLOSED, now_ns);
	if (s->state == SESSION_ENDED) {
		counter_add(&rx->count->to_ended, 1);
		rx_send_reset(rx, s, h->word);
		drop_answered(m);
		return;
	}
	if (s->ack_owed) {
		s->ack_owed = false;
		session_ack_due(&rx->sessions, s, true, now_ns);
	}
	if (h->type == KUP_DATA) {
		rx_data(rx, m, s, h, p, now_ns);
		return;
	}
	if (h->type == KUP_PING) {
		counter_add(&rx->count->pings, 1);
		rx_send_pong(rx, s, h, p->payload_len);
		if (h->flags & KUP_FLAG_ACK_NOW)
			session_ack_due(&rx->sessions, s, true, now_ns);
	} else {
		counter_add(&rx->count->asked, 1);
		s->query_first = h->word;
		s->query_count = (uint16_t)(h->word2 >> 16);
		s->query_len = p->payload_len;
		session_ack_due(&rx->sessions, s, true, now_ns);
	}
	drop_answered(m);
}

static void
rx_datagram(struct rx_lcore *rx, struct rte_mbuf *m, const struct parsed *p, uint64_t now_ns)
{
	static const enum drop why[] = {
		[PRODUCE_SHORT] = DROP_LENGTH,
		[PRODUCE_MAGIC] = DROP_MAGIC,
		[PRODUCE_TYPE] = DROP_TYPE,
	};
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	enum produce_verdict verdict;
	struct produce_head h;
	struct in6_addr to;
	unsigned owner;

	parsed_destination(frame, p, &to);
	if (memcmp(frame, rx->neigh.mac, 6) != 0 || !neigh_has(&rx->neigh, &to) ||
		(uint16_t)(p->dst_port - rx->udp_port) >= KUP_PORTS) {
		drop_packet(rx->drop, m, DROP_NOT_OURS);
		return;
	}
	verdict = produce_head(frame + p->payload, p->payload_len, &h);
	if (verdict != PRODUCE_OK) {
		drop_packet(rx->drop, m, why[verdict]);
		return;
	}
	owner = h.session_id >> 24;
	if (owner == rx->index) {
		rx_session(rx, m, &h, p, now_ns);
	} else if (owner >= rx->rx_lcores) {
		drop_packet(rx->drop, m, DROP_NO_SESSION);
	} else if (rte_ring_sp_enqueue(rx->to_rx[owner], m) != 0) {
		drop_packet(rx->drop, m, DROP_MISROUTED_FULL);
	} else {
		counter_add(&rx->count->misrouted, 1);
		rx->gifts->rx |= 1u << owner;
	}
}

/* One frame: staged, answered, or dropped with a reason. */
static void
rx_packet(struct rx_lcore *rx, struct rte_mbuf *m, uint64_t now_ns)
{
	static const enum drop why[] = {
		[PARSE_OTHER] = DROP_NOT_OURS,
		[PARSE_RUNT] = DROP_RUNT,
		[PARSE_FRAGMENT] = DROP_FRAGMENT,
		[PARSE_BAD_SUM_IP] = DROP_SUM_IP,
		[PARSE_BAD_SUM_UDP] = DROP_SUM_UDP,
	};
	enum parse_verdict verdict;
	struct parsed p;

	if (m->nb_segs > 1) {
		drop_packet(rx->drop, m, DROP_CHAINED);
		return;
	}
	verdict = rx_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, sums_left(rx, m), &p);
	if (verdict == PARSE_UDP)
		rx_datagram(rx, m, &p, now_ns);
	else if (verdict == PARSE_ARP || verdict == PARSE_ND || verdict == PARSE_ECHO)
		rx_neighbour(rx, m, &p, now_ns);
	else
		drop_packet(rx->drop, m, why[verdict]);
}

/* The session of a packet further on is on its way while those before it are looked at. Where it is named is
 * guessed, as in a frame without tags over IPv4: a hint may miss. */
static void
rx_fetch(const struct rx_lcore *rx, const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, PLAIN_HEADERS);

	sessions_fetch(&rx->sessions, get_be32(p + KUP_OFF_SESSION), get_be32(p + KUP_DATA_SEQ));
}

/* ---- The rest of a turn ------------------------------------------------------------------- */

bool
rx_on_disk(struct rx_lcore *rx, struct session *s)
{
	const uint32_t was = s->window.disk_seq;

	if (!window_disk(&s->window, rx->commit_done) || !s->want_disk)
		return false;
	counter_add(&rx->count->disk_acked, s->window.disk_seq - was);
	return true;
}

/* Judged before a completion is taken or a mark looked at: the completion of a packet whose sync
 * has failed may still lie in the ring, so a disk_seq that has caught up proves nothing. */
static unsigned
rx_judge_disk(struct rx_lcore *rx, uint64_t now_ns)
{
	struct sessions *ss = &rx->sessions;
	const uint64_t early = BUG(23) ? storage_failures(rx->storage) : 0;
	const uint64_t done = storage_commit_done(rx->storage); /* K4, before X2 */
	const uint64_t failures = BUG(23) ? early : storage_failures(rx->storage);
	unsigned work = 0;

	if (failures != rx->failures) {
		rx->failures = failures;
		sessions_disk_failed(ss, now_ns);
		work++;
	}
	if (done == rx->commit_done)
		return work;
	rx->commit_done = done;
	for (uint32_t i = 0; i < ss->live_n; i++) {
		struct session *s = &ss->session[ss->live[i]];

		if (s->state != SESSION_ENDED && rx_on_disk(rx, s)) {
			session_ack_due(ss, s, true, now_ns);
			work++;
		}
	}
	return work;
}

static unsigned
rx_commands(struct rx_lcore *rx, uint64_t now_ns)
{
	struct rx_cmd *cmd[RX_CMD_BURST];
	const unsigned n = rte_ring_sc_dequeue_burst(rx->cmd, (void **)cmd, RX_CMD_BURST, NULL);

	for (unsigned i = 0; i < n; i++) {
		sessions_command(&rx->sessions, cmd[i], now_ns);
		(void)rte_ring_sp_enqueue(rx->cmd_done, cmd[i]); /* as large as what can be out */
		rx->gifts->control = true;
	}
	return n;
}

static void
rx_read_room(struct rx_lcore *rx)
{
	for (unsigned s = 0; s < rx->store_lcores; s++)
		handoff_read_room(&rx->stage[s], rx->to_store[s]);
}

static void
rx_hand_off(struct rx_lcore *rx)
{
	for (unsigned s = 0; s < rx->store_lcores; s++)
		if (handoff_send(&rx->stage[s], rx->to_store[s]) > 0)
			rx->gifts->store |= 1u << s;
}

/* Datagrams for our sessions that came to other lcores: a burst of all of them together, so that
 * with the port's own burst no stage is outgrown. */
static unsigned
rx_take_over(struct rx_lcore *rx, uint64_t now_ns)
{
	struct rte_mbuf *pkt[RX_BURST];
	unsigned n = 0;

	for (unsigned r = 0; r < rx->rx_lcores && n < RX_BURST; r++)
		if (rx->from_rx[r])
			n += rte_ring_sc_dequeue_burst(rx->from_rx[r], (void **)(pkt + n),
				RX_BURST - n, NULL);
	for (unsigned i = 0; i < n; i++)
		rx_packet(rx, pkt[i], now_ns);
	counter_add(&rx->count->taken_over, n);
	return n;
}

static unsigned
rx_take_completions(struct rx_lcore *rx, uint64_t now_ns)
{
	struct store_done done[RX_DONE_BURST];
	uint64_t want = 0;
	unsigned work = 0;

	for (unsigned l = 0; l < rx->store_lcores; l++) {
		const unsigned n = rte_ring_sc_dequeue_burst_elem(rx->done[l], done, sizeof(done[0]),
			RX_DONE_BURST, NULL);

		for (unsigned i = 0; i < n; i++)
			sessions_fetch(&rx->sessions, done[i].session_id, done[i].pkt_seq);
		for (unsigned i = 0; i < n; i++) {
			struct session *s = sessions_find(&rx->sessions, done[i].session_id);

			ASSERT(s && s->in_store > 0); /* no slot is freed before its last packet */
			s->in_store--;
			if (s->state == SESSION_ENDED) {
				if (!BUG(35))
					sessions_weigh(&rx->sessions, s);
				continue;
			}
			finish(rx, s, done[i].pkt_seq, done[i].error, done[i].base_offset,
				done[i].commit, now_ns);
			if (s->want_disk && done[i].commit > rx->commit_done)
				want = MAX(want, done[i].commit);
		}
		rx->in_store -= n;
		work += n;
	}
	counter_add(&rx->count->completions, work);
	if (want > 0) {
		storage_want_disk(rx->storage, rx->index, want); /* W1; the flush daemon begins at once */
		rx->gifts->flush = true;
	}
	return work;
}

/* kirad stops: tell every session once, then say when nothing is left. */
static void
rx_drain(struct rx_lcore *rx, uint64_t now_ns)
{
	struct sessions *ss = &rx->sessions;
	bool left = rx->in_store > 0 || ss->pending_n > 0;

	for (uint32_t i = 0; i < ss->live_n; i++) {
		struct session *s = &ss->session[ss->live[i]];

		if (s->state == SESSION_ENDED)
			continue;
		if (!rx->drain_said)
			session_ack_due(ss, s, true, now_ns);
		left |= s->want_disk && s->window.marks > 0;
	}
	if (rx->drain_said) /* else: the ACKs are still to be sent */
		atomic_store_explicit(&rx->drained, !left, memory_order_release);
	rx->drain_said = true;
}

unsigned
rx_turn(struct rx_lcore *rx, uint64_t now_ns)
{
	struct rte_mbuf *pkt[RX_BURST];
	unsigned work = rx_judge_disk(rx, now_ns);
	uint64_t bytes = 0;
	uint16_t n;

	work += rx_commands(rx, now_ns);
	nic_guard_enter(rx->guard);
	n = rte_eth_rx_burst(rx->port, rx->queue, pkt, RX_BURST);
	nic_guard_leave(rx->guard);
	work += n;
	rx_read_room(rx);                  /* rte_ring_free_count, once; only we fill these rings */
	for (uint16_t i = 0; i < n && i < 2 * RX_AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkt[i], void *));
	for (uint16_t i = 0; i < n && i < RX_AHEAD; i++)
		rx_fetch(rx, pkt[i]);
	for (uint16_t i = 0; i < n; i++) {
		if (i + 2 * RX_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkt[i + 2 * RX_AHEAD], void *));
		if (i + RX_AHEAD < n)
			rx_fetch(rx, pkt[i + RX_AHEAD]);
		bytes += pkt[i]->pkt_len;
		rx_packet(rx, pkt[i], now_ns); /* stages it, or drops it with a reason */
	}
	if (n > 0) {
		counter_add(&rx->count->frames, n);
		counter_add(&rx->count->bytes, bytes);
		counter_add(&rx->count->bursts_full, n == RX_BURST);
	}
	if (rx->rx_lcores > 1)
		work += rx_take_over(rx, now_ns);
	rx_hand_off(rx);                   /* one bulk enqueue per storage ring: it fits */
	work += rx_take_completions(rx, now_ns);
	if (atomic_load_explicit(rx->draining, memory_order_relaxed))
		rx_drain(rx, now_ns);
	work += rx_send_acks(rx, now_ns);
	tx_flush(&rx->tx);
	work += sessions_sweep(&rx->sessions, now_ns);
	/* G2, release: pairs with G1 in dataplane_owner(). */
	atomic_store_explicit(&rx->granted, rx->sessions.alive, memory_order_release);
	return work;
}

/* ---- What the loop asks ------------------------------------------------------------------- */

bool
rx_has_work(const struct rx_lcore *rx)
{
	if (rte_ring_count(rx->cmd) > 0 ||
		storage_commit_done(rx->storage) != rx->commit_done ||
		storage_failures(rx->storage) != rx->failures)
		return true;
	for (unsigned s = 0; s < rx->store_lcores; s++)
		if (rte_ring_count(rx->done[s]) > 0)
			return true;
	for (unsigned r = 0; r < rx->rx_lcores; r++)
		if (rx->from_rx[r] && rte_ring_count(rx->from_rx[r]) > 0)
			return true;
	return false;
}

bool
rx_has_pending(const struct rx_lcore *rx)
{
	return rx->sessions.pending_n > 0;
}

bool
rx_has_sessions(const struct rx_lcore *rx)
{
	return rx->sessions.alive > 0;
}

bool
rx_drained(const struct rx_lcore *rx)
{
	return atomic_load_explicit(&rx->drained, memory_order_acquire);
}
