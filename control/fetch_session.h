/* SPDX-License-Identifier: MIT
 * fetch_session.h - fetch sessions (KIP-227): which partitions a consumer wants, kept between its requests, so
 * that request and answer name only what changed. Control thread.
 *
 * A partition of a session is `due` while an answer may have to name it: it has data that was not taken, an
 * error, or an end that the client was not told. All others cost nothing, however many they are. */
#ifndef KIRA_CONTROL_FETCH_SESSION_H
#define KIRA_CONTROL_FETCH_SESSION_H

#include "control/fetch_wait.h"
#include "control/kafka/requests.h"

#define SESSION_ID_BUCKETS 1024

struct control;
struct fetch_session;

/* A topic as the session names it. */
struct session_topic {
	struct session_topic *chain; /* of its bucket */
	struct fetch_session *session;
	uint32_t partitions;         /* of the session; freed with the last */
	uint32_t hash;
	struct view key;             /* name, or 16 bytes of id; lies behind this struct */
};

struct session_partition {
	struct fetch_watch watch;
	struct session_partition *chain;
	struct session_partition *next, *prev;         /* all of the session */
	struct session_partition *due_next, *due_prev; /* those due, longest not served first */
	bool due;
	struct session_topic *topic;
	struct q_fetch_partition q;                    /* as asked for last */
	int64_t told_end, told_start;                  /* to the client; -1: nothing, or an error */
};

struct fetch_session {
	struct fetch_session *next, *prev; /* all, longest not used first */
	struct fetch_session *chain;       /* of its bucket */
	int32_t id, epoch;                 /* epoch: of the next request */
	bool by_id;                        /* topics by id */
	uint32_t partitions, due_n;
	struct session_partition *first, *last, *due_first, *due_last;
	uint64_t created_ns, used_ns;
	struct conn *parked;               /* the request that waits; NULL: none */
	uint64_t until_ns;                 /* so long, by its max_wait */
};

struct fetch_sessions {
	struct fetch_session *first, *last;
	struct fetch_session *of_id[SESSION_ID_BUCKETS];
	struct session_topic **topic;          /* [SESSION_BUCKETS], NULL before the first session */
	struct session_partition **partition;  /* [SESSION_BUCKETS] */
	uint32_t secret[2];                    /* in their keys */
	uint32_t n;
	uint64_t bytes;                        /* of all */
};

void fetch_sessions_close(struct control *ctl);

/* For so many partitions, in place of another if need be, as Kafka judges; NULL: the cache is full of better
 * ones. Not used by anybody yet: epoch 1. */
struct fetch_session *fetch_session_open(struct control *ctl, int32_t partitions, bool by_id);
struct fetch_session *fetch_session_find(const struct control *ctl, int32_t id);
/* A request that is parked for it is told 70. */
void fetch_session_close(struct control *ctl, struct fetch_session *s);
/* It was used: it stays longest now. */
void fetch_session_touch(struct control *ctl, struct fetch_session *s);

/* Wanted from now on, or in another way; due. NULL: no memory for it. */
struct session_partition *fetch_session_want(struct control *ctl, struct fetch_session *s, struct view topic,
	const struct q_fetch_partition *q);
void fetch_session_forget(struct control *ctl, struct fetch_session *s, struct view topic, int32_t partition);

/* To the end of those due. */
void session_partition_due(struct session_partition *sp);
void session_partition_done(struct session_partition *sp);

/* Its partition moved: due. Returns who is parked for it, or NULL. */
struct conn *fetch_session_moved(struct session_partition *sp);

/* A parked request learns from these, in place of its session, that it has none any more. */
extern const char fetch_session_gone, fetch_session_overtaken;
/* Another request came for the session: the one that is parked ends with 71. */
void fetch_session_overtake(struct control *ctl, struct fetch_session *s);

#endif
