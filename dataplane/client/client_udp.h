/* SPDX-License-Identifier: MIT
 * client_udp.h - a kernel UDP socket that sends and receives datagrams many per system call.
 * Thread: one user at a time. DF is always set; a datagram the kernel does not take counts as lost.
 * Datagrams of about one size may leave as a burst, one buffer that the kernel or the NIC cuts (UDP GSO):
 * shorter ones are padded with zeros, which DATA allows. */
#ifndef KIRA_CLIENT_UDP_H
#define KIRA_CLIENT_UDP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CUDP_BURST 64

struct cudp;

/* Bound to `local` (its port is ignored), not connected yet. */
int cudp_open(struct cudp **ret, const struct sockaddr_storage *local, socklen_t length,
	struct err *err);
void cudp_close(struct cudp *u); /* NULL is fine */
int cudp_connect(struct cudp *u, const struct sockaddr_storage *peer, socklen_t length,
	struct err *err);
uint16_t cudp_port(const struct cudp *u); /* ours, host order */
int cudp_fd(const struct cudp *u);
bool cudp_ipv6(const struct cudp *u);
/* The largest payload our own interface takes towards the peer; 0 unknown. */
uint32_t cudp_payload_max(const struct cudp *u);

/* The bytes must stay until cudp_flush(), which is called by the CUDP_BURST-th. */
void cudp_send(struct cudp *u, const void *p, uint32_t length);
/* The same for one that may be padded: `tx` is its number, one above the one before it. Up to `bursts` of
 * those that wait for the flush may leave whole. */
void cudp_send_data(struct cudp *u, const void *p, uint32_t length, uint32_t tx, unsigned bursts);
void cudp_flush(struct cudp *u);

/* Called from the flush for each burst: the numbers of its datagrams. */
void cudp_on_burst(struct cudp *u, void (*sent)(void *arg, uint32_t first_tx, uint32_t count), void *arg);
/* The kernel takes bursts; false for good once it refused one (no checksum offload on the way). */
bool cudp_takes_bursts(const struct cudp *u);

/* Up to CUDP_BURST datagrams; p[i], length[i] are valid until the next call. */
unsigned cudp_receive(struct cudp *u, const uint8_t **p, uint32_t *length);

/* The address the kernel would send from to reach `peer`. */
int cudp_source(const struct sockaddr_storage *peer, socklen_t length, struct sockaddr_storage *ret);

#endif
