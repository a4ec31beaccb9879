/* SPDX-License-Identifier: MIT
 * roll.h - orders to leave the active segment of partitions that nobody appends to. Control thread. */
#ifndef KIRA_CONTROL_ROLL_H
#define KIRA_CONTROL_ROLL_H

#include "control/loop.h"
#include "dataplane/dataplane.h"

#define ROLLS_MAX 32 /* orders under way; more partitions are due a round later */

struct control;

struct rolls {
	struct timer timer;
	struct store_msg msg[ROLLS_MAX];
	unsigned outstanding;
};

void rolls_start(struct control *ctl);
void rolls_done(struct control *ctl);            /* one order was carried out */
bool rolls_idle(const struct control *ctl);

#endif
