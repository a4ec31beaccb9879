/* SPDX-License-Identifier: MIT
 * cut_judge.c - is a recovered log what was promised? Every batch acked at disk, or seen as durable,
 * with its bytes; offsets dense; no (epoch, offset) twice; nothing that nobody sent; retries of
 * producers known; nothing halted; the start where it may be. Thread: main. */
#include "tests/crash/cut.h"

#include "storage/batch.h"
#include "storage/inspect.h"
#include "storage/records.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/crc32c.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <inttypes.h>
#include <string.h>

#define READ_BYTES (1024 * 1024)

static char wrong[900];
#define WRONG(...) ((void)snprintf(wrong, sizeof(wrong), __VA_ARGS__), wrong)

static void
mix(uint64_t *digest, uint64_t v)
{
	uint64_t state = *digest ^ v;

	*digest = cut_random(&state, UINT64_MAX);
}

/* ---- A batch ------------------------------------------------------------------------------ */

static bool
is_sent(const struct item *it, const uint8_t *b, uint32_t left, int64_t at)
{
	return it && batch_check(b, left, 0) == 0 && rb_total(b) == it->total &&
		batch_crc_right(b) && rb_crc(b) == it->crc && rb_base_offset(b) == at &&
		rb_leader_epoch(b) == it->leader_epoch && rb_count(b) == it->count;
}

/* ---- A rewritten one ---------------------------------------------------------------------- */

/* Every record by what consumers see of it. */
static bool
mix_record(void *arg, struct record *r)
{
	uint64_t *digest = arg;

	mix(digest, (uint64_t)r->offset);
	mix(digest, (uint64_t)r->timestamp_ms);
	mix(digest, crc32c(r->value.p, r->value.len));
	return true;
}

/* Batches that were sent one after the other, without a gap, become one of no producer. */
static bool
is_merged(const struct log *l, const uint8_t *b, uint32_t left, int64_t at)
{
	static uint8_t bytes[CUT_BATCH_ROOM];
	uint64_t sent = 0, found = 0;
	const int64_t end = at + rb_count(b);

	if (batch_check(b, left, 0) != 0 || !batch_crc_right(b) || rb_base_offset(b) != at ||
		(rb_attributes(b) & RB_CODEC_MASK) != RB_CODEC_LZ4 || rb_producer_id(b) != -1)
		return false;
	while (at < end) {
		const struct item *it = history_at(l, at);

		if (!it || it->offset + it->count > end || it->leader_epoch != rb_leader_epoch(b))
			return false;
		(void)history_stored_bytes(it, bytes);
		if (records_each(bytes, mix_record, &sent) != RECORDS_WHOLE)
			return false;
		at += it->count;
	}
	return records_each(b, mix_record, &found) == RECORDS_WHOLE && found == sent;
}

/* ---- All of them -------------------------------------------------------------------------- */

static const char *
judge_batches(struct partition *part, const struct log *l, const struct partition_ends *ends,
	struct judged *ret, uint64_t *digest)
{
	static uint8_t bytes[READ_BYTES];
	const int32_t index = storage_index(part);
	const char *name = storage_topic_name(part);
	struct storage_range r;
	int64_t at = ends->start;

