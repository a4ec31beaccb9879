/* SPDX-License-Identifier: MIT
 * blast_inject.h - loses, doubles and delays packets on purpose, by a seeded generator, and counts
 * what it did. One for each direction. Pure: packets are opaque pointers, time is an argument; who
 * copies or frees a packet is the caller's affair. Thread: one caller. */
#ifndef KIRA_BLAST_INJECT_H
#define KIRA_BLAST_INJECT_H

#include "base/bits.h"

#define INJECT_DEPTH_MAX 256
/* A held packet goes on after so long even if nothing overtakes it: the last packets of a run
 * would otherwise wait for ever. Below KUP_PTO_MIN_US, so that it looks like a path, not a loss. */
#define INJECT_HOLD_NS   ((uint64_t)1000000)

/* 32 random bits, by splitmix64 (Steele, Lea, Flood 2014): every seed is good, 0 too. */
static inline uint32_t
inject_draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) >> 32);
}

struct inject_held {
	void *packet;
	uint64_t passed;   /* packets that had gone through when it was held */
	uint64_t until_ns;
};

struct inject {
	uint64_t state;
	uint64_t lose, twice, hold; /* thresholds of a 32 bit draw; 2^32: always */
	uint64_t hold_ns;           /* INJECT_HOLD_NS, unless the caller says otherwise after init */
	unsigned depth, held, first; /* `held` entries from `first` on, in a circle */
	uint64_t passed;
	uint64_t lost, doubled, reordered; /* reordered: was overtaken by at least one packet */
	struct inject_held queue[INJECT_DEPTH_MAX];
};

enum inject_fate { INJECT_PASS, INJECT_LOSE, INJECT_TWICE, INJECT_HOLD };

/* Fractions 0..1; depth 1..INJECT_DEPTH_MAX: how many packets overtake a held one. */
void inject_init(struct inject *in, double loss, double duplicate, double reorder, unsigned depth,
	uint64_t seed);

static inline bool
inject_active(const struct inject *in)
{
	return (in->lose | in->twice | in->hold) != 0;
}

/* What happens to the next packet. HOLD: the caller gives it to inject_keep(). */
enum inject_fate inject_judge(struct inject *in);
void inject_keep(struct inject *in, void *packet, uint64_t now_ns);

/* A held packet whose time has come; NULL: none. Ask after each packet that went through, and
 * once a turn. `all`: whatever is held, for the end of a run. */
void *inject_release(struct inject *in, uint64_t now_ns, bool all);

#endif
