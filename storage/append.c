/* SPDX-License-Identifier: MIT
 * append.c - accept, number, patch two fields, copy, publish the end; roll to the next segment.
 * Thread: the storage lcore that owns the partition. Owns: the partition's append group, the tail
 * of the active segment's map. Never: allocates, locks, makes a system call, waits for a disk. */
#include "storage/batch.h"
#include "storage/checkpoint.h"
#include "storage/directory.h"
#include "storage/sigbus.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/hook.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

static struct store_words *
words_of(const struct partition *part)
{
	return &part->storage->lcore[part->lcore];
}

static void
set_bit(_Atomic uint64_t *map, unsigned slot)
{
	atomic_fetch_or(&map[slot / 64], (uint64_t)1 << (slot % 64)); /* seq_cst: A1, T1 */
}

/* ---- Publishing --------------------------------------------------------------------------- */

/* The two fields of a batch that are ours, outside its CRC. */
static void
number(uint8_t *batch, int64_t offset, int32_t leader_epoch)
{
	put_be64(batch + RB_BASE_OFFSET, (uint64_t)offset);
	put_be32(batch + RB_LEADER_EPOCH, (uint32_t)leader_epoch);
}

/* Bug 13: only now, when readers may be there already. */
static void
number_late(struct partition *part, const struct mark *was)
{
	int64_t offset = was->end;

	for (uint64_t at = was->position; at < part->position;) {
		uint8_t *batch = part->active->map + at;

		number(batch, offset, part->leader_epoch);
		offset += rb_count(batch);
		at += (uint64_t)rb_total(batch);
	}
}

static void
publish_tail(struct partition *part)
{
	const struct mark m = {part->next, part->position, part->active};
	const struct mark was = BUG(13) ? frontier_read(&part->tail) : m;

	/* E1: the copies above are visible to whoever sees this end; pairs with E2. Before any
	 * completion: no ack for bytes that no reader can see yet. */
	HOOK(E1);
	frontier_publish(&part->tail, &m);
	if (BUG(13))
		number_late(part, &was);
	/* T1, after E1: the commit that takes this bit reads a tail at least as far. */
	HOOK(T1);
	set_bit(words_of(part)->touched, part->slot);
}

/* Of the tail just published; once in many MiB. */
static void
fill_checkpoint(struct partition *part)
{
	struct segment *seg = part->active;
	struct checkpoint *cp = atomic_load_explicit(&seg->asked, memory_order_acquire); /* H2 */
	const struct index *ix = &seg->index;

	cp->end = part->next;
	cp->position = part->position;
	cp->leader_epoch = part->leader_epoch;
	cp->since = ix->since;
	cp->max_timestamp = ix->max_timestamp;
	cp->max_delta = ix->max_delta;
	cp->entries = atomic_load_explicit(&ix->n, memory_order_relaxed);
	cp->times = atomic_load_explicit(&ix->times, memory_order_relaxed);
	cp->snapshot_length = producers_put(words_of(part)->producers, part->slot, cp->snapshot, cp->room);
	atomic_store_explicit(&seg->asked, NULL, memory_order_relaxed);
	atomic_store_explicit(&part->checkpoint, cp, memory_order_release); /* J1 */
}

uint64_t
storage_publish(struct partition *part)
{
	struct storage *s = part->storage;
	uint64_t begun;

	HOOK(X2);
	if (partition_state(part) != PART_OK) {
		/* What this run appended may be lost: no E1, nobody reads it. T1 all the same, so that
		 * the next commit counts the failure. */
		part->moved = false;
		set_bit(words_of(part)->touched, part->slot);
		return 0;
	}
	if (part->moved && !(BUG(1) && part->next % 2)) { /* bug 1: the next call does it */
		publish_tail(part);
		part->moved = false;
		if (atomic_load_explicit(&part->active->asked, memory_order_relaxed))
			fill_checkpoint(part);
	}
	/* K2, after T1: either the running commit took our bit, or we see the number before it. With
	 * one more than what is seen, a commit that had begun too early is never waited for. */
	HOOK(K2);
	begun = atomic_load(&s->commit_begun);
	if (part->unsynced_records >= SETTING(part, flush_messages)) {
		part->unsynced_records = 0;
		HOOK(W1);
		atomic_store(&words_of(part)->wanted, begun + 1); /* W1 */
		atomic_store(&s->urgent, 1);
	}
	return begun + !BUG(8);
}

