/* SPDX-License-Identifier: MIT
 * cut_work.c - what a broker may be asked to do, in any order, until its power is cut and a little
 * beyond: appends of producers at both levels, rolls, records and topics deleted, time that passes.
 * All that may be found later goes into the history before, all that is promised after.
 * Thread: main. */
#include "tests/crash/cut.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <inttypes.h>
#include <string.h>

#define FULL_TURNS 20    /* for room that may never come */

bool work_full;
uint64_t work_refused;

static char wrong[600];
#define WRONG(...) ((void)snprintf(wrong, sizeof(wrong), __VA_ARGS__), wrong)

static const char *
broken(const struct history *h)
{
	return h->wrong[0] ? h->wrong : NULL;
}

/* ---- Acks --------------------------------------------------------------------------------- */

/* A sync in flight while the ioctl shuts the file system down may return 0 though its pages are gone: on
 * ext4 6 of 80 did, whose blocks were reserved and not yet written. No power cut does that, since nobody
 * is left to see the 0. So what is said from the beginning of a cut on is no promise. But what was
 * stored after it no commit may cover. */
static bool
is_promise(void)
{
	return !cut.begun;
}

static void
take_acks(struct engine *e, struct history *h, unsigned t, unsigned p)
{
	struct partition *part = e->part[t][p];
	const struct log *l = &h->topic[t].log[p];
	const uint64_t done = storage_commit_done(e->s); /* K4, then the state */
	const bool ok = storage_state(part) == PART_OK;
	struct partition_ends ends;
	int64_t acked;
	unsigned k = ok ? l->n : 0;

	while (k > 0 && l->item[k - 1].commit > done)
		k--;
	/* What visible-at-disk consumers may have read is a promise too. */
	storage_ends(part, &ends);
	acked = k > 0 ? MAX(l->item[k - 1].offset + l->item[k - 1].count, ends.durable) : ends.durable;
	history_start(h, t, p, ends.start);
	if (is_promise()) /* after the looks */
		history_durable(h, t, p, acked);
	for (k = l->n; k > 0 && l->item[k - 1].offset >= acked;)
		k--;
	if (k > 0 && l->item[k - 1].late)
		(void)snprintf(h->wrong, sizeof(h->wrong), "t%u-%u: acked at disk up to %" PRId64
			", which was appended after the power was cut", t, p, acked);
}

void
work_take_acks(struct engine *e, struct history *h)
{
	for (unsigned t = 0; t < CUT_TOPICS; t++)
		for (unsigned p = 0; e->part[t][0] && !h->topic[t].deleting && p < CUT_PARTITIONS; p++)
			take_acks(e, h, t, p);
}

/* ---- Appends ------------------------------------------------------------------------------ */

/* A batch like this one, and `it` filled in from the answer. */
static const char *
append_one(struct engine *e, struct history *h, unsigned t, unsigned p, struct item it, bool *stored)
{
	static uint8_t bytes[CUT_BATCH_ROOM];
	struct partition *part = e->part[t][p];
	struct append_result result;
	enum append_verdict v = APPEND_WAIT;
	const unsigned patience = work_full ? FULL_TURNS : engine_patience(e);
	unsigned turns = 0;

	it.total = history_bytes(&it, bytes);
	for (;;) {
		it.late = cut.done;
		v = storage_append(part, bytes, it.total, APPEND_UDP, engine_now_ns(e),
			engine_wall_ms(e), &result);
		if (v != APPEND_WAIT || cut.begun)
			break;
		(void)storage_publish(part);
		for (; !storage_has_room(part) && turns < patience && !cut.begun; turns++)
			engine_turns(e, 1);
		if (work_full && turns >= patience) {
			work_refused++;
			break;
		}
		if (turns >= patience)
			return WRONG("t%u-%u: no room after %u turns", t, p, turns);
	}
	*stored = v == APPEND_STORED;
	if (v == APPEND_WAIT)
		return NULL;
	if (v == APPEND_REFUSED && result.error == KIRA_E_KAFKA_STORAGE_ERROR && cut.begun)
		return NULL;
	if (v != APPEND_STORED)
		return WRONG("t%u-%u: producer %u's next batch, sequence %" PRId32 ": verdict %d, error %d, "
			     "%s", t, p, it.producer, it.sequence, v, result.error,
			storage_state(part) == PART_OK ? "ok" : storage_failure(part));
	it.offset = result.base_offset;
	it.leader_epoch = result.leader_epoch;
	it.append_ms = result.append_ms;
	it.crc = rb_crc(bytes); /* the stamp is in it */
	history_sent(h, t, p, &it);
	return broken(h);
}

