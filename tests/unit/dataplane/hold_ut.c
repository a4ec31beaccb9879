/* SPDX-License-Identifier: MIT
 * hold_ut.c - early batches: order, expiry, H2, H5, H6, the wrap of the sequence. */
#include "dataplane/hold.h"

#include "base/bits.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <kira/wire.h>

#include <stdlib.h>

#define PRODUCER 4711
#define CAPACITY 2048

static struct hold h;
static struct held b[CAPACITY + 1];
static struct held *evicted;
static int16_t evicted_error;

static void
begin(void)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(b); i++)
		b[i] = (struct held){0};
	CU_ASSERT_TRUE_FATAL(hold_open(&h, CAPACITY));
}

static int16_t
insert(unsigned i, int64_t producer, int16_t epoch, int32_t sequence)
{
	return hold_insert(&h, &b[i], 7, producer, epoch, sequence, i, &evicted, &evicted_error);
}

static void
a_list_is_in_the_order_of_the_sequence(void)
{
	static const int32_t sequence[] = {50, 30, 40, 90, 20, 60};
	int32_t before = 0;
	unsigned n = 0;

	begin();
	for (unsigned i = 0; i < ARRAY_LENGTH(sequence); i++)
		CU_ASSERT_EQUAL(insert(i, PRODUCER, 0, sequence[i]), 0);
	for (struct hold_list *list; (list = hold_find(&h, 7, PRODUCER)) != NULL; n++) {
		CU_ASSERT(list->head->sequence > before);
		before = list->head->sequence;
		hold_remove(&h, list->head);
	}
	CU_ASSERT_EQUAL(n, 6);
	CU_ASSERT_PTR_NULL(hold_find(&h, 8, PRODUCER));
	CU_ASSERT_PTR_NULL(hold_find(&h, 7, PRODUCER + 1));
	hold_close(&h);
}

