/* SPDX-License-Identifier: MIT
 * group_offsets.c - kira group describe and reset: what a group has committed against what there is.
 * Thread: main. */
#include "control/cli/group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

rd_kafka_topic_partition_list_t *
group_committed(struct cli_kafka *k, const char *group, const rd_kafka_topic_partition_list_t *want, struct err *err)
{
	rd_kafka_AdminOptions_t *options =
		cli_admin_options(k, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, CLI_KAFKA_MS);
	rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(group, want);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	rd_kafka_topic_partition_list_t *ret = NULL;
	rd_kafka_event_t *e;

	rd_kafka_ListConsumerGroupOffsets(k->rk, &ask, 1, options, q);
	e = cli_admin_await(k, q, CLI_KAFKA_MS, group, err);
	if (e) {
		size_t n;
		const rd_kafka_group_result_t **res = rd_kafka_ListConsumerGroupOffsets_result_groups(
			rd_kafka_event_ListConsumerGroupOffsets_result(e), &n);
		const rd_kafka_error_t *failed = rd_kafka_group_result_error(res[0]);

		if (failed)
			(void)cli_kafka_failed(k, rd_kafka_error_code(failed), rd_kafka_error_string(failed), group,
				err);
		else
			ret = rd_kafka_topic_partition_list_copy(rd_kafka_group_result_partitions(res[0]));
		rd_kafka_event_destroy(e);
	}
	rd_kafka_ListConsumerGroupOffsets_destroy(ask);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return ret;
}

/* ---- describe ---- */

/* Who has this partition: the member's client id and address, or "-". */
static void
holder(const rd_kafka_ConsumerGroupDescription_t *g, const char *topic, int32_t partition, char *ret, size_t size)
{
	(void)snprintf(ret, size, "-");
	for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(g); i++) {
		const rd_kafka_MemberDescription_t *m = rd_kafka_ConsumerGroupDescription_member(g, i);
		const rd_kafka_MemberAssignment_t *a = rd_kafka_MemberDescription_assignment(m);
		const rd_kafka_topic_partition_list_t *has = a ? rd_kafka_MemberAssignment_partitions(a) : NULL;

		if (has && rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)has, topic,
				partition))
			(void)snprintf(ret, size, "%s%s", rd_kafka_MemberDescription_client_id(m),
				rd_kafka_MemberDescription_host(m));
	}
}

/* What members have and nothing was committed of. */
static void
add_assigned(const rd_kafka_ConsumerGroupDescription_t *g, rd_kafka_topic_partition_list_t *list)
{
	for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(g); i++) {
		const rd_kafka_MemberAssignment_t *a =
			rd_kafka_MemberDescription_assignment(rd_kafka_ConsumerGroupDescription_member(g, i));
		const rd_kafka_topic_partition_list_t *has = a ? rd_kafka_MemberAssignment_partitions(a) : NULL;

		for (int j = 0; has && j < has->cnt; j++)
			if (!rd_kafka_topic_partition_list_find(list, has->elems[j].topic, has->elems[j].partition))
				rd_kafka_topic_partition_list_add(list, has->elems[j].topic, has->elems[j].partition)
					->offset = RD_KAFKA_OFFSET_INVALID;
	}
	rd_kafka_topic_partition_list_sort(list, NULL, NULL);
}

static int
print_partitions(struct cli_kafka *k, const rd_kafka_ConsumerGroupDescription_t *g,
	const rd_kafka_topic_partition_list_t *list, struct err *err)
{
	int64_t lag = 0;

	printf("  %-24s %9s %20s %20s %12s  %s\n", "topic", "partition", "committed", "end", "lag", "member");
	for (int i = 0; i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *p = &list->elems[i];
		int64_t low, high;
		char who[300];
		const rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(k->rk, p->topic, p->partition, &low,
			&high, CLI_KAFKA_MS);

		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return cli_kafka_failed(k, code, NULL, p->topic, err);
		holder(g, p->topic, p->partition, who, sizeof(who));
		if (p->offset < 0) {
			printf("  %-24s %9d %20s %20" PRId64 " %12s  %s\n", p->topic, p->partition, "-", high, "-", who);
			continue;
		}
		lag += high - p->offset;
		printf("  %-24s %9d %20" PRId64 " %20" PRId64 " %12" PRId64 "  %s\n", p->topic, p->partition, p->offset,
			high, high - p->offset, who);
	}
	printf("  %" PRId64 " behind in all\n", lag);
	return 0;
}

