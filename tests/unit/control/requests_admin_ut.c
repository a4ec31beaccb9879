/* SPDX-License-Identifier: MIT
 * requests_admin_ut.c - requests of administration, decoded from golden bytes in an old and in a flexible version. */
#include "tests/unit/control/request_bytes.h"

static void
create_and_delete_topics_decode(void)
{
	struct request rq = BODY(19, 2, "\0\0\0\1\0\1t\0\0\0\4\0\1\0\0\0\0\0\0\0\1\0\x0cretention.ms"
		"\0\1" "1\0\0\x75\x30\1");
	struct q_create_topics ct;
	struct q_delete_topics dt;

	CU_ASSERT_TRUE(q_create_topics(&ct, &rq, &arena));
	CU_ASSERT_TRUE(ct.topic[0].partitions == 4 && ct.topic[0].replication_factor == 1);
	CU_ASSERT_TRUE(is(ct.topic[0].config[0].name, "retention.ms") && ct.validate_only);
	no_prefix_decodes(&rq);
	rq = BODY(19, 7, "\x02\x02t\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x03\0\0\0\1\0\0\0\2\0"
		"\1\0\0\0\x75\x30\0\0");
	CU_ASSERT_TRUE(q_create_topics(&ct, &rq, &arena));
	CU_ASSERT_TRUE(ct.topic[0].assignments == 1 && ct.topic[0].assignment[0].brokers == 2 &&
		ct.topic[0].assignment[0].first_broker == 1);
	no_prefix_decodes(&rq);
	rq = BODY(20, 1, "\0\0\0\1\0\1t\0\0\x75\x30");
	CU_ASSERT_TRUE(q_delete_topics(&dt, &rq, &arena) && is(dt.topic[0].name, "t"));
	no_prefix_decodes(&rq);
	rq = BODY(20, 6, "\x02\0" ID "\0\0\0\x75\x30\0");
	CU_ASSERT_TRUE(q_delete_topics(&dt, &rq, &arena) && !dt.topic[0].name.p);
	CU_ASSERT_EQUAL(memcmp(dt.topic[0].id, ID, 16), 0);
	no_prefix_decodes(&rq);
}

