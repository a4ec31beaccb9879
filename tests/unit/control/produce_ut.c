/* SPDX-License-Identifier: MIT
 * produce_ut.c - Produce from request to answer: levels, time limits, order through a full ring; and
 * InitProducerId, whose ids are spent on disk before they are given. */
#include "tests/unit/control/world.h"

#include "base/clock.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <sys/socket.h>
#include <unistd.h>

#define BATCH 100

static struct world w;

static void
put_batch(struct writer *q, uint32_t claims)
{
	uint8_t batch[BATCH] = {0};

	put_be32(batch + RB_LENGTH, claims - RB_LENGTH_FROM);
	put_be32(batch + RB_COUNT, 1);
	kw_bytes(q, batch, sizeof(batch));
}

/* A batch to each of `partitions` partitions of topic t. */
static void
produce(int16_t version, int16_t acks, int32_t timeout_ms, int32_t partitions)
{
	struct writer *q = world_request(&w, API_PRODUCE, version);

	kw_string(q, NULL);
	kw_i16(q, acks);
	kw_i32(q, timeout_ms);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, partitions);
	for (int32_t i = 0; i < partitions; i++) {
		kw_i32(q, i);
		put_batch(q, BATCH);
		kw_tags(q);
	}
	kw_tags(q);
	kw_tags(q);
}

struct part {
	int16_t error;
	int64_t base_offset;
};

static struct part
next_part(struct reader *r, int16_t version)
{
	struct part p;

	(void)kr_i32(r);
	p.error = kr_i16(r);
	p.base_offset = kr_i64(r);
	(void)kr_i64(r);
	if (version >= 5)
		(void)kr_i64(r);
	if (version >= 8) {
		CU_ASSERT_EQUAL(kr_array(r, 1, 1), 0);
		CU_ASSERT_EQUAL(kr_string(r).p != NULL, p.error != 0);
	}
	kr_tags(r);
	CU_ASSERT_FALSE(r->bad);
	return p;
}

static struct part
only_part(struct reader r, int16_t version)
{
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	return next_part(&r, version);
}

static bool
answered(int fd, struct part *ret)
{
	bool closed;
	struct reader r = world_answer(&w, fd, &closed);

	CU_ASSERT_FALSE(closed);
	if (r.p)
		*ret = only_part(r, 3);
	return r.p != NULL;
}

static void
every_version_is_answered_with_its_offset(void)
{
	int64_t offset = 0;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	for (int16_t v = 3; v <= 11; v++) {
		struct part p;

		produce(v, 1, 1000, 1);
		p = only_part(world_ask(&w, fd), v);
		CU_ASSERT_EQUAL(p.error, 0);
		CU_ASSERT_EQUAL(p.base_offset, offset++);
	}
	(void)close(fd);
	world_close(&w);
}

static void
acks_all_waits_for_the_disk_and_acks_one_does_not(void)
{
	struct part p;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	fake.hold_commits = true;
	produce(3, 1, 1000, 1);
	CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 3).error, 0);
	CU_ASSERT_EQUAL(fake.wanted_disk, 0);
	produce(3, -1, 1000, 1);
	world_send(&w, fd);
	CU_ASSERT_FALSE(answered(fd, &p));
	CU_ASSERT_EQUAL(fake.wanted_disk, 1);
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_TRUE_FATAL(answered(fd, &p));
	CU_ASSERT_EQUAL(p.error, 0);
	CU_ASSERT_EQUAL(p.base_offset, 1);
	(void)close(fd);
	world_close(&w);
}

static void
a_failed_sync_is_told_apart_from_a_failed_append(void)
{
	struct topic *t;
	struct part p;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	fake.hold_commits = true;
	produce(3, -1, 1000, 1);
	world_send(&w, fd);
	fake_set_state(t->part->part[0], PART_FAILED);
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_TRUE_FATAL(answered(fd, &p));
	CU_ASSERT_EQUAL(p.error, KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
	produce(3, 1, 1000, 1);
	CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 3).error, KIRA_E_KAFKA_STORAGE_ERROR);
	(void)close(fd);
	world_close(&w);
}

