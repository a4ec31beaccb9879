/* SPDX-License-Identifier: MIT
 * blast_inject.c - the fate of each packet by seed, and the queue of those held back.
 * Thread: one caller. Owns: its counts and its queue, never a packet. */
#include "dataplane/blast/blast_inject.h"

#include "base/assert.h"

#include <string.h>

static uint64_t
threshold(double fraction)
{
	return (uint64_t)(CLAMP(fraction, 0.0, 1.0) * 4294967296.0);
}

void
inject_init(struct inject *in, double loss, double duplicate, double reorder, unsigned depth,
	uint64_t seed)
{
	memset(in, 0, sizeof(*in));
	in->state = seed;
	in->lose = threshold(loss);
	in->twice = threshold(duplicate);
	in->hold = threshold(reorder);
	in->hold_ns = INJECT_HOLD_NS;
	in->depth = CLAMP(depth, 1u, (unsigned)INJECT_DEPTH_MAX);
}

/* Three draws whatever the first says: the fate of packet n depends on the seed and n alone. */
enum inject_fate
inject_judge(struct inject *in)
{
	const bool lose = inject_draw(&in->state) < in->lose, twice = inject_draw(&in->state) < in->twice,
		   hold = inject_draw(&in->state) < in->hold;

	if (lose) {
		in->lost++;
		return INJECT_LOSE;
	}
	if (hold && in->held < INJECT_DEPTH_MAX)
		return INJECT_HOLD;
	in->passed++;
	if (twice) {
		in->doubled++;
		return INJECT_TWICE;
	}
	return INJECT_PASS;
}

void
inject_keep(struct inject *in, void *packet, uint64_t now_ns)
{
	struct inject_held *h = &in->queue[(in->first + in->held) % INJECT_DEPTH_MAX];

	ASSERT(in->held < INJECT_DEPTH_MAX);
	in->held++;
	h->packet = packet;
	h->passed = in->passed;
	h->until_ns = now_ns + in->hold_ns;
}

void *
inject_release(struct inject *in, uint64_t now_ns, bool all)
{
	const struct inject_held *h = &in->queue[in->first];

	if (in->held == 0)
		return NULL;
	if (!all && in->passed - h->passed < in->depth && now_ns < h->until_ns)
		return NULL;
	if (in->passed != h->passed)
		in->reordered++;
	in->first = (in->first + 1) % INJECT_DEPTH_MAX;
	in->held--;
	return h->packet;
}
