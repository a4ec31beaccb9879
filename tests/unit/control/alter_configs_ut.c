/* SPDX-License-Identifier: MIT
 * alter_configs_ut.c - AlterConfigs and IncrementalAlterConfigs: what is judged, the order of disk, lcores and
 * answer, and changes that meet. */
#include "base/bits.h"
#include "base/clock.h"
#include "control/topic_alter.h"
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world w;
static int fd;
static struct topic *topic;
static char message[256];

struct change {
	const char *name;
	int8_t operation; /* not sent by 33 */
	const char *value;
};

#define SET      0
#define DELETE   1
#define APPEND   2
#define SUBTRACT 3

static void
build(enum api_key key, int16_t version, int8_t type, const char *name, const struct change *change, int32_t n,
	bool validate_only)
{
	struct writer *q = world_request(&w, key, version);

	kw_array(q, 1);
	kw_i8(q, type);
	kw_string(q, name);
	kw_array(q, n);
	for (int32_t i = 0; i < n; i++) {
		kw_string(q, change[i].name);
		if (key == API_INCREMENTAL_ALTER_CONFIGS)
			kw_i8(q, change[i].operation);
		kw_string(q, change[i].value);
		kw_tags(q);
	}
	kw_tags(q);
	kw_bool(q, validate_only);
	kw_tags(q);
}

static int16_t
result(struct reader *r)
{
	const int16_t error = kr_i16(r);
	const struct view v = kr_string(r);

	(void)snprintf(message, sizeof(message), "%.*s", (int)v.len, v.p ? (const char *)v.p : "");
	CU_ASSERT_EQUAL(error == 0, v.p == NULL);
	(void)kr_i8(r);
	(void)kr_string(r);
	kr_tags(r);
	CU_ASSERT_FALSE(r->bad);
	return error;
}

static int16_t
first_result(struct reader r)
{
	int16_t error;

	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	error = result(&r);
	kr_tags(&r);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	return error;
}

/* One change of topic t by 44. */
static int16_t
change(const char *name, int8_t operation, const char *value)
{
	const struct change c = {name, operation, value};

	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "t", &c, 1, false);
	return first_result(world_ask(&w, fd));
}

static const struct partition_config *
at_lcore(int32_t partition)
{
	unsigned times;

	return fake_config(topic->part->part[partition], &times);
}

static unsigned
times_told(void)
{
	unsigned times;

	(void)fake_config(topic->part->part[0], &times);
	return times;
}

static void
begin(void)
{
	world_open(&w, NULL);
	topic = world_topic(&w, "t", 2);
	fd = world_connect(&w);
}

static const struct change minute = {"retention.ms", SET, "60000"};

static void
send_change(int at, const struct change *c)
{
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "t", c, 1, false);
	world_send(&w, at);
}

/* A client has asked for retention.ms=60000, and the disk stands still. */
static void
begin_under_way(void)
{
	begin();
	fake.hold_ops = true;
	send_change(fd, &minute);
}

static void
disk_goes_on(void)
{
	fake.hold_ops = false;
	world_run(&w);
}

static void
end(void)
{
	(void)close(fd);
	world_close(&w);
}

static void
a_change_is_in_the_catalogue_and_at_every_lcore_when_it_is_answered(void)
{
	begin();
	for (int16_t version = 0; version <= 1; version++) {
		const struct change c[] = {{"retention.ms", SET, version ? "70000" : "60000"},
			{"compression.type", SET, "lz4"}};

		build(API_INCREMENTAL_ALTER_CONFIGS, version, 2, "t", c, 2, false);
		CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), 0);
		CU_ASSERT_EQUAL(topic->cfg.log.retention_ms, version ? 70000 : 60000);
		CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, version ? "\nc t retention.ms 70000\n" : "\nc t retention.ms 60000\n"));
		CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nc t compression.type lz4\n"));
		for (int32_t p = 0; p < 2; p++) {
			CU_ASSERT_EQUAL(at_lcore(p)->retention_ms, version ? 70000 : 60000);
			CU_ASSERT_TRUE(at_lcore(p)->rewrite_lz4);
		}
	}
	/* To be deleted: the default again, and no line. */
	CU_ASSERT_EQUAL(change("retention.ms", DELETE, NULL), 0);
	CU_ASSERT_EQUAL(at_lcore(1)->retention_ms, 604800000);
	CU_ASSERT_PTR_NULL(strstr(fake.catalogue, "retention.ms"));
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nc t compression.type lz4\n"));
	end();
}

