/* SPDX-License-Identifier: MIT
 * client_address.h - from HOST:PORT to an address or a connected socket, with a deadline.
 * Thread: any. */
#ifndef KIRA_CLIENT_ADDRESS_H
#define KIRA_CLIENT_ADDRESS_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* `address` is HOST:PORT, [IPV6]:PORT or HOST; its first address. */
int client_resolve(const char *address, uint16_t port_default, uint64_t deadline_ns, int stop_fd,
	struct sockaddr_storage *ret, socklen_t *length, struct err *err);

/* A nonblocking TCP socket, to the first of its addresses that answers; or -errno. */
int client_connect(const char *address, uint16_t port_default, uint64_t deadline_ns, int stop_fd,
	struct err *err);

/* poll() for `events`: 0 when ready, -ETIMEDOUT, -ECANCELED once `stop_fd` is readable (-1: never), or
 * -errno. */
int client_wait(int fd, short events, uint64_t deadline_ns, int stop_fd);

#endif