static void
over_its_time_limit_a_request_is_answered_seven_and_the_next_waits_for_the_lcore(void)
{
	struct part p;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	w.lazy = true;
	fd = world_connect(&w);
	produce(3, 1, 1000, 1);
	world_send(&w, fd);
	world_pass(&w, 4999 * NS_PER_MS);
	CU_ASSERT_FALSE(answered(fd, &p));
	world_pass(&w, 2 * NS_PER_MS);
	CU_ASSERT_TRUE_FATAL(answered(fd, &p));
	CU_ASSERT_EQUAL(p.error, KIRA_E_REQUEST_TIMED_OUT);
	CU_ASSERT_EQUAL(p.base_offset, -1);
	/* The lcore still reads the body: nothing may overwrite it. */
	produce(3, 1, 1000, 1);
	world_send(&w, fd);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	(void)lcores_store_turn();
	world_run(&w);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	(void)lcores_store_turn();
	world_run(&w);
	CU_ASSERT_TRUE_FATAL(answered(fd, &p));
	CU_ASSERT_EQUAL(p.error, 0);
	CU_ASSERT_EQUAL(p.base_offset, 1);
	(void)close(fd);
	world_close(&w);
}

/* Full disk: the lcore says 56 after a second, and then nothing was stored. 7 would leave that open. */
static void
a_short_time_limit_does_not_hide_what_the_lcore_has_to_say(void)
{
	struct part p;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	w.lazy = true;
	fd = world_connect(&w);
	produce(3, 1, 100, 1);
	world_send(&w, fd);
	world_pass(&w, 1100 * NS_PER_MS);
	CU_ASSERT_FALSE(answered(fd, &p));
	lcores.append_error = KIRA_E_KAFKA_STORAGE_ERROR;
	(void)lcores_store_turn();
	world_run(&w);
	CU_ASSERT_TRUE_FATAL(answered(fd, &p));
	CU_ASSERT_EQUAL(p.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(counter_read(&w.count.produce_timeouts), 0);
	(void)close(fd);
	world_close(&w);
}

static void
the_time_limit_bounds_the_wait_for_the_disk(void)
{
	struct part p;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	fake.hold_commits = true;
	produce(3, -1, 100, 1);
	world_send(&w, fd);
	world_pass(&w, 99 * NS_PER_MS);
	CU_ASSERT_FALSE(answered(fd, &p));
	world_pass(&w, 2 * NS_PER_MS);
	CU_ASSERT_TRUE_FATAL(answered(fd, &p));
	CU_ASSERT_EQUAL(p.error, KIRA_E_REQUEST_TIMED_OUT);
	(void)close(fd);
	world_close(&w);
}

static void
acks_none_is_never_answered_and_an_error_closes(void)
{
	struct part p;
	bool closed;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	produce(3, 0, 1000, 1);
	world_send(&w, fd);
	CU_ASSERT_FALSE(answered(fd, &p));
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 1);
	lcores.append_error = KIRA_E_CORRUPT_MESSAGE;
	world_send(&w, fd);
	(void)world_answer(&w, fd, &closed);
	CU_ASSERT_TRUE(closed);
	(void)close(fd);
	world_close(&w);
}

static void
a_producer_that_sends_and_goes_is_served_to_the_end_of_what_it_sent(void)
{
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	w.lazy = true;
	fd = world_connect(&w);
	for (unsigned i = 0; i < 50; i++) {
		produce(3, 0, 1000, 1);
		world_send(&w, fd);
	}
	(void)close(fd);
	world_run(&w);
	CU_ASSERT_EQUAL(lcores.queued, 1); /* one request at a time */
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 50);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	t = topics_find(w.ctl, (struct view){(const uint8_t *)"t", 1});
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL(storage_bytes(t->part->part[0]), 50 * BATCH);
	world_close(&w);
}

