/* SPDX-License-Identifier: MIT
 * admin_ut.c - requests of administration that only look: log directories, elections, reassignments, access
 * rules, topics in pages. */
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <unistd.h>

static struct world w;

static bool
is(struct view v, const char *text)
{
	return v.p && v.len == strlen(text) && memcmp(v.p, text, v.len) == 0;
}

/* ---- DescribeLogDirs ---- */

struct log_partition {
	char topic[4];
	int32_t partition;
	int64_t size;
};

/* The one directory of an answer, its partitions in order; how many. */
static unsigned
log_dir(struct reader r, int16_t version, struct log_partition *ret, int64_t *total, int64_t *usable)
{
	unsigned n = 0;
	int32_t topics;

	(void)kr_i32(&r);
	if (version >= 3)
		CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT_TRUE(is(kr_string(&r), "/"));
	topics = kr_array(&r, 10, 1);
	for (int32_t i = 0; i < topics; i++) {
		const struct view name = kr_string(&r);
		const int32_t partitions = kr_array(&r, 10, 1);

		for (int32_t j = 0; j < partitions; j++, n++) {
			memcpy(ret[n].topic, name.p, name.len);
			ret[n].topic[name.len] = 0;
			ret[n].partition = kr_i32(&r);
			ret[n].size = kr_i64(&r);
			CU_ASSERT_EQUAL(kr_i64(&r), 0);
			CU_ASSERT_FALSE(kr_bool(&r));
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	*total = version >= 4 ? kr_i64(&r) : 0;
	*usable = version >= 4 ? kr_i64(&r) : 0;
	kr_tags(&r);
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(r.p, r.end);
	return n;
}

static void
the_log_directory_tells_sizes_of_what_is_there(void)
{
	static const char *const options[] = {"--data-dir", "/", NULL};
	struct log_partition got[8];
	int64_t total, usable;
	struct topic *t;
	int fd;

	world_open(&w, options);
	t = world_topic(&w, "t", 2);
	(void)world_topic(&w, "u", 1);
	fake_put(t->part->part[1], 3, 700);
	fd = world_connect(&w);
	for (int16_t version = 1; version <= 4; version++) {
		struct writer *q = world_request(&w, API_DESCRIBE_LOG_DIRS, version);

		kw_array(q, -1);
		kw_tags(q);
		CU_ASSERT_EQUAL_FATAL(log_dir(world_ask(&w, fd), version, got, &total, &usable), 3);
		CU_ASSERT(strcmp(got[1].topic, "t") == 0 && got[1].partition == 1);
		CU_ASSERT_EQUAL(got[0].size, 0);
		CU_ASSERT_EQUAL(got[1].size, (int64_t)storage_bytes(t->part->part[1]));
		CU_ASSERT(got[1].size >= 700);
		CU_ASSERT_STRING_EQUAL(got[2].topic, "u");
		CU_ASSERT(version < 4 || (total > 1000000 && usable > 0 && usable < total));
		q = world_request(&w, API_DESCRIBE_LOG_DIRS, version);
		kw_array(q, 2);
		kw_string(q, "t");
		kw_array(q, 2);
		kw_i32(q, 2); /* is not there */
		kw_i32(q, 1);
		kw_tags(q);
		kw_string(q, "none");
		kw_array(q, 1);
		kw_i32(q, 0);
		kw_tags(q);
		kw_tags(q);
		CU_ASSERT_EQUAL_FATAL(log_dir(world_ask(&w, fd), version, got, &total, &usable), 1);
		CU_ASSERT(strcmp(got[0].topic, "t") == 0 && got[0].partition == 1);
	}
	(void)close(fd);
	world_close(&w);
}

/* ---- ElectLeaders, ListPartitionReassignments ---- */

static void
elect(int16_t version, int8_t type)
{
	struct writer *q = world_request(&w, API_ELECT_LEADERS, version);

	if (version >= 1)
		kw_i8(q, type);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, 2);
	kw_i32(q, 0);
	kw_i32(q, 1);
	kw_tags(q);
	kw_i32(q, 1000);
	kw_tags(q);
}

static void
no_election_is_needed(void)
{
	struct writer *q;
	struct reader r;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	for (int16_t version = 0; version <= 2; version++) {
		elect(version, 1);
		r = world_ask(&w, fd);
		(void)kr_i32(&r);
		if (version >= 1)
			CU_ASSERT_EQUAL(kr_i16(&r), 0);
		CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
		CU_ASSERT_TRUE(is(kr_string(&r), "t"));
		CU_ASSERT_EQUAL_FATAL(kr_array(&r, 2, 1), 2);
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
		CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_ELECTION_NOT_NEEDED);
		(void)kr_string(&r);
		kr_tags(&r);
		CU_ASSERT_EQUAL(kr_i32(&r), 1);
		CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
		(void)kr_string(&r);
		kr_tags(&r);
		kr_tags(&r);
		kr_tags(&r);
		CU_ASSERT(!r.bad && r.p == r.end);
	}
	elect(2, 2); /* no such type */
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 0);
	q = world_request(&w, API_ELECT_LEADERS, 0); /* all: nothing happened anywhere */
	kw_array(q, -1);
	kw_i32(q, 1000);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 0);
	(void)close(fd);
	world_close(&w);
}

