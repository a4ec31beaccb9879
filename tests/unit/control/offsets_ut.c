/* SPDX-License-Identifier: MIT
 * offsets_ut.c - committed offsets between clients, the fake storage and restarts: when they are answered, what is
 * fetched, what a start reads, and that a renewal of the log takes nothing back. */
#include "tests/unit/control/world.h"

#include "base/clock.h"
#include "control/groups/group_batch.h"
#include "control/groups/group_topic.h"
#include "control/groups/offsets.h"

#include <kira/errors.h>

#include <stdlib.h>
#include <unistd.h>

#define SIMPLE (-1) /* the generation of a consumer without a group's protocol */

static struct world w;
static int fd;

static void
begin_with(const char *const *options)
{
	world_open(&w, options);
	(void)world_topic(&w, "t", 3);
	(void)world_topic(&w, "u", 1);
	fd = world_connect(&w);
}

static void
begin(void)
{
	begin_with(NULL);
}

static void
end(void)
{
	(void)close(fd);
	world_close(&w);
}

static struct view
v(const char *s)
{
	return (struct view){(const uint8_t *)s, (uint32_t)strlen(s)};
}

/* ---- Requests ---- */

struct one {
	const char *topic;
	int32_t partition;
	int64_t offset;
	const char *metadata;
};

static void
write_commit(int16_t version, const char *group, int32_t generation, const struct one *one, int32_t n)
{
	struct writer *q = world_request(&w, API_OFFSET_COMMIT, version);

	kw_string(q, group);
	kw_i32(q, generation);
	kw_string(q, "");
	if (version >= 7)
		kw_string(q, NULL);
	if (version <= 4)
		kw_i64(q, -1);
	kw_array(q, n);
	for (int32_t i = 0; i < n; i++) {
		kw_string(q, one[i].topic);
		kw_array(q, 1);
		kw_i32(q, one[i].partition);
		kw_i64(q, one[i].offset);
		if (version >= 6)
			kw_i32(q, 5);
		kw_string(q, one[i].metadata);
		kw_tags(q);
		kw_tags(q);
	}
	kw_tags(q);
}

/* The errors of an answer, of at most 4 partitions. */
static void
read_commit(struct reader r, int16_t version, int16_t *error, int32_t n)
{
	if (version >= 3)
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
	CU_ASSERT_EQUAL(kr_array(&r, 100, 1), n);
	for (int32_t i = 0; i < n; i++) {
		(void)kr_string(&r);
		CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
		(void)kr_i32(&r);
		error[i] = kr_i16(&r);
		kr_tags(&r);
		kr_tags(&r);
	}
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
}

static int16_t
commit(const char *group, const char *topic, int32_t partition, int64_t offset)
{
	const struct one one = {topic, partition, offset, "m"};
	int16_t error;

	write_commit(7, group, SIMPLE, &one, 1);
	read_commit(world_ask(&w, fd), 7, &error, 1);
	return error;
}

/* What a client is told is committed. */
static int64_t
fetch(const char *group, const char *topic, int32_t partition)
{
	struct writer *q = world_request(&w, API_OFFSET_FETCH, 5);
	struct reader r;
	int64_t offset;

	kw_string(q, group);
	kw_array(q, 1);
	kw_string(q, topic);
	kw_array(q, 1);
	kw_i32(q, partition);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	CU_ASSERT_EQUAL(kr_i32(&r), partition);
	offset = kr_i64(&r);
	CU_ASSERT_EQUAL(kr_i32(&r), offset < 0 ? -1 : 5);
	CU_ASSERT_EQUAL(kr_string(&r).len, offset < 0 ? 0 : 1);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	return offset;
}

static struct topic *
log_topic(void)
{
	return topics_any(w.ctl, v("__consumer_offsets"));
}

static struct partition *
log_part(void)
{
	return topic_partition(log_topic(), 0);
}

/* kirad ends and comes back: only what the log holds is left. */
static void
restart(void)
{
	world_run(&w);
	group_log_close(w.ctl->group_log);
	groups_close(&w.ctl->groups);
	CU_ASSERT_EQUAL(w.ctl->groups.memory_used, 0);
	w.ctl->group_log = group_log_open(w.ctl, &w.ctl->groups, w.now_ns);
}

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

/* ---- Removal ---- */

static int16_t
delete(const char *group, const char *topic, int32_t partition, int16_t *top)
{
	struct writer *q = world_request(&w, API_OFFSET_DELETE, 0);
	struct reader r;

	kw_string(q, group);
	kw_array(q, 1);
	kw_string(q, topic);
	kw_array(q, 1);
	kw_i32(q, partition);
	r = world_ask(&w, fd);
	*top = kr_i16(&r);
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	if (kr_array(&r, 1, 1) == 0)
		return 0;
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	CU_ASSERT_EQUAL(kr_i32(&r), partition);
	return kr_i16(&r);
}

