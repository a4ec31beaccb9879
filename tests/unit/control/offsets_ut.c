/* SPDX-License-Identifier: MIT
 * offsets_ut.c - committed offsets between clients and the fake storage: when they are answered, what is fetched,
 * who keeps them. How they go: offsets_gone_ut.c; starts and renewals: offsets_log_ut.c. */
#include "tests/unit/control/offset_client.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <unistd.h>

/* ---- Commit ---- */

static void
the_topic_comes_with_the_first_commit(void)
{
	struct partition_ends ends;

	begin();
	CU_ASSERT_PTR_NULL(log_topic());
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_PTR_NULL(log_topic()); /* to ask makes nothing */
	CU_ASSERT_EQUAL(commit("g", "t", 0, 7), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(log_topic());
	CU_ASSERT_EQUAL(log_topic()->partitions, 1);
	CU_ASSERT_TRUE(log_topic()->cfg.log.visible_at_disk);
	CU_ASSERT_EQUAL(log_topic()->cfg.log.retention_ms, -1);
	CU_ASSERT_EQUAL(log_topic()->cfg.log.segment_bytes, 16 * 1024 * 1024);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.end, 1);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 7);
	CU_ASSERT_EQUAL(fetch("h", "t", 0), -1);
	end();
}

static void
each_version_of_a_commit_is_answered(void)
{
	const struct one one = {"t", 1, 3, NULL};
	int16_t error;

	begin();
	for (int16_t version = 2; version <= 9; version++) {
		write_commit(version, "g", SIMPLE, &one, 1);
		read_commit(world_ask(&w, fd), version, &error, 1);
		CU_ASSERT_EQUAL(error, 0);
	}
	end();
}

static void
a_commit_is_answered_when_it_is_on_disk_and_seen_no_earlier(void)
{
	const struct one one = {"t", 0, 9, "m"};
	const int other = (begin(), world_connect(&w));
	int16_t error = -1;
	struct reader r;
	bool closed;

	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, &one, 1);
	world_send(&w, other);
	CU_ASSERT_PTR_NULL(world_answer(&w, other, &closed).p);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 5);
	CU_ASSERT_TRUE(fake.wanted_disk > 0);
	fake.hold_commits = false;
	fake.commit_done = fake.commit;
	(void)world_request(&w, API_OFFSET_COMMIT, 7);
	world_run(&w);
	r = world_answer(&w, other, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	read_commit(r, 7, &error, 1);
	CU_ASSERT_EQUAL(error, 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 9);
	(void)close(other);
	end();
}

static void
with_offsets_ack_log_the_disk_is_not_waited_for(void)
{
	static const char *const options[] = {"--offsets-ack", "log", NULL};

	begin_with(options);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	fake.hold_commits = true;
	CU_ASSERT_EQUAL(commit("g", "t", 0, 6), 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 6);
	end();
}

static void
a_wrong_partition_concerns_itself_alone(void)
{
	static char much[OFFSET_METADATA_MAX + 2];
	const struct one one[] = {{"t", 0, 1, "m"}, {"t", 3, 1, "m"}, {"nope", 0, 1, "m"}, {"t", 1, 1, much}};
	int16_t error[4];

	begin();
	memset(much, 'x', sizeof(much) - 1);
	write_commit(7, "g", SIMPLE, one, 4);
	read_commit(world_ask(&w, fd), 7, error, 4);
	CU_ASSERT_EQUAL(error[0], 0);
	CU_ASSERT_EQUAL(error[1], KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(error[2], KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(error[3], KIRA_E_OFFSET_METADATA_TOO_LARGE);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1);
	much[OFFSET_METADATA_MAX] = 0; /* so much is allowed, and comes back byte for byte */
	write_commit(7, "g", SIMPLE, &one[3], 1);
	read_commit(world_ask(&w, fd), 7, error, 1);
	CU_ASSERT_EQUAL(error[0], 0);
	end();
}

static void
a_generation_of_no_group_is_refused(void)
{
	const struct one one = {"t", 0, 1, "m"};
	int16_t error;

	begin();
	write_commit(8, "g", 3, &one, 1);
	read_commit(world_ask(&w, fd), 8, &error, 1);
	CU_ASSERT_EQUAL(error, KIRA_E_ILLEGAL_GENERATION);
	write_commit(9, "g", 3, &one, 1);
	read_commit(world_ask(&w, fd), 9, &error, 1);
	CU_ASSERT_EQUAL(error, KIRA_E_ILLEGAL_GENERATION);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	end();
}

static void
what_storage_refuses_is_not_committed(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	lcores.append_error = KIRA_E_KAFKA_STORAGE_ERROR;
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	CU_ASSERT_EQUAL(commit("g", "t", 2, 2), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	lcores.append_error = KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND; /* that may be in the log */
	CU_ASSERT_EQUAL(commit("g", "t", 2, 2), KIRA_E_REQUEST_TIMED_OUT);
	lcores.append_error = 0;
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1);
	CU_ASSERT_EQUAL(fetch("g", "t", 2), -1);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 3), 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 3);
	end();
}

