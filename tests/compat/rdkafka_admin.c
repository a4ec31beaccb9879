/* SPDX-License-Identifier: MIT
 * rdkafka_admin.c - the administration by librdkafka's C interface, a step each: topics, partitions, configs, deletion,
 * groups, reset. Each asks, waits for the one event, and looks at each of its results. */
#include "tests/compat/rdkafka_client.h"

#include <string.h>

struct admin {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *event;    /* of the last request */
};

static struct admin
admin_open(void)
{
	const char *const setting[] = {NULL};
	struct admin a = {.rk = client_open(RD_KAFKA_PRODUCER, setting)};

	a.queue = rd_kafka_queue_new(a.rk);
	return a;
}

static void
admin_close(struct admin *a)
{
	if (a->event)
		rd_kafka_event_destroy(a->event);
	rd_kafka_queue_destroy(a->queue);
	rd_kafka_destroy(a->rk);
}

/* The answer to what was asked; the one before it is freed. */
static rd_kafka_event_t *
answer(struct admin *a, const char *what)
{
	if (a->event)
		rd_kafka_event_destroy(a->event);
	a->event = rd_kafka_queue_poll(a->queue, WAIT_MS);
	check(a->event, "%s: no answer", what);
	check(!rd_kafka_event_error(a->event), "%s: %s", what, rd_kafka_event_error_string(a->event));
	return a->event;
}

/* ---- Topics ---- */

static rd_kafka_resp_err_t
topic_create(struct admin *a, const char *name, int partitions, const char *retention_ms)
{
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, partitions, 1, NULL, 0);
	const rd_kafka_topic_result_t **result;
	size_t n;

	if (retention_ms)
		check(!rd_kafka_NewTopic_set_config(t, "retention.ms", retention_ms), "set_config");
	rd_kafka_CreateTopics(a->rk, &t, 1, NULL, a->queue);
	result = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer(a, "CreateTopics")), &n);
	rd_kafka_NewTopic_destroy(t);
	return rd_kafka_topic_result_error(result[0]);
}

/* How many partitions the topic has; 0: there is none. Asked for all topics: to name one would make it. */
static int
partitions_now(struct admin *a, const char *name)
{
	const struct rd_kafka_metadata *m;
	int n = 0;

	check(!rd_kafka_metadata(a->rk, 1, NULL, &m, WAIT_MS), "metadata");
	for (int i = 0; i < m->topic_cnt; i++)
		if (strcmp(m->topics[i].topic, name) == 0)
			n = m->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(m);
	return n;
}

static void
topics(struct admin *a)
{
	rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new("c-topic");
	const rd_kafka_topic_result_t **result;
	size_t n;

	check(!topic_create(a, "c-topic", 2, NULL), "the topic is not created");
	check(topic_create(a, "c-topic", 2, NULL) == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, "created twice");
	check(topic_create(a, "a/b", 2, NULL) == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "a name that is none");
	check(partitions_now(a, "c-topic") == 2, "not two partitions");
	for (int round = 0; round < 2; round++) {
		rd_kafka_resp_err_t err;

		rd_kafka_DeleteTopics(a->rk, &t, 1, NULL, a->queue);
		result = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(answer(a, "DeleteTopics")), &n);
		err = rd_kafka_topic_result_error(result[0]);
		check(err == (round == 0 ? 0 : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), "deleted: %s", rd_kafka_err2str(err));
	}
	check(partitions_now(a, "c-topic") == 0, "a deleted topic is listed");
	rd_kafka_DeleteTopic_destroy(t);
}

static rd_kafka_resp_err_t
partitions_raise(struct admin *a, const char *name, size_t to)
{
	char text[256];
	rd_kafka_NewPartitions_t *p = rd_kafka_NewPartitions_new(name, to, text, sizeof(text));
	const rd_kafka_topic_result_t **result;
	size_t n;

	check(p, "%s", text);
	rd_kafka_CreatePartitions(a->rk, &p, 1, NULL, a->queue);
	result = rd_kafka_CreatePartitions_result_topics(
		rd_kafka_event_CreatePartitions_result(answer(a, "CreatePartitions")), &n);
	rd_kafka_NewPartitions_destroy(p);
	return rd_kafka_topic_result_error(result[0]);
}

static void
partitions(struct admin *a)
{
	check(!topic_create(a, "c-more", 1, NULL), "the topic is not created");
	check(!partitions_raise(a, "c-more", 3), "no more partitions");
	check(partitions_raise(a, "c-more", 2) == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, "fewer partitions");
	check(partitions_now(a, "c-more") == 3, "not three partitions");
	produce_one("c-more", 2, "into the new one", 1700000000000);
}

