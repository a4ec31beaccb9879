/* SPDX-License-Identifier: MIT
 * groups.h - consumer groups, Kafka's classic protocol: the coordinator as a state machine. Control thread.
 * Pure but for memory, which is counted and bounded: no socket, no clock; time and random ids are given.
 *
 *           first join            all joined, or join timer
 *   EMPTY --------------> PREPARING ------------------------> COMPLETING
 *     ^                    |   ^   ^                            |    | leader's SyncGroup is stored
 *     | no members left    |   |   +- new or changed join, -----+    v
 *     +--------------------+   |      leave, expiry                STABLE
 *     |                        +- join by a new member, the leader, or with changed metadata; leave; expiry
 *     +--> removed: DeleteGroups, or EMPTY and its last offset expired
 *
 * A request that must wait is parked: its struct group_wait belongs to the group until groups->joined or
 * ->synced has been called for it, once, or group_forget(). Those two write an answer and nothing else: they
 * must not call back into the groups. */
#ifndef KIRA_CONTROL_GROUPS_H
#define KIRA_CONTROL_GROUPS_H

#include "base/reader.h"
#include "control/groups/group_log.h"
#include "control/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define GROUP_UUID_TEXT 37 /* a random UUID as text, terminated */

struct group;
struct group_offsets; /* what was committed: of offsets.c */
struct group_member;
struct writer;

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING, GROUP_STABLE };

/* A JoinGroup or SyncGroup that is being answered or parked. */
struct group_wait {
	struct group_member *member; /* NULL: not parked */
};

struct group_protocol {
	struct view name, metadata;
};

struct group_join_request {
	struct view group, member, instance;    /* instance.p NULL: none */
	struct view client_id, client_host;     /* "/1.2.3.4" */
	int32_t session_ms, rebalance_ms;       /* rebalance_ms < 0: as session_ms */
	struct view protocol_type;
	int32_t protocols;
	const struct group_protocol *protocol;
	bool id_required;                       /* v4+: a new dynamic member is answered 79 first */
	bool skip_offered;                      /* v9+: a leader may be told to skip its assignment */
};

struct group_claim {
	struct view group, member, instance;    /* instance.p NULL: none */
	int32_t generation;
};

struct group_assignment {
	struct view member, assignment;
};

struct group_sync_request {
	struct group_claim claim;
	struct view protocol_type, protocol;    /* p NULL: not said */
	int32_t assignments;
	const struct group_assignment *assignment;
};

struct group_joined {
	int16_t error;
	int32_t generation;
	struct view protocol_type, protocol, leader, member; /* p NULL: null */
	bool skip_assignment;
	const struct group *members_of; /* NULL: none are told */
};

struct group_synced {
	int16_t error;
	struct view protocol_type, protocol, assignment;
};

struct group_limits {
	uint64_t initial_delay_ns;              /* group.initial.rebalance.delay.ms */
	int32_t session_min_ms, session_max_ms; /* group.min, max.session.timeout.ms */
	unsigned members_max;                   /* of a group: group.max.size */
	uint64_t memory_max;                    /* of all groups and their offsets */
};

struct groups {
	struct group_limits limits;
	struct loop *loop;                      /* for timers alone */
	struct group_log *log;
	void *owner;
	void (*joined)(struct groups *gs, struct group_wait *w, const struct group_joined *a);
	void (*synced)(struct groups *gs, struct group_wait *w, const struct group_synced *a);
	void (*uuid)(struct groups *gs, char ret[GROUP_UUID_TEXT]);
	/* The group goes: append tombstones for its offsets, free them, set g->offsets to NULL. */
	void (*offsets_remove)(struct groups *gs, struct group *g);
	int64_t wall_minus_now_ms;              /* wall_ms = now_ns / 1e6 + this; refreshed by the owner */

	struct group *first, *last;             /* in the order they were made */
	struct group **bucket;
	unsigned n, buckets;
	uint64_t memory_used;
};

