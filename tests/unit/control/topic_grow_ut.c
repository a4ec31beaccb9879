/* SPDX-License-Identifier: MIT
 * topic_grow_ut.c - CreatePartitions: what is refused, the order of steps, and who comes in between. */
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <sys/socket.h>
#include <unistd.h>

static struct world w;

struct wish {
	const char *name;
	int32_t count;
	int32_t assignments; /* -1: null */
	int32_t broker;      /* of each */
	bool validate_only;
};

static void
ask(struct wish a)
{
	struct writer *q = world_request(&w, API_CREATE_PARTITIONS, 3);

	kw_array(q, 1);
	kw_string(q, a.name);
	kw_i32(q, a.count);
	kw_array(q, a.assignments);
	for (int32_t i = 0; i < a.assignments; i++) {
		kw_array(q, 1);
		kw_i32(q, a.broker);
		kw_tags(q);
	}
	kw_tags(q);
	kw_i32(q, 1000);
	kw_bool(q, a.validate_only);
	kw_tags(q);
}

static int16_t
result(struct reader r, const char *name)
{
	struct view v;
	int16_t error;

	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	v = kr_string(&r);
	CU_ASSERT(v.len == strlen(name) && memcmp(v.p, name, v.len) == 0);
	error = kr_i16(&r);
	CU_ASSERT_EQUAL(kr_string(&r).p != NULL, error != 0);
	CU_ASSERT_FALSE(r.bad);
	return error;
}

static int16_t
grow(int fd, struct wish a)
{
	ask(a);
	return result(world_ask(&w, fd), a.name);
}

static bool
unanswered(int fd)
{
	bool closed;

	return world_answer(&w, fd, &closed).p == NULL && !closed;
}

/* The answer that is there now. */
static int16_t
answered(int fd, const char *name)
{
	bool closed;
	struct reader r = world_answer(&w, fd, &closed);

	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	return result(r, name);
}

static void
what_cannot_grow_is_refused_with_its_reason(void)
{
	static const char *const options[] = {"--max-partitions", "10", "--node-id", "1", NULL};
	static const struct { struct wish wish; int16_t error; } row[] = {
		{{"u", 4, -1, 0, false}, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION},
		{{"t", 3, -1, 0, false}, KIRA_E_INVALID_PARTITIONS},
		{{"t", 2, -1, 0, false}, KIRA_E_INVALID_PARTITIONS},
		{{"t", 0, -1, 0, false}, KIRA_E_INVALID_PARTITIONS},
		{{"t", -1, -1, 0, false}, KIRA_E_INVALID_PARTITIONS},
		{{"t", 11, -1, 0, false}, KIRA_E_POLICY_VIOLATION},
		{{"t", INT32_MAX, -1, 0, false}, KIRA_E_POLICY_VIOLATION},
		{{"t", 5, 1, 1, false}, KIRA_E_INVALID_REPLICA_ASSIGNMENT},
		{{"t", 5, 2, 2, false}, KIRA_E_INVALID_REPLICA_ASSIGNMENT},
		{{"t", 5, 0, 1, false}, KIRA_E_INVALID_REPLICA_ASSIGNMENT},
		{{"t", 10, -1, 0, true}, 0},
		{{"t", 5, 2, 1, true}, 0},
	};
	struct topic *t;
	int fd;

	world_open(&w, options);
	t = world_topic(&w, "t", 3);
	fd = world_connect(&w);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		CU_ASSERT_EQUAL(grow(fd, row[i].wish), row[i].error);
	CU_ASSERT_EQUAL(t->partitions, 3); /* validate_only made nothing */
	CU_ASSERT_EQUAL(fake.partitions, 3);
	CU_ASSERT_EQUAL(grow(fd, (struct wish){"t", 10, 7, 1, false}), 0);
	CU_ASSERT_EQUAL(w.ctl->topics.partitions, 10);
	t->internal = true;
	CU_ASSERT_EQUAL(grow(fd, (struct wish){"t", 11, -1, 0, false}), KIRA_E_INVALID_TOPIC_EXCEPTION);
	(void)close(fd);
	world_close(&w);
}

static void
it_is_answered_when_the_disk_and_all_rx_lcores_know(void)
{
	const struct dataplane_topic *old;
	struct partition *first;
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 2);
	old = t->part;
	first = t->part->part[0];
	fd = world_connect(&w);
	w.lazy = true;
	fake.hold_ops = true;
	ask((struct wish){"t", 5, -1, 0, false});
	world_send(&w, fd);
	CU_ASSERT_EQUAL(fake.ops, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, " 5\n"));
	CU_ASSERT_EQUAL(t->partitions, 2); /* nobody sees what is not on disk */
	CU_ASSERT_FALSE(topics_idle(w.ctl));
	CU_ASSERT_TRUE(unanswered(fd));
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_EQUAL(t->partitions, 5);
	CU_ASSERT_PTR_EQUAL(topic_partition(t, 0), first);
	CU_ASSERT_EQUAL(storage_index(topic_partition(t, 4)), 4);
	CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 1);
	CU_ASSERT_EQUAL(lcores.rx[0]->kind, RX_SWAP_TOPIC);
	CU_ASSERT_PTR_EQUAL(lcores.rx[0]->topic[0], old);
	CU_ASSERT_PTR_EQUAL(lcores.rx[0]->topic[1], t->part);
	CU_ASSERT_EQUAL(old->partitions, 2); /* sessions use it until then */
	CU_ASSERT_TRUE(unanswered(fd));
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_EQUAL(answered(fd, "t"), 0);
	CU_ASSERT_PTR_NULL(t->growth);
	CU_ASSERT_TRUE(topics_idle(w.ctl));
	CU_ASSERT_EQUAL(w.ctl->topics.partitions, 5);
	(void)close(fd);
	world_close(&w);
}

