/* SPDX-License-Identifier: MIT
 * delete_records_ut.c - DeleteRecords between a client and the fake storage: each version's answer, each
 * partition's own error, and when the answer comes: with the disk, at the deadline, or to nobody. */
#include "tests/unit/control/world.h"

#include "control/kafka/serve.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <errno.h>
#include <unistd.h>

#define RECORDS 10

static struct world w;
static struct topic *t; /* two partitions of RECORDS each */
static int fd;

struct part {
	const char *topic;
	int32_t partition;
	int64_t offset;         /* asked for; in the answer: the start */
	int16_t error;          /* in the answer */
};

static void
begin(void)
{
	world_open(&w, NULL);
	t = world_topic(&w, "t", 2);
	for (int32_t i = 0; i < 2; i++)
		fake_put(topic_partition(t, i), RECORDS, 200);
	fd = world_connect(&w);
}

static void
end(void)
{
	CU_ASSERT_PTR_NULL(w.ctl->deletions);
	(void)close(fd);
	world_close(&w);
}

static void
ask(int16_t version, const struct part *part, int32_t n, int32_t timeout_ms)
{
	struct writer *q = world_request(&w, API_DELETE_RECORDS, version);

	kw_array(q, n);
	for (int32_t i = 0; i < n; i++) {
		kw_string(q, part[i].topic);
		kw_array(q, 1);
		kw_i32(q, part[i].partition);
		kw_i64(q, part[i].offset);
		kw_tags(q);
		kw_tags(q);
	}
	kw_i32(q, timeout_ms);
	kw_tags(q);
	world_send(&w, fd);
}

static bool
is_answered(struct reader *r)
{
	bool closed;

	*r = world_answer(&w, fd, &closed);
	CU_ASSERT_FALSE(closed);
	return r->p != NULL;
}

/* The answer has come, whole, and says this. */
static void
check(const struct part *want, int32_t n)
{
	struct reader r;

	CU_ASSERT_TRUE_FATAL(is_answered(&r));
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, n, 1), n);
	for (int32_t i = 0; i < n; i++) {
		const struct view name = kr_string(&r);

		CU_ASSERT_TRUE(name.len == strlen(want[i].topic) && memcmp(name.p, want[i].topic, name.len) == 0);
		CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
		CU_ASSERT_EQUAL(kr_i32(&r), want[i].partition);
		CU_ASSERT_EQUAL(kr_i64(&r), want[i].offset);
		CU_ASSERT_EQUAL(kr_i16(&r), want[i].error);
		kr_tags(&r);
		kr_tags(&r);
	}
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
}

static int64_t
start_of(int32_t partition)
{
	struct partition_ends ends;

	storage_ends(topic_partition(t, partition), &ends);
	return ends.start;
}

static void
every_version_moves_the_start(void)
{
	begin();
	for (int16_t version = 0; version <= 2; version++) {
		const struct part p = {"t", 1, 3 + version, 0};

		ask(version, &p, 1, 1000);
		check(&p, 1);
		CU_ASSERT_EQUAL(start_of(1), 3 + version);
	}
	CU_ASSERT_EQUAL(start_of(0), 0);
	end();
}

static void
minus_one_is_everything_and_below_the_start_is_nothing(void)
{
	begin();
	ask(2, &(struct part){"t", 0, -1, 0}, 1, 1000);
	check(&(struct part){"t", 0, RECORDS, 0}, 1);
	CU_ASSERT_EQUAL(start_of(0), RECORDS);
	ask(2, &(struct part){"t", 0, 4, 0}, 1, 1000);
	check(&(struct part){"t", 0, RECORDS, 0}, 1);
	CU_ASSERT_EQUAL(start_of(0), RECORDS);
	end();
}

/* Of a topic that consumers read once it is durable: what they may not read yet they cannot mean. */
static void
only_what_may_be_read_can_be_deleted(void)
{
	begin();
	fake_hide(topic_partition(t, 0), 3);
	ask(2, &(struct part){"t", 0, RECORDS - 2, 0}, 1, 1000);
	check(&(struct part){"t", 0, -1, KIRA_E_OFFSET_OUT_OF_RANGE}, 1);
	ask(2, &(struct part){"t", 0, -1, 0}, 1, 1000);
	check(&(struct part){"t", 0, RECORDS - 3, 0}, 1);
	CU_ASSERT_EQUAL(start_of(0), RECORDS - 3);
	end();
}

static void
what_cannot_be_is_refused_before_the_disk(void)
{
	static const struct { struct part p; int16_t error; } row[] = {
		{{"t", 0, RECORDS + 1, 0}, KIRA_E_OFFSET_OUT_OF_RANGE},
		{{"t", 0, -2, 0}, KIRA_E_OFFSET_OUT_OF_RANGE},
		{{"t", 2, 1, 0}, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION},
		{{"t", -1, 1, 0}, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION},
		{{"none", 0, 1, 0}, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION},
		{{"t", 1, 1, 0}, KIRA_E_KAFKA_STORAGE_ERROR}, /* halted */
	};

	begin();
	fake_set_state(topic_partition(t, 1), PART_HALTED);
	fake.hold_ops = true;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		ask(2, &row[i].p, 1, 1000);
		check(&(struct part){row[i].p.topic, row[i].p.partition, -1, row[i].error}, 1);
	}
	CU_ASSERT_EQUAL(fake.ops, 0);
	CU_ASSERT_TRUE(start_of(0) == 0 && start_of(1) == 0);
	end();
}

