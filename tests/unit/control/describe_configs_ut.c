/* SPDX-License-Identifier: MIT
 * describe_configs_ut.c - DescribeConfigs: values, their sources and synonyms, of topics and of the broker. */
#include "control/config_rows.h"
#include "control/topic_rows.h"
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <unistd.h>

#define ROWS_MAX 128

static struct world w;
static int fd;

struct row {
	char name[64], value[256], help[256];
	bool null, read_only, documented;
	int8_t source, type;
	int32_t synonyms;
	struct {
		char name[64], value[64];
		int8_t source;
	} synonym[3];
};

/* The answer to the last resource asked for. */
static struct row row[ROWS_MAX];
static int32_t rows;
static char message[256];

static void
text(struct reader *r, char *ret, size_t size, bool *null)
{
	const struct view v = kr_string(r);

	if (null)
		*null = !v.p;
	(void)snprintf(ret, size, "%.*s", (int)v.len, v.p ? (const char *)v.p : "");
}

static int16_t
read_resource(struct reader *r, int16_t version)
{
	const int16_t error = kr_i16(r);

	text(r, message, sizeof(message), NULL);
	(void)kr_i8(r);
	(void)kr_string(r);
	rows = kr_array(r, ROWS_MAX, 1);
	for (int32_t i = 0; i < rows; i++) {
		text(r, row[i].name, sizeof(row[i].name), NULL);
		text(r, row[i].value, sizeof(row[i].value), &row[i].null);
		row[i].read_only = kr_bool(r);
		row[i].source = kr_i8(r);
		CU_ASSERT_FALSE(kr_bool(r));
		row[i].synonyms = kr_array(r, 3, 1);
		for (int32_t k = 0; k < row[i].synonyms; k++) {
			text(r, row[i].synonym[k].name, sizeof(row[i].synonym[k].name), NULL);
			text(r, row[i].synonym[k].value, sizeof(row[i].synonym[k].value), NULL);
			row[i].synonym[k].source = kr_i8(r);
			kr_tags(r);
		}
		if (version >= 3) {
			bool null;

			row[i].type = kr_i8(r);
			text(r, row[i].help, sizeof(row[i].help), &null);
			row[i].documented = !null;
		}
		kr_tags(r);
	}
	kr_tags(r);
	CU_ASSERT_FALSE(r->bad);
	return error;
}

/* One resource, all its configurations or one key; the error. */
static int16_t
describe(int16_t version, int8_t type, const char *name, const char *key, bool more)
{
	struct writer *q = world_request(&w, API_DESCRIBE_CONFIGS, version);
	struct reader r;
	int16_t error;

	kw_array(q, 1);
	kw_i8(q, type);
	kw_string(q, name);
	kw_array(q, key ? 1 : -1);
	if (key)
		kw_string(q, key);
	kw_tags(q);
	kw_bool(q, more);
	if (version >= 3)
		kw_bool(q, more);
	kw_tags(q);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 1, 1), 1);
	error = read_resource(&r, version);
	kr_tags(&r);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	return error;
}

static const struct row *
find(const char *name)
{
	static const struct row none;

	for (int32_t i = 0; i < rows; i++)
		if (strcmp(row[i].name, name) == 0)
			return &row[i];
	CU_FAIL("a configuration is missing");
	return &none;
}

static struct topic *
make_topic(const char *name, const char *key, const char *value, bool internal)
{
	struct topic_setting setting = {.row = (unsigned)topic_config_row(key, (uint32_t)strlen(key))};
	const struct topic_spec spec = {.name = {(const uint8_t *)name, (uint32_t)strlen(name)}, .partitions = 1,
		.internal = internal, .configs = 1, .config = &setting};
	struct topic *t = NULL;
	struct err err;

	(void)snprintf(setting.value, sizeof(setting.value), "%s", value);
	CU_ASSERT_EQUAL_FATAL(topics_create(w.ctl, &spec, &t, &err), 0);
	world_run(&w);
	return t;
}

static void
begin(const char *const *options)
{
	world_open(&w, options);
	fd = world_connect(&w);
}

static void
end(void)
{
	(void)close(fd);
	world_close(&w);
}

