/* SPDX-License-Identifier: MIT
 * client_udp.c - sendmmsg, with bursts for the kernel to cut, and recvmmsg over one connected socket.
 * Thread: the session's. Owns: the socket, the buffers of received datagrams.
 * Never: blocks longer than SEND_WAIT_MS, retries a datagram. */
#include "dataplane/client/client_udp.h"

#include "base/bits.h"
#include "dataplane/client/client_gso.h"

#include <kira/wire.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKET_BUFFER (4 * 1024 * 1024) /* asked for; the kernel gives up to net.core.{r,w}mem_max */
#define SEND_WAIT_MS  10                /* a full send buffer empties within that, or the link is down */
#define RECEIVE_ROOM  2048              /* above KUP_ACK_MAX; longer is foreign */
#define BURST_BYTES   65000             /* one IP packet, headers too, as far as the kernel knows */
#define REST_FLUSHES  64                /* no bursts so long, once the kernel found one invalid */
#define PAD_PART      8                 /* up to 1/8 of a datagram is padding rather than the end of a burst */

struct queued {
	const uint8_t *p;
	uint32_t length, tx;             /* tx 0: in no burst */
};

struct segment_size {                   /* a control message, aligned as one */
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(uint16_t))];
};

struct cudp {
	int fd;
	bool ipv6, gso;
	uint16_t port;
	unsigned bursts;                 /* how many of them the next flush may make */
	unsigned rest;                   /* flushes until one may again */
	void (*sent)(void *arg, uint32_t first_tx, uint32_t count);
	void *arg;
	unsigned n;
	struct queued queue[CUDP_BURST];
	/* The queue as messages; message m holds queue[first[m]] .. queue[first[m + 1] - 1]. */
	struct mmsghdr out[CUDP_BURST], in[CUDP_BURST];
	struct iovec out_vec[2 * CUDP_BURST], in_vec[CUDP_BURST];
	unsigned first[CUDP_BURST + 1];
	struct segment_size control[CUDP_BURST / GSO_BURST_MIN];
	uint8_t bytes[CUDP_BURST][RECEIVE_ROOM];
};

static const uint8_t zeros[KUP_DGRAM_MAX / PAD_PART + 1];

static uint16_t
port_of(const struct sockaddr_storage *a)
{
	return ntohs(a->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)a)->sin6_port
					      : ((const struct sockaddr_in *)a)->sin_port);
}

static void
set_options(int fd, bool ipv6)
{
	const int size = SOCKET_BUFFER;
	const int probe = ipv6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	/* DF set, the kernel's idea of the path ignored: our own probe decides. */
	if (ipv6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof(probe));
	else
		(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe));
}

int
cudp_open(struct cudp **ret, const struct sockaddr_storage *local, socklen_t length, struct err *err)
{
	struct sockaddr_storage a = *local;
	struct cudp *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_sys(err, -ENOMEM, "UDP socket");
	u->ipv6 = local->ss_family == AF_INET6;
	if (u->ipv6)
		((struct sockaddr_in6 *)&a)->sin6_port = 0;
	else
		((struct sockaddr_in *)&a)->sin_port = 0;
	u->fd = socket(local->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0) {
		rc = err_sys(err, -errno, "UDP socket");
		goto fail;
	}
	set_options(u->fd, u->ipv6);
	u->gso = setsockopt(u->fd, IPPROTO_UDP, UDP_SEGMENT, &(int){0}, sizeof(int)) == 0;
	if (bind(u->fd, (struct sockaddr *)&a, length) < 0
			|| getsockname(u->fd, (struct sockaddr *)&a, &length) < 0) {
		rc = err_sys(err, -errno, "bind a UDP socket to our address; does this host have it?");
		goto fail;
	}
	u->port = port_of(&a);
	for (unsigned i = 0; i < CUDP_BURST; i++) {
		u->in_vec[i] = (struct iovec){u->bytes[i], RECEIVE_ROOM};
		u->in[i].msg_hdr.msg_iov = &u->in_vec[i];
		u->in[i].msg_hdr.msg_iovlen = 1;
	}
	*ret = u;
	return 0;
fail:
	cudp_close(u);
	return rc;
}

void
cudp_close(struct cudp *u)
{
	if (!u)
		return;
	if (u->fd >= 0)
		(void)close(u->fd);
	free(u);
}

int
cudp_connect(struct cudp *u, const struct sockaddr_storage *peer, socklen_t length, struct err *err)
{
	if (connect(u->fd, (const struct sockaddr *)peer, length) < 0)
		return err_sys(err, -errno, "UDP to the broker's data address");
	return 0;
}

uint16_t
cudp_port(const struct cudp *u)
{
	return u->port;
}

int
cudp_fd(const struct cudp *u)
{
	return u->fd;
}

bool
cudp_ipv6(const struct cudp *u)
{
	return u->ipv6;
}

uint32_t
cudp_payload_max(const struct cudp *u)
{
	int mtu = 0;
	socklen_t n = sizeof(mtu);
	const int headers = u->ipv6 ? 48 : 28;

	if (getsockopt(u->fd, u->ipv6 ? (int)IPPROTO_IPV6 : (int)IPPROTO_IP,
			u->ipv6 ? IPV6_MTU : IP_MTU, &mtu, &n) < 0 || mtu <= headers)
		return 0;
	return (uint32_t)(mtu - headers);
}

bool
cudp_takes_bursts(const struct cudp *u)
{
	return u->gso;
}

void
cudp_on_burst(struct cudp *u, void (*sent)(void *arg, uint32_t first_tx, uint32_t count), void *arg)
{
	u->sent = sent;
	u->arg = arg;
}

