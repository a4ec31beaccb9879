/* SPDX-License-Identifier: MIT
 * group_wire_ut.c - the requests of consumer groups on the wire, in every version: what goes in, what comes out, to
 * the last byte; who is parked, and what a connection that dies leaves. */
#include "tests/unit/control/world.h"

#include "base/clock.h"
#include "control/groups/group.h"

#include <kira/errors.h>

#include <sys/socket.h>
#include <unistd.h>

#define CONSUMER_BYTES "\0\1meta"

static struct world w;

struct joined {
	int16_t error;
	int32_t generation;
	struct view type, protocol, leader, member;
	bool skip;
	int32_t members;
	struct view first_member, first_metadata;
	struct view instance;
};

static void
keep(char ret[128], struct view v)
{
	CU_ASSERT_FATAL(v.len < 128);
	memcpy(ret, v.p ? (const char *)v.p : "", v.len);
	ret[v.len] = '\0';
}

static void
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

static void
ask_join(int16_t version, const char *group, const char *member, const char *instance)
{
	ask_join_with(version, group, member, instance, CONSUMER_BYTES, 6);
}

static struct joined
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

/* As a client of that version joins: from 4 on in two steps. */
static struct joined
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

static void
joins_in_every_version(void)
{
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	for (int16_t v = 0; v <= 9; v++) {
		char group[8] = "g0", member[128] = "";
		struct joined j;

		group[1] = (char)('0' + v);
		j = join(fd, v, group, member);
		CU_ASSERT_EQUAL(j.error, 0);
		CU_ASSERT_EQUAL(j.generation, 1);
		CU_ASSERT(view_same(j.protocol, view_text("range")));
		CU_ASSERT(v < 7 || view_same(j.type, view_text("consumer")));
		CU_ASSERT(view_same(j.leader, j.member));
		CU_ASSERT_EQUAL(j.members, 1);
		CU_ASSERT(view_same(j.first_member, j.member));
		CU_ASSERT_PTR_NULL(j.instance.p);
		CU_ASSERT(view_same(j.first_metadata, (struct view){(const uint8_t *)CONSUMER_BYTES, 6}));
		CU_ASSERT_FALSE(j.skip);
		CU_ASSERT_EQUAL(strncmp(member, "test-", 5), 0);
		CU_ASSERT_EQUAL(strlen(member), 5 + 36);
	}
	/* v0 knows no rebalance timeout: the session's. */
	CU_ASSERT_EQUAL(groups_find(&w.ctl->groups, view_text("g0"))->members->rebalance_ms, 10000);
	CU_ASSERT_EQUAL(groups_find(&w.ctl->groups, view_text("g1"))->members->rebalance_ms, 20000);
	CU_ASSERT(view_same(groups_find(&w.ctl->groups, view_text("g1"))->members->client_host,
		view_text("/127.0.0.1")));
	ask_join(9, "s", "", "inst");
	CU_ASSERT(view_same(read_join(world_ask(&w, fd), 9).instance, view_text("inst")));
	ask_join(6, "", "", NULL);
	CU_ASSERT_EQUAL(read_join(world_ask(&w, fd), 6).error, KIRA_E_INVALID_GROUP_ID);
	(void)close(fd);
	world_close(&w);
}

static void
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

static int16_t
read_sync(struct reader r, int16_t version, struct view *assignment)
{
	int16_t error;

	if (version >= 1)
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
	error = kr_i16(&r);
	if (version >= 5) {
		const struct view type = kr_string(&r), protocol = kr_string(&r);

		CU_ASSERT(error ? !type.p && !protocol.p
			: view_same(type, view_text("consumer")) && view_same(protocol, view_text("range")));
	}
	*assignment = kr_bytes(&r);
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	CU_ASSERT_PTR_NOT_NULL(assignment->p);
	return error;
}

static int16_t
ask_beat(int fd, int16_t version, const char *group, const char *member, int32_t generation)
{
	struct writer *q = world_request(&w, API_HEARTBEAT, version);
	struct reader r;
	int16_t error;

	kw_string(q, group);
	kw_i32(q, generation);
	kw_string(q, member);
	if (version >= 3)
		kw_string(q, NULL);
	kw_tags(q);
	r = world_ask(&w, fd);
	if (version >= 1)
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
	error = kr_i16(&r);
	kr_tags(&r);
	CU_ASSERT(!r.bad && kr_left(&r) == 0);
	return error;
}

