/* SPDX-License-Identifier: MIT
 * group_topic.h - the group log in its topic: __consumer_offsets, made on first use, appended to through the
 * storage lcore like any Produce, read at start, renewed when it has grown long. Control thread.
 *
 *   append -----> topic there?  --no--> made; batches wait here
 *                     | yes
 *                 STORE_PRODUCE --completion--> level log: stored()
 *                                          \--> level disk: commit waited for --> stored()
 *
 *   renewal, per partition, so that the log stays short without a cleaner:
 *   longer than two segments (or the start was moved from outside)
 *     > STORE_ROLL > the whole state, as appended so far, behind everything > on disk
 *     > start offset to the first record of that state > whole segments below it go */
#ifndef KIRA_CONTROL_GROUP_TOPIC_H
#define KIRA_CONTROL_GROUP_TOPIC_H

#include "base/err.h"
#include "control/groups/group_log.h"
#include "control/groups/groups.h"
#include "control/groups/offsets.h"
#include "control/loop.h"
#include "dataplane/dataplane.h"
#include "storage/storage.h"

struct control;
struct topic;

/* Appends under way, those that wait for their topic too; more are refused. */
#define GROUP_LOG_BYTES_MAX (64u * 1024 * 1024)

struct log_batch {
	struct store_msg msg;           /* first: its completion leads back here */
	struct log_batch *next;
	struct group_log *log;
	struct group_write *w;          /* NULL: nobody waits */
	enum group_log_level level;
	int32_t partition;
	int16_t error;                  /* decided */
	uint32_t size;                  /* counted in bytes_used */
	bool renewal;                   /* of the whole state: group_log_renew_wrote() hears of it */
	uint8_t bytes[];
};

struct log_batches {
	struct log_batch *first, **last; /* last NULL: empty */
};

enum renew_step { RENEW_IDLE, RENEW_ROLLING, RENEW_WRITING, RENEW_TRIMMING };

struct log_partition {
	int64_t start;                  /* where it begins, as far as we moved it */
	uint64_t bytes, state_bytes;    /* appended above that; of these, what the last state took */
};

/* One partition at a time. */
struct renew {
	enum renew_step step;
	int32_t partition;
	int64_t begin;                  /* offset of the state's first record; -1 not known yet */
	bool failed;
	unsigned batches;               /* under way */
	uint64_t bytes;
	char *ids;                      /* groups to be written: u32 length, id, .. */
	size_t ids_length, ids_at;
	bool group_written;             /* of the group at ids_at: its own record; its offsets as far as `walk` */
	struct offset_walk walk;
	uint64_t bytes_before;          /* of the partition when it was rolled */
	uint64_t after_ns;              /* after a failure: not before */
	struct store_msg roll;
	struct partition *part;
	struct storage_op op;
};

struct group_log {
	struct control *ctl;
	struct groups *groups;
	enum group_log_state state;
	struct topic *creating;         /* held */
	struct log_batches waiting;     /* for the topic */
	struct log_batches disk;        /* for a commit, in the order of appends */
	struct log_batches decided;     /* for their turn */
	uint64_t bytes_used;
	unsigned under_way;             /* batches in all */
	struct log_partition *part;     /* [parts] of the topic, once it is there */
	int32_t parts;
	struct renew renew;
	struct timer renew_timer, expiry_timer;
	bool swept;                     /* offsets of topics that are gone were looked for */
};

/* Read the log into `gs`, whose log and offsets_remove it sets. What cannot be read leaves it BROKEN, with a log
 * line: consumers do without, records are served. The topics are open, storage's threads need not run. */
struct group_log *group_log_open(struct control *ctl, struct groups *gs, uint64_t now_ns);
/* Who waits still is told 15. The groups are there, their offsets are not any more. */
void group_log_close(struct group_log *log);

/* Messages and operations that name the log as their owner came back. */
void group_log_completed(struct group_log *log, struct store_msg *msg);
void group_log_trimmed(struct group_log *log, struct storage_op *op);

/* ---- Between the files of the log ---- */

struct topic *group_log_topic(const struct group_log *log); /* live, or NULL */
/* The topic is there: as many partitions as it has are counted from now on. */
void group_log_parts(struct group_log *log);
/* A batch of the whole state, waited for at level disk. False: refused, nothing was done. */
bool group_log_send_state(struct group_log *log, int32_t partition, const struct group_record *rec, unsigned n);

/* The first look is at once. */
void group_expiry_start(struct group_log *log);
void group_log_load(struct group_log *log, uint64_t now_ns);

/* Go on with a renewal. Returns how much was done. */
unsigned group_log_renew(struct group_log *log, uint64_t now_ns);
void group_log_renew_start(struct group_log *log);
void group_log_renew_rolled(struct group_log *log);
void group_log_renew_wrote(struct group_log *log, const struct log_batch *b);

#endif
