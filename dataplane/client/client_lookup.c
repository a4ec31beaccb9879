/* SPDX-License-Identifier: MIT
 * client_lookup.c - see client_lookup.h. Thread: the caller's, and one per name. Owns: a struct lookup,
 * which belongs to both and is freed by who leaves last. */
#include "dataplane/client/client_lookup.h"

#include "dataplane/client/client_address.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct lookup {
	_Atomic int users;
	int done_fd;           /* readable: rc and list are set */
	int rc;                /* getaddrinfo()'s */
	struct addrinfo *list;
	char host[256], port[8];
};

static void
leave(struct lookup *l)
{
	/* The other one's writes come before the free. */
	if (atomic_fetch_sub_explicit(&l->users, 1, memory_order_acq_rel) > 1)
		return;
	if (l->list)
		freeaddrinfo(l->list);
	(void)close(l->done_fd);
	free(l);
}

static void *
look(void *arg)
{
	const struct addrinfo configured = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	const struct addrinfo any = {.ai_socktype = SOCK_STREAM};
	struct lookup *l = arg;

	l->rc = getaddrinfo(l->host, l->port, &configured, &l->list);
	/* AI_ADDRCONFIG hides what a host with loopback alone could still reach. */
	if (l->rc == EAI_NONAME || l->rc == EAI_ADDRFAMILY || l->rc == EAI_NODATA)
		l->rc = getaddrinfo(l->host, l->port, &any, &l->list);
	(void)!write(l->done_fd, &(uint64_t){1}, sizeof(uint64_t));
	leave(l);
	return NULL;
}

/* No signal of the application is for that thread. */
static int
start(struct lookup *l)
{
	sigset_t all, was;
	pthread_attr_t detached;
	pthread_t thread;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_attr_init(&detached);
	(void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	(void)pthread_sigmask(SIG_SETMASK, &all, &was);
	rc = -pthread_create(&thread, &detached, look, l);
	(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
	(void)pthread_attr_destroy(&detached);
	return rc;
}

static int
by_thread(const char *host, const char *port, uint64_t deadline_ns, int stop_fd, struct addrinfo **ret,
	struct err *err)
{
	struct lookup *l = calloc(1, sizeof(*l));
	int rc = -ENOMEM;

	if (!l)
		return err_sys(err, rc, "look up %s", host);
	(void)snprintf(l->host, sizeof(l->host), "%s", host);
	(void)snprintf(l->port, sizeof(l->port), "%s", port);
	l->users = 2;
	l->done_fd = eventfd(0, EFD_CLOEXEC);
	if (l->done_fd < 0) {
		rc = -errno;
		free(l);
		return err_sys(err, rc, "look up %s", host);
	}
	rc = start(l);
	if (rc < 0)
		leave(l); /* for the thread that is not */
	else
		rc = client_wait(l->done_fd, POLLIN, deadline_ns, stop_fd);
	if (rc < 0) {
		(void)err_sys(err, rc, "look up %s", host);
	} else if (l->rc != 0) {
		err_set(err, "cannot resolve \"%s\": %s", host, gai_strerror(l->rc));
		rc = -EHOSTUNREACH;
	} else {
		*ret = l->list;
		l->list = NULL;
	}
	leave(l);
	return rc;
}

int
client_lookup(const char *host, const char *port, uint64_t deadline_ns, int stop_fd, struct addrinfo **ret,
	struct err *err)
{
	const struct addrinfo address = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};

	if (getaddrinfo(host, port, &address, ret) == 0)
		return 0;
	return by_thread(host, port, deadline_ns, stop_fd, ret, err);
}
