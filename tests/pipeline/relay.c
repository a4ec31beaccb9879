/* SPDX-License-Identifier: MIT
 * relay.c - a bad network between two interfaces: every frame of one leaves by the other, but for the UDP
 * datagrams among them that are lost, doubled or overtaken on purpose, by a seed; all wait for a slow link
 * with a bounded queue, and for a delay. In both directions alike. For machines whose kernel has no netem.
 *
 *	relay [--loss P] [--duplicate P] [--reorder P] [--depth N] [--mbit N] [--queue BYTES] [--delay-us N]
 *	      [--seed N] CLIENT_INTERFACE SERVER_INTERFACE
 *
 *	P          a share, 0..1; the fate of datagram n of a direction depends on the seed and n alone
 *	--depth    a held datagram is overtaken by so many, or waits HOLD_NS
 *	--mbit     the link carries so much, frames at their size on a wire; 0 (default): no limit
 *	--queue    bytes that wait for the link; what does not fit is dropped, as by a switch
 *
 * SIGTERM or SIGINT ends it; then it tells a line for each direction, see report(). `overrun` and `refused`
 * are frames that the relay itself was too slow for, or that the other interface did not take: no
 * fault made on purpose, so a measurement with one of them is none.
 * One thread. The interfaces should have no offloads: the relay counts frames, not super-frames. */
#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "dataplane/blast/blast_inject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BURST       64
#define FRAME_MAX   2048                /* MTU 1500; a longer one is counted `long` and dropped */
#define WIRE_EXTRA  24                  /* preamble, checksum, gap */
#define LINE_MAX    8192                /* frames on their way in one direction, a power of two */
#define HOLD_NS     (5 * NS_PER_MS)     /* 64 datagrams at 13,000/s */
#define RETRY_NS    (50 * NS_PER_US)    /* the other side took no frame */
#define TRIES_MAX   200
#define SOCKET_BYTES (64 * 1024 * 1024)

struct frame {
	struct frame *next;             /* free list */
	uint64_t due_ns;
	uint32_t length;
	uint8_t p[FRAME_MAX];
};

struct options {
	double loss, duplicate, reorder, depth, mbit, queue, delay_us, seed;
};

/* One direction. */
struct way {
	const char *name;
	int in, out;                    /* packet sockets */
	struct inject inject;
	struct frame *line[LINE_MAX];   /* head <= tail, by due_ns */
	uint32_t head, tail;
	uint64_t link_free_ns;          /* the link has sent what it has until then */
	uint64_t again_ns;              /* `out` refused a frame: not before */
	unsigned tries;
	uint64_t datagrams, other, sent, queue_dropped, long_dropped, refused;
};

struct relay {
	struct options o;
	struct way way[2];
	struct frame *spare;            /* shared by both directions */
	int signal_fd;
};

/* ---- Frames -------------------------------------------------------------------------------- */

static struct frame *
frame_new(struct relay *r)
{
	struct frame *f = r->spare;

	if (f) {
		r->spare = f->next;
		return f;
	}
	f = malloc(sizeof(*f));
	ASSERT(f);
	return f;
}

static void
frame_free(struct relay *r, struct frame *f)
{
	f->next = r->spare;
	r->spare = f;
}

static bool
is_udp(const struct frame *f)
{
	const uint8_t *p = f->p;
	const unsigned type = f->length < 34 ? 0 : (unsigned)p[12] << 8 | p[13];

	return (type == ETHERTYPE_IP && p[23] == IPPROTO_UDP) || (type == ETHERTYPE_IPV6 && p[20] == IPPROTO_UDP);
}

/* ---- What happens to a frame --------------------------------------------------------------- */

/* Onto the link, behind what it has still to send. One that gets lost does so at its far end: it has
 * taken its time there. */
static void
onto_line(struct relay *r, struct way *w, struct frame *f, bool arrives, uint64_t now_ns)
{
	const double ns_per_byte = r->o.mbit > 0 ? 8e3 / r->o.mbit : 0;
	const uint64_t waiting_ns = w->link_free_ns > now_ns ? w->link_free_ns - now_ns : 0;

	if (w->tail - w->head == LINE_MAX
			|| (double)waiting_ns > ns_per_byte * r->o.queue) {
		w->queue_dropped++;
		frame_free(r, f);
		return;
	}
	w->link_free_ns = now_ns + waiting_ns + (uint64_t)(ns_per_byte * (f->length + WIRE_EXTRA));
	if (!arrives) {
		frame_free(r, f);
		return;
	}
	f->due_ns = w->link_free_ns + (uint64_t)(r->o.delay_us * NS_PER_US);
	w->line[w->tail++ & (LINE_MAX - 1)] = f;
}

