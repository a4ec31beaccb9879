/* SPDX-License-Identifier: MIT
 * produce_wait.h - produce requests under way: batches at the storage lcores, and waits for the
 * disk. Also the way of every other command to a storage lcore. Control thread. */
#ifndef KIRA_CONTROL_PRODUCE_WAIT_H
#define KIRA_CONTROL_PRODUCE_WAIT_H

#include "control/topic_config.h"
#include "control/wait_list.h"
#include "dataplane/dataplane.h"

struct control;
struct conn;
struct topic;

/* One partition of a produce request. */
struct produce_part {
	struct store_msg msg;      /* first: a completion leads back here */
	struct produce *produce;
	struct topic *topic;       /* NULL: decided, or never sent */
	enum ack_level level;
	int32_t partition;
	int16_t error;
	bool sent, stored;         /* given to the lcore; its completion came */
	bool late;                 /* counted out by the deadline */
	int64_t base_offset, append_ms, log_start;
	bool looked;               /* its records were, before it was sent: */
	int16_t look_error;
	int32_t wrong;             /* refused for what lies inside: which record, -1: as a whole; why */
	const char *why;
};

struct produce {
	struct control *ctl;
	struct conn *conn;         /* held while `sent` batches are out */
	struct produce *next, *prev; /* those waiting for the disk */
	bool on_disk_list, forgotten; /* forgotten: answered, or the connection went */
	int16_t acks;
	uint64_t lcore_until_ns;   /* so long a storage lcore is waited for, whatever the request says */
	unsigned parts, at_lcores, undecided;
	struct produce_part part[];
};

struct produce_waits {
	struct store_msg *give_first, *give_last; /* commands that found the ring full */
	struct produce *disk;      /* wait for a commit */
	uint64_t commit_seen;
	bool look;                 /* some were decided without a commit */
};

/* Wake the flush daemon for a commit that somebody waits for. */
void produce_want_disk(struct control *ctl, uint64_t commit);
/* Give any command to its storage lcore; kept in order where the ring is full. */
void produce_give(struct control *ctl, struct store_msg *msg);

struct produce *produce_make(struct conn *c, unsigned parts, int16_t acks);
/* Send what is to be sent. Returns true if everything is decided at once. */
bool produce_start(struct produce *pr, uint64_t now_ns);
/* The request needs it no longer: freed when the last completion is in. */
void produce_forget(struct produce *pr);
/* The deadline is over: partitions that wait for the disk are answered REQUEST_TIMED_OUT. A storage lcore
 * answers within a second what it has no room for, and then surely nothing was stored: those still there
 * are waited for until lcore_until_ns. Returns how long the request goes on. */
uint64_t produce_expire(struct produce *pr, uint64_t now_ns);

/* Completions, rings with room again, commits. Returns how much it did. */
unsigned produce_turn(struct control *ctl);
/* Nobody waits for the disk of this topic any more. */
void produce_topic_gone(struct control *ctl, struct topic *t);
/* No command is out and nobody waits. */
bool produce_idle(const struct control *ctl);

#endif