struct group {
	struct group *next, *prev, *hash_next;
	struct groups *groups;
	struct view id;
	uint32_t hash;
	enum group_state state;
	int32_t generation;                     /* 0: no round was completed yet */
	int64_t state_since_ms;                 /* wall clock */
	struct view protocol_type;              /* empty: a simple group, offsets only */
	struct view protocol;                   /* of this generation; p NULL: none */
	struct group_offsets *offsets;          /* NULL: none; offsets.c */
	uint64_t offsets_bytes;                 /* counted in memory_used */

	struct group_member *members, *members_last; /* in the order they joined */
	unsigned member_count;
	struct group_member *leader;            /* NULL: none yet */
	struct group_pending *pending, *pending_last;
	unsigned pending_count;

	struct timer timer;                     /* PREPARING: of the join; then: of the syncs */
	bool initial;                           /* PREPARING: from EMPTY, so it waits for more */
	bool grown;                             /* while `initial`: a member came since it began to wait */
	bool shrunk;                            /* by LeaveGroup, not yet acted upon */
	int64_t initial_left_ms;                /* how often it may wait again, at most the rebalance timeout */
	struct group_write write;               /* COMPLETING: the leader's assignment */
};

/* ---- Requests ---- */

/* Each is answered once, within the call or later, by groups->joined or ->synced. */
void group_join(struct groups *gs, const struct group_join_request *q, struct group_wait *w,
	uint64_t now_ns);
void group_sync(struct groups *gs, const struct group_sync_request *q, struct group_wait *w,
	uint64_t now_ns);
/* The connection of a parked request died: its member stays. */
void group_forget(struct group_wait *w);

int16_t group_heartbeat(struct groups *gs, const struct group_claim *q, uint64_t now_ns);
/* Of one member; an instance without a member id: whoever holds it. NULL: no such group. After the last
 * one: group_left(). */
int16_t group_leave(struct group *g, struct view member, struct view instance);
void group_left(struct group *g, uint64_t now_ns);

const char *group_state_name(enum group_state state);

/* ---- The table ---- */

struct group *groups_find(const struct groups *gs, struct view id);
/* Find, or make an EMPTY one. NULL: memory_max. */
struct group *groups_obtain(struct groups *gs, struct view id, uint64_t now_ns);
/* Once in a while: EMPTY groups without offsets go. */
void groups_sweep(struct groups *gs);
/* Forget all. */
void groups_close(struct groups *gs);
/* Remove an EMPTY group, its offsets, and what the log says of it. `w` (or NULL): stored() when that is
 * appended. */
void groups_remove(struct groups *gs, struct group *g, struct group_write *w);
/* Memory that a group's offsets take; false: memory_max, nothing was taken. */
bool groups_memory_take(struct groups *gs, uint64_t bytes);
void groups_memory_give(struct groups *gs, uint64_t bytes);

/* ---- For committed offsets ---- */

/* May these offsets be committed? 0 and the group; made where a simple consumer (generation -1, no member)
 * names one that is not there. Restarts the member's session. Else an error: 24, 25, 22, 27, 82; 15 where
 * memory is used up. */
int16_t groups_may_commit(struct groups *gs, const struct group_claim *q, uint64_t now_ns,
	struct group **ret);
/* A "consumer" group with members of which one subscribes to the topic, or whose subscriptions cannot be
 * read. */
bool group_subscribes(const struct group *g, struct view topic);
/* Protocol type "consumer". */
bool group_is_consumer(const struct group *g);

/* ---- What is kept: key i16 2 | group:str ---- */

/* key   i16 2 | group:str */
void group_record_key(const struct group *g, struct writer *key);
/* value i16 3 | protocolType:str | generation:i32 | protocol:str? | leader:str? | stateTimestamp:i64 |
 * members[]{id:str instance:str? clientId:str clientHost:str rebalanceMs:i32 sessionMs:i32
 * subscription:bytes assignment:bytes}. False: nothing is kept of this group (no generation yet). */
bool group_record(const struct group *g, struct writer *key, struct writer *value);
/* A record read at start, its key without the leading version; value.p NULL: removed. False: not
 * understood, left out. */
bool groups_replay(struct groups *gs, struct view id, struct view value, uint64_t now_ns);
/* All was read: members get a whole session. */
void groups_replayed(struct groups *gs, uint64_t now_ns);

#endif
