/* SPDX-License-Identifier: MIT
 * moved.c - marks of partitions whose end moved. Threads: moved.h. Owns: the two arrays. */
#include "dataplane/moved.h"

#include "base/assert.h"

#include <stdlib.h>

bool
moved_open(struct moved *m, unsigned slots)
{
	const unsigned groups = (slots + MOVED_GROUP - 1) / MOVED_GROUP;

	m->slots = slots;
	m->slot = calloc((size_t)groups * MOVED_GROUP, sizeof(*m->slot));
	m->group = calloc(groups, sizeof(*m->group));
	if (m->slot && m->group)
		return true;
	moved_close(m);
	return false;
}

void
moved_close(struct moved *m)
{
	free(m->slot);
	free(m->group);
	*m = (struct moved){0};
}

unsigned
moved_take(struct moved *m, unsigned *at, uint32_t *ret, unsigned n)
{
	const unsigned groups = (m->slots + MOVED_GROUP - 1) / MOVED_GROUP;
	unsigned got = 0;

	ASSERT(n >= MOVED_GROUP);
	for (unsigned left = groups; left > 0 && n - got >= MOVED_GROUP; left--) {
		const unsigned g = *at < groups ? *at : 0;

		*at = g + 1;
		if (!atomic_load_explicit(&m->group[g], memory_order_relaxed))
			continue;
		/* Cleared before its slots are looked at: a mark that comes meanwhile sets it again. */
		(void)atomic_exchange_explicit(&m->group[g], 0, memory_order_seq_cst);
		for (unsigned i = g * MOVED_GROUP; i < (g + 1) * MOVED_GROUP; i++)
			if (atomic_load_explicit(&m->slot[i], memory_order_relaxed) &&
				atomic_exchange_explicit(&m->slot[i], 0, memory_order_seq_cst)) /* M2 */
				ret[got++] = i;
	}
	return got;
}
