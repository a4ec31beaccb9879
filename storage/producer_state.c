/* SPDX-License-Identifier: MIT
 * producer_state.c - see the header. A hash table of (partition, producer id) over a fixed array;
 * links are indexes into it, 0 = none. Two lists run through it: all by age, and those of one
 * partition. */
#include "storage/producer_state.h"

#include "storage/batch.h"
#include "storage/storage.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bug.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"

#include <kira/record_batch.h>

#include <stdlib.h>

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_HEADER  10
#define SNAPSHOT_ENTRY   46
/* Behind all entries, where Kafka reads no more: run_start of each; then of each the batches kept
 * before the newest, newest first. */
#define SNAPSHOT_RUN     4
#define SNAPSHOT_BATCH   12
#define SNAPSHOT_KEPT    (SNAPSHOT_BATCH * (PRODUCER_BATCHES_KEPT - 1))
BUILD_ASSERT(PRODUCER_SNAPSHOT_BYTES(1) ==
	SNAPSHOT_HEADER + SNAPSHOT_ENTRY + SNAPSHOT_RUN + SNAPSHOT_KEPT);
/* The proven run is kept below half the circle of sequences, so that "below" stays decidable. */
#define RUN_MAX (1 << 29)

struct stored_batch {
	int64_t offset;
	int32_t first, last;
};

struct producer {
	int64_t id;
	uint64_t stored_ns;
	int64_t max_timestamp;
	uint32_t slot;
	uint32_t chain;               /* same bucket, or the free list */
	uint32_t older, newer;        /* by last append, over all */
	uint32_t prev, next;          /* of the same partition */
	int32_t next_sequence, run_start;
	int16_t epoch;
	uint8_t kept, newest;         /* batch[] is a ring; 0 kept: one was given up, none stored */
	struct stored_batch batch[PRODUCER_BATCHES_KEPT];
};

struct partition_producers {
	uint32_t first, n;            /* n: of those that stored something */
};

struct producers {
	struct producer *at;          /* [capacity + 1]; at[0] is no producer: its links end the lists */
	uint32_t *bucket;
	struct partition_producers *of;
	uint32_t mask, unused, capacity;
};

bool
producers_open(struct producers **ret, uint32_t capacity, unsigned partitions_max)
{
	struct producers *p = calloc(1, sizeof(*p));
	uint32_t buckets = 1;

	while (buckets < capacity * 2)
		buckets *= 2;
	if (p) {
		p->at = calloc(capacity + 1, sizeof(*p->at));
		p->bucket = calloc(buckets, sizeof(*p->bucket));
		p->of = calloc(partitions_max, sizeof(*p->of));
	}
	if (!p || !p->at || !p->bucket || !p->of) {
		producers_close(p);
		return false;
	}
	p->mask = buckets - 1;
	p->capacity = capacity;
	for (uint32_t i = capacity; i >= 1; i--) {
		p->at[i].chain = p->unused;
		p->unused = i;
	}
	*ret = p;
	return true;
}

void
producers_close(struct producers *p)
{
	if (!p)
		return;
	free(p->at);
	free(p->bucket);
	free(p->of);
	free(p);
}

static uint32_t *
bucket_of(struct producers *p, unsigned slot, int64_t id)
{
	uint64_t h = ((uint64_t)id ^ ((uint64_t)slot << 40)) * 0x9e3779b97f4a7c15u;

	return &p->bucket[(h >> 32) & p->mask];
}

static struct producer *
find(struct producers *p, unsigned slot, int64_t id)
{
	uint32_t i = *bucket_of(p, slot, id);

	while (i && (p->at[i].id != id || p->at[i].slot != slot))
		i = p->at[i].chain;
	return i ? &p->at[i] : NULL;
}

static bool
expired(const struct producer *e, uint64_t now_ns)
{
	return now_ns - e->stored_ns >= (e->kept > 0 ? PRODUCER_EXPIRES_NS : PRODUCER_GIVEN_UP_NS);
}

static void
age_leave(struct producers *p, struct producer *e)
{
	p->at[e->older].newer = e->newer; /* at[0].newer: the oldest; at[0].older: the newest */
	p->at[e->newer].older = e->older;
}

static void
age_enter(struct producers *p, struct producer *e)
{
	const uint32_t i = (uint32_t)(e - p->at);

	e->older = p->at[0].older;
	e->newer = 0;
	p->at[e->older].newer = i;
	p->at[0].older = i;
}