static void
a_disk_that_fails_leaves_the_topic_as_it_was(void)
{
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 2);
	fd = world_connect(&w);
	fake.fail_rc = -ENOSPC;
	CU_ASSERT_EQUAL(grow(fd, (struct wish){"t", 5, -1, 0, false}), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(t->partitions, 2);
	CU_ASSERT_EQUAL(w.ctl->topics.partitions, 2);
	CU_ASSERT_EQUAL(grow(fd, (struct wish){"t", 5, -1, 0, false}), 0);
	CU_ASSERT_EQUAL(t->partitions, 5);
	(void)close(fd);
	world_close(&w);
}

static void
two_requests_for_one_topic_come_one_after_the_other(void)
{
	struct topic *t;
	int one, two;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	one = world_connect(&w);
	two = world_connect(&w);
	fake.hold_ops = true;
	ask((struct wish){"t", 4, -1, 0, false});
	world_send(&w, one);
	ask((struct wish){"t", 3, -1, 0, false});
	world_send(&w, two);
	CU_ASSERT_EQUAL(fake.ops, 1);
	CU_ASSERT_TRUE(unanswered(two));
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_EQUAL(answered(one, "t"), 0);
	CU_ASSERT_EQUAL(answered(two, "t"), KIRA_E_INVALID_PARTITIONS);
	CU_ASSERT_EQUAL(t->partitions, 4);
	(void)close(one);
	(void)close(two);
	world_close(&w);
}

static void
a_deletion_waits_for_a_growth_and_takes_what_it_made(void)
{
	int one, two;
	bool closed;

	for (int rc = 0; rc >= -ENOSPC; rc -= ENOSPC) {
		struct writer *q;

		world_open(&w, NULL);
		(void)world_topic(&w, "t", 1);
		one = world_connect(&w);
		two = world_connect(&w);
		fake.hold_ops = true;
		ask((struct wish){"t", 4, -1, 0, false});
		world_send(&w, one);
		q = world_request(&w, API_DELETE_TOPICS, 1);
		kw_array(q, 1);
		kw_string(q, "t");
		kw_i32(q, 1000);
		world_send(&w, two);
		CU_ASSERT_EQUAL(fake.ops, 1);
		CU_ASSERT_EQUAL(fake.partitions, 1);
		fake.fail_rc = rc;
		fake.hold_ops = false;
		world_run(&w);
		CU_ASSERT_EQUAL(fake.partitions, 0);
		CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
		CU_ASSERT_EQUAL(w.ctl->topics.partitions, 0);
		CU_ASSERT_PTR_NOT_NULL(world_answer(&w, two, &closed).p);
		w.request[5] = API_CREATE_PARTITIONS; /* what the next answer is read as: flexible */
		w.w.flexible = true;
		CU_ASSERT_EQUAL(answered(one, "t"), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
		(void)close(one);
		(void)close(two);
		world_close(&w);
	}
}

static void
who_does_not_wait_for_it_does_not_stop_it(void)
{
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	fake.hold_ops = true;
	ask((struct wish){"t", 4, -1, 0, false});
	world_send(&w, fd);
	world_reset(&w, fd);
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_EQUAL(t->partitions, 4);
	CU_ASSERT_EQUAL(t->waiters, 0);
	world_close(&w);
}

/* Else a kill between the two would leave its directories without an owner. */
static void
a_topic_is_in_the_catalogue_until_its_own_deletion_takes_it_out(void)
{
	struct topic *t;
	struct writer *q;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	w.lazy = true;
	q = world_request(&w, API_DELETE_TOPICS, 1);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_i32(q, 1000);
	world_send(&w, fd);
	CU_ASSERT_EQUAL(t->state, TOPIC_DELETING); /* the lcores are not asked yet */
	(void)world_topic(&w, "other", 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nt t "));
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_PTR_NULL(strstr(fake.catalogue, "\nt t "));
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nt other "));
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("grow", what_cannot_grow_is_refused_with_its_reason),
	UT("grow", it_is_answered_when_the_disk_and_all_rx_lcores_know),
	UT("grow", a_disk_that_fails_leaves_the_topic_as_it_was),
	UT("grow", two_requests_for_one_topic_come_one_after_the_other),
	UT("grow", a_deletion_waits_for_a_growth_and_takes_what_it_made),
	UT("grow", who_does_not_wait_for_it_does_not_stop_it),
	UT("catalogue", a_topic_is_in_the_catalogue_until_its_own_deletion_takes_it_out),
};

UT_MAIN(tests)
