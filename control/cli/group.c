/* SPDX-License-Identifier: MIT
 * group.c - kira group list|describe|reset|delete, by librdkafka's admin calls. Thread: main. */
#include "control/cli/group.h"

#include <errno.h>
#include <stdlib.h>

#define PARTITIONS_MAX 100000

#define AT(field) offsetof(struct group_options, field)
static const struct cli_row look_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
};
static const struct cli_row describe_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"all", 0, NULL, CLI_ON, AT(all), 0, 0, NULL, "every group there is"},
};
static const struct cli_row reset_rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"topic", 't', "NAME", CLI_TEXT, AT(topic), 0, 0, NULL,
		"its partitions; without it all that the group has committed"},
	{"partition", 'p', "N", CLI_WHOLE, AT(partition), -1, PARTITIONS_MAX, "-1", "of --topic; -1: every partition"},
	{"to", 0, "WHERE", CLI_TEXT, AT(to), 0, 0, NULL,
		"earliest, latest, an offset, or @MS: the first record at or after that time (ms since 1970)"},
	{"dry-run", 0, NULL, CLI_ON, AT(dry_run), 0, 0, NULL, "print what would be committed, and leave it"},
};
#undef AT

static int
by_name(const void *a, const void *b)
{
	return strcmp(rd_kafka_ConsumerGroupListing_group_id(*(const rd_kafka_ConsumerGroupListing_t *const *)a),
		rd_kafka_ConsumerGroupListing_group_id(*(const rd_kafka_ConsumerGroupListing_t *const *)b));
}

/* The groups, sorted, in *ret; the event they belong to, NULL: err. */
static rd_kafka_event_t *
listing(struct cli_kafka *k, const rd_kafka_ConsumerGroupListing_t ***ret, size_t *n, struct err *err)
{
	rd_kafka_AdminOptions_t *options = cli_admin_options(k, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, CLI_KAFKA_MS);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	const rd_kafka_ListConsumerGroups_result_t *res;
	rd_kafka_event_t *e;
	size_t errors;

	rd_kafka_ListConsumerGroups(k->rk, options, q);
	e = cli_admin_await(k, q, CLI_KAFKA_MS, "list groups", err);
	if (e) {
		const rd_kafka_error_t **failed;

		res = rd_kafka_event_ListConsumerGroups_result(e);
		failed = rd_kafka_ListConsumerGroups_result_errors(res, &errors);
		if (errors > 0) {
			(void)cli_kafka_failed(k, rd_kafka_error_code(failed[0]), rd_kafka_error_string(failed[0]),
				"list groups", err);
			rd_kafka_event_destroy(e);
			e = NULL;
		} else {
			*ret = rd_kafka_ListConsumerGroups_result_valid(res, n);
			if (*n > 0)
				qsort(*ret, *n, sizeof(**ret), by_name);
		}
	}
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return e;
}

char **
group_names(struct cli_kafka *k, unsigned *n, struct err *err)
{
	const rd_kafka_ConsumerGroupListing_t **one;
	size_t count;
	rd_kafka_event_t *e = listing(k, &one, &count, err);
	char **name = e ? calloc(count + 1, sizeof(*name)) : NULL;

	if (e && !name)
		err_set(err, "no memory for %zu names", count);
	for (size_t i = 0; name && i < count; i++)
		name[i] = strdup(rd_kafka_ConsumerGroupListing_group_id(one[i]));
	if (e)
		rd_kafka_event_destroy(e);
	*n = name ? (unsigned)count : 0;
	return name;
}

static int
list(struct action_call *call, struct err *err)
{
	struct cli_kafka *k = &call->kafka;
	const rd_kafka_ConsumerGroupListing_t **one;
	size_t n;
	rd_kafka_event_t *e = listing(k, &one, &n, err);

	if (!e)
		return CLI_EXIT_FAILED;
	for (size_t i = 0; i < n; i++)
		printf("%-18s %s\n", rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(one[i])),
			rd_kafka_ConsumerGroupListing_group_id(one[i]));
	rd_kafka_event_destroy(e);
	return CLI_EXIT_OK;
}

static int
delete(struct action_call *call, struct err *err)
{
	struct cli_kafka *k = &call->kafka;
	rd_kafka_AdminOptions_t *options = cli_admin_options(k, RD_KAFKA_ADMIN_OP_DELETEGROUPS, CLI_KAFKA_MS);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	rd_kafka_DeleteGroup_t *g[ACTION_WORDS_MAX];
	int status = CLI_EXIT_FAILED;
	rd_kafka_event_t *e;

	for (unsigned i = 0; i < call->words; i++)
		g[i] = rd_kafka_DeleteGroup_new(call->word[i]);
	rd_kafka_DeleteGroups(k->rk, g, call->words, options, q);
	e = cli_admin_await(k, q, CLI_KAFKA_MS, "delete", err);
	if (e) {
		size_t n;
		const rd_kafka_group_result_t **res =
			rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(e), &n);

		status = CLI_EXIT_OK;
		for (size_t i = 0; i < n; i++) {
			const rd_kafka_error_t *failed = rd_kafka_group_result_error(res[i]);

			if (!failed)
				continue;
			fprintf(stderr, "%s: %s: %s\n", call->command, rd_kafka_group_result_name(res[i]),
				rd_kafka_error_string(failed));
			status = CLI_EXIT_FAILED;
		}
		rd_kafka_event_destroy(e);
	}
	rd_kafka_DeleteGroup_destroy_array(g, call->words);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return status;
}

static const struct action action_table[] = {
	{"list", "state and name of all groups, a line each", 0, list,
		{"kira group list", "[OPTIONS]", "Print state and name of all groups, a line each.", look_rows,
			ARRAY_LENGTH(look_rows), 0, NULL}},
	{"describe", "members, committed offsets and lag", 0, group_describe,
		{"kira group describe", "NAME.. | --all", "Print the members of groups, their committed offsets and lag:\n"
			"how many offsets there are between what is committed and the end.", describe_rows,
			ARRAY_LENGTH(describe_rows), ACTION_WORDS_MAX, NULL}},
	{"reset", "commit other offsets for a group without members", 1, group_reset,
		{"kira group reset", "NAME --to WHERE [--topic NAME [--partition N]]",
			"Commit other offsets for a group that has no members now.", reset_rows,
			ARRAY_LENGTH(reset_rows), 1,
			"Example:\n  kira group reset billing --topic orders --to earliest\n"}},
	{"delete", "forget groups without members, and what they committed", 1, delete,
		{"kira group delete", "NAME..", "Forget groups that have no members now, and their committed offsets.",
			look_rows, ARRAY_LENGTH(look_rows), ACTION_WORDS_MAX, NULL}},
};

static const struct actions all = {"kira group", "group", action_table, ARRAY_LENGTH(action_table),
	offsetof(struct group_options, bootstrap)};

int
cli_group(int argc, char **argv)
{
	struct group_options o;

	return actions_run(&all, &o, sizeof(o), argc, argv);
}
