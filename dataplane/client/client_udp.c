/* SPDX-License-Identifier: MIT
 * client_udp.c - sendmmsg and recvmmsg over one connected socket.
 * Thread: the session's. Owns: the socket, the buffers of received datagrams.
 * Never: blocks longer than SEND_WAIT_MS, retries a datagram. */
#include "dataplane/client/client_udp.h"

#include "base/bits.h"

#include <kira/wire.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKET_BUFFER (4 * 1024 * 1024) /* asked for; the kernel gives up to net.core.{r,w}mem_max */
#define SEND_WAIT_MS  10                /* a full send buffer empties within that, or the link is down */
#define RECEIVE_ROOM  2048              /* above KUP_ACK_MAX; longer is foreign */

struct cudp {
	int fd;
	bool ipv6;
	uint16_t port;
	unsigned queued;
	struct mmsghdr out[CUDP_BURST], in[CUDP_BURST];
	struct iovec out_vec[CUDP_BURST], in_vec[CUDP_BURST];
	uint8_t bytes[CUDP_BURST][RECEIVE_ROOM];
};

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
	if (bind(u->fd, (struct sockaddr *)&a, length) < 0
			|| getsockname(u->fd, (struct sockaddr *)&a, &length) < 0) {
		rc = err_sys(err, -errno, "bind a UDP socket to our address; does this host have it?");
		goto fail;
	}
	u->port = port_of(&a);
	for (unsigned i = 0; i < CUDP_BURST; i++) {
		u->out[i].msg_hdr.msg_iov = &u->out_vec[i];
		u->out[i].msg_hdr.msg_iovlen = 1;
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

void
cudp_send(struct cudp *u, const void *p, uint32_t length)
{
	u->out_vec[u->queued++] = (struct iovec){(void *)(uintptr_t)p, length};
	if (u->queued == CUDP_BURST)
		cudp_flush(u);
}

void
cudp_flush(struct cudp *u)
{
	unsigned at = 0;

	while (at < u->queued) {
		const int n = sendmmsg(u->fd, u->out + at, u->queued - at, MSG_NOSIGNAL);

		if (n > 0) {
			at += (unsigned)n;
		} else if (errno == EAGAIN) {
			struct pollfd pfd = {.fd = u->fd, .events = POLLOUT};

			if (poll(&pfd, 1, SEND_WAIT_MS) <= 0)
				break;
		} else if (errno != EINTR) {
			at++; /* too long for the interface, an ICMP error, no buffers: lost */
		}
	}
	u->queued = 0;
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
