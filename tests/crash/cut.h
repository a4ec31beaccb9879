/* SPDX-License-Identifier: MIT
 * cut.h - power cuts of the real storage engine on a real file system: the parts of cut_driver.
 * cut_history.c remembers what was sent and promised, over all cuts of one file system; cut_io.c
 * counts system calls and cuts at one of them; cut_raw.c looks at what the cut left, before anybody
 * repairs it; cut_judge.c asks the recovered engine; cut_work.c gives it something to do.
 * Thread: main, but for cut_io.c, whose calls come from the flush daemon and its jobs too. */
#ifndef KIRA_TESTS_CUT_H
#define KIRA_TESTS_CUT_H

#include "storage/io.h"
#include "storage/storage.h"

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CUT_TOPICS     3
#define CUT_PARTITIONS 2         /* of each */
#define CUT_SMALL      2         /* this topic has small batches only, and compression.type=lz4 */
#define CUT_PRODUCERS  3         /* per partition; the first of no id */
#define CUT_BATCH_ROOM 131072
#define CUT_LOGS       (CUT_TOPICS * CUT_PARTITIONS)

/* ---- cut_history.c ------------------------------------------------------------------------ */

enum level { LEVEL_LOG, LEVEL_DISK };

struct item { /* a batch */
	int64_t offset, timestamp, append_ms;
	uint64_t seed, commit;   /* commit: that covers it; UINT64_MAX: not published */
	uint32_t crc, total, value;
	int32_t count, leader_epoch, sequence;
	unsigned producer;
	int16_t epoch;
	enum level level;
	bool fresh;              /* sent since the last recovery */
	bool late;               /* stored after the cut: no sync that covers it can say 0 */
};

struct log {
	struct item *item;
	unsigned n, room;
	int64_t end, published;
	int64_t durable;         /* acked at disk, seen as durable, or kept by a recovery */
	int64_t start, start_now; /* at least: found by the last recovery, or answered; at most: published or asked for */
	int32_t epoch;           /* the highest ever seen */
	int64_t *epoch_end;      /* [epochs]: offsets below were used in it, lost ones too */
	unsigned epochs;
};

struct topic {
	bool asked, created, deleting;
	unsigned generation;     /* how often it was deleted: part of its id */
	struct log log[CUT_PARTITIONS];
};

struct history {
	FILE *file;              /* appended to; NULL: nothing is written */
	struct topic topic[CUT_TOPICS];
	uint64_t events;
	char wrong[400];         /* a promise that is broken already while it is made */
};

/* Read what is there; later events are added to the file. Dies of a file that is none. */
void history_open(struct history *h, const char *path);
const struct item *history_latest(const struct log *l, unsigned producer, int64_t end, unsigned back);
const struct item *history_at(const struct log *l, int64_t offset);
/* The batch as sent, into `to` [CUT_BATCH_ROOM]; its length. */
uint32_t history_bytes(const struct item *it, uint8_t *to);
/* As it lies in the file. */
uint32_t history_stored_bytes(const struct item *it, uint8_t *to);

void history_sent(struct history *h, unsigned t, unsigned p, const struct item *it);
void history_published(struct history *h, unsigned t, unsigned p, uint64_t commit);
void history_durable(struct history *h, unsigned t, unsigned p, int64_t end);
void history_start(struct history *h, unsigned t, unsigned p, int64_t start);
/* Records below were asked to be deleted: from now on the start may be there. It was answered: it is. */
void history_trim(struct history *h, unsigned t, unsigned p, int64_t offset);
void history_trimmed(struct history *h, unsigned t, unsigned p, int64_t offset);
/* A recovery found the log like this, and goes on from there. */
void history_found(struct history *h, unsigned t, unsigned p, int64_t start, int64_t end, int32_t epoch);
void history_gone(struct history *h, unsigned t);
enum topic_event { TOPIC_ASKED, TOPIC_CREATED, TOPIC_DELETING };
void history_topic(struct history *h, unsigned t, enum topic_event e);
void history_stopping(struct history *h); /* retention goes on in a stop */
void history_stopped(struct history *h);
void history_flush(struct history *h);

/* ---- cut_io.c ----------------------------------------------------------------------------- */

enum cut_how {
	CUT_LOG_FLUSHED,  /* the file system's log goes to the disk first */
	CUT_AFTER_FSYNC,  /* of another file, and then nothing more */
	CUT_BARE,         /* what its log held in memory is lost */
	CUT_SYNCED,       /* all is written first: only the process's view is cut */
	CUT_READ_ONLY,    /* ext4 finds an error and mounts itself read-only; else as CUT_SYNCED */
	CUT_HOWS,
};
extern const char *const cut_how_name[CUT_HOWS];