static void
nothing_is_being_reassigned(void)
{
	struct reader r;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	for (int all = 0; all < 2; all++) {
		struct writer *q = world_request(&w, API_LIST_REASSIGNMENTS, 0);

		kw_i32(q, 1000);
		kw_array(q, all ? -1 : 1);
		if (!all) {
			kw_string(q, "t");
			kw_array(q, 1);
			kw_i32(q, 0);
			kw_tags(q);
		}
		kw_tags(q);
		r = world_ask(&w, fd);
		(void)kr_i32(&r);
		CU_ASSERT_EQUAL(kr_i16(&r), 0);
		CU_ASSERT_PTR_NULL(kr_string(&r).p);
		CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 0);
		kr_tags(&r);
		CU_ASSERT(!r.bad && r.p == r.end);
	}
	(void)close(fd);
	world_close(&w);
}

/* ---- DescribeProducers ---- */

static void
ask_producers(const char *topic, int32_t n, const int32_t *partition)
{
	struct writer *q = world_request(&w, API_DESCRIBE_PRODUCERS, 0);

	kw_array(q, 1);
	kw_string(q, topic);
	kw_array(q, n);
	for (int32_t i = 0; i < n; i++)
		kw_i32(q, partition[i]);
	kw_tags(q);
	kw_tags(q);
}

static void
producers_come_from_the_lcores_one_partition_after_the_other(void)
{
	static const int32_t asked[] = {1, 5, 0};
	struct reader r;
	struct topic *t;
	bool closed;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 2);
	fake_put(t->part->part[1], 1, 100);
	fake_put(t->part->part[1], 1, 100);
	fd = world_connect(&w);
	w.lazy = true;
	ask_producers("t", 3, asked);
	world_send(&w, fd);
	CU_ASSERT_EQUAL_FATAL(lcores.queued, 1);
	CU_ASSERT_EQUAL(lcores.queue[0]->kind, STORE_PRODUCERS);
	CU_ASSERT_PTR_EQUAL(lcores.queue[0]->part, t->part->part[1]);
	CU_ASSERT_PTR_NULL(world_answer(&w, fd, &closed).p);
	w.lazy = false;
	world_run(&w);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	CU_ASSERT_TRUE(is(kr_string(&r), "t"));
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 3, 1), 3);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(kr_i32(&r), asked[i]);
		CU_ASSERT_EQUAL(kr_i16(&r), i == 1 ? KIRA_E_UNKNOWN_TOPIC_OR_PARTITION : 0);
		CU_ASSERT_EQUAL(kr_string(&r).p != NULL, i == 1);
		CU_ASSERT_EQUAL_FATAL(kr_array(&r, 2, 1), i == 0 ? 2 : 0);
		for (int j = 0; i == 0 && j < 2; j++) {
			CU_ASSERT_EQUAL(kr_i64(&r), 100 + j);
			CU_ASSERT_EQUAL(kr_i32(&r), 2);
			CU_ASSERT_EQUAL(kr_i32(&r), 7);
			CU_ASSERT_EQUAL(kr_i64(&r), 9);
			CU_ASSERT_EQUAL(kr_i32(&r), -1);
			CU_ASSERT_EQUAL(kr_i64(&r), -1);
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	kr_tags(&r);
	kr_tags(&r);
	CU_ASSERT(!r.bad && r.p == r.end);
	(void)close(fd);
	world_close(&w);
}

static void
a_query_whose_client_or_topic_goes_meanwhile_ends_well(void)
{
	static const int32_t asked[] = {0, 1};
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 2);
	fd = world_connect(&w);
	w.lazy = true;
	ask_producers("t", 2, asked);
	world_send(&w, fd);
	world_reset(&w, fd);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_EQUAL(lcores.queued, 0); /* nobody wants the second */
	fd = world_connect(&w);
	w.lazy = true;
	ask_producers("t", 2, asked);
	world_send(&w, fd);
	topics_delete(w.ctl, t);
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	(void)close(fd);
	world_close(&w);
}

