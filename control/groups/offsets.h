/* SPDX-License-Identifier: MIT
 * offsets.h - committed offsets, per group and partition, in memory and in the group log. Control thread.
 *
 * An offset has two values: `now`, which is stored at the level promised, and which fetches see; and `last`, which
 * was appended last, and which a renewal of the log writes: an older one behind it would take it back at the next
 * start. They are the same where nothing is under way.
 * Bounded by struct groups' memory_max, in all; of a group, by the partitions there are. */
#ifndef KIRA_CONTROL_OFFSETS_H
#define KIRA_CONTROL_OFFSETS_H

#include "control/groups/group_log.h"
#include "control/groups/groups.h"
#include "control/groups/offset_record.h"

#define OFFSET_METADATA_MAX 4096     /* offset.metadata.max.bytes */
#define OFFSET_PARTITIONS_MAX 100000 /* of a topic: as many as max-partitions may be */

struct control;
struct offset_topic;
struct offset_value;

/* ---- Looking ---- */

/* What fetches see. False: nothing is committed. */
bool offsets_find(const struct group *g, struct view topic, int32_t partition, struct offset_record *ret);
/* Topics with something committed, by name; 0.. */
unsigned offsets_topics(const struct group *g);
struct view offsets_topic(const struct group *g, unsigned i);
/* Committed partitions of the i-th topic from `from` on, ascending: the next one, or -1. */
int32_t offsets_next(const struct group *g, unsigned i, int32_t from, struct offset_record *ret);
/* Nothing is committed and nothing is under way. */
bool offsets_empty(const struct group *g);

/* ---- Changing ---- */

struct offset_change {
	struct offset_topic *topic;
	int32_t partition;
	struct offset_value *value; /* NULL: removed */
};

/* Offsets on their way into the log, all or none. Outlives the request. */
struct offset_commit {
	struct group_write write;      /* first */
	struct groups *groups;
	struct group_offsets *of;
	void (*done)(void *owner, struct offset_commit *c, uint64_t now_ns); /* c->error is decided; c is the owner's again */
	void *owner;                   /* NULL: nobody hears of it, it frees itself */
	bool decided;
	int16_t error;
	uint64_t order;                /* among those of its group, as the log has them */
	unsigned n, room;
	struct offset_change change[];
};

/* At most `room` changes of one group. */
struct offset_commit *offsets_commit_make(struct groups *gs, struct group *g, unsigned room);
/* False: memory_max. */
bool offsets_commit_add(struct offset_commit *c, struct view topic, int32_t partition,
	const struct offset_record *o);
/* Remove one. False: it is not there. */
bool offsets_commit_remove(struct offset_commit *c, struct view topic, int32_t partition);
/* Of `wanted` removals in a topic those that one commit can take: they fit into a batch of the log. */
unsigned offsets_removals(const struct groups *gs, const struct group *g, struct view topic, int32_t wanted);
/* Append: done() is called later, once, never from within. Not where c->decided is set: nothing is to be appended, or
 * more than a batch holds, INVALID_COMMIT_OFFSET_SIZE(28). */
void offsets_commit_send(struct offset_commit *c, enum group_log_level level);
/* Before it was sent, or after done(); of one under way: it goes on, unheard. */
void offsets_commit_forget(struct offset_commit *c);

/* struct groups' offsets_remove. */
void offsets_remove(struct groups *gs, struct group *g);
/* At the end: free all, append nothing. */
void offsets_close(struct groups *gs);
/* The topic is being deleted: nobody has a committed offset there. */
void offsets_topic_gone(struct groups *gs, struct view topic);

/* ---- What is kept ---- */

/* A record read at start; value.p NULL: removed. False: not understood. */
bool offsets_replay(struct groups *gs, const struct group_key *key, struct view value, uint64_t now_ns);

/* Records gathered for a batch. */
#define OFFSET_PAD_BYTES   (4u * 1024 * 1024)
#define OFFSET_PAD_RECORDS 65536u

struct offset_pad {
	unsigned n;
	struct writer w;
	struct group_record rec[OFFSET_PAD_RECORDS];
	uint8_t bytes[OFFSET_PAD_BYTES];
};

struct offset_pad *offset_pad(void);      /* the one there is, empty */
/* `o` NULL: a removal. False: full, nothing was added. */
bool offset_pad_add(struct offset_pad *pad, struct view group, struct view topic, int32_t partition,
	const struct offset_record *o);

/* Where a walk over a group's offsets is; zeroed at first. */
struct offset_walk {
	unsigned topic;
	int32_t partition;
};
/* Add what the log is to hold of this group, as far as `enough` bytes and from *at on. True: there is more. */
bool offsets_state(const struct group *g, struct offset_walk *at, struct offset_pad *pad, size_t enough);

/* ---- Expiry ---- */

struct offset_expiry {
	int64_t wall_ms, retention_ms;
	/* NULL: all do. Offsets of topics that are not there go too. */
	bool (*exists)(void *arg, struct view topic, int32_t partition);
	void *arg;
};

/* Remove what is expired of all groups, and groups that are empty then. Returns how many offsets went. */
unsigned offsets_expire(struct groups *gs, const struct offset_expiry *e);

#endif
