/* SPDX-License-Identifier: MIT
 * topic.c - kira topic create|list|describe|alter|delete|delete-records, by librdkafka's admin calls.
 * Thread: main. */
#include "control/cli/actions.h"
#include "control/cli/topic_settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define PARTITIONS_MAX 100000
#define CREATE_MS     20 /* patience per partition */
#define CREATE_MS_MAX 200000

struct topic_options {
	const char *bootstrap;
	int64_t partitions, partition, before;
	struct cli_list config, unset;
	bool if_not_exists, if_exists, all;
};

#define AT(field) offsetof(struct topic_options, field)
static const struct cli_row create_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"partitions", 'p', "N", CLI_WHOLE, AT(partitions), 0, PARTITIONS_MAX, "0",
		"0: the broker's num-partitions"},
	{"config", 'c', "KEY=VALUE", CLI_LIST, AT(config), 0, 0, NULL,
		"a topic configuration, such as retention.ms=3600000; may be repeated"},
	{"if-not-exists", 0, NULL, CLI_ON, AT(if_not_exists), 0, 0, NULL,
		"a topic that is there already is no error"},
};
static const struct cli_row look_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
};
static const struct cli_row describe_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"all", 'a', NULL, CLI_ON, AT(all), 0, 0, NULL,
		"configurations that the topic does not set itself, too, and where they come from"},
};
static const struct cli_row alter_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"set", 's', "KEY=VALUE", CLI_LIST, AT(config), 0, 0, NULL,
		"a topic configuration, such as retention.ms=3600000; may be repeated"},
	{"unset", 'u', "KEY", CLI_LIST, AT(unset), 0, 0, NULL, "back to the broker's default; may be repeated"},
};
static const struct cli_row delete_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"if-exists", 0, NULL, CLI_ON, AT(if_exists), 0, 0, NULL, "a topic that is missing is no error"},
};
static const struct cli_row records_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"partition", 'p', "N", CLI_WHOLE, AT(partition), -1, PARTITIONS_MAX, "-1", "-1: every partition"},
	{"before", 0, "OFFSET", CLI_WHOLE, AT(before), -1, 9e18, "-1",
		"records below this offset go; -1: all there are"},
};
#undef AT

/* The results of create and delete, a line on stderr per failure. Returns how many failed. */
static unsigned
judge(const char *command, const rd_kafka_topic_result_t **res, size_t n, rd_kafka_resp_err_t fine)
{
	unsigned failed = 0;

	for (size_t i = 0; i < n; i++) {
		const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(res[i]);
		const char *said = rd_kafka_topic_result_error_string(res[i]);

		if (code == RD_KAFKA_RESP_ERR_NO_ERROR || (fine && code == fine))
			continue;
		fprintf(stderr, "%s: %s: %s\n", command, rd_kafka_topic_result_name(res[i]),
			said && *said ? said : rd_kafka_err2str(code));
		failed++;
	}
	return failed;
}

static rd_kafka_NewTopic_t *
new_topic(const struct topic_options *o, const char *name, struct err *err)
{
	char why[256];
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, o->partitions ? (int)o->partitions : -1, 1,
		why, sizeof(why));

	if (!t) {
		err_set(err, "topic %s: %s", name, why);
		return NULL;
	}
	for (unsigned i = 0; i < o->config.n; i++) {
		const char *value;
		char key[128];

		if (!topic_setting_split(o->config.item[i], "config", key, sizeof(key), &value, err)) {
			rd_kafka_NewTopic_destroy(t);
			return NULL;
		}
		(void)rd_kafka_NewTopic_set_config(t, key, value);
	}
	return t;
}

static int
create(struct action_call *call, struct err *err)
{
	const struct topic_options *o = call->options;
	struct cli_kafka *k = &call->kafka;
	/* Directories and files of each: more for many, on a disk that others use too. */
	const int ms = CLI_KAFKA_MS + (int)MIN(o->partitions * CREATE_MS * (int64_t)call->words, (int64_t)CREATE_MS_MAX);
	rd_kafka_AdminOptions_t *options;
	rd_kafka_NewTopic_t *t[ACTION_WORDS_MAX];
	rd_kafka_queue_t *q;
	rd_kafka_event_t *e;
	int status = CLI_EXIT_FAILED;
	size_t n = 0;

	for (; n < call->words; n++) {
		t[n] = new_topic(o, call->word[n], err);
		if (!t[n]) {
			status = CLI_EXIT_USAGE;
			goto out;
		}
	}
	q = rd_kafka_queue_new(k->rk);
	options = cli_admin_options(k, RD_KAFKA_ADMIN_OP_CREATETOPICS, ms);
	rd_kafka_CreateTopics(k->rk, t, n, options, q);
	e = cli_admin_await(k, q, ms, "create", err);
	if (e) {
		size_t count;
		const rd_kafka_topic_result_t **res =
			rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(e), &count);

		if (judge(call->command, res, count,
			    o->if_not_exists ? RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS : 0) == 0)
			status = CLI_EXIT_OK;
		rd_kafka_event_destroy(e);
	}
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
out:
	rd_kafka_NewTopic_destroy_array(t, n);
	return status;
}

