/* SPDX-License-Identifier: MIT
 * any_request.h - room for whichever request is decoded, for those who decode them all. */
#ifndef KIRA_TESTS_ANY_REQUEST_H
#define KIRA_TESTS_ANY_REQUEST_H

#include "control/kafka/requests_configs.h"
#include "control/kafka/requests_admin.h"
#include "control/kafka/requests_groups.h"

union any_request {
	struct q_api_versions av;
	struct q_metadata md;
	struct q_fetch fe;
	struct q_list_offsets lo;
	struct q_produce pr;
	struct q_leader_epoch le;
	struct q_find_coordinator fc;
	struct q_describe_cluster dc;
	struct q_init_producer_id ip;
	struct q_create_topics ct;
	struct q_delete_topics dt;
	struct q_delete_records dr;
	struct q_describe_configs dg;
	struct q_alter_configs ac;
	struct q_create_partitions cp;
	struct q_partitions ps;
	struct q_elect_leaders el;
	struct q_describe_topics ds;
	int32_t acls;
	struct q_offset_commit oc;
	struct q_offset_fetch of;
	struct q_offset_delete od;
	struct group_join_request jg;
	struct group_claim hb;
	struct q_leave_group lg;
	struct group_sync_request sg;
	struct q_group_ids gi;
	struct q_list_groups li;
	struct q_open_session os;
};

#endif
