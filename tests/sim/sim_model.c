/* SPDX-License-Identifier: MIT
 * sim_model.c - see the header. */
#include "tests/sim/sim_model.h"

#include "storage/batch.h"
#include "tests/unit/storage/make_batch.h"

#include "base/assert.h"

#include <kira/errors.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_ROOM 65536

struct log model[SIM_TOPICS];
static uint8_t bytes[BATCH_ROOM];
static char wrong[400];

#define WRONG(...) ((void)snprintf(wrong, sizeof(wrong), __VA_ARGS__), wrong)

void
model_reset(void)
{
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		free(model[i].item);
	memset(model, 0, sizeof(model));
}

void
model_deleted(unsigned i)
{
	free(model[i].item);
	model[i] = (struct log){0};
	engine_world.generation[i]++;
}

/* ---- Sending ------------------------------------------------------------------------------ */

/* The latest batch of a producer below `end`; NULL: none. `back`: so many before it. */
static const struct item *
latest(const struct log *l, unsigned producer, int64_t end, unsigned back)
{
	for (unsigned i = l->n; i-- > 0;)
		if (l->item[i].producer == producer && l->item[i].offset < end && back-- == 0)
			return &l->item[i];
	return NULL;
}

static uint32_t
make(const struct item *it, uint32_t value, uint64_t seed)
{
	return make_batch(bytes, (struct batch_of){.count = it->count,
					 .value = value,
					 .producer = it->producer,
					 .epoch = it->epoch,
					 .sequence = it->sequence,
					 .timestamp = engine_world.wall_ms,
					 .seed = seed});
}

static struct item
next_of(const struct log *l, unsigned producer, int64_t end, int32_t count, bool new_epoch)
{
	const struct item *last = producer ? latest(l, producer, end, 0) : NULL;
	struct item it = {.producer = producer, .count = count, .commit = UINT64_MAX};

	if (last) {
		it.epoch = (int16_t)(last->epoch + new_epoch);
		it.sequence = new_epoch ? 0 : last->sequence + last->count;
	}
	return it;
}

enum append_verdict
model_append(struct engine *e, unsigned i, unsigned producer, uint32_t value, int32_t count,
	bool new_epoch, struct sim_random *r)
{
	struct log *l = &model[i];
	struct item it = next_of(l, producer, l->end, count, new_epoch);
	const uint32_t length = make(&it, value, sim_random(r, UINT32_MAX));
	struct append_result result;
	const enum append_verdict v = storage_append(e->part[i], bytes, length, APPEND_UDP,
		engine_world.now_ns, engine_world.wall_ms, &result);

	sim_disk_stored(e->disk);
	if (v != APPEND_STORED)
		return v;
	ASSERT(result.base_offset == l->end);
	it.offset = l->end;
	it.append_ms = result.append_ms;
	it.crc = rb_crc(bytes);
	it.total = length;
	it.leader_epoch = l->epoch = result.leader_epoch;
	if (l->n == l->room) {
		l->room = l->room * 2 + 64;
		l->item = realloc(l->item, l->room * sizeof(*l->item));
		ASSERT(l->item);
	}
	l->item[l->n++] = it;
	l->end += count;
	return v;
}

void
model_publish(struct engine *e, unsigned i)
{
	const uint64_t commit = storage_publish(e->part[i]);

	for (unsigned k = model[i].n; k-- > 0 && model[i].item[k].commit == UINT64_MAX;)
		model[i].item[k].commit = commit;
}

/* ---- Bounds ------------------------------------------------------------------------------- */

static void
take_acks(const struct engine *e, struct log *l)
{
	const uint64_t done = storage_commit_done(e->s);

	for (unsigned k = l->n; k-- > 0;) {
		if (l->item[k].commit > done)
			continue;
		l->durable = MAX(l->durable, l->item[k].offset + l->item[k].count);
		return;
	}
}

void
model_bounds(const struct engine *e, bool running, struct bounds *b)
{
	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		struct log *l = &model[i];
		struct partition_ends ends;

		if (running && l->created && e->part[i]) {
			storage_ends(e->part[i], &ends);
			l->start_now = MAX(l->start_now, ends.start);
			if (storage_state(e->part[i]) == PART_OK)
				take_acks(e, l);
			/* What visible-at-disk consumers may have read is a promise too. */
			l->durable = MAX(l->durable, ends.durable);
		}
		b->log[i].may = l->asked;
		b->log[i].must = l->created && !l->deleting;
		b->log[i].start_min = l->start;
		b->log[i].start_max = l->start_now;
		b->log[i].end_min = l->durable;
		b->log[i].end_max = l->end;
		b->log[i].epoch = l->epoch;
	}
}

