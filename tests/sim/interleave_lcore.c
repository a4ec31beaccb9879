/* SPDX-License-Identifier: MIT
 * interleave_lcore.c - the storage lcore's turn, as dataplane/store.c: a queue of batches that wait for
 * room per partition, runs, completions staged until the publish. See interleave.h. */
#include "tests/sim/interleave.h"
#include "tests/sim/sim_files.h"
#include "tests/unit/storage/make_batch.h"

#include "base/assert.h"

#include <kira/errors.h>

static uint64_t failures_seen;
static struct queue staged;

void
lcore_begin(void)
{
	failures_seen = 0;
	queue_clear(&staged);
}

static void
stage(struct item *it, int16_t error, int64_t offset, bool covered)
{
	it->error = error;
	it->offset = offset;
	it->commit = covered;
	queue_put(&staged, it, STAGED);
}

static void
make(struct item *it)
{
	const struct lane *l = &lane[it->part];
	struct batch_of o = {.count = it->count, .value = it->value, .seed = it->seed};

	if (it->again)
		o = (struct batch_of){.count = l->stored.count, .value = l->stored.value,
			.seed = l->stored.seed};
	o.timestamp = engine_world.wall_ms;
	if (it->idempotent || it->again) {
		o.producer = 7;
		o.sequence = it->again ? l->sequence - l->stored.count : l->sequence;
	}
	it->length = make_batch(it->bytes, o);
	ASSERT(it->length <= IL_BYTES);
}

static void
stored(struct item *it, const struct partition *part, uint64_t position)
{
	struct lane *l = &lane[it->part];

	it->file = sim_file_of(il.e.disk, part->active->fd);
	it->position = position;
	if (it->idempotent) {
		l->sequence += it->count;
		l->stored = *it;
		l->stored.offset = part->next - it->count;
	}
	il.event[STORED]++;
	if (part->active != l->active)
		il.event[ROLLS]++;
	l->active = part->active;
}

/* False: it waits. */
static bool
append(struct item *it)
{
	struct partition *part = il.e.part[it->part];
	struct lane *l = &lane[it->part];
	struct append_result result;
	enum append_verdict v;

	make(it);
	v = storage_append(part, it->bytes, it->length, APPEND_UDP, engine_world.now_ns,
		engine_world.wall_ms, &result);
	if (v == APPEND_WAIT) {
		l->asked = l->gave = true;
		il.event[WAITS]++;
		return false;
	}
	if (v == APPEND_REFUSED) {
		if (result.error != KIRA_E_KAFKA_STORAGE_ERROR || storage_state(part) != PART_FAILED)
			violation("t%u: refused with %d", it->part, result.error);
		il.event[REFUSED]++;
		stage(it, result.error, -1, false);
		return true;
	}
	if (v == APPEND_EARLY || (v == APPEND_DUPLICATE) != it->again)
		violation("t%u: verdict %d", it->part, v);
	if (v == APPEND_STORED) {
		stored(it, part, part->position - it->length);
	} else {
		il.event[DUPLICATES]++;
		if (result.error == 0 && result.base_offset != l->stored.offset)
			violation("t%u: a duplicate at another offset", it->part);
		it->count = l->stored.count;
		it->file = l->stored.file;
		it->position = l->stored.position;
		it->length = l->stored.length;
	}
	l->touched = true;
	stage(it, result.error, result.base_offset, true);
	return true;
}

static void
work_off(struct lane *l, const struct partition *part)
{
	if (l->asked && !storage_has_room(part))
		return;
	for (unsigned n = 0; n < 8 && l->wait.first; n++) {
		struct item *const head = l->wait.first, *const next = head->next;

		if (!append(head))
			return;
		/* Its link is that of `staged` now. */
		l->asked = false;
		l->wait.first = next;
		if (next)
			next->since = il.round; /* the head now */
		else
			l->wait.last = &l->wait.first;
	}
}

/* What ended with its session goes, what its partition's failure ends is told so. */
static void
look_at_waiting(struct lane *l, const struct partition *part)
{
	struct queue q = l->wait;
	struct item *it;

	if (!q.first)
		return;
	if (q.last == &l->wait.first)
		q.last = &q.first;
	l->wait = (struct queue){.last = &l->wait.first};
	while ((it = queue_take(&q)) != NULL) {
		const unsigned since = it->since;

		if (!it->tcp && it->session < l->session) {
			il.event[FREED_IN_WAIT]++;
			stage(it, KIRA_E_UNKNOWN_SERVER_ERROR, -1, false);
		} else if (storage_state(part) != PART_OK) {
			stage(it, KIRA_E_KAFKA_STORAGE_ERROR, -1, false);
		} else {
			queue_put(&l->wait, it, WAITING);
			it->since = since;
			continue;
		}
		l->asked = false;
	}
}

static struct item *
arrival(void)
{
	for (unsigned i = 0; i < IL_ITEMS; i++) {
		struct item *it = &item[i];

		if (it->at != IDLE)
			continue;
		*it = (struct item){.part = (unsigned)il_dice(IL_PARTS), .seed = il_dice(UINT32_MAX),
			.value = (uint32_t)il_dice(il_dice(3) ? 200 : 1800),
			.count = 1, .tcp = il_dice(3) == 0, .log_only = il_dice(3) == 0};
		it->session = lane[it->part].session;
		it->idempotent = il_dice(3) == 0;
		if (lane[it->part].stored.length > 0 && il_dice(4) == 0) {
			it->again = true;
			it->idempotent = false;
		}
		made++;
		return it;
	}
	return NULL;
}

static void
arrivals(void)
{
	struct item *it;
	uint64_t n = il_dice(il.plan.what == ASLEEP ? 2 : 9);

	if (il.plan.quiet || (il.plan.what == ASLEEP && il_dice(3)))
		return;
	for (; n > 0 && (it = arrival()) != NULL; n--) {
		struct lane *l = &lane[it->part];

		if (l->wait.first || !append(it))
			queue_put(&l->wait, it, WAITING);
	}
}

static void
publish(void)
{
	uint64_t commit[IL_PARTS] = {0};
	struct item *it;

	for (unsigned i = 0; i < IL_PARTS; i++) {
		if (!lane[i].touched)
			continue;
		commit[i] = storage_publish(il.e.part[i]);
		lane[i].touched = false;
		lane[i].gave = true;
	}
	while ((it = queue_take(&staged)) != NULL) {
		if (it->commit && commit[it->part] == 0) {
			it->error = KIRA_E_KAFKA_STORAGE_ERROR;
			it->offset = -1;
		}
		it->commit = it->commit ? commit[it->part] : 0;
		queue_put(it->tcp ? &to_control : &to_rx, it, IN_RING);
	}
}

void
turn_lcore(void)
{
	const uint64_t failures = storage_failures(il.e.s);
	const bool look = failures != failures_seen || il.plan.what == DISK_FULL;

	failures_seen = failures;
	for (unsigned i = 0; i < IL_PARTS; i++) {
		struct lane *l = &lane[i];

		if (look)
			look_at_waiting(l, il.e.part[i]);
		work_off(l, il.e.part[i]);
		if (l->rolls) {
			l->rolls = false;
			storage_roll(il.e.part[i], engine_world.now_ns);
			l->gave = true;
			il.event[ROLL_WAITS] += atomic_load(&il.e.part[i]->want) == WANT_SPARE;
		}
	}
	arrivals();
	publish();
	for (unsigned i = 0; i < IL_PARTS; i++) {
		wake_flush(lane[i].gave);
		lane[i].gave = false;
	}
}