static void
create_partitions_decodes(void)
{
	struct request rq = BODY(37, 0, "\0\0\0\1\0\1t\0\0\0\4\xff\xff\xff\xff\0\0\x75\x30\1");
	struct q_create_partitions q;

	CU_ASSERT_TRUE_FATAL(q_create_partitions(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topics == 1 && is(q.topic[0].name, "t") && q.topic[0].count == 4);
	CU_ASSERT_TRUE(q.topic[0].assignments == -1 && q.validate_only);
	CU_ASSERT_EQUAL(q.timeout_ms, 30000);
	no_prefix_decodes(&rq);
	rq = BODY(37, 3, "\x02\x02t\0\0\0\4\x03\x02\0\0\0\1\0\x03\0\0\0\2\0\0\0\3\0\0\0\0\x75\x30\0\0");
	CU_ASSERT_TRUE_FATAL(q_create_partitions(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topic[0].assignments == 2 && !q.validate_only);
	CU_ASSERT_TRUE(q.topic[0].assignment[0].brokers == 1 && q.topic[0].assignment[0].first_broker == 1);
	CU_ASSERT_TRUE(q.topic[0].assignment[1].brokers == 2 && q.topic[0].assignment[1].first_broker == 2);
	no_prefix_decodes(&rq);
}

static void
access_rules_decode(void)
{
	int32_t n;
	struct request rq = BODY(29, 1, "\x02\xff\xff\x03\xff\xff\xff\xff\x01\x01");

	CU_ASSERT_TRUE(q_describe_acls(&rq));
	no_prefix_decodes(&rq);
	rq = BODY(29, 3, "\x02\x02t\x03\x00\x00\x01\x01\x00");
	no_prefix_decodes(&rq);
	rq = BODY(30, 1, "\x00\x00\x00\x01\x02\x00\x01t\x03\x00\x06User:a\x00\x01*\x03\x03");
	CU_ASSERT_TRUE(q_create_acls(&n, &rq) && n == 1);
	no_prefix_decodes(&rq);
	rq = BODY(30, 3, "\x02\x02\x02t\x03\x07User:a\x02*\x03\x03\x00\x00");
	CU_ASSERT_TRUE(q_create_acls(&n, &rq) && n == 1);
	no_prefix_decodes(&rq);
	rq = BODY(30, 3, "\2\2\0\3\7User:a\2*\3\3\0\0"); /* a rule names its resource */
	CU_ASSERT_FALSE(q_create_acls(&n, &rq));
	rq = BODY(31, 1, "\x00\x00\x00\x01\x02\xff\xff\x03\xff\xff\xff\xff\x01\x01");
	CU_ASSERT_TRUE(q_delete_acls(&n, &rq) && n == 1);
	no_prefix_decodes(&rq);
	rq = BODY(31, 3, "\x03\x02\x02t\x03\x00\x00\x01\x01\x00\x02\x00\x03\x00\x00\x01\x01\x00\x00");
	CU_ASSERT_TRUE(q_delete_acls(&n, &rq) && n == 2);
	no_prefix_decodes(&rq);
}

static void
requests_of_some_partitions_decode(void)
{
	struct request rq = BODY(35, 1, "\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03");
	struct q_partitions q;
	struct q_elect_leaders el;

	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && !q.all && q.topics == 1 && is(q.topic[0].name, "t"));
	CU_ASSERT_TRUE(q.topic[0].partitions == 2 && q.topic[0].partition[0] == 0 && q.topic[0].partition[1] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(35, 4, "\x02\x02t\x03\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00");
	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && q.topic[0].partition[1] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(61, 0, "\2\2t\2\0\0\0\3\0\0");
	CU_ASSERT_TRUE(q_describe_producers(&q, &rq, &arena) && q.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(61, 0, "\0\0"); /* all cannot be asked for */
	CU_ASSERT_FALSE(q_describe_producers(&q, &rq, &arena));
	rq = BODY(35, 4, "\0\0");
	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && q.all && q.topics == 0);
	rq = BODY(35, 4, "\1\0");
	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && !q.all && q.topics == 0);
	rq = BODY(43, 0, "\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00u0");
	CU_ASSERT_TRUE(q_elect_leaders(&el, &rq, &arena) && el.type == 0 && el.of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(43, 2, "\x01\x02\x02t\x02\x00\x00\x00\x03\x00\x00\x00u0\x00");
	CU_ASSERT_TRUE(q_elect_leaders(&el, &rq, &arena) && el.type == 1 && el.of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(46, 0, "\x00\x00u0\x02\x02t\x02\x00\x00\x00\x03\x00\x00");
	CU_ASSERT_TRUE(q_reassignments(&q, &rq, &arena) && q.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
}

static void
describe_topics_decodes(void)
{
	struct request rq = BODY(75, 0, "\x03\x02t\x00\x02u\x00\x00\x00\x07\xd0\x01\x02t\x00\x00\x00\x05\x00\x00");
	struct q_describe_topics q;

	CU_ASSERT_TRUE(q_describe_topics(&q, &rq, &arena) && q.topics == 2 && is(q.topic[1], "u"));
	CU_ASSERT_TRUE(q.limit == 2000 && q.has_cursor && is(q.cursor_topic, "t") && q.cursor_partition == 5);
	no_prefix_decodes(&rq);
	rq = BODY(75, 0, "\1\0\0\0\1\xff\0");
	CU_ASSERT_TRUE(q_describe_topics(&q, &rq, &arena) && q.topics == 0 && !q.has_cursor);
	no_prefix_decodes(&rq);
}

static void
delete_records_decodes(void)
{
	struct request rq = BODY(21, 0, "\0\0\0\1\0\1t\0\0\0\2\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\1"
		"\xff\xff\xff\xff\xff\xff\xff\xff\0\0\x75\x30");
	struct q_delete_records q;

	CU_ASSERT_TRUE_FATAL(q_delete_records(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topics == 1 && is(q.topic[0].name, "t") && q.topic[0].partitions == 2);
	CU_ASSERT_TRUE(q.topic[0].partition[0].partition == 0 && q.topic[0].partition[0].offset == 256);
	CU_ASSERT_TRUE(q.topic[0].partition[1].partition == 1 && q.topic[0].partition[1].offset == -1);
	CU_ASSERT_EQUAL(q.timeout_ms, 30000);
	no_prefix_decodes(&rq);
	rq = BODY(21, 2, "\x02\x02t\x02\0\0\0\3\0\0\0\0\0\0\0\7\0\0\0\0\x75\x30\0");
	CU_ASSERT_TRUE_FATAL(q_delete_records(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topic[0].partition[0].partition == 3 && q.topic[0].partition[0].offset == 7);
	no_prefix_decodes(&rq);
}

static void
describe_configs_decodes(void)
{
	struct request rq = BODY(32, 1, "\0\0\0\2\2\0\1t\xff\xff\xff\xff\4\0\0\0\0\0\1\0\1k\1");
	struct q_describe_configs q;

	CU_ASSERT_TRUE_FATAL(q_describe_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.resources == 2 && q.resource[0].type == RESOURCE_TOPIC && is(q.resource[0].name, "t"));
	CU_ASSERT_TRUE(q.resource[0].keys == -1 && q.resource[1].type == RESOURCE_BROKER);
	CU_ASSERT_TRUE(q.resource[1].name.len == 0 && q.resource[1].keys == 1 && is(q.resource[1].key[0], "k"));
	CU_ASSERT_TRUE(q.synonyms && !q.documentation);
	no_prefix_decodes(&rq);
	rq = BODY(32, 4, "\2\2\2t\2\2k\0\0\1\0");
	CU_ASSERT_TRUE_FATAL(q_describe_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.resource[0].name, "t") && is(q.resource[0].key[0], "k"));
	CU_ASSERT_TRUE(!q.synonyms && q.documentation);
	no_prefix_decodes(&rq);
}

static void
alter_configs_decodes(void)
{
	struct request rq = BODY(33, 0, "\0\0\0\1\2\0\1t\0\0\0\2\0\1k\0\1v\0\1l\xff\xff\1");
	struct q_alter_configs q;

	CU_ASSERT_TRUE_FATAL(q_alter_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.resources == 1 && q.resource[0].type == RESOURCE_TOPIC && is(q.resource[0].name, "t"));
	CU_ASSERT_TRUE(q.resource[0].changes == 2 && is(q.resource[0].change[0].name, "k"));
	CU_ASSERT_TRUE(is(q.resource[0].change[0].value, "v") && !q.resource[0].change[1].value.p);
	CU_ASSERT_TRUE(q.resource[0].change[1].operation == CONFIG_SET && q.validate_only);
	no_prefix_decodes(&rq);
	rq = BODY(44, 1, "\2\2\2t\3\2k\3\2v\0\2l\1\0\0\0\0\0");
	CU_ASSERT_TRUE_FATAL(q_incremental_alter_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.resource[0].changes == 2 && q.resource[0].change[0].operation == CONFIG_SUBTRACT);
	CU_ASSERT_TRUE(is(q.resource[0].change[0].value, "v") && q.resource[0].change[1].operation == CONFIG_DELETE);
	CU_ASSERT_TRUE(!q.resource[0].change[1].value.p && !q.validate_only);
	no_prefix_decodes(&rq);
}

static const struct ut_test tests[] = {
	UT("requests", create_and_delete_topics_decode),
	UT("requests", create_partitions_decodes),
	UT("requests", access_rules_decode),
	UT("requests", requests_of_some_partitions_decode),
	UT("requests", describe_topics_decodes),
	UT("requests", delete_records_decodes),
	UT("requests", describe_configs_decodes),
	UT("requests", alter_configs_decodes),
};

UT_MAIN(tests)
