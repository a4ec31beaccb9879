/* SPDX-License-Identifier: MIT
 * holes.c - see the header. A handful of them at most: searched from the end, where readers are. */
#include "storage/holes.h"

#include "base/assert.h"
#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

int64_t
holes_after(const struct holes *h, int64_t offset)
{
	for (unsigned i = h->n; i-- > 0 && h->hole[i].to > offset;)
		if (h->hole[i].from <= offset)
			return h->hole[i].to;
	return offset;
}

void
holes_add(struct holes *h, int64_t from, int64_t to)
{
	unsigned first = 0, behind;

	ASSERT(from < to);
	while (first < h->n && h->hole[first].to < from)
		first++;
	for (behind = first; behind < h->n && h->hole[behind].from <= to; behind++) {
		from = MIN(from, h->hole[behind].from);
		to = MAX(to, h->hole[behind].to);
	}
	/* first..behind-1 become one. */
	h->hole = realloc(h->hole, (h->n + 1) * sizeof(*h->hole));
	ASSERT(h->hole);
	memmove(&h->hole[first + 1], &h->hole[behind], (h->n - behind) * sizeof(*h->hole));
	h->hole[first] = (struct hole){from, to};
	h->n = h->n - (behind - first) + 1;
}

void
holes_cut(struct holes *h, int64_t end)
{
	while (h->n > 0 && h->hole[h->n - 1].from >= end)
		h->n--;
	if (h->n > 0 && h->hole[h->n - 1].to > end)
		h->hole[h->n - 1].to = end;
}

void
holes_copy(struct holes *to, const struct holes *from)
{
	*to = (struct holes){NULL, 0};
	for (unsigned i = 0; i < from->n; i++)
		holes_add(to, from->hole[i].from, from->hole[i].to);
}

void
holes_free(struct holes *h)
{
	free(h->hole);
	*h = (struct holes){NULL, 0};
}