void
model_adopt(const struct engine *e)
{
	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		struct log *l = &model[i];
		struct partition_ends ends;

		if (!e->part[i]) {
			model_deleted(i);
			continue;
		}
		l->created = l->asked = true;
		l->deleting = false;
		storage_ends(e->part[i], &ends);
		l->end = l->durable = ends.end;
		l->start = l->start_now = ends.start;
		l->epoch = storage_leader_epoch(e->part[i]);
		while (l->n > 0 && l->item[l->n - 1].offset >= l->end)
			l->n--;
		for (unsigned k = l->n; k-- > 0;)
			l->item[k].commit = 0;
	}
}

/* ---- Judging ------------------------------------------------------------------------------ */

static const struct item *
item_at(const struct log *l, int64_t offset)
{
	unsigned lo = 0, hi = l->n;

	while (lo < hi) {
		const unsigned mid = lo + (hi - lo) / 2;

		if (l->item[mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n && l->item[lo].offset == offset ? &l->item[lo] : NULL;
}

static bool
batch_is(const struct log *l, const uint8_t *b, uint32_t left, int64_t at)
{
	const struct item *it = item_at(l, at);

	return it && batch_check(b, left, 0) == 0 && rb_total(b) == it->total &&
		batch_crc_right(b) && rb_crc(b) == it->crc && rb_base_offset(b) == at &&
		rb_leader_epoch(b) == it->leader_epoch && rb_count(b) == it->count;
}

/* From the middle of a batch on: a read begins with the batch that holds the offset. */
static const char *
judge_middle(struct engine *e, unsigned i, const struct item *it)
{
	struct storage_range r;
	const int64_t at = it->offset + it->count - 1;
	const int16_t error = storage_read(e->part[i], at, 1, true, &r);

	if (error != 0 || r.length != it->total || r.first_offset != it->offset)
		return WRONG("t%u: a read at %" PRId64 " finds another batch, error %d", i, at, error);
	storage_unpin(r.pinned);
	return NULL;
}

static const char *
judge_batches(struct engine *e, unsigned i, const struct partition_ends *ends, uint64_t *read)
{
	struct storage_range r;
	int64_t at = ends->start;

	while (at < ends->end) {
		const int16_t error = storage_read(e->part[i], at, BATCH_ROOM, true, &r);

		if (error != 0 || r.length == 0)
			return WRONG("t%u: nothing to read at %" PRId64 " below the end %" PRId64
				     ", error %d", i, at, ends->end, error);
		if (r.length > BATCH_ROOM || r.first_offset != at ||
			sim_io.pread(r.fd, bytes, r.length, r.position) != r.length)
			return WRONG("t%u: the range at %" PRId64 " is not there", i, at);
		storage_unpin(r.pinned);
		for (uint32_t k = 0; k < r.length; k += (uint32_t)rb_total(bytes + k)) {
			if (!batch_is(&model[i], bytes + k, r.length - k, at))
				return WRONG("t%u: at %" PRId64 " lies a batch that nobody sent there",
					i, at);
			at += rb_count(bytes + k);
			(*read)++;
		}
	}
	if (at != ends->end)
		return WRONG("t%u: the log ends within a batch", i);
	for (unsigned k = 0; k < model[i].n; k += 1 + k % 7)
		if (model[i].item[k].offset >= ends->start && model[i].item[k].offset < ends->end &&
			judge_middle(e, i, &model[i].item[k]))
			return wrong;
	return NULL;
}

static const char *
judge_log(struct engine *e, unsigned i, const struct bounds *b, uint64_t *read)
{
	const struct partition *part = e->part[i];
	struct partition_ends ends;
	int32_t epoch;

	if (!part)
		return b->log[i].must ? WRONG("t%u: the topic is gone", i) : NULL;
	if (!b->log[i].may)
		return WRONG("t%u: a topic that nobody created", i);
	storage_ends(part, &ends);
	if (storage_state(part) != PART_OK)
		return WRONG("t%u: halted, and nothing was damaged", i);
	if (ends.end < b->log[i].end_min)
		return WRONG("t%u: ends at %" PRId64 ", acked up to %" PRId64, i, ends.end,
			b->log[i].end_min);
	if (ends.end > b->log[i].end_max)
		return WRONG("t%u: ends at %" PRId64 ", sent up to %" PRId64, i, ends.end,
			b->log[i].end_max);
	if (ends.start < b->log[i].start_min || ends.start > b->log[i].start_max)
		return WRONG("t%u: starts at %" PRId64 ", not %" PRId64 " to %" PRId64, i,
			ends.start, b->log[i].start_min, b->log[i].start_max);
	epoch = storage_leader_epoch(part);
	if (epoch < b->log[i].epoch ||
		(epoch == b->log[i].epoch && !(e->clean && ends.end == b->log[i].end_max)))
		return WRONG("t%u: epoch %" PRId32 " again", i, epoch);
	return judge_batches(e, i, &ends, read);
}

const char *
model_judge(struct engine *e, const struct bounds *b, uint64_t *read)
{
	struct sim_disk *const outer = sim.disk;
	const char *what = NULL;

	sim.disk = e->disk;
	for (unsigned i = 0; i < SIM_TOPICS && !what; i++)
		what = judge_log(e, i, b, read);
	sim.disk = outer;
	return what;
}

static const char *
resend(struct engine *e, unsigned i, unsigned producer, struct partition_ends ends,
	struct sim_random *r, uint64_t *duplicates)
{
	const struct log *l = &model[i];
	struct append_result result;
	const struct item *was;
	enum append_verdict v;
	struct item it;

	was = latest(l, producer, ends.end, (unsigned)sim_random(r, 5));
	it = next_of(l, producer, ends.end, 1, false);
	if (was && was->epoch == it.epoch) {
		v = storage_append(e->part[i], bytes, make(was, 20, 1), APPEND_UDP,
			engine_world.now_ns, engine_world.wall_ms, &result);
		/* Of what retention took the offset may be forgotten, not that it was stored. */
		if (v != APPEND_DUPLICATE ||
			(result.base_offset != was->offset &&
				!(result.error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER &&
					was->offset < ends.start)))
			return WRONG("t%u: producer %u's batch at %" PRId64 ", sequence %" PRId32
				     ", sent again: verdict %d, error %d, offset %" PRId64, i,
				producer, was->offset, was->sequence, v, result.error,
				result.base_offset);
		(*duplicates)++;
	}
	if (was && sim_random(r, 4) == 0) {
		it.sequence++;
		v = storage_append(e->part[i], bytes, make(&it, 20, 3), APPEND_UDP,
			engine_world.now_ns, engine_world.wall_ms, &result);
		if (v != APPEND_EARLY)
			return WRONG("t%u: producer %u's batch after the next: verdict %d", i,
				producer, v);
		it.sequence--;
	}
	v = storage_append(e->part[i], bytes, make(&it, 20, 2), APPEND_UDP, engine_world.now_ns,
		engine_world.wall_ms, &result);
	if (v != APPEND_STORED && v != APPEND_WAIT)
		return WRONG("t%u: producer %u's next batch, sequence %" PRId32 ": verdict %d, "
			     "error %d", i, producer, it.sequence, v, result.error);
	if (v == APPEND_STORED && result.append_ms >= 0 && l->n > 0) {
		was = latest(l, producer, ends.end, 0);
		if (was && was->offset >= ends.start && result.append_ms < was->append_ms)
			return WRONG("t%u: LogAppendTime went back", i);
	}
	sim_disk_stored(e->disk);
	(void)storage_publish(e->part[i]);
	return NULL;
}

const char *
model_resend(struct engine *e, struct sim_random *r, uint64_t *duplicates)
{
	struct sim_disk *const outer = sim.disk;
	const char *what = NULL;
	struct partition_ends ends;

	sim.disk = e->disk;
	for (unsigned i = 0; i < SIM_TOPICS && !what; i++) {
		if (!e->part[i])
			continue;
		storage_ends(e->part[i], &ends);
		for (unsigned p = 1; p < SIM_PRODUCERS && !what; p++)
			what = resend(e, i, p, ends, r, duplicates);
	}
	sim.disk = outer;
	return what;
}