/* One partition, named as often as a request can, is not told (and kept in memory) as often. */
static void
what_is_told_of_producers_fits_into_an_answer(void)
{
	enum { NAMED = 200, PRODUCERS = 1000 };
	static int32_t asked[NAMED];
	int32_t told = 0, refused = 0;
	struct reader r;
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	for (unsigned i = 0; i < PRODUCERS; i++)
		fake_put(t->part->part[0], 1, 100);
	fd = world_connect(&w);
	ask_producers("t", NAMED, asked);
	r = world_ask(&w, fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, NAMED, 1), NAMED);
	for (int i = 0; i < NAMED; i++) {
		int32_t n;

		(void)kr_i32(&r);
		refused += kr_i16(&r) == KIRA_E_POLICY_VIOLATION;
		(void)kr_string(&r);
		n = kr_array(&r, PRODUCERS, 1);
		told += n > 0;
		for (int32_t j = 0; j < n; j++) {
			(void)kr_take(&r, 8 + 4 + 4 + 8 + 4 + 8);
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT(told > 10 && refused > 10 && told + refused == NAMED);
	(void)close(fd);
	world_close(&w);
}

/* ---- Access rules ---- */

static void
put_acl(struct writer *q)
{
	kw_i8(q, 2);
	kw_string(q, "t");
	kw_i8(q, 3);
	kw_string(q, "User:a");
	kw_string(q, "*");
	kw_i8(q, 3);
	kw_i8(q, 3);
	kw_tags(q);
}

static void
without_an_authorizer_access_rules_are_disabled(void)
{
	struct writer *q;
	struct reader r;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	for (int16_t version = 1; version <= 3; version++) {
		q = world_request(&w, API_DESCRIBE_ACLS, version);
		put_acl(q);
		r = world_ask(&w, fd);
		(void)kr_i32(&r);
		CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_SECURITY_DISABLED);
		CU_ASSERT_PTR_NOT_NULL(kr_string(&r).p);
		CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 0);
		kr_tags(&r);
		CU_ASSERT(!r.bad && r.p == r.end);
		for (int del = 0; del < 2; del++) {
			q = world_request(&w, del ? API_DELETE_ACLS : API_CREATE_ACLS, version);
			kw_array(q, 2);
			put_acl(q);
			put_acl(q);
			kw_tags(q);
			r = world_ask(&w, fd);
			(void)kr_i32(&r);
			CU_ASSERT_EQUAL_FATAL(kr_array(&r, 2, 1), 2);
			for (int i = 0; i < 2; i++) {
				CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_SECURITY_DISABLED);
				CU_ASSERT_PTR_NOT_NULL(kr_string(&r).p);
				if (del)
					CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 0);
				kr_tags(&r);
			}
			kr_tags(&r);
			CU_ASSERT(!r.bad && r.p == r.end);
		}
	}
	(void)close(fd);
	world_close(&w);
}

/* ---- DescribeTopicPartitions ---- */

/* The page of `topics` (NULL: all; else names, a letter each) from a cursor ("": none) as text: "t:0-2" for
 * partitions 0 to 2 of t, "t:-" for none, "x!3" for an error; behind it ">t:3" where to go on. */