static void
publish(struct engine *e, struct history *h, unsigned t, unsigned p, enum level level)
{
	const uint64_t commit = storage_publish(e->part[t][p]);

	if (commit == 0)
		return; /* failed meanwhile: nothing of the run was acked */
	history_published(h, t, p, commit);
	if (level == LEVEL_DISK)
		storage_want_disk(e->s, 0, commit);
}

const char *
work_append(struct engine *e, struct history *h, unsigned t, unsigned p, const struct item *like)
{
	bool stored;
	const char *what = append_one(e, h, t, p, *like, &stored);

	publish(e, h, t, p, like->level);
	return what;
}

/* Some of one batch, many a page, few of many; small ones where merging them is to be worth it. */
static uint32_t
random_value(uint64_t *random, unsigned t)
{
	const uint64_t kind = t == CUT_SMALL ? 0 : cut_random(random, 10);

	return (uint32_t)(kind < 5 ? cut_random(random, 600) : kind < 9 ? cut_random(random, 9000) :
		cut_random(random, 60000));
}

static const char *
append_some(struct engine *e, struct history *h, struct work *w, unsigned t, unsigned p)
{
	const enum level level = cut_random(&w->random, w->quiet ? 20 : 3) ? LEVEL_LOG : LEVEL_DISK;
	const struct log *l = &h->topic[t].log[p];
	const char *what = NULL;
	bool stored = true;

	for (uint64_t n = 1 + cut_random(&w->random, t == CUT_SMALL ? 100 : 12); n > 0 && stored && !what; n--) {
		const unsigned producer = (unsigned)cut_random(&w->random, CUT_PRODUCERS);
		const struct item *last = producer ? history_latest(l, producer, l->end, 0) : NULL;
		const bool new_epoch = cut_random(&w->random, 60) == 0;
		struct item it = {.producer = producer,
			.count = 1,
			.value = random_value(&w->random, t),
			.timestamp = engine_wall_ms(e),
			.seed = cut_random(&w->random, UINT32_MAX),
			.level = level};

		if (it.value < 600)
			it.count += (int32_t)cut_random(&w->random, 4);
		if (last) {
			it.epoch = (int16_t)(last->epoch + new_epoch);
			it.sequence = new_epoch ? 0 : last->sequence + last->count;
		}
		what = append_one(e, h, t, p, it, &stored);
		w->batches += stored;
		w->waits += !stored;
	}
	publish(e, h, t, p, level);
	return what;
}

/* ---- Deletion of records ------------------------------------------------------------------ */

/* An offset within the first batch that a rewriting made, of those that one read from the start on brings; -1. */
static int64_t
within_merged(struct partition *part, int64_t start)
{
	static uint8_t bytes[1024 * 1024];
	struct storage_range r;
	int64_t found = -1, got;

	if (storage_read(part, start, sizeof(bytes), true, &r) != 0 || r.length == 0)
		return -1;
	got = r.length > sizeof(bytes) ? 0 : io_posix.pread(r.fd, bytes, r.length, r.position);
	storage_unpin(r.pinned);
	for (int64_t k = 0; k < got && found < 0; k += rb_total(bytes + k))
		if ((rb_attributes(bytes + k) & RB_CODEC_MASK) == RB_CODEC_LZ4 && rb_count(bytes + k) > 1)
			found = rb_base_offset(bytes + k) + rb_count(bytes + k) - 1;
	return found;
}

/* Mostly a few, so that much is left to be judged; at times all. */
static int64_t
trim_to(struct partition *part, struct work *w, const struct partition_ends *ends)
{
	const uint64_t there = (uint64_t)(ends->end - ends->start), kind = cut_random(&w->random, 8);
	const int64_t merged = within_merged(part, ends->start);

	if (kind > 1 && merged > ends->start)
		return merged;
	return ends->start +
		(int64_t)(kind == 0 ? there : cut_random(&w->random, kind < 3 ? there + 1 : MIN(there + 1, 60)));
}