static void
a_deleted_offset_is_gone_over_a_restart_too(void)
{
	int16_t top;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 1, 2), 0);
	CU_ASSERT_EQUAL(delete("g", "t", 0, &top), 0);
	CU_ASSERT_EQUAL(top, 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(delete("g", "t", 2, &top), 0); /* nothing was there */
	CU_ASSERT_EQUAL(delete("g", "nope", 0, &top), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(delete("nobody", "t", 0, &top), 0);
	CU_ASSERT_EQUAL(top, KIRA_E_GROUP_ID_NOT_FOUND);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 2);
	end();
}

/* The commit waits for the disk, the removal behind it does not. */
static void
a_removal_overtakes_no_commit_that_is_under_way(void)
{
	const struct one one = {"t", 0, 9, "m"};
	const int other = (begin(), world_connect(&w));
	int16_t top;

	CU_ASSERT_EQUAL(commit("g", "t", 0, 5), 0);
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, &one, 1);
	world_send(&w, other);
	CU_ASSERT_EQUAL(delete("g", "t", 0, &top), 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	fake.hold_commits = false;
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 6), 0);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 6);
	(void)close(other);
	end();
}

static void
a_new_topic_of_a_deleted_ones_name_inherits_no_offsets(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "u", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), 0);
	topics_delete(w.ctl, topics_any(w.ctl, v("u")));
	world_run(&w);
	(void)world_topic(&w, "u", 1);
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2);
	end();
}

/* A kill between the end of the topic and the end of its offsets: the log has them still. */
static void
offsets_of_a_topic_that_is_gone_go_at_the_start(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "u", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), 0);
	lcores.append_error = KIRA_E_KAFKA_STORAGE_ERROR;
	topics_delete(w.ctl, topics_any(w.ctl, v("u")));
	world_run(&w);
	lcores.append_error = 0;
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2); /* the first turn looks for them */
	(void)world_topic(&w, "u", 1);
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "u", 0), -1);
	end();
}

/* A clock that is far ahead at boot and right a minute later takes nothing. */
static void
nothing_expires_at_the_start(void)
{
	static const char *const options[] = {"--offsets-retention-check-interval-ms", "1000", NULL};

	begin_with(options);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), 0);
	w.ctl->cfg->offsets_retention_minutes = -1; /* as if so much time had gone by */
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2);
	world_pass(&w, 1);
	CU_ASSERT_EQUAL(w.ctl->group_log->swept, true); /* it did look */
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 2);
	world_pass(&w, NS_PER_S);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	end();
}

static void
a_removed_group_takes_its_offsets_with_it(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	groups_remove(&w.ctl->groups, groups_find(&w.ctl->groups, v("g")), NULL);
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_PTR_NULL(groups_find(&w.ctl->groups, v("g")));
	end();
}

static void
offsets_of_a_simple_group_expire_after_their_commit(void)
{
	struct offset_expiry e = {.retention_ms = 1000};
	struct offset_record rec;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL_FATAL(offsets_find(groups_find(&w.ctl->groups, v("g")), v("t"), 0, &rec), true);
	e.wall_ms = rec.commit_ms + 999;
	CU_ASSERT_EQUAL(offsets_expire(&w.ctl->groups, &e), 0);
	e.wall_ms++;
	CU_ASSERT_EQUAL(offsets_expire(&w.ctl->groups, &e), 1);
	world_run(&w);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), -1);
	CU_ASSERT_EQUAL(offsets_expire(&w.ctl->groups, &e), 0);
	CU_ASSERT_PTR_NULL(groups_find(&w.ctl->groups, v("g"))); /* an empty group goes, too */
	end();
}

/* Of a group with a protocol: `type`, in `state` since 5 s after its commit. How many expire so many ms after that? */
static unsigned
expired(const char *type, enum group_state state, int64_t after_ms)
{
	struct offset_expiry e = {.retention_ms = 1000};
	struct offset_record rec;
	struct group *g;
	struct view was;
	unsigned n;

	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	g = groups_find(&w.ctl->groups, v("g"));
	CU_ASSERT_EQUAL_FATAL(offsets_find(g, v("t"), 0, &rec), true);
	was = g->protocol_type;
	g->protocol_type = v(type);
	g->state = state;
	g->state_since_ms = rec.commit_ms + 5000;
	e.wall_ms = g->state_since_ms + after_ms;
	n = offsets_expire(&w.ctl->groups, &e);
	g->protocol_type = was;
	g->state = GROUP_EMPTY;
	end();
	return n;
}

