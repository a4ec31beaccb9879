/* SPDX-License-Identifier: MIT
 * list_offsets_ut.c - ListOffsets: a partition is looked up once, however often a request names it; no two looks inside
 * batches, which may take long, are made in one turn. */
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <sys/socket.h>
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

/* Both partitions by time, and the end of the first. */
static void
put_by_time(int to)
{
	struct writer *q = world_request(&w, API_LIST_OFFSETS, 1);

	kw_i32(q, -1);
	kw_array(q, 2);
	kw_string(q, "t");
	kw_array(q, 2);
	for (int32_t j = 0; j < 2; j++) {
		kw_i32(q, j);
		kw_i64(q, 1);
	}
	kw_string(q, "ends");
	kw_array(q, 1);
	kw_i32(q, 0);
	kw_i64(q, -1);
	world_put(&w, to);
}

static void
expect_by_time(int of, int16_t second, bool *closed)
{
	r = world_answer(&w, of, closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(kr_array(&r, 2, 1), 2);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 2, 1), 2);
	for (int32_t j = 0; j < 2; j++) {
		CU_ASSERT_EQUAL(kr_i32(&r), j);
		CU_ASSERT_EQUAL(kr_i16(&r), j ? second : 0);
		(void)kr_i64(&r);
		CU_ASSERT_EQUAL(kr_i64(&r), -1);
	}
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	(void)kr_i64(&r);
	CU_ASSERT_EQUAL(kr_i64(&r), 0);
	CU_ASSERT_FALSE(r.bad);
}

static void
two_connections(int *other)
{
	world_open(&w, NULL);
	(void)world_topic(&w, "t", 2);
	(void)world_topic(&w, "ends", 1);
	fd = world_connect(&w);
	*other = world_connect(&w);
	put_by_time(fd);
	put_by_time(*other);
}

static void
one_look_inside_is_made_in_a_turn_by_all_connections_in_line(void)
{
	unsigned looks = 0, work;
	bool closed;
	uint8_t byte;
	int other;

	two_connections(&other);
	do {
		work = world_turn(&w);
		CU_ASSERT_TRUE(fake.find_times <= looks + 1);
		looks = fake.find_times;
		if (looks < 3)
			CU_ASSERT_EQUAL(recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1); /* the other had its turn, too */
	} while (work > 0);
	CU_ASSERT_EQUAL(looks, 4);
	expect_by_time(fd, 0, &closed);
	expect_by_time(other, 0, &closed);
	(void)close(other);
	(void)close(fd);
	world_close(&w);
}

static void
who_is_in_line_may_go_and_so_may_a_topic(void)
{
	struct topic *t;
	bool closed;
	int other;

	two_connections(&other);
	while (fake.find_times < 2)
		(void)world_turn(&w);
	CU_ASSERT_EQUAL(w.ctl->looks.n, 2);
	CU_ASSERT_EQUAL(setsockopt(other, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger)), 0);
	(void)close(other); /* with a reset */
	t = topics_find(w.ctl, (struct view){(const uint8_t *)"t", 1});
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	topics_delete(w.ctl, t);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->looks.n, 0);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 1);
	CU_ASSERT_EQUAL(fake.find_times, 2);
	expect_by_time(fd, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION, &closed);
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("times", a_partition_named_again_is_refused_and_not_looked_up),
	UT("turns", one_look_inside_is_made_in_a_turn_by_all_connections_in_line),
	UT("turns", who_is_in_line_may_go_and_so_may_a_topic),
};

UT_MAIN(tests)