static const char *
trim(struct engine *e, struct history *h, struct work *w, unsigned t, unsigned p)
{
	struct partition_ends ends;
	int64_t to, start;
	int rc;

	storage_ends(e->part[t][p], &ends);
	to = trim_to(e->part[t][p], w, &ends);
	history_trim(h, t, p, to);
	history_flush(h);
	rc = engine_trim(e, t, p, to, &start);
	if (rc == 0 && is_promise()) {
		if (start < to)
			return WRONG("t%u-%u: records below %" PRId64 " deleted, and it starts at %" PRId64, t, p, to, start);
		history_trimmed(h, t, p, start);
		history_flush(h);
		w->trims++;
		/* Said too early, it is true a moment later: so, at times, there is none. */
		if (!w->no_cut && cut_random(&w->random, 4) == 0)
			cut.calls_left = (int64_t)cut_random(&w->random, 4);
	}
	return rc == 0 || cut.begun || work_full ? NULL :
		WRONG("t%u-%u: delete records below %" PRId64 ": %s", t, p, to, e->err.text);
}

/* ---- Topics ------------------------------------------------------------------------------- */

const char *
work_create(struct engine *e, struct history *h, unsigned t)
{
	history_topic(h, t, TOPIC_ASKED);
	history_flush(h);
	if (engine_create(e, t, h->topic[t].generation) == 0 && is_promise()) {
		history_topic(h, t, TOPIC_CREATED);
		history_flush(h);
		return NULL;
	}
	return cut.begun || work_full ? NULL : WRONG("create t%u: %s", t, e->err.text);
}

static const char *
delete(struct engine *e, struct history *h, struct work *w, unsigned t)
{
	work_take_acks(e, h);
	history_topic(h, t, TOPIC_DELETING);
	history_flush(h);
	if (engine_delete(e, t) == 0 && is_promise()) {
		history_gone(h, t);
		w->deleted++;
		return NULL;
	}
	return cut.begun || work_full ? NULL : WRONG("delete t%u: %s", t, e->err.text);
}

/* ---- Any of it ---------------------------------------------------------------------------- */

static const char *
step(struct engine *e, struct history *h, struct work *w)
{
	const unsigned t = (unsigned)cut_random(&w->random, CUT_TOPICS);
	const unsigned p = (unsigned)cut_random(&w->random, CUT_PARTITIONS);
	const uint64_t what = cut_random(&w->random, 100);

	if (!e->part[t][0]) {
		if (h->topic[t].asked)
			return NULL; /* asked for after the cut */
		w->created++;
		return work_create(e, h, t);
	}
	if (h->topic[t].deleting)
		return NULL;
	if (what < 1)
		return delete(e, h, w, t);
	if (what < 60)
		return append_some(e, h, w, t, p);
	if (what >= 98) /* half of them where batches get merged */
		return trim(e, h, w, what == 98 && e->part[CUT_SMALL][0] && !h->topic[CUT_SMALL].deleting ? CUT_SMALL : t, p);
	if (what < 82)
		engine_turns(e, 1 + (unsigned)cut_random(&w->random, 8));
	else if (what < 88)
		cut_write_back(5 + (unsigned)cut_random(&w->random, 30), cut_random(&w->random, UINT64_MAX));
	else if (what < 92) {
		storage_roll(e->part[t][p], engine_now_ns(e));
		w->rolls++;
	} else if (what < 97)
		engine_pass(e, cut_random(&w->random, 4000));
	else
		engine_turns(e, 30);
	return NULL;
}

const char *
work(struct engine *e, struct history *h, struct work *w)
{
	const char *what = NULL;

	for (unsigned i = 0; i < w->steps && !cut.begun && !what; i++) {
		what = step(e, h, w);
		work_take_acks(e, h);
		history_flush(h);
	}
	if (what || w->no_cut)
		return what;
	cut_now();
	/* Who does not know yet goes on: nothing of it may come back, or be taken for an ack. */
	for (unsigned i = 0; i < w->steps_after && !what; i++) {
		what = step(e, h, w);
		engine_turns(e, 2);
		work_take_acks(e, h);
		what = what ? what : broken(h);
		history_flush(h);
	}
	for (unsigned t = 0; t < CUT_TOPICS; t++)
		for (unsigned p = 0; e->part[t][0] && p < CUT_PARTITIONS; p++)
			w->failed_after += storage_state(e->part[t][p]) == PART_FAILED;
	return what;
}
