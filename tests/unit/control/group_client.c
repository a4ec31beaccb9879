/* SPDX-License-Identifier: MIT
 * group_client.c - JoinGroup, SyncGroup, LeaveGroup as clients send them. */
#include "tests/unit/control/group_client.h"

#include <kira/errors.h>

struct world w;

void
keep(char ret[128], struct view v)
{
	CU_ASSERT_FATAL(v.len < 128);
	memcpy(ret, v.p ? (const char *)v.p : "", v.len);
	ret[v.len] = '\0';
}

void
ask_join_with(int16_t version, const char *group, const char *member, const char *instance, const char *metadata,
	uint32_t bytes)
{
	struct writer *q = world_request(&w, API_JOIN_GROUP, version);

	kw_string(q, group);
	kw_i32(q, 10000);
	if (version >= 1)
		kw_i32(q, 20000);
	kw_string(q, member);
	if (version >= 5)
		kw_string(q, instance);
	kw_string(q, "consumer");
	kw_array(q, 1);
	kw_string(q, "range");
	kw_bytes(q, metadata, (int32_t)bytes);
	kw_tags(q);
	if (version >= 8)
		kw_string(q, "because");
	kw_tags(q);
}

void
ask_join(int16_t version, const char *group, const char *member, const char *instance)
{
	ask_join_with(version, group, member, instance, CONSUMER_BYTES, 6);
}

struct joined
read_join(struct reader r, int16_t version)
{
	struct joined j = {0};

	if (version >= 2)
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
	j.error = kr_i16(&r);
	j.generation = kr_i32(&r);
	if (version >= 7)
		j.type = kr_string(&r);
	j.protocol = kr_string(&r);
	j.leader = kr_string(&r);
	if (version >= 9)
		j.skip = kr_bool(&r);
	j.member = kr_string(&r);
	j.members = kr_array(&r, 100, 2);
	for (int32_t i = 0; i < j.members; i++) {
		const struct view id = kr_string(&r);
		const struct view instance = version >= 5 ? kr_string(&r) : (struct view){NULL, 0};
		const struct view metadata = kr_bytes(&r);

		kr_tags(&r);
		if (i == 0) {
			j.first_member = id;
			j.instance = instance;
			j.first_metadata = metadata;
		}
	}
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	return j;
}

struct joined
join(int fd, int16_t version, const char *group, char member[128])
{
	struct joined j;

	ask_join(version, group, member, NULL);
	j = read_join(world_ask(&w, fd), version);
	if (version >= 4 && !member[0]) {
		CU_ASSERT_EQUAL(j.error, KIRA_E_MEMBER_ID_REQUIRED);
		CU_ASSERT_EQUAL(j.generation, -1);
		CU_ASSERT_EQUAL(j.members, 0);
		CU_ASSERT(version >= 7 ? !j.protocol.p : j.protocol.p && j.protocol.len == 0);
		keep(member, j.member);
		ask_join(version, group, member, NULL);
		j = read_join(world_ask(&w, fd), version);
	}
	keep(member, j.member);
	return j;
}

void
ask_sync(int16_t version, const char *group, const char *member, int32_t generation, bool leads)
{
	struct writer *q = world_request(&w, API_SYNC_GROUP, version);

	kw_string(q, group);
	kw_i32(q, generation);
	kw_string(q, member);
	if (version >= 3)
		kw_string(q, NULL);
	if (version >= 5) {
		kw_string(q, "consumer");
		kw_string(q, "range");
	}
	kw_array(q, leads ? 1 : 0);
	if (leads) {
		kw_string(q, member);
		kw_bytes(q, "part", 4);
		kw_tags(q);
	}
	kw_tags(q);
}

int16_t
ask_leave(int fd, int16_t version, const char *group, const char *member, int16_t *top)
{
	struct writer *q = world_request(&w, API_LEAVE_GROUP, version);
	int16_t error = 0;
	struct reader r;

	kw_string(q, group);
	if (version >= 3)
		kw_array(q, 1);
	kw_string(q, member);
	if (version >= 3) {
		kw_string(q, NULL);
		if (version >= 5)
			kw_string(q, "because");
		kw_tags(q);
	}
	kw_tags(q);
	r = world_ask(&w, fd);
	if (version >= 1)
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
	*top = kr_i16(&r);
	if (version >= 3 && kr_array(&r, 1, 2) == 1) {
		CU_ASSERT(view_same(kr_string(&r), view_text(member)));
		CU_ASSERT_PTR_NULL(kr_string(&r).p);
		error = kr_i16(&r);
		kr_tags(&r);
	}
	kr_tags(&r);
	CU_ASSERT(!r.bad && kr_left(&r) == 0);
	return error;
}
