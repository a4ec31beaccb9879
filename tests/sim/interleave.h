/* SPDX-License-Identifier: MIT
 * interleave.h - the engine's threads as coroutines on one: which of them goes on is decided at every
 * labelled access (base/hook.h), so that any of them may come between any two steps of another. */
#ifndef KIRA_TESTS_INTERLEAVE_H
#define KIRA_TESTS_INTERLEAVE_H

#include "tests/sim/sim_engine.h"

#include "base/hook.h"

enum actor { LCORE, FLUSH, JOBS, RX, CONTROL, ACTORS };
extern const char *const actor_name[ACTORS];

/* interleave_threads.c: coroutines. */

/* turn() is called again and again; it returns at its end. */
void actors_begin(void (*const turn[ACTORS])(void), uint64_t seed);
void actor_go_on(enum actor a);     /* until it stops at a label, or its turn ends */
bool actor_in_turn(enum actor a);
void actors_finish_turns(void);     /* and from now on none stops at a label */
/* How many pairs (a thread stopped at a label, a label another passes meanwhile) there were, of those
 * that the labels seen make. `tell`: print those that never were. */
unsigned actors_pairs(unsigned *of, bool tell);

/* interleave_turns.c: what each thread does. */

enum scenario { BUSY, ASLEEP, SYNC_FAILS, DISK_FULL, SCENARIOS };
enum event {
	STORED, DUPLICATES, WAITS, ROLLS, ROLL_WAITS, ACKS_LOG, ACKS_DISK, ACKS_TCP, READS, SEALS, EXPIRED, FLUSH_SLEPT,
	RUNG, SYNCS_FAILED, REFUSED, DONE_IN_RING, ENDED_SESSIONS, FREED_IN_WAIT, FULL, EVENTS
};
extern const char *const event_name[EVENTS];

struct plan {
	enum scenario what;
	bool quiet;                  /* nothing new comes, nothing fails any more */
	bool full;                   /* no space for a reservation */
};
extern struct interleave {
	struct plan plan;
	struct engine e;
	struct sim_random random;
	uint64_t event[EVENTS];
	unsigned round;              /* of the calm after the storm */
} il;

_Noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t il_dice(uint64_t below);
void il_begin(void);
void turn_lcore(void);
void turn_flush(void);
void turn_jobs(void);
void turn_rx(void);
void turn_control(void);
bool flush_can_run(void);   /* awake, dozing, or rung */
void flush_until_asleep(void);
unsigned il_left(void);     /* batches whose sender was not told, or that wait; their limit is judged */
void il_judge_end(void);

/* ---- Between interleave_lcore.c and interleave_turns.c ---- */

#define IL_PARTS 2
#define IL_ITEMS 64
#define IL_BYTES 2048

enum place { IDLE, WAITING, STAGED, IN_RING, MARKED };

/* A batch, from its arrival until its sender was told the last of it. */
struct item {
	enum place at;
	unsigned part, session, since; /* since: the round in which it came to `at` */
	bool tcp, log_only, idempotent, again; /* again: the last idempotent one, a second time */
	uint8_t bytes[IL_BYTES];
	uint32_t length, value;
	int32_t count;
	uint64_t seed, commit;
	int16_t error;
	int64_t offset;
	struct item *next;
	/* Where its bytes went. */
	struct sim_file *file;
	uint64_t position;
};

struct queue {
	struct item *first, **last;
};

struct lane {
	struct queue wait;
	bool asked, touched, rolls, gave;
	unsigned session;      /* older ones have ended */
	int32_t sequence;      /* next */
	struct item stored;    /* the last idempotent one */
	struct segment *active;
	struct partition_ends ends; /* control saw */
};

extern struct lane lane[IL_PARTS];
extern struct item item[IL_ITEMS];
extern struct queue to_rx, to_control;
extern uint64_t made;
void queue_clear(struct queue *q);
void queue_put(struct queue *q, struct item *it, enum place at);
struct item *queue_take(struct queue *q);
void wake_flush(bool gave); /* Z2, by who gave something, and nobody else */
void lcore_begin(void);

#endif
