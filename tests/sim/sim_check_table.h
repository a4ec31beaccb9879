/* SPDX-License-Identifier: MIT
 * sim_check_table.h - sim_check's tables: rows by number, and a set of rows by key. They lie in a file
 * without a name that is mapped, so that the kernel may write out what is not in use: a history may be
 * larger than memory. Thread: main. */
#ifndef KIRA_TESTS_SIM_CHECK_TABLE_H
#define KIRA_TESTS_SIM_CHECK_TABLE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define ROWS_CHUNK 4096

struct arena {
	uint8_t *at;
	uint64_t used, size;
};

/* The file lies in `dir`; NULL: /var/tmp. */
int arena_open(struct arena *a, const char *dir, struct err *err);
void arena_close(struct arena *a);

/* Rows 0, 1, 2 ..; one that was never asked for is all zero. */
struct rows {
	size_t row;      /* bytes */
	void **chunk;
	uint64_t chunks;
};
/* NULL: the number is absurd, or there is no space. */
void *rows_at(struct rows *r, struct arena *a, int64_t number);
/* NULL: never asked for. */
void *rows_find(const struct rows *r, int64_t number);
void rows_free(struct rows *r);

/* What was read, by place. */
struct seen {
	int64_t offset;
	int32_t leader;
	uint32_t part, unit_stream; /* + 1; 0: a free slot */
	uint32_t line;
	int64_t sequence;
	uint64_t hash;
};
struct seen_set {
	struct seen *slot;
	uint64_t slots, n;
};
/* The one of this (part, leader, offset), or a free slot to be filled, then counted in set->n. NULL: no
 * space. */
struct seen *seen_slot(struct seen_set *set, struct arena *a, unsigned part, int32_t leader,
	int64_t offset);

#endif