/* The error of the one member; *top: of the whole. */
static int16_t
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

static void
members_sync_beat_and_leave_in_every_version(void)
{
	struct view assignment;
	int16_t top;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	for (int16_t v = 0; v <= 5; v++) {
		char group[8] = "g0", member[128] = "";
		const int16_t beat = v > 4 ? 4 : v;

		group[1] = (char)('0' + v);
		(void)join(fd, 5, group, member);
		CU_ASSERT_EQUAL(ask_beat(fd, beat, group, member, 1), 0);
		ask_sync(v, group, member, 7, true);
		CU_ASSERT_EQUAL(read_sync(world_ask(&w, fd), v, &assignment), KIRA_E_ILLEGAL_GENERATION);
		CU_ASSERT_EQUAL(assignment.len, 0);
		ask_sync(v, group, member, 1, true);
		CU_ASSERT_EQUAL(read_sync(world_ask(&w, fd), v, &assignment), 0);
		CU_ASSERT(view_same(assignment, view_text("part")));
		CU_ASSERT_EQUAL(ask_beat(fd, beat, group, "nobody", 1), KIRA_E_UNKNOWN_MEMBER_ID);
		CU_ASSERT_EQUAL(ask_leave(fd, v, "", member, &top), 0);
		CU_ASSERT_EQUAL(top, KIRA_E_INVALID_GROUP_ID);
		CU_ASSERT_EQUAL(ask_leave(fd, v, group, "nobody", &top), v >= 3 ? KIRA_E_UNKNOWN_MEMBER_ID : 0);
		CU_ASSERT_EQUAL(top, v >= 3 ? 0 : KIRA_E_UNKNOWN_MEMBER_ID);
		CU_ASSERT_EQUAL(ask_leave(fd, v, group, member, &top), 0);
		CU_ASSERT_EQUAL(top, 0);
		CU_ASSERT_EQUAL(groups_find(&w.ctl->groups, view_text(group))->state, GROUP_EMPTY);
	}
	(void)close(fd);
	world_close(&w);
}

static void
a_parked_join_is_answered_when_the_others_are_there_or_dies_with_its_connection(void)
{
	char one[128] = "", two[128] = "";
	int fd[3];
	bool closed;

	world_open(&w, NULL);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = world_connect(&w);
	(void)join(fd[0], 3, "g", one);
	ask_join(3, "g", "", NULL);
	world_send(&w, fd[1]);
	CU_ASSERT_PTR_NULL(world_answer(&w, fd[1], &closed).p);
	ask_join(3, "g", "", NULL);
	world_send(&w, fd[2]);
	/* Its connection dies; the member stays. */
	world_reset(&w, fd[2]);
	ask_join(3, "g", one, NULL);
	CU_ASSERT_EQUAL(read_join(world_ask(&w, fd[0]), 3).members, 3);
	{
		const struct joined j = read_join(world_answer(&w, fd[1], &closed), 3);

		CU_ASSERT_EQUAL(j.error, 0);
		CU_ASSERT_EQUAL(j.generation, 2);
		CU_ASSERT_EQUAL(j.members, 0);
		keep(two, j.member);
	}
	/* A Sync waits for the leader's. */
	ask_sync(2, "g", two, 2, false);
	world_send(&w, fd[1]);
	CU_ASSERT_PTR_NULL(world_answer(&w, fd[1], &closed).p);
	{
		struct view assignment;

		ask_sync(2, "g", one, 2, true);
		CU_ASSERT_EQUAL(read_sync(world_ask(&w, fd[0]), 2, &assignment), 0);
		CU_ASSERT_EQUAL(assignment.len, 4);
		CU_ASSERT_EQUAL(read_sync(world_answer(&w, fd[1], &closed), 2, &assignment), 0);
		CU_ASSERT_EQUAL(assignment.len, 0);
	}
	(void)close(fd[0]);
	(void)close(fd[1]);
	world_run(&w);
	/* Nobody beats. */
	world_pass(&w, 10 * NS_PER_S);
	CU_ASSERT_EQUAL(groups_find(&w.ctl->groups, view_text("g"))->state, GROUP_EMPTY);
	world_close(&w);
}

