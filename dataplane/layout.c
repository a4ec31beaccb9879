/* SPDX-License-Identifier: MIT
 * layout.c - which thread on which CPU, from the list the user gave. Pure.
 * The table is CORES.md's. */
#include "dataplane/dataplane.h"

#include "base/bits.h"

#include <errno.h>

#define CPUS_MERGED_BELOW 4  /* fewer: rx and storage share one lcore */
#define CPUS_PER_RX       16 /* one rx lcore carries 22-28 Mpps (estimate): more only on large hosts */

int
dataplane_layout(const struct cpu_list *cpus, struct dataplane_layout *ret, struct err *err)
{
	struct dataplane_layout l = {0};
	unsigned next;

	if (cpus->n == 0 || cpus->n > ARRAY_LENGTH(cpus->cpu)) {
		err_set(err, "cpus: name 1 to %zu, e.g. --cpus 0,1", ARRAY_LENGTH(cpus->cpu));
		return -EINVAL;
	}
	l.control_cpu = cpus->cpu[0];
	if (cpus->n < CPUS_MERGED_BELOW) {
		/* The lcore gets the last CPU to itself; flush its own from three on: faulting in
		 * ahead is the dearest work outside the lcore. */
		l.merged = true;
		l.rx = 1;
		l.store = 1;
		l.rx_cpu[0] = cpus->cpu[cpus->n - 1];
		l.store_cpu[0] = l.rx_cpu[0];
		l.flush_cpu = cpus->cpu[cpus->n == 3 ? 1 : 0];
		*ret = l;
		return 0;
	}
	l.flush_cpu = cpus->cpu[1];
	l.rx = CLAMP(cpus->n / CPUS_PER_RX, 1u, (unsigned)RX_LCORES_MAX);
	l.store = cpus->n < 6 ? 1 : cpus->n < 8 ? 2 : cpus->n - 2 - l.rx;
	l.store = MIN(l.store, (unsigned)STORE_LCORES_MAX);
	next = 2;
	for (unsigned i = 0; i < l.rx; i++)
		l.rx_cpu[i] = cpus->cpu[next++];
	for (unsigned i = 0; i < l.store; i++)
		l.store_cpu[i] = cpus->cpu[next++];
	*ret = l;
	return 0;
}