static void
offsets_of_a_group_expire_after_it_became_empty(void)
{
	CU_ASSERT_EQUAL(expired("consumer", GROUP_EMPTY, 999), 0);
	CU_ASSERT_EQUAL(expired("consumer", GROUP_EMPTY, 1000), 1);
	CU_ASSERT_EQUAL(expired("connect", GROUP_EMPTY, 1000), 1);
}

static void
in_a_group_with_members_only_what_nobody_subscribes_to_expires(void)
{
	CU_ASSERT_EQUAL(expired("consumer", GROUP_STABLE, -4001), 0); /* since its commit */
	CU_ASSERT_EQUAL(expired("consumer", GROUP_STABLE, -4000), 1);
	CU_ASSERT_EQUAL(expired("connect", GROUP_STABLE, 1 << 30), 0);
	CU_ASSERT_EQUAL(expired("consumer", GROUP_PREPARING, 1 << 30), 0);
}

/* ---- The log ---- */

static void
a_start_reads_what_was_committed_last(void)
{
	begin();
	for (int64_t i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(commit(i % 2 ? "g" : "h", "t", (int32_t)(i % 3), i), 0);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 45);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 49);
	CU_ASSERT_EQUAL(fetch("h", "t", 0), 48);
	CU_ASSERT_EQUAL(fetch("h", "t", 2), 44);
	CU_ASSERT_EQUAL(commit("h", "t", 2, 99), 0);
	restart();
	CU_ASSERT_EQUAL(fetch("h", "t", 2), 99);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 49);
	end();
}

/* With less memory than before nothing more is taken in, but what was promised is there. */
static void
a_start_with_less_memory_drops_nothing(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("h", "t", 1, 2), 0);
	world_run(&w);
	w.ctl->groups.limits.memory_max = 1;
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1);
	CU_ASSERT_EQUAL(fetch("h", "t", 1), 2);
	CU_ASSERT_EQUAL(commit("i", "t", 1, 2), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	end();
}

static void
a_halted_log_leaves_groups_unserved_and_records_served(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	fake_set_state(log_part(), PART_HALTED);
	restart();
	CU_ASSERT_EQUAL(group_log_state(w.ctl->group_log), GROUP_LOG_BROKEN);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 2), KIRA_E_COORDINATOR_NOT_AVAILABLE);
	end();
}

/* Two commits per turn of the test, one of them still under way when the state is written. */
static void
a_renewal_keeps_all_and_takes_nothing_back(void)
{
	static const char *const options[] = {"--offsets-topic-segment-bytes", "1048576", NULL};
	struct partition_ends ends;
	const struct one one[] = {{"t", 0, 1000, "m"}, {"u", 0, 5, "m"}}; /* one that was there, one that was not */
	int other;

	begin_with(options);
	other = world_connect(&w);
	CU_ASSERT_EQUAL(commit("old", "t", 2, 77), 0);
	for (int64_t i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(commit("g", "t", (int32_t)(i % 3), i), 0);
	w.ctl->group_log->part[0].bytes = 3 * 1048576; /* as if so much had been appended */
	fake.hold_commits = true;
	write_commit(7, "g", SIMPLE, one, 2);          /* appended, not answered */
	world_send(&w, other);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 18);
	w.lazy = true;
	world_pass(&w, 2 * NS_PER_S);                  /* looks, and orders the roll */
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_ROLLING);
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_EQUAL(fake_rolls(log_part()), 1);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_WRITING); /* the disk is waited for */
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	fake.hold_commits = false;
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_IDLE);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 23);               /* 21 commits, and the two under way */
	CU_ASSERT_EQUAL(ends.end, 28);
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1000);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1000);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 19);
	CU_ASSERT_EQUAL(fetch("g", "t", 2), 17);
	CU_ASSERT_EQUAL(fetch("g", "u", 0), 5);
	CU_ASSERT_EQUAL(fetch("old", "t", 2), 77);
	(void)close(other);
	end();
}

static void
a_renewal_that_fails_moves_nothing_and_comes_again(void)
{
	static const char *const options[] = {"--offsets-topic-segment-bytes", "1048576", NULL};
	struct partition_ends ends;

	begin_with(options);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	w.ctl->group_log->part[0].bytes = 3 * 1048576;
	lcores.append_error = KIRA_E_KAFKA_STORAGE_ERROR;
	world_pass(&w, 2 * NS_PER_S);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_IDLE);
	lcores.append_error = 0;
	world_pass(&w, 30 * NS_PER_S);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	world_pass(&w, 40 * NS_PER_S);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, 1);
	end();
}

#define MANY 900