/* ---- Sending ------------------------------------------------------------------------------- */

void
cudp_send_data(struct cudp *u, const void *p, uint32_t length, uint32_t tx, unsigned bursts)
{
	u->queue[u->n++] = (struct queued){p, length, tx};
	u->bursts = bursts;
	if (u->n == CUDP_BURST)
		cudp_flush(u);
}

void
cudp_send(struct cudp *u, const void *p, uint32_t length)
{
	cudp_send_data(u, p, length, 0, u->bursts);
}

/* How many from queue[at] on can leave as one burst, and the size that all but the last of them get. */
static unsigned
burst_at(const struct cudp *u, unsigned at, uint32_t *size)
{
	uint32_t least = u->queue[at].length, most = least;
	unsigned n = 0;

	for (; at + n < u->n && u->queue[at + n].tx != 0; n++) {
		const uint32_t length = u->queue[at + n].length, above = MAX(most, length);

		if ((n + 1) * above > BURST_BYTES || above - least > above / PAD_PART)
			break;
		most = above;
		if (most - length > most / PAD_PART) {
			n++; /* the end of a burst may be short */
			break;
		}
		least = MIN(least, length);
	}
	*size = most;
	return n;
}

static struct iovec *
put_burst(struct cudp *u, struct msghdr *h, struct iovec *v, unsigned at, unsigned n, uint32_t size,
	struct segment_size *control)
{
	const uint16_t segment = (uint16_t)size;
	struct cmsghdr *c;

	*h = (struct msghdr){.msg_iov = v, .msg_control = control->bytes,
		.msg_controllen = sizeof(control->bytes)};
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	for (unsigned i = 0; i < n; i++) {
		const struct queued *q = &u->queue[at + i];

		*v++ = (struct iovec){(void *)(uintptr_t)q->p, q->length};
		if (i + 1 < n && q->length < size)
			*v++ = (struct iovec){(void *)(uintptr_t)zeros, size - q->length};
	}
	h->msg_iovlen = (size_t)(v - h->msg_iov);
	return v;
}

/* The queue as messages; their number. */
static unsigned
build(struct cudp *u)
{
	struct iovec *v = u->out_vec;
	const unsigned most = u->gso && u->rest == 0 ? u->bursts : 0;
	unsigned messages = 0, bursts = 0;

	for (unsigned at = 0, n; at < u->n; at += n) {
		struct msghdr *h = &u->out[messages].msg_hdr;
		uint32_t size;

		u->first[messages++] = at;
		n = bursts < most ? burst_at(u, at, &size) : 1;
		if (n >= GSO_BURST_MIN) {
			v = put_burst(u, h, v, at, n, size, &u->control[bursts++]);
			continue;
		}
		n = 1;
		*v = (struct iovec){(void *)(uintptr_t)u->queue[at].p, u->queue[at].length};
		*h = (struct msghdr){.msg_iov = v++, .msg_iovlen = 1};
	}
	u->first[messages] = u->n;
	u->rest -= u->rest > 0;
	return messages;
}

/* A message that the kernel refused, errno says why: of a burst each datagram by itself, of which one that
 * is too long is lost, as is one by itself. */
static void
refused(struct cudp *u, unsigned m)
{
	const unsigned n = u->first[m + 1] - u->first[m];

	if (n == 1) /* too long for the interface, an ICMP error, no buffers: lost */
		return;
	/* The interface computes no checksums, so nothing is cut for it. EINVAL may pass: its MTU is too small
	 * for now. */
	if (errno == EIO)
		u->gso = false;
	else if (errno == EINVAL)
		u->rest = REST_FLUSHES;
	for (unsigned i = 0; i < n; i++)
		(void)send(u->fd, u->queue[u->first[m] + i].p, u->queue[u->first[m] + i].length, MSG_NOSIGNAL);
}

void
cudp_flush(struct cudp *u)
{
	const unsigned messages = build(u);
	unsigned at = 0;

	while (at < messages) {
		const int n = sendmmsg(u->fd, u->out + at, messages - at, MSG_NOSIGNAL);

		if (n > 0) {
			for (const unsigned end = at + (unsigned)n; at < end; at++)
				if (u->first[at + 1] - u->first[at] > 1)
					u->sent(u->arg, u->queue[u->first[at]].tx,
						u->first[at + 1] - u->first[at]);
		} else if (errno == EAGAIN) {
			struct pollfd pfd = {.fd = u->fd, .events = POLLOUT};

			if (poll(&pfd, 1, SEND_WAIT_MS) <= 0)
				break;
		} else if (errno != EINTR) {
			refused(u, at++);
		}
	}
	u->n = 0;
}

unsigned
cudp_receive(struct cudp *u, const uint8_t **p, uint32_t *length)
{
	/* An error (an ICMP unreachable, say) is fetched by the call and says nothing new. */
	const int n = recvmmsg(u->fd, u->in, CUDP_BURST, MSG_DONTWAIT, NULL);

	for (int i = 0; i < n; i++) {
		p[i] = u->bytes[i];
		length[i] = u->in[i].msg_len;
	}
	return n > 0 ? (unsigned)n : 0;
}

int
cudp_source(const struct sockaddr_storage *peer, socklen_t length, struct sockaddr_storage *ret)
{
	const int fd = socket(peer->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(*ret);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)peer, length) < 0
			|| getsockname(fd, (struct sockaddr *)ret, &n) < 0)
		rc = -errno;
	(void)close(fd);
	return rc;
}