static void
alter_configs_replaces_all_that_is_set(void)
{
	const struct change one = {"segment.ms", 0, "5000"}, both[] = {{"retention.ms", 0, "1"}, {"segment.ms", 0, "2"}};

	begin();
	for (int16_t version = 0; version <= 2; version++) {
		build(API_ALTER_CONFIGS, version, 2, "t", both, 2, false);
		CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), 0);
		CU_ASSERT_EQUAL(at_lcore(0)->retention_ms, 1);
		build(API_ALTER_CONFIGS, version, 2, "t", &one, 1, false);
		CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), 0);
		CU_ASSERT_EQUAL(at_lcore(0)->retention_ms, 604800000);
		CU_ASSERT_EQUAL(at_lcore(0)->segment_ms, 5000);
		CU_ASSERT_EQUAL(topic->configs, 1);
	}
	build(API_ALTER_CONFIGS, 2, 2, "t", NULL, 0, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), 0);
	CU_ASSERT_EQUAL(topic->configs, 0);
	end();
}

static void
what_cannot_be_is_refused_with_its_reason_and_nothing_changes(void)
{
	const struct change good_and_bad[] = {{"retention.ms", SET, "60000"}, {"segment.bytes", SET, "1"}},
		twice[] = {{"retention.ms", SET, "1"}, {"retention.ms", DELETE, NULL}},
		tight[] = {{"max.message.bytes", SET, "2000000"}, {"segment.bytes", SET, "1048576"}};

	begin();
	CU_ASSERT_EQUAL(change("no.such.thing", SET, "1"), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "no.such.thing"));
	CU_ASSERT_EQUAL(change("retention.ms", SET, "soon"), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "from -1 to"));
	CU_ASSERT_EQUAL(change("cleanup.policy", SET, "compact"), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "only delete is offered"));
	CU_ASSERT_EQUAL(change("cleanup.policy", SET, "delete"), 0);
	CU_ASSERT_EQUAL(change("preallocate", SET, "false"), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_EQUAL(change("cleanup.policy", DELETE, NULL), 0);
	CU_ASSERT_EQUAL(change("retention.ms", SET, NULL), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(change("retention.ms", 4, "1"), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(change("retention.ms", SET, "1111111111111111111111111111111111111111111111111111111111111111"),
		KIRA_E_INVALID_CONFIG);
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "t", twice, 2, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "twice"));
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "t", tight, 2, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_INVALID_CONFIG);
	/* All or nothing. */
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "t", good_and_bad, 2, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_EQUAL(topic->cfg.log.retention_ms, 604800000);
	CU_ASSERT_EQUAL(topic->configs, 0);
	CU_ASSERT_EQUAL(times_told(), 2); /* the two that went through */
	end();
}

static void
only_lists_take_append_and_subtract(void)
{
	begin();
	CU_ASSERT_EQUAL(change("retention.ms", APPEND, "1"), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "no list"));
	CU_ASSERT_EQUAL(change("retention.ms", SUBTRACT, "1"), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_EQUAL(change("cleanup.policy", APPEND, "delete"), 0); /* it is there */
	CU_ASSERT_STRING_EQUAL(topic->config[1], "delete");
	CU_ASSERT_EQUAL(change("cleanup.policy", APPEND, "compact"), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "cleanup.policy=delete,compact"));
	CU_ASSERT_EQUAL(change("cleanup.policy", SUBTRACT, "compact"), 0); /* it is not there */
	CU_ASSERT_STRING_EQUAL(topic->config[1], "delete");
	CU_ASSERT_EQUAL(change("cleanup.policy", SUBTRACT, "delete"), KIRA_E_INVALID_CONFIG);
	end();
}

static void
validate_only_changes_nothing(void)
{
	const struct change good = {"retention.ms", SET, "60000"}, bad = {"retention.ms", SET, "-7"};
	uint64_t version;

	begin();
	version = w.ctl->topics.version;
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "t", &good, 1, true);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), 0);
	build(API_ALTER_CONFIGS, 2, 2, "t", &bad, 1, true);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_INVALID_CONFIG);
	CU_ASSERT_EQUAL(topic->configs, 0);
	CU_ASSERT_EQUAL(w.ctl->topics.version, version);
	CU_ASSERT_EQUAL(times_told(), 0);
	end();
}