static void
release_held(struct relay *r, struct way *w, uint64_t now_ns, bool all)
{
	struct frame *f;

	while ((f = inject_release(&w->inject, now_ns, all)) != NULL)
		onto_line(r, w, f, true, now_ns);
}

static void
take(struct relay *r, struct way *w, struct frame *f, uint64_t now_ns)
{
	struct frame *copy;

	if (!is_udp(f)) {
		w->other++;
		onto_line(r, w, f, true, now_ns);
		return;
	}
	w->datagrams++;
	switch (inject_judge(&w->inject)) {
	case INJECT_LOSE:
		onto_line(r, w, f, false, now_ns);
		break;
	case INJECT_HOLD:
		inject_keep(&w->inject, f, now_ns);
		break;
	case INJECT_TWICE:
		copy = frame_new(r);
		copy->length = f->length;
		memcpy(copy->p, f->p, f->length);
		onto_line(r, w, copy, true, now_ns);
		/* fall through */
	case INJECT_PASS:
		onto_line(r, w, f, true, now_ns);
		break;
	}
	release_held(r, w, now_ns, false);
}

/* ---- In and out ---------------------------------------------------------------------------- */

static unsigned
receive(struct relay *r, struct way *w, uint64_t now_ns)
{
	struct mmsghdr m[BURST] = {0};
	struct iovec vec[BURST];
	struct frame *f[BURST];
	int n;

	for (unsigned i = 0; i < BURST; i++) {
		f[i] = frame_new(r);
		vec[i] = (struct iovec){f[i]->p, FRAME_MAX};
		m[i].msg_hdr.msg_iov = &vec[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(w->in, m, BURST, MSG_DONTWAIT | MSG_TRUNC, NULL);
	for (int i = 0; i < BURST; i++) {
		if (i >= n || m[i].msg_len > FRAME_MAX) {
			w->long_dropped += i < n;
			frame_free(r, f[i]);
			continue;
		}
		f[i]->length = m[i].msg_len;
		take(r, w, f[i], now_ns);
	}
	return n > 0 ? (unsigned)n : 0;
}

static void
send_due(struct relay *r, struct way *w, uint64_t now_ns)
{
	while (w->head != w->tail && now_ns >= w->again_ns) {
		struct mmsghdr m[BURST] = {0};
		struct iovec vec[BURST];
		unsigned n = 0;
		int sent;

		for (; n < BURST && w->head + n != w->tail; n++) {
			struct frame *f = w->line[(w->head + n) & (LINE_MAX - 1)];

			if (f->due_ns > now_ns)
				break;
			vec[n] = (struct iovec){f->p, f->length};
			m[n].msg_hdr.msg_iov = &vec[n];
			m[n].msg_hdr.msg_iovlen = 1;
		}
		if (n == 0)
			return;
		sent = sendmmsg(w->out, m, n, MSG_DONTWAIT);
		if (sent <= 0) {
			/* The other side's ring is full, or its link is down: it may pass. */
			w->again_ns = now_ns + RETRY_NS;
			if (++w->tries < TRIES_MAX)
				return;
			w->refused++;
			sent = 1;
		} else {
			w->sent += (unsigned)sent;
		}
		w->tries = 0;
		for (int i = 0; i < sent; i++)
			frame_free(r, w->line[w->head++ & (LINE_MAX - 1)]);
	}
}

/* ---- The loop ------------------------------------------------------------------------------ */

static uint64_t
wake_at(const struct way *w)
{
	uint64_t at = UINT64_MAX;

	if (w->head != w->tail)
		at = MAX(w->line[w->head & (LINE_MAX - 1)]->due_ns, w->again_ns);
	if (w->inject.held > 0)
		at = MIN(at, w->inject.queue[w->inject.first].until_ns);
	return at;
}

static void
wait_for_work(struct relay *r, uint64_t now_ns)
{
	struct pollfd pfd[3] = {{.fd = r->way[0].in, .events = POLLIN}, {.fd = r->way[1].in, .events = POLLIN},
		{.fd = r->signal_fd, .events = POLLIN}};
	const uint64_t at = MIN(wake_at(&r->way[0]), wake_at(&r->way[1]));
	const uint64_t left = at <= now_ns ? 0 : MIN(at - now_ns, NS_PER_S);
	const struct timespec ts = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};

	(void)ppoll(pfd, 3, &ts, NULL);
}

static bool
stopped(const struct relay *r)
{
	struct signalfd_siginfo info;

	return read(r->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

static void
run(struct relay *r)
{
	for (unsigned turn = 0;; turn++) {
		uint64_t now_ns = clock_now_ns();
		unsigned got = 0;

		for (unsigned i = 0; i < 2; i++) {
			release_held(r, &r->way[i], now_ns, false);
			got += receive(r, &r->way[i], now_ns);
			send_due(r, &r->way[i], now_ns);
		}
		if (got > 0 && turn % 64 != 0)
			continue;
		if (stopped(r))
			break;
		if (got == 0)
			wait_for_work(r, clock_now_ns());
	}
	for (unsigned i = 0; i < 2; i++)
		release_held(r, &r->way[i], clock_now_ns(), true);
}

/* ---- Start and end ------------------------------------------------------------------------- */

static _Noreturn void
fail(const char *what, const char *on)
{
	fprintf(stderr, "relay: %s %s: %s\n", what, on, strerror(errno));
	exit(1);
}

static int
open_interface(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name)};
	const int on = 1, bytes = SOCKET_BYTES;
	/* Protocol 0: nothing arrives before the socket is bound to its interface. */
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || at.sll_ifindex == 0)
		fail("open interface", name);
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0
			|| setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0
			|| setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0
			|| setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		fail("set up a packet socket on", name);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("bind a packet socket to", name);
	return fd;
}

