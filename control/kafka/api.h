/* SPDX-License-Identifier: MIT
 * api.h - the table of requests we speak: key, versions, where flexible encoding begins. Pure. */
#ifndef KIRA_CONTROL_KAFKA_API_H
#define KIRA_CONTROL_KAFKA_API_H

#include <stdbool.h>
#include <stdint.h>

enum api_key {
	API_PRODUCE = 0,
	API_FETCH = 1,
	API_LIST_OFFSETS = 2,
	API_METADATA = 3,
	API_OFFSET_COMMIT = 8,
	API_OFFSET_FETCH = 9,
	API_FIND_COORDINATOR = 10,
	API_JOIN_GROUP = 11,
	API_HEARTBEAT = 12,
	API_LEAVE_GROUP = 13,
	API_SYNC_GROUP = 14,
	API_DESCRIBE_GROUPS = 15,
	API_LIST_GROUPS = 16,
	API_API_VERSIONS = 18,
	API_CREATE_TOPICS = 19,
	API_DELETE_TOPICS = 20,
	API_DELETE_RECORDS = 21,
	API_INIT_PRODUCER_ID = 22,
	API_OFFSET_FOR_LEADER_EPOCH = 23,
	API_DESCRIBE_ACLS = 29,
	API_CREATE_ACLS = 30,
	API_DELETE_ACLS = 31,
	API_DESCRIBE_CONFIGS = 32,
	API_ALTER_CONFIGS = 33,
	API_DESCRIBE_LOG_DIRS = 35,
	API_CREATE_PARTITIONS = 37,
	API_DELETE_GROUPS = 42,
	API_ELECT_LEADERS = 43,
	API_INCREMENTAL_ALTER_CONFIGS = 44,
	API_LIST_REASSIGNMENTS = 46,
	API_OFFSET_DELETE = 47,
	API_DESCRIBE_CLUSTER = 60,
	API_DESCRIBE_PRODUCERS = 61,
	API_DESCRIBE_TOPICS = 75,
	API_OPEN_SESSION = 19273, /* wire.h: KUP_OPEN_SESSION_KEY */
};

struct api {
	int16_t key;
	int16_t min, max;   /* as advertised; min -1: not listed in ApiVersions */
	int16_t served_min; /* requests below close the connection */
	int16_t flexible;   /* first flexible version */
	uint32_t size_max;  /* of a frame; 0: the option socket-request-max-bytes */
	const char *name;
};

/* NULL: not a key of ours. */
const struct api *api_find(int16_t key);
const struct api *api_rows(unsigned *n);

#endif