static void
only_topics_of_clients_are_altered(void)
{
	const struct topic_spec spec = {.name = {(const uint8_t *)"__consumer_offsets", 18}, .partitions = 1,
		.internal = true};
	struct topic *own = NULL;
	struct err err;

	begin();
	CU_ASSERT_EQUAL_FATAL(topics_create(w.ctl, &spec, &own, &err), 0);
	world_run(&w);
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "__consumer_offsets", &minute, 1, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_INVALID_TOPIC_EXCEPTION);
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "none", &minute, 1, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 4, "1", &minute, 1, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "kirad.conf"));
	build(API_ALTER_CONFIGS, 0, 8, "1", &minute, 1, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_INVALID_REQUEST);
	end();
}

static void
the_answer_waits_for_the_disk_and_then_for_the_lcores(void)
{
	bool closed;

	begin_under_way();
	CU_ASSERT_PTR_NULL(world_answer(&w, fd, &closed).p);
	CU_ASSERT_EQUAL(topic->cfg.log.retention_ms, 604800000); /* not before the disk has it */
	CU_ASSERT_EQUAL(times_told(), 0);
	CU_ASSERT_FALSE(topics_idle(w.ctl));
	w.lazy = true;
	disk_goes_on();
	CU_ASSERT_PTR_NULL(world_answer(&w, fd, &closed).p);
	CU_ASSERT_EQUAL(topic->cfg.log.retention_ms, 60000);
	w.lazy = false;
	world_run(&w);
	CU_ASSERT_EQUAL(first_result(world_answer(&w, fd, &closed)), 0);
	CU_ASSERT_EQUAL(times_told(), 1);
	CU_ASSERT_TRUE(topics_idle(w.ctl));
	end();
}

static void
a_disk_that_fails_leaves_all_as_it_was(void)
{
	begin();
	fake.fail_rc = -EIO;
	build(API_INCREMENTAL_ALTER_CONFIGS, 1, 2, "t", &minute, 1, false);
	CU_ASSERT_EQUAL(first_result(world_ask(&w, fd)), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "told to fail"));
	CU_ASSERT_EQUAL(topic->configs, 0);
	CU_ASSERT_EQUAL(times_told(), 0);
	CU_ASSERT_EQUAL(change("segment.ms", SET, "5000"), 0);
	CU_ASSERT_PTR_NULL(strstr(fake.catalogue, "retention.ms"));
	end();
}

/* The second is judged by what the first has made of the topic. */
static void
changes_of_a_topic_come_one_after_the_other(void)
{
	const struct change b = {"segment.ms", SET, "5000"};
	bool closed;
	int other;

	begin();
	other = world_connect(&w);
	fake.hold_ops = true;
	send_change(fd, &minute);
	send_change(other, &b);
	CU_ASSERT_EQUAL(fake.ops, 1);
	disk_goes_on();
	CU_ASSERT_EQUAL(first_result(world_answer(&w, fd, &closed)), 0);
	CU_ASSERT_EQUAL(first_result(world_answer(&w, other, &closed)), 0);
	CU_ASSERT_EQUAL(at_lcore(0)->retention_ms, 60000);
	CU_ASSERT_EQUAL(at_lcore(0)->segment_ms, 5000);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, "\nc t retention.ms 60000\nc t segment.ms 5000\n"));
	(void)close(other);
	end();
}

static void
a_change_goes_on_when_its_client_goes(void)
{
	begin_under_way();
	world_reset(&w, fd);
	disk_goes_on();
	CU_ASSERT_EQUAL(at_lcore(1)->retention_ms, 60000);
	CU_ASSERT_PTR_NULL(topic->altering);
	fd = world_connect(&w);
	end();
}

static void
what_a_change_shows_is_given_to_a_fetch_that_waits(void)
{
	const struct change log = {"kira.visibility", SET, "log"};
	struct writer *q;
	uint8_t byte;
	int consumer;

	begin();
	consumer = world_connect(&w);
	CU_ASSERT_EQUAL(change("kira.visibility", SET, "disk"), 0);
	fake_put(topic->part->part[1], 1, 100);
	fake_hide(topic->part->part[1], 1);
	q = world_request(&w, API_FETCH, 4);
	kw_i32(q, -1);
	kw_i32(q, 5000); /* it may wait */
	kw_i32(q, 1);
	kw_i32(q, MIB);
	kw_i8(q, 0);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, 1);
	kw_i32(q, 1);
	kw_i64(q, 0);
	kw_i32(q, MIB);
	world_send(&w, consumer);
	send_change(fd, &log);
	world_pass(&w, 2 * NS_PER_MS);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetches_parked), 1);
	CU_ASSERT_EQUAL(w.ctl->fetches.parked.n, 0);
	CU_ASSERT_EQUAL(recv(consumer, &byte, 1, MSG_DONTWAIT), 1);
	(void)close(consumer);
	end();
}