static int
describe_one(struct cli_kafka *k, const rd_kafka_ConsumerGroupDescription_t *g, struct err *err)
{
	const char *name = rd_kafka_ConsumerGroupDescription_group_id(g);
	const char *assignor = rd_kafka_ConsumerGroupDescription_partition_assignor(g);
	const size_t members = rd_kafka_ConsumerGroupDescription_member_count(g);
	const rd_kafka_error_t *failed = rd_kafka_ConsumerGroupDescription_error(g);
	rd_kafka_topic_partition_list_t *list;
	int rc;

	if (failed)
		return cli_kafka_failed(k, rd_kafka_error_code(failed), rd_kafka_error_string(failed), name, err);
	list = group_committed(k, name, NULL, err);
	if (!list)
		return -EIO;
	if (rd_kafka_ConsumerGroupDescription_state(g) == RD_KAFKA_CONSUMER_GROUP_STATE_DEAD && list->cnt == 0) {
		err_set(err, "there is no group %s; kira group list", name);
		rd_kafka_topic_partition_list_destroy(list);
		return -ENOENT;
	}
	add_assigned(g, list);
	printf("%s: %s, %zu member%s%s%s\n", name,
		rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(g)), members,
		members == 1 ? "" : "s", assignor && *assignor ? ", " : "", assignor ? assignor : "");
	rc = print_partitions(k, g, list, err);
	rd_kafka_topic_partition_list_destroy(list);
	return rc;
}

static int
describe_all(struct cli_kafka *k, const char **word, unsigned words, struct err *err)
{
	rd_kafka_AdminOptions_t *options =
		cli_admin_options(k, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, CLI_KAFKA_MS);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	rd_kafka_event_t *e;
	int rc = -EIO;

	rd_kafka_DescribeConsumerGroups(k->rk, word, words, options, q);
	e = cli_admin_await(k, q, CLI_KAFKA_MS, "describe", err);
	if (e) {
		size_t n;
		const rd_kafka_ConsumerGroupDescription_t **g = rd_kafka_DescribeConsumerGroups_result_groups(
			rd_kafka_event_DescribeConsumerGroups_result(e), &n);

		rc = 0;
		for (size_t i = 0; i < n && rc == 0; i++)
			rc = describe_one(k, g[i], err);
		rd_kafka_event_destroy(e);
	}
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return rc;
}

