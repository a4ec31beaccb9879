/* SPDX-License-Identifier: MIT
 * blast_port.h - the port of a run, its packets and its injectors. Thread: main. */
#ifndef KIRA_BLAST_PORT_H
#define KIRA_BLAST_PORT_H

#include "dataplane/blast/blast_lcore.h"

/* 0, or -errno: EAL, port, the pool whose packets hold the template, injectors. Once a process. */
int blast_port_open(struct blast *b, struct err *err);
void blast_port_close(struct blast *b);

/* No more frames than these for now. */
static inline bool
port_full(const struct blast *b)
{
	return b->staged >= BLAST_BURST;
}

/* A packet each in spare_data and spare_plain; false: the pools are empty. */
bool port_spares(struct blast *b);

/* Let spare_data or spare_plain go, past the injector. Only while !port_full(). */
void port_data(struct blast *b, uint32_t bytes, uint64_t now_ns);
void port_plain(struct blast *b, uint32_t bytes, uint64_t now_ns);
/* spare_plain, past no injector: ARP, CLOSE. */
void port_plain_surely(struct blast *b, uint32_t bytes);

/* Give the port what it takes; false: it did not take all. */
bool port_flush(struct blast *b);

/* One burst, delivered to its sessions; how many frames it held. */
unsigned port_receive(struct blast *b, uint64_t now_ns);

/* Packets held back that nothing will overtake any more. */
void port_release_late(struct blast *b, uint64_t now_ns);

#endif