static void
a_topic_tells_each_value_and_where_it_comes_from(void)
{
	static const char *const options[] = {"--topic-default", "segment.bytes=2097152", NULL};

	begin(options);
	(void)make_topic("t", "retention.ms", "60000", false);
	for (int16_t version = 1; version <= 4; version++) {
		CU_ASSERT_EQUAL(describe(version, 2, "t", NULL, true), 0);
		CU_ASSERT_EQUAL(rows, (int32_t)topic_config_count());
		CU_ASSERT_STRING_EQUAL(find("retention.ms")->value, "60000");
		CU_ASSERT_EQUAL(find("retention.ms")->source, SOURCE_TOPIC);
		CU_ASSERT_STRING_EQUAL(find("segment.bytes")->value, "2097152");
		CU_ASSERT_EQUAL(find("segment.bytes")->source, SOURCE_BROKER);
		CU_ASSERT_STRING_EQUAL(find("cleanup.policy")->value, "delete");
		CU_ASSERT_EQUAL(find("cleanup.policy")->source, SOURCE_DEFAULT);
		CU_ASSERT_FALSE(find("retention.ms")->read_only);
	}
	CU_ASSERT_EQUAL(find("retention.ms")->type, CONFIG_LONG);
	CU_ASSERT_EQUAL(find("segment.bytes")->type, CONFIG_INT);
	CU_ASSERT_EQUAL(find("cleanup.policy")->type, CONFIG_LIST);
	CU_ASSERT_EQUAL(find("preallocate")->type, CONFIG_BOOLEAN);
	CU_ASSERT_EQUAL(find("min.cleanable.dirty.ratio")->type, CONFIG_DOUBLE);
	CU_ASSERT_EQUAL(find("compression.type")->type, CONFIG_STRING);
	end();
}

static void
synonyms_go_from_the_topic_to_the_default(void)
{
	static const char *const options[] = {"--topic-default", "retention.ms=5000", NULL};
	const struct row *k;

	begin(options);
	(void)make_topic("t", "retention.ms", "60000", false);
	CU_ASSERT_EQUAL(describe(4, 2, "t", "retention.ms", true), 0);
	k = find("retention.ms");
	CU_ASSERT_EQUAL_FATAL(k->synonyms, 3);
	CU_ASSERT_STRING_EQUAL(k->synonym[0].name, "retention.ms");
	CU_ASSERT_STRING_EQUAL(k->synonym[0].value, "60000");
	CU_ASSERT_EQUAL(k->synonym[0].source, SOURCE_TOPIC);
	CU_ASSERT_STRING_EQUAL(k->synonym[1].name, "log.retention.ms");
	CU_ASSERT_STRING_EQUAL(k->synonym[1].value, "5000");
	CU_ASSERT_EQUAL(k->synonym[1].source, SOURCE_BROKER);
	CU_ASSERT_STRING_EQUAL(k->synonym[2].value, "604800000");
	CU_ASSERT_EQUAL(k->synonym[2].source, SOURCE_DEFAULT);
	/* Kafka knows no broker's default of Kira's own. */
	CU_ASSERT_EQUAL(describe(4, 2, "t", "kira.ack.all", true), 0);
	CU_ASSERT_EQUAL(find("kira.ack.all")->synonyms, 0);
	end();
}

static void
synonyms_and_documentation_come_if_asked_for(void)
{
	begin(NULL);
	(void)make_topic("t", "retention.ms", "60000", false);
	CU_ASSERT_EQUAL(describe(3, 2, "t", NULL, true), 0);
	CU_ASSERT_TRUE(find("retention.ms")->documented);
	CU_ASSERT_PTR_NOT_NULL(strstr(find("retention.ms")->help, "segments"));
	CU_ASSERT_TRUE(find("retention.ms")->synonyms > 0);
	CU_ASSERT_EQUAL(describe(3, 2, "t", NULL, false), 0);
	CU_ASSERT_FALSE(find("retention.ms")->documented);
	CU_ASSERT_EQUAL(find("retention.ms")->synonyms, 0);
	end();
}

static void
only_the_keys_asked_for_come_and_unknown_ones_are_left_out(void)
{
	begin(NULL);
	(void)make_topic("t", "retention.ms", "60000", false);
	CU_ASSERT_EQUAL(describe(2, 2, "t", "segment.bytes", false), 0);
	CU_ASSERT_EQUAL(rows, 1);
	CU_ASSERT_STRING_EQUAL(row[0].name, "segment.bytes");
	CU_ASSERT_EQUAL(describe(2, 2, "t", "no.such.thing", false), 0);
	CU_ASSERT_EQUAL(rows, 0);
	CU_ASSERT_EQUAL(describe(2, 4, "", "num.partitions", false), 0);
	CU_ASSERT_EQUAL(rows, 1);
	end();
}

