/* SPDX-License-Identifier: MIT
 * serve.h - one handler per request: decode, act, write the answer or park. Control thread. */
#ifndef KIRA_CONTROL_KAFKA_SERVE_H
#define KIRA_CONTROL_KAFKA_SERVE_H

#include "control/conn.h"

/* Bits of AclOperation: all that a topic and a cluster know. */
#define SERVE_TOPIC_OPERATIONS   3576
#define SERVE_CLUSTER_OPERATIONS 8096

/* The id of no topic. */
extern const uint8_t serve_no_id[UUID_BYTES];

/* The request in c->rq. */
enum served serve(struct conn *c, uint64_t now_ns);

enum served k00_produce(struct conn *c, uint64_t now_ns);
enum served k01_fetch(struct conn *c, uint64_t now_ns);
enum served k02_list_offsets(struct conn *c, uint64_t now_ns);
enum served k03_metadata(struct conn *c, uint64_t now_ns);
enum served k08_offset_commit(struct conn *c, uint64_t now_ns);
enum served k09_offset_fetch(struct conn *c, uint64_t now_ns);
enum served k10_find_coordinator(struct conn *c, uint64_t now_ns);
enum served k11_join_group(struct conn *c, uint64_t now_ns);
enum served k12_heartbeat(struct conn *c, uint64_t now_ns);
enum served k13_leave_group(struct conn *c, uint64_t now_ns);
enum served k14_sync_group(struct conn *c, uint64_t now_ns);
enum served k15_describe_groups(struct conn *c, uint64_t now_ns);
enum served k16_list_groups(struct conn *c, uint64_t now_ns);
enum served k18_api_versions(struct conn *c, uint64_t now_ns);
enum served k19_create_topics(struct conn *c, uint64_t now_ns);
enum served k20_delete_topics(struct conn *c, uint64_t now_ns);
enum served k21_delete_records(struct conn *c, uint64_t now_ns);
enum served k22_init_producer_id(struct conn *c, uint64_t now_ns);
enum served k23_offset_for_leader_epoch(struct conn *c, uint64_t now_ns);
enum served k29_describe_acls(struct conn *c, uint64_t now_ns);
enum served k30_create_acls(struct conn *c, uint64_t now_ns);
enum served k31_delete_acls(struct conn *c, uint64_t now_ns);
enum served k32_describe_configs(struct conn *c, uint64_t now_ns);
enum served k33_alter_configs(struct conn *c, uint64_t now_ns); /* and 44 */
enum served k35_describe_log_dirs(struct conn *c, uint64_t now_ns);
enum served k37_create_partitions(struct conn *c, uint64_t now_ns);
enum served k42_delete_groups(struct conn *c, uint64_t now_ns);
enum served k43_elect_leaders(struct conn *c, uint64_t now_ns);
enum served k46_list_reassignments(struct conn *c, uint64_t now_ns);
enum served k47_offset_delete(struct conn *c, uint64_t now_ns);
enum served k60_describe_cluster(struct conn *c, uint64_t now_ns);
enum served k61_describe_producers(struct conn *c, uint64_t now_ns);
enum served k75_describe_topics(struct conn *c, uint64_t now_ns);
enum served kira_open_session(struct conn *c, uint64_t now_ns);

/* The command of an OpenSession came back from its rx lcore; takes the command over. */
void kira_open_session_installed(struct grant_cmd *cmd);

/* A STORE_PRODUCERS came back from its lcore. */
void producers_told(struct control *ctl, struct store_msg *msg);

/* An OP_DELETE_RECORDS came back from storage. */
void records_deleted(struct control *ctl, struct storage_op *op);
/* At the end, when neither storage nor a connection knows of any. */
void records_close(struct control *ctl);

/* May groups be looked at, and is this a group's name? 0, 14 while they are read, 15, 24. */
int16_t serve_group_log(const struct control *ctl, struct view group);

/* Is a topic of that name being made? What asks for it waits in ctl->topics.waits. */
bool serve_being_made(const struct control *ctl, struct view topic);

/* Does another of `n` elements of `size` bytes bear the name of element i? `first`: the name in element 0. */
bool serve_named_twice(const struct view *first, size_t size, int32_t n, int32_t i);

/* Park until it is this request's turn for a look inside a batch: one is made in a pass of control over all
 * connections. Before its end again() is called with no deadline. */
enum served serve_in_line(struct conn *c, const struct park *park, void *data);

/* The epoch a client names against ours: 0, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH. */
int16_t serve_epoch(const struct partition *part, int32_t epoch);

#endif
