/* SPDX-License-Identifier: MIT
 * group.h - what the actions of kira group share. Thread: main. */
#ifndef KIRA_CLI_GROUP_H
#define KIRA_CLI_GROUP_H

#include "control/cli/actions.h"

struct group_options {
	const char *bootstrap, *topic, *to;
	int64_t partition;
	bool all, dry_run;
};

int group_describe(struct action_call *call, struct err *err);
int group_reset(struct action_call *call, struct err *err);

/* The names of all groups, to be freed, each and the list; NULL: err. */
char **group_names(struct cli_kafka *k, unsigned *n, struct err *err);
/* What the group has committed: `want` NULL: all. NULL: err. Free with
 * rd_kafka_topic_partition_list_destroy(). */
rd_kafka_topic_partition_list_t *group_committed(struct cli_kafka *k, const char *group,
	const rd_kafka_topic_partition_list_t *want, struct err *err);

#endif
