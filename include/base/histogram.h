/* SPDX-License-Identifier: MIT
 * histogram.h - values on a log scale, 16 steps per power of two (at most 6.25 % off), fixed size.
 * One writer. Values are whatever unit the owner says; 0..2^40-1, larger ones go to the last slot. */
#ifndef KIRA_BASE_HISTOGRAM_H
#define KIRA_BASE_HISTOGRAM_H

#include "base/bits.h"

#define HIST_STEPS 16
#define HIST_SLOTS (HIST_STEPS * 37)

struct histogram {
	uint64_t slot[HIST_SLOTS];
	uint64_t n, max;
};

static inline unsigned
hist_slot(uint64_t v)
{
	unsigned e;

	if (v < HIST_STEPS)
		return (unsigned)v;
	e = 63u - (unsigned)__builtin_clzll(v); /* >= 4 */
	e = HIST_STEPS * (e - 3) + (unsigned)((v >> (e - 4)) & (HIST_STEPS - 1));
	return MIN(e, (unsigned)HIST_SLOTS - 1);
}

/* The largest value that falls into the slot. */
static inline uint64_t
hist_value(unsigned slot)
{
	unsigned e;

	if (slot < HIST_STEPS)
		return slot;
	e = slot / HIST_STEPS + 3;
	return (((uint64_t)(HIST_STEPS + slot % HIST_STEPS) + 1) << (e - 4)) - 1;
}

static inline void
hist_add(struct histogram *h, uint64_t v)
{
	h->slot[hist_slot(v)]++;
	h->n++;
	h->max = MAX(h->max, v);
}

/* q in 0..1; 0 where nothing was recorded. Never above the largest value seen. */
static inline uint64_t
hist_quantile(const struct histogram *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n + 0.5), seen = 0;

	for (unsigned i = 0; i < HIST_SLOTS; i++) {
		seen += h->slot[i];
		if (seen >= want && seen > 0)
			return MIN(hist_value(i), h->max);
	}
	return h->max;
}

#endif
