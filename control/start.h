/* SPDX-License-Identifier: MIT
 * start.h - kirad's parts, wired up and taken down. Main, which is the control thread from then on. */
#ifndef KIRA_CONTROL_START_H
#define KIRA_CONTROL_START_H

#include "base/err.h"
#include "control/control.h"
#include "control/preflight.h"

struct signals {
	struct source src;
	bool stop;                   /* SIGTERM or SIGINT came */
};

/* Zeroed but for `ctl`, the caller's. */
struct parts {
	struct control *ctl;
	struct preflight pf;
	struct cpu_list cpus;
	struct dataplane_layout layout;
	struct signals signals;
	bool storage_open;
};

/* 0: it serves. Negative: -EINVAL for a wrong option, any other for the rest; parts_stop() is left to do. */
int parts_start(struct parts *p, struct err *err);
/* Stops what was started, in the opposite order; the final commit. Returns `code`, or 1 where that failed. */
int parts_stop(struct parts *p, int code);

#endif