static void
a_topic_that_cannot_be_made_is_tried_again(void)
{
	begin();
	fake.fail_rc = -5;
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	end();
}

static void
a_failed_sync_is_told_as_perhaps_stored(void)
{
	const struct one one = {"t", 0, 9, "m"};
	int16_t error;
	struct reader r;
	bool closed;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, &one, 1);
	world_send(&w, fd);
	fake_set_state(log_part(), PART_FAILED);
	fake.commit_done = fake.commit;
	world_run(&w);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	read_commit(r, 7, &error, 1);
	CU_ASSERT_EQUAL(error, KIRA_E_REQUEST_TIMED_OUT);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 5);
	end();
}

static void
a_disk_that_takes_too_long_is_told_as_perhaps_stored(void)
{
	const struct one one = {"t", 0, 9, "m"};
	int16_t error;
	struct reader r;
	bool closed;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, &one, 1);
	world_send(&w, fd);
	world_pass(&w, 6 * NS_PER_S);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	read_commit(r, 7, &error, 1);
	CU_ASSERT_EQUAL(error, KIRA_E_REQUEST_TIMED_OUT);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 5);
	fake.commit_done = fake.commit; /* it was stored, indeed */
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 9);
	end();
}

static void
a_commit_goes_on_when_its_connection_is_gone(void)
{
	const struct one one = {"t", 0, 9, "m"};
	const int other = (begin(), world_connect(&w));

	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, &one, 1);
	world_send(&w, other);
	world_reset(&w, other);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 5);
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 9);
	end();
}

static void
memory_is_bounded_and_comes_back(void)
{
	uint64_t before;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	before = w.ctl->groups.memory_used;
	CU_ASSERT_EQUAL(commit("g", "t", 0, 6), 0);
	CU_ASSERT_EQUAL(w.ctl->groups.memory_used, before);
	w.ctl->groups.limits.memory_max = before + 4;
	CU_ASSERT_EQUAL(commit("g", "t", 1, 6), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	CU_ASSERT_EQUAL(w.ctl->groups.memory_used, before);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 6);
	w.ctl->groups.limits.memory_max = 16 * 1024 * 1024;
	CU_ASSERT_EQUAL(commit("g", "t", 1, 6), 0);
	end();
}

/* ---- Fetch ---- */

