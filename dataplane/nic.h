/* SPDX-License-Identifier: MIT
 * nic.h - devices as the user names them, and ports set up from them. Shared by kirad and
 * kira-blast. Parse, start EAL (eal.h), open; close before eal_stop(). Main thread. */
#ifndef KIRA_DATAPLANE_NIC_H
#define KIRA_DATAPLANE_NIC_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct rte_mempool;

#define NIC_QUEUES_MAX    16
#define NIC_PRIVATE_BYTES 128 /* of each mbuf: struct packet (handoff.h); kira-blast may use it too */
#define NIC_MEMIF_PATH    107 /* bytes, as every UNIX socket path */
#define NIC_CACHE         256 /* mbufs in each thread's pool cache */

enum nic_kind {
	NIC_MEMIF,
	NIC_AFPACKET,
	NIC_AFXDP,
	NIC_TAP,
	NIC_PCAP,
	NIC_NULL,
	NIC_PCI,
};

struct nic_device {
	enum nic_kind kind;
	char name[64];      /* DPDK's name of the port */
	char devargs[512];  /* EAL's --vdev or -a argument */
	char netdev[16];    /* afpacket, afxdp, tap: the kernel's interface */
	char path[NIC_MEMIF_PATH + 1]; /* memif: its socket */
	bool client;        /* memif: the side that connects (kira-blast) */
	uint16_t frame_max; /* bytes of Ethernet frame the device carries */
};

/* memif:PATH[,id=N][,client]  afpacket:IF  afxdp:IF  tap:NAME  pcap:FILE[,loop]  null[:SIZE]
 * 0000:3b:00.0 or 3b:00.0. `client`: what a memif is unless the text says; kirad serves,
 * kira-blast connects. `mtu` sizes memif's buffers. */
int nic_parse(struct nic_device *ret, const char *text, bool client, uint16_t queues, uint16_t mtu,
	struct err *err);

/* memif server, before EAL starts: a socket left by a kill is removed, one that answers is
 * another process's and an error. Other devices: nothing to do. */
int nic_clear_stale(const struct nic_device *dev, struct err *err);

struct nic {
	const struct nic_device *dev;
	uint16_t port, queues;
	uint16_t rx_desc, tx_desc;
	uint16_t mtu;
	int numa_node;
	uint8_t mac[6];
	struct rte_mempool *pool[NIC_QUEUES_MAX];
	unsigned pool_n;             /* mbufs in each */
	/* Checksums the device judged are in the mbuf's flags; these say what software must do. */
	bool sum_ip, sum_udp;        /* verify in software unless the mbuf says good */
	bool partial_sums;           /* virtual netdev: senders leave the UDP sum unfinished */
};

/* Megabytes of EAL memory that nic_open() with the same arguments needs, slack included. */
unsigned nic_memory_mib(const struct nic_device *dev, uint16_t queues, uint16_t mtu,
	unsigned threads);

/* Configure and start the port with `queues` rx and tx queues and a pool per queue. `threads`:
 * how many allocate or free mbufs. */
int nic_open(struct nic *ret, const struct nic_device *dev, uint16_t queues, uint16_t mtu,
	unsigned threads, struct err *err);
bool nic_link(const struct nic *nic);  /* up? memif: a peer is attached */
/* memif client whose server went away: stop and start the port, which makes it connect again.
 * No queue of it may be polled meanwhile. 0, or -errno (try again later). */
int nic_reattach(struct nic *nic);
/* Steer UDP destination port `first` + q to queue q, IPv4 and IPv6. False: the NIC cannot. */
bool nic_steer(const struct nic *nic, uint16_t first);
/* Stops the port. Returns the mbufs still out of the pools: 0, or a leak (on afxdp only one that is
 * larger than what its driver keeps). Frees nothing of EAL's. */
unsigned nic_close(struct nic *nic);

#endif
