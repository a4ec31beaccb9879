/* SPDX-License-Identifier: MIT
 * blast_lcore.c - the loop: receive, retransmit, generate, send; once in a while look after the
 * broker. Thread: main, pinned, the only lcore. Owns: the port, its packets, the injectors.
 * Never: allocates per packet; spins while the port is full or the schedule is ahead: on two CPUs
 * kirad's control and flush threads share this one (bench rule: the source yields). */
#include "dataplane/blast/blast_lcore.h"

#include "base/assert.h"
#include "base/clock.h"
#include "dataplane/blast/blast_arp.h"
#include "dataplane/eal.h"

#include <kira/errors.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define DATA_PACKETS    2047  /* 1,024 descriptors of a NIC, the stage, those held back */
#define PER_SESSION     16    /* frames of one session before the next one's turn */
#define LOOK_NS         (10 * NS_PER_MS) /* between looks at link, anchors and probes */
#define ATTEMPT_MS      20
#define ARP_NS          (100 * NS_PER_MS)
#define PROBE_NS        (50 * NS_PER_MS)
#define PATH_NS         ((uint64_t)5000000000)
#define PROBE_TOLD      (KUP_PROBES)

static _Atomic int stop_asked; /* lock-free, so a signal handler may write it */

static void
on_signal(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static uint64_t
give_up_ns(const struct blast *b)
{
	return (uint64_t)(b->o->give_up_after * 1e9);
}

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
static bool
flush(struct blast *b)
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

static bool
spares(struct blast *b)
{
	if (!b->spare_data)
		b->spare_data = rte_pktmbuf_alloc(b->data);
	if (!b->spare_plain)
		b->spare_plain = rte_pktmbuf_alloc(b->nic.pool[0]);
	return b->spare_data && b->spare_plain;
}

static void
emit_plain(struct blast *b, uint32_t bytes, uint64_t now_ns)
{
	struct rte_mbuf *m = b->spare_plain;

	b->spare_plain = NULL;
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	emit(b, m, now_ns);
}

/* One session's share of a turn; false: it has nothing more to send now. */
static bool
send_some(struct blast *b, struct blast_session *s, uint64_t now_ns)
{
	for (unsigned i = 0; i < PER_SESSION; i++) {
		enum session_step step;
		uint32_t bytes;

		if (b->staged >= BLAST_BURST || !spares(b))
			return true;
		step = session_step(s, now_ns, rte_pktmbuf_mtod(b->spare_data, uint8_t *),
			rte_pktmbuf_mtod(b->spare_plain, uint8_t *), &bytes);
		if (step == SESSION_NOTHING)
			return false;
		if (step == SESSION_PLAIN) {
			emit_plain(b, bytes, now_ns);
			continue;
		}
		b->spare_data->data_len = (uint16_t)bytes;
		b->spare_data->pkt_len = bytes;
		emit(b, b->spare_data, now_ns);
		b->spare_data = NULL;
	}
	return true;
}

static void
send_all(struct blast *b, uint64_t now_ns)
{
	unsigned idle = 0;

	while (b->staged < BLAST_BURST && idle < b->sessions) {
		struct blast_session *s = &b->session[b->next_session];

		idle = send_some(b, s, now_ns) ? 0 : idle + 1;
		if (b->staged < BLAST_BURST)
			b->next_session = b->next_session + 1 == b->sessions ? 0 : b->next_session + 1;
		else
			break;
		if (!b->spare_data || !b->spare_plain)
			if (!spares(b))
				break;
	}
}

/* ---- In ---------------------------------------------------------------------------------- */

static void
answer_arp(struct blast *b, const uint8_t *in, uint32_t bytes)
{
	if (!spares(b) || !arp_answer(rte_pktmbuf_mtod(b->spare_plain, uint8_t *), in, bytes,
			b->nic.mac, b->address))
		return;
	b->spare_plain->data_len = ARP_FRAME;
	b->spare_plain->pkt_len = ARP_FRAME;
	stage(b, b->spare_plain);
	b->spare_plain = NULL;
}

/* Who carries frames for the broker's data address. */
static const uint8_t *
next_hop(const struct blast *b)
{
	static const uint8_t none[4];
	const uint8_t *to = b->session[0].to;

	for (unsigned i = 0; i < 4; i++)
		if ((to[i] & b->mask[i]) != (b->address[i] & b->mask[i]))
			return memcmp(b->gateway, none, 4) ? b->gateway : to;
	return to;
}

static void
deliver(struct blast *b, const struct rte_mbuf *m, uint64_t now_ns)
{
	struct frame_datagram d;
	struct blast_session *s;
	unsigned i;

	if (!frame_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, b->address, &d))
		return;
	i = (unsigned)d.to_port - b->session[0].from_port;
	if (i >= b->sessions)
		return;
	s = &b->session[i];
	if (memcmp(d.from, s->to, 4) == 0 && d.from_port == s->to_port)
		session_datagram(s, d.payload, d.length, now_ns);
}