static void
requests_behind_a_parked_join_are_served_after_it(void)
{
	char one[128] = "";
	struct reader r;
	bool closed;
	int fd[2];

	world_open(&w, NULL);
	fd[0] = world_connect(&w);
	fd[1] = world_connect(&w);
	(void)join(fd[0], 3, "g", one);
	ask_join(3, "g", "", NULL);
	world_send(&w, fd[1]);
	ask_join(3, "", "", NULL);
	world_send(&w, fd[1]);
	ask_join(3, "g", one, NULL);
	(void)world_ask(&w, fd[0]);
	r = world_answer(&w, fd[1], &closed);
	CU_ASSERT_EQUAL(read_join(r, 3).error, 0);
	r = world_answer(&w, fd[1], &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(read_join(r, 3).error, KIRA_E_INVALID_GROUP_ID);
	(void)close(fd[0]);
	(void)close(fd[1]);
	world_close(&w);
}

/* 100 members with long subscriptions may wait for minutes: none of that is request memory. */
static void
a_parked_join_or_sync_holds_no_request_memory(void)
{
	static char metadata[30000];
	char one[128] = "";
	struct joined j;
	bool closed;
	int fd[2];

	world_open(&w, NULL);
	fd[0] = world_connect(&w);
	fd[1] = world_connect(&w);
	(void)join(fd[0], 3, "g", one);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	memset(metadata, 'm', sizeof(metadata));
	ask_join_with(3, "g", "", NULL, metadata, sizeof(metadata));
	world_send(&w, fd[1]);
	CU_ASSERT_PTR_NULL(world_answer(&w, fd[1], &closed).p);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	/* Its answer comes, and the connection goes on with the next request. */
	ask_join(3, "g", one, NULL);
	CU_ASSERT_EQUAL(read_join(world_ask(&w, fd[0]), 3).members, 2);
	j = read_join(world_answer(&w, fd[1], &closed), 3);
	CU_ASSERT_EQUAL(j.error, 0);
	keep(one, j.member);
	ask_join_with(3, "", one, NULL, metadata, sizeof(metadata));
	CU_ASSERT_EQUAL(read_join(world_ask(&w, fd[1]), 3).error, KIRA_E_INVALID_GROUP_ID);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	(void)close(fd[0]);
	(void)close(fd[1]);
	world_close(&w);
}

static void
who_waits_in_a_group_and_hangs_up_is_gone_unless_it_sent_more(void)
{
	char one[128] = "", two[128] = "";
	struct joined j;
	bool closed;
	int fd[3];

	world_open(&w, NULL);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = world_connect(&w);
	(void)join(fd[0], 3, "g", one);
	ask_join(3, "g", "", NULL);
	world_send(&w, fd[1]);
	ask_join(3, "g", "", NULL);
	world_send(&w, fd[2]);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 3);
	(void)close(fd[1]);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 2);
	/* The other has sent something behind it, which is to be heard. */
	(void)world_request(&w, API_API_VERSIONS, 0);
	world_send(&w, fd[2]);
	(void)shutdown(fd[2], SHUT_WR);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 2);
	ask_join(3, "g", one, NULL);
	j = read_join(world_ask(&w, fd[0]), 3);
	CU_ASSERT_EQUAL(j.members, 3); /* its member stays for a client that comes back */
	j = read_join(world_answer(&w, fd[2], &closed), 3);
	CU_ASSERT_EQUAL(j.error, 0);
	keep(two, j.member);
	CU_ASSERT_PTR_NOT_NULL(world_answer(&w, fd[2], &closed).p);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 1);
	(void)close(fd[0]);
	(void)close(fd[2]);
	world_close(&w);
}