/* ---- Room --------------------------------------------------------------------------------- */

static void
ask(struct partition *part, uint64_t want)
{
	/* E1 before A1: room for `want` is granted from the published tail on. From an older one it
	 * would be less than is needed, and nobody asks twice. */
	if (part->moved) {
		publish_tail(part);
		part->moved = false;
	}
	atomic_store_explicit(&part->want, want, memory_order_relaxed);
	HOOK(A1);
	set_bit(words_of(part)->ask, part->slot); /* A1 */
	atomic_store(&part->storage->urgent, 1);
}

bool
storage_has_room(const struct partition *part)
{
	const uint64_t want = atomic_load_explicit(&part->want, memory_order_relaxed);

	if (partition_state(part) != PART_OK)
		return true; /* to be refused */
	if (want == WANT_SPARE)
		return atomic_load_explicit(&part->spare, memory_order_acquire) != NULL; /* N2 */
	return part->position + want <=
		atomic_load_explicit(&part->active->ready, memory_order_acquire); /* R2 */
}

/* ---- Roll --------------------------------------------------------------------------------- */

/* Leave the active segment for `seg`. The order is the promise: who reads a tail in the new one (E2)
 * finds the old one in `full` (F2), or already taken, with its final size (U2). */
static void
roll(struct partition *part, struct segment *seg)
{
	struct segment *old = part->active;
	struct mark m;

	seg->base = part->next;
	if (!old->blank) {
		index_finish(&old->index);
		old->end = part->next;
		old->snapshot_length = producers_put(words_of(part)->producers, part->slot,
			old->snapshot, old->snapshot_room);
		seg->prev = old;
		seg->prev_base = old->base;
	}
	ASSERT(atomic_load_explicit(&part->full, memory_order_relaxed) == NULL);
	if (BUG(21))
		atomic_store_explicit(&part->full, old, memory_order_release);
	if (!old->blank) {
		HOOK(U1);
		atomic_store_explicit(&old->used, part->position, memory_order_release); /* U1 */
		publish_tail(part);
	}
	HOOK(F1);
	if (!BUG(21))
		atomic_store_explicit(&part->full, old, memory_order_release); /* F1 */
	part->active = seg;
	part->position = 0;
	part->roll_ordered = false;
	/* What was asked for has come, whoever rolls: a batch that waits for a segment would look for the
	 * next spare after an ordered roll took this one, and nobody makes it for an empty segment. */
	atomic_store_explicit(&part->want, 0, memory_order_relaxed);
	m = (struct mark){part->next, 0, seg};
	HOOK(E1);
	frontier_publish(&part->tail, &m); /* E1 */
	HOOK(T1);
	set_bit(words_of(part)->touched, part->slot);
}

static bool
roll_due(const struct partition *part, uint64_t now_ns)
{
	const uint64_t first_ns = atomic_load_explicit(&part->active->first_ns,
		memory_order_relaxed);

	if (part->position == 0)
		return false; /* an empty segment is never rolled */
	return part->roll_ordered ||
		(int64_t)((now_ns - first_ns) / NS_PER_MS) >= SETTING(part, segment_ms);
}

static bool
take_spare_and_roll(struct partition *part)
{
	struct segment *seg;

	HOOK(N2);
	seg = atomic_load_explicit(&part->spare, memory_order_acquire); /* N2 */
	if (!seg) {
		ask(part, WANT_SPARE);
		return false;
	}
	atomic_store_explicit(&part->spare, NULL, memory_order_relaxed);
	roll(part, seg);
	return true;
}

void
storage_configure(struct partition *part, const struct partition_config *config)
{
	settings_set(&part->settings, config);
}

void
storage_roll(struct partition *part, uint64_t now_ns)
{
	if (part->position == 0 || partition_state(part) != PART_OK)
		return;
	part->roll_ordered = true;
	(void)take_spare_and_roll(part);
}