int
group_describe(struct action_call *call, struct err *err)
{
	const struct group_options *o = call->options;
	struct cli_kafka *k = &call->kafka;
	unsigned n = 0;
	char **name;
	int rc;

	if (call->words == 0 && !o->all) {
		err_set(err, "the name of a group is missing; %s --help", call->command);
		return CLI_EXIT_USAGE;
	}
	if (!o->all)
		return describe_all(k, call->word, call->words, err) < 0 ? CLI_EXIT_FAILED : CLI_EXIT_OK;
	name = group_names(k, &n, err);
	if (!name)
		return CLI_EXIT_FAILED;
	rc = n == 0 ? 0 : describe_all(k, (const char **)name, n, err);
	for (unsigned i = 0; i < n; i++)
		free(name[i]);
	free(name);
	return rc < 0 ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- reset ---- */

/* The partitions that are meant. NULL: err. */
static rd_kafka_topic_partition_list_t *
meant(struct cli_kafka *k, const char *group, const struct group_options *o, struct err *err)
{
	const struct rd_kafka_metadata *meta;
	rd_kafka_topic_partition_list_t *list;

	if (!o->topic)
		return group_committed(k, group, NULL, err);
	if (cli_kafka_metadata(k, o->topic, &meta, err) < 0)
		return NULL;
	list = rd_kafka_topic_partition_list_new(meta->topics[0].partition_cnt);
	for (int i = 0; i < meta->topics[0].partition_cnt; i++)
		if (o->partition < 0 || o->partition == i)
			rd_kafka_topic_partition_list_add(list, o->topic, i);
	rd_kafka_metadata_destroy(meta);
	return list;
}

/* Where each partition is to go on, into list->elems[].offset. */
static int
resolve(struct cli_kafka *k, const char *to, rd_kafka_topic_partition_list_t *list, struct err *err)
{
	const bool earliest = strcmp(to, "earliest") == 0, latest = strcmp(to, "latest") == 0, time = to[0] == '@';
	char *end;
	const long long number = strtoll(to + time, &end, 10);

	if (!earliest && !latest && (end == to + time || *end || number < 0)) {
		err_set(err, "--to %s: earliest, latest, an offset, or @ and a time in ms is wanted", to);
		return -EINVAL;
	}
	for (int i = 0; time && i < list->cnt; i++)
		list->elems[i].offset = number;
	if (time) {
		const rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(k->rk, list, CLI_KAFKA_MS);

		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return cli_kafka_failed(k, code, NULL, "offsets by time", err);
	}
	for (int i = 0; i < list->cnt; i++) {
		rd_kafka_topic_partition_t *p = &list->elems[i];
		int64_t low, high;
		const rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(k->rk, p->topic, p->partition, &low,
			&high, CLI_KAFKA_MS);

		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return cli_kafka_failed(k, code, NULL, p->topic, err);
		if (earliest)
			p->offset = low;
		else if (latest || (time && p->offset < 0)) /* no record is so new */
			p->offset = high;
		else if (!time)
			p->offset = number;
		if (p->offset < low || p->offset > high) {
			err_set(err, "%s-%d has offsets %" PRId64 " to %" PRId64, p->topic, p->partition, low, high);
			return -EINVAL;
		}
	}
	return 0;
}

static int
commit(struct cli_kafka *k, const char *group, const rd_kafka_topic_partition_list_t *list, struct err *err)
{
	rd_kafka_AdminOptions_t *options =
		cli_admin_options(k, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, CLI_KAFKA_MS);
	rd_kafka_AlterConsumerGroupOffsets_t *ask = rd_kafka_AlterConsumerGroupOffsets_new(group, list);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	rd_kafka_event_t *e;
	int rc = -EIO;

	rd_kafka_AlterConsumerGroupOffsets(k->rk, &ask, 1, options, q);
	e = cli_admin_await(k, q, CLI_KAFKA_MS, group, err);
	if (e) {
		size_t n;
		const rd_kafka_group_result_t **res = rd_kafka_AlterConsumerGroupOffsets_result_groups(
			rd_kafka_event_AlterConsumerGroupOffsets_result(e), &n);
		const rd_kafka_topic_partition_list_t *done = rd_kafka_group_result_partitions(res[0]);
		const rd_kafka_error_t *failed = rd_kafka_group_result_error(res[0]);
		rd_kafka_resp_err_t code = failed ? rd_kafka_error_code(failed) : RD_KAFKA_RESP_ERR_NO_ERROR;

		for (int i = 0; done && i < done->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
			code = done->elems[i].err;
		if (code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) {
			err_set(err, "%s has members, which commit for themselves: stop them first", group);
			rc = -EBUSY;
		} else {
			rc = code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : cli_kafka_failed(k, code, NULL, group, err);
		}
		rd_kafka_event_destroy(e);
	}
	rd_kafka_AlterConsumerGroupOffsets_destroy(ask);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return rc;
}

int
group_reset(struct action_call *call, struct err *err)
{
	const struct group_options *o = call->options;
	struct cli_kafka *k = &call->kafka;
	rd_kafka_topic_partition_list_t *list;
	int rc;

	if (!o->to || (o->partition >= 0 && !o->topic)) {
		err_set(err, "%s; kira group reset --help", o->to ? "--partition wants --topic" : "--to is missing");
		return CLI_EXIT_USAGE;
	}
	list = meant(k, call->word[0], o, err);
	if (!list)
		return CLI_EXIT_FAILED;
	rc = list->cnt > 0 ? resolve(k, o->to, list, err) : -ENOENT;
	if (list->cnt == 0)
		err_set(err, o->topic ? "there is no such partition" : "the group has committed nothing: name a --topic");
	if (rc == 0 && !o->dry_run)
		rc = commit(k, call->word[0], list, err);
	for (int i = 0; rc == 0 && i < list->cnt; i++)
		printf("%s-%d %s at offset %" PRId64 "\n", list->elems[i].topic, list->elems[i].partition,
			o->dry_run ? "would go on" : "goes on", list->elems[i].offset);
	rd_kafka_topic_partition_list_destroy(list);
	return rc == 0 ? CLI_EXIT_OK : rc == -EINVAL ? CLI_EXIT_USAGE : CLI_EXIT_FAILED;
}
