/* SPDX-License-Identifier: MIT
 * topics_ut.c - topics made and deleted: through CreateTopics, DeleteTopics and Metadata, the order
 * of steps on the way out, and the text of the catalogue. */
#include "control/topic_list.h"
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <sys/socket.h>
#include <unistd.h>

static struct world w;

struct creation {
	const char *name;
	int32_t partitions;
	const char *config, *value;
	bool validate_only;
};

/* CreateTopics version 5 of one topic; its error. */
static int16_t
create(int fd, struct creation c)
{
	struct writer *q = world_request(&w, API_CREATE_TOPICS, 5);
	struct reader r;

	kw_array(q, 1);
	kw_string(q, c.name);
	kw_i32(q, c.partitions);
	kw_i16(q, 1);
	kw_array(q, 0);
	kw_array(q, c.config ? 1 : 0);
	if (c.config) {
		kw_string(q, c.config);
		kw_string(q, c.value);
		kw_tags(q);
	}
	kw_tags(q);
	kw_i32(q, 1000);
	kw_bool(q, c.validate_only);
	kw_tags(q);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	return kr_i16(&r);
}

static void
delete_topic(const char *name)
{
	struct writer *q = world_request(&w, API_DELETE_TOPICS, 1);

	kw_array(q, 1);
	kw_string(q, name);
	kw_i32(q, 1000);
}

/* Metadata version 4 of one topic: its error, and how many partitions. */
static int16_t
metadata(int fd, const char *name, bool create_it, int32_t *partitions)
{
	struct writer *q = world_request(&w, API_METADATA, 4);
	struct reader r;
	int16_t error;

	kw_array(q, 1);
	kw_string(q, name);
	kw_bool(q, create_it);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_i32(&r);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_i32(&r), w.ctl->conns->local_port);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_string(&r).len, strlen(storage_cluster_id(&fake)));
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	error = kr_i16(&r);
	(void)kr_string(&r);
	(void)kr_bool(&r);
	*partitions = kr_array(&r, 1000, 1);
	CU_ASSERT_FALSE(r.bad);
	return error;
}

static void
a_topic_is_in_the_catalogue_with_its_configuration(void)
{
	struct creation c = {"orders", 3, "retention.ms", "60000", false};
	int32_t n;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(create(fd, c), 0);
	CU_ASSERT_EQUAL(fake.partitions, 3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fake.catalogue);
	CU_ASSERT_EQUAL(strncmp(fake.catalogue, "version ", 8), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nt orders "));
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, " 3\nc orders retention.ms 60000\n"));
	CU_ASSERT_EQUAL(topics_find(w.ctl, view_text("orders"))->cfg.log.retention_ms, 60000);
	CU_ASSERT_EQUAL(metadata(fd, "orders", false, &n), 0);
	CU_ASSERT_EQUAL(n, 3);
	(void)close(fd);
	world_close(&w);
}

static void
what_cannot_be_made_is_refused_with_its_reason(void)
{
	static const char *const options[] = {"--max-partitions", "10", NULL};
	static const struct { struct creation c; int16_t error; } row[] = {
		{{"t", 1, NULL, NULL, false}, KIRA_E_TOPIC_ALREADY_EXISTS},
		{{"a.b", 1, NULL, NULL, false}, KIRA_E_INVALID_TOPIC_EXCEPTION}, /* beside a_b */
		{{"with blank", 1, NULL, NULL, false}, KIRA_E_INVALID_TOPIC_EXCEPTION},
		{{"..", 1, NULL, NULL, false}, KIRA_E_INVALID_TOPIC_EXCEPTION},
		{{"__consumer_offsets", 1, NULL, NULL, false}, KIRA_E_INVALID_TOPIC_EXCEPTION},
		{{"x", 0, NULL, NULL, false}, KIRA_E_INVALID_PARTITIONS},
		{{"x", 9, NULL, NULL, false}, KIRA_E_POLICY_VIOLATION},
		{{"x", 1, "retention.ms", "soon", false}, KIRA_E_INVALID_CONFIG},
		{{"x", 1, "no.such.thing", "1", false}, KIRA_E_INVALID_CONFIG},
		{{"x", 1, "retention.ms", NULL, false}, KIRA_E_INVALID_CONFIG},
		{{"x", 8, "retention.ms", "1", true}, 0},
	};
	int fd;

	world_open(&w, options);
	(void)world_topic(&w, "t", 1);
	(void)world_topic(&w, "a_b", 1);
	fd = world_connect(&w);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		CU_ASSERT_EQUAL(create(fd, row[i].c), row[i].error);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 2); /* validate_only made nothing */
	(void)close(fd);
	world_close(&w);
}

