/* SPDX-License-Identifier: MIT
 * fetch_session_ut.c - fetch sessions: what a request in one names, what its answer tells, what it waits for. Their
 * ends: fetch_session_life_ut.c. */
#include "tests/unit/control/fetch_client.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <unistd.h>

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
	fetch_max_bytes = BATCH; /* one fills an answer */
	for (int32_t i = 0; i < 3; i++) {
		unchanged(id, 1 + i);
		a = ask();
		CU_ASSERT_EQUAL(a.n, 1);
		CU_ASSERT_EQUAL(a.told[0].partition, i); /* though each still has something */
		CU_ASSERT_TRUE(a.told[0].bytes > 0);
	}
	close_world();
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

	fetch_version = 17;
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
	UT("waits", a_record_wakes_only_who_waits_for_it),
	UT("waits", what_is_not_on_disk_yet_is_waited_for_where_consumers_see_no_more),
};

UT_MAIN(tests)
