/* SPDX-License-Identifier: MIT
 * fetch_session_ut.c - fetch sessions: what a request in one names and what its answer tells; epochs, ends,
 * evictions. */
#include "tests/unit/control/world.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <unistd.h>

#define BATCH 1000
#define TOLD  8

static struct world w;
static int fd;

/* One partition of an answer. */
struct told {
	char topic[16];
	int32_t partition;
	int16_t error;
	int64_t end;
	uint32_t bytes;
};

struct answer {
	int16_t error;
	int32_t session, n;
	struct told told[TOLD];
};

static void
kw_name(struct writer *q, int16_t version, const char *name)
{
	const struct topic *t = topics_find(w.ctl, (struct view){(const uint8_t *)name, (uint32_t)strlen(name)});

	if (version < 13)
		kw_string(q, name);
	for (unsigned i = 0; version >= 13 && i < UUID_BYTES; i++)
		kw_i8(q, t ? (int8_t)t->id[i] : name[0]);
}

static int16_t version = 12;
static int32_t max_bytes = 1 << 20;

/* Begin a request; asks follow, then none, or topics forgotten. */
static struct writer *
begin(int32_t session, int32_t epoch, int32_t topics)
{
	struct writer *q = world_request(&w, API_FETCH, version);

	if (version < 15)
		kw_i32(q, -1);
	kw_i32(q, 500);
	kw_i32(q, 1);
	kw_i32(q, max_bytes);
	kw_i8(q, 0);
	kw_i32(q, session);
	kw_i32(q, epoch);
	kw_array(q, topics);
	return q;
}

/* Partitions 0 .. n-1 of a topic, all from the same offset. */
static void
want(struct writer *q, const char *topic, int32_t n, int64_t offset)
{
	kw_name(q, version, topic);
	kw_array(q, n);
	for (int32_t i = 0; i < n; i++) {
		kw_i32(q, i);
		kw_i32(q, -1);
		kw_i64(q, offset);
		kw_i32(q, -1);
		kw_i64(q, -1);
		kw_i32(q, 1 << 20);
		kw_tags(q);
	}
	kw_tags(q);
}

/* The end of a request: it forgets this topic's partition, or (NULL) nothing. */
static void
forget(struct writer *q, const char *topic, int32_t partition)
{
	kw_array(q, topic ? 1 : 0);
	if (topic) {
		kw_name(q, version, topic);
		kw_array(q, 1);
		kw_i32(q, partition);
		kw_tags(q);
	}
	kw_string(q, "");
	kw_tags(q);
}

/* A request that changes nothing. */
static void
unchanged(int32_t session, int32_t epoch)
{
	forget(begin(session, epoch, 0), NULL, 0);
}

/* Partition 0 of t from this offset on. */
static void
from(int32_t session, int32_t epoch, int64_t offset)
{
	want(begin(session, epoch, 1), "t", 1, offset);
	forget(&w.w, NULL, 0);
}

