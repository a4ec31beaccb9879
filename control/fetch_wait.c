/* SPDX-License-Identifier: MIT
 * fetch_wait.c - long polls: parked fetches and the bell that wakes them.
 * Thread: control. Owns: the list. Never: polls while nobody waits.
 * Lcores and the flush daemon ring when a published end moved. All parked fetches are then looked
 * at, but not again before a pause that grows with their number: a look costs each of them a few loads
 * per partition asked for, and under load the pause gathers many batches into one answer. */
#include "control/fetch_wait.h"

#include "base/bits.h"
#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"

#define LOOK_EACH_NS 20000            /* so looks take a small share of the thread, however many wait */
#define LOOK_MIN_NS  (NS_PER_MS / 10) /* what a consumer that keeps up waits at most, about */
#define LOOK_MAX_NS  NS_PER_MS

static uint64_t
pause_ns(const struct fetch_waits *fw)
{
	return CLAMP((uint64_t)fw->parked.n * LOOK_EACH_NS, LOOK_MIN_NS, LOOK_MAX_NS);
}

bool
fetch_parked(struct control *ctl)
{
	if (ctl->fetches.watching)
		return false;
	ctl->fetches.watching = true;
	dataplane_watch_data(ctl->dp, true);
	return true;
}

void
fetch_rang(struct control *ctl)
{
	ctl->fetches.due = true;
}

uint64_t
fetch_due_ns(const struct control *ctl)
{
	const struct fetch_waits *fw = &ctl->fetches;

	return fw->due && fw->parked.n > 0 ? fw->looked_ns + pause_ns(fw) : UINT64_MAX;
}

unsigned
fetch_turn(struct control *ctl)
{
	struct fetch_waits *fw = &ctl->fetches;
	const unsigned n = fw->parked.n;

	if (n == 0) {
		if (fw->watching) {
			fw->watching = false;
			dataplane_watch_data(ctl->dp, false);
		}
		fw->due = false;
		return 0;
	}
	if (!fw->due || ctl->now_ns - fw->looked_ns < pause_ns(fw))
		return 0;
	fw->due = false;
	fw->looked_ns = ctl->now_ns;
	counter_add(&ctl->count->fetch_looks, n);
	wait_wake(&fw->parked, ctl->now_ns, false);
	return n - fw->parked.n; /* woken in vain is no work done */
}

void
fetch_topic_gone(struct control *ctl)
{
	/* In the next turn, not here: the caller is a request that uses arena and scratch. */
	ctl->fetches.due = true;
	ctl->fetches.looked_ns = 0;
}