static void
the_order_goes_on_across_the_wrap(void)
{
	static const unsigned order[] = {1, 2, 0};

	begin();
	CU_ASSERT_EQUAL(insert(0, PRODUCER, 0, 5), 0);
	CU_ASSERT_EQUAL(insert(1, PRODUCER, 0, 0x7ffffff0), 0);
	CU_ASSERT_EQUAL(insert(2, PRODUCER, 0, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_PTR_EQUAL(hold_find(&h, 7, PRODUCER)->head, &b[order[i]]);
		hold_remove(&h, &b[order[i]]);
	}
	hold_close(&h);
}

/* A window that is never empty, more than twice round. */
static void
a_list_that_is_never_empty_stays_in_order_for_ever(void)
{
	const uint32_t step = 0x00300000; /* 512 of them are less than half the circle */
	uint32_t next = 0x7ff00000;

	begin();
	for (unsigned i = 0; i < 300; i++, next += step)
		CU_ASSERT_EQUAL(insert(i, PRODUCER, 0, (int32_t)(next & INT32_MAX)), 0);
	for (unsigned i = 300; i < 3000; i++, next += step) {
		struct held *head = hold_find(&h, 7, PRODUCER)->head;

		CU_ASSERT_PTR_EQUAL_FATAL(head, &b[(i - 300) % 300]);
		hold_remove(&h, head);
		CU_ASSERT_EQUAL(insert(i % 300, PRODUCER, 0, (int32_t)(next & INT32_MAX)), 0);
	}
	hold_close(&h);
}

#define STRIDE_MAX 16384u /* a packet of a pool: at most that far from the next */
#define DEPTH_MAX  48u    /* a tree of 1,024 by chance: 22, one in a thousand above 32 */

static unsigned
depth(const struct held *root)
{
	unsigned left, right;

	if (!root)
		return 0;
	left = depth(root->left);
	right = depth(root->right);
	return 1 + MAX(left, right);
}

/* The packets of a pool lie at one stride, and come in its order as long as the pool is fresh. */
static void
at_any_stride_a_list_is_a_tree_and_no_chain(void)
{
	uint8_t *pool = malloc(KUP_HOLD_MAX * (size_t)STRIDE_MAX);

	CU_ASSERT_PTR_NOT_NULL_FATAL(pool);
	for (uint32_t stride = 64; stride <= STRIDE_MAX; stride += 64) {
		begin();
		for (unsigned i = 0; i < KUP_HOLD_MAX; i++)
			CU_ASSERT_EQUAL(hold_insert(&h, (struct held *)(void *)(pool + i * (size_t)stride), 7,
				PRODUCER, 0, (int32_t)(10 * i), 0, &evicted, &evicted_error), 0);
		CU_ASSERT(depth(hold_find(&h, 7, PRODUCER)->root) <= DEPTH_MAX);
		hold_close(&h);
	}
	free(pool);
}

static uint32_t
draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* Against a plain array: any sequences near each other, and any at all. What is far apart has no order,
 * but each batch is there once and goes when it is asked to. */
static void
whatever_comes_and_goes_the_lowest_is_first(void)
{
	for (unsigned round = 0; round < 20; round++) {
		const uint32_t mask = round % 2 ? INT32_MAX : 0x3ff, from = round * 0x0fffff00;
		uint64_t state = round;

		begin();
		for (unsigned step = 0; step < 4000; step++) {
			const unsigned i = draw(&state) % 256;
			unsigned lowest = 256;

			if (b[i].list) {
				hold_remove(&h, &b[i]);
			} else {
				const uint32_t sequence = (from + (draw(&state) & mask)) & INT32_MAX;

				CU_ASSERT_EQUAL(insert(i, PRODUCER, 0, (int32_t)sequence), 0);
			}
			for (unsigned k = 0; k < 256; k++)
				if (b[k].list && (lowest == 256
						|| rb_sequence_below(b[k].sequence, b[lowest].sequence)))
					lowest = k;
			if (mask == 0x3ff && lowest < 256)
				CU_ASSERT_PTR_EQUAL_FATAL(hold_find(&h, 7, PRODUCER)->head, &b[lowest]);
		}
		while (h.oldest)
			hold_remove(&h, h.oldest);
		CU_ASSERT_EQUAL(h.n, 0);
		hold_close(&h);
	}
}

static void
the_oldest_by_arrival_is_first_to_expire(void)
{
	begin();
	(void)insert(0, PRODUCER, 0, 90);
	(void)insert(1, PRODUCER, 0, 10);
	(void)insert(2, 1, 0, 10);
	CU_ASSERT_PTR_EQUAL(h.oldest, &b[0]);
	hold_postpone(&h, &b[0], 100);
	CU_ASSERT_PTR_EQUAL(h.oldest, &b[1]);
	CU_ASSERT_PTR_EQUAL(h.newest, &b[0]);
	CU_ASSERT_EQUAL(b[0].since_ns, 100);
	hold_remove(&h, &b[1]);
	CU_ASSERT_PTR_EQUAL(h.oldest, &b[2]);
	hold_remove(&h, &b[2]);
	hold_remove(&h, &b[0]);
	CU_ASSERT_PTR_NULL(h.oldest);
	CU_ASSERT_PTR_NULL(h.newest);
	CU_ASSERT_EQUAL(h.n, 0);
	CU_ASSERT_PTR_NULL(hold_find(&h, 7, PRODUCER));
	hold_close(&h);
}

static void
the_same_sequence_again_takes_the_place(void)
{
	begin();
	(void)insert(0, PRODUCER, 0, 10);
	(void)insert(1, PRODUCER, 0, 20);
	CU_ASSERT_EQUAL(insert(2, PRODUCER, 0, 10), 0);
	CU_ASSERT_PTR_EQUAL(evicted, &b[0]);
	CU_ASSERT_PTR_NULL(evicted->newer);
	CU_ASSERT_EQUAL(evicted_error, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_PTR_EQUAL(hold_find(&h, 7, PRODUCER)->head, &b[2]);
	CU_ASSERT_EQUAL(h.n, 2);
	/* The only one of its list, too. */
	(void)insert(3, 1, 0, 10);
	CU_ASSERT_EQUAL(insert(4, 1, 0, 10), 0);
	CU_ASSERT_PTR_EQUAL(evicted, &b[3]);
	CU_ASSERT_PTR_EQUAL(hold_find(&h, 7, 1)->head, &b[4]);
	hold_close(&h);
}

static void
a_newer_epoch_ends_the_older_and_an_older_one_stays_out(void)
{
	unsigned n = 0;

	begin();
	for (unsigned i = 0; i < 5; i++)
		(void)insert(i, PRODUCER, 3, (int32_t)i * 10);
	CU_ASSERT_EQUAL(insert(5, PRODUCER, 2, 70), KIRA_E_INVALID_PRODUCER_EPOCH);
	CU_ASSERT_PTR_NULL(evicted);
	CU_ASSERT_EQUAL(insert(6, PRODUCER, 4, 10), 0);
	CU_ASSERT_EQUAL(evicted_error, KIRA_E_INVALID_PRODUCER_EPOCH);
	for (struct held *at = evicted; at; at = at->newer)
		CU_ASSERT_PTR_EQUAL(at, &b[n++]); /* first to last */
	CU_ASSERT_EQUAL(n, 5);
	CU_ASSERT_EQUAL(h.n, 1);
	hold_close(&h);
}

static void
a_list_takes_1024_and_the_rest_is_45(void)
{
	begin();
	for (unsigned i = 0; i < KUP_HOLD_MAX; i++)
		CU_ASSERT_EQUAL(insert(i, PRODUCER, 0, (int32_t)i * 10), 0);
	CU_ASSERT_EQUAL(insert(KUP_HOLD_MAX, PRODUCER, 0, 99990),
		KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_EQUAL(insert(KUP_HOLD_MAX, 1, 0, 10), 0); /* another list has room */
	hold_close(&h);
}

/* With many losses in a full window what comes again belongs anywhere. */
static void
a_place_deep_inside_a_long_list_is_found(void)
{
	begin();
	for (unsigned i = 0; i < KUP_HOLD_MAX - 1; i++)
		CU_ASSERT_EQUAL(insert(i, PRODUCER, 0, (int32_t)i * 10), 0);
	CU_ASSERT_EQUAL(insert(KUP_HOLD_MAX, PRODUCER, 0, KUP_HOLD_MAX * 5 + 1), 0);
	for (unsigned i = 0; i <= KUP_HOLD_MAX / 2; i++)
		hold_remove(&h, hold_find(&h, 7, PRODUCER)->head);
	CU_ASSERT_PTR_EQUAL(hold_find(&h, 7, PRODUCER)->head, &b[KUP_HOLD_MAX]);
	hold_close(&h);
}

static void
owed_lists_come_in_turn_once_and_those_that_end_are_owed_nothing(void)
{
	struct hold_list *list[4];

	begin();
	for (unsigned i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(insert(i, PRODUCER + i, 0, 10), 0);
		list[i] = hold_find(&h, 7, PRODUCER + i);
		hold_owe(&h, list[i]);
		hold_owe(&h, list[i]);
	}
	CU_ASSERT_PTR_EQUAL(hold_owed(&h), list[0]);
	hold_owe(&h, list[0]); /* again: behind the others */
	hold_remove(&h, &b[2]);
	hold_remove(&h, &b[1]);
	CU_ASSERT_EQUAL(insert(1, PRODUCER + 9, 0, 10), 0); /* a list of before, used again */
	CU_ASSERT_PTR_EQUAL(hold_owed(&h), list[3]);
	CU_ASSERT_PTR_EQUAL(hold_owed(&h), list[0]);
	CU_ASSERT_PTR_NULL(hold_owed(&h));
	hold_close(&h);
}

static void
lists_are_given_back_with_their_last_batch(void)
{
	begin();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < CAPACITY; i++)
			CU_ASSERT_EQUAL(insert(i, i, 0, 10), 0);
		CU_ASSERT_EQUAL(insert(CAPACITY, 99999, 0, 10), KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
		while (h.oldest)
			hold_remove(&h, h.oldest);
	}
	hold_close(&h);
}

static const struct ut_test tests[] = {
	UT("order", a_list_is_in_the_order_of_the_sequence),
	UT("order", the_order_goes_on_across_the_wrap),
	UT("order", a_list_that_is_never_empty_stays_in_order_for_ever),
	UT("order", whatever_comes_and_goes_the_lowest_is_first),
	UT("order", the_oldest_by_arrival_is_first_to_expire),
	UT("evict", the_same_sequence_again_takes_the_place),
	UT("evict", a_newer_epoch_ends_the_older_and_an_older_one_stays_out),
	UT("bounds", a_list_takes_1024_and_the_rest_is_45),
	UT("bounds", at_any_stride_a_list_is_a_tree_and_no_chain),
	UT("bounds", a_place_deep_inside_a_long_list_is_found),
	UT("owed", owed_lists_come_in_turn_once_and_those_that_end_are_owed_nothing),
	UT("bounds", lists_are_given_back_with_their_last_batch),
};
UT_MAIN(tests)