	while (at < ends->end) {
		const int16_t error = storage_read(part, at, READ_BYTES, true, &r);

		if (error != 0 || r.length == 0)
			return WRONG("%s-%" PRId32 ": nothing to read at %" PRId64 " below the end %"
				     PRId64 ", error %d", name, index, at, ends->end, error);
		/* The start may lie within a batch. */
		if (at == ends->start && r.first_offset < at) {
			at = r.first_offset;
			ret->starts_within++;
		}
		if (r.length > READ_BYTES || r.first_offset != at ||
			io_posix.pread(r.fd, bytes, r.length, r.position) != r.length)
			return WRONG("%s-%" PRId32 ": the range at %" PRId64 " is not there", name, index,
				at);
		storage_unpin(r.pinned);
		for (uint32_t k = 0; k < r.length; k += (uint32_t)rb_total(bytes + k)) {
			if (is_merged(l, bytes + k, r.length - k, at)) {
				ret->merged++;
				ret->starts_merged += at < ends->start;
			} else if (!is_sent(history_at(l, at), bytes + k, r.length - k, at))
				return WRONG("%s-%" PRId32 ": at %" PRId64 " lies a batch that nobody sent "
					     "there", name, index, at);
			(void)records_each(bytes + k, mix_record, digest);
			at += rb_count(bytes + k);
			if (at <= ends->start)
				return WRONG("%s-%" PRId32 ": read from the start, %" PRId64 ", on, a batch ends at %"
					     PRId64, name, index, ends->start, at);
			ret->batches++;
		}
	}
	return at == ends->end ? NULL :
		WRONG("%s-%" PRId32 ": the log ends within a batch", name, index);
}

static void
count_acks(const struct log *l, int64_t end, struct judged *ret)
{
	for (unsigned i = l->n; i-- > 0 && l->item[i].fresh;) {
		const struct item *it = &l->item[i];

		/* Of those sent at disk only the acked ones: the others were told nothing. */
		if (it->level == LEVEL_DISK ? it->offset + it->count > l->durable :
			it->offset + it->count > l->published)
			continue;
		ret->sent[it->level] += (uint64_t)it->count;
		if (it->offset + it->count <= end)
			ret->kept[it->level] += (uint64_t)it->count;
	}
}

static const char *
judge_log(struct partition *part, const struct log *l, bool killed, struct judged *ret, uint64_t *digest)
{
	const int64_t must = killed ? l->published : l->durable;
	const int32_t index = storage_index(part), epoch = storage_leader_epoch(part);
	const char *name = storage_topic_name(part);
	struct partition_ends ends;

	storage_ends(part, &ends);
	if (storage_state(part) == PART_HALTED)
		return WRONG("%s-%" PRId32 ": halted: %s", name, index, storage_halt_reason(part));
	if (storage_state(part) != PART_OK)
		return WRONG("%s-%" PRId32 ": failed: %s", name, index, storage_failure(part));
	if (ends.end < must)
		return WRONG("%s-%" PRId32 ": ends at %" PRId64 ", promised up to %" PRId64, name, index,
			ends.end, must);
	if (ends.end > l->end)
		return WRONG("%s-%" PRId32 ": ends at %" PRId64 ", sent up to %" PRId64, name, index,
			ends.end, l->end);
	if (ends.start < l->start || ends.start > l->start_now)
		return WRONG("%s-%" PRId32 ": starts at %" PRId64 ", not %" PRId64 " to %" PRId64, name,
			index, ends.start, l->start, l->start_now);
	/* It may stay where all that was ever sent is still there: no offset of it can be given again. */
	if (epoch < l->epoch || (epoch == l->epoch && ends.end != l->end))
		return WRONG("%s-%" PRId32 ": epoch %" PRId32 " again", name, index, epoch);
	ret->partitions++;
	ret->epochs += l->epoch >= 0 && epoch > l->epoch; /* one that begins is not raised */
	count_acks(l, ends.end, ret);
	mix(digest, (uint64_t)ends.start);
	mix(digest, (uint64_t)ends.end);
	return judge_batches(part, l, &ends, ret, digest);
}

const char *
judge(struct engine *e, struct history *h, bool killed, struct judged *ret)
{
	const char *what = NULL;

	for (unsigned t = 0; t < CUT_TOPICS && !what; t++) {
		const struct topic *topic = &h->topic[t];

		if (!e->part[t][0]) {
			if (topic->created && !topic->deleting)
				what = WRONG("t%u: the topic is gone", t);
			continue;
		}
		if (!topic->asked)
			what = WRONG("t%u: a topic that nobody created", t);
		for (unsigned p = 0; p < CUT_PARTITIONS && !what; p++)
			what = judge_log(e->part[t][p], &topic->log[p], killed, ret,
				&ret->digest[t * CUT_PARTITIONS + p]);
	}
	return what;
}

