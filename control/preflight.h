/* SPDX-License-Identifier: MIT
 * preflight.h - what must be right before DPDK starts, which can be done once only. Main. */
#ifndef KIRA_CONTROL_PREFLIGHT_H
#define KIRA_CONTROL_PREFLIGHT_H

#include "base/err.h"
#include "control/config.h"

/* Things judged and made out of the options. */
struct preflight {
	char data_dir[4096];  /* absolute */
	char run_dir[4096];
	char device[4200];    /* never "auto" */
	char address[256];
	char advertised_host[256];
	unsigned short advertised_port;
};

/* Judge options that need a look at the machine; makes the data directory if it is missing. */
int preflight(struct preflight *ret, const struct config *cfg, struct err *err);
/* DATA/run, once storage holds the directory's lock. */
int preflight_run_dir(const struct preflight *pf, struct err *err);

#endif
