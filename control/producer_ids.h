/* SPDX-License-Identifier: MIT
 * producer_ids.h - producer ids from blocks that are reserved on disk before use. Control thread. */
#ifndef KIRA_CONTROL_PRODUCER_IDS_H
#define KIRA_CONTROL_PRODUCER_IDS_H

#include "control/wait_list.h"
#include "storage/storage.h"

#include <stdbool.h>

struct control;

struct producer_ids {
	int64_t next, limit;     /* [next, limit) may be given out */
	bool ordered;            /* an operation is under way */
	struct storage_op op;
	struct wait_list waits;  /* requests that found the block empty */
};

void producer_ids_open(struct control *ctl);
/* Order the first block: storage runs. */
void producer_ids_start(struct control *ctl);
/* A fresh id, or -1: none reserved yet, park. */
int64_t producer_ids_take(struct control *ctl);
void producer_ids_reaped(struct control *ctl, struct storage_op *op);

#endif
