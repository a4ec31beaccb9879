/* SPDX-License-Identifier: MIT
 * fetch_ut.c - Fetch: long poll, limits, errors, and the way out by sendfile to a slow reader. */
#include "tests/unit/control/world.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 1000

static struct world w;

struct ask {
	int32_t max_wait_ms, min_bytes, max_bytes, partition_max;
	int32_t replica, session_id, session_epoch;
	int64_t offset[2];         /* of partitions 0 and 1 */
	int32_t partitions;
};

static struct ask
plain(int64_t offset)
{
	return (struct ask){.max_wait_ms = 500, .min_bytes = 1, .max_bytes = 1 << 20,
		.partition_max = 1 << 20, .replica = -1, .session_epoch = -1,
		.offset = {offset, offset}, .partitions = 1};
}

/* As a request names it: by name, from 13 on by id; an unknown one by 16 times its first letter. */
static void
kw_topic(struct writer *q, int16_t version, const char *name)
{
	const struct topic *t = topics_find(w.ctl, view_text(name));

	if (version < 13)
		kw_string(q, name);
	for (unsigned i = 0; version >= 13 && i < UUID_BYTES; i++)
		kw_i8(q, t ? (int8_t)t->id[i] : name[0]);
}

static void
fetch(int16_t version, const char *topic, struct ask a)
{
	struct writer *q = world_request(&w, API_FETCH, version);

	if (version < 15)
		kw_i32(q, a.replica);
	kw_i32(q, a.max_wait_ms);
	kw_i32(q, a.min_bytes);
	kw_i32(q, a.max_bytes);
	kw_i8(q, 0);
	if (version >= 7) {
		kw_i32(q, a.session_id);
		kw_i32(q, a.session_epoch);
	}
	kw_array(q, 1);
	kw_topic(q, version, topic);
	kw_array(q, a.partitions);
	for (int32_t i = 0; i < a.partitions; i++) {
		kw_i32(q, i);
		if (version >= 9)
			kw_i32(q, -1);
		kw_i64(q, a.offset[i]);
		if (version >= 12)
			kw_i32(q, -1);
		if (version >= 5)
			kw_i64(q, -1);
		kw_i32(q, a.partition_max);
		kw_tags(q);
	}
	kw_tags(q);
	if (version >= 7)
		kw_array(q, 0);
	if (version >= 11)
		kw_string(q, "");
	if (version < 15 || a.replica < 0) {
		kw_tags(q);
		return;
	}
	kw_uvarint(q, 1); /* one tag: */
	kw_uvarint(q, 1); /* 1, replicaState */
	kw_uvarint(q, 13);
	kw_i32(q, a.replica);
	kw_i64(q, -1);
	kw_tags(q);
}

struct part {
	int16_t error;
	int64_t high, start;
	struct view records;
};

/* The answer's head down to the partitions; their number. */
static int32_t
head(struct reader *r, int16_t version, int16_t *error)
{
	*error = 0;
	(void)kr_i32(r);
	if (version >= 7) {
		*error = kr_i16(r);
		CU_ASSERT_EQUAL(kr_i32(r), 0);
	}
	if (kr_array(r, 10, 1) < 1)
		return 0;
	if (version >= 13)
		(void)kr_take(r, UUID_BYTES);
	else
		(void)kr_string(r);
	return kr_array(r, 10, 1);
}

static struct part
next_part(struct reader *r, int16_t version)
{
	struct part p;

	(void)kr_i32(r);
	p.error = kr_i16(r);
	p.high = kr_i64(r);
	CU_ASSERT_EQUAL(kr_i64(r), p.high);
	p.start = version >= 5 ? kr_i64(r) : -1;
	CU_ASSERT_EQUAL(kr_array(r, 10, 1), -1);
	if (version >= 11)
		CU_ASSERT_EQUAL(kr_i32(r), -1);
	p.records = kr_bytes(r);
	kr_tags(r);
	CU_ASSERT_FALSE(r->bad);
	return p;
}

static struct part
only_part(struct reader r, int16_t version)
{
	int16_t error;

	CU_ASSERT_EQUAL_FATAL(head(&r, version, &error), 1);
	CU_ASSERT_EQUAL(error, 0);
	return next_part(&r, version);
}