static void
a_name_twice_in_one_request_makes_neither(void)
{
	struct writer *q;
	struct reader r;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	q = world_request(&w, API_CREATE_TOPICS, 2);
	kw_array(q, 2);
	for (unsigned i = 0; i < 2; i++) {
		kw_string(q, "t");
		kw_i32(q, 1);
		kw_i16(q, 1);
		kw_array(q, 0);
		kw_array(q, 0);
	}
	kw_i32(q, 1000);
	kw_bool(q, false);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 2, 1), 2);
	for (unsigned i = 0; i < 2; i++) {
		(void)kr_string(&r);
		CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_INVALID_REQUEST);
		(void)kr_string(&r);
	}
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	(void)close(fd);
	world_close(&w);
}

static void
a_disk_that_fails_leaves_no_topic_behind(void)
{
	struct creation c = {"t", 1, NULL, NULL, false};
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	fake.fail_rc = -ENOSPC;
	CU_ASSERT_EQUAL(create(fd, c), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	CU_ASSERT_EQUAL(w.ctl->topics.partitions, 0);
	CU_ASSERT_EQUAL(create(fd, c), 0);
	(void)close(fd);
	world_close(&w);
}

static void
one_catalogue_is_written_at_a_time_and_each_holds_what_is_true_then(void)
{
	const struct topic_spec a = {.name = view_text("a"), .partitions = 1};
	const struct topic_spec b = {.name = view_text("b"), .partitions = 1};
	struct topic *t;
	struct err err;

	world_open(&w, NULL);
	fake.hold_ops = true;
	CU_ASSERT_EQUAL(topics_create(w.ctl, &a, &t, &err), 0);
	CU_ASSERT_EQUAL(topics_create(w.ctl, &b, &t, &err), 0);
	world_run(&w);
	CU_ASSERT_EQUAL(fake.ops, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nt a "));
	CU_ASSERT_PTR_NULL(strstr(fake.catalogue, "\nt b "));
	CU_ASSERT_FALSE(topics_idle(w.ctl));
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nt a "));
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nt b "));
	CU_ASSERT_TRUE(topics_idle(w.ctl));
	world_close(&w);
}

static void
deleting_forgets_first_then_detaches_then_unlinks(void)
{
	struct reader r;
	bool closed;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 2);
	fd = world_connect(&w);
	w.lazy = true;
	delete_topic("t");
	world_send(&w, fd);
	CU_ASSERT_PTR_NULL(topics_find(w.ctl, view_text("t")));
	CU_ASSERT_EQUAL(lcores.rx_queued, 1);
	CU_ASSERT_EQUAL(lcores.rx[0]->kind, RX_FORGET_TOPIC);
	CU_ASSERT_EQUAL(lcores.queued, 0);
	(void)lcores_rx_turn();
	world_run(&w);
	CU_ASSERT_EQUAL(lcores.queued, 2);
	CU_ASSERT_EQUAL(lcores.queue[1]->kind, STORE_DETACH);
	CU_ASSERT_EQUAL(fake.partitions, 2);
	fake.hold_ops = true;
	(void)lcores_store_turn();
	world_run(&w);
	CU_ASSERT_EQUAL(fake.ops, 1);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NULL(r.p); /* answered when the disk no longer names it */
	fake.hold_ops = false;
	world_run(&w);
	CU_ASSERT_PTR_NULL(strstr(fake.catalogue, "\nt t "));
	CU_ASSERT_EQUAL(fake.partitions, 0);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	(void)close(fd);
	world_close(&w);
}

static void
a_topic_is_deleted_by_id_and_by_name_but_not_by_both(void)
{
	struct topic *t;
	int fd;

	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	for (unsigned both = 2; both-- > 0;) {
		struct writer *q = world_request(&w, API_DELETE_TOPICS, 6);
		struct reader r;

		kw_array(q, 1);
		kw_string(q, both ? "t" : NULL);
		kw_raw(q, t->id, sizeof(t->id));
		kw_tags(q);
		kw_i32(q, 1000);
		kw_tags(q);
		r = world_ask(&w, fd);
		(void)kr_i32(&r);
		CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
		CU_ASSERT_EQUAL(kr_string(&r).len, 1);
		(void)kr_take(&r, 16);
		CU_ASSERT_EQUAL(kr_i16(&r), both ? KIRA_E_INVALID_REQUEST : 0);
	}
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	(void)close(fd);
	world_close(&w);
}

static void
metadata_makes_a_named_topic_and_answers_with_its_leader(void)
{
	static const char *const options[] = {"--num-partitions", "4", NULL};
	int32_t n;
	int fd;

	world_open(&w, options);
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(metadata(fd, "t", false, &n), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(metadata(fd, "__consumer_offsets", true, &n),
		KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(metadata(fd, "b ad", true, &n), KIRA_E_INVALID_TOPIC_EXCEPTION);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	CU_ASSERT_EQUAL(metadata(fd, "t", true, &n), 0);
	CU_ASSERT_EQUAL(n, 4);
	(void)close(fd);
	world_close(&w);
}

static void
metadata_makes_nothing_where_the_broker_forbids_it(void)
{
	static const char *const options[] = {"--auto-create-topics=false", NULL};
	int32_t n;
	int fd;

	world_open(&w, options);
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(metadata(fd, "t", true, &n), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	(void)close(fd);
	world_close(&w);
}

/* Metadata from version 10 on, of one topic by name, id or both; its error. What the answer calls it: *name, *id. */
static int16_t
metadata_by(int fd, int16_t version, const char *name, const uint8_t id[16], struct view *ret_name,
	const uint8_t **ret_id)
{
	struct writer *q = world_request(&w, API_METADATA, version);
	struct reader r;
	int16_t error;

	kw_array(q, 1);
	kw_raw(q, id, 16);
	kw_string(q, name);
	kw_tags(q);
	kw_bool(q, true);
	if (version == 10)
		kw_bool(q, false);
	kw_bool(q, false);
	kw_tags(q);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_i32(&r);
	(void)kr_string(&r);
	(void)kr_i32(&r);
	(void)kr_string(&r);
	kr_tags(&r);
	(void)kr_string(&r);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	error = kr_i16(&r);
	*ret_name = kr_string(&r);
	*ret_id = kr_take(&r, 16);
	CU_ASSERT_FALSE_FATAL(r.bad);
	return error;
}

static void
metadata_tells_ids_and_finds_a_topic_by_id(void)
{
	static const uint8_t none[16], other[16] = {1};
	const struct topic *t;
	const uint8_t *id;
	struct view name;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "s", 1);
	t = world_topic(&w, "t", 1);
	fd = world_connect(&w);
	for (int16_t version = 10; version <= 12; version++) {
		CU_ASSERT_EQUAL(metadata_by(fd, version, "t", none, &name, &id), 0);
		CU_ASSERT_EQUAL(memcmp(id, t->id, 16), 0);
	}
	CU_ASSERT_EQUAL(metadata_by(fd, 12, NULL, t->id, &name, &id), 0);
	CU_ASSERT(name.len == 1 && name.p[0] == 't');
	CU_ASSERT_EQUAL(metadata_by(fd, 12, NULL, other, &name, &id), KIRA_E_UNKNOWN_TOPIC_ID);
	CU_ASSERT_PTR_NULL(name.p);
	CU_ASSERT_EQUAL(memcmp(id, other, 16), 0);
	/* An id counts, a name beside it does not; the older versions take none, and make nothing. */
	CU_ASSERT_EQUAL(metadata_by(fd, 12, "new", t->id, &name, &id), 0);
	CU_ASSERT_EQUAL(metadata_by(fd, 12, "new", other, &name, &id), KIRA_E_UNKNOWN_TOPIC_ID);
	CU_ASSERT_EQUAL(metadata_by(fd, 11, NULL, t->id, &name, &id), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(metadata_by(fd, 11, NULL, none, &name, &id), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(metadata_by(fd, 10, "new", other, &name, &id), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 2);
	(void)close(fd);
	world_close(&w);
}

static void
topics_of_one_bucket_are_told_apart_by_id(void)
{
	struct topic *t[3];

	world_open(&w, NULL);
	for (unsigned i = 0; i < 3; i++) {
		const char name[2] = {(char)('a' + i), 0};

		t[i] = topic_make(name, 1);
		t[i]->id[0] = (uint8_t)i; /* the last bytes choose the bucket */
		t[i]->state = TOPIC_LIVE;
		topic_link(w.ctl, t[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_PTR_EQUAL(topics_find_id(w.ctl, t[i]->id), t[i]);
	topic_unlink(w.ctl, t[1]);
	CU_ASSERT_PTR_EQUAL(topics_find_id(w.ctl, t[0]->id), t[0]);
	CU_ASSERT_PTR_NULL(topics_find_id(w.ctl, t[1]->id));
	CU_ASSERT_PTR_EQUAL(topics_find_id(w.ctl, t[2]->id), t[2]);
	t[2]->state = TOPIC_DELETING;
	CU_ASSERT_PTR_NULL(topics_find_id(w.ctl, t[2]->id));
	for (unsigned i = 0; i < 3; i++) {
		if (i != 1)
			topic_unlink(w.ctl, t[i]);
		topic_free(t[i]);
	}
	world_close(&w);
}

static void
forbidden_deletions_are_told_in_a_code_that_the_client_knows(void)
{
	static const char *const options[] = {"--delete-topics=false", NULL};
	struct reader r;
	int fd;

	world_open(&w, options);
	(void)world_topic(&w, "t", 1);
	fd = world_connect(&w);
	for (int16_t version = 1; version <= 3; version++) {
		struct writer *q = world_request(&w, API_DELETE_TOPICS, version);

		kw_array(q, 1);
		kw_string(q, "t");
		kw_i32(q, 1000);
		r = world_ask(&w, fd);
		(void)kr_i32(&r);
		CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
		(void)kr_string(&r);
		CU_ASSERT_EQUAL(kr_i16(&r), version < 3 ? KIRA_E_INVALID_REQUEST : KIRA_E_TOPIC_DELETION_DISABLED);
	}
	CU_ASSERT_EQUAL(w.ctl->topics.n, 1);
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("create", a_topic_is_in_the_catalogue_with_its_configuration),
	UT("create", what_cannot_be_made_is_refused_with_its_reason),
	UT("create", a_name_twice_in_one_request_makes_neither),
	UT("create", a_disk_that_fails_leaves_no_topic_behind),
	UT("create", one_catalogue_is_written_at_a_time_and_each_holds_what_is_true_then),
	UT("delete", deleting_forgets_first_then_detaches_then_unlinks),
	UT("delete", a_topic_is_deleted_by_id_and_by_name_but_not_by_both),
	UT("delete", forbidden_deletions_are_told_in_a_code_that_the_client_knows),
	UT("list", topics_of_one_bucket_are_told_apart_by_id),
	UT("metadata", metadata_tells_ids_and_finds_a_topic_by_id),
	UT("metadata", metadata_makes_a_named_topic_and_answers_with_its_leader),
	UT("metadata", metadata_makes_nothing_where_the_broker_forbids_it),
};

UT_MAIN(tests)