/* Offsets of `topic` from partition `from` on, each so large that 64 fill a batch of a renewal. */
static void
commit_many(const char *topic, int32_t from, int32_t n, int64_t offset)
{
	static const uint8_t metadata[OFFSET_METADATA_MAX];
	const struct offset_record rec = {.offset = offset, .metadata = {metadata, sizeof(metadata)}};
	struct groups *gs = &w.ctl->groups;
	struct offset_commit *c = offsets_commit_make(gs, groups_find(gs, v("g")), (unsigned)n);

	for (int32_t i = 0; i < n; i++)
		CU_ASSERT_TRUE(offsets_commit_add(c, v(topic), from + i, &rec));
	offsets_commit_send(c, GROUP_LOG_APPENDED);
	offsets_commit_forget(c);
	world_run(&w);
}

static int64_t
kept(const char *topic, int32_t partition)
{
	struct offset_record rec;
	const bool found = offsets_find(groups_find(&w.ctl->groups, v("g")), v(topic), partition, &rec);

	return found ? rec.offset : -1;
}

/* Eight batches are under way at most, so that commits have room beside it; what they change is not taken back. */
static void
a_group_larger_than_all_that_may_be_under_way_is_renewed_in_parts(void)
{
	struct offset_commit *c;
	struct partition_ends ends;

	begin();
	(void)world_topic(&w, "many", MANY);
	(void)world_topic(&w, "before", 4);
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	commit_many("many", 0, MANY, 1);
	w.ctl->group_log->part[0].bytes = 64 * 1048576;
	fake.hold_commits = true;
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_WRITING);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.batches, 8);
	CU_ASSERT_TRUE(w.ctl->group_log->bytes_used < 8 * 300 * 1024);
	commit_many("before", 3, 1, 7);              /* what is to be written next is one topic further now */
	commit_many("many", 1, 1, 8);                /* written already */
	commit_many("many", MANY - 1, 1, 9);         /* not yet */
	c = offsets_commit_make(&w.ctl->groups, groups_find(&w.ctl->groups, v("g")), 1);
	CU_ASSERT_TRUE(offsets_commit_remove(c, v("many"), MANY - 2));
	offsets_commit_send(c, GROUP_LOG_APPENDED);
	offsets_commit_forget(c);
	fake.hold_commits = false;
	fake.commit_done = fake.commit;
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->group_log->renew.step, RENEW_IDLE);
	storage_ends(log_part(), &ends);
	CU_ASSERT_EQUAL(ends.start, MANY + 1);
	restart();
	CU_ASSERT_EQUAL(kept("t", 0), 1);
	for (int32_t i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(kept("many", i), i == 1 ? 8 : i == MANY - 2 ? -1 : i == MANY - 1 ? 9 : 1);
	CU_ASSERT_EQUAL(kept("before", 3), 7);
	end();
}

/* A full disk takes the oldest segments, wherever they are. */
static void
a_start_that_was_moved_from_outside_has_the_state_written_again(void)
{
	begin();
	CU_ASSERT_EQUAL(commit("g", "t", 0, 1), 0);
	CU_ASSERT_EQUAL(commit("g", "t", 1, 2), 0);
	fake_set_start(log_part(), 2);
	world_pass(&w, 2 * NS_PER_S);
	restart();
	CU_ASSERT_EQUAL(fetch("g", "t", 0), 1);
	CU_ASSERT_EQUAL(fetch("g", "t", 1), 2);
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
	UT("removal", a_deleted_offset_is_gone_over_a_restart_too),
	UT("removal", a_removal_overtakes_no_commit_that_is_under_way),
	UT("removal", a_new_topic_of_a_deleted_ones_name_inherits_no_offsets),
	UT("removal", offsets_of_a_topic_that_is_gone_go_at_the_start),
	UT("removal", nothing_expires_at_the_start),
	UT("removal", a_removed_group_takes_its_offsets_with_it),
	UT("removal", offsets_of_a_simple_group_expire_after_their_commit),
	UT("removal", offsets_of_a_group_expire_after_it_became_empty),
	UT("removal", in_a_group_with_members_only_what_nobody_subscribes_to_expires),
	UT("log", a_start_reads_what_was_committed_last),
	UT("log", a_start_with_less_memory_drops_nothing),
	UT("log", a_halted_log_leaves_groups_unserved_and_records_served),
	UT("log", a_renewal_keeps_all_and_takes_nothing_back),
	UT("log", a_renewal_that_fails_moves_nothing_and_comes_again),
	UT("log", a_group_larger_than_all_that_may_be_under_way_is_renewed_in_parts),
	UT("log", a_start_that_was_moved_from_outside_has_the_state_written_again),
	UT("topic", no_client_changes_the_topic),
};

UT_MAIN(tests)