static void
a_disk_that_stands_still_is_answered_after_30_seconds(void)
{
	bool closed;

	begin_under_way();
	world_pass(&w, 29 * NS_PER_S);
	CU_ASSERT_PTR_NULL(world_answer(&w, fd, &closed).p);
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(first_result(world_answer(&w, fd, &closed)), KIRA_E_REQUEST_TIMED_OUT);
	disk_goes_on();
	CU_ASSERT_EQUAL(at_lcore(0)->retention_ms, 60000); /* as it was told: perhaps later */
	end();
}

static void
a_topic_that_is_deleted_meanwhile_is_unknown(void)
{
	bool closed;

	begin_under_way();
	topics_delete(w.ctl, topic);
	world_run(&w);
	disk_goes_on();
	CU_ASSERT_EQUAL(first_result(world_answer(&w, fd, &closed)), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(w.ctl->topics.n, 0);
	CU_ASSERT_PTR_NULL(strstr(fake.catalogue, "\nt t "));
	end();
}

static void
each_topic_of_a_request_is_answered_by_itself(void)
{
	struct writer *q;
	struct reader r;

	begin();
	(void)world_topic(&w, "u", 1);
	q = world_request(&w, API_INCREMENTAL_ALTER_CONFIGS, 0);
	kw_array(q, 4);
	for (int i = 0; i < 4; i++) {
		static const char *const name[] = {"u", "t", "none", "t"};

		kw_i8(q, 2);
		kw_string(q, name[i]);
		kw_array(q, 1);
		kw_string(q, "retention.ms");
		kw_i8(q, SET);
		kw_string(q, "60000");
	}
	kw_bool(q, false);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 4, 1), 4);
	CU_ASSERT_EQUAL(result(&r), 0);
	CU_ASSERT_EQUAL(result(&r), KIRA_E_INVALID_REQUEST); /* named twice */
	CU_ASSERT_EQUAL(result(&r), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(result(&r), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(topic->configs, 0);
	end();
}

/* Whichever comes first, the new partitions have what the topic is altered to. */
static void
a_topic_grows_and_is_altered_at_once(void)
{
	bool closed;

	for (int grow_first = 0; grow_first < 2; grow_first++) {
		begin();
		fake.hold_ops = true;
		if (grow_first)
			topics_grow(w.ctl, topic, 4);
		send_change(fd, &minute);
		if (!grow_first)
			topics_grow(w.ctl, topic, 4);
		world_run(&w);
		CU_ASSERT_EQUAL(fake.ops, 1);
		disk_goes_on();
		CU_ASSERT_EQUAL(first_result(world_answer(&w, fd, &closed)), 0);
		CU_ASSERT_EQUAL_FATAL(topic->partitions, 4);
		for (int32_t p = 0; p < 4; p++)
			CU_ASSERT_EQUAL(at_lcore(p)->retention_ms, 60000);
		CU_ASSERT_PTR_NOT_NULL(strstr(fake.catalogue, " 4\nc t retention.ms 60000\n"));
		end();
	}
}

static const struct ut_test tests[] = {
	UT("alter_configs", a_change_is_in_the_catalogue_and_at_every_lcore_when_it_is_answered),
	UT("alter_configs", alter_configs_replaces_all_that_is_set),
	UT("alter_configs", what_cannot_be_is_refused_with_its_reason_and_nothing_changes),
	UT("alter_configs", only_lists_take_append_and_subtract),
	UT("alter_configs", validate_only_changes_nothing),
	UT("alter_configs", only_topics_of_clients_are_altered),
	UT("alter_configs", the_answer_waits_for_the_disk_and_then_for_the_lcores),
	UT("alter_configs", a_disk_that_fails_leaves_all_as_it_was),
	UT("alter_configs", changes_of_a_topic_come_one_after_the_other),
	UT("alter_configs", a_change_goes_on_when_its_client_goes),
	UT("alter_configs", what_a_change_shows_is_given_to_a_fetch_that_waits),
	UT("alter_configs", a_disk_that_stands_still_is_answered_after_30_seconds),
	UT("alter_configs", a_topic_that_is_deleted_meanwhile_is_unknown),
	UT("alter_configs", a_topic_grows_and_is_altered_at_once),
	UT("alter_configs", each_topic_of_a_request_is_answered_by_itself),
};
UT_MAIN(tests)
