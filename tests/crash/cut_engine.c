/* SPDX-License-Identifier: MIT
 * cut_engine.c - storage/ on a real directory: opened, turned, stopped. With threads, as kirad runs
 * it: the flush daemon and its jobs beside us, in real time. Without, its turns are ours and time is
 * made to pass. Thread: main, which is storage lcore and control in one. */
#include "tests/crash/cut.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/uuid.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE   20000   /* turns of a millisecond each; with threads shorter ones, on a machine that may be busy */
#define PATIENCE_THREADS 100000
#define TRIM_TURNS 50
#define TURN_US    100     /* with threads: what a turn of ours waits for theirs */
#define TEXT_ROOM  512

uint64_t
engine_now_ns(const struct engine *e)
{
	return clock_now_ns() + e->ahead_ns;
}

int64_t
engine_wall_ms(const struct engine *e)
{
	return clock_wall_ms() + (int64_t)(e->ahead_ns / NS_PER_MS);
}

static void
topic_of(struct storage_topic *topic, unsigned t, unsigned generation)
{
	*topic = (struct storage_topic){.partitions = CUT_PARTITIONS};
	(void)snprintf(topic->name, sizeof(topic->name), "t%u", t);
	for (unsigned k = 0; k < 16; k++)
		topic->id[k] = (uint8_t)(k * 16 + t + 1 + generation * 7);
}

int
engine_open(struct engine *e, const char *dir, uint64_t flush_ms)
{
	const struct storage_options o = {.dir = dir,
		.io = cut_io(),
		.volatile_ok = true,
		.store_lcores = 1,
		.partitions_max = CUT_LOGS,
		.job_threads = e->threads ? 4 : 0,
		.flush_ms = flush_ms,
		.dirty_budget = (uint64_t)1 << 30,
		.rewrite_after_ms = 0,
		.disk_cap = 0.9};
	const struct storage_topic *found;
	int rc = storage_open(&e->s, &o, engine_wall_ms(e), &e->err);
	unsigned n;

	memset(e->part, 0, sizeof(e->part));
	if (rc < 0)
		return rc;
	n = storage_topics(e->s, &found);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		const unsigned t = (unsigned)(found[i].name[1] - '0');

		ASSERT(t < CUT_TOPICS && found[i].partitions == CUT_PARTITIONS);
		e->topic[t] = found[i];
		e->topic[t].config = NULL; /* storage's */
		e->topic[t].configs = 0;
		rc = storage_attach(e->s, &found[i], &e->config[t], e->part[t], &e->err);
	}
	return rc < 0 ? rc : storage_recover(e->s, engine_wall_ms(e), NULL, NULL, &e->err);
}

int
engine_start(struct engine *e)
{
	return e->threads ? storage_start(e->s, -1, &e->err) : 0;
}

/* Those of which `there` has the bit. */
static void
put_catalogue(const struct engine *e, char text[TEXT_ROOM], unsigned there)
{
	size_t n = (size_t)snprintf(text, TEXT_ROOM, "version %" PRId64 "\n", clock_wall_ms());
	char id[23];

	for (unsigned t = 0; t < CUT_TOPICS; t++) {
		if (!(there >> t & 1))
			continue;
		uuid_put(id, e->topic[t].id);
		n += (size_t)snprintf(text + n, TEXT_ROOM - n, "t t%u %s %d\n", t, id, CUT_PARTITIONS);
	}
}

static unsigned
there(const struct engine *e)
{
	unsigned bits = 0;

	for (unsigned t = 0; t < CUT_TOPICS; t++)
		bits |= (unsigned)(e->part[t][0] != NULL) << t;
	return bits;
}

unsigned
engine_patience(const struct engine *e)
{
	return e->threads ? PATIENCE_THREADS : PATIENCE;
}

/* Without a disk a deletion of records is never answered. One that nobody waits for any more may be meanwhile. */
static int
run_op(struct engine *e, struct storage_op *op)
{
	struct storage_op *done = NULL;

	storage_submit(e->s, op);
	storage_wake_flush(e->s);
	for (unsigned left = engine_patience(e); left > 0 && done != op; left--) {
		if (op->kind == OP_DELETE_RECORDS && (cut.begun || work_full))
			left = MIN(left, TRIM_TURNS);
		engine_turns(e, 1);
		done = storage_reap(e->s);
	}
	if (done != op) {
		err_set(&e->err, "no answer");
		return -ETIMEDOUT;
	}
	e->err = op->err;
	return op->rc;
}

int
engine_create(struct engine *e, unsigned t, unsigned generation)
{
	struct partition *part[CUT_PARTITIONS] = {NULL};
	char text[TEXT_ROOM];
	struct storage_op op = {.kind = OP_CREATE_TOPIC, .config = e->config[t], .part = part,
		.catalogue = text};
	int rc;

	topic_of(&e->topic[t], t, generation);
	op.topic = e->topic[t];
	put_catalogue(e, text, there(e) | 1u << t);
	rc = run_op(e, &op);
	if (rc == 0)
		memcpy(e->part[t], part, sizeof(part));
	return rc;
}

int
engine_delete(struct engine *e, unsigned t)
{
	char text[TEXT_ROOM];
	struct storage_op op = {.kind = OP_DELETE_TOPIC, .topic = e->topic[t], .part = e->part[t],
		.catalogue = text};
	int rc;

	put_catalogue(e, text, there(e) & ~(1u << t));
	for (unsigned p = 0; p < CUT_PARTITIONS; p++)
		storage_detach_lcore(e->part[t][p]);
	rc = run_op(e, &op);
	memset(e->part[t], 0, sizeof(e->part[t])); /* whatever it says, ours no more */
	return rc;
}

/* One piece, which storage may keep for longer than we wait. */
struct trim {
	struct storage_op op;
	struct partition *part;
};

int
engine_trim(struct engine *e, unsigned t, unsigned p, int64_t offset, int64_t *start)
{
	struct trim *trim = calloc(1, sizeof(*trim));
	int rc;

	ASSERT(trim);
	trim->part = e->part[t][p];
	trim->op = (struct storage_op){.kind = OP_DELETE_RECORDS, .part = &trim->part, .offset = offset};
	rc = run_op(e, &trim->op);
	if (rc == -ETIMEDOUT)
		return rc; /* it is storage's still */
	*start = trim->op.offset;
	free(trim);
	return rc;
}

void
engine_turns(struct engine *e, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (e->threads) {
			if (storage_flush_sleeps(e->s))
				storage_wake_flush(e->s);
			(void)usleep(TURN_US);
			continue;
		}
		e->ahead_ns += NS_PER_MS;
		(void)flush_turn(e->s, engine_now_ns(e), engine_wall_ms(e));
	}
}

void
engine_pass(struct engine *e, uint64_t ms)
{
	if (!e->threads)
		e->ahead_ns += ms * NS_PER_MS;
}

int
engine_stop(struct engine *e)
{
	const int rc = storage_close(e->s, engine_wall_ms(e), &e->err);

	e->s = NULL;
	memset(e->part, 0, sizeof(e->part));
	return rc;
}
