/* SPDX-License-Identifier: MIT
 * client_lookup.h - names to addresses, with a deadline. getaddrinfo() has none and cannot be stopped, so a
 * name is looked up by a thread of its own, which is left behind where it takes too long and frees what it
 * holds when it is done. What is an address already needs no thread. Thread: any. */
#ifndef KIRA_CLIENT_LOOKUP_H
#define KIRA_CLIENT_LOOKUP_H

#include "base/err.h"

#include <netdb.h>
#include <stdint.h>

/* Addresses for TCP, freed by freeaddrinfo(). -ETIMEDOUT; -ECANCELED once `stop_fd` is readable (-1: never);
 * -EHOSTUNREACH: no such name, or the resolver says no. */
int client_lookup(const char *host, const char *port, uint64_t deadline_ns, int stop_fd,
	struct addrinfo **ret, struct err *err);

#endif
