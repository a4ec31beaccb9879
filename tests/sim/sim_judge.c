/* SPDX-License-Identifier: MIT
 * sim_judge.c - sim_model.h, what must be true of a log: recovered, running, read by the tools. */
#include "tests/sim/sim_model.h"

#include "storage/batch.h"
#include "storage/inspect.h"
#include "storage/records.h"

#include "base/assert.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <inttypes.h>
#include <stdio.h>

static uint8_t bytes[MODEL_BATCH_ROOM];
static char wrong[800];
uint64_t model_starts_within;

#define WRONG(...) ((void)snprintf(wrong, sizeof(wrong), __VA_ARGS__), wrong)

static const struct item *
item_at_or_before(const struct log *l, int64_t offset)
{
	unsigned lo = 0, hi = l->n;

	while (lo < hi) {
		const unsigned mid = lo + (hi - lo) / 2;

		if (l->item[mid].offset <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 ? &l->item[lo - 1] : NULL;
}

static const struct item *
item_at(const struct log *l, int64_t offset)
{
	const struct item *it = item_at_or_before(l, offset);

	return it && it->offset == offset ? it : NULL;
}

static bool
batch_is(const struct log *l, const uint8_t *b, uint32_t left, int64_t at)
{
	const struct item *it = item_at(l, at);

	if (!it || batch_check(b, left, 0) != 0 || !batch_crc_right(b))
		return false;
	return rb_total(b) == it->total && rb_crc(b) == it->crc && rb_base_offset(b) == at &&
		rb_leader_epoch(b) == it->leader_epoch && rb_count(b) == it->count;
}

/* ---- Merged batches ----------------------------------------------------------------------- */

/* Records of a batch, in order, against those of the batches that it was made of. */
struct merged {
	const struct item *it; /* the next record's */
	int32_t k;             /* which of it */
	const uint8_t *batch;
	bool same;
};

struct nth {
	int32_t k;
	const struct record *wanted;
	bool same;
};

static bool
same_view(struct view a, struct view b)
{
	return a.len == b.len && (a.p == NULL) == (b.p == NULL) && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool
is_nth(void *arg, struct record *r)
{
	struct nth *n = arg;

	if (n->k-- > 0)
		return true;
	n->same = r->offset == n->wanted->offset && r->timestamp_ms == n->wanted->timestamp_ms &&
		r->created_ms == n->wanted->created_ms && same_view(r->key, n->wanted->key) &&
		same_view(r->value, n->wanted->value) && r->headers == n->wanted->headers;
	return false;
}

static bool
is_next(void *arg, struct record *r)
{
	static uint8_t made[MODEL_BATCH_ROOM];
	struct merged *m = arg;
	struct nth n = {.k = m->k, .wanted = r};

	if (m->k == 0)
		model_make(m->it, made);
	(void)records_each(made, is_nth, &n);
	m->same &= n.same && m->it->leader_epoch == rb_leader_epoch(m->batch);
	if (++m->k == m->it->count) {
		m->k = 0;
		m->it++;
	}
	return m->same;
}

/* Of a topic that is rewritten: its records are those of the batches sent there. */
static bool
is_merged(const struct log *l, const uint8_t *b, int64_t at)
{
	struct merged m = {.it = item_at(l, at), .batch = b, .same = true};
	const struct item *last = item_at_or_before(l, at + rb_last_offset_delta(b));

	if (!m.it || !last || last->offset + last->count != at + rb_count(b) || rb_base_offset(b) != at ||
		(rb_attributes(b) & RB_CODEC_MASK) != RB_CODEC_LZ4 || rb_producer_id(b) != -1)
		return false;
	return records_each(b, is_next, &m) == RECORDS_WHOLE && m.same && m.it == last + 1;
}

/* From the middle of a batch on: a read begins with the batch that holds the offset. */
static const char *
judge_middle(struct engine *e, unsigned i, const struct item *it)
{
	struct storage_range r;
	const int64_t at = it->offset + it->count - 1;
	uint8_t b[RB_HEADER];
	const int16_t error = storage_read(e->part[i], at, 1, true, &r);

	if (error != 0 || sim_io.pread(r.fd, b, sizeof(b), r.position) != sizeof(b) ||
		r.length != rb_total(b) || r.first_offset != rb_base_offset(b) ||
		(r.first_offset != it->offset &&
			!(rb_producer_id(b) < 0 && r.first_offset < at && at <= r.first_offset + rb_last_offset_delta(b))))
		return WRONG("t%u: a read at %" PRId64 " finds another batch, error %d", i, at, error);
	storage_unpin(r.pinned);
	if (storage_epoch_at(e->part[i], at) != it->leader_epoch)
		return WRONG("t%u: %" PRId64 " is not of epoch %" PRId32, i, at, it->leader_epoch);
	return NULL;
}

/* From `start` up to `end`, which readers see. */
static const char *
judge_batches(struct engine *e, unsigned i, int64_t start, int64_t end, uint64_t *read)
{
	struct storage_range r;
	int64_t at = start;

	while (at < end) {
		const int16_t error = storage_read(e->part[i], at, MODEL_BATCH_ROOM, true, &r);

		if (error != 0 || r.length == 0)
			return WRONG("t%u: nothing to read at %" PRId64 " below the end %" PRId64
				     ", error %d", i, at, end, error);
		/* Records are deleted up to what was a batch once: merged, it begins below the start. */
		if (r.length > MODEL_BATCH_ROOM || r.first_offset > at || (r.first_offset < at && at != start) ||
			sim_io.pread(r.fd, bytes, r.length, r.position) != r.length)
			return WRONG("t%u: the range at %" PRId64 " is not there", i, at);
		storage_unpin(r.pinned);
		model_starts_within += r.first_offset < at;
		at = r.first_offset;
		for (uint32_t k = 0; k < r.length; k += (uint32_t)rb_total(bytes + k)) {
			if (!(at >= start && batch_is(&model[i], bytes + k, r.length - k, at)) &&
				!(batch_check(bytes + k, r.length - k, 0) == 0 && batch_crc_right(bytes + k) &&
					is_merged(&model[i], bytes + k, at)))
				return WRONG("t%u: at %" PRId64 " lies a batch that nobody sent there",
					i, at);
			at += rb_count(bytes + k);
			if (at <= start)
				return WRONG("t%u: a read at %" PRId64 " begins a batch too early", i, start);
			(*read)++;
		}
	}
	if (at != end)
		return WRONG("t%u: the log ends within a batch", i);
	for (unsigned k = 0; k < model[i].n; k += 1 + k % 7)
		if (model[i].item[k].offset >= start && model[i].item[k].offset < end &&
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
	/* It may stay where all that was ever sent is still there: no offset of it can be given again. */
	if (epoch < b->log[i].epoch || (epoch == b->log[i].epoch && ends.end != b->log[i].end_max))
		return WRONG("t%u: epoch %" PRId32 " again", i, epoch);
	if (ends.durable != ends.end || ends.visible != ends.end)
		return WRONG("t%u: durable %" PRId64 ", visible %" PRId64 ", end %" PRId64
			     " after a start", i, ends.durable, ends.visible, ends.end);
	return judge_batches(e, i, ends.start, ends.end, read);
}

static const char *
judge_directory(const struct engine *e, const struct model_directory *d)
{
	const int64_t ids = storage_producer_ids_spent(e->s);

	if (ids < d->ids || ids > d->ids_asked)
		return WRONG("producer ids below %" PRId64 " are spent, told so of %" PRId64 ", asked for %"
			     PRId64, ids, d->ids, d->ids_asked);
	if (storage_incarnation(e->s) <= d->incarnation)
		return WRONG("incarnation %" PRIu64 " again", d->incarnation);
	return NULL;
}

const char *
model_judge(struct engine *e, const struct bounds *b, uint64_t *read)
{
	struct sim_disk *const outer = sim.disk;
	const char *what = NULL;

	sim.disk = e->disk;
	what = judge_directory(e, &b->directory);
	for (unsigned i = 0; i < SIM_TOPICS && !what; i++)
		what = judge_log(e, i, b, read);
	sim.disk = outer;
	return what;
}

/* ---- While it runs ------------------------------------------------------------------------ */

static const char *
judge_words(const struct log *l, unsigned i, const struct partition_ends *ends, bool ok)
{
	if (ends->start < l->start_now || ends->durable < l->durable || ends->end > l->end ||
		(ok && ends->end < l->end))
		return WRONG("t%u: start %" PRId64 " after %" PRId64 ", durable %" PRId64 " after %" PRId64
			     ", end %" PRId64 ", appended up to %" PRId64, i, ends->start, l->start_now,
			ends->durable, l->durable, ends->end, l->end);
	if (ends->start > ends->durable || ends->durable > ends->visible || ends->visible > ends->end)
		return WRONG("t%u: start %" PRId64 ", durable %" PRId64 ", visible %" PRId64 ", end %" PRId64,
			i, ends->start, ends->durable, ends->visible, ends->end);
	return NULL;
}

const char *
model_judge_live(struct engine *e, uint64_t *read)
{
	struct sim_disk *const outer = sim.disk;
	const char *what = NULL;
	struct partition_ends ends;
	bool ok;

	sim.disk = e->disk;
	for (unsigned i = 0; i < SIM_TOPICS && !what; i++) {
		if (!model[i].created || model[i].deleting)
			continue;
		ok = storage_state(e->part[i]) == PART_OK;
		storage_ends(e->part[i], &ends);
		what = judge_words(&model[i], i, &ends, ok);
		if (!what)
			what = judge_batches(e, i, ends.start, ok ? ends.visible : ends.durable, read);
	}
	sim.disk = outer;
	return what;
}

/* ---- Times -------------------------------------------------------------------------------- */

/* The first batch from `start` on with a time of `at` or later. */
static const struct item *
first_since(const struct log *l, int64_t start, int64_t end, int64_t at)
{
	for (unsigned k = 0; k < l->n && l->item[k].offset < end; k++)
		if (l->item[k].offset >= start && l->item[k].timestamp >= at)
			return &l->item[k];
	return NULL;
}

static const char *
judge_time(struct engine *e, unsigned i, int64_t at, uint64_t *found)
{
	struct partition_ends ends;
	const struct item *it;
	int64_t offset, timestamp;
	int16_t error;

	storage_ends(e->part[i], &ends);
	it = first_since(&model[i], ends.start, ends.end, at);
	error = storage_find_time(e->part[i], at, &offset, &timestamp);
	if (error != 0 || offset != (it ? it->offset : -1) || timestamp != (it ? it->timestamp : -1))
		return WRONG("t%u: the time %" PRId64 " is found at %" PRId64 " (%" PRId64 "), not %" PRId64
			     " (%" PRId64 "), error %d", i, at, offset, timestamp, it ? it->offset : -1,
			it ? it->timestamp : -1, error);
	*found += it != NULL;
	return NULL;
}

const char *
model_judge_times(struct engine *e, struct sim_random *r, uint64_t *found)
{
	struct sim_disk *const outer = sim.disk;
	const char *what = NULL;

	sim.disk = e->disk;
	for (unsigned i = 0; i < SIM_TOPICS && !what; i++) {
		const struct log *l = &model[i];

		for (unsigned k = 0; k < 3 && l->n > 0 && e->part[i] && !what; k++)
			what = judge_time(e, i, l->item[sim_random(r, l->n)].timestamp + (int64_t)sim_random(r, 3) - 1,
				found);
	}
	sim.disk = outer;
	return what;
}

/* ---- By the tools ------------------------------------------------------------------------- */

static void
found(void *arg, const struct inspect_finding *f)
{
	unsigned *damages = arg;

	/* A sync that failed, which kira.state remembers, is no damage of the files. */
	if (f->level != INSPECT_DAMAGE || strncmp(f->what, "kirad left it failed", 20) == 0)
		return;
	(void)WRONG("kira check: %s: %s", f->file, f->what);
	(*damages)++;
}

const char *
model_inspect(struct sim_disk *disk)
{
	struct sim_disk *const outer = sim.disk;
	unsigned damages = 0;
	struct inspect in = {.io = &sim_io, .found = found, .arg = &damages, .producer_max = -1};
	struct err err;
	int rc;

	sim.disk = disk;
	rc = inspect_directory(&in, "/sim", &err);
	sim.disk = outer;
	if (rc < 0)
		return WRONG("kira check: %s", err.text);
	return damages ? wrong : NULL;
}

/* ---- Once more ---------------------------------------------------------------------------- */

static const char *
resend(struct engine *e, unsigned i, unsigned producer, struct partition_ends ends,
	struct sim_random *r, uint64_t *duplicates)
{
	const struct log *l = &model[i];
	struct append_result result;
	const struct item *was;
	enum append_verdict v;
	struct item it;

	was = model_latest(l, producer, ends.end, (unsigned)sim_random(r, 5));
	it = model_next(l, producer, ends.end, 1, false);
	if (was && was->epoch == it.epoch) {
		v = model_send(e, i, was, 20, 1, &result);
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
		it.sequence = rb_sequence_add(it.sequence, 1);
		v = model_send(e, i, &it, 20, 3, &result);
		if (v != (producer == MODEL_LATE ? APPEND_REFUSED : APPEND_EARLY))
			return WRONG("t%u: producer %u's batch after the next: verdict %d", i,
				producer, v);
		it.sequence = rb_sequence_add(it.sequence, -1);
	}
	v = model_send(e, i, &it, 20, 2, &result);
	if (v != APPEND_STORED && v != APPEND_WAIT)
		return WRONG("t%u: producer %u's next batch, sequence %" PRId32 ": verdict %d, "
			     "error %d", i, producer, it.sequence, v, result.error);
	if (v == APPEND_STORED && result.append_ms >= 0 && l->n > 0) {
		was = model_latest(l, producer, ends.end, 0);
		if (was && was->offset >= ends.start && result.append_ms < was->append_ms)
			return WRONG("t%u: LogAppendTime went back", i);
	}
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