static void
arrived(struct blast *b, struct rte_mbuf *m, uint64_t now_ns)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	void *held;

	if (m->data_len >= ARP_FRAME - 18 && p[12] == 0x08 && p[13] == 0x06) {
		answer_arp(b, p, m->data_len);
		if (arp_learn(p, m->data_len, next_hop(b), b->peer_mac))
			b->peer_known = true;
		rte_pktmbuf_free(m);
		return;
	}
	if (!inject_active(&b->in)) {
		deliver(b, m, now_ns);
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
		deliver(b, m, now_ns);
		deliver(b, m, now_ns);
		rte_pktmbuf_free(m);
		break;
	case INJECT_PASS:
		deliver(b, m, now_ns);
		rte_pktmbuf_free(m);
		break;
	}
	while ((held = inject_release(&b->in, now_ns, false))) {
		deliver(b, held, now_ns);
		rte_pktmbuf_free(held);
	}
}

static unsigned
receive(struct blast *b, uint64_t now_ns)
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

/* What went through is not followed by anything that would release those held back. */
static void
release_late(struct blast *b, uint64_t now_ns)
{
	void *m;

	while ((m = inject_release(&b->out, now_ns, false)))
		stage(b, m);
	while ((m = inject_release(&b->in, now_ns, false))) {
		deliver(b, m, now_ns);
		rte_pktmbuf_free(m);
	}
}

/* ---- The turn ---------------------------------------------------------------------------- */

static enum blast_limit
what_limits(const struct blast *b)
{
	unsigned n[3] = {0};

	for (unsigned i = 0; i < b->sessions; i++)
		n[session_why(&b->session[i])]++;
	if (n[WAIT_SCHEDULE] > 0)
		return LIMIT_SCHEDULE;
	return n[WAIT_CREDIT] >= n[WAIT_WINDOW] ? LIMIT_CREDIT : LIMIT_WINDOW;
}

/* One bounded pass. Returns the work done; *limit says what kept it from doing more. */
static unsigned
turn(struct blast *b, uint64_t now_ns, enum blast_limit *limit)
{
	unsigned work = receive(b, now_ns);
	const uint64_t frames = b->out_frames;

	if (inject_active(&b->out))
		release_late(b, now_ns);
	if (b->staged < BLAST_BURST)
		send_all(b, now_ns);
	*limit = b->staged >= BLAST_BURST ? LIMIT_GENERATOR : what_limits(b);
	if (!flush(b))
		*limit = LIMIT_PORT;
	work += (unsigned)(b->out_frames - frames);
	return work;
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
		if (now >= until || stop_asked)
			return false;
		if (now >= next) {
			again(b, now);
			next = now + again_ns;
		}
		if (inject_active(&b->out))
			release_late(b, now);
		(void)flush(b);
		if (receive(b, now) == 0)
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
	if (b->staged >= BLAST_BURST || !spares(b))
		return;
	arp_request(rte_pktmbuf_mtod(b->spare_plain, uint8_t *), b->nic.mac, b->address, next_hop(b));
	b->spare_plain->data_len = ARP_FRAME;
	b->spare_plain->pkt_len = ARP_FRAME;
	stage(b, b->spare_plain);
	b->spare_plain = NULL;
}

static bool
path_proven(struct blast *b)
{
	return b->session[0].probe_answered;
}

static void
ask_path(struct blast *b, uint64_t now_ns)
{
	if (b->staged >= BLAST_BURST || !spares(b))
		return;
	emit_plain(b, session_probe(&b->session[0], now_ns,
		rte_pktmbuf_mtod(b->spare_plain, uint8_t *)), now_ns);
}

