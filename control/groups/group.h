/* SPDX-License-Identifier: MIT
 * group.h - inside a group: its members, and the steps its files share. For the files of this folder and the
 * handlers that list members. Control thread. */
#ifndef KIRA_CONTROL_GROUP_H
#define KIRA_CONTROL_GROUP_H

#include "control/groups/groups.h"

#define GROUP_PROTOCOLS_MAX 16 /* of a member; clients name one to four */
#define GROUP_BROUGHT_MAX   (2u * 1024 * 1024) /* bytes that all members bring: in one answer, one record */
#define GROUP_NAME_MAX      249 /* bytes of an instance id; of a client id within a member id */

struct group_member {
	struct group_member *next, *prev;
	struct group *group;
	struct timer timer;              /* may fire before deadline_ns, never after it */
	uint64_t deadline_ns;            /* of the session; of a fresh member: of its first join */
	struct view id, instance;        /* instance.p NULL: dynamic */
	struct view client_id, client_host;
	int32_t session_ms, rebalance_ms;
	int32_t protocols;
	struct group_protocol *protocol; /* one block with what it points to */
	struct view assignment;          /* of this generation; valid in STABLE */
	struct group_wait *join, *sync;  /* NULL while joining or syncing: its connection died */
	bool joining, syncing;
	bool fresh;                      /* its first join is parked */
	bool must_sync;                  /* of this generation */
	bool unheard;                    /* read at start, and nobody has named its id since */
};

/* An id that was given out with 79 and has not come back yet. */
struct group_pending {
	struct group_pending *next, *prev;
	struct group *group;
	struct timer timer;
	struct view id;
};

/* ---- group_members.c ---- */

struct group_member *member_find(const struct group *g, struct view id);
struct group_member *member_of_instance(const struct group *g, struct view instance);
/* Who claims to be a member: 0 and the member, 25 or 82. */
int16_t member_claimed(const struct group *g, struct view id, struct view instance,
	struct group_member **ret);
/* NULL: memory. */
struct group_member *member_add(struct group *g, const struct group_join_request *q, struct view id);
/* Take over what a JoinGroup says. False: memory, nothing changed. */
bool member_update(struct group_member *m, const struct group_join_request *q, struct view id);
/* Parked requests of it are answered `error`. */
void member_remove(struct group_member *m, int16_t error);
bool member_assign(struct group_member *m, struct view assignment);
/* Begin its session anew. */
void member_alive(struct group_member *m, uint64_t now_ns);
void member_fail_join(struct group_member *m, int16_t error);
void member_fail_sync(struct group_member *m, int16_t error);

/* Each keeps room for as many as a group may have members: the oldest goes for one more. */
bool pending_add(struct group *g, struct view id, int32_t session_ms, uint64_t now_ns);
struct group_pending *pending_find(const struct group *g, struct view id);
void pending_remove(struct group_pending *p);

/* ---- group_vote.c ---- */

bool member_matches(const struct group_member *m, const struct group_join_request *q);
/* Its metadata for the protocol of this generation; empty where it has none. */
struct view member_metadata(const struct group_member *m);
/* Is there a protocol that q and all members, but for `except`, support? */
bool group_agrees(const struct group *g, const struct group_join_request *q,
	const struct group_member *except);
/* Bytes of names and metadata that its members bring. */
uint64_t group_brought(const struct group *g);
uint64_t group_brings(int32_t protocols, const struct group_protocol *protocol);
/* The protocol that all support and most members prefer. */
struct view group_vote(const struct group *g);
int32_t group_rebalance_ms(const struct group *g);

/* ---- group_round.c ---- */

/* Leave EMPTY, COMPLETING or STABLE for PREPARING, and that too if nobody is waited for. */
void group_prepare(struct group *g, uint64_t now_ns);
/* Somebody joined, left or expired: go on as far as possible. */
void group_changed(struct group *g, uint64_t now_ns);
/* The group's own timer. */
void group_timer(struct timer *t, uint64_t now_ns);
/* What the log says of the group: its record is appended. False: surely not stored. */
bool group_keep(struct group *g, struct group_write *w);
/* stored() of g->write. */
void group_assignment_stored(struct group_write *w, int16_t error, uint64_t now_ns);
void group_answer_join(struct group_member *m, bool skip_assignment, struct view leader);
void group_answer_sync(struct group_member *m);

/* ---- groups.c ---- */

void groups_set_state(struct group *g, enum group_state state, uint64_t now_ns);
/* Free a group of which nothing is worth keeping: no member, no generation, no offsets. */
void groups_tidy(struct group *g);
struct view group_copy(struct groups *gs, struct view v);
void group_uncopy(struct groups *gs, struct view v);

/* The log's keys are strings of the old encoding. */
static inline bool
group_id_legal(struct view id)
{
	return id.len > 0 && id.len <= INT16_MAX;
}

#endif
