/* SPDX-License-Identifier: MIT
 * requests_groups.h - the requests of consumer groups, decoded: those that the coordinator takes into its own
 * structs, which are views too. Pure, as requests.h. */
#ifndef KIRA_CONTROL_KAFKA_REQUESTS_GROUPS_H
#define KIRA_CONTROL_KAFKA_REQUESTS_GROUPS_H

#include "control/groups/groups.h"
#include "control/kafka/requests.h"

struct q_leave_member {
	struct view member, instance; /* instance.p NULL: none */
};

struct q_leave_group {
	struct view group;
	int32_t members;              /* one below v3 */
	struct q_leave_member *member;
};

struct q_group_ids {
	int32_t groups;
	struct view *group;
	bool operations;              /* DescribeGroups: v3+ */
};

struct q_list_groups {
	int32_t states, types;        /* 0: all */
	struct view *state, *type;
};

/* Each: false = malformed. Of a JoinGroup client id and host are the connection's: not set here. */
bool q_join_group(struct group_join_request *ret, const struct request *rq, struct arena *a);
bool q_sync_group(struct group_sync_request *ret, const struct request *rq, struct arena *a);
bool q_heartbeat(struct group_claim *ret, const struct request *rq);
bool q_leave_group(struct q_leave_group *ret, const struct request *rq, struct arena *a);
bool q_describe_groups(struct q_group_ids *ret, const struct request *rq, struct arena *a);
bool q_list_groups(struct q_list_groups *ret, const struct request *rq, struct arena *a);
bool q_delete_groups(struct q_group_ids *ret, const struct request *rq, struct arena *a);

#endif
