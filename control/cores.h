/* SPDX-License-Identifier: MIT
 * cores.h - which CPUs kirad uses, how they lie to NIC and disk. Main, before anything runs. */
#ifndef KIRA_CONTROL_CORES_H
#define KIRA_CONTROL_CORES_H

#include "base/err.h"
#include "dataplane/dataplane.h"

/* "0,2-5", or "" for all that this process may use. */
int cores_read(const char *text, struct cpu_list *ret, struct err *err);
/* Pin the calling thread, and take memory from its node from now on. */
int cores_pin(int cpu, struct err *err);
/* Let the calling thread, and those it makes, run on any of these CPUs. */
int cores_share(const struct cpu_list *cpus, struct err *err);
/* Log the layout, with a warning where NIC, disk and CPUs are on different nodes. `device`: as
 * given to dataplane; `dir`: the data directory. */
void cores_print(const struct dataplane_layout *layout, const char *device, const char *dir);

#endif
