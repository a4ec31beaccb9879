/* SPDX-License-Identifier: MIT
 * serve.c - from the key of a request to its handler. Thread: control. */
#include "control/kafka/serve.h"

#include "control/groups/group.h"
#include "control/groups/group_log.h"

#include <kira/errors.h>

const uint8_t serve_no_id[UUID_BYTES];

enum served
serve(struct conn *c, uint64_t now_ns)
{
	switch ((enum api_key)c->rq.api->key) {
	case API_PRODUCE:
		return k00_produce(c, now_ns);
	case API_FETCH:
		return k01_fetch(c, now_ns);
	case API_LIST_OFFSETS:
		return k02_list_offsets(c, now_ns);
	case API_METADATA:
		return k03_metadata(c, now_ns);
	case API_OFFSET_COMMIT:
		return k08_offset_commit(c, now_ns);
	case API_OFFSET_FETCH:
		return k09_offset_fetch(c, now_ns);
	case API_FIND_COORDINATOR:
		return k10_find_coordinator(c, now_ns);
	case API_JOIN_GROUP:
		return k11_join_group(c, now_ns);
	case API_HEARTBEAT:
		return k12_heartbeat(c, now_ns);
	case API_LEAVE_GROUP:
		return k13_leave_group(c, now_ns);
	case API_SYNC_GROUP:
		return k14_sync_group(c, now_ns);
	case API_DESCRIBE_GROUPS:
		return k15_describe_groups(c, now_ns);
	case API_LIST_GROUPS:
		return k16_list_groups(c, now_ns);
	case API_API_VERSIONS:
		return k18_api_versions(c, now_ns);
	case API_CREATE_TOPICS:
		return k19_create_topics(c, now_ns);
	case API_DELETE_TOPICS:
		return k20_delete_topics(c, now_ns);
	case API_DELETE_RECORDS:
		return k21_delete_records(c, now_ns);
	case API_INIT_PRODUCER_ID:
		return k22_init_producer_id(c, now_ns);
	case API_OFFSET_FOR_LEADER_EPOCH:
		return k23_offset_for_leader_epoch(c, now_ns);
	case API_DESCRIBE_ACLS:
		return k29_describe_acls(c, now_ns);
	case API_CREATE_ACLS:
		return k30_create_acls(c, now_ns);
	case API_DELETE_ACLS:
		return k31_delete_acls(c, now_ns);
	case API_DESCRIBE_CONFIGS:
		return k32_describe_configs(c, now_ns);
	case API_ALTER_CONFIGS:
	case API_INCREMENTAL_ALTER_CONFIGS:
		return k33_alter_configs(c, now_ns);
	case API_DESCRIBE_LOG_DIRS:
		return k35_describe_log_dirs(c, now_ns);
	case API_CREATE_PARTITIONS:
		return k37_create_partitions(c, now_ns);
	case API_DELETE_GROUPS:
		return k42_delete_groups(c, now_ns);
	case API_ELECT_LEADERS:
		return k43_elect_leaders(c, now_ns);
	case API_LIST_REASSIGNMENTS:
		return k46_list_reassignments(c, now_ns);
	case API_OFFSET_DELETE:
		return k47_offset_delete(c, now_ns);
	case API_DESCRIBE_CLUSTER:
		return k60_describe_cluster(c, now_ns);
	case API_DESCRIBE_PRODUCERS:
		return k61_describe_producers(c, now_ns);
	case API_DESCRIBE_TOPICS:
		return k75_describe_topics(c, now_ns);
	case API_OPEN_SESSION:
		return kira_open_session(c, now_ns);
	}
	return SERVED_MALFORMED;
}

int16_t
serve_group_log(const struct control *ctl, struct view group)
{
	switch (group_log_state(ctl->group_log)) {
	case GROUP_LOG_LOADING:
		return KIRA_E_COORDINATOR_LOAD_IN_PROGRESS;
	case GROUP_LOG_BROKEN:
		return KIRA_E_COORDINATOR_NOT_AVAILABLE;
	case GROUP_LOG_READY:
		break;
	}
	/* The log keeps it as a string with a length of 15 bits; only flexible requests can name a longer one. */
	return group.len > INT16_MAX ? KIRA_E_INVALID_GROUP_ID : 0;
}

bool
serve_being_made(const struct control *ctl, struct view topic)
{
	const struct topic *t = topics_any(ctl, topic);

	return t && t->state == TOPIC_CREATING;
}

static struct view
name_of(const struct view *first, size_t size, int32_t i)
{
	return *(const struct view *)(const void *)((const char *)first + (size_t)i * size);
}

bool
serve_named_twice(const struct view *first, size_t size, int32_t n, int32_t i)
{
	for (int32_t j = 0; j < n; j++)
		if (j != i && view_same(name_of(first, size, j), name_of(first, size, i)))
			return true;
	return false;
}

enum served
serve_in_line(struct conn *c, const struct park *park, void *data)
{
	wait_add(&c->ctl->looks, c);
	return conn_park(c, park, data, UINT64_MAX);
}

int16_t
serve_epoch(const struct partition *part, int32_t epoch)
{
	const int32_t ours = storage_leader_epoch(part);

	if (epoch == -1 || epoch == ours)
		return 0;
	return epoch < ours ? KIRA_E_FENCED_LEADER_EPOCH : KIRA_E_UNKNOWN_LEADER_EPOCH;
}