static void
the_coordinator_of_groups_is_us_of_transactions_nobody(void)
{
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	for (int16_t v = 0; v <= 4; v++)
		for (int8_t type = 0; type <= (v ? 2 : 0); type++) {
			static const int16_t error[] = {0, KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
				KIRA_E_INVALID_REQUEST};
			struct writer *q = world_request(&w, API_FIND_COORDINATOR, v);
			struct reader r;

			if (v <= 3)
				kw_string(q, "g");
			if (v >= 1)
				kw_i8(q, type);
			if (v >= 4) {
				kw_array(q, 1);
				kw_string(q, "g");
			}
			kw_tags(q);
			r = world_ask(&w, fd);
			if (v >= 1)
				CU_ASSERT_EQUAL(kr_i32(&r), 0);
			if (v <= 3) {
				CU_ASSERT_EQUAL(kr_i16(&r), error[type]);
				if (v >= 1)
					CU_ASSERT_EQUAL(kr_string(&r).p == NULL, type == 0);
			} else {
				CU_ASSERT_EQUAL(kr_array(&r, 1, 2), 1);
				CU_ASSERT(view_same(kr_string(&r), view_text("g")));
			}
			CU_ASSERT_EQUAL(kr_i32(&r), type ? -1 : 1);
			CU_ASSERT(view_same(kr_string(&r), view_text(type ? "" : "127.0.0.1")));
			CU_ASSERT_EQUAL(kr_i32(&r) > 0, type == 0);
			if (v >= 4) {
				CU_ASSERT_EQUAL(kr_i16(&r), error[type]);
				(void)kr_string(&r);
				kr_tags(&r);
			}
			kr_tags(&r);
			CU_ASSERT(!r.bad && kr_left(&r) == 0);
		}
	(void)close(fd);
	world_close(&w);
}

