/* SPDX-License-Identifier: MIT
 * disk_watch.h - what storage latches and does not log: failed partitions, a full disk. Control
 * thread. */
#ifndef KIRA_CONTROL_DISK_WATCH_H
#define KIRA_CONTROL_DISK_WATCH_H

#include "control/loop.h"

struct control;

struct disk_watch {
	struct timer timer;
	uint64_t failures;   /* storage_failures() when looked at last */
	uint64_t full;       /* storage's counter disk_full, likewise */
	uint64_t reads;      /* storage's counter read_failures, likewise */
	uint64_t reads_ns;   /* said last; 0: never */
	bool degraded;
	bool said_root;      /* storage_root_failure() was */
	uint64_t full_ns;    /* since when it moves without a pause; 0: it does not */
};

void disk_watch_start(struct control *ctl);

#endif
