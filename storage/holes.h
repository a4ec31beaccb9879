/* SPDX-License-Identifier: MIT
 * holes.h - offsets of a partition that are lost for good: what `kira repair --skip` cut out, or what lay in
 * a file that is missing. A hole lies between two segments, never within one, so each file stays dense. Kept
 * in kira.state (FORMAT.md). Read-only while an engine runs: any thread. Pure. */
#ifndef KIRA_STORAGE_HOLES_H
#define KIRA_STORAGE_HOLES_H

#include <stdbool.h>
#include <stdint.h>

struct hole {
	int64_t from, to; /* from <= lost offset < to */
};

struct holes {
	struct hole *hole; /* rising, and none touches the next */
	unsigned n;
};

/* The offset itself, or the end of the hole that it lies in. */
int64_t holes_after(const struct holes *h, int64_t offset);
/* One more, in any order; what touches or overlaps becomes one. */
void holes_add(struct holes *h, int64_t from, int64_t to);
/* Nothing at or above `end` any more. */
void holes_cut(struct holes *h, int64_t end);
void holes_copy(struct holes *to, const struct holes *from);
void holes_free(struct holes *h);

#endif
