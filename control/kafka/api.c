/* SPDX-License-Identifier: MIT
 * api.c - one row per request; ApiVersions answers from it, frame.c judges by it. Pure.
 * Why these ranges: kafka/README.md. tests/unit/control/frame_ut.c holds the advertised ranges as
 * golden bytes: both ends of each are relied on by some client. */
#include "control/kafka/api.h"

#include "base/bits.h"

#define SMALL (1024 * 1024) /* more in a request without records is an attack or a mistake */

static const struct api row_table[] = {
	/* Advertised from 0, or librdkafka up to 2.11.0 turns gzip, snappy and lz4 off. */
	{API_PRODUCE, 0, 11, 3, 9, 0, "Produce"},
	{API_FETCH, 4, 17, 4, 12, SMALL, "Fetch"},
	{API_LIST_OFFSETS, 1, 7, 1, 6, SMALL, "ListOffsets"},
	{API_METADATA, 0, 12, 0, 9, SMALL, "Metadata"},
	{API_OFFSET_COMMIT, 2, 9, 2, 8, SMALL, "OffsetCommit"},
	{API_OFFSET_FETCH, 1, 9, 1, 6, SMALL, "OffsetFetch"},
	/* From 0: librdkafka derives LZ4 and group support from it. */
	{API_FIND_COORDINATOR, 0, 4, 0, 3, SMALL, "FindCoordinator"},
	/* From 0: librdkafka ties authentication by GSSAPI to it. */
	{API_JOIN_GROUP, 0, 9, 0, 6, SMALL, "JoinGroup"},
	{API_HEARTBEAT, 0, 4, 0, 4, SMALL, "Heartbeat"},
	{API_LEAVE_GROUP, 0, 5, 0, 4, SMALL, "LeaveGroup"},
	{API_SYNC_GROUP, 0, 5, 0, 4, SMALL, "SyncGroup"},
	{API_DESCRIBE_GROUPS, 0, 5, 0, 5, SMALL, "DescribeGroups"},
	{API_LIST_GROUPS, 0, 5, 0, 3, SMALL, "ListGroups"},
	{API_API_VERSIONS, 0, 4, 0, 3, SMALL, "ApiVersions"},
	{API_CREATE_TOPICS, 2, 7, 2, 5, SMALL, "CreateTopics"},
	{API_DELETE_TOPICS, 1, 6, 1, 4, SMALL, "DeleteTopics"},
	{API_DELETE_RECORDS, 0, 2, 0, 2, SMALL, "DeleteRecords"},
	{API_INIT_PRODUCER_ID, 0, 4, 0, 2, SMALL, "InitProducerId"},
	{API_OFFSET_FOR_LEADER_EPOCH, 2, 4, 2, 4, SMALL, "OffsetForLeaderEpoch"},
	{API_DESCRIBE_ACLS, 1, 3, 1, 2, SMALL, "DescribeAcls"},
	{API_CREATE_ACLS, 1, 3, 1, 2, SMALL, "CreateAcls"},
	{API_DELETE_ACLS, 1, 3, 1, 2, SMALL, "DeleteAcls"},
	{API_DESCRIBE_CONFIGS, 1, 4, 1, 4, SMALL, "DescribeConfigs"},
	{API_ALTER_CONFIGS, 0, 2, 0, 2, SMALL, "AlterConfigs"},
	{API_DESCRIBE_LOG_DIRS, 1, 4, 1, 2, SMALL, "DescribeLogDirs"},
	{API_CREATE_PARTITIONS, 0, 3, 0, 2, SMALL, "CreatePartitions"},
	{API_DELETE_GROUPS, 0, 2, 0, 2, SMALL, "DeleteGroups"},
	{API_ELECT_LEADERS, 0, 2, 0, 2, SMALL, "ElectLeaders"},
	{API_INCREMENTAL_ALTER_CONFIGS, 0, 1, 0, 1, SMALL, "IncrementalAlterConfigs"},
	{API_LIST_REASSIGNMENTS, 0, 0, 0, 0, SMALL, "ListPartitionReassignments"},
	{API_OFFSET_DELETE, 0, 0, 0, INT16_MAX, SMALL, "OffsetDelete"},
	{API_DESCRIBE_CLUSTER, 0, 1, 0, 0, SMALL, "DescribeCluster"},
	{API_DESCRIBE_PRODUCERS, 0, 0, 0, 0, SMALL, "DescribeProducers"},
	{API_DESCRIBE_TOPICS, 0, 0, 0, 0, SMALL, "DescribeTopicPartitions"},
	/* Not listed. Any version reaches the handler: what is not 0 is answered 35, in version 0. */
	{API_OPEN_SESSION, -1, INT16_MAX, 0, 0, 32 * 1024, "OpenSession"},
};

const struct api *
api_find(int16_t key)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(row_table); i++)
		if (row_table[i].key == key)
			return &row_table[i];
	return NULL;
}

const struct api *
api_rows(unsigned *n)
{
	*n = ARRAY_LENGTH(row_table);
	return row_table;
}
