/* SPDX-License-Identifier: MIT
 * window.c - duplicates, cumulative ack, selective ack, credit, disk marks. See window.h.
 * Thread: the rx lcore that owns the session. Owns: nothing beyond its argument.
 * Never: reads a clock, allocates; lets log_seq pass an outcome that the client must hear of. */
#include "dataplane/window.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bug.h"

#include <string.h>

#define MASK (KUP_WINDOW_MAX - 1u)

BUILD_ASSERT((KUP_WINDOW_MAX & (KUP_WINDOW_MAX - 1)) == 0);
BUILD_ASSERT(KUP_RESULTS_KEPT == KUP_WINDOW_MAX);

static inline bool
bit(const uint64_t *map, uint32_t seq)
{
	return map[(seq & MASK) / 64] >> (seq & 63) & 1;
}

static inline void
bit_set(uint64_t *map, uint32_t seq)
{
	map[(seq & MASK) / 64] |= UINT64_C(1) << (seq & 63);
}

static inline void
bit_clear(uint64_t *map, uint32_t seq)
{
	map[(seq & MASK) / 64] &= ~(UINT64_C(1) << (seq & 63));
}

/* 64 bits from `seq` on, whatever its alignment. */
static uint64_t
bits_from(const uint64_t *map, uint32_t seq)
{
	const uint32_t at = (seq & MASK) / 64, shift = seq & 63;
	const uint64_t low = map[at] >> shift;

	return shift ? low | map[(at + 1) % WINDOW_WORDS] << (64 - shift) : low;
}

/* The first set bit of (after, last], or last + 1. */
static uint32_t
next_set(const uint64_t *map, uint32_t after, uint32_t last)
{
	for (uint32_t seq = after + 1; !serial_newer(seq, last); seq += 64) {
		uint64_t word = bits_from(map, seq);

		if (word) {
			seq += (uint32_t)__builtin_ctzll(word);
			return serial_newer(seq, last) ? last + 1 : seq;
		}
	}
	return last + 1;
}

void
window_open(struct window *w, uint16_t size, uint32_t credit, bool offsets, uint32_t first,
	struct window_outcome *outcome)
{
	*w = (struct window){
		.log_seq = first,
		.final_seq = first,
		.max_seq = first,
		.disk_seq = first,
		.first = first,
		.credit_limit = first + credit,
		.size = size,
		.offsets = offsets,
		.outcome = outcome,
	};
	/* A seq that its slot cannot hold: nobody's outcome. */
	for (uint32_t i = 0; i < KUP_RESULTS_KEPT; i++)
		outcome[i].seq = i + 1;
}

enum window_verdict
window_judge(const struct window *w, uint32_t seq)
{
	if (serial_newer(seq, w->credit_limit))
		return WINDOW_OVER_CREDIT;
	if (!serial_newer(seq, w->log_seq) || bit(w->received, seq))
		return WINDOW_DUP;
	return WINDOW_NEW;
}

bool
window_receive(struct window *w, uint32_t seq, uint16_t handle, int32_t partition,
	uint32_t records)
{
	const bool gap = w->received_n != w->max_seq - w->first;
	struct window_outcome *o = &w->outcome[seq & MASK];

	DASSERT(window_judge(w, seq) == WINDOW_NEW);
	bit_set(w->received, seq);
	w->received_n++;
	if (serial_newer(seq, w->max_seq))
		w->max_seq = seq;
	o->seq = seq;
	o->handle = handle;
	o->partition = partition;
	o->records = records;
	return gap || w->received_n != w->max_seq - w->first;
}

void
window_final(struct window *w, uint32_t seq, int16_t error, int64_t base_offset, uint64_t commit)
{
	struct window_outcome *o = &w->outcome[seq & MASK];

	ASSERT(o->seq == seq && bit(w->received, seq) && !bit(w->final, seq));
	bit_set(w->final, seq);
	w->final_n++;
	w->unreported_n++;
	o->error = error;
	o->base_offset = base_offset;
	if (error != 0 || w->offsets)
		bit_set(w->unreported, seq);
	if (commit > w->commit)
		w->commit = commit;
	while (w->final_seq != w->max_seq && bit(w->final, w->final_seq + 1))
		w->final_seq++;
}

/* Does `o` continue the run? */
static bool
continues(const struct window_result *run, const struct window_outcome *o, int64_t next_offset)
{
	return o->seq == run->first_seq + run->count && o->error == run->error &&
		o->partition == run->partition && o->handle == run->handle &&
		run->count < UINT16_MAX && (o->error != 0 || o->base_offset == next_offset);
}

