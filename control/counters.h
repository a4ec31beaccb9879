/* SPDX-License-Identifier: MIT
 * counters.h - the mapped file of named counters (layout: include/kira/counters.h), and control's
 * own ones. Thread: control makes groups at start; each group is then written by its owner. */
#ifndef KIRA_CONTROL_COUNTERS_H
#define KIRA_CONTROL_COUNTERS_H

#include "base/counter.h"
#include "base/err.h"

/* control_counters.def makes them; written by the control thread alone. */
struct control_counters {
#define COUNTER(name, help) counter name;
#include "control/control_counters.def"
#undef COUNTER
};

struct counters;

/* Make the file in `shm_dir` (normally /dev/shm). */
int counters_open(struct counters **ret, const char *shm_dir, int64_t wall_ms, struct err *err);
/* Make `link_path` a link to it; a file that a killed kirad left behind that link is removed. */
int counters_link(struct counters *cs, const char *link_path, struct err *err);
/* Unmaps, removes link and file. NULL is fine. */
void counters_close(struct counters *cs);

/* `n` zeroed counters of a new group, side by side, on cache lines of their own. When the file is
 * full: counters nobody sees, from the heap. Never NULL. `arg` is the struct counters: the shape
 * that dataplane_options wants. */
counter *counters_group(void *arg, const char *group, const char *const *name, unsigned n);

struct control_counters *counters_control(struct counters *cs);

#endif
