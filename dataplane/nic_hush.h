/* SPDX-License-Identifier: MIT
 * nic_hush.h - on afpacket the kernel gets its own copy of every frame. Sockets bound to our UDP
 * ports, with a filter that drops everything, keep it from answering "port unreachable". */
#ifndef KIRA_DATAPLANE_NIC_HUSH_H
#define KIRA_DATAPLANE_NIC_HUSH_H

#include "base/err.h"
#include "dataplane/neigh.h"

#define NIC_HUSH_MAX 128

struct nic_hush {
	unsigned n;
	int fd[NIC_HUSH_MAX];
};

/* Ports first .. first + n - 1 of every address. Main thread. */
int nic_hush_open(struct nic_hush *ret, const struct neigh *addresses, uint16_t first, unsigned n,
	struct err *err);
void nic_hush_close(struct nic_hush *h);

#endif