/* ---- Configurations ---- */

static const char *
config_of(struct admin *a, rd_kafka_ResourceType_t type, const char *resource, const char *name, int *is_default)
{
	rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(type, resource);
	const rd_kafka_ConfigResource_t **found;
	const rd_kafka_ConfigEntry_t **entry;
	size_t n;

	rd_kafka_DescribeConfigs(a->rk, &r, 1, NULL, a->queue);
	found = rd_kafka_DescribeConfigs_result_resources(
		rd_kafka_event_DescribeConfigs_result(answer(a, "DescribeConfigs")), &n);
	rd_kafka_ConfigResource_destroy(r);
	check(n == 1 && !rd_kafka_ConfigResource_error(found[0]), "DescribeConfigs %s: %s", resource,
		n == 1 ? rd_kafka_ConfigResource_error_string(found[0]) : "no result");
	entry = rd_kafka_ConfigResource_configs(found[0], &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(rd_kafka_ConfigEntry_name(entry[i]), name) == 0) {
			*is_default = rd_kafka_ConfigEntry_is_default(entry[i]);
			return rd_kafka_ConfigEntry_value(entry[i]);
		}
	check(false, "%s has no %s", resource, name);
	return NULL;
}

static rd_kafka_resp_err_t
config_set(struct admin *a, const char *topic, const char *name, const char *value)
{
	rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	const rd_kafka_ConfigResource_t **found;
	size_t n;

	check(!rd_kafka_ConfigResource_set_config(r, name, value), "set_config");
	rd_kafka_AlterConfigs(a->rk, &r, 1, NULL, a->queue);
	found = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(answer(a, "AlterConfigs")), &n);
	rd_kafka_ConfigResource_destroy(r);
	return rd_kafka_ConfigResource_error(found[0]);
}

static void
configs(struct admin *a)
{
	const rd_kafka_ResourceType_t topic = RD_KAFKA_RESOURCE_TOPIC;
	int is_default;

	check(!topic_create(a, "c-configs", 1, "60000"), "the topic is not created");
	check(strcmp(config_of(a, topic, "c-configs", "retention.ms", &is_default), "60000") == 0 && !is_default, "retention.ms");
	(void)config_of(a, topic, "c-configs", "segment.bytes", &is_default);
	check(is_default, "segment.bytes is no default");
	check(!config_set(a, "c-configs", "segment.bytes", "2097152"), "segment.bytes is not set");
	check(strcmp(config_of(a, topic, "c-configs", "segment.bytes", &is_default), "2097152") == 0 && !is_default,
		"segment.bytes is another");
	/* The old request replaces the set: what it does not name is a default again. */
	check(strcmp(config_of(a, topic, "c-configs", "retention.ms", &is_default), "604800000") == 0 && is_default,
		"retention.ms is kept");
	check(config_set(a, "c-configs", "no.such", "1") == RD_KAFKA_RESP_ERR_INVALID_CONFIG, "an unknown configuration");
}

/* ---- Records ---- */

static void
deletion(struct admin *a)
{
	rd_kafka_topic_partition_list_t *below = partitions_of("c-delete", 1, 2);
	rd_kafka_DeleteRecords_t *d = rd_kafka_DeleteRecords_new(below);
	const rd_kafka_topic_partition_list_t *result;
	int64_t low, high;

	for (int i = 0; i < 3; i++)
		produce_one("c-delete", 0, "x", 1700000000000);
	rd_kafka_DeleteRecords(a->rk, &d, 1, NULL, a->queue);
	result = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(answer(a, "DeleteRecords")));
	check(!result->elems[0].err && result->elems[0].offset == 2, "deleted below %lld", (long long)result->elems[0].offset);
	check(!rd_kafka_query_watermark_offsets(a->rk, "c-delete", 0, &low, &high, WAIT_MS) && low == 2 && high == 3,
		"afterwards %lld to %lld", (long long)low, (long long)high);
	rd_kafka_DeleteRecords_destroy(d);
	rd_kafka_topic_partition_list_destroy(below);
}

/* ---- Groups: c-commits, which the step `commits` left with an offset ---- */

