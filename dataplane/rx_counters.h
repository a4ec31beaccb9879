/* SPDX-License-Identifier: MIT
 * rx_counters.h - the counters of one rx lcore, which is their only writer. */
#ifndef KIRA_DATAPLANE_RX_COUNTERS_H
#define KIRA_DATAPLANE_RX_COUNTERS_H

#include "base/counter.h"

struct rx_counters {
#define COUNTER(name, help) counter name;
#include "dataplane/rx_counters.def"
#undef COUNTER
};

#endif
