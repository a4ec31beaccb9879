/* SPDX-License-Identifier: MIT
 * sim_model.h - what was appended, and what a log may look like after a crash. Every batch sent is
 * remembered; bounds say which of them must be there. Judges a log read back: dense offsets, bytes
 * and checksums as sent, epochs, the start, times found, duplicates known. Thread: main. */
#ifndef KIRA_TESTS_SIM_MODEL_H
#define KIRA_TESTS_SIM_MODEL_H

#include "tests/sim/sim_engine.h"

#define SIM_PRODUCERS 3 /* per topic; the first of no id */
#define MODEL_LATE    2 /* over TCP, and its first sequence is one of the last there are */
#define MODEL_BATCH_ROOM 65536

struct item {
	int64_t offset, append_ms, timestamp; /* as stored, the same for all its records */
	int64_t sent_ms;
	uint64_t seed;       /* with that, value and text: what its records are */
	uint32_t crc, total, value;
	bool text;
	int32_t count, leader_epoch, sequence;
	unsigned producer;
	int16_t epoch;
	uint64_t commit; /* that covers it; UINT64_MAX: not published */
};

struct log {
	bool asked, created; /* creation */
	bool deleting;
	struct item *item;
	unsigned n, room;
	int64_t end;
	int64_t durable;     /* acked, or kept by a recovery */
	int64_t start, start_now; /* what recovery found; published since: either may be found next */
	int32_t epoch;       /* of the latest append */
};
extern struct log model[SIM_TOPICS];

/* Of the directory. */
extern struct model_directory {
	int64_t ids, ids_asked; /* producer ids below are spent: told so; asked for */
	uint64_t incarnation;   /* of the latest start */
} model_directory;

struct bounds {
	struct model_directory directory; /* ids within, a later incarnation */
	struct {
		bool may, must; /* exist */
		int64_t start_min, start_max, end_min, end_max;
		int32_t epoch;  /* used up, unless a clean stop was found */
	} log[SIM_TOPICS];
};

void model_reset(void);
/* The latest batch of a producer below `end`, NULL: none; `back`: so many before it. */
const struct item *model_latest(const struct log *l, unsigned producer, int64_t end, unsigned back);
/* What follows it, and an append of it that the model does not remember. */
struct item model_next(const struct log *l, unsigned producer, int64_t end, int32_t count, bool new_epoch);
enum append_verdict model_send(struct engine *e, unsigned i, const struct item *it, uint32_t value,
	uint64_t seed, struct append_result *result);
/* The batch again, as it was stored. */
void model_make(const struct item *it, uint8_t to[MODEL_BATCH_ROOM]);
/* The next batch of a producer, appended to topic `i`. */
enum append_verdict model_append(struct engine *e, unsigned i, unsigned producer, uint32_t value,
	int32_t count, bool new_epoch, struct sim_random *r);
void model_publish(struct engine *e, unsigned i);
/* Commits that are done become acks. What they cover now, and what else may be found. `running`:
 * the engine's published words may be read. */
void model_bounds(const struct engine *e, bool running, struct bounds *b);
/* The process is killed and its disk is not: whatever was published stays. Returns of how many logs that
 * is more than what was durable. */
unsigned model_keep_published(const struct engine *e, struct bounds *b);
/* The topic is gone; another of its name may come. */
void model_deleted(unsigned i);
/* What a recovery found goes on: the rest never happened. */
void model_adopt(const struct engine *e);

/* NULL: the log is within bounds, and every batch in it is one that was sent there. Else what is
 * wrong. The number of batches read is added to `*read`. */
const char *model_judge(struct engine *e, const struct bounds *b, uint64_t *read);
/* Logs judged since the process began whose start lay within a merged batch. */
extern uint64_t model_starts_within;
/* The same of an engine that runs: what its readers see, and words that never go back. */
const char *model_judge_live(struct engine *e, uint64_t *read);
/* Of times of batches, and of others, the offsets that are found. */
const char *model_judge_times(struct engine *e, struct sim_random *r, uint64_t *found);
/* `kira check` on what is there, whether an engine runs on it or not: no damage. */
const char *model_inspect(struct sim_disk *disk);
/* Each producer's latest batches sent again are duplicates, its next one is stored. Changes the log
 * of `e`, and not the model. */
const char *model_resend(struct engine *e, struct sim_random *r, uint64_t *duplicates);

#endif
