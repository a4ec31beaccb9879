/* SPDX-License-Identifier: MIT
 * hold.h - early batches, kept until the gap before them closes (PROTOCOL.md, 6). A list per
 * (producer id, partition), ordered by sequence, and one queue of all by arrival, for expiry.
 * Pure: links live in the packet, lists come from an array; no clock, no allocation after
 * hold_open(). Thread: the storage lcore that owns it. */
#ifndef KIRA_DATAPLANE_HOLD_H
#define KIRA_DATAPLANE_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct hold_list;

/* A held batch; in the packet. */
struct held {
	struct held *left, *right;   /* in its list's tree */
	struct held *older, *newer;  /* by arrival; `newer` also chains what an insertion evicts */
	struct hold_list *list;      /* NULL: not held */
	uint64_t since_ns;
	int32_t sequence;
};

struct hold_list {
	int64_t producer;
	uint32_t lane;               /* the partition, as its owner numbers it */
	uint32_t n;
	uint32_t base;               /* sequences are compared by their distance from it */
	int16_t epoch;               /* H5: one per list */
	struct held *root, *head;    /* head: the lowest sequence */
	struct hold_list *chain;     /* same bucket, or the free list */
	struct hold_list *owed_next, *owed_prev; /* on hold.owed_* */
	bool owed;
};

struct hold {
	struct hold_list *list;      /* as many as batches may be held: each list has one */
	struct hold_list **bucket;
	struct hold_list *unused;
	uint32_t mask;
	uint32_t n;                  /* held now */
	uint32_t capacity;
	struct held *oldest, *newest;
	struct hold_list *owed_head, *owed_tail; /* the rest is for a later turn, in turn */
};

/* `capacity`: all credit of all rx queues; H2 keeps the sum below. False: no memory. */
bool hold_open(struct hold *h, uint32_t capacity);
void hold_close(struct hold *h);

/* Keep a batch. 0, or the error that ends the newcomer: 45 (list full), 47 (older epoch than the
 * list's). `evicted`: a chain over `newer` of batches that leave for it, all with `evicted_error`: 45
 * (same sequence again, H6) or 47 (older epoch). */
int16_t hold_insert(struct hold *h, struct held *b, uint32_t lane, int64_t producer, int16_t epoch,
	int32_t sequence, uint64_t now_ns, struct held **evicted, int16_t *evicted_error);

struct hold_list *hold_find(const struct hold *h, uint32_t lane, int64_t producer);
void hold_remove(struct hold *h, struct held *b);

/* The gap before its head may have closed, and there was no time left to look. Once is enough; a list that
 * ends is owed nothing. */
void hold_owe(struct hold *h, struct hold_list *list);
/* The list that is owed longest, and no more from now on; NULL: none. */
struct hold_list *hold_owed(struct hold *h);

/* H4 in WAIT: to the back of the arrival queue, with the time of now. */
void hold_postpone(struct hold *h, struct held *b, uint64_t now_ns);

#endif
