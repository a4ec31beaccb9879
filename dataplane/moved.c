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
moved_take(struct moved *m, uint32_t *ret, unsigned n)
{
	unsigned got = 0;

	ASSERT(n >= MOVED_GROUP);
	for (unsigned first = 0; first < m->slots && n - got >= MOVED_GROUP; first += MOVED_GROUP) {
		_Atomic uint8_t *group = &m->group[first / MOVED_GROUP];

		if (!atomic_load_explicit(group, memory_order_relaxed))
			continue;
		/* Cleared before its slots are looked at: a mark that comes meanwhile sets it again. */
		(void)atomic_exchange_explicit(group, 0, memory_order_seq_cst);
		for (unsigned i = first; i < first + MOVED_GROUP; i++)
			if (atomic_load_explicit(&m->slot[i], memory_order_relaxed) &&
				atomic_exchange_explicit(&m->slot[i], 0, memory_order_seq_cst)) /* M2 */
				ret[got++] = i;
	}
	return got;
}
