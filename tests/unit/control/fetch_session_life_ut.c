/* SPDX-License-Identifier: MIT
 * fetch_session_life_ut.c - how fetch sessions end: epochs that do not fit, consumers that go, a full cache. */
#include "tests/unit/control/fetch_client.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <unistd.h>

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
	fetch_version = 13;
	unchanged(id, 1);
	CU_ASSERT_EQUAL(ask().error, KIRA_E_FETCH_SESSION_TOPIC_ID_ERROR);
	fetch_version = 12;
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

static const struct ut_test tests[] = {
	UT("life", a_cache_full_of_bytes_gives_way_too),
	UT("life", nobody_can_tell_where_a_partition_lies_in_the_tables),
	UT("life", a_session_that_forgets_all_is_over),
	UT("life", sessions_and_epochs_that_do_not_fit_are_refused),
	UT("life", a_request_that_is_overtaken_or_evicted_while_it_waits_says_so),
	UT("life", a_consumer_that_goes_leaves_its_session_behind),
	UT("life", a_full_cache_gives_way_as_kafka_s_does),
};

UT_MAIN(tests)
