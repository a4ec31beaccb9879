/* SPDX-License-Identifier: MIT
 * requests_admin.h - requests of administration, decoded. Rules: requests.h. */
#ifndef KIRA_CONTROL_KAFKA_REQUESTS_ADMIN_H
#define KIRA_CONTROL_KAFKA_REQUESTS_ADMIN_H

#include "control/kafka/requests.h"

struct q_more_partitions {
	struct view name;
	int32_t count;             /* in all */
	int32_t assignments;       /* one per new partition; -1: none given */
	struct q_assignment *assignment;
};

struct q_create_partitions {
	int32_t topics, timeout_ms;
	struct q_more_partitions *topic;
	bool validate_only;
};

struct q_elect_leaders {
	int8_t type;               /* 0 preferred, 1 unclean; 0 below v1 */
	struct q_partitions of;
};

struct q_describe_topics {
	int32_t topics;            /* 0: all */
	struct view *topic;
	int32_t limit;             /* partitions in the answer */
	bool has_cursor;
	struct view cursor_topic;
	int32_t cursor_partition;
};

/* Each: false = malformed. */
bool q_create_partitions(struct q_create_partitions *ret, const struct request *rq, struct arena *a);
bool q_log_dirs(struct q_partitions *ret, const struct request *rq, struct arena *a);
bool q_reassignments(struct q_partitions *ret, const struct request *rq, struct arena *a);
bool q_describe_producers(struct q_partitions *ret, const struct request *rq, struct arena *a);
bool q_elect_leaders(struct q_elect_leaders *ret, const struct request *rq, struct arena *a);
bool q_describe_topics(struct q_describe_topics *ret, const struct request *rq, struct arena *a);
/* DescribeAcls; CreateAcls and DeleteAcls: how many. Without an authorizer nothing else matters. */
bool q_describe_acls(const struct request *rq);
bool q_create_acls(int32_t *ret, const struct request *rq);
bool q_delete_acls(int32_t *ret, const struct request *rq);

#endif