static int64_t
group_offset(struct admin *a)
{
	rd_kafka_topic_partition_list_t *which = partitions_of("c-commits", 1, -1);
	rd_kafka_ListConsumerGroupOffsets_t *l = rd_kafka_ListConsumerGroupOffsets_new("c-commits", which);
	const rd_kafka_group_result_t **result;
	size_t n;

	rd_kafka_ListConsumerGroupOffsets(a->rk, &l, 1, NULL, a->queue);
	result = rd_kafka_ListConsumerGroupOffsets_result_groups(
		rd_kafka_event_ListConsumerGroupOffsets_result(answer(a, "ListConsumerGroupOffsets")), &n);
	rd_kafka_ListConsumerGroupOffsets_destroy(l);
	rd_kafka_topic_partition_list_destroy(which);
	check(n == 1 && !rd_kafka_group_result_error(result[0]), "ListConsumerGroupOffsets");
	return rd_kafka_group_result_partitions(result[0])->elems[0].offset;
}

static void
reset(struct admin *a)
{
	rd_kafka_topic_partition_list_t *to = partitions_of("c-commits", 1, 1);
	rd_kafka_AlterConsumerGroupOffsets_t *alter = rd_kafka_AlterConsumerGroupOffsets_new("c-commits", to);
	rd_kafka_DeleteConsumerGroupOffsets_t *remove = rd_kafka_DeleteConsumerGroupOffsets_new("c-commits", to);
	const rd_kafka_group_result_t **result;
	size_t n;

	check(group_offset(a) == 3, "the step before committed 3");
	rd_kafka_AlterConsumerGroupOffsets(a->rk, &alter, 1, NULL, a->queue);
	result = rd_kafka_AlterConsumerGroupOffsets_result_groups(
		rd_kafka_event_AlterConsumerGroupOffsets_result(answer(a, "AlterConsumerGroupOffsets")), &n);
	check(!rd_kafka_group_result_error(result[0]) && !rd_kafka_group_result_partitions(result[0])->elems[0].err, "altered");
	check(group_offset(a) == 1, "another offset than was set");
	rd_kafka_DeleteConsumerGroupOffsets(a->rk, &remove, 1, NULL, a->queue);
	result = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
		rd_kafka_event_DeleteConsumerGroupOffsets_result(answer(a, "DeleteConsumerGroupOffsets")), &n);
	check(!rd_kafka_group_result_error(result[0]), "offsets are not deleted");
	check(group_offset(a) == RD_KAFKA_OFFSET_INVALID, "a deleted offset is there");
	rd_kafka_AlterConsumerGroupOffsets_destroy(alter);
	rd_kafka_DeleteConsumerGroupOffsets_destroy(remove);
	rd_kafka_topic_partition_list_destroy(to);
}

static bool
listed(struct admin *a, const char *group)
{
	const rd_kafka_ConsumerGroupListing_t **g;
	bool found = false;
	size_t n;

	rd_kafka_ListConsumerGroups(a->rk, NULL, a->queue);
	g = rd_kafka_ListConsumerGroups_result_valid(
		rd_kafka_event_ListConsumerGroups_result(answer(a, "ListConsumerGroups")), &n);
	for (size_t i = 0; i < n; i++)
		found |= strcmp(rd_kafka_ConsumerGroupListing_group_id(g[i]), group) == 0;
	return found;
}

static void
groups(struct admin *a)
{
	const char *name = "c-commits";
	rd_kafka_DeleteGroup_t *d = rd_kafka_DeleteGroup_new(name);
	const rd_kafka_ConsumerGroupDescription_t **described;
	const rd_kafka_group_result_t **result;
	size_t n;

	check(listed(a, name), "the group is not listed");
	rd_kafka_DescribeConsumerGroups(a->rk, &name, 1, NULL, a->queue);
	described = rd_kafka_DescribeConsumerGroups_result_groups(
		rd_kafka_event_DescribeConsumerGroups_result(answer(a, "DescribeConsumerGroups")), &n);
	check(n == 1 && rd_kafka_ConsumerGroupDescription_state(described[0]) == RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY &&
		rd_kafka_ConsumerGroupDescription_member_count(described[0]) == 0, "described as another");
	rd_kafka_DeleteGroups(a->rk, &d, 1, NULL, a->queue);
	result = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(answer(a, "DeleteGroups")), &n);
	check(!rd_kafka_group_result_error(result[0]), "the group is not deleted");
	check(!listed(a, name), "a deleted group is listed");
	rd_kafka_DeleteGroup_destroy(d);
}

bool
admin_step(const char *name)
{
	static const struct {
		const char *name;
		void (*run)(struct admin *a);
	} step[] = {{"topics", topics}, {"partitions", partitions}, {"configs", configs}, {"deletion", deletion},
		{"reset", reset}, {"groups", groups}};

	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++)
		if (strcmp(step[i].name, name) == 0) {
			struct admin a = admin_open();

			step[i].run(&a);
			admin_close(&a);
			return true;
		}
	return false;
}