static void
the_broker_tells_its_options_under_kafkas_names(void)
{
	static const char *const options[] = {"--num-partitions", "7", "--topic-default", "retention.ms=5000",
		"--node-id", "31", NULL};

	begin(options);
	for (int by_id = 0; by_id < 2; by_id++) {
		CU_ASSERT_EQUAL(describe(4, 4, by_id ? "31" : "", NULL, true), 0);
		CU_ASSERT_TRUE(rows > CONFIG_ROWS);
		CU_ASSERT_STRING_EQUAL(find("num.partitions")->value, "7");
		CU_ASSERT_EQUAL(find("num.partitions")->source, SOURCE_BROKER);
		CU_ASSERT_EQUAL(find("num.partitions")->type, CONFIG_INT);
		CU_ASSERT_EQUAL(find("num.partitions")->synonyms, 2);
		CU_ASSERT_STRING_EQUAL(find("broker.id")->value, "31");
		CU_ASSERT_STRING_EQUAL(find("auto.create.topics.enable")->value, "true");
		CU_ASSERT_EQUAL(find("auto.create.topics.enable")->source, SOURCE_DEFAULT);
		CU_ASSERT_EQUAL(find("auto.create.topics.enable")->type, CONFIG_BOOLEAN);
		CU_ASSERT_EQUAL(find("listeners")->type, CONFIG_LIST);
		CU_ASSERT_STRING_EQUAL(find("disk.cap")->value, "0.8");
		CU_ASSERT_STRING_EQUAL(find("idle")->value, "adaptive");
		/* What topics get that set nothing themselves. */
		CU_ASSERT_STRING_EQUAL(find("log.retention.ms")->value, "5000");
		CU_ASSERT_EQUAL(find("log.retention.ms")->source, SOURCE_BROKER);
		CU_ASSERT_STRING_EQUAL(find("log.segment.bytes")->value, "1073741824");
		for (int32_t i = 0; i < rows; i++) {
			CU_ASSERT_TRUE(row[i].read_only && !row[i].null && *row[i].name);
			for (int32_t k = 0; k < i; k++)
				CU_ASSERT_STRING_NOT_EQUAL(row[i].name, row[k].name);
		}
	}
	CU_ASSERT_EQUAL(describe(4, 4, "3", NULL, false), KIRA_E_INVALID_REQUEST);
	end();
}

static void
what_is_not_there_is_refused_with_its_reason(void)
{
	begin(NULL);
	CU_ASSERT_EQUAL(describe(4, 2, "none", NULL, false), KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(rows, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "no such topic"));
	CU_ASSERT_EQUAL(describe(4, 2, "a b", NULL, false), KIRA_E_INVALID_TOPIC_EXCEPTION);
	CU_ASSERT_EQUAL(describe(4, 2, "", NULL, false), KIRA_E_INVALID_TOPIC_EXCEPTION);
	CU_ASSERT_EQUAL(describe(4, 4, "2", NULL, false), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(describe(4, 4, "11", NULL, false), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_EQUAL(describe(4, 8, "1", NULL, false), KIRA_E_INVALID_REQUEST);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "type 2"));
	end();
}

static void
the_brokers_own_topic_is_compacted_and_read_only(void)
{
	begin(NULL);
	(void)make_topic("__consumer_offsets", "segment.bytes", "2097152", true);
	CU_ASSERT_EQUAL(describe(4, 2, "__consumer_offsets", NULL, false), 0);
	CU_ASSERT_STRING_EQUAL(find("cleanup.policy")->value, "compact");
	CU_ASSERT_EQUAL(find("cleanup.policy")->source, SOURCE_TOPIC);
	CU_ASSERT_TRUE(find("cleanup.policy")->read_only);
	CU_ASSERT_STRING_EQUAL(find("segment.bytes")->value, "2097152");
	end();
}

static void
what_finds_no_room_is_refused_by_itself(void)
{
	enum { N = 4000 };
	struct writer *q;
	struct reader r;
	int32_t told = 0, refused = 0;

	begin(NULL);
	(void)make_topic("t", "retention.ms", "60000", false);
	q = world_request(&w, API_DESCRIBE_CONFIGS, 2);
	kw_array(q, N);
	for (int i = 0; i < N; i++) {
		kw_i8(q, 2);
		kw_string(q, "t");
		kw_array(q, -1);
	}
	kw_bool(q, true);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, N, 1), N);
	for (int i = 0; i < N; i++) {
		const int16_t error = read_resource(&r, 2);

		told += error == 0;
		refused += error == KIRA_E_POLICY_VIOLATION;
		CU_ASSERT_EQUAL(rows, error ? 0 : (int32_t)topic_config_count());
		if (error)
			CU_ASSERT_PTR_NOT_NULL(strstr(message, "fewer"));
	}
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	CU_ASSERT_TRUE(told > 500 && refused > 500 && told + refused == N);
	end();
}

static const struct ut_test tests[] = {
	UT("describe_configs", a_topic_tells_each_value_and_where_it_comes_from),
	UT("describe_configs", synonyms_go_from_the_topic_to_the_default),
	UT("describe_configs", synonyms_and_documentation_come_if_asked_for),
	UT("describe_configs", only_the_keys_asked_for_come_and_unknown_ones_are_left_out),
	UT("describe_configs", the_broker_tells_its_options_under_kafkas_names),
	UT("describe_configs", what_is_not_there_is_refused_with_its_reason),
	UT("describe_configs", the_brokers_own_topic_is_compacted_and_read_only),
	UT("describe_configs", what_finds_no_room_is_refused_by_itself),
};
UT_MAIN(tests)
