/* SPDX-License-Identifier: MIT
 * hold.c - early batches, kept until the gap before them closes. See hold.h.
 * Thread: the storage lcore that owns the hold. Owns: the lists, and the links inside packets.
 * Never: allocates after hold_open(), looks at a packet's bytes, decides what becomes of one. */
#include "dataplane/hold.h"

#include "base/assert.h"

#include <kira/errors.h>
#include <kira/wire.h>

#include <stddef.h>
#include <stdlib.h>

#define SEQUENCES 0x80000000u        /* 31 bits */
#define HALF      (SEQUENCES / 2)

bool
hold_open(struct hold *h, uint32_t capacity)
{
	uint32_t buckets = 1;

	while (buckets < capacity)
		buckets *= 2;
	*h = (struct hold){.mask = buckets - 1, .capacity = capacity};
	h->list = calloc(capacity, sizeof(*h->list));
	h->bucket = calloc(buckets, sizeof(*h->bucket));
	if (!h->list || !h->bucket) {
		hold_close(h);
		return false;
	}
	for (uint32_t i = 0; i < capacity; i++) {
		h->list[i].chain = h->unused;
		h->unused = &h->list[i];
	}
	return true;
}

void
hold_close(struct hold *h)
{
	free(h->list);
	free(h->bucket);
	h->list = NULL;
	h->bucket = NULL;
}

/* Consecutive ids and addresses at one stride, spread over the upper half. */
static uint64_t
mixed(uint64_t x)
{
	x *= 0x9E3779B97F4A7C15u;
	x ^= x >> 29;
	x *= 0xBF58476D1CE4E5B9u;
	return x ^ x >> 32;
}

static struct hold_list **
bucket_of(const struct hold *h, uint32_t lane, int64_t producer)
{
	return &h->bucket[(mixed((uint64_t)producer + ((uint64_t)lane << 40)) >> 32) & h->mask];
}

struct hold_list *
hold_find(const struct hold *h, uint32_t lane, int64_t producer)
{
	struct hold_list *list = *bucket_of(h, lane, producer);

	while (list && (list->lane != lane || list->producer != producer))
		list = list->chain;
	return list;
}

static void
queue_push(struct hold *h, struct held *b, uint64_t now_ns)
{
	b->since_ns = now_ns;
	b->older = h->newest;
	b->newer = NULL;
	if (h->newest)
		h->newest->newer = b;
	else
		h->oldest = b;
	h->newest = b;
}

static void
queue_take(struct hold *h, struct held *b)
{
	if (b->older)
		b->older->newer = b->newer;
	else
		h->oldest = b->newer;
	if (b->newer)
		b->newer->older = b->older;
	else
		h->newest = b->older;
	b->older = NULL;
	b->newer = NULL;
}

void
hold_owe(struct hold *h, struct hold_list *list)
{
	if (list->owed)
		return;
	list->owed = true;
	list->owed_prev = h->owed_tail;
	list->owed_next = NULL;
	if (h->owed_tail)
		h->owed_tail->owed_next = list;
	else
		h->owed_head = list;
	h->owed_tail = list;
}

static void
settle(struct hold *h, struct hold_list *list)
{
	if (!list->owed)
		return;
	list->owed = false;
	if (list->owed_prev)
		list->owed_prev->owed_next = list->owed_next;
	else
		h->owed_head = list->owed_next;
	if (list->owed_next)
		list->owed_next->owed_prev = list->owed_prev;
	else
		h->owed_tail = list->owed_prev;
}

struct hold_list *
hold_owed(struct hold *h)
{
	struct hold_list *list = h->owed_head;

	if (list)
		settle(h, list);
	return list;
}

static void
list_close(struct hold *h, struct hold_list *list)
{
	struct hold_list **at = bucket_of(h, list->lane, list->producer);

	settle(h, list);
	while (*at != list)
		at = &(*at)->chain;
	*at = list->chain;
	list->chain = h->unused;
	h->unused = list;
}

/* ---- The tree of a list ------------------------------------------------------------------
 * A treap: ordered by sequence, a heap by a number that nobody outside can choose. So a batch finds its
 * place in about 2 log n steps wherever that is: with 5 % of a full window lost, what comes again belongs
 * anywhere among 1,000 held ones. Two links: a third would not fit the packet's private area. */

/* All bits of the address, well mixed: packets lie in a pool at one stride and come in its order, and of a
 * plain product there are strides whose ranks rise with the sequence, a chain instead of a tree. */
static uint32_t
rank_of(const struct held *b)
{
	return (uint32_t)(mixed((uintptr_t)b) >> 32);
}

/* Serial numbers have no order once they lie far apart, and the tree's must hold whatever a producer
 * sends: so all are seen from one point. */
static uint32_t
distance(const struct hold_list *list, int32_t sequence)
{
	return ((uint32_t)sequence - list->base) % SEQUENCES;
}

