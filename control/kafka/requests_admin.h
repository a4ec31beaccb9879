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

/* Each: false = malformed. */
bool q_create_partitions(struct q_create_partitions *ret, const struct request *rq, struct arena *a);

#endif
