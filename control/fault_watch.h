/* SPDX-License-Identifier: MIT
 * fault_watch.h - page faults of the threads that append, once a second, as counters. Control thread. */
#ifndef KIRA_CONTROL_FAULT_WATCH_H
#define KIRA_CONTROL_FAULT_WATCH_H

#include "control/loop.h"
#include "storage/storage.h"

struct control;

struct fault_counters {
#define COUNTER(name, help) counter name;
#include "control/fault_counters.def"
#undef COUNTER
};

struct fault_watch {
	struct timer timer;
	unsigned lcores;
	struct {
		struct fault_counters *count;
		uint64_t minor, major; /* when first looked at: of the thread's start */
		bool looked;
	} lcore[STORE_LCORES_MAX];
};

/* Groups faults0.. are made; the first look is the zero of the counters. */
void fault_watch_start(struct control *ctl);

/* minflt and majflt of a line of /proc/PID/task/TID/stat. False: it is not one. Pure. */
bool fault_watch_parse(const char *line, uint64_t *minor, uint64_t *major);

#endif