static void
all_that_is_committed_is_told_where_no_topics_are_named(void)
{
	struct writer *q;
	struct reader r;

	begin();
	CU_ASSERT_EQUAL(commit("g", "u", 0, 4), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 2, 3), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), 0);
	q = world_request(&w, API_OFFSET_FETCH, 8);
	kw_array(q, 2);
	kw_string(q, "g");
	kw_array(q, -1);
	kw_tags(q);
	kw_string(q, "unknown");
	kw_array(q, -1);
	kw_tags(q);
	kw_bool(q, true);
	kw_tags(q);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	CU_ASSERT_EQUAL(kr_array(&r, 9, 1), 2);
	CU_ASSERT_EQUAL(kr_string(&r).len, 1);
	CU_ASSERT_EQUAL(kr_array(&r, 9, 1), 2);
	for (int topic = 0; topic < 2; topic++) {
		const int32_t n = topic == 0 ? 2 : 1;

		CU_ASSERT_EQUAL(*kr_string(&r).p, topic == 0 ? 't' : 'u');
		CU_ASSERT_EQUAL(kr_array(&r, 9, 1), n);
		for (int32_t i = 0; i < n; i++) {
			CU_ASSERT_EQUAL(kr_i32(&r), 2 * i);
			CU_ASSERT_EQUAL(kr_i64(&r), topic == 0 ? 2 + i : 4);
			CU_ASSERT_EQUAL(kr_i32(&r), 5);
			CU_ASSERT_EQUAL(kr_string(&r).len, 1);
			CU_ASSERT_EQUAL(kr_i16(&r), 0);
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	kr_tags(&r);
	CU_ASSERT_EQUAL(kr_string(&r).len, 7);
	CU_ASSERT_EQUAL(kr_array(&r, 9, 1), 0);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	kr_tags(&r);
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	end();
}

/* Version 1 has no place for an error but at each partition. */
static void
a_log_that_cannot_be_read_is_told_in_every_version(void)
{
	begin();
	w.ctl->group_log->state = GROUP_LOG_BROKEN;
	for (int16_t version = 1; version <= 9; version++) {
		struct writer *q = world_request(&w, API_OFFSET_FETCH, version);
		struct reader r;

		if (version >= 8)
			kw_array(q, 1);
		kw_string(q, "g");
		if (version >= 9) {
			kw_string(q, NULL);
			kw_i32(q, -1);
		}
		kw_array(q, 1);
		kw_string(q, "t");
		kw_array(q, 1);
		kw_i32(q, 0);
		kw_tags(q);
		if (version >= 8)
			kw_tags(q);
		if (version >= 7)
			kw_bool(q, false);
		kw_tags(q);
		r = world_ask(&w, fd);
		if (version >= 3)
			(void)kr_i32(&r);
		if (version >= 8) {
			CU_ASSERT_EQUAL(kr_array(&r, 9, 1), 1);
			(void)kr_string(&r);
		}
		CU_ASSERT_EQUAL(kr_array(&r, 9, 1), version == 1);
		if (version == 1) {
			(void)kr_string(&r);
			(void)kr_array(&r, 9, 1);
			(void)kr_i32(&r);
			CU_ASSERT_EQUAL(kr_i64(&r), -1);
			CU_ASSERT_EQUAL(kr_string(&r).len, 0);
		}
		CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_COORDINATOR_NOT_AVAILABLE);
		if (version >= 8)
			kr_tags(&r);
		kr_tags(&r);
		CU_ASSERT_FALSE(r.bad);
		CU_ASSERT_EQUAL(kr_left(&r), 0);
	}
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	w.ctl->group_log->state = GROUP_LOG_LOADING;
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), KIRA_E_COORDINATOR_LOAD_IN_PROGRESS);
	w.ctl->group_log->state = GROUP_LOG_READY;
	end();
}

/* ---- The topic ---- */

static void
no_client_changes_the_topic(void)
{
	struct writer *q;
	struct reader r;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	q = world_request(&w, API_DELETE_TOPICS, 1);
	kw_array(q, 1);
	kw_string(q, "__consumer_offsets");
	kw_i32(q, 1000);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	(void)kr_array(&r, 1, 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_INVALID_TOPIC_EXCEPTION);
	q = world_request(&w, API_DELETE_RECORDS, 0);
	kw_array(q, 1);
	kw_string(q, "__consumer_offsets");
	kw_array(q, 1);
	kw_i32(q, 0);
	kw_i64(q, -1);
	kw_i32(q, 1000);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	(void)kr_array(&r, 1, 1);
	(void)kr_string(&r);
	(void)kr_array(&r, 1, 1);
	(void)kr_i32(&r);
	(void)kr_i64(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_INVALID_TOPIC_EXCEPTION);
	q = world_request(&w, API_PRODUCE, 3);
	kw_string(q, NULL);
	kw_i16(q, 1);
	kw_i32(q, 1000);
	kw_array(q, 1);
	kw_string(q, "__consumer_offsets");
	kw_array(q, 1);
	kw_i32(q, 0);
	kw_bytes(q, "x", 1);
	r = world_ask(&w, fd);
	(void)kr_array(&r, 1, 1);
	(void)kr_string(&r);
	(void)kr_array(&r, 1, 1);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_INVALID_TOPIC_EXCEPTION);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1);
	end();
}

static const struct ut_test tests[] = {
	UT("commit", the_topic_comes_with_the_first_commit),
	UT("commit", each_version_of_a_commit_is_answered),
	UT("commit", a_commit_is_answered_when_it_is_on_disk_and_seen_no_earlier),
	UT("commit", with_offsets_ack_log_the_disk_is_not_waited_for),
	UT("commit", a_wrong_partition_concerns_itself_alone),
	UT("commit", a_generation_of_no_group_is_refused),
	UT("commit", what_storage_refuses_is_not_committed),
	UT("commit", a_topic_that_cannot_be_made_is_tried_again),
	UT("commit", a_failed_sync_is_told_as_perhaps_stored),
	UT("commit", a_disk_that_takes_too_long_is_told_as_perhaps_stored),
	UT("commit", a_commit_goes_on_when_its_connection_is_gone),
	UT("commit", memory_is_bounded_and_comes_back),
	UT("fetch", all_that_is_committed_is_told_where_no_topics_are_named),
	UT("fetch", a_log_that_cannot_be_read_is_told_in_every_version),
	UT("topic", no_client_changes_the_topic),
};

UT_MAIN(tests)
