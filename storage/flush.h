/* SPDX-License-Identifier: MIT
 * flush.h - the flush daemon: what it owns, and the parts of its turn. One thread per data
 * directory; what blocks is a job (jobs.h). Never touches bytes below a published end. */
#ifndef KIRA_STORAGE_FLUSH_H
#define KIRA_STORAGE_FLUSH_H

#include "storage/jobs.h"
#include "storage/storage.h"

#include <pthread.h>
#include <stdatomic.h>

#define FLUSH_PAGE 4096

struct mark;
struct partition;
struct segment;
struct commit {
	bool running;
	uint64_t number;                /* of the running one, or the last */
	uint64_t last_ns;               /* when it began */
	unsigned n, left;               /* partitions in it, not yet done */
	struct partition **part;        /* [partitions_max] */
};

/* flush_rewrite.c: at most one at a time. */
struct rewriting {
	struct jobs *jobs;              /* one thread, which steps back: the pieces */
	struct job job;
	struct partition *part;         /* NULL: none */
	struct segment *seg;            /* the old one */
	struct rewrite *rw;
	uint64_t size;                  /* of the new log */
	uint64_t look_ns;               /* for the next segment not before */
	uint64_t begun_ns, ended_ns, next_ns, commits; /* of the last piece; commits done when it began */
	unsigned snapshots;             /* how many it was offered */
	unsigned slot;                  /* the next partition to look at */
	bool busy, swaps, drops;        /* a job is in flight; of the names; of all that was made */
	bool cancel, stopped;
};

struct flush {
	struct jobs *jobs;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	int cpu;
	struct partition **live;        /* [partitions_max] by slot */
	struct partition **hot;         /* moved within a second, or with something in flight */
	unsigned hot_n;
	uint64_t now_ns;                /* of the running turn */
	int64_t wall_ms;
	uint64_t flush_ns;              /* longest time between commits, the lowest of all topics */
	uint64_t dirty;                 /* bytes unsynced, or faulted in ahead */
	struct commit commit;
	bool granted;                   /* this turn gave something that a sleeper may wait for */
	bool no_space;                  /* free space is below the minimum: nothing is reserved */
	uint64_t room;                  /* free above that */
	uint64_t step_max;              /* of a reservation: a share of what is free */
	uint64_t tidy_ns, state_ns;     /* when the next one is due */
	uint64_t tidied_ns, paused_until_ns;
	int64_t tidied_wall_ms;
	bool state_moved, state_busy;
	uint64_t states_begun, states_done; /* writes of kira.state, numbered */
	char *state_text;
	struct job state_job;
	bool state_reserves;                /* and that job makes kira.reserve, if it is missing */
	uint64_t cap_bytes;             /* of the directory */
	struct storage_op *op;          /* the one that runs */
	struct job op_job;
	struct storage_op *trims;       /* OP_DELETE_RECORDS under way */
	bool op_waits;                  /* for a commit, and all behind it: it begins at once */
	uint64_t began_ns;
	struct rewriting rewriting;
	unsigned look_slot;             /* partitions below it have been looked through */
	bool looks;                     /* a job of that is in flight */
};

/* A file that is no segment's data could not be replaced or removed: counted, and the first time kept
 * for control to say. Not a full disk, which passes. flush_tidy.c */
void flush_file_failed(struct storage *s, int rc, const char *what);

/* Does this error of a job pass by itself: no space, memory or descriptors? Then the job is made again
 * after a while. Never asked of a data sync, whose failure is final whatever it is called. */
bool flush_passes(struct storage *s, int rc);

/* flush_pages.c: fault in ahead of the tail, write behind it. */
unsigned flush_fill(struct storage *s, struct partition *part, struct segment *seg,
	const struct mark *tail);
unsigned flush_behind(struct storage *s, struct segment *seg, const struct mark *tail);

/* flush_room.c: reserve, spare segments. */
unsigned flush_room(struct storage *s, struct partition *part);
/* F2: a segment that was left is filed, named after, and queued for its seal. True if there was. */
bool flush_take_full(struct storage *s, struct partition *part);
void flush_heat(struct storage *s, struct partition *part);
void flush_cool(struct storage *s, struct partition *part);
void flush_adopt(struct storage *s, struct partition *part);
/* Between two commits, as far as this partition is concerned. */
uint64_t flush_longest_ns(const struct storage *s, const struct partition *part);
void flush_account(struct storage *s, struct partition *part);
bool flush_order_spare(struct storage *s, struct partition *part);

/* flush_commit.c */
unsigned flush_commit(struct storage *s);
/* It is failed or halted: counted once, by a commit or, where no commit comes, by a turn. */
void flush_failed(struct storage *s, struct partition *part);
/* W2: the highest commit number that anybody waits for. */
uint64_t flush_wanted(const struct storage *s);

/* flush_seal.c */
unsigned flush_seal(struct storage *s, struct partition *part);
unsigned flush_name(struct storage *s, struct partition *part);
/* Replace the published array by one without the first `drop`, and with `add` at its end (L1). */
void flush_file(struct partition *part, unsigned drop, struct segment *add);

/* The same with one in the place of another (L1). */
void flush_replace(struct partition *part, const struct segment *old, struct segment *seg);

/* flush_rewrite.c */
unsigned flush_rewrite(struct storage *s);
/* True: no segment of the partition below that offset is being rewritten. Else it soon is not. */
bool flush_rewrite_lets_go(struct storage *s, const struct partition *part, int64_t below);
/* Ends it, on whichever thread turns the daemon no more. */
void flush_rewrite_stop(struct storage *s);

/* flush_tidy.c: kira.state, retention, space. */
unsigned flush_tidy(struct storage *s);

/* flush_checkpoint.c: of open segments. left: the segment will not be filled in any more. */
unsigned flush_checkpoint(struct storage *s, struct partition *part);
void flush_checkpoint_left(struct partition *part, struct segment *seg);

/* flush_look.c: tails of sealed segments that a start did not open. */
#define FLUSH_LOOKS 16 /* by one job: some milliseconds, even where each is a seek */
unsigned flush_look(struct storage *s);

/* flush_op.c: operations of control. */
unsigned flush_ops(struct storage *s);
void flush_op_done(struct storage *s, struct storage_op *op); /* back to control */

/* flush_trim.c: OP_DELETE_RECORDS, beside the other operations. */
void flush_trim_take(struct storage *s, struct storage_op *op);
unsigned flush_trims(struct storage *s);
/* Those of a partition that goes end with -ENOENT. */
void flush_trim_forget(struct storage *s, const struct partition *part);

/* Z1, then the last look: nanoseconds to sleep at most, 0: there is work. Then flush_gets_up(). */
uint64_t flush_lies_down(struct storage *s);
void flush_gets_up(struct storage *s);

void flush_job(struct storage *s, struct partition *part, struct job *job);
/* To control: index memory and descriptor of a sealed segment; a segment that is in no array. */
void flush_hand_sealed(struct storage *s, struct segment *seg);
void flush_hand_gone(struct storage *s, struct segment *seg);

#endif