static void
the_answer_waits_until_all_of_it_is_durable(void)
{
	const struct part p[] = {{"t", 0, 6, 0}, {"none", 0, 6, 0}, {"t", 1, 7, 0}};
	struct reader r;

	begin();
	fake.hold_ops = true;
	ask(2, p, 3, 1000);
	CU_ASSERT_EQUAL(fake.ops, 2);
	world_pass(&w, 999 * NS_PER_MS);
	CU_ASSERT_FALSE(is_answered(&r));
	fake.hold_ops = false;
	world_run(&w);
	check((const struct part[]){p[0], {"none", 0, -1, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION}, p[2]}, 3);
	end();
}

static void
each_partition_has_its_own_error(void)
{
	static const struct { int rc; int16_t error; } row[] = {
		{-EIO, KIRA_E_KAFKA_STORAGE_ERROR},
		{-ENOENT, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION}, /* deleted meanwhile */
		{-ERANGE, KIRA_E_OFFSET_OUT_OF_RANGE},
	};
	const struct part p[] = {{"t", 0, 6, 0}, {"t", 1, 7, 0}};

	begin();
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		fake.fail_rc = row[i].rc; /* of the first */
		ask(1, p, 2, 1000);
		check((const struct part[]){{"t", 0, -1, row[i].error}, p[1]}, 2);
	}
	CU_ASSERT_TRUE(start_of(0) == 0 && start_of(1) == 7);
	end();
}

static void
at_the_deadline_what_is_not_done_goes_on_unheard(void)
{
	const struct part p[] = {{"t", 0, 6, 0}, {"t", 1, RECORDS + 1, 0}};
	struct reader r;

	begin();
	fake.hold_ops = true;
	ask(2, p, 2, 50);
	world_pass(&w, 50 * NS_PER_MS);
	check((const struct part[]){{"t", 0, -1, KIRA_E_REQUEST_TIMED_OUT}, {"t", 1, -1, KIRA_E_OFFSET_OUT_OF_RANGE}},
		2);
	CU_ASSERT_PTR_NOT_NULL(w.ctl->deletions); /* storage's operation points into it */
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_FALSE(is_answered(&r));
	CU_ASSERT_EQUAL(start_of(0), 6);
	end();
}

static void
a_client_that_goes_leaves_nothing_behind(void)
{
	begin();
	fake.hold_ops = true;
	ask(2, &(struct part){"t", 0, 6, 0}, 1, 1000);
	world_reset(&w, fd);
	CU_ASSERT_PTR_NULL(w.ctl->conns);
	CU_ASSERT_PTR_NOT_NULL(w.ctl->deletions);
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_EQUAL(start_of(0), 6);
	fd = world_connect(&w);
	end();
}

/* Less than no time is none, however little. */
static void
a_deadline_before_now_is_now(void)
{
	begin();
	fake.hold_ops = true;
	ask(2, &(struct part){"t", 0, 6, 0}, 1, INT32_MIN);
	check(&(struct part){"t", 0, -1, KIRA_E_REQUEST_TIMED_OUT}, 1);
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_EQUAL(start_of(0), 6);
	end();
}

/* In any order: a later one that is answered at once, then the older of two that wait. */
static void
deletions_of_several_clients_end_one_by_one(void)
{
	int first, second;

	begin();
	first = fd;
	fake.hold_ops = true;
	ask(2, &(struct part){"t", 0, 6, 0}, 1, 1000);
	fd = second = world_connect(&w);
	ask(2, &(struct part){"t", 0, RECORDS + 1, 0}, 1, 1000);
	check(&(struct part){"t", 0, -1, KIRA_E_OFFSET_OUT_OF_RANGE}, 1);
	CU_ASSERT_PTR_NOT_NULL(w.ctl->deletions);
	fake.give_ops = 1;
	world_run(&w);
	fd = first;
	check(&(struct part){"t", 0, 6, 0}, 1);
	CU_ASSERT_PTR_NULL_FATAL(w.ctl->deletions);
	ask(2, &(struct part){"t", 0, 8, 0}, 1, 1000);
	fd = second;
	ask(2, &(struct part){"t", 1, 7, 0}, 1, 1000);
	fake.give_ops = 1;
	world_run(&w);
	fd = first;
	check(&(struct part){"t", 0, 8, 0}, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w.ctl->deletions);
	fake.hold_ops = false;
	world_run(&w);
	fd = second;
	check(&(struct part){"t", 1, 7, 0}, 1);
	(void)close(first);
	world_run(&w);
	end();
}

/* A stop: storage is closed, and gives back nothing any more. */
static void
what_storage_never_answers_goes_at_the_end(void)
{
	begin();
	fake.hold_ops = true;
	ask(2, &(struct part){"t", 0, 6, 0}, 1, 1000);
	world_reset(&w, fd);
	CU_ASSERT_PTR_NOT_NULL(w.ctl->deletions);
	fake.op_first = fake.op_last = NULL;
	records_close(w.ctl);
	CU_ASSERT_PTR_NULL(w.ctl->deletions);
	fd = world_connect(&w);
	end();
}

static const struct ut_test tests[] = {
	UT("answer", every_version_moves_the_start),
	UT("answer", minus_one_is_everything_and_below_the_start_is_nothing),
	UT("answer", only_what_may_be_read_can_be_deleted),
	UT("answer", what_cannot_be_is_refused_before_the_disk),
	UT("answer", each_partition_has_its_own_error),
	UT("wait", the_answer_waits_until_all_of_it_is_durable),
	UT("wait", at_the_deadline_what_is_not_done_goes_on_unheard),
	UT("wait", a_deadline_before_now_is_now),
	UT("wait", deletions_of_several_clients_end_one_by_one),
	UT("wait", what_storage_never_answers_goes_at_the_end),
	UT("wait", a_client_that_goes_leaves_nothing_behind),
};

UT_MAIN(tests)