/* The point follows the lowest, at half the circle below it: no distance passes 0, none changes order. */
static void
follow_head(struct hold_list *list)
{
	const uint32_t head = distance(list, list->head->sequence);

	if (head > HALF)
		list->base += head - HALF;
}

static struct held *
tree_find(const struct hold_list *list, int32_t sequence)
{
	const uint32_t at = distance(list, sequence);
	struct held *b = list->root;

	while (b && b->sequence != sequence)
		b = at < distance(list, b->sequence) ? b->left : b->right;
	return b;
}

/* No batch of this sequence is there. */
static void
tree_add(struct hold_list *list, struct held *b)
{
	const uint32_t at = distance(list, b->sequence);
	struct held **link = &list->root, **below = &b->left, **above = &b->right, *rest;

	while (*link && rank_of(*link) > rank_of(b))
		link = at < distance(list, (*link)->sequence) ? &(*link)->left : &(*link)->right;
	rest = *link;
	*link = b;
	while (rest) { /* what stood here, divided */
		struct held ***side = distance(list, rest->sequence) < at ? &below : &above;

		**side = rest;
		*side = side == &below ? &rest->right : &rest->left;
		rest = **side;
	}
	*below = *above = NULL;
	if (!list->head || at < distance(list, list->head->sequence))
		list->head = b;
	list->n++;
}

static void
tree_take(struct hold_list *list, struct held *b)
{
	const uint32_t at = distance(list, b->sequence);
	struct held **link = &list->root, *left = b->left, *right = b->right;

	while (*link != b)
		link = at < distance(list, (*link)->sequence) ? &(*link)->left : &(*link)->right;
	while (left && right) { /* one again, by rank */
		if (rank_of(left) > rank_of(right)) {
			*link = left;
			link = &left->right;
			left = *link;
		} else {
			*link = right;
			link = &right->left;
			right = *link;
		}
	}
	*link = left ? left : right;
	if (list->head == b)
		for (list->head = list->root; list->head && list->head->left;)
			list->head = list->head->left;
	list->n--;
}

/* ---- Batches come and go ----------------------------------------------------------------- */

void
hold_remove(struct hold *h, struct held *b)
{
	struct hold_list *list = b->list;

	tree_take(list, b);
	b->list = NULL;
	queue_take(h, b);
	h->n--;
	if (list->n == 0)
		list_close(h, list);
}

void
hold_postpone(struct hold *h, struct held *b, uint64_t now_ns)
{
	queue_take(h, b);
	queue_push(h, b, now_ns);
}

static struct hold_list *
list_open(struct hold *h, uint32_t lane, int64_t producer, int16_t epoch, int32_t sequence)
{
	struct hold_list **at = bucket_of(h, lane, producer), *list = h->unused;

	ASSERT(list); /* a list has at least one batch, and h->n < capacity */
	h->unused = list->chain;
	*list = (struct hold_list){.producer = producer, .lane = lane, .epoch = epoch,
		.base = (uint32_t)sequence - HALF, .chain = *at};
	*at = list;
	return list;
}

/* All of an older epoch leave, first to last. */
static void
evict_all(struct hold *h, struct hold_list *list, struct held **evicted)
{
	for (uint32_t n = list->n; n > 0; n--) { /* with the last one the list is gone too */
		struct held *b = list->head;

		hold_remove(h, b);
		*evicted = b;
		evicted = &b->newer;
	}
}

int16_t
hold_insert(struct hold *h, struct held *b, uint32_t lane, int64_t producer, int16_t epoch,
	int32_t sequence, uint64_t now_ns, struct held **evicted, int16_t *evicted_error)
{
	struct hold_list *list = hold_find(h, lane, producer);
	struct held *old;

	*evicted = NULL;
	*evicted_error = 0;
	if (list && epoch < list->epoch)
		return KIRA_E_INVALID_PRODUCER_EPOCH;
	if (list && epoch > list->epoch) {
		evict_all(h, list, evicted);
		*evicted_error = KIRA_E_INVALID_PRODUCER_EPOCH;
		list = NULL;
	}
	if (list && (old = tree_find(list, sequence)) != NULL) {
		/* H6: the client's next session sends it again; the old one's cannot be told. */
		if (list->n == 1)
			list = NULL; /* it goes with its last batch */
		hold_remove(h, old);
		*evicted = old;
		*evicted_error = KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
	}
	if ((list && list->n == KUP_HOLD_MAX) || h->n == h->capacity)
		return KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
	if (!list)
		list = list_open(h, lane, producer, epoch, sequence);
	else
		follow_head(list);
	b->sequence = sequence;
	b->list = list;
	tree_add(list, b);
	h->n++;
	queue_push(h, b, now_ns);
	return 0;
}