static const char *
page(int fd, const char *topics, int32_t limit, const char *cursor, int32_t at)
{
	struct writer *q = world_request(&w, API_DESCRIBE_TOPICS, 0);
	static char text[400];
	char *to = text, *const end = text + sizeof(text);
	struct reader r;
	int32_t n, m;

	text[0] = 0;
	kw_array(q, topics ? (int32_t)strlen(topics) : 0);
	for (; topics && *topics; topics++) {
		kw_view(q, (struct view){(const uint8_t *)topics, 1});
		kw_tags(q);
	}
	kw_i32(q, limit);
	kw_i8(q, *cursor ? 1 : -1);
	if (*cursor) {
		kw_string(q, cursor);
		kw_i32(q, at);
		kw_tags(q);
	}
	kw_tags(q);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	n = kr_array(&r, 10, 1);
	for (int32_t i = 0; i < n; i++) {
		const int16_t error = kr_i16(&r);
		const struct view name = kr_string(&r);
		const struct topic *t = topics_find(w.ctl, name);
		const uint8_t *id = kr_take(&r, 16);
		int32_t first = -1, last = -1;

		CU_ASSERT(!t || error || memcmp(t->id, id, 16) == 0);
		(void)kr_bool(&r);
		m = kr_array(&r, 5000, 1);
		for (int32_t j = 0; j < m; j++) {
			CU_ASSERT_EQUAL(kr_i16(&r), 0);
			last = kr_i32(&r);
			first = first < 0 ? last : first;
			CU_ASSERT_EQUAL(last, first + j);
			(void)kr_take(&r, 8);
			for (int k = 0; k < 2; k++) {
				CU_ASSERT_EQUAL(kr_array(&r, 1, 4), 1);
				CU_ASSERT_EQUAL(kr_i32(&r), w.cfg.node_id);
			}
			for (int k = 0; k < 3; k++)
				CU_ASSERT_EQUAL(kr_array(&r, 1, 4), 0);
			kr_tags(&r);
		}
		CU_ASSERT_EQUAL(kr_i32(&r), error ? INT32_MIN : 3576);
		kr_tags(&r);
		to += snprintf(to, (size_t)(end - to), "%s%.*s", i ? " " : "", (int)name.len, (const char *)name.p);
		if (error)
			to += snprintf(to, (size_t)(end - to), "!%d", error);
		else if (m == 0)
			to += snprintf(to, (size_t)(end - to), ":-");
		else
			to += snprintf(to, (size_t)(end - to), ":%d-%d", first, last);
	}
	if (kr_i8(&r) == 1) {
		const struct view name = kr_string(&r);

		to += snprintf(to, (size_t)(end - to), " >%.*s:%d", (int)name.len, (const char *)name.p, kr_i32(&r));
		kr_tags(&r);
	}
	kr_tags(&r);
	CU_ASSERT(!r.bad && r.p == r.end);
	return text;
}

static void
topics_come_in_pages_in_order_of_name(void)
{
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "c", 3);
	(void)world_topic(&w, "a", 2);
	(void)world_topic(&w, "b", 4);
	fd = world_connect(&w);
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 100, "", 0), "a:0-1 b:0-3 c:0-2");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 9, "", 0), "a:0-1 b:0-3 c:0-2");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 8, "", 0), "a:0-1 b:0-3 c:0-1 >c:2");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 4, "", 0), "a:0-1 b:0-1 >b:2");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 4, "b", 2), "b:2-3 c:0-1 >c:2");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 4, "c", 2), "c:2-2");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 2, "", 0), "a:0-1 >b:0");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 0, "", 0), "a:0-0 >a:1"); /* at least one */
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, -5, "a", 1), "a:1-1 >b:0");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 9, "b", 7), "b:- c:0-2"); /* it had more, once */
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 9, "bb", 1), "c:0-2");    /* it has gone */
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 9, "d", 0), "");
	(void)close(fd);
	world_close(&w);
}

static void
named_topics_are_told_once_with_an_error_each(void)
{
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "a", 2);
	(void)world_topic(&w, "b", 4);
	fd = world_connect(&w);
	CU_ASSERT_STRING_EQUAL(page(fd, "bxa!b", 100, "", 0), "!!17 a:0-1 b:0-3 x!3");
	CU_ASSERT_STRING_EQUAL(page(fd, "xa", 2, "", 0), "a:0-1 >x:0");
	CU_ASSERT_STRING_EQUAL(page(fd, "xa", 2, "x", 0), "x!3");
	CU_ASSERT_STRING_EQUAL(page(fd, "ab", 9, "b", 3), "b:3-3");
	CU_ASSERT_STRING_EQUAL(page(fd, "b", 9, "a", 0), "a!42"); /* the cursor's topic is not among them */
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, 9, "a", -1), "a!42");
	(void)close(fd);
	world_close(&w);
}

static void
a_page_has_2000_partitions_at_most(void)
{
	static const char *const options[] = {"--max-partitions", "3000", NULL};
	int fd;

	world_open(&w, options);
	(void)world_topic(&w, "a", 2500);
	fd = world_connect(&w);
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, INT32_MAX, "", 0), "a:0-1999 >a:2000");
	CU_ASSERT_STRING_EQUAL(page(fd, NULL, INT32_MAX, "a", 2000), "a:2000-2499");
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("admin", the_log_directory_tells_sizes_of_what_is_there),
	UT("admin", no_election_is_needed),
	UT("admin", nothing_is_being_reassigned),
	UT("admin", without_an_authorizer_access_rules_are_disabled),
	UT("producers", producers_come_from_the_lcores_one_partition_after_the_other),
	UT("producers", what_is_told_of_producers_fits_into_an_answer),
	UT("producers", a_query_whose_client_or_topic_goes_meanwhile_ends_well),
	UT("topics", topics_come_in_pages_in_order_of_name),
	UT("topics", named_topics_are_told_once_with_an_error_each),
	UT("topics", a_page_has_2000_partitions_at_most),
};

UT_MAIN(tests)