/* Room for `total` bytes and `count` offsets at the position, rolling if need be. */
static bool
make_room(struct partition *part, uint64_t total, int32_t count, uint64_t now_ns)
{
	const bool fits = part->position + total <= part->active->size &&
		part->next - part->active->base <= INT32_MAX - count;

	/* A roll for time that finds no spare is tried again with the next batch. */
	if (!fits || roll_due(part, now_ns))
		if (!take_spare_and_roll(part) && !fits)
			return false;
	/* Rolled into one made ahead that is smaller: there is no room to be asked for, never_fits() says so next. */
	if (part->position + total > part->active->size)
		return false;
	HOOK(R2);
	if (part->position + total >
		atomic_load_explicit(&part->active->ready, memory_order_acquire)) { /* R2 */
		ask(part, total);
		return false;
	}
	return true;
}

/* ---- Append ------------------------------------------------------------------------------- */

static enum append_verdict
refuse(struct append_result *result, int16_t error)
{
	result->error = error;
	return APPEND_REFUSED;
}

/* Rules 2 to 9: of the bytes alone. */
static int16_t
check_bytes(const struct partition *part, const uint8_t *batch, uint32_t length, unsigned flags)
{
	const int16_t error = batch_check(batch, length, BATCH_NEW |
		(flags & APPEND_UDP ? 0 : BATCH_EXACT) |
		(SETTING(part, log_append_time) ? BATCH_UNTIMED : 0));

	if (error != 0)
		return error;
	return batch_crc_right(batch) ? 0 : KIRA_E_CORRUPT_MESSAGE;
}

/* Rule 10. APPEND_STORED stands for "go on". */
static enum append_verdict
judge_producer(struct partition *part, const uint8_t *batch, unsigned flags, uint64_t now_ns,
	struct append_result *result)
{
	const int32_t first = rb_base_sequence(batch);
	int64_t offset = -1;

