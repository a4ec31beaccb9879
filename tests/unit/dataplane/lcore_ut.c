/* SPDX-License-Identifier: MIT
 * lcore_ut.c - the loop around the turns: who is given something is rung for it. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/unit/dataplane/world.h"

#include "base/bytes.h"
#include "dataplane/lcore.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <poll.h>
#include <pthread.h>
#include <rte_ring_elem.h>
#include <sys/eventfd.h>

#define PATIENCE_MS 10000

static struct lcore_counters counters;
static _Atomic bool stop, watch;
static struct bell control;

static void *
run(void *arg)
{
	(void)lcore_run(arg);
	return NULL;
}

static void
control_hears_of_a_batch_that_ends_in_a_turn_without_work(void)
{
	static uint8_t batch[RB_HEADER + RB_RECORD_MIN];
	struct lcore lc = {.store = &world.store, .storage = &world.storage, .stop = &stop,
		.control = &control, .watch_data = &watch, .gifts = &world.gifts, .count = &counters};
	struct store_msg msg = {.part = &world.part[0], .batch = batch, .length = sizeof(batch),
		.kind = STORE_PRODUCE};
	struct pollfd fd;
	pthread_t thread;
	void *back = NULL;

	put_be32(batch + RB_LENGTH, sizeof(batch) - RB_LENGTH_FROM);
	put_be64(batch + RB_PRODUCER_ID, UINT64_MAX);
	world_begin(64, 0);
	world.part[0].room = 0;
	CU_ASSERT_EQUAL_FATAL(rte_ring_sp_enqueue(world.store.cmd, &msg), 0);
	world_store();
	CU_ASSERT_TRUE(store_waits(&world.store));
	/* Its partition fails: nothing comes in, nothing is worked off, and the batch has ended. */
	fake_fail(&world.part[0]);
	world.gifts = (struct gifts){0};
	control.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	lc.bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bell_sleeps(&control);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run, &lc), 0);
	fd = (struct pollfd){.fd = control.fd, .events = POLLIN};
	CU_ASSERT_EQUAL(poll(&fd, 1, PATIENCE_MS), 1);
	atomic_store(&stop, true);
	(void)pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(rte_ring_sc_dequeue(world.store.cmd_done, &back), 0);
	CU_ASSERT_PTR_EQUAL(back, &msg);
	CU_ASSERT_EQUAL(msg.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(world_end(), 0);
	(void)close(control.fd);
	(void)close(lc.bell.fd);
}

/* A loop that was given `data`, until it has certainly been through a turn. Did it ring? */
static bool
rings_for_data(void)
{
	struct lcore lc = {.store = &world.store, .storage = &world.storage, .stop = &stop,
		.control = &control, .watch_data = &watch, .gifts = &world.gifts, .count = &counters};
	struct pollfd fd;
	pthread_t thread;
	bool rang;

	world.gifts = (struct gifts){.data = true};
	counters = (struct lcore_counters){0};
	atomic_store(&stop, false);
	control.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	lc.bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bell_sleeps(&control);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run, &lc), 0);
	for (unsigned ms = 0; ms < PATIENCE_MS && counter_read(&counters.idle_ns) == 0; ms++)
		(void)poll(NULL, 0, 1); /* booked in the turn after the first */
	CU_ASSERT_TRUE(counter_read(&counters.idle_ns) > 0);
	atomic_store(&stop, true);
	(void)pthread_join(thread, NULL);
	fd = (struct pollfd){.fd = control.fd, .events = POLLIN};
	rang = poll(&fd, 1, 0) == 1;
	(void)close(control.fd);
	(void)close(lc.bell.fd);
	return rang;
}

static void
control_hears_of_new_data_only_while_a_fetch_waits(void)
{
	world_begin(64, 0);
	atomic_store(&watch, true);
	CU_ASSERT_TRUE(rings_for_data());
	atomic_store(&watch, false);
	CU_ASSERT_FALSE(rings_for_data());
	CU_ASSERT_EQUAL(world_end(), 0);
}

static const struct ut_test tests[] = {
	UT("loop", control_hears_of_a_batch_that_ends_in_a_turn_without_work),
	UT("loop", control_hears_of_new_data_only_while_a_fetch_waits),
};

UT_MAIN(tests)