static void
open_way(struct way *w, const char *name, int in, int out, const struct options *o, uint64_t seed)
{
	*w = (struct way){.name = name, .in = in, .out = out};
	inject_init(&w->inject, o->loss, o->duplicate, o->reorder, (unsigned)o->depth, seed);
	w->inject.hold_ns = HOLD_NS;
}

static void
report(struct way *w)
{
	struct tpacket_stats stats = {0};
	socklen_t n = sizeof(stats);

	(void)getsockopt(w->in, SOL_PACKET, PACKET_STATISTICS, &stats, &n);
	printf("relay %s: datagrams %" PRIu64 " lost %" PRIu64 " doubled %" PRIu64 " reordered %" PRIu64
		" queue_dropped %" PRIu64 " other %" PRIu64 " sent %" PRIu64 " long %" PRIu64 " overrun %u"
		" refused %" PRIu64 "\n", w->name, w->datagrams, w->inject.lost, w->inject.doubled,
		w->inject.reordered, w->queue_dropped, w->other, w->sent, w->long_dropped, stats.tp_drops, w->refused);
}

static void
parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"loss", 1, NULL, 0}, {"duplicate", 1, NULL, 1}, {"reorder", 1, NULL, 2},
		{"depth", 1, NULL, 3}, {"mbit", 1, NULL, 4}, {"queue", 1, NULL, 5}, {"delay-us", 1, NULL, 6},
		{"seed", 1, NULL, 7}, {0}};
	double *const value[] = {&o->loss, &o->duplicate, &o->reorder, &o->depth, &o->mbit, &o->queue, &o->delay_us,
		&o->seed};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		char *end;
		const double v = c == '?' ? -1 : strtod(optarg, &end);

		if (v < 0 || *end) {
			fprintf(stderr, "relay: a wrong option; see the head of relay.c\n");
			exit(2);
		}
		*value[c] = v;
	}
}

int
main(int argc, char **argv)
{
	static struct relay r = {.o = {.depth = 64, .queue = 4 * MIB, .seed = 1}};
	sigset_t set;
	int client, server;

	parse(argc, argv, &r.o);
	ASSERT(argc - optind == 2);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	r.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	(void)prctl(PR_SET_TIMERSLACK, 1000UL);
	client = open_interface(argv[optind]);
	server = open_interface(argv[optind + 1]);
	open_way(&r.way[0], "out", client, server, &r.o, 2 * (uint64_t)r.o.seed);
	open_way(&r.way[1], "back", server, client, &r.o, 2 * (uint64_t)r.o.seed + 1);
	printf("relay: ready\n");
	(void)fflush(stdout);
	run(&r);
	report(&r.way[0]);
	report(&r.way[1]);
	return 0;
}
