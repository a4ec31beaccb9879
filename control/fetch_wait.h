/* SPDX-License-Identifier: MIT
 * fetch_wait.h - fetches that wait for data. Control thread. */
#ifndef KIRA_CONTROL_FETCH_WAIT_H
#define KIRA_CONTROL_FETCH_WAIT_H

#include "control/wait_list.h"

struct control;

struct fetch_waits {
	struct wait_list parked;
	uint64_t looked_ns; /* when all were looked at last */
	bool watching;      /* dataplane_watch_data() is on */
	bool due;           /* a doorbell came since */
};

/* A fetch was parked: ring when ends move. Returns true if it must be looked at once more, since
 * what came before the bell was on rang nobody. */
bool fetch_parked(struct control *ctl);
/* The doorbell rang. */
void fetch_rang(struct control *ctl);
/* When the next look is due; UINT64_MAX: none. */
uint64_t fetch_due_ns(const struct control *ctl);
unsigned fetch_turn(struct control *ctl);
/* A topic goes: every parked fetch looks again. */
void fetch_topic_gone(struct control *ctl);

#endif
