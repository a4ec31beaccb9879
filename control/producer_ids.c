/* SPDX-License-Identifier: MIT
 * producer_ids.c - give out producer ids, never one twice, not even after a kill.
 * Thread: control. Owns: the block in use. Never: gives out an id that the disk does not yet count
 * as spent. The next block is ordered while half of the last is left, so nobody waits for it. */
#include "control/producer_ids.h"

#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"
#include "control/log.h"

#define BLOCK 1000

static void
order(struct control *ctl)
{
	struct producer_ids *ids = &ctl->ids;

	if (ids->ordered || ids->limit - ids->next > BLOCK / 2)
		return;
	ids->ordered = true;
	ids->op = (struct storage_op){.kind = OP_PRODUCER_IDS, .producer_ids = ids->limit + BLOCK,
		.owner = ctl};
	storage_submit(ctl->storage, &ids->op);
}

void
producer_ids_open(struct control *ctl)
{
	ctl->ids = (struct producer_ids){0};
	ctl->ids.next = ctl->ids.limit = storage_producer_ids_spent(ctl->storage);
}

void
producer_ids_start(struct control *ctl)
{
	order(ctl);
}

int64_t
producer_ids_take(struct control *ctl)
{
	struct producer_ids *ids = &ctl->ids;
	int64_t id = -1;

	if (ids->next < ids->limit) {
		id = ids->next++;
		counter_add(&ctl->count->producer_ids, 1);
	}
	order(ctl);
	return id;
}

void
producer_ids_reaped(struct control *ctl, struct storage_op *op)
{
	struct producer_ids *ids = &ctl->ids;
	static struct log_limit failed;

	ids->ordered = false;
	if (op->rc == 0)
		ids->limit = op->producer_ids;
	else
		log_limited(&failed, ctl->now_ns, LOG_LEVEL_ERROR, "cannot reserve producer ids: %s",
			op->err.text);
	/* On failure they are answered an error: each looks once more with `deadline` set. */
	wait_wake(&ids->waits, ctl->now_ns, op->rc < 0);
}