	if (rb_producer_id(batch) < 0)
		return APPEND_STORED;
	switch (producers_judge(words_of(part)->producers, part->slot, rb_producer_id(batch),
		rb_producer_epoch(batch), first, batch_last_sequence(first, rb_count(batch)),
		flags & APPEND_UDP, now_ns, &offset)) {
	case PRODUCER_NEXT:
		return APPEND_STORED;
	case PRODUCER_DUPLICATE:
		result->base_offset = offset;
		return APPEND_DUPLICATE;
	case PRODUCER_LONG_AGO:
		result->error = KIRA_E_DUPLICATE_SEQUENCE_NUMBER;
		return APPEND_DUPLICATE;
	case PRODUCER_FENCED:
		return refuse(result, KIRA_E_INVALID_PRODUCER_EPOCH);
	case PRODUCER_AHEAD:
		if (flags & APPEND_UDP)
			return APPEND_EARLY;
		break;
	case PRODUCER_UNPROVEN:
		break;
	}
	return refuse(result, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

void
storage_give_up(struct partition *part, const uint8_t *batch, uint32_t length, unsigned flags, uint64_t now_ns)
{
	/* It may have stood behind others all the time, unexamined: nobody is fenced by damaged bytes. */
	if (!(flags & APPEND_CHECKED) && check_bytes(part, batch, length, flags) != 0)
		return;
	if (rb_producer_id(batch) >= 0)
		producers_given_up(words_of(part)->producers, part->slot, rb_producer_id(batch),
			rb_producer_epoch(batch), rb_base_sequence(batch), now_ns);
}

/* After segment.bytes was raised the active segment and the one made ahead are as small as before: what fits
 * neither would wait for ever, an empty segment is never left. */
static bool
never_fits(const struct partition *part, uint64_t total)
{
	const struct segment *active = part->active, *spare;

	if (part->position + total <= active->size)
		return false;
	if (part->position == 0 && !active->blank)
		return true;
	spare = atomic_load_explicit(&part->spare, memory_order_acquire); /* N2 */
	return spare && total > spare->size;
}

/* Rules 11 and 12: limits that a topic may change. */
static int16_t
check_limits(const struct partition *part, const uint8_t *batch, int64_t wall_ms)
{
	const int64_t total = rb_total(batch);
	const int64_t low = rb_base_timestamp(batch), high = rb_max_timestamp(batch);

	if (total > SETTING(part, max_message_bytes) || total > BATCH_BYTES_MAX ||
		total > SETTING(part, segment_bytes) || never_fits(part, (uint64_t)total))
		return KIRA_E_MESSAGE_TOO_LARGE;
	if (SETTING(part, log_append_time))
		return 0;
	/* Checked while the topic was LogAppendTime, it may have waited for room since. */
	if (high < low)
		return KIRA_E_INVALID_TIMESTAMP;
	/* Written so that no sum can overflow: limits may be INT64_MAX, timestamps anything. */
	if (low < wall_ms && (uint64_t)wall_ms - (uint64_t)low > (uint64_t)SETTING(part, timestamp_before_max_ms))
		return KIRA_E_INVALID_TIMESTAMP;
	if (high > wall_ms && (uint64_t)high - (uint64_t)wall_ms > (uint64_t)SETTING(part, timestamp_after_max_ms))
		return KIRA_E_INVALID_TIMESTAMP;
	return 0;
}

/* The bytes, into the map. False: the file did not take them, the partition is failed. */
static bool
copy(struct partition *part, const uint8_t *batch)
{
	uint8_t *to = part->active->map + part->position;

	sigbus_begin(part->active);
	memcpy(to, batch, (size_t)rb_total(batch));
	if (!BUG(13))
		number(to, part->next, part->leader_epoch);
	sigbus_end();
	return partition_state(part) == PART_OK;
}

static void
store(struct partition *part, const uint8_t *batch, uint64_t now_ns)
{
	struct segment *seg = part->active;
	const uint32_t total = (uint32_t)rb_total(batch);
	const int32_t count = rb_count(batch), first = rb_base_sequence(batch);

	index_add(&seg->index, (uint32_t)part->position, total,
		(uint32_t)(part->next + (BUG(19) ? 0 : count - 1) - seg->base), rb_max_timestamp(batch));
	if (rb_producer_id(batch) >= 0) {
		producers_stored(words_of(part)->producers, part->slot, rb_producer_id(batch),
			rb_producer_epoch(batch), first, batch_last_sequence(first, count),
			part->next, rb_max_timestamp(batch), now_ns);
		atomic_store_explicit(&part->producers,
			producers_count(words_of(part)->producers, part->slot),
			memory_order_relaxed);
	}
	if (part->position == 0)
		atomic_store_explicit(&seg->first_ns, now_ns, memory_order_relaxed);
	/* What was asked for has come. Kept, it would be measured from the new position: a queue left
	 * half drained near the end of a segment would wait for room that no segment has. */
	if (atomic_load_explicit(&part->want, memory_order_relaxed))
		atomic_store_explicit(&part->want, 0, memory_order_relaxed);
	part->position += total;
	part->next += count;
	part->unsynced_records += count;
	part->moved = true;
}

enum append_verdict
storage_append(struct partition *part, uint8_t *batch, uint32_t length, unsigned flags,
	uint64_t now_ns, int64_t wall_ms, struct append_result *result)
{
	enum append_verdict verdict;
	int16_t error;

	*result = (struct append_result){.leader_epoch = part->leader_epoch, .base_offset = -1,
		.append_ms = -1};
	HOOK(X2);
	if (partition_state(part) != PART_OK)
		return refuse(result, KIRA_E_KAFKA_STORAGE_ERROR);
	if (!(flags & APPEND_CHECKED)) {
		error = check_bytes(part, batch, length, flags);
		if (error != 0)
			return refuse(result, error);
	}
	verdict = judge_producer(part, batch, flags, now_ns, result);
	if (verdict != APPEND_STORED)
		return verdict;
	error = check_limits(part, batch, wall_ms);
	if (error != 0)
		return refuse(result, error);
	if (!make_room(part, (uint64_t)rb_total(batch), rb_count(batch), now_ns))
		return APPEND_WAIT;
	if (SETTING(part, log_append_time)) {
		part->append_ms = MAX(part->append_ms, wall_ms);
		batch_stamp(batch, part->append_ms);
		result->append_ms = part->append_ms;
	}
	if (!copy(part, batch)) {
		set_bit(words_of(part)->touched, part->slot); /* T1: as storage_publish() does */
		return refuse(result, KIRA_E_KAFKA_STORAGE_ERROR);
	}
	result->base_offset = part->next;
	store(part, batch, now_ns);
	return APPEND_STORED;
}

unsigned
storage_producers(const struct partition *part, struct storage_producer *to, unsigned n, uint64_t now_ns)
{
	return producers_tell(words_of(part)->producers, part->slot, to, n, now_ns);
}

void
storage_detach_lcore(struct partition *part)
{
	producers_forget(words_of(part)->producers, part->slot);
	part->detached = true;
}
