/* SPDX-License-Identifier: MIT
 * group_wire_ut.c - the requests of members of a group on the wire, in every version: what goes in, what comes out, to
 * the last byte; who is parked, and what a connection that dies leaves. */
#include "tests/unit/control/group_client.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <sys/socket.h>
#include <unistd.h>

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

static const struct ut_test tests[] = {
	UT("wire", joins_in_every_version),
	UT("wire", members_sync_beat_and_leave_in_every_version),
	UT("wire", a_parked_join_is_answered_when_the_others_are_there_or_dies_with_its_connection),
	UT("wire", requests_behind_a_parked_join_are_served_after_it),
	UT("wire", a_parked_join_or_sync_holds_no_request_memory),
	UT("wire", who_waits_in_a_group_and_hangs_up_is_gone_unless_it_sent_more),
};

UT_MAIN(tests)
