/* SPDX-License-Identifier: MIT
 * requests.h - every request we serve, decoded. Pure: bytes in, views out, no allocation but from
 * one arena. A field that a version lacks is -1, null or empty, as the protocol says. */
#ifndef KIRA_CONTROL_KAFKA_REQUESTS_H
#define KIRA_CONTROL_KAFKA_REQUESTS_H

#include "base/reader.h"
#include "control/kafka/frame.h"

#include <kira/wire.h>

#define ARENA_BYTES (256 * 1024) /* scratch of one request; one that needs more is malformed, but for Fetch */
#define UUID_BYTES  16

struct arena {
	uint8_t *bytes;       /* aligned to 16 */
	uint32_t size;        /* ARENA_BYTES; more: for Fetch alone, FETCH_ARENA_BYTES() */
	uint32_t limit, used; /* of the request being decoded */
};

struct q_api_versions {
	struct view software, software_version;
};

struct q_metadata_topic {
	const uint8_t *id; /* 16 bytes; NULL below v10 */
	struct view name;
};

struct q_metadata {
	bool all;
	int32_t topics;
	struct q_metadata_topic *topic;
	bool auto_create, cluster_operations, topic_operations;
};

struct q_fetch_partition {
	int32_t partition, leader_epoch, last_fetched_epoch, max_bytes;
	int64_t offset;
};

struct q_fetch_topic {
	struct view key; /* its name, from v13 on its id */
	int32_t partitions;
	struct q_fetch_partition *partition;
};

struct q_fetch_forgotten {
	struct view key;
	int32_t partitions;
	const uint8_t *partition; /* i32 each, as on the wire */
};

/* A consumer may name every partition of the broker, each of a topic of its own, and forget as many. */
#define FETCH_ARENA_BYTES(partitions) (ARENA_BYTES + (uint32_t)(partitions) * \
	(uint32_t)(sizeof(struct q_fetch_topic) + sizeof(struct q_fetch_partition) + 8 + sizeof(struct q_fetch_forgotten)))

struct q_fetch {
	int32_t replica, max_wait_ms, min_bytes, max_bytes, session_id, session_epoch;
	int32_t topics, partitions; /* of all topics */
	struct q_fetch_topic *topic;
	int32_t forgotten_topics;
	struct q_fetch_forgotten *forgotten;
};

struct q_list_partition {
	int32_t partition, leader_epoch;
	int64_t timestamp;
};

struct q_list_topic {
	struct view name;
	int32_t partitions;
	struct q_list_partition *partition;
};

struct q_list_offsets {
	int32_t topics;
	struct q_list_topic *topic;
};

struct q_produce_partition {
	int32_t partition;
	struct view records;
};

struct q_produce_topic {
	struct view name;
	int32_t partitions;
	struct q_produce_partition *partition;
};

struct q_produce {
	struct view transactional_id;
	int16_t acks;
	int32_t timeout_ms, topics, partitions;
	struct q_produce_topic *topic;
};

struct q_epoch_partition {
	int32_t partition, leader_epoch, epoch;
};

struct q_epoch_topic {
	struct view name;
	int32_t partitions;
	struct q_epoch_partition *partition;
};

struct q_leader_epoch {
	int32_t topics;
	struct q_epoch_topic *topic;
};

struct q_find_coordinator {
	int8_t key_type;
	int32_t keys;
	struct view *key; /* one below v4 */
};

struct q_describe_cluster {
	bool cluster_operations;
	int8_t endpoint_type; /* 1 below v1 */
};

struct q_init_producer_id {
	struct view transactional_id;
	int32_t timeout_ms;
	int64_t producer_id;
	int16_t producer_epoch;
};

struct q_assignment {
	int32_t partition, brokers, first_broker;
};

struct q_topic_config {
	struct view name, value;
};

struct q_create_topic {
	struct view name;
	int32_t partitions;
	int16_t replication_factor;
	int32_t assignments, configs;
	struct q_assignment *assignment;
	struct q_topic_config *config;
};

struct q_create_topics {
	int32_t topics, timeout_ms;
	struct q_create_topic *topic;
	bool validate_only;
};

struct q_delete_topic {
	struct view name;  /* null: by id */
	const uint8_t *id; /* NULL below v6 */
};

struct q_delete_topics {
	int32_t topics, timeout_ms;
	struct q_delete_topic *topic;
};

struct q_records_partition {
	int32_t partition;
	int64_t offset;
};

struct q_records_topic {
	struct view name;
	int32_t partitions;
	struct q_records_partition *partition;
};

struct q_delete_records {
	int32_t topics, timeout_ms;
	struct q_records_topic *topic;
};

struct q_commit_partition {
	int32_t partition, leader_epoch;
	int64_t offset;
	struct view metadata; /* null counts as empty */
};

struct q_commit_topic {
	struct view name;
	int32_t partitions;
	struct q_commit_partition *partition;
};

struct q_offset_commit {
	struct view group, member, instance; /* instance null: none */
	int32_t generation, topics, partitions; /* of all topics */
	struct q_commit_topic *topic;
};

struct q_topic_partitions {
	struct view name;
	int32_t partitions;
	int32_t *partition;
};

struct q_partitions {
	bool all;
	int32_t topics;
	struct q_topic_partitions *topic;
};

struct q_offset_group {
	struct view name;
	struct q_partitions of;
};

struct q_offset_fetch {
	int32_t groups; /* one below v8 */
	struct q_offset_group *group;
};

struct q_offset_delete {
	struct view group;
	struct q_partitions of; /* never all */
};

struct q_open_topic {
	struct view name;
	bool create;
};

struct q_open_session {
	uint32_t session_id, capabilities;
	uint64_t secret;
	struct view udp_address;
	uint16_t udp_port, max_dgram, want_window;
	int32_t topics;
	struct q_open_topic topic[KUP_HANDLES_MAX];
};

/* Each: false = malformed. */
bool q_api_versions(struct q_api_versions *ret, const struct request *rq);
bool q_metadata(struct q_metadata *ret, const struct request *rq, struct arena *a);
bool q_fetch(struct q_fetch *ret, const struct request *rq, struct arena *a);
bool q_list_offsets(struct q_list_offsets *ret, const struct request *rq, struct arena *a);
bool q_produce(struct q_produce *ret, const struct request *rq, struct arena *a);
bool q_leader_epoch(struct q_leader_epoch *ret, const struct request *rq, struct arena *a);
bool q_find_coordinator(struct q_find_coordinator *ret, const struct request *rq, struct arena *a);
bool q_describe_cluster(struct q_describe_cluster *ret, const struct request *rq);
bool q_init_producer_id(struct q_init_producer_id *ret, const struct request *rq);
bool q_create_topics(struct q_create_topics *ret, const struct request *rq, struct arena *a);
bool q_delete_topics(struct q_delete_topics *ret, const struct request *rq, struct arena *a);
bool q_delete_records(struct q_delete_records *ret, const struct request *rq, struct arena *a);
bool q_offset_commit(struct q_offset_commit *ret, const struct request *rq, struct arena *a);
bool q_offset_fetch(struct q_offset_fetch *ret, const struct request *rq, struct arena *a);
bool q_offset_delete(struct q_offset_delete *ret, const struct request *rq, struct arena *a);
bool q_open_session(struct q_open_session *ret, const struct request *rq);

#endif