static void
what_is_there_comes_at_once_in_every_version(void)
{
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fake_put(t->part->part[0], 3, BATCH);
	fake_put(t->part->part[0], 2, BATCH + 1);
	fd = world_connect(&w);
	for (int16_t v = 4; v <= 17; v++) {
		struct part p;

		/* From within the first batch: it comes whole. */
		fetch(v, "t", plain(1));
		p = only_part(world_ask(&w, fd), v);
		CU_ASSERT_EQUAL(p.error, 0);
		CU_ASSERT_EQUAL(p.high, 5);
		CU_ASSERT_EQUAL(p.records.len, 2 * BATCH + 1);
		CU_ASSERT_EQUAL(get_be64(p.records.p), 0);
		CU_ASSERT_EQUAL(get_be64(p.records.p + BATCH), 3);
	}
	CU_ASSERT_EQUAL(counter_read(&w.count.sendfile_bytes), 14 * (2 * BATCH + 1));
	CU_ASSERT_EQUAL(counter_read(&w.count.fetches_parked), 0);
	(void)close(fd);
	world_close(&w);
}

static void
a_fetch_at_the_end_waits_for_data_and_no_longer(void)
{
	struct reader r;
	struct topic *t;
	struct part p;
	bool closed;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	CU_ASSERT_FALSE(lcores.watching);
	fetch(11, "t", plain(0));
	world_send(&w, fd);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NULL(r.p);
	CU_ASSERT_TRUE(lcores.watching);
	fake_put(t->part->part[0], 1, BATCH);
	w.ctl->moved = true;
	world_pass(&w, 2 * NS_PER_MS);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	p = only_part(r, 11);
	CU_ASSERT_EQUAL(p.records.len, BATCH);
	CU_ASSERT_FALSE(lcores.watching);
	(void)close(fd);
	world_close(&w);
}

static void
a_lcore_publishes(struct partition *part)
{
	fake_put(part, 1, BATCH);
	w.ctl->moved = true; /* its bell */
}

static void
what_is_published_while_a_fetch_parks_wakes_it(void)
{
	struct topic *t;
	struct reader r;
	bool closed;
	int fd;

	for (unsigned looks = 0; looks < 4; looks++) {
		world_open(&w, NULL);
		t = world_topic(&w, "t", 1);
		fd = world_connect(&w);
		fake.asked_ends = a_lcore_publishes;
		fake.ends_until = looks; /* after each of the looks that parking takes */
		fetch(11, "t", plain(0));
		world_send(&w, fd);
		world_pass(&w, 2 * NS_PER_MS);
		if (fake.asked_ends) { /* it takes no more looks than these */
			CU_ASSERT_TRUE(looks >= 2);
			fake.asked_ends = NULL;
			a_lcore_publishes(t->part->part[0]);
			world_pass(&w, 2 * NS_PER_MS);
		}
		r = world_answer(&w, fd, &closed);
		CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
		CU_ASSERT_EQUAL(only_part(r, 11).records.len, BATCH);
		(void)close(fd);
		world_close(&w);
	}
}

static void
after_max_wait_an_empty_answer_carries_true_watermarks(void)
{
	struct reader r;
	struct topic *t;
	struct part p;
	bool closed;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fake_put(t->part->part[0], 4, BATCH);
	fd = world_connect(&w);
	fetch(5, "t", plain(4));
	world_send(&w, fd);
	world_pass(&w, 499 * NS_PER_MS);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NULL(r.p);
	world_pass(&w, 2 * NS_PER_MS);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	p = only_part(r, 5);
	CU_ASSERT_EQUAL(p.error, 0);
	CU_ASSERT_EQUAL(p.high, 4);
	CU_ASSERT_EQUAL(p.start, 0);
	CU_ASSERT_EQUAL(p.records.len, 0);
	CU_ASSERT_PTR_NOT_NULL(p.records.p); /* empty, never null */
	(void)close(fd);
	world_close(&w);
}

static void
min_bytes_are_waited_for_but_never_more_than_max_bytes(void)
{
	struct ask a = plain(0);
	struct reader r;
	struct topic *t;
	bool closed;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	a.min_bytes = 3 * BATCH;
	fetch(11, "t", a);
	world_send(&w, fd);
	for (unsigned i = 0; i < 3; i++) {
		r = world_answer(&w, fd, &closed);
		CU_ASSERT_PTR_NULL(r.p);
		fake_put(t->part->part[0], 1, BATCH);
		w.ctl->moved = true;
		world_pass(&w, 2 * NS_PER_MS);
	}
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(only_part(r, 11).records.len, 3 * BATCH);
	a.min_bytes = 1 << 30;
	a.max_bytes = 2 * BATCH + 1;
	fetch(11, "t", a);
	CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 11).records.len, 2 * BATCH);
	(void)close(fd);
	world_close(&w);
}

