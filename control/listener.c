/* SPDX-License-Identifier: MIT
 * listener.c - bind, accept, warn. Thread: control. Owns: the listening sockets.
 * Never: listens beyond loopback without a warning line; there is no authentication yet. */
#include "control/listener.h"

#include "base/bits.h"
#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"
#include "control/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_TURN   64
#define BACKLOG       512
#define NO_FILES_WAIT (100 * NS_PER_MS)

int
listener_split(const char *text, char host[256], uint16_t *port, struct err *err)
{
	static const char plain[] = "PLAINTEXT://"; /* as Kafka's listeners are written */
	const char *colon;
	size_t n;
	char *end;
	long v;

	if (strncasecmp(text, plain, sizeof(plain) - 1) == 0)
		text += sizeof(plain) - 1;
	if (strstr(text, "://")) {
		err_set(err, "%s: only plain Kafka is spoken, as HOST:PORT or PLAINTEXT://HOST:PORT", text);
		return -EINVAL;
	}
	colon = strrchr(text, ':');
	n = colon ? (size_t)(colon - text) : 0;
	if (!colon || n > 255)
		goto bad;
	v = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end || v < 0 || v > 65535)
		goto bad;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	} else if (memchr(text, ':', n)) {
		err_set(err, "%s: an IPv6 address is written in brackets, as [::1]:9092", text);
		return -EINVAL;
	}
	if (n == 1 && text[0] == '*')
		n = 0;
	memcpy(host, text, n);
	host[n] = 0;
	*port = (uint16_t)v;
	return 0;
bad:
	err_set(err, "%s: HOST:PORT is wanted, as 127.0.0.1:9092 or [::1]:0", text);
	return -EINVAL;
}

static bool
is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) >> 24) ==
			127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr);
}

static void
name_listener(struct listener *l)
{
	struct sockaddr_storage at;
	socklen_t length = sizeof(at);
	char host[INET6_ADDRSTRLEN] = "?";

	(void)getsockname(l->src.fd, (struct sockaddr *)&at, &length);
	l->beyond_loopback = !is_loopback((const struct sockaddr *)&at);
	if (at.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&at;

		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		(void)snprintf(l->name, sizeof(l->name), "%s:%u", host, ntohs(in->sin_port));
	} else {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)&at;

		(void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		(void)snprintf(l->name, sizeof(l->name), "[%s]:%u", host, ntohs(in->sin6_port));
	}
}

static void
listener_ready(struct source *src, uint32_t events, uint64_t now_ns)
{
	struct listener *l = (struct listener *)((char *)src - offsetof(struct listener, src));
	static struct log_limit no_files;

	for (unsigned i = 0; i < ACCEPT_TURN; i++) {
		const int fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			(void)conn_open(l->ctl, fd, now_ns);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_limited(&no_files, now_ns, LOG_LEVEL_ERROR,
				"cannot accept on %s: %s; raise the limit of open files (LimitNOFILE)",
				l->name, strerror(errno));
			for (unsigned j = 0; j < l->ctl->listeners.n; j++)
				(void)loop_watch(&l->ctl->loop, &l->ctl->listeners.one[j].src, 0);
			loop_arm(&l->ctl->loop, &l->ctl->listeners.again, now_ns + NO_FILES_WAIT);
		}
		return;
	}
}

static void
listeners_again(struct timer *t, uint64_t now_ns)
{
	struct listeners *ls = (struct listeners *)((char *)t - offsetof(struct listeners, again));

	for (unsigned i = 0; i < ls->n; i++)
		(void)loop_watch(&ls->one[i].ctl->loop, &ls->one[i].src, EPOLLIN);
}

static int
bind_one(struct control *ctl, const struct addrinfo *ai, const char *text, struct err *err)
{
	struct listeners *ls = &ctl->listeners;
	struct listener *l = &ls->one[ls->n];
	const int one = 1;
	int fd, rc;

	if (ls->n == LISTENERS_MAX) {
		err_set(err, "--listen: more than %d addresses", LISTENERS_MAX);
		return -EINVAL;
	}
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, -errno, "--listen %s: socket", text);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		rc = err_sys(err, -errno, "--listen %s", text);
		(void)close(fd);
		return rc;
	}
	*l = (struct listener){.src = {.fd = fd, .ready = listener_ready}, .ctl = ctl};
	name_listener(l);
	ls->n++;
	return 0;
}

static int
open_text(struct control *ctl, const char *text, struct err *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	char host[256], service[8];
	uint16_t port;
	int rc = 0;

	if (listener_split(text, host, &port, err) < 0) {
		err_prefix(err, "--listen ");
		return -EINVAL;
	}
	(void)snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(*host ? host : NULL, service, &hints, &found);
	if (rc != 0) {
		err_set(err, "--listen %s: %s", text, gai_strerror(rc));
		return -EINVAL;
	}
	rc = 0;
	for (const struct addrinfo *ai = found; ai && rc == 0; ai = ai->ai_next) {
		const unsigned before = ctl->listeners.n;

		/* A host without IPv6 still has ::1 in /etc/hosts. */
		rc = bind_one(ctl, ai, text, err);
		if ((rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) && (ai->ai_next || ai != found))
			rc = 0;
		if (port == 0 && ctl->listeners.n > before)
			break; /* one port, not one per family */
	}
	freeaddrinfo(found);
	return rc;
}

int
listeners_open(struct control *ctl, struct err *err)
{
	int rc = 0;

	ctl->listeners = (struct listeners){.again = {.fire = listeners_again}};
	for (unsigned i = 0; i < ctl->cfg->listen.n && rc == 0; i++)
		rc = open_text(ctl, ctl->cfg->listen.item[i], err);
	if (rc == 0 && ctl->listeners.n == 0) {
		err_set(err, "--listen: no address to listen on");
		rc = -EINVAL;
	}
	if (rc < 0)
		listeners_close(ctl);
	return rc;
}

int
listeners_start(struct control *ctl, struct err *err)
{
	for (unsigned i = 0; i < ctl->listeners.n; i++) {
		struct listener *l = &ctl->listeners.one[i];
		int rc;

		if (listen(l->src.fd, BACKLOG) < 0)
			return err_sys(err, -errno, "--listen %s", l->name);
		rc = loop_watch(&ctl->loop, &l->src, EPOLLIN);
		if (rc < 0)
			return err_sys(err, rc, "watch the listener %s", l->name);
		log_info("Kafka port %s", l->name);
		if (l->beyond_loopback)
			log_warn("%s is reachable from other hosts, and the port has neither TLS nor "
				"authentication: keep it behind a firewall or listen on 127.0.0.1",
				l->name);
	}
	return 0;
}

void
listeners_close(struct control *ctl)
{
	struct listeners *ls = &ctl->listeners;

	loop_disarm(&ctl->loop, &ls->again);
	for (unsigned i = 0; i < ls->n; i++) {
		(void)loop_watch(&ctl->loop, &ls->one[i].src, 0);
		(void)close(ls->one[i].src.fd);
	}
	ls->n = 0;
}