static void
forget(struct producers *p, struct producer *e)
{
	struct partition_producers *of = &p->of[e->slot];
	const uint32_t i = (uint32_t)(e - p->at);
	uint32_t *at = bucket_of(p, e->slot, e->id);

	while (*at != i)
		at = &p->at[*at].chain;
	*at = e->chain;
	age_leave(p, e);
	if (e->prev)
		p->at[e->prev].next = e->next;
	else
		of->first = e->next;
	if (e->next)
		p->at[e->next].prev = e->prev;
	if (e->kept > 0)
		of->n--;
	e->chain = p->unused;
	p->unused = i;
}

static struct producer *
make(struct producers *p, unsigned slot, int64_t id)
{
	struct partition_producers *of = &p->of[slot];
	uint32_t *bucket = bucket_of(p, slot, id);
	struct producer *e;
	uint32_t i;

	if (!p->unused)
		forget(p, &p->at[p->at[0].newer]);
	i = p->unused;
	e = &p->at[i];
	p->unused = e->chain;
	*e = (struct producer){.id = id, .slot = slot, .chain = *bucket, .next = of->first};
	*bucket = i;
	if (of->first)
		p->at[of->first].prev = i;
	of->first = i;
	age_enter(p, e);
	return e;
}

void
producers_forget(struct producers *p, unsigned slot)
{
	while (p->of[slot].first)
		forget(p, &p->at[p->of[slot].first]);
}

unsigned
producers_tell(const struct producers *p, unsigned slot, struct storage_producer *to, unsigned n, uint64_t now_ns)
{
	unsigned told = 0, looked = 0;

	for (uint32_t i = p->of[slot].first; i && looked < n; i = p->at[i].next, looked++) {
		const struct producer *e = &p->at[i];

		if (e->kept == 0 || expired(e, now_ns))
			continue;
		to[told++] = (struct storage_producer){.id = e->id, .epoch = e->epoch,
			.last_sequence = e->batch[e->newest].last, .last_timestamp = e->max_timestamp};
	}
	return told;
}

uint32_t
producers_count(const struct producers *p, unsigned slot)
{
	return p->of[slot].n;
}

uint32_t
producers_capacity(const struct producers *p)
{
	return p->capacity;
}

/* ---- Judging ------------------------------------------------------------------------------ */

static enum producer_verdict
judge_first(int32_t first)
{
	return first == 0 ? PRODUCER_NEXT : PRODUCER_AHEAD;
}

/* Of a producer that stored nothing yet. NULL: nor was a batch of it given up; else what comes after that one
 * must wait for it, or a client that sends on without the answer would see it stored behind the others. */
static enum producer_verdict
judge_unknown(const struct producer *e, int32_t first, bool strict)
{
	if (strict && !BUG(32))
		return judge_first(first);
	if (!e || first == e->next_sequence || rb_sequence_below(first, e->next_sequence) || BUG(55))
		return PRODUCER_NEXT;
	return PRODUCER_AHEAD;
}

enum producer_verdict
producers_judge(struct producers *p, unsigned slot, int64_t id, int16_t epoch, int32_t first,
	int32_t last, bool strict, uint64_t now_ns, int64_t *offset)
{
	const struct producer *e = find(p, slot, id);

	if (!e || expired(e, now_ns))
		return judge_unknown(NULL, first, strict);
	if (epoch < e->epoch && !BUG(48))
		return PRODUCER_FENCED;
	if (epoch > e->epoch)
		return judge_first(first);
	if (e->kept == 0)
		return judge_unknown(e, first, strict);
	if (first == e->next_sequence || (BUG(14) && first == e->next_sequence + 1))
		return PRODUCER_NEXT;
	for (unsigned i = 0; i < e->kept; i++) {
		if (e->batch[i].first == first && e->batch[i].last == last) {
			*offset = e->batch[i].offset;
			return PRODUCER_DUPLICATE;
		}
	}
	if (!rb_sequence_below(first, e->next_sequence))
		return PRODUCER_AHEAD;
	/* Stored is never claimed without proof: the whole of it lies in the unbroken run. */
	if (rb_sequence_below(last, e->next_sequence) &&
		(BUG(15) || !rb_sequence_below(first, e->run_start)))
		return PRODUCER_LONG_AGO;
	return PRODUCER_UNPROVEN;
}