static void
looks_are_a_pause_apart_however_often_the_bell_rings(void)
{
	struct ask a = plain(0);
	uint64_t looks;
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	a.min_bytes = 10 * BATCH;
	fetch(11, "t", a);
	world_send(&w, fd);
	for (unsigned i = 0; i < 5; i++) {
		fake_put(t->part->part[0], 1, BATCH);
		w.ctl->moved = true;
		world_run(&w);
	}
	CU_ASSERT_EQUAL(looks = counter_read(&w.count.fetch_looks), 0);
	CU_ASSERT_TRUE(fetch_due_ns(w.ctl) > w.now_ns);
	world_pass(&w, NS_PER_MS);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_looks), looks + 1);
	CU_ASSERT_EQUAL(fetch_due_ns(w.ctl), UINT64_MAX); /* nobody polls */
	world_pass(&w, NS_PER_MS);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_looks), looks + 1);
	(void)close(fd);
	world_close(&w);
}

static void
a_consumer_that_goes_is_not_waited_for_and_one_that_only_stops_sending_is_answered(void)
{
	struct reader r;
	struct topic *t;
	bool closed;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	fetch(11, "t", plain(0));
	world_send(&w, fd);
	(void)close(fd);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	CU_ASSERT_FALSE(lcores.watching);
	fake_put(t->part->part[0], 1, BATCH);
	fd = world_connect(&w);
	fetch(11, "t", plain(0));
	put_be32(w.request, (uint32_t)kw_length(&w.w) - 4);
	CU_ASSERT_EQUAL(send(fd, w.request, kw_length(&w.w), 0), (ssize_t)kw_length(&w.w));
	CU_ASSERT_EQUAL(shutdown(fd, SHUT_WR), 0);
	world_run(&w);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(only_part(r, 11).records.len, BATCH);
	(void)close(fd);
	world_close(&w);
}

static void
the_first_batch_may_pass_the_limits_and_later_partitions_may_not(void)
{
	struct ask a = plain(0);
	struct reader r;
	struct topic *t;
	int16_t error;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 2);
	for (unsigned i = 0; i < 2; i++) {
		fake_put(t->part->part[i], 1, BATCH);
		fake_put(t->part->part[i], 1, BATCH);
	}
	fd = world_connect(&w);
	a.partitions = 2;
	a.max_bytes = 10;
	fetch(11, "t", a);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL_FATAL(head(&r, 11, &error), 2);
	CU_ASSERT_EQUAL(next_part(&r, 11).records.len, BATCH);
	CU_ASSERT_EQUAL(next_part(&r, 11).records.len, 0);
	a.max_bytes = 3 * BATCH + 10;
	fetch(11, "t", a);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL_FATAL(head(&r, 11, &error), 2);
	CU_ASSERT_EQUAL(next_part(&r, 11).records.len, 2 * BATCH);
	CU_ASSERT_EQUAL(next_part(&r, 11).records.len, BATCH);
	(void)close(fd);
	world_close(&w);
}

static void
errors_are_said_at_once_and_watermarks_are_minus_one(void)
{
	struct ask a = plain(9);
	struct topic *t;
	struct reader r;
	struct part p;
	int16_t error;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fake_put(t->part->part[0], 4, BATCH);
	fake_set_start(t->part->part[0], 2);
	fd = world_connect(&w);
	fetch(11, "t", a);
	p = only_part(world_ask(&w, fd), 11);
	CU_ASSERT_EQUAL(p.error, KIRA_E_OFFSET_OUT_OF_RANGE);
	CU_ASSERT_EQUAL(p.high, -1);
	fetch(11, "t", plain(1)); /* below the start */
	CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 11).error, KIRA_E_OFFSET_OUT_OF_RANGE);
	fetch(4, "nowhere", plain(0));
	CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 4).error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	fetch(13, "nowhere", plain(0));
	CU_ASSERT_EQUAL(only_part(world_ask(&w, fd), 13).error, KIRA_E_UNKNOWN_TOPIC_ID);
	a.replica = 1;
	fetch(15, "t", a);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(head(&r, 15, &error), 0);
	CU_ASSERT_EQUAL(error, KIRA_E_INVALID_REQUEST);
	a.replica = -1;
	a.session_id = 5;
	a.session_epoch = 1;
	fetch(7, "t", a);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(head(&r, 7, &error), 0);
	CU_ASSERT_EQUAL(error, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	a.session_id = a.session_epoch = 0;
	a.replica = 1;
	fetch(7, "t", a);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(head(&r, 7, &error), 0);
	CU_ASSERT_EQUAL(error, KIRA_E_INVALID_REQUEST);
	(void)close(fd);
	world_close(&w);
}

