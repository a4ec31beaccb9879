/* SPDX-License-Identifier: MIT
 * blast_reach.c - reach the broker: connections, link, sessions, the peer's MAC, a path that carries a
 * DATA; again when it went away, or when it ended a session.
 * Thread: main, the generator's lcore; every wait has an end. Owns: peer_mac, and b->reason. */
#include "dataplane/blast/blast_reach.h"

#include "base/clock.h"
#include "dataplane/blast/blast_arp.h"
#include "dataplane/blast/blast_port.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <sched.h>

#define ATTEMPT_MS      20    /* between attempts to come back */
#define LINK_LOOK_MS    2
#define HANDSHAKE_NS    (300 * NS_PER_MS)
#define ARP_NS          (100 * NS_PER_MS)
#define PROBE_NS        (50 * NS_PER_MS)
#define PATH_NS         (5 * NS_PER_S)
/* For "do you live?" over a connection that stands: a broker that died closed it. On a busy host threads of one
 * that lives get no CPU for seconds. */
#define ASK_NS          (5 * NS_PER_S)

/* Who carries frames for the broker's data address. */
const uint8_t *
reach_next_hop(const struct blast *b)
{
	static const uint8_t none[4];
	const uint8_t *to = b->session[0].to;

	for (unsigned i = 0; i < 4; i++)
		if ((to[i] & b->mask[i]) != (b->address[i] & b->mask[i]))
			return memcmp(b->gateway, none, 4) ? b->gateway : to;
	return to;
}

/* Frames in and out without new batches, until `done` says so or the time is over. */
static bool
pump(struct blast *b, bool (*done)(struct blast *b), void (*again)(struct blast *b, uint64_t now_ns),
	uint64_t again_ns, uint64_t limit_ns)
{
	const uint64_t until = clock_now_ns() + limit_ns;
	uint64_t next = 0;

	for (;;) {
		const uint64_t now = clock_now_ns();

		if (done(b))
			return true;
		if (now >= until || blast_stop_asked())
			return false;
		if (now >= next) {
			again(b, now);
			next = now + again_ns;
		}
		if (inject_active(&b->out))
			port_release_late(b, now);
		(void)port_flush(b);
		if (port_receive(b, now) == 0)
			(void)sched_yield();
	}
}

static bool
peer_found(struct blast *b)
{
	return b->peer_known;
}

static void
ask_peer(struct blast *b, uint64_t now_ns)
{
	(void)now_ns;
	if (port_full(b) || !port_spares(b))
		return;
	arp_request(rte_pktmbuf_mtod(b->spare_plain, uint8_t *), b->nic.mac, b->address,
		reach_next_hop(b));
	port_plain_surely(b, ARP_FRAME);
}

static bool
path_proven(struct blast *b)
{
	return b->session[0].probe_answered;
}

static void
ask_path(struct blast *b, uint64_t now_ns)
{
	if (port_full(b) || !port_spares(b))
		return;
	port_plain(b, session_probe(&b->session[0], now_ns,
		rte_pktmbuf_mtod(b->spare_plain, uint8_t *)), now_ns);
}

/* MAC of the next hop, then the links of all sessions. */
static bool
find_peer(struct blast *b, uint64_t limit_ns, struct err *err)
{
	const uint8_t *hop = reach_next_hop(b);

	b->peer_known = false;
	if (!pump(b, peer_found, ask_peer, ARP_NS, limit_ns)) {
		err_set(err, "nobody answers ARP for %u.%u.%u.%u on %s (is the broker's --device the other "
			"end of it?)", hop[0], hop[1], hop[2], hop[3], b->o->device);
		return false;
	}
	for (unsigned i = 0; i < b->broker.sessions; i++) {
		struct blast_session *s = &b->session[i];

		frame_link_build(&s->link, b->nic.mac, b->peer_mac, b->address, s->to, s->from_port,
			s->to_port);
	}
	return true;
}

/* ---- The broker -------------------------------------------------------------------------- */

static bool
open_sessions(struct blast *b, uint64_t deadline_ns, struct err *err)
{
	for (unsigned i = 0; i < b->broker.sessions; i++)
		if (!broker_open_session(&b->broker, i, clock_now_ns(), deadline_ns, err))
			return false;
	return true;
}