void
producers_stored(struct producers *p, unsigned slot, int64_t id, int16_t epoch, int32_t first,
	int32_t last, int64_t base_offset, int64_t max_timestamp, uint64_t now_ns)
{
	struct producer *e = find(p, slot, id);

	if (!e) {
		e = make(p, slot, id);
	} else {
		age_leave(p, e);
		age_enter(p, e);
	}
	if (e->kept == 0)
		p->of[slot].n++;
	if (e->kept == 0 || e->epoch != epoch || e->next_sequence != first) {
		e->run_start = first;
		e->kept = 0;
		e->newest = PRODUCER_BATCHES_KEPT - 1;
	}
	e->epoch = epoch;
	e->stored_ns = now_ns;
	e->max_timestamp = MAX(e->max_timestamp, max_timestamp);
	e->next_sequence = rb_sequence_add(last, 1);
	if (((uint32_t)(e->next_sequence - e->run_start) & 0x7fffffffu) > RUN_MAX)
		e->run_start = rb_sequence_add(e->next_sequence, -RUN_MAX);
	e->newest = (uint8_t)((e->newest + 1) % PRODUCER_BATCHES_KEPT);
	e->batch[e->newest] = (struct stored_batch){base_offset, first, last};
	e->kept = (uint8_t)MIN(e->kept + 1, PRODUCER_BATCHES_KEPT);
}

void
producers_given_up(struct producers *p, unsigned slot, int64_t id, int16_t epoch, int32_t first, uint64_t now_ns)
{
	struct producer *e = find(p, slot, id);

	if (e && expired(e, now_ns)) {
		forget(p, e);
		e = NULL;
	}
	if (e && (e->kept > 0 || epoch < e->epoch))
		return;
	if (!e) {
		e = make(p, slot, id);
		e->epoch = epoch;
		e->next_sequence = first;
	} else {
		age_leave(p, e);
		age_enter(p, e);
	}
	if (epoch > e->epoch)
		e->next_sequence = 0;
	else if (rb_sequence_below(first, e->next_sequence))
		e->next_sequence = first;
	e->epoch = epoch;
	e->stored_ns = now_ns;
}

void
producers_fold(struct producers *p, unsigned slot, const uint8_t *batch, int64_t offset, uint64_t now_ns)
{
	const int32_t first = rb_base_sequence(batch);

	if (rb_producer_id(batch) >= 0)
		producers_stored(p, slot, rb_producer_id(batch), rb_producer_epoch(batch), first,
			batch_last_sequence(first, rb_count(batch)), offset, rb_max_timestamp(batch),
			now_ns);
}

/* ---- Snapshot ----------------------------------------------------------------------------- */

static void
put_kept(const struct producer *e, uint8_t *to)
{
	for (unsigned k = 1; k < PRODUCER_BATCHES_KEPT; k++, to += SNAPSHOT_BATCH) {
		const struct stored_batch *b =
			&e->batch[(e->newest + PRODUCER_BATCHES_KEPT - k) % PRODUCER_BATCHES_KEPT];

		put_be64(to, k < e->kept ? (uint64_t)b->offset : UINT64_MAX);
		put_be32(to + 8, k < e->kept ? (uint32_t)b->first : UINT32_MAX);
	}
}

uint32_t
producers_put(const struct producers *p, unsigned slot, uint8_t *to, uint32_t room)
{
	const uint32_t n = p->of[slot].n, length = PRODUCER_SNAPSHOT_BYTES(n);
	uint8_t *at = to + SNAPSHOT_HEADER, *run = at + (size_t)n * SNAPSHOT_ENTRY;
	uint8_t *kept = run + (size_t)n * SNAPSHOT_RUN;

	if (length > room)
		return 0;
	put_be16(to, SNAPSHOT_VERSION);
	put_be32(to + 2, 0);
	put_be32(to + 6, n);
	for (uint32_t i = p->of[slot].first; i; i = p->at[i].next) {
		const struct producer *e = &p->at[i];
		const struct stored_batch *b = &e->batch[e->newest];
		const int32_t delta = (int32_t)((uint32_t)(b->last - b->first) & 0x7fffffffu);

		if (e->kept == 0)
			continue;
		put_be64(at, (uint64_t)e->id);
		put_be16(at + 8, (uint16_t)e->epoch);
		put_be32(at + 10, (uint32_t)b->last);
		put_be64(at + 14, (uint64_t)(b->offset + delta));
		put_be32(at + 22, (uint32_t)delta);
		put_be64(at + 26, (uint64_t)e->max_timestamp);
		put_be32(at + 34, UINT32_MAX); /* coordinatorEpoch -1 */
		put_be64(at + 38, UINT64_MAX); /* transaction's first offset -1 */
		put_be32(run, (uint32_t)e->run_start);
		put_kept(e, kept);
		at += SNAPSHOT_ENTRY;
		run += SNAPSHOT_RUN;
		kept += SNAPSHOT_KEPT;
	}
	return length;
}

