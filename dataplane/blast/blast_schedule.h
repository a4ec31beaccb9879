/* SPDX-License-Identifier: MIT
 * blast_schedule.h - when the next batch is due. Open loop: batch k of a rate limited run is due at
 * start + k x records / rate, whatever happened to those before it, and latency runs from there.
 * Without a rate a batch is due when somebody can send it. Pure. Thread: one caller. */
#ifndef KIRA_BLAST_SCHEDULE_H
#define KIRA_BLAST_SCHEDULE_H

#include "base/clock.h"

#include <stdbool.h>

struct schedule {
	uint64_t start_ns, stop_ns;
	uint64_t rate;           /* records per second; 0: no limit */
	uint64_t batch_records;
	uint64_t batches_max;    /* 0: no limit */
	uint64_t taken;          /* batches */
};

static inline uint64_t
schedule_due(const struct schedule *s)
{
	if (s->rate == 0)
		return s->start_ns;
	/* 128 bits: 10^12 records/s for a day times 10^9 overflows 64. */
	return s->start_ns + (uint64_t)((unsigned __int128)s->taken * s->batch_records * NS_PER_S
		/ s->rate);
}

/* Nothing will ever be due again. */
static inline bool
schedule_over(const struct schedule *s, uint64_t now_ns)
{
	return now_ns >= s->stop_ns || (s->batches_max && s->taken >= s->batches_max);
}

/* Take the next batch if it is due; *sched_ns is when it should have gone. */
static inline bool
schedule_take(struct schedule *s, uint64_t now_ns, uint64_t *sched_ns)
{
	const uint64_t due = schedule_due(s);

	if (schedule_over(s, now_ns) || due > now_ns)
		return false;
	*sched_ns = s->rate ? due : now_ns;
	s->taken++;
	return true;
}

#endif
