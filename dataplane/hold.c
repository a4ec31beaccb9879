/* SPDX-License-Identifier: MIT
 * hold.c - early batches, kept until the gap before them closes. See hold.h.
 * Thread: the storage lcore that owns the hold. Owns: the lists, and the links inside packets.
 * Never: allocates after hold_open(), looks at a packet's bytes, decides what becomes of one. */
#include "dataplane/hold.h"

#include "base/assert.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <kira/wire.h>

#include <stddef.h>
#include <stdlib.h>

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

static struct hold_list **
bucket_of(const struct hold *h, uint32_t lane, int64_t producer)
{
	uint64_t key = (uint64_t)producer * 0x9E3779B97F4A7C15u + lane;

	key ^= key >> 29; /* producer ids are consecutive: spread them, or buckets chain */
	key *= 0xBF58476D1CE4E5B9u;
	return &h->bucket[(key >> 32) & h->mask];
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

static void
list_close(struct hold *h, struct hold_list *list)
{
	struct hold_list **at = bucket_of(h, list->lane, list->producer);

	while (*at != list)
		at = &(*at)->chain;
	*at = list->chain;
	list->chain = h->unused;
	h->unused = list;
}

void
hold_remove(struct hold *h, struct held *b)
{
	struct hold_list *list = b->list;

	if (b->prev)
		b->prev->next = b->next;
	else
		list->head = b->next;
	if (b->next)
		b->next->prev = b->prev;
	else
		list->tail = b->prev;
	b->prev = NULL;
	b->next = NULL;
	b->list = NULL;
	queue_take(h, b);
	h->n--;
	if (--list->n == 0)
		list_close(h, list);
}

void
hold_postpone(struct hold *h, struct held *b, uint64_t now_ns)
{
	queue_take(h, b);
	queue_push(h, b, now_ns);
}

static struct hold_list *
list_open(struct hold *h, uint32_t lane, int64_t producer, int16_t epoch)
{
	struct hold_list **at = bucket_of(h, lane, producer), *list = h->unused;

	ASSERT(list); /* a list has at least one batch, and h->n < capacity */
	h->unused = list->chain;
	*list = (struct hold_list){.producer = producer, .lane = lane, .epoch = epoch, .chain = *at};
	*at = list;
	return list;
}

/* Where a batch goes: behind `after`, NULL for the head. False: further than the walk. */
static bool
find_place(const struct hold_list *list, int32_t sequence, struct held **after)
{
	struct held *b = list->tail;

	/* Mostly the newest: early batches come in order behind one lost. */
	for (unsigned i = 0; i < KUP_HOLD_WALK; i++, b = b->prev) {
		if (!b || !rb_sequence_below(sequence, b->sequence)) {
			*after = b;
			return true;
		}
	}
	b = list->head;
	for (unsigned i = 0; i < KUP_HOLD_WALK && b; i++, b = b->next) {
		if (rb_sequence_below(sequence, b->sequence)) {
			*after = b->prev;
			return true;
		}
	}
	return false;
}

/* All of an older epoch leave, first to last. */
static void
evict_all(struct hold *h, struct hold_list *list, struct held **evicted)
{
	uint32_t n = list->n;
	struct held *b = list->tail;

	while (n-- > 0) {
		struct held *prev = b->prev;

		hold_remove(h, b); /* with the last one the list is gone too */
		b->newer = *evicted;
		*evicted = b;
		b = prev;
	}
}

int16_t
hold_insert(struct hold *h, struct held *b, uint32_t lane, int64_t producer, int16_t epoch,
	int32_t sequence, uint64_t now_ns, struct held **evicted, int16_t *evicted_error)
{
	struct hold_list *list = hold_find(h, lane, producer);
	struct held *after = NULL;

	*evicted = NULL;
	*evicted_error = 0;
	if (list && epoch < list->epoch)
		return KIRA_E_INVALID_PRODUCER_EPOCH;
	if (list && epoch > list->epoch) {
		evict_all(h, list, evicted);
		*evicted_error = KIRA_E_INVALID_PRODUCER_EPOCH;
		list = NULL;
	}
	if (list && !find_place(list, sequence, &after))
		return KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
	if (after && after->sequence == sequence) {
		struct held *old = after;

		/* H6: the client's next session sends it again; the old one's cannot be told. */
		after = old->prev;
		if (list->n == 1)
			list = NULL; /* it goes with its last batch */
		hold_remove(h, old);
		old->newer = NULL;
		*evicted = old;
		*evicted_error = KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
	}
	if ((list && list->n == KUP_HOLD_MAX) || h->n == h->capacity)
		return KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
	if (!list)
		list = list_open(h, lane, producer, epoch);
	b->sequence = sequence;
	b->list = list;
	b->prev = after;
	b->next = after ? after->next : list->head;
	if (b->next)
		b->next->prev = b;
	else
		list->tail = b;
	if (after)
		after->next = b;
	else
		list->head = b;
	list->n++;
	h->n++;
	queue_push(h, b, now_ns);
	return 0;
}