void
producers_seal_snapshot(uint8_t *snapshot, uint32_t length)
{
	put_be32(snapshot + 2, crc32c(snapshot + 6, length - 6));
}

/* Without it a client that was away while kirad restarted could not be told that what it sends again
 * is stored, and would store it once more under a new epoch. */
static void
take_run(struct producer *e, int32_t run_start)
{
	const uint32_t run = ((uint32_t)e->next_sequence - (uint32_t)run_start) & 0x7fffffffu;
	const uint32_t last = (uint32_t)(e->next_sequence - e->run_start) & 0x7fffffffu;

	if (run_start >= 0 && run >= last && run <= RUN_MAX)
		e->run_start = run_start;
}

/* Of one producer, as in the file: its newest batch, and those before it. Each older one ends where the
 * next begins; what does not fit so, no table can have had, and is not believed. */
static void
load_entry(struct producers *p, unsigned slot, const uint8_t *from, const uint8_t *kept, uint64_t now_ns)
{
	const int64_t id = (int64_t)get_be64(from), last_offset = (int64_t)get_be64(from + 14);
	const int32_t last = (int32_t)get_be32(from + 10), delta = (int32_t)get_be32(from + 22);
	struct stored_batch batch[PRODUCER_BATCHES_KEPT];
	unsigned n = 1;

	/* As Kafka leaves it of a producer without a batch. */
	if (last < 0 || delta < 0 || last_offset < delta)
		return;
	batch[0] = (struct stored_batch){last_offset - delta, rb_sequence_add(last, -delta), last};
	for (; kept && n < PRODUCER_BATCHES_KEPT; n++, kept += SNAPSHOT_BATCH) {
		const int64_t offset = (int64_t)get_be64(kept);
		const int32_t first = (int32_t)get_be32(kept + 8), next = batch[n - 1].first;
		const uint32_t count = ((uint32_t)next - (uint32_t)first) & 0x7fffffffu;

		if (first < 0 || offset < 0 || count == 0 || count > RUN_MAX ||
			offset > batch[n - 1].offset - count)
			break;
		batch[n] = (struct stored_batch){offset, first, rb_sequence_add(next, -1)};
	}
	while (n-- > 0)
		producers_stored(p, slot, id, (int16_t)get_be16(from + 8), batch[n].first, batch[n].last,
			batch[n].offset, (int64_t)get_be64(from + 26), now_ns);
}

bool
producers_snapshot_right(const uint8_t *from, uint32_t length)
{
	uint32_t n, room;

	if (length < SNAPSHOT_HEADER || get_be16(from) != SNAPSHOT_VERSION)
		return false;
	n = get_be32(from + 6);
	room = length - SNAPSHOT_HEADER;
	return n <= room / SNAPSHOT_ENTRY &&
		(length == PRODUCER_SNAPSHOT_BYTES(n) ||
			room == n * (SNAPSHOT_ENTRY + SNAPSHOT_RUN) || /* format 1 */
			room == n * SNAPSHOT_ENTRY) &&                 /* as Kafka writes it */
		get_be32(from + 2) == crc32c(from + 6, length - 6);
}

bool
producers_load(struct producers *p, unsigned slot, const uint8_t *from, uint32_t length,
	uint64_t now_ns)
{
	const uint8_t *run = NULL, *kept = NULL;
	uint32_t n, room;

	if (!producers_snapshot_right(from, length))
		return false;
	n = get_be32(from + 6);
	room = length - SNAPSHOT_HEADER;
	if (length == PRODUCER_SNAPSHOT_BYTES(n))
		kept = from + SNAPSHOT_HEADER + (size_t)n * (SNAPSHOT_ENTRY + SNAPSHOT_RUN);
	from += SNAPSHOT_HEADER;
	if (room != n * SNAPSHOT_ENTRY)
		run = from + (size_t)n * SNAPSHOT_ENTRY;
	for (uint32_t i = 0; i < n; i++, from += SNAPSHOT_ENTRY) {
		struct producer *e;

		load_entry(p, slot, from, kept ? kept + (size_t)i * SNAPSHOT_KEPT : NULL, now_ns);
		e = find(p, slot, (int64_t)get_be64(from));
		if (run && e && !BUG(51))
			take_run(e, (int32_t)get_be32(run + (size_t)i * SNAPSHOT_RUN));
	}
	return true;
}