/* Describe "g" and "nobody". */
static void
describe(int fd, int16_t v, const char *state, const char *metadata)
{
	struct writer *q = world_request(&w, API_DESCRIBE_GROUPS, v);
	struct reader r;

	kw_array(q, 2);
	kw_string(q, "g");
	kw_string(q, "nobody");
	if (v >= 3)
		kw_bool(q, true);
	kw_tags(q);
	r = world_ask(&w, fd);
	if (v >= 1)
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
	CU_ASSERT_EQUAL(kr_array(&r, 2, 2), 2);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT(view_same(kr_string(&r), view_text("g")));
	CU_ASSERT(view_same(kr_string(&r), view_text(state)));
	CU_ASSERT(view_same(kr_string(&r), view_text("consumer")));
	CU_ASSERT(view_same(kr_string(&r), view_text(*metadata ? "range" : "")));
	CU_ASSERT_EQUAL(kr_array(&r, 2, 2), 1);
	CU_ASSERT_EQUAL(kr_string(&r).len, 41);
	if (v >= 4)
		CU_ASSERT_PTR_NULL(kr_string(&r).p);
	CU_ASSERT(view_same(kr_string(&r), view_text("test")));
	CU_ASSERT(view_same(kr_string(&r), view_text("/127.0.0.1")));
	CU_ASSERT_EQUAL(kr_bytes(&r).len, *metadata ? 6 : 0);
	CU_ASSERT(view_same(kr_bytes(&r), view_text(metadata)));
	kr_tags(&r);
	if (v >= 3)
		CU_ASSERT_EQUAL(kr_i32(&r), 328);
	kr_tags(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT(view_same(kr_string(&r), view_text("nobody")));
	CU_ASSERT(view_same(kr_string(&r), view_text("Dead")));
	CU_ASSERT_EQUAL(kr_string(&r).len, 0);
	CU_ASSERT_EQUAL(kr_string(&r).len, 0);
	CU_ASSERT_EQUAL(kr_array(&r, 0, 2), 0);
	if (v >= 3)
		(void)kr_i32(&r);
	kr_tags(&r);
	kr_tags(&r);
	CU_ASSERT(!r.bad && kr_left(&r) == 0);
}

static void
groups_are_described_in_every_version_metadata_of_stable_ones_alone(void)
{
	char member[128] = "";
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	(void)join(fd, 3, "g", member);
	for (int16_t v = 0; v <= 5; v++)
		describe(fd, v, "CompletingRebalance", "");
	ask_sync(3, "g", member, 1, true);
	(void)world_ask(&w, fd);
	for (int16_t v = 0; v <= 5; v++)
		describe(fd, v, "Stable", "part");
	(void)close(fd);
	world_close(&w);
}

/* How many are listed; the first one's fields are judged. */
static int32_t
list(int fd, int16_t v, const char *state, const char *type)
{
	struct writer *q = world_request(&w, API_LIST_GROUPS, v);
	struct reader r;
	int32_t n;

	if (v >= 4) {
		kw_array(q, state ? 1 : 0);
		if (state)
			kw_string(q, state);
	}
	if (v >= 5) {
		kw_array(q, type ? 1 : 0);
		if (type)
			kw_string(q, type);
	}
	kw_tags(q);
	r = world_ask(&w, fd);
	if (v >= 1)
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	n = kr_array(&r, 2, 2);
	for (int32_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(kr_string(&r).len, 1);
		CU_ASSERT(view_same(kr_string(&r), view_text("consumer")));
		if (v >= 4)
			CU_ASSERT(kr_string(&r).len > 0);
		if (v >= 5)
			CU_ASSERT(view_same(kr_string(&r), view_text("classic")));
		kr_tags(&r);
	}
	kr_tags(&r);
	CU_ASSERT(!r.bad && kr_left(&r) == 0);
	return n;
}

static void
groups_are_listed_by_state_and_type(void)
{
	char one[128] = "", two[128] = "";
	int16_t top;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	(void)join(fd, 3, "g", one);
	(void)join(fd, 3, "h", two);
	(void)ask_leave(fd, 2, "h", two, &top);
	for (int16_t v = 0; v <= 5; v++)
		CU_ASSERT_EQUAL(list(fd, v, NULL, NULL), 2);
	CU_ASSERT_EQUAL(list(fd, 4, "Empty", NULL), 1);
	CU_ASSERT_EQUAL(list(fd, 4, "completingrebalance", NULL), 1);
	CU_ASSERT_EQUAL(list(fd, 5, "Stable", NULL), 0);
	CU_ASSERT_EQUAL(list(fd, 5, NULL, "Classic"), 2);
	CU_ASSERT_EQUAL(list(fd, 5, NULL, "share"), 0);
	(void)close(fd);
	world_close(&w);
}

static void
groups_without_members_are_deleted_others_are_not(void)
{
	static const int16_t error[] = {KIRA_E_NON_EMPTY_GROUP, 0, KIRA_E_GROUP_ID_NOT_FOUND,
		KIRA_E_INVALID_GROUP_ID};
	static const char *const name[] = {"g", "h", "nobody", ""};
	int fd;

	for (int16_t v = 0; v <= 2; v++) {
		char one[128] = "", two[128] = "";
		struct writer *q;
		struct reader r;
		int16_t top;

		world_open(&w, NULL);
		fd = world_connect(&w);
		(void)join(fd, 3, "g", one);
		(void)join(fd, 3, "h", two);
		(void)ask_leave(fd, 2, "h", two, &top);
		q = world_request(&w, API_DELETE_GROUPS, v);
		kw_array(q, 4);
		for (unsigned i = 0; i < 4; i++)
			kw_string(q, name[i]);
		kw_tags(q);
		r = world_ask(&w, fd);
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
		CU_ASSERT_EQUAL(kr_array(&r, 4, 2), 4);
		for (unsigned i = 0; i < 4; i++) {
			CU_ASSERT(view_same(kr_string(&r), view_text(name[i])));
			CU_ASSERT_EQUAL(kr_i16(&r), error[i]);
			kr_tags(&r);
		}
		kr_tags(&r);
		CU_ASSERT(!r.bad && kr_left(&r) == 0);
		CU_ASSERT_PTR_NULL(groups_find(&w.ctl->groups, view_text("h")));
		(void)close(fd);
		world_close(&w);
	}
}

static const struct ut_test tests[] = {
	UT("wire", joins_in_every_version),
	UT("wire", members_sync_beat_and_leave_in_every_version),
	UT("wire", a_parked_join_is_answered_when_the_others_are_there_or_dies_with_its_connection),
	UT("wire", requests_behind_a_parked_join_are_served_after_it),
	UT("wire", a_parked_join_or_sync_holds_no_request_memory),
	UT("wire", who_waits_in_a_group_and_hangs_up_is_gone_unless_it_sent_more),
	UT("wire", the_coordinator_of_groups_is_us_of_transactions_nobody),
	UT("wire", groups_are_described_in_every_version_metadata_of_stable_ones_alone),
	UT("wire", groups_are_listed_by_state_and_type),
	UT("wire", groups_without_members_are_deleted_others_are_not),
};
UT_MAIN(tests)
