/* SPDX-License-Identifier: MIT
 * offset_client.c - OffsetCommit and OffsetFetch as a consumer without a group's protocol asks them. */
#include "tests/unit/control/offset_client.h"

#include <unistd.h>

struct world w;
int fd;

void
begin_with(const char *const *options)
{
	world_open(&w, options);
	(void)world_topic(&w, "t", 3);
	(void)world_topic(&w, "u", 1);
	fd = world_connect(&w);
}

void
begin(void)
{
	begin_with(NULL);
}

void
end(void)
{
	(void)close(fd);
	world_close(&w);
}

void
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

void
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

int16_t
commit(const char *group, const char *topic, int32_t partition, int64_t offset)
{
	const struct one one = {topic, partition, offset, "m"};
	int16_t error;

	write_commit(7, group, SIMPLE, &one, 1);
	read_commit(world_ask(&w, fd), 7, &error, 1);
	return error;
}

int64_t
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

struct topic *
log_topic(void)
{
	return topics_any(w.ctl, view_text("__consumer_offsets"));
}

struct partition *
log_part(void)
{
	return topic_partition(log_topic(), 0);
}

void
restart(void)
{
	world_run(&w);
	group_log_close(w.ctl->group_log);
	groups_close(&w.ctl->groups);
	CU_ASSERT_EQUAL(w.ctl->groups.memory_used, 0);
	w.ctl->group_log = group_log_open(w.ctl, &w.ctl->groups, w.now_ns);
}
