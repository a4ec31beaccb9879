/* SPDX-License-Identifier: MIT
 * dataplane_private.h - what dataplane_build.c makes and dataplane.c passes messages through. */
#ifndef KIRA_DATAPLANE_DATAPLANE_PRIVATE_H
#define KIRA_DATAPLANE_DATAPLANE_PRIVATE_H

#include "dataplane/dataplane.h"
#include "dataplane/lcore.h"
#include "dataplane/nic_hush.h"
#include "dataplane/rx.h"
#include "dataplane/store.h"

#define CMD_OUT_MAX     1024 /* commands to one storage lcore not yet completed */
#define RX_CMD_OUT_MAX  256
#define LCORES_MAX      (RX_LCORES_MAX + STORE_LCORES_MAX)

/* A flag on a cache line of its own: its lcore sets it, control clears it. */
struct new_data {
	_Alignas(CACHE_LINE) _Atomic bool set;
};

struct dataplane {
	struct dataplane_layout layout;
	struct nic_device dev;
	struct nic nic;
	struct nic_hush hush;
	struct neigh neigh;
	struct storage *storage;
	uint16_t udp_port;
	uint16_t max_frame_payload;        /* MTU as clients see it */
	bool nic_open;
	unsigned credit;                   /* of each queue: C */
	unsigned lcores;                   /* running */
	struct lcore *lcore[LCORES_MAX];
	struct gifts *gifts;               /* [LCORES_MAX] */
	struct rx_lcore *rx[RX_LCORES_MAX];
	struct store_lcore *store[STORE_LCORES_MAX];
	struct new_data *new_data;         /* [STORE_LCORES_MAX] */
	unsigned moved_next, moved_at[STORE_LCORES_MAX]; /* which marks control takes next */
	unsigned cmd_out[STORE_LCORES_MAX], rx_cmd_out[RX_LCORES_MAX];
	counter *own_counters[LCORES_MAX * 4]; /* where options gave no mapped file */
	unsigned own_counters_n;
	struct bell *control;
	_Atomic bool stop, draining, watch_data;
	void (*log)(void *arg, bool warn, const char *line);
	void *log_arg;
};

#endif
