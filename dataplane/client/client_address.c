/* SPDX-License-Identifier: MIT
 * client_address.c - see client_address.h. Owns: nothing. */
#include "dataplane/client/client_address.h"

#include "base/bits.h"
#include "base/clock.h"
#include "dataplane/client/client_lookup.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static int
split_address(const char *address, uint16_t port_default, char *host, size_t host_size, char *port,
	size_t port_size, struct err *err)
{
	const char *colon = strrchr(address, ':'), *end = colon, *start = address;

	if (address[0] == '[') {
		end = strchr(address, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			goto bad;
		start = address + 1;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else if (colon && strchr(address, ':') != colon) {
		colon = end = NULL; /* a bare IPv6 address */
	}
	if (!end)
		end = address + strlen(address);
	if (end == start || (size_t)(end - start) >= host_size)
		goto bad;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	if (colon) {
		char *rest;
		const unsigned long n = strtoul(colon + 1, &rest, 10);

		if (colon[1] == '\0' || *rest != '\0' || n == 0 || n > 65535)
			goto bad;
		(void)snprintf(port, port_size, "%lu", n);
	} else {
		(void)snprintf(port, port_size, "%u", port_default);
	}
	return 0;
bad:
	err_set(err, "\"%s\" is not HOST:PORT or [IPV6]:PORT", address);
	return -EINVAL;
}

static int
lookup(const char *address, uint16_t port_default, uint64_t deadline_ns, int stop_fd, struct addrinfo **ret,
	struct err *err)
{
	char host[256], port[8];
	const int rc = split_address(address, port_default, host, sizeof(host), port, sizeof(port), err);

	return rc < 0 ? rc : client_lookup(host, port, deadline_ns, stop_fd, ret, err);
}

int
client_resolve(const char *address, uint16_t port_default, uint64_t deadline_ns, int stop_fd,
	struct sockaddr_storage *ret, socklen_t *length, struct err *err)
{
	struct addrinfo *list;
	const int rc = lookup(address, port_default, deadline_ns, stop_fd, &list, err);

	if (rc < 0)
		return rc;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, list->ai_addr, list->ai_addrlen);
	*length = list->ai_addrlen;
	freeaddrinfo(list);
	return 0;
}

int
client_wait(int fd, short events, uint64_t deadline_ns, int stop_fd)
{
	for (;;) {
		const uint64_t now = clock_now_ns();
		struct pollfd pfd[2] = {{.fd = fd, .events = events}, {.fd = stop_fd, .events = POLLIN}};
		uint64_t left;
		int n;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		left = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
		n = poll(pfd, 2, (int)MIN(left, (uint64_t)60000));
		if (n > 0 && pfd[1].revents)
			return -ECANCELED;
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* The kernel may pick the very port that is connected to, when nobody listens there, and the socket is
 * its own peer: an answer to nothing, and a broker that restarts finds its port taken. */
static bool
is_its_own_peer(int fd)
{
	struct sockaddr_storage ours = {0}, theirs = {0};
	socklen_t n = sizeof(ours), m = sizeof(theirs);

	return getsockname(fd, (struct sockaddr *)&ours, &n) == 0
		&& getpeername(fd, (struct sockaddr *)&theirs, &m) == 0 && n == m
		&& memcmp(&ours, &theirs, n) == 0;
}

static int
connect_one(const struct addrinfo *ai, uint64_t deadline_ns, int stop_fd, int *ret)
{
	const int one = 1;
	int fd, rc, error = 0;
	socklen_t n = sizeof(error);

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		rc = -errno;
		if (rc != -EINPROGRESS)
			goto fail;
		rc = client_wait(fd, POLLOUT, deadline_ns, stop_fd);
		if (rc < 0)
			goto fail;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
			error = errno;
		rc = -error;
		if (rc < 0)
			goto fail;
	}
	if (is_its_own_peer(fd)) {
		rc = -ECONNREFUSED;
		goto fail;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	*ret = fd;
	return 0;
fail:
	(void)close(fd);
	return rc;
}

int
client_connect(const char *address, uint16_t port_default, uint64_t deadline_ns, int stop_fd,
	struct err *err)
{
	struct addrinfo *list;
	unsigned left = 0;
	int rc, fd = -1;

	rc = lookup(address, port_default, deadline_ns, stop_fd, &list, err);
	if (rc < 0)
		return rc;
	rc = -EHOSTUNREACH;
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
		left++;
	/* Each gets its share of the time that is left: the first may never answer. */
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next, left--) {
		const uint64_t now_ns = clock_now_ns();

		rc = connect_one(ai, now_ns + (deadline_ns - MIN(now_ns, deadline_ns)) / left, stop_fd, &fd);
		if (rc == 0 || rc == -ECANCELED)
			break;
	}
	freeaddrinfo(list);
	return rc < 0 ? err_sys(err, rc, "connect to %s", address) : fd;
}
