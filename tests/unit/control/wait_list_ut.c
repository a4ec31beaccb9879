/* SPDX-License-Identifier: MIT
 * wait_list_ut.c - first come first served; who comes back while the list is woken stands behind. */
#include "control/conn.h"

#include "tests/unit/ut.h"

#include <stdlib.h>

#define N 4

static struct conn *conn[N];
static struct wait_list list, other;
static struct conn *woken[16];
static unsigned wakes;
static bool come_back;

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	woken[wakes++] = c;
	if (come_back)
		wait_add(&list, c);
	return SERVED_PARKED;
}

static const struct park park = {again, wait_remove};

static void
set_up(void)
{
	wakes = 0;
	come_back = false;
	list = other = (struct wait_list){0};
	for (unsigned i = 0; i < N; i++) {
		conn[i] = calloc(1, sizeof(*conn[i]));
		CU_ASSERT_PTR_NOT_NULL_FATAL(conn[i]);
		conn[i]->state = CONN_SERVE;
		(void)conn_park(conn[i], &park, NULL, UINT64_MAX);
		wait_add(&list, conn[i]);
	}
}

static void
tear_down(void)
{
	for (unsigned i = 0; i < N; i++)
		free(conn[i]);
}

static void
all_are_woken_in_the_order_they_came(void)
{
	set_up();
	wait_wake(&list, 1, false);
	CU_ASSERT_EQUAL_FATAL(wakes, N);
	for (unsigned i = 0; i < N; i++)
		CU_ASSERT_PTR_EQUAL(woken[i], conn[i]);
	CU_ASSERT_EQUAL(list.n, 0);
	CU_ASSERT_PTR_NULL(list.first);
	CU_ASSERT_PTR_NULL(list.last);
	tear_down();
}

static void
who_comes_back_is_not_woken_twice_in_one_go(void)
{
	set_up();
	come_back = true;
	wait_wake(&list, 1, false);
	CU_ASSERT_EQUAL(wakes, N);
	CU_ASSERT_EQUAL(list.n, N);
	CU_ASSERT_PTR_EQUAL(list.first, conn[0]);
	tear_down();
}

static void
who_leaves_is_not_woken_wherever_it_stood(void)
{
	set_up();
	wait_remove(conn[0]);
	wait_remove(conn[2]);
	wait_remove(conn[3]);
	wait_remove(conn[3]);
	CU_ASSERT_EQUAL(list.n, 1);
	CU_ASSERT_PTR_EQUAL(list.first, conn[1]);
	CU_ASSERT_PTR_EQUAL(list.last, conn[1]);
	wait_wake(&list, 1, false);
	CU_ASSERT_EQUAL(wakes, 1);
	tear_down();
}

static void
a_connection_stands_in_one_list_only(void)
{
	set_up();
	wait_add(&other, conn[1]);
	CU_ASSERT_EQUAL(list.n, N - 1);
	CU_ASSERT_EQUAL(other.n, 1);
	wait_wake(&list, 1, false);
	CU_ASSERT_EQUAL(wakes, N - 1);
	CU_ASSERT_PTR_EQUAL(other.first, conn[1]);
	tear_down();
}

static const struct ut_test tests[] = {
	UT("order", all_are_woken_in_the_order_they_came),
	UT("order", who_comes_back_is_not_woken_twice_in_one_go),
	UT("members", who_leaves_is_not_woken_wherever_it_stood),
	UT("members", a_connection_stands_in_one_list_only),
};

UT_MAIN(tests)
