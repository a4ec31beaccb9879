/* SPDX-License-Identifier: MIT
 * lcore.h - the loop of a pinned thread: one turn of what it carries, again and again. */
#ifndef KIRA_DATAPLANE_LCORE_H
#define KIRA_DATAPLANE_LCORE_H

#include "dataplane/kira_dpdk_compat.h"

#include "dataplane/bell.h"

#include "base/counter.h"
#include "base/stall.h"

#include <stdint.h>

struct rx_lcore;
struct store_lcore;
struct storage;

struct lcore_counters {
#define COUNTER(name, help) counter name;
#include "dataplane/lcore_counters.def"
#undef COUNTER
};

struct lcore {
	/* Set before the thread starts. */
	struct rx_lcore *rx;               /* NULL: carries none */
	struct store_lcore *store;         /* both: merged, on a small host */
	struct storage *storage;
	const _Atomic bool *stop;
	struct bell bell;                  /* this lcore sleeps on it */
	struct bell *control;
	const _Atomic bool *watch_data;
	struct bell *rx_bell[16], *store_bell[16]; /* those of the lcores that carry them */
	struct gifts *gifts;               /* filled by the turns */
	struct lcore_counters *count;
	struct stall_counters *turn_count; /* of the turns with work; NULL: it carries no storage */
	bool spin;                         /* idle = spin: never sleeps */
	bool shared;                       /* another thread may want this CPU: yield, not pause */
	_Atomic int thread;                /* the kernel's id of it, once it runs; 0 before */
	/* This lcore's alone. */
	uint64_t before_ns;                /* start of the last turn, */
	unsigned before_work;              /* and what it did */
	uint64_t idle_since_ns;
	unsigned empty;                    /* turns without work in a row */
};

/* Until *stop. For rte_eal_remote_launch(). */
int lcore_run(void *lcore);

#endif