static int
delete(struct action_call *call, struct err *err)
{
	const struct topic_options *o = call->options;
	struct cli_kafka *k = &call->kafka;
	rd_kafka_AdminOptions_t *options = cli_admin_options(k, RD_KAFKA_ADMIN_OP_DELETETOPICS, CLI_KAFKA_MS);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	rd_kafka_DeleteTopic_t *t[ACTION_WORDS_MAX];
	rd_kafka_event_t *e;
	int status = CLI_EXIT_FAILED;

	for (unsigned i = 0; i < call->words; i++)
		t[i] = rd_kafka_DeleteTopic_new(call->word[i]);
	rd_kafka_DeleteTopics(k->rk, t, call->words, options, q);
	e = cli_admin_await(k, q, CLI_KAFKA_MS, "delete", err);
	if (e) {
		size_t count;
		const rd_kafka_topic_result_t **res =
			rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(e), &count);

		if (judge(call->command, res, count,
			    o->if_exists ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART : 0) == 0)
			status = CLI_EXIT_OK;
		rd_kafka_event_destroy(e);
	}
	rd_kafka_DeleteTopic_destroy_array(t, call->words);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return status;
}

/* A line per partition with its new first offset. */
static int
print_starts(const char *command, const rd_kafka_topic_partition_list_t *list)
{
	int status = CLI_EXIT_OK;

	for (int i = 0; i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *p = &list->elems[i];

		if (p->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			printf("%s-%d begins at offset %" PRId64 "\n", p->topic, p->partition, p->offset);
			continue;
		}
		fprintf(stderr, "%s: %s-%d: %s\n", command, p->topic, p->partition, rd_kafka_err2str(p->err));
		status = CLI_EXIT_FAILED;
	}
	return status;
}

static int
delete_records(struct action_call *call, struct err *err)
{
	const struct topic_options *o = call->options;
	struct cli_kafka *k = &call->kafka;
	rd_kafka_topic_partition_list_t *want = rd_kafka_topic_partition_list_new(1);
	rd_kafka_AdminOptions_t *options = cli_admin_options(k, RD_KAFKA_ADMIN_OP_DELETERECORDS, CLI_KAFKA_MS);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	const struct rd_kafka_metadata *meta;
	rd_kafka_DeleteRecords_t *ask;
	rd_kafka_event_t *e = NULL;
	int status = CLI_EXIT_FAILED;

	if (cli_kafka_metadata(k, call->word[0], &meta, err) == 0) {
		for (int i = 0; i < meta->topics[0].partition_cnt; i++)
			if (o->partition < 0 || o->partition == i)
				rd_kafka_topic_partition_list_add(want, call->word[0], i)->offset =
					o->before < 0 ? RD_KAFKA_OFFSET_END : o->before;
		rd_kafka_metadata_destroy(meta);
		if (want->cnt == 0)
			err_set(err, "topic %s has no partition %" PRId64, call->word[0], o->partition);
	}
	if (want->cnt > 0) {
		ask = rd_kafka_DeleteRecords_new(want);
		rd_kafka_DeleteRecords(k->rk, &ask, 1, options, q);
		rd_kafka_DeleteRecords_destroy(ask);
		e = cli_admin_await(k, q, CLI_KAFKA_MS, "delete records", err);
	}
	if (e) {
		status = print_starts(call->command, rd_kafka_DeleteRecords_result_offsets(
			rd_kafka_event_DeleteRecords_result(e)));
		rd_kafka_event_destroy(e);
	}
	rd_kafka_topic_partition_list_destroy(want);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return status;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct rd_kafka_metadata_topic *)a)->topic,
		((const struct rd_kafka_metadata_topic *)b)->topic);
}

static int
list(struct action_call *call, struct err *err)
{
	struct cli_kafka *k = &call->kafka;
	const struct rd_kafka_metadata *meta;

	if (cli_kafka_metadata(k, NULL, &meta, err) < 0)
		return CLI_EXIT_FAILED;
	qsort(meta->topics, (size_t)meta->topic_cnt, sizeof(meta->topics[0]), by_name);
	for (int i = 0; i < meta->topic_cnt; i++)
		printf("%s\n", meta->topics[i].topic);
	rd_kafka_metadata_destroy(meta);
	return CLI_EXIT_OK;
}