static void
errors_are_per_partition(void)
{
	struct reader r;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 2);
	fd = world_connect(&w);
	produce(3, 1, 1000, 3);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 3, 1), 3);
	CU_ASSERT_EQUAL(next_part(&r, 3).error, 0);
	CU_ASSERT_EQUAL(next_part(&r, 3).error, 0);
	CU_ASSERT_EQUAL(next_part(&r, 3).error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	produce(3, 2, 1000, 1);
	CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 3).error, KIRA_E_INVALID_REQUIRED_ACKS);
	(void)close(fd);
	world_close(&w);
}

static void
records_that_are_no_single_batch_are_refused(void)
{
	static const struct { uint32_t claims; int16_t error; } form[] = {
		{BATCH - 10, KIRA_E_INVALID_RECORD},   /* a second one behind it */
		{20, KIRA_E_CORRUPT_MESSAGE},          /* shorter than its own header */
	};
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	for (unsigned i = 0; i < 2; i++) {
		produce(3, 1, 1000, 1);
		put_be32(w.w.p - BATCH + RB_LENGTH, form[i].claims - RB_LENGTH_FROM);
		CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 3).error, form[i].error);
	}
	(void)close(fd);
	world_close(&w);
}

static void
a_full_ring_keeps_the_order(void)
{
	struct reader r;
	bool closed;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 5);
	w.lazy = true;
	lcores.room = 2;
	fd = world_connect(&w);
	produce(3, 1, 1000, 5);
	world_send(&w, fd);
	CU_ASSERT_EQUAL(lcores.queued, 2);
	CU_ASSERT_TRUE(counter_read(&w.count.produce_ring_full) > 0);
	for (int32_t next = 0; next < 5;) {
		for (unsigned i = 0; i < lcores.queued; i++)
			CU_ASSERT_EQUAL(storage_index(lcores.queue[i]->part), next++);
		CU_ASSERT_FATAL(lcores_store_turn() > 0);
		world_run(&w);
	}
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL(r.p);
	(void)close(fd);
	world_close(&w);
}

/* Room appears, wherever in a turn, and another connection's batch comes before what was kept is given. */
static void
one_comes_while_a_full_ring_keeps_others(unsigned late)
{
	int fd, other;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 5);
	w.lazy = true;
	lcores.room = 2;
	fd = world_connect(&w);
	other = world_connect(&w);
	produce(3, 1, 1000, 5);
	world_send(&w, fd);
	CU_ASSERT_EQUAL(lcores.queued, 2);
	lcores.room = 64;
	lcores.late = late;
	produce(3, 1, 1000, 1);
	world_send(&w, other);
	for (unsigned i = 0; i < late; i++)
		world_pass(&w, NS_PER_MS);
	CU_ASSERT_EQUAL_FATAL(lcores.queued, 6);
	for (int32_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(storage_index(lcores.queue[i]->part), i);
	CU_ASSERT_EQUAL(storage_index(lcores.queue[5]->part), 0);
	(void)lcores_store_turn();
	world_run(&w);
	(void)close(fd);
	(void)close(other);
	world_close(&w);
}

static void
no_command_overtakes_those_that_a_full_ring_keeps(void)
{
	for (unsigned late = 0; late < 6; late++)
		one_comes_while_a_full_ring_keeps_others(late);
}

static void
deleting_the_topic_answers_who_waits_for_its_disk(void)
{
	struct topic *t;
	struct part p;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	fake.hold_commits = true;
	produce(3, -1, 1000, 1);
	world_send(&w, fd);
	topics_delete(w.ctl, t);
	world_run(&w);
	CU_ASSERT_TRUE_FATAL(answered(fd, &p));
	CU_ASSERT_EQUAL(p.error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(fake.partitions, 0);
	(void)close(fd);
	world_close(&w);
}

/* ---- Producer ids ---- */

static struct reader
init_producer_id(int fd, int64_t id, int16_t epoch)
{
	struct writer *q = world_request(&w, API_INIT_PRODUCER_ID, 3);
	bool closed;

	kw_string(q, NULL);
	kw_i32(q, 1000);
	kw_i64(q, id);
	kw_i16(q, epoch);
	kw_tags(q);
	world_send(&w, fd);
	return world_answer(&w, fd, &closed);
}

static void
expect(struct reader r, int16_t error, int64_t id, int16_t epoch)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), error);
	CU_ASSERT_EQUAL(kr_i64(&r), id);
	CU_ASSERT_EQUAL(kr_i16(&r), epoch);
}