void
judge_adopt(const struct engine *e, struct history *h)
{
	for (unsigned t = 0; t < CUT_TOPICS; t++) {
		if (!e->part[t][0] && h->topic[t].asked)
			history_gone(h, t);
		for (unsigned p = 0; e->part[t][0] && p < CUT_PARTITIONS; p++) {
			struct partition_ends ends;

			storage_ends(e->part[t][p], &ends);
			history_found(h, t, p, ends.start, ends.end, storage_leader_epoch(e->part[t][p]));
		}
	}
	history_flush(h);
}

/* ---- Producers ---------------------------------------------------------------------------- */

static enum append_verdict
try(struct engine *e, struct partition *part, const struct item *it, struct append_result *result)
{
	static uint8_t bytes[CUT_BATCH_ROOM];

	return storage_append(part, bytes, history_bytes(it, bytes), APPEND_UDP, engine_now_ns(e),
		engine_wall_ms(e), result);
}

static const char *
judge_producer(struct engine *e, struct history *h, unsigned t, unsigned p, unsigned producer,
	uint64_t *random, struct judged *ret)
{
	struct partition *part = e->part[t][p];
	const struct log *l = &h->topic[t].log[p];
	const struct item *last = history_latest(l, producer, l->end, 0);
	const struct item *was = history_latest(l, producer, l->end, (unsigned)cut_random(random, 5));
	struct item next = {.producer = producer, .count = 1, .value = 20, .timestamp = 1700000000000,
		.seed = cut_random(random, UINT32_MAX), .level = LEVEL_DISK};
	struct append_result result;
	enum append_verdict v;

	if (last) {
		next.epoch = last->epoch;
		next.sequence = last->sequence + last->count;
	}
	if (was && was->epoch == last->epoch) {
		v = try(e, part, was, &result);
		/* Of what retention took the offset may be forgotten, not that it was stored. */
		if (v != APPEND_DUPLICATE || (result.base_offset != was->offset &&
			!(result.error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER && was->offset < l->start)))
			return WRONG("t%u-%u: producer %u's batch at %" PRId64 ", sequence %" PRId32
				     ", sent again: verdict %d, error %d, offset %" PRId64, t, p, producer,
				was->offset, was->sequence, v, result.error, result.base_offset);
		ret->duplicates++;
	}
	next.sequence++;
	v = last ? try(e, part, &next, &result) : APPEND_EARLY;
	if (v != APPEND_EARLY)
		return WRONG("t%u-%u: producer %u's batch after the next: verdict %d", t, p, producer, v);
	next.sequence--;
	return work_append(e, h, t, p, &next);
}

const char *
judge_producers(struct engine *e, struct history *h, uint64_t *random, struct judged *ret)
{
	const char *what = NULL;

	for (unsigned t = 0; t < CUT_TOPICS; t++)
		for (unsigned p = 0; e->part[t][0] && p < CUT_PARTITIONS; p++)
			for (unsigned producer = 1; producer < CUT_PRODUCERS && !what; producer++)
				what = judge_producer(e, h, t, p, producer, random, ret);
	return what;
}

/* ---- Files -------------------------------------------------------------------------------- */

static void
note(void *arg, const struct inspect_finding *f)
{
	if (f->level == INSPECT_DAMAGE && !wrong[0])
		(void)WRONG("%s at byte %" PRId64 ": %s", f->file, f->position, f->what);
}

const char *
judge_files(const char *dir)
{
	struct inspect in = {.found = note, .producer_max = -1};
	struct err err;
	int rc;

	wrong[0] = 0;
	rc = inspect_directory(&in, dir, &err);
	if (rc < 0 && !wrong[0])
		return WRONG("check: %s", err.text);
	return wrong[0] || in.damages > 0 ? wrong : NULL;
}
