/* SPDX-License-Identifier: MIT
 * eal.h - start DPDK's EAL from what the user meant: a device, CPUs, memory. Once per process.
 * Shared by kirad (dataplane.c) and kira-blast (blast/). */
#ifndef KIRA_DATAPLANE_EAL_H
#define KIRA_DATAPLANE_EAL_H

#include "base/err.h"

#include <stdbool.h>

struct nic_device;

#define EAL_LCORES_MAX 64

struct eal_options {
	const struct nic_device *dev;  /* nic_parse() made it */
	unsigned lcores;               /* lcore i runs on cpu[i]; lcore 0 is the calling thread */
	int cpu[EAL_LCORES_MAX];       /* a CPU may be named more than once: its lcores share it */
	unsigned memory_mib;           /* nic_memory_mib() and what else comes from EAL's heap */
	const char *run_dir;           /* becomes XDG_RUNTIME_DIR; NULL: left as it is */
	const char *extra;             /* options put last on the EAL line, split at blanks; NULL none */
	/* EAL's log line by line, ours about EAL too. On the calling thread while eal_start() runs,
	 * later from eal_log_drain() only. */
	void (*log)(void *arg, bool warn, const char *line);
	void *log_arg;
};

int eal_start(const struct eal_options *o, struct err *err);
void eal_log_drain(void); /* the thread that called eal_start() */
void eal_stop(void);

#endif