static void
a_failed_partition_gives_what_it_has_and_an_error_behind_it(void)
{
	struct topic *t;
	struct part p;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fake_put(t->part->part[0], 4, BATCH);
	fake_set_state(t->part->part[0], PART_FAILED);
	fd = world_connect(&w);
	fetch(11, "t", plain(0));
	p = only_part(world_ask(&w, fd), 11);
	CU_ASSERT_EQUAL(p.error, 0);
	CU_ASSERT_EQUAL(p.records.len, BATCH);
	fetch(11, "t", plain(4));
	p = only_part(world_ask(&w, fd), 11);
	CU_ASSERT_EQUAL(p.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(p.high, 4);
	CU_ASSERT_EQUAL(p.records.len, 0);
	(void)close(fd);
	world_close(&w);
}

static void
deleting_the_topic_wakes_who_waits_for_it(void)
{
	struct reader r;
	struct topic *t;
	bool closed;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	fetch(11, "t", plain(0));
	world_send(&w, fd);
	topics_delete(w.ctl, t);
	world_pass(&w, 2 * NS_PER_MS);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(only_part(r, 11).error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	(void)close(fd);
	world_close(&w);
}

/* Many batches, and a client that takes nothing at first. */
static int
slow_reader(struct topic **t, uint32_t batches)
{
	struct ask a = plain(0);
	int fd;

	world_open(&w, NULL);
	*t = world_topic(&w, "t", 1);
	for (uint32_t i = 0; i < batches; i++)
		fake_put((*t)->part->part[0], 1, 100000);
	fd = world_connect(&w);
	a.max_bytes = a.partition_max = INT32_MAX;
	fetch(4, "t", a);
	world_send(&w, fd);
	return fd;
}

static void
a_slow_reader_gets_every_byte_in_its_place(void)
{
	const uint32_t batches = 200, head_bytes = 8 + 4 + 4 + 3 + 4 + 26 + 4;
	size_t have = 0, want = head_bytes + (size_t)batches * 100000;
	uint8_t *got = malloc(want + 1);
	struct topic *t;
	int fd = slow_reader(&t, batches);

	CU_ASSERT_PTR_NOT_NULL_FATAL(got);
	CU_ASSERT_EQUAL(fake.pinned, 1);
	while (have < want) {
		const ssize_t n = recv(fd, got + have, MIN(want + 1 - have, 50001u), MSG_DONTWAIT);

		CU_ASSERT_FATAL(n > 0 || errno == EAGAIN);
		if (n > 0)
			have += (size_t)n;
		world_run(&w);
	}
	CU_ASSERT_EQUAL(recv(fd, got + have, 1, MSG_DONTWAIT), -1);
	CU_ASSERT_EQUAL(get_be32(got), want - 4);
	for (uint32_t i = 0; i < batches; i++)
		CU_ASSERT_EQUAL(get_be64(got + head_bytes + (size_t)i * 100000), i);
	CU_ASSERT_EQUAL(fake.pinned, 0);
	(void)close(fd);
	world_close(&w);
	free(got);
}

static void
a_reader_that_stops_is_closed_after_a_minute_and_its_segment_released(void)
{
	struct topic *t;
	int fd = slow_reader(&t, 400);

	CU_ASSERT_EQUAL(fake.pinned, 1);
	world_pass(&w, 59 * NS_PER_S);
	CU_ASSERT_EQUAL(fake.pinned, 1);
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(fake.pinned, 0);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("poll", what_is_there_comes_at_once_in_every_version),
	UT("poll", a_fetch_at_the_end_waits_for_data_and_no_longer),
	UT("poll", what_is_published_while_a_fetch_parks_wakes_it),
	UT("poll", after_max_wait_an_empty_answer_carries_true_watermarks),
	UT("poll", min_bytes_are_waited_for_but_never_more_than_max_bytes),
	UT("poll", looks_are_a_pause_apart_however_often_the_bell_rings),
	UT("poll", a_consumer_that_goes_is_not_waited_for_and_one_that_only_stops_sending_is_answered),
	UT("limits", the_first_batch_may_pass_the_limits_and_later_partitions_may_not),
	UT("errors", errors_are_said_at_once_and_watermarks_are_minus_one),
	UT("errors", a_failed_partition_gives_what_it_has_and_an_error_behind_it),
	UT("errors", deleting_the_topic_wakes_who_waits_for_it),
	UT("send", a_slow_reader_gets_every_byte_in_its_place),
	UT("send", a_reader_that_stops_is_closed_after_a_minute_and_its_segment_released),
};

UT_MAIN(tests)
