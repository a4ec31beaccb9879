/* SPDX-License-Identifier: MIT
 * moved_ut.c - marks of partitions that moved: each is taken once, none is lost, few are taken at a time. */
#include "tests/unit/ut.h"

#include "dataplane/moved.h"

#include <pthread.h>

#define SLOTS 1000
#define ROUNDS 200000

static void
each_mark_is_taken_once(void)
{
	uint32_t got[MOVED_GROUP];
	unsigned at = 0;
	struct moved m;

	CU_ASSERT_TRUE_FATAL(moved_open(&m, SLOTS));
	CU_ASSERT_EQUAL(moved_take(&m, &at, got, MOVED_GROUP), 0);
	moved_mark(&m, 3);
	moved_mark(&m, 3);
	moved_mark(&m, SLOTS - 1);
	CU_ASSERT_EQUAL(moved_take(&m, &at, got, MOVED_GROUP), 1);
	CU_ASSERT_EQUAL(got[0], 3);
	CU_ASSERT_EQUAL(moved_take(&m, &at, got, MOVED_GROUP), 1);
	CU_ASSERT_EQUAL(got[0], SLOTS - 1);
	CU_ASSERT_EQUAL(moved_take(&m, &at, got, MOVED_GROUP), 0);
	moved_close(&m);
}

static void
what_does_not_fit_is_taken_next(void)
{
	uint32_t got[2 * MOVED_GROUP];
	bool seen[SLOTS] = {false};
	unsigned n, all = 0, at = 0;
	struct moved m;

	CU_ASSERT_TRUE_FATAL(moved_open(&m, SLOTS));
	for (unsigned i = 0; i < SLOTS; i++)
		moved_mark(&m, i);
	do {
		n = moved_take(&m, &at, got, 2 * MOVED_GROUP);
		for (unsigned i = 0; i < n; i++) {
			CU_ASSERT_FALSE(seen[got[i]]);
			seen[got[i]] = true;
		}
		all += n;
	} while (n > MOVED_GROUP);
	CU_ASSERT_EQUAL(all, SLOTS);
	moved_close(&m);
}

static void
the_first_ones_marked_again_and_again_do_not_keep_back_the_last(void)
{
	uint32_t got[MOVED_GROUP];
	bool last = false;
	unsigned at = 0;
	struct moved m;

	CU_ASSERT_TRUE_FATAL(moved_open(&m, SLOTS));
	moved_mark(&m, SLOTS - 1);
	for (unsigned round = 0; round < SLOTS / MOVED_GROUP + 1; round++) {
		for (unsigned i = 0; i < MOVED_GROUP; i++)
			moved_mark(&m, i);
		for (unsigned n = moved_take(&m, &at, got, MOVED_GROUP), i = 0; i < n; i++)
			last |= got[i] == SLOTS - 1;
	}
	CU_ASSERT_TRUE(last);
	moved_close(&m);
}

/* A lcore raises the ends of two partitions, one far behind the other; who takes the marks must have seen the
 * last end of both when all is done. */
static struct moved shared;
static _Atomic uint32_t end_of[SLOTS];

static void *
lcore(void *arg)
{
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		const unsigned slot = i & 1 ? 5 : 900;

		atomic_store_explicit(&end_of[slot], i, memory_order_release);
		moved_mark(&shared, slot);
	}
	return NULL;
}

static void
no_mark_is_lost_while_another_thread_sets_them(void)
{
	uint32_t got[MOVED_GROUP], seen[SLOTS] = {0};
	pthread_t thread;
	bool over = false;
	unsigned n, at = 0;

	CU_ASSERT_TRUE_FATAL(moved_open(&shared, SLOTS));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, lcore, NULL), 0);
	for (;;) {
		n = moved_take(&shared, &at, got, MOVED_GROUP);
		for (unsigned i = 0; i < n; i++)
			seen[got[i]] = atomic_load_explicit(&end_of[got[i]], memory_order_acquire);
		if (over && n == 0)
			break;
		if (!over && atomic_load_explicit(&end_of[900], memory_order_acquire) == ROUNDS) {
			CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
			over = true;
		}
	}
	CU_ASSERT_EQUAL(seen[900], ROUNDS);
	CU_ASSERT_EQUAL(seen[5], ROUNDS - 1);
	moved_close(&shared);
}

static const struct ut_test tests[] = {
	UT("moved", each_mark_is_taken_once),
	UT("moved", what_does_not_fit_is_taken_next),
	UT("moved", the_first_ones_marked_again_and_again_do_not_keep_back_the_last),
	UT("moved", no_mark_is_lost_while_another_thread_sets_them),
};

UT_MAIN(tests)