/* MAC of the next hop, then the links of all sessions. */
static bool
find_peer(struct blast *b, struct err *err)
{
	const uint8_t *hop = next_hop(b);

	b->peer_known = false;
	if (!pump(b, peer_found, ask_peer, ARP_NS, PATH_NS)) {
		err_set(err, "nobody answers ARP for %u.%u.%u.%u on %s (is the broker's --device the other "
			"end of it?)", hop[0], hop[1], hop[2], hop[3], b->o->device);
		return false;
	}
	for (unsigned i = 0; i < b->sessions; i++) {
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
	for (unsigned i = 0; i < b->sessions; i++)
		if (!broker_open_session(&b->broker, i, clock_now_ns(), deadline_ns, err))
			return false;
	return true;
}

/* Everything a first packet needs. */
static int
set_up(struct blast *b, struct err *err)
{
	const uint64_t deadline = clock_now_ns() + MAX(give_up_ns(b), PATH_NS);

	if (!broker_connect(&b->broker, deadline, err) || !broker_identify(&b->broker, deadline, err))
		return -EIO;
	while (!nic_link(&b->nic)) {
		if (clock_now_ns() >= deadline || stop_asked) {
			err_set(err, "no link on %s: kirad does not serve that device", b->o->device);
			return -ENOTCONN;
		}
		(void)poll(NULL, 0, ATTEMPT_MS);
		if (b->device.kind == NIC_MEMIF && !nic_link(&b->nic))
			(void)nic_reattach(&b->nic);
	}
	if (!open_sessions(b, deadline, err) || !find_peer(b, err))
		return -EIO;
	if (!pump(b, path_proven, ask_path, PROBE_NS, PATH_NS)) {
		err_set(err, "the broker does not answer a PING of %u bytes: is the path's MTU smaller "
			"(--batch), or does another process hold %s?", b->frame.datagram_bytes,
			b->o->device);
		return -EIO;
	}
	return 0;
}

/* The broker went away: note what was under way, come back as often as it takes. */
static int
recover(struct blast *b, uint64_t *heard_ns)
{
	struct blast_count *c = &b->run.count;

	c->broker_losses++;
	c->acked_shortly_before_loss += run_recent(&b->run, clock_now_ns());
	for (unsigned i = 0; i < b->sessions; i++)
		c->in_flight_at_loss += session_unfinished(&b->session[i], NULL, NULL);
	broker_disconnect(&b->broker);
	for (;;) {
		const uint64_t now = clock_now_ns();

		if (stop_asked)
			return -EINTR;
		if (now - *heard_ns > give_up_ns(b))
			return -ETIMEDOUT;
		if (b->device.kind == NIC_MEMIF && !nic_link(&b->nic))
			(void)nic_reattach(&b->nic);
		if (broker_connect(&b->broker, now + NS_PER_S, &b->reason)
				&& open_sessions(b, now + NS_PER_S, &b->reason)
				&& nic_link(&b->nic) && find_peer(b, &b->reason))
			break;
		(void)poll(NULL, 0, ATTEMPT_MS);
	}
	b->reason.text[0] = '\0';
	return 0;
}

/* Sessions the broker ended, or that nothing answers: ask over TCP. False: the TCP side died. */
static bool
look_after_sessions(struct blast *b, uint64_t now_ns, uint64_t *asked_ns)
{
	for (unsigned i = 0; i < b->sessions; i++) {
		struct blast_session *s = &b->session[i];
		const bool silent = s->window.probes >= PROBE_TOLD && now_ns - *asked_ns >= NS_PER_S;

		if (!s->lost && !silent)
			continue;
		if (silent)
			*asked_ns = now_ns;
		if (!broker_open_session(&b->broker, i, now_ns, now_ns + NS_PER_S, &b->reason))
			return false;
		frame_link_build(&s->link, b->nic.mac, b->peer_mac, b->address, s->to, s->from_port,
			s->to_port);
	}
	return true;
}

static bool
all_idle(const struct blast *b)
{
	for (unsigned i = 0; i < b->sessions; i++)
		if (!session_idle(&b->session[i]))
			return false;
	return true;
}

/* Nothing was acked for --give-up-after: the likeliest reason, in the broker's words if it has any. */
static void
why_silent(const struct blast *b, struct err *err)
{
	const struct blast_run *run = &b->run;
	bool credit = false;

	for (unsigned i = 0; i < b->sessions; i++)
		credit |= session_why(&b->session[i]) == WAIT_CREDIT;
	if (b->reason.text[0])
		err_set(err, "%s", b->reason.text);
	else if (run->refusal)
		err_set(err, "the broker answers %d %s: %s", run->refusal,
			kira_error_name(run->refusal), kira_error_meaning(run->refusal));
	else if (b->nic.dev && !nic_link(&b->nic))
		err_set(err, "no link on %s: kirad is gone", b->o->device);
	else if (clock_now_ns() - run->count.heard_ns < NS_PER_S && credit)
		err_set(err, "the broker answers but grants no credit: its storage waits (disk full or "
			"stalled? `kira stat`, df)");
	else if (clock_now_ns() - run->count.heard_ns < NS_PER_S)
		err_set(err, "the broker answers but acks nothing: see `kira stat`");
	else
		err_set(err, "datagrams go out, nothing comes back: `kira stat` names what it drops");
	err_prefix(err, "no ack for %.1f s: ", b->o->give_up_after);
}

static void
progress(const struct blast *b, uint64_t now_ns, uint64_t *was_acked, uint64_t *was_bytes)
{
	const struct blast_count *c = &b->run.count;
	const double s = (double)(now_ns - b->run.schedule.start_ns) / 1e9;

	fprintf(stderr, "  %5.1f s  %9" PRIu64 " records/s  %7.1f MB/s  acked %" PRIu64 "%s\n", s,
		c->records_acked - *was_acked, (double)(c->bytes_acked - *was_bytes) / 1e6,
		c->records_acked, nic_link(&b->nic) ? "" : "  no link");
	*was_acked = c->records_acked;
	*was_bytes = c->bytes_acked;
}

static int
loop(struct blast *b, struct err *err)
{
	struct blast_run *run = &b->run;
	uint64_t last = clock_now_ns(), heard = last, looked = last, asked = last, told = last;
	uint64_t was_acked = 0, was_bytes = 0, acked_at = 0;
	int rc;

	for (;;) {
		const uint64_t now = clock_now_ns();
		enum blast_limit limit;

		b->gap_max_ns = MAX(b->gap_max_ns, now - last);
		if (stop_asked)
			run->schedule.stop_ns = MIN(run->schedule.stop_ns, now);
		const unsigned work = turn(b, now, &limit);

		if (!schedule_over(&run->schedule, now))
			b->limit_ns[limit] += now - last;
		b->turns++;
		last = now;
		if (run->count.last_acked_ns != acked_at || (limit == LIMIT_SCHEDULE && all_idle(b))) {
			acked_at = run->count.last_acked_ns;
			heard = now;
		}
		if (run->fatal) {
			err_set(err, "the broker refuses for good, %d %s: %s", run->fatal,
				kira_error_name(run->fatal), kira_error_meaning(run->fatal));
			return -EIO;
		}
		if (schedule_over(&run->schedule, now) && all_idle(b))
			return 0;
		if (now - heard > give_up_ns(b)) {
			why_silent(b, err);
			return -ETIMEDOUT;
		}
		if (b->o->progress && now - told >= NS_PER_S) {
			told = now;
			progress(b, now, &was_acked, &was_bytes);
		}
		if (now - looked >= LOOK_NS) {
			looked = now;
			eal_log_drain();
			if (!nic_link(&b->nic) || broker_gone(&b->broker)
					|| !look_after_sessions(b, now, &asked)) {
				rc = recover(b, &heard);
				if (rc == -EINTR)
					return 0;
				if (rc < 0) {
					why_silent(b, err);
					return rc;
				}
				last = looked = clock_now_ns();
			}
		}
		if (work == 0 || limit == LIMIT_PORT)
			(void)sched_yield();
	}
}

static void
say_goodbye(struct blast *b)
{
	const uint64_t now = clock_now_ns();

	for (unsigned i = 0; i < b->sessions && nic_link(&b->nic); i++) {
		if (b->staged >= BLAST_STAGE || !spares(b))
			break;
		b->spare_plain->pkt_len = session_close_frame(&b->session[i],
			rte_pktmbuf_mtod(b->spare_plain, uint8_t *));
		b->spare_plain->data_len = (uint16_t)b->spare_plain->pkt_len;
		stage(b, b->spare_plain);
		b->spare_plain = NULL;
	}
	for (unsigned i = 0; i < 100 && !flush(b); i++)
		(void)receive(b, now);
	broker_disconnect(&b->broker);
}

int
blast_run(struct blast *b, struct err *err)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int rc;

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	rc = set_up(b, err);
	if (rc < 0)
		return rc;
	b->run.wall_ms = clock_wall_ms();
	b->run.schedule.start_ns = clock_now_ns();
	b->run.schedule.stop_ns = b->run.schedule.start_ns + (uint64_t)(b->o->seconds * 1e9);
	rc = loop(b, err);
	say_goodbye(b);
	return rc;
}