static struct answer
read_answer(struct reader r)
{
	struct answer a = {0};
	int32_t topics, n;

	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	(void)kr_i32(&r);
	a.error = kr_i16(&r);
	a.session = kr_i32(&r);
	topics = kr_array(&r, 10, 1);
	for (int32_t i = 0; i < topics; i++) {
		const struct view name = version < 13 ? kr_string(&r) :
			(struct view){kr_take(&r, UUID_BYTES), UUID_BYTES};

		n = kr_array(&r, 10, 1);
		for (int32_t j = 0; j < n; j++) {
			struct told *p = &a.told[a.n++];

			CU_ASSERT_FATAL(a.n <= TOLD);
			(void)snprintf(p->topic, sizeof(p->topic), "%.*s", (int)name.len, (const char *)name.p);
			p->partition = kr_i32(&r);
			p->error = kr_i16(&r);
			p->end = kr_i64(&r);
			(void)kr_i64(&r);
			(void)kr_i64(&r);
			(void)kr_array(&r, 1, 1);
			(void)kr_i32(&r);
			p->bytes = kr_bytes(&r).len;
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	return a;
}

static struct answer
ask(void)
{
	return read_answer(world_ask(&w, fd));
}

/* What it was parked for has come. */
static struct answer
woken(int at)
{
	bool closed;

	world_pass(&w, 2 * NS_PER_MS);
	return read_answer(world_answer(&w, at, &closed));
}

static void
waits(int at)
{
	bool closed;

	world_pass(&w, 2 * NS_PER_MS);
	CU_ASSERT_PTR_NULL(world_answer(&w, at, &closed).p);
	CU_ASSERT_FALSE(closed);
}

static struct topic *
open_world(const char *const *options, int32_t partitions)
{
	version = 12;
	world_open(&w, options);
	fd = world_connect(&w);
	return world_topic(&w, "t", partitions);
}

static void
close_world(void)
{
	(void)close(fd);
	world_close(&w);
}

/* A session of all partitions of t, of which the first has a batch. */
static int32_t
session(const struct topic *t)
{
	struct answer a;

	fake_put(t->part->part[0], 1, BATCH);
	want(begin(0, 0, 1), "t", t->partitions, 0);
	forget(&w.w, NULL, 0);
	a = ask();
	CU_ASSERT_EQUAL(a.error, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(a.session, 0);
	CU_ASSERT_EQUAL(a.n, t->partitions); /* all of them, empty ones too */
	CU_ASSERT_EQUAL(a.told[0].bytes, BATCH);
	return a.session;
}

static void
an_answer_names_only_what_is_new(void)
{
	struct topic *t = open_world(NULL, 3);
	const int32_t id = session(t);
	struct answer a;

	from(id, 1, 1); /* partition 0 goes on from 1 */
	world_send(&w, fd);
	waits(fd);
	fake_put(t->part->part[2], 2, BATCH);
	w.ctl->moved = true;
	a = woken(fd);
	CU_ASSERT_EQUAL(a.session, id);
	CU_ASSERT_EQUAL_FATAL(a.n, 1);
	CU_ASSERT_EQUAL(a.told[0].partition, 2);
	CU_ASSERT_EQUAL(a.told[0].bytes, BATCH);
	CU_ASSERT_EQUAL(a.told[0].end, 2);
	/* Not moved on, the client wants the same again; nothing else is named. */
	unchanged(id, 2);
	a = ask();
	CU_ASSERT_EQUAL_FATAL(a.n, 1);
	CU_ASSERT_EQUAL(a.told[0].bytes, BATCH);
	close_world();
}

static void
what_moved_between_two_requests_is_in_the_next_answer(void)
{
	struct topic *t = open_world(NULL, 3);
	const int32_t id = session(t);
	struct answer a;

	fake_put(t->part->part[1], 1, BATCH); /* nobody is parked, no bell rings */
	from(id, 1, 1);
	a = ask();
	CU_ASSERT_EQUAL_FATAL(a.n, 1);
	CU_ASSERT_EQUAL(a.told[0].partition, 1);
	close_world();
}

static void
a_record_wakes_only_who_waits_for_it(void)
{
	struct topic *t = open_world(NULL, 1), *u = world_topic(&w, "u", 1);
	uint64_t looks;
	int other = world_connect(&w);

	from(0, -1, 0);
	world_send(&w, fd);
	want(begin(0, -1, 1), "u", 1, 0);
	forget(&w.w, NULL, 0);
	world_send(&w, other);
	waits(fd);
	looks = counter_read(&w.count.fetch_looks);
	fake_put(u->part->part[0], 1, BATCH);
	w.ctl->moved = true;
	CU_ASSERT_EQUAL(woken(other).told[0].bytes, BATCH);
	waits(fd);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_looks), ++looks);
	fake_put(t->part->part[0], 1, BATCH);
	w.ctl->moved = true;
	CU_ASSERT_EQUAL(woken(fd).told[0].bytes, BATCH);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_looks), looks + 1);
	(void)close(other);
	close_world();
}

static void
after_max_wait_the_answer_names_nothing(void)
{
	struct topic *t = open_world(NULL, 3);
	const int32_t id = session(t);
	struct answer a;

	from(id, 1, 1);
	world_send(&w, fd);
	waits(fd);
	world_pass(&w, 500 * NS_PER_MS);
	a = woken(fd);
	CU_ASSERT_EQUAL(a.session, id);
	CU_ASSERT_EQUAL(a.n, 0);
	close_world();
}

