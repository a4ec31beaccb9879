/* SPDX-License-Identifier: MIT
 * group_admin_ut.c - FindCoordinator, DescribeGroups, ListGroups, DeleteGroups on the wire, in every version. */
#include "tests/unit/control/group_client.h"

#include <kira/errors.h>

#include <unistd.h>

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
	UT("wire", the_coordinator_of_groups_is_us_of_transactions_nobody),
	UT("wire", groups_are_described_in_every_version_metadata_of_stable_ones_alone),
	UT("wire", groups_are_listed_by_state_and_type),
	UT("wire", groups_without_members_are_deleted_others_are_not),
};

UT_MAIN(tests)
