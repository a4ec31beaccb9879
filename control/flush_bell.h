/* SPDX-License-Identifier: MIT
 * flush_bell.h - how the flush daemon, from its own thread, wakes control and the lcores: it granted room, or a commit
 * came. Once per process. */
#ifndef KIRA_CONTROL_FLUSH_BELL_H
#define KIRA_CONTROL_FLUSH_BELL_H

#include "dataplane/dataplane.h"

#include <stdbool.h>

/* For storage_options.granted; any thread, any time. */
void flush_bell_ring(void *arg);
/* Control: whom it rings from now on; NULL nobody. Once this returns, the one before is not touched any more. */
void flush_bell_hang(struct dataplane *dp);
/* Control: has it rung since the last look? Then ends and commits may have moved. */
bool flush_bell_rung(void);

#endif
