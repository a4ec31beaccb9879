/* SPDX-License-Identifier: MIT
 * fetch_wait.h - who waits for data of which partition: parked fetches, and fetch sessions between their
 * requests. Control thread. */
#ifndef KIRA_CONTROL_FETCH_WAIT_H
#define KIRA_CONTROL_FETCH_WAIT_H

#include "control/wait_list.h"
#include "storage/storage.h"

struct control;
struct session_partition;
struct topic;

/* One partition that is waited for: of a parked fetch, or of a session. */
struct fetch_watch {
	struct fetch_watch *next, **at;    /* in the list of its partition; at NULL: in none */
	struct partition *part;
	struct conn *conn;                 /* to be woken; NULL: a session's */
	struct session_partition *session; /* to be told */
};

struct fetch_waits {
	struct wait_list parked, woken;
	struct fetch_watch **of_slot; /* [slots], by storage_slot() */
	struct partition **behind;    /* [slots]: it has an end that consumers may not see yet; NULL: not */
	uint32_t *behind_slot;        /* those, */
	uint32_t behind_n;            /* so many */
	uint32_t slots;               /* max-partitions */
	uint64_t commit, failures;    /* as of the last look */
	uint64_t looked_ns;           /* when that was */
	unsigned looked_at;           /* fetches that it woke */
	bool watching;                /* dataplane_watch_data() is on */
	bool due;                     /* a doorbell came since, */
	bool more;                    /* or marks were left */
};

void fetch_waits_open(struct control *ctl);
void fetch_waits_close(struct control *ctl);

/* From now on w is told when the visible offset of `part` moves past `ends`, it fails, or it goes;
 * each time until fetch_unwatch(). Nothing where it is watched already. */
void fetch_watch(struct control *ctl, struct fetch_watch *w, struct partition *part,
	const struct partition_ends *ends);
void fetch_unwatch(struct fetch_watch *w);

/* Park c: with fetches.parked; the bell is on. */
void fetch_park(struct control *ctl, struct conn *c);
/* In the next turn c is looked at again, whatever moves. */
void fetch_wake(struct control *ctl, struct conn *c);
/* The doorbell rang. */
void fetch_rang(struct control *ctl);
/* When the next look is due; UINT64_MAX: none. */
uint64_t fetch_due_ns(const struct control *ctl);
unsigned fetch_turn(struct control *ctl);
/* Whatever has moved until now is told to those who wait; nobody is woken yet. */
void fetch_look(struct control *ctl);
/* What consumers may see of a topic has changed otherwise than by data: who waits for it looks again. */
void fetch_topic_altered(struct control *ctl, const struct topic *t);
/* A topic goes: who waits for it looks again, and it is watched no more. */
void fetch_topic_gone(struct control *ctl, const struct topic *t);

#endif
