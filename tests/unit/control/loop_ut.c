/* SPDX-License-Identifier: MIT
 * loop_ut.c - timers fire in order; a source that goes during a batch is not called. */
#include "control/loop.h"

#include "tests/unit/ut.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TIMERS 500

static struct timer timer[TIMERS];
static uint64_t last_ns;
static unsigned fired;

static void
fire(struct timer *t, uint64_t now_ns)
{
	CU_ASSERT_TRUE(t->at_ns >= last_ns && t->at_ns <= now_ns);
	last_ns = t->at_ns;
	fired++;
}

static void
timers_fire_in_order_and_disarmed_ones_never(void)
{
	struct loop loop;
	struct err err;
	unsigned seed = 7, off = 0;

	CU_ASSERT_EQUAL_FATAL(loop_open(&loop, &err), 0);
	for (unsigned i = 0; i < TIMERS; i++) {
		timer[i] = (struct timer){.fire = fire};
		loop_arm(&loop, &timer[i], (uint64_t)rand_r(&seed) % 1000);
	}
	for (unsigned i = 0; i < TIMERS; i += 3) {
		loop_disarm(&loop, &timer[i]);
		off++;
	}
	for (unsigned i = 1; i < TIMERS; i += 3)
		loop_arm(&loop, &timer[i], (uint64_t)rand_r(&seed) % 2000);
	for (uint64_t now = 0; now <= 2000; now += 50)
		(void)loop_fire(&loop, now);
	CU_ASSERT_EQUAL(fired, TIMERS - off);
	CU_ASSERT_EQUAL(loop_next_ns(&loop), UINT64_MAX);
	loop_close(&loop);
}

static struct loop loop_now;
static struct source src[2];
static unsigned called;

static void
remove_the_other(struct source *s, uint32_t events, uint64_t now_ns)
{
	struct source *other = s == &src[0] ? &src[1] : &src[0];

	called++;
	(void)loop_watch(&loop_now, other, 0);
}

static uint64_t
no_clock(void)
{
	return 1;
}

static void
a_source_removed_during_a_batch_is_not_called(void)
{
	struct err err;

	CU_ASSERT_EQUAL_FATAL(loop_open(&loop_now, &err), 0);
	for (unsigned i = 0; i < 2; i++) {
		src[i] = (struct source){.fd = eventfd(1, 0), .ready = remove_the_other};
		CU_ASSERT_EQUAL(loop_watch(&loop_now, &src[i], EPOLLIN), 0);
	}
	CU_ASSERT_EQUAL(loop_poll(&loop_now, 0, no_clock), 1);
	CU_ASSERT_EQUAL(called, 1);
	(void)close(src[0].fd);
	(void)close(src[1].fd);
	loop_close(&loop_now);
}

static const struct ut_test tests[] = {
	UT("loop", timers_fire_in_order_and_disarmed_ones_never),
	UT("loop", a_source_removed_during_a_batch_is_not_called),
};
UT_MAIN(tests)
