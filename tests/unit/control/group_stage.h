/* SPDX-License-Identifier: MIT
 * group_stage.h - the coordinator on a stage: a log that stores when told, a clock that the test sets, clients
 * that remember what they were answered, and how often. */
#ifndef KIRA_TESTS_GROUP_STAGE_H
#define KIRA_TESTS_GROUP_STAGE_H

#include "base/clock.h"
#include "control/groups/group.h"

#define STAGE_TEXT  300
#define STAGE_START (1000 * NS_PER_S)

struct asked {
	struct group_wait w;               /* first */
	unsigned answers;                  /* 1 and no more */
	int16_t error;
	int32_t generation;
	char member[STAGE_TEXT], leader[STAGE_TEXT], protocol[STAGE_TEXT], type[STAGE_TEXT];
	bool protocol_null;
	bool skip;
	unsigned members;                  /* told to a leader */
	char assignment[STAGE_TEXT];
};

/* What the fake log keeps. */
struct stage_log {
	enum group_log_state state;
	bool hold;                         /* stored() waits for stage_store() */
	int16_t error;                     /* of what is stored next */
	unsigned appends, tombstones;
	struct group_write *waiting[64];
	unsigned waits;
	uint8_t key[512], value[65536];    /* of the last record */
	uint32_t key_length, value_length;
	bool value_null;
};

struct stage {
	struct loop loop;
	struct groups gs;
	struct stage_log log;
	uint64_t now_ns;
	unsigned ids;                      /* given out so far */
	unsigned offsets_removed;
};

extern struct stage stage;

void stage_open(uint64_t initial_delay_ms, unsigned members_max);
void stage_close(void);
/* Time passes in steps, timers fire, what was appended is stored. */
void stage_pass(uint64_t ms);
void stage_store(void);

/* A consumer's usual JoinGroup: session 10 s, rebalance 30 s, one protocol "range". Change and send. */
struct group_join_request stage_join(const char *group, const char *member, const char *instance);
/* A protocol list by names: "range roundrobin"; metadata "m". */
void stage_protocols(struct group_join_request *q, const char *names, const char *metadata);
void join(const struct group_join_request *q, struct asked *a);
/* stage_join and join. */
void joins(const char *group, const char *member, struct asked *a);
/* The leader assigns each member its own id, an "x" before it. Others send nothing. */
void syncs(const char *group, const struct asked *joined, struct asked *a);
void sync_as(const char *group, const char *member, const char *instance, int32_t generation, struct asked *a);
int16_t beats(const char *group, const char *member, int32_t generation);
int16_t leaves(const char *group, const char *member, const char *instance);
int16_t commits(const char *group, const char *member, int32_t generation);

struct group *stage_group(const char *id);
enum group_state state_of(const char *id);
/* A group with n members, STABLE; a[0] is the leader's JoinGroup. */
void stage_stable(const char *group, unsigned n, struct asked *a);
/* A JoinGroup that is answered with an id for the member, to come again with; what was asked. */
struct group_join_request stage_given(const char *group, struct asked *a);
/* A STABLE group of static member i1 alone, with a session of 100 s and `rebalance_ms`, which is heard of no more; then
 * somebody joins. a[0] and a[1] are their JoinGroups. */
void stage_absent(const char *group, int32_t rebalance_ms, struct asked *a);
/* A STABLE group of two static members, i1, which leads, and i2; a[0] and a[1] are their first JoinGroups. */
void stage_static(const char *group, struct asked *a);

#endif