static int
describe_one(struct cli_kafka *k, const char *name, struct err *err)
{
	const struct rd_kafka_metadata *meta;
	int64_t records = 0;
	int rc = cli_kafka_metadata(k, name, &meta, err);

	if (rc < 0)
		return rc;
	printf("%s: %d partition%s\n", name, meta->topics[0].partition_cnt,
		meta->topics[0].partition_cnt == 1 ? "" : "s");
	printf("  %9s %7s %20s %20s\n", "partition", "leader", "first offset", "end offset");
	for (int i = 0; i < meta->topics[0].partition_cnt; i++) {
		const struct rd_kafka_metadata_partition *p = &meta->topics[0].partitions[i];
		int64_t low, high;
		const rd_kafka_resp_err_t code =
			rd_kafka_query_watermark_offsets(k->rk, name, p->id, &low, &high, CLI_KAFKA_MS);

		if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
			rc = cli_kafka_failed(k, code, NULL, name, err);
			break;
		}
		records += high - low;
		printf("  %9d %7d %20" PRId64 " %20" PRId64 "\n", p->id, p->leader, low, high);
	}
	if (rc == 0)
		printf("  %" PRId64 " offsets in all\n", records);
	rd_kafka_metadata_destroy(meta);
	return rc;
}

static int
describe(struct action_call *call, struct err *err)
{
	const struct topic_options *o = call->options;
	struct cli_kafka *k = &call->kafka;

	for (unsigned i = 0; i < call->words; i++)
		if (describe_one(k, call->word[i], err) < 0 || topic_settings_print(k, call->word[i], o->all, err) < 0)
			return CLI_EXIT_FAILED;
	return CLI_EXIT_OK;
}

static int
alter(struct action_call *call, struct err *err)
{
	const struct topic_options *o = call->options;
	struct cli_kafka *k = &call->kafka;

	if (o->config.n == 0 && o->unset.n == 0) {
		err_set(err, "nothing to do: --set KEY=VALUE or --unset KEY is wanted; %s --help", call->command);
		return CLI_EXIT_USAGE;
	}
	for (unsigned i = 0; i < call->words; i++) {
		const int rc = topic_settings_alter(k, call->word[i], &o->config, &o->unset, err);

		if (rc < 0)
			return rc == -EINVAL ? CLI_EXIT_USAGE : CLI_EXIT_FAILED;
	}
	return CLI_EXIT_OK;
}

static const struct action action_table[] = {
	{"create", "make topics", 1, create,
		{"kira topic create", "NAME.. [--partitions N] [--config KEY=VALUE]..",
			"Make topics. Done when their directories are on disk.",
			create_rows, ARRAY_LENGTH(create_rows), ACTION_WORDS_MAX,
			"Example:\n  kira topic create orders --partitions 8 --config retention.ms=3600000\n"}},
	{"list", "names of all topics, a line each", 0, list,
		{"kira topic list", "[OPTIONS]", "Print the names of all topics, a line each.", look_rows,
			ARRAY_LENGTH(look_rows), 0, NULL}},
	{"describe", "partitions, their offsets, configurations", 1, describe,
		{"kira topic describe", "NAME.. [--all]",
			"Print the partitions of topics, their offsets, and the configurations that they set themselves.",
			describe_rows, ARRAY_LENGTH(describe_rows), ACTION_WORDS_MAX, NULL}},
	{"alter", "change configurations", 1, alter,
		{"kira topic alter", "NAME.. [--set KEY=VALUE].. [--unset KEY]..",
			"Change the configurations of topics. Done when they are on disk and in force.",
			alter_rows, ARRAY_LENGTH(alter_rows), ACTION_WORDS_MAX,
			"Example:\n  kira topic alter orders --set retention.ms=3600000 --unset segment.bytes\n"}},
	{"delete", "delete topics and their records", 1, delete,
		{"kira topic delete", "NAME..", "Delete topics and all their records.", delete_rows,
			ARRAY_LENGTH(delete_rows), ACTION_WORDS_MAX, NULL}},
	{"delete-records", "delete the oldest records of a topic", 1, delete_records,
		{"kira topic delete-records", "NAME [--partition N] [--before OFFSET]",
			"Delete a topic's records up to an offset. Done when the new first offset is on disk; segments\n"
			"wholly below it go a moment later.",
			records_rows, ARRAY_LENGTH(records_rows), 1,
			"Example:\n  kira topic delete-records orders --partition 3 --before 1000\n"}},
};

static const struct actions all = {"kira topic", "topic", action_table, ARRAY_LENGTH(action_table),
	offsetof(struct topic_options, bootstrap)};

int
cli_topic(int argc, char **argv)
{
	struct topic_options o;

	return actions_run(&all, &o, sizeof(o), argc, argv);
}
