/* SPDX-License-Identifier: MIT
 * list_offsets_ut.c - ListOffsets: a partition is looked up once, however often a request names it. */
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <unistd.h>

static struct world w;
static struct reader r;
static int fd;

/* `topics` entries of topic t, each naming its partitions 0, 1 and 0 again, for the time 1. */
static void
ask(int32_t topics)
{
	struct writer *q = world_request(&w, API_LIST_OFFSETS, 1);

	kw_i32(q, -1);
	kw_array(q, topics);
	for (int32_t i = 0; i < topics; i++) {
		kw_string(q, "t");
		kw_array(q, 3);
		for (int32_t j = 0; j < 3; j++) {
			kw_i32(q, j % 2);
			kw_i64(q, 1);
		}
	}
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(kr_array(&r, topics, 1), topics);
}

static void
expect_topic(const int16_t error[3])
{
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 3, 1), 3);
	for (int32_t j = 0; j < 3; j++) {
		CU_ASSERT_EQUAL(kr_i32(&r), j % 2);
		CU_ASSERT_EQUAL(kr_i16(&r), error[j]);
		(void)kr_i64(&r);
		CU_ASSERT_EQUAL(kr_i64(&r), -1);
	}
}

static void
a_partition_named_again_is_refused_and_not_looked_up(void)
{
	static const int16_t first[3] = {0, 0, KIRA_E_INVALID_REQUEST};
	static const int16_t later[3] = {KIRA_E_INVALID_REQUEST, KIRA_E_INVALID_REQUEST, KIRA_E_INVALID_REQUEST};

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 2);
	fd = world_connect(&w);
	/* An entry of its own for the same topic changes nothing; the next request begins anew. */
	for (unsigned n = 1; n <= 2; n++) {
		ask(3);
		expect_topic(first);
		expect_topic(later);
		expect_topic(later);
		CU_ASSERT_FALSE(r.bad);
		CU_ASSERT_EQUAL(fake.find_times, 2 * n);
	}
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("times", a_partition_named_again_is_refused_and_not_looked_up),
};

UT_MAIN(tests)