struct cut {
	const char *dir;          /* data directory */
	const char *path;         /* of the mount */
	int mount;                /* descriptor on its file system; -1: there is no real cut */
	enum cut_how how;
	unsigned write_back;      /* of 100 pages of the newest files, so many are written before it */
	uint64_t seed;
	_Atomic int64_t calls_left; /* the cut comes at the call that makes it 0; < 0: at none */
	_Atomic bool begun, done;   /* from the first on calls may fail */
	_Atomic uint64_t calls;   /* that change or sync something */
	_Atomic uint64_t pages;   /* written back by us */
};
extern struct cut cut;
const struct io *cut_io(void);

void cut_now(void);
/* Of 100 pages of the newest two files of each partition `share` are written, in any order. */
void cut_write_back(unsigned share, uint64_t seed);
uint64_t cut_random(uint64_t *state, uint64_t below);

/* ---- cut_raw.c ---------------------------------------------------------------------------- */

struct raw {
	unsigned files, holes, torn; /* files with a batch; with a hole below a live page; torn batches */
	unsigned lost_pages, kept_pages; /* of unsynced ones */
	unsigned acked_lost;         /* pages below what was acked that are not as sent: to explain a verdict */
};
/* The files as the cut left them, against what was sent. Reads only. */
void raw_look(const struct history *h, const char *dir, struct raw *ret);

/* ---- cut_engine.c ------------------------------------------------------------------------- */

struct engine {
	struct storage *s;
	struct partition *part[CUT_TOPICS][CUT_PARTITIONS]; /* NULL: that topic is not there */
	struct storage_topic topic[CUT_TOPICS];
	bool threads;                /* the real flush daemon and its job threads; else turns of ours */
	uint64_t ahead_ns;           /* of the real clocks; time is made to pass by turns */
	struct partition_config config[CUT_TOPICS];
	struct err err;
};

int engine_open(struct engine *e, const char *dir, uint64_t flush_ms);
int engine_start(struct engine *e);  /* its threads, if it has any */
int engine_create(struct engine *e, unsigned t, unsigned generation);
int engine_delete(struct engine *e, unsigned t);
/* DeleteRecords; the new start. -ETIMEDOUT: not answered yet, it may be done later. */
int engine_trim(struct engine *e, unsigned t, unsigned p, int64_t offset, int64_t *start);
/* With threads: the real time passes, as short as can be. */
void engine_turns(struct engine *e, unsigned n);
/* Turns after which what was asked for, and can be done, hangs. */
unsigned engine_patience(const struct engine *e);
void engine_pass(struct engine *e, uint64_t ms);
int engine_stop(struct engine *e);
uint64_t engine_now_ns(const struct engine *e);
int64_t engine_wall_ms(const struct engine *e);

/* ---- cut_judge.c -------------------------------------------------------------------------- */

struct judged {
	uint64_t batches, merged;            /* of them those that a rewriting made */
	unsigned partitions, epochs;         /* recovered, with a raised epoch */
	unsigned starts_within, starts_merged; /* that begin within a batch; within a merged one */
	uint64_t sent[2], kept[2];           /* fresh records by level */
	uint64_t digest[CUT_LOGS];           /* of (start, end, every batch) */
	unsigned duplicates;                 /* retries that were known */
};
/* `killed`: only the process ended since, so all that was published must be there. NULL: right. */
const char *judge(struct engine *e, struct history *h, bool killed, struct judged *ret);
/* The history goes on from what was found. */
void judge_adopt(const struct engine *e, struct history *h);
/* Each producer's latest batch again is known, the next but one is early, the next is stored. */
const char *judge_producers(struct engine *e, struct history *h, uint64_t *random, struct judged *ret);
/* `kira check` of the directory, which nobody has open. */
const char *judge_files(const char *dir);

/* ---- cut_work.c --------------------------------------------------------------------------- */

struct work {
	uint64_t random;
	unsigned steps, steps_after;         /* before the cut, and after it */
	bool no_cut;                         /* it only works */
	bool quiet;                          /* few syncs: much can be lost */
	uint64_t batches, waits, rolls, created, deleted, trims, failed_after; /* counted */
};
/* NULL: right. Ends some steps after the cut, which it makes itself if no call did. */
const char *work(struct engine *e, struct history *h, struct work *w);
/* Acks that can be given now, and what is published; into the history. */
void work_take_acks(struct engine *e, struct history *h);
const char *work_create(struct engine *e, struct history *h, unsigned t);
/* NULL too where the disk is full and says so, which is counted. */
extern bool work_full;
extern uint64_t work_refused;
const char *work_append(struct engine *e, struct history *h, unsigned t, unsigned p,
	const struct item *like);

/* ---- cut_sequence.c ----------------------------------------------------------------------- */

/* c create, a append, r roll, f flush, s snapshot, t retention (and the driver's own: e killed and
 * started again, which raises the epoch, k stopped and started). NULL: right. */
const char *sequence_op(struct engine *e, struct history *h, char op);

#endif