static void
no_id_is_given_that_the_disk_does_not_count_as_spent(void)
{
	bool closed;
	int fd;

	world_open(&w, NULL);
	fake.producer_ids = 5000;
	fake.hold_ops = true;
	producer_ids_open(w.ctl);
	producer_ids_start(w.ctl);
	fd = world_connect(&w);
	CU_ASSERT_PTR_NULL(init_producer_id(fd, -1, -1).p);
	CU_ASSERT_EQUAL(fake.ops, 1);
	fake.hold_ops = false;
	world_run(&w);
	expect(world_answer(&w, fd, &closed), 0, 5000, 0);
	for (int64_t id = 5001; id < 9000; id++) {
		struct reader r = init_producer_id(fd, -1, -1);

		CU_ASSERT_FATAL(r.p && fake.producer_ids > id);
		expect(r, 0, id, 0);
	}
	(void)close(fd);
	world_close(&w);
}

static void
a_failed_reservation_is_an_error_and_the_next_request_tries_again(void)
{
	bool closed;
	int fd;

	world_open(&w, NULL);
	fake.hold_ops = true;
	producer_ids_open(w.ctl);
	fd = world_connect(&w);
	fake.fail_rc = -ENOSPC;
	CU_ASSERT_PTR_NULL(init_producer_id(fd, -1, -1).p);
	fake.hold_ops = false;
	world_run(&w);
	expect(world_answer(&w, fd, &closed), KIRA_E_KAFKA_STORAGE_ERROR, -1, -1);
	expect(init_producer_id(fd, -1, -1), 0, 0, 0);
	(void)close(fd);
	world_close(&w);
}

static void
a_known_pair_is_raised_and_half_a_pair_or_a_strange_id_refused(void)
{
	int fd;

	world_open(&w, NULL);
	producer_ids_open(w.ctl);
	fd = world_connect(&w);
	expect(init_producer_id(fd, -1, -1), 0, 0, 0);
	expect(init_producer_id(fd, 0, 0), 0, 0, 1);
	expect(init_producer_id(fd, 0, INT16_MAX), 0, 1, 0);
	expect(init_producer_id(fd, 0, -1), KIRA_E_INVALID_REQUEST, -1, -1);
	expect(init_producer_id(fd, -1, 0), KIRA_E_INVALID_REQUEST, -1, -1);
	expect(init_producer_id(fd, 999999, 0), KIRA_E_INVALID_REQUEST, -1, -1);
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("levels", every_version_is_answered_with_its_offset),
	UT("levels", acks_all_waits_for_the_disk_and_acks_one_does_not),
	UT("levels", a_failed_sync_is_told_apart_from_a_failed_append),
	UT("levels", over_its_time_limit_a_request_is_answered_seven_and_the_next_waits_for_the_lcore),
	UT("levels", a_short_time_limit_does_not_hide_what_the_lcore_has_to_say),
	UT("levels", the_time_limit_bounds_the_wait_for_the_disk),
	UT("levels", acks_none_is_never_answered_and_an_error_closes),
	UT("levels", a_producer_that_sends_and_goes_is_served_to_the_end_of_what_it_sent),
	UT("errors", errors_are_per_partition),
	UT("errors", records_that_are_no_single_batch_are_refused),
	UT("errors", deleting_the_topic_answers_who_waits_for_its_disk),
	UT("order", a_full_ring_keeps_the_order),
	UT("order", no_command_overtakes_those_that_a_full_ring_keeps),
	UT("ids", no_id_is_given_that_the_disk_does_not_count_as_spent),
	UT("ids", a_failed_reservation_is_an_error_and_the_next_request_tries_again),
	UT("ids", a_known_pair_is_raised_and_half_a_pair_or_a_strange_id_refused),
};

UT_MAIN(tests)