/* Runs while they are built. */
struct runs {
	struct window_result *run;
	unsigned n, max;
	int64_t next_offset;
};

static bool
runs_add(struct runs *r, const struct window_outcome *o)
{
	if (r->n == 0 || !continues(&r->run[r->n - 1], o, r->next_offset)) {
		if (r->n == r->max)
			return false;
		r->run[r->n++] = (struct window_result){.base_offset = o->base_offset,
			.first_seq = o->seq, .partition = o->partition, .handle = o->handle,
			.error = o->error};
	}
	r->run[r->n - 1].count++;
	r->next_offset = o->base_offset + o->records;
	return true;
}

static void
reported(struct window *w, const struct window_outcome *o)
{
	if (!bit(w->unreported, o->seq))
		return;
	bit_clear(w->unreported, o->seq);
	w->err_total += o->error != 0;
}

/* Everything up to here will have been reported: free its bits, set a disk mark. */
static void
move_log(struct window *w, uint32_t to)
{
	struct window_mark *newest = w->marks ? &w->mark[w->marks - 1] : NULL;

	if (to == w->log_seq)
		return;
	while (w->log_seq != to) {
		w->log_seq++;
		bit_clear(w->received, w->log_seq);
		bit_clear(w->final, w->log_seq);
	}
	/* The maximum over all finals, those above log_seq too: later, never early. Out of marks the
	 * newest is widened, with the same effect. */
	if (newest && (newest->commit == w->commit || w->marks == KUP_MARKS))
		*newest = (struct window_mark){to, w->commit};
	else
		w->mark[w->marks++] = (struct window_mark){to, w->commit};
}

unsigned
window_report(struct window *w, struct window_result *ret, unsigned max)
{
	struct runs r = {.run = ret, .max = max};
	uint32_t seq = next_set(w->unreported, w->log_seq, w->max_seq);

	while (!serial_newer(seq, w->max_seq)) {
		const struct window_outcome *o = &w->outcome[seq & MASK];

		if (!runs_add(&r, o))
			break;
		reported(w, o);
		seq = next_set(w->unreported, seq, w->max_seq);
	}
	/* seq: the first that is still unreported. */
	move_log(w, serial_newer(seq, w->final_seq) ? w->final_seq : seq - 1);
	w->unreported_n = 0;
	w->more = !serial_newer(seq, w->max_seq);
	return r.n;
}

unsigned
window_query(struct window *w, uint32_t seq, unsigned count, struct window_result *ret,
	unsigned max)
{
	struct runs r = {.run = ret, .max = max};

	for (count = MIN(count, (unsigned)KUP_RESULTS_KEPT); count > 0; count--, seq++) {
		const struct window_outcome *o = &w->outcome[seq & MASK];

		if (o->seq != seq || serial_newer(seq, w->max_seq))
			continue;
		if (serial_newer(seq, w->log_seq) && !bit(w->final, seq))
			continue;
		if (!runs_add(&r, o))
			break;
		if (serial_newer(seq, w->log_seq))
			reported(w, o);
	}
	return r.n;
}

unsigned
window_sack(const struct window *w, uint64_t ret[KUP_SACK_WORDS_MAX])
{
	const uint32_t above = w->max_seq - w->log_seq, words = (above + 63) / 64;

	for (uint32_t i = 0; i < words; i++) {
		ret[i] = bits_from(w->received, w->log_seq + 1 + 64 * i);
		/* Beyond the window the map begins again with what is below it. */
		if (i == words - 1 && above % 64)
			ret[i] &= (UINT64_C(1) << above % 64) - 1;
	}
	return words;
}

uint32_t
window_credit_wanted(const struct window *w, uint32_t share)
{
	const uint32_t by_window = w->log_seq + w->size, by_share = w->first + w->final_n + share;
	const uint32_t to = serial_newer(by_share, by_window) ? by_window : by_share;

	return serial_newer(to, w->credit_limit) ? to : w->credit_limit;
}

uint32_t
window_lapse(struct window *w)
{
	const uint32_t to = w->max_seq + KUP_IDLE_CREDIT;
	uint32_t back;

	if (!serial_newer(w->credit_limit, to))
		return 0;
	back = w->credit_limit - to;
	w->credit_limit = to;
	return back;
}

bool
window_disk(struct window *w, uint64_t done)
{
	unsigned n = 0;

	while (n < w->marks && w->mark[n].commit <= done + BUG(44))
		n++;
	if (n == 0)
		return false;
	w->disk_seq = w->mark[n - 1].seq;
	w->marks = (uint8_t)(w->marks - n);
	memmove(w->mark, w->mark + n, w->marks * sizeof(w->mark[0]));
	return true;
}