/* A memif client does not connect by itself when its broker appears; the handshake is done by DPDK's
 * interrupt thread and gets its time, or a busy host would break each one off. */
static bool
link_up(struct blast *b)
{
	const uint64_t until = clock_now_ns() + HANDSHAKE_NS;

	if (nic_link(&b->nic))
		return true;
	if (b->device.kind == NIC_MEMIF)
		(void)nic_reattach(&b->nic);
	while (!nic_link(&b->nic)) {
		if (clock_now_ns() >= until || blast_stop_asked())
			return false;
		(void)poll(NULL, 0, LINK_LOOK_MS);
	}
	return true;
}

int
reach_first(struct blast *b, struct err *err)
{
	const uint64_t deadline = clock_now_ns() + MAX(blast_give_up_ns(b), PATH_NS);

	if (!broker_connect(&b->broker, deadline, err) || !broker_identify(&b->broker, deadline, err))
		return -EIO;
	while (!link_up(b)) {
		if (clock_now_ns() >= deadline || blast_stop_asked()) {
			err_set(err, "no link on %s: kirad does not serve that device", b->o->device);
			return -ENOTCONN;
		}
	}
	if (!open_sessions(b, deadline, err) || !find_peer(b, PATH_NS, err))
		return -EIO;
	if (!pump(b, path_proven, ask_path, PROBE_NS, PATH_NS)) {
		err_set(err, "the broker does not answer a PING of %u bytes: is the path's MTU smaller "
			"(--batch), or does another process hold %s?", b->frame.datagram_bytes,
			b->o->device);
		return -EIO;
	}
	if (b->o->hostile > 0 && !broker_exhaust(&b->broker, deadline, err))
		return -EIO;
	return 0;
}

static void
note_loss(struct blast *b)
{
	struct blast_count *c = &b->run.count;
	/* Before its last word, not before we noticed: a killed process closes its sockets last, and on
	 * a busy host that takes a while. */
	const uint64_t acked = run_recent(&b->run, c->heard_ns);
	uint64_t flying = 0;

	for (unsigned i = 0; i < b->sessions; i++)
		flying += session_unfinished(&b->session[i], NULL, NULL);
	c->broker_losses++;
	c->in_flight_at_loss += flying;
	c->acked_shortly_before_loss += acked;
	c->losses_under_load += flying > 0 && acked > 0;
	fprintf(stderr, "kira-blast: the broker is gone: %" PRIu64 " batches in flight, %" PRIu64
		" acked within 100 ms before its last word; waiting for it\n", flying, acked);
}

int
reach_again(struct blast *b, uint64_t heard_ns)
{
	note_loss(b);
	broker_disconnect(&b->broker);
	for (;;) {
		const uint64_t now = clock_now_ns();

		if (blast_stop_asked())
			return -EINTR;
		if (now - heard_ns > blast_give_up_ns(b))
			return -ETIMEDOUT;
		/* TCP first: kirad listens last, and by then serves the device. */
		if (broker_connect(&b->broker, now + NS_PER_S, &b->reason) && link_up(b)
				&& open_sessions(b, clock_now_ns() + NS_PER_S, &b->reason)
				&& find_peer(b, NS_PER_S, &b->reason))
			break;
		(void)poll(NULL, 0, ATTEMPT_MS);
	}
	b->reason.text[0] = '\0';
	return 0;
}

bool
reach_sessions(struct blast *b, uint64_t now_ns, uint64_t *asked_ns)
{
	for (unsigned i = 0; i < b->broker.sessions; i++) {
		struct blast_session *s = &b->session[i];
		const bool silent = s->window.rtt.probes >= KUP_PROBES && now_ns - *asked_ns >= NS_PER_S;

		if (!s->lost && !silent)
			continue;
		if (silent)
			*asked_ns = now_ns;
		if (!broker_open_session(&b->broker, i, now_ns, now_ns + ASK_NS, &b->reason))
			return false;
		frame_link_build(&s->link, b->nic.mac, b->peer_mac, b->address, s->to, s->from_port,
			s->to_port);
	}
	return true;
}