static void
what_is_forgotten_is_told_no_more_and_what_is_added_is(void)
{
	struct topic *t = open_world(NULL, 3), *u = world_topic(&w, "u", 1);
	const int32_t id = session(t);
	struct answer a;

	fake_put(t->part->part[1], 1, BATCH);
	fake_put(u->part->part[0], 1, BATCH + 1);
	want(begin(id, 1, 1), "u", 1, 0);
	forget(&w.w, "t", 0);
	a = ask();
	CU_ASSERT_EQUAL_FATAL(a.n, 2); /* t 0 has a batch that was not moved on from */
	CU_ASSERT_STRING_EQUAL(a.told[0].topic, "u");
	CU_ASSERT_EQUAL(a.told[0].bytes, BATCH + 1);
	CU_ASSERT_STRING_EQUAL(a.told[1].topic, "t");
	CU_ASSERT_EQUAL(a.told[1].partition, 1);
	close_world();
}

static void
a_session_that_forgets_all_is_over(void)
{
	struct topic *t = open_world(NULL, 1);
	const int32_t id = session(t);
	struct answer a;

	(void)begin(id, 1, 0);
	forget(&w.w, "t", 0);
	a = ask();
	CU_ASSERT_EQUAL(a.error, 0);
	CU_ASSERT_EQUAL(a.session, 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_sessions), 0);
	close_world();
}

static void
sessions_and_epochs_that_do_not_fit_are_refused(void)
{
	struct topic *t = open_world(NULL, 1);
	const int32_t id = session(t);
	struct answer a;

	unchanged(id + 1, 1);
	a = ask();
	CU_ASSERT_EQUAL(a.error, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	CU_ASSERT_EQUAL(a.session, 0);
	unchanged(id, 2);
	CU_ASSERT_EQUAL(ask().error, KIRA_E_INVALID_FETCH_SESSION_EPOCH);
	version = 13;
	unchanged(id, 1);
	CU_ASSERT_EQUAL(ask().error, KIRA_E_FETCH_SESSION_TOPIC_ID_ERROR);
	version = 12;
	unchanged(id, 1); /* still there */
	CU_ASSERT_EQUAL(ask().error, 0);
	/* A full request names the session that it ends, and -1 wants no other. */
	from(id, -1, 0);
	a = ask();
	CU_ASSERT_EQUAL(a.session, 0);
	CU_ASSERT_EQUAL(a.n, 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_sessions), 0);
	close_world();
}

static void
a_request_that_is_overtaken_or_evicted_while_it_waits_says_so(void)
{
	struct topic *t = open_world(NULL, 1);
	const int32_t id = session(t);
	int other = world_connect(&w);

	from(id, 1, 1);
	world_send(&w, fd);
	waits(fd);
	unchanged(id, 2);
	world_send(&w, other);
	CU_ASSERT_EQUAL(woken(fd).error, KIRA_E_INVALID_FETCH_SESSION_EPOCH);
	waits(other);
	from(id, 0, 0); /* all over again: the old one is gone */
	CU_ASSERT_NOT_EQUAL(ask().session, id);
	CU_ASSERT_EQUAL(woken(other).error, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_sessions), 1);
	(void)close(other);
	close_world();
}

static void
a_consumer_that_goes_leaves_its_session_behind(void)
{
	struct topic *t = open_world(NULL, 1);
	const int32_t id = session(t);

	from(id, 1, 1);
	world_send(&w, fd);
	(void)close(fd);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	fake_put(t->part->part[0], 1, BATCH);
	w.ctl->moved = true;
	world_pass(&w, 2 * NS_PER_MS);
	fd = world_connect(&w);
	unchanged(id, 2);
	CU_ASSERT_EQUAL(ask().told[0].bytes, BATCH);
	close_world();
}

