/* SPDX-License-Identifier: MIT
 * roll.c - an append rolls a segment that is older than segment.ms; a partition without appends
 * would keep its last segment, and with it records past retention.ms, for ever. So every few
 * seconds those that are due are told to roll.
 * Thread: control. Owns: the orders. Never: rolls; the storage lcore does. */
#include "control/roll.h"

#include "base/clock.h"
#include "control/control.h"

#define ROUND_NS (5 * NS_PER_S)

static void
order(struct control *ctl, struct partition *part)
{
	struct store_msg *msg = &ctl->rolls.msg[ctl->rolls.outstanding++];

	*msg = (struct store_msg){.kind = STORE_ROLL, .part = part};
	produce_give(ctl, msg);
}

static void
look(struct control *ctl, uint64_t now_ns)
{
	for (struct topic *t = ctl->topics.first; t; t = t->next) {
		if (t->state != TOPIC_LIVE)
			continue;
		for (int32_t i = 0; i < t->partitions; i++) {
			if (ctl->rolls.outstanding == ROLLS_MAX)
				return;
			if (storage_roll_due(t->part->part[i], now_ns))
				order(ctl, t->part->part[i]);
		}
	}
}

static void
fire(struct timer *t, uint64_t now_ns)
{
	struct rolls *r = (struct rolls *)((char *)t - offsetof(struct rolls, timer));
	struct control *ctl = (struct control *)((char *)r - offsetof(struct control, rolls));

	/* The last round's orders are back: their messages are free again. */
	if (r->outstanding == 0 && !ctl->stopping)
		look(ctl, now_ns);
	loop_arm(&ctl->loop, t, now_ns + ROUND_NS);
}

void
rolls_start(struct control *ctl)
{
	ctl->rolls.timer.fire = fire;
	loop_arm(&ctl->loop, &ctl->rolls.timer, ctl->now_ns + ROUND_NS);
}

void
rolls_done(struct control *ctl)
{
	ctl->rolls.outstanding--;
}

bool
rolls_idle(const struct control *ctl)
{
	return ctl->rolls.outstanding == 0;
}