static void
errors_are_told_each_time_until_they_are_over(void)
{
	struct topic *t = open_world(NULL, 1);
	const int32_t id = session(t);
	struct answer a;

	want(begin(id, 1, 2), "t", 1, 1);
	want(&w.w, "later", 1, 0);
	forget(&w.w, NULL, 0);
	a = ask();
	CU_ASSERT_EQUAL_FATAL(a.n, 1);
	CU_ASSERT_EQUAL(a.told[0].error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	unchanged(id, 2);
	CU_ASSERT_EQUAL(ask().told[0].error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	fake_put(world_topic(&w, "later", 1)->part->part[0], 1, BATCH);
	unchanged(id, 3);
	a = ask();
	CU_ASSERT_EQUAL(a.told[0].error, 0);
	CU_ASSERT_EQUAL(a.told[0].bytes, BATCH);
	close_world();
}

static void
a_topic_that_goes_is_told_and_its_successor_is_read(void)
{
	struct topic *t = open_world(NULL, 1);
	const int32_t id = session(t);
	struct answer a;

	from(id, 1, 1);
	world_send(&w, fd);
	waits(fd);
	topics_delete(w.ctl, t);
	a = woken(fd);
	CU_ASSERT_EQUAL_FATAL(a.n, 1);
	CU_ASSERT_EQUAL(a.told[0].error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	t = world_topic(&w, "t", 1);
	from(id, 2, 0);
	world_send(&w, fd);
	waits(fd);
	fake_put(t->part->part[0], 1, BATCH);
	w.ctl->moved = true;
	CU_ASSERT_EQUAL(woken(fd).told[0].bytes, BATCH);
	close_world();
}

static void
who_was_served_stands_behind_those_who_were_not(void)
{
	struct topic *t = open_world(NULL, 3);
	const int32_t id = session(t);
	struct answer a;

	for (unsigned i = 0; i < 3; i++)
		fake_put(t->part->part[i], 1, 2 * BATCH);
	max_bytes = BATCH; /* one fills an answer */
	for (int32_t i = 0; i < 3; i++) {
		unchanged(id, 1 + i);
		a = ask();
		CU_ASSERT_EQUAL(a.n, 1);
		CU_ASSERT_EQUAL(a.told[0].partition, i); /* though each still has something */
		CU_ASSERT_TRUE(a.told[0].bytes > 0);
	}
	max_bytes = 1 << 20;
	close_world();
}

/* A request for a session of `n` partitions; its id. */
static int32_t
open_session(int32_t n)
{
	want(begin(0, 0, 1), "t", n, 0);
	forget(&w.w, NULL, 0);
	return ask().session;
}

static void
a_full_cache_gives_way_as_kafka_s_does(void)
{
	static const char *const options[] = {"--max-fetch-sessions", "2", NULL};
	int32_t small, large;

	fake_put(open_world(options, 3)->part->part[0], 1, BATCH);
	small = open_session(1);
	large = open_session(2);
	CU_ASSERT_TRUE(small != 0 && large != 0);
	CU_ASSERT_EQUAL(open_session(3), 0); /* both are young */
	world_pass(&w, 119 * NS_PER_S);
	unchanged(small, 1);
	(void)ask();
	unchanged(large, 1);
	(void)ask();
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_NOT_EQUAL(open_session(3), 0); /* in place of the small one, which is in use but old */
	CU_ASSERT_PTR_NULL(fetch_session_find(w.ctl, small));
	CU_ASSERT_PTR_NOT_NULL(fetch_session_find(w.ctl, large));
	CU_ASSERT_EQUAL(open_session(1), 0); /* smaller than those that are there */
	world_pass(&w, 121 * NS_PER_S);
	CU_ASSERT_NOT_EQUAL(open_session(1), 0); /* nobody used them */
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_sessions_evicted), 2);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetch_sessions), 2);
	close_world();
}

/* The cache holds as many bytes as it may; a session that is not used gives them back. */
static void
a_cache_full_of_bytes_gives_way_too(void)
{
	int32_t old;

	fake_put(open_world(NULL, 3)->part->part[0], 1, BATCH);
	old = open_session(3);
	w.ctl->fetch_sessions.bytes += 64 * MIB - w.ctl->fetch_sessions.bytes;
	CU_ASSERT_EQUAL(open_session(2), 0); /* it is young */
	CU_ASSERT_PTR_NOT_NULL(fetch_session_find(w.ctl, old));
	world_pass(&w, 121 * NS_PER_S);
	CU_ASSERT_NOT_EQUAL(open_session(2), 0);
	CU_ASSERT_PTR_NULL(fetch_session_find(w.ctl, old));
	close_world();
}

static void
nobody_can_tell_where_a_partition_lies_in_the_tables(void)
{
	uint32_t secret[2][2];

	for (unsigned i = 0; i < 2; i++) {
		(void)session(open_world(NULL, 1));
		memcpy(secret[i], w.ctl->fetch_sessions.secret, sizeof(secret[i]));
		close_world();
	}
	CU_ASSERT_NOT_EQUAL(secret[0][0], secret[1][0]);
	CU_ASSERT_NOT_EQUAL(secret[0][1], secret[1][1]);
}

/* More than an answer has room for; what is there of the answer is the session's id. */
static int32_t
ask_for_many(int32_t id, int32_t epoch, const char *topic)
{
	struct reader r;

	want(begin(id, epoch, 1), topic, 1400, 0);
	forget(&w.w, NULL, 0);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	return kr_i32(&r);
}

static void
errors_do_not_keep_back_what_has_data(void)
{
	struct topic *t = open_world(NULL, 1);
	int32_t id;

	fake_put(t->part->part[0], 1, BATCH);
	id = ask_for_many(0, 0, "a");
	(void)ask_for_many(id, 1, "b");
	(void)ask_for_many(id, 2, "c");
	from(id, 3, 0);
	(void)world_ask(&w, fd);
	unchanged(id, 4);
	(void)world_ask(&w, fd);
	CU_ASSERT_EQUAL(counter_read(&w.count.sendfile_bytes), BATCH);
	close_world();
}

static void
a_session_by_id_names_topics_by_id(void)
{
	struct topic *t = open_world(NULL, 2);
	struct answer a;
	int32_t id;

	version = 17;
	id = session(t);
	from(id, 1, 1);
	world_send(&w, fd);
	waits(fd);
	fake_put(t->part->part[1], 1, BATCH);
	w.ctl->moved = true;
	a = woken(fd);
	CU_ASSERT_EQUAL_FATAL(a.n, 1);
	CU_ASSERT_TRUE(memcmp(a.told[0].topic, t->id, 1) == 0 || t->id[0] == 0);
	CU_ASSERT_EQUAL(a.told[0].partition, 1);
	close_world();
}

static void
what_is_not_on_disk_yet_is_waited_for_where_consumers_see_no_more(void)
{
	struct topic *t = open_world(NULL, 1);

	from(0, -1, 0);
	world_send(&w, fd);
	waits(fd);
	fake.hold_commits = true;
	fake_put(t->part->part[0], 1, BATCH);
	fake_hide(t->part->part[0], 1);
	w.ctl->moved = true;
	waits(fd);
	fake_hide(t->part->part[0], 0);
	fake.commit_done = fake.commit; /* no lcore marks anything now: a commit ended */
	w.ctl->moved = true;
	CU_ASSERT_EQUAL(woken(fd).told[0].bytes, BATCH);
	close_world();
}

static const struct ut_test tests[] = {
	UT("answers", an_answer_names_only_what_is_new),
	UT("answers", what_moved_between_two_requests_is_in_the_next_answer),
	UT("answers", after_max_wait_the_answer_names_nothing),
	UT("answers", what_is_forgotten_is_told_no_more_and_what_is_added_is),
	UT("answers", errors_are_told_each_time_until_they_are_over),
	UT("answers", a_topic_that_goes_is_told_and_its_successor_is_read),
	UT("answers", who_was_served_stands_behind_those_who_were_not),
	UT("answers", a_session_by_id_names_topics_by_id),
	UT("answers", errors_do_not_keep_back_what_has_data),
	UT("life", a_cache_full_of_bytes_gives_way_too),
	UT("life", nobody_can_tell_where_a_partition_lies_in_the_tables),
	UT("life", a_session_that_forgets_all_is_over),
	UT("life", sessions_and_epochs_that_do_not_fit_are_refused),
	UT("life", a_request_that_is_overtaken_or_evicted_while_it_waits_says_so),
	UT("life", a_consumer_that_goes_leaves_its_session_behind),
	UT("life", a_full_cache_gives_way_as_kafka_s_does),
	UT("waits", a_record_wakes_only_who_waits_for_it),
	UT("waits", what_is_not_on_disk_yet_is_waited_for_where_consumers_see_no_more),
};

UT_MAIN(tests)
