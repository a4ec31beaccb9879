/* SPDX-License-Identifier: MIT
 * sim_model.c - see the header. */
#include "tests/sim/sim_model.h"

#include "storage/batch.h"
#include "tests/unit/storage/make_batch.h"

#include "base/assert.h"

#include <stdlib.h>

struct log model[SIM_TOPICS];
struct model_directory model_directory;
static uint8_t bytes[MODEL_BATCH_ROOM];

void
model_reset(void)
{
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		free(model[i].item);
	memset(model, 0, sizeof(model));
	model_directory = (struct model_directory){0};
}

void
model_deleted(unsigned i)
{
	free(model[i].item);
	model[i] = (struct log){0};
	engine_world.generation[i]++;
}

/* ---- Sending ------------------------------------------------------------------------------ */

const struct item *
model_latest(const struct log *l, unsigned producer, int64_t end, unsigned back)
{
	for (unsigned i = l->n; i-- > 0;)
		if (l->item[i].producer == producer && l->item[i].offset < end && back-- == 0)
			return &l->item[i];
	return NULL;
}

struct item
model_next(const struct log *l, unsigned producer, int64_t end, int32_t count, bool new_epoch)
{
	const struct item *last = producer ? model_latest(l, producer, end, 0) : NULL;
	struct item it = {.producer = producer, .count = count, .commit = UINT64_MAX};

	if (last) {
		it.epoch = (int16_t)(last->epoch + new_epoch);
		it.sequence = new_epoch ? 0 : rb_sequence_add(last->sequence, last->count);
	} else if (producer == MODEL_LATE) {
		it.sequence = INT32_MAX - 20;
	}
	return it;
}

static uint32_t
make(const struct item *it, uint8_t to[MODEL_BATCH_ROOM])
{
	return make_batch(to, (struct batch_of){.count = it->count,
				      .value = it->value,
				      .producer = it->producer,
				      .epoch = it->epoch,
				      .sequence = it->sequence,
				      .timestamp = it->sent_ms,
				      .seed = it->seed,
				      .text = it->text});
}

void
model_make(const struct item *it, uint8_t to[MODEL_BATCH_ROOM])
{
	(void)make(it, to);
	if (it->append_ms >= 0)
		batch_stamp(to, it->append_ms);
	put_be64(to + RB_BASE_OFFSET, (uint64_t)it->offset);
	put_be32(to + RB_LEADER_EPOCH, (uint32_t)it->leader_epoch);
}

static enum append_verdict
send(struct engine *e, unsigned i, const struct item *it, struct append_result *result)
{
	const uint32_t length = make(it, bytes);

	sim_disk_stored(e->disk);
	return storage_append(e->part[i], bytes, length, it->producer == MODEL_LATE ? 0 : APPEND_UDP,
		engine_world.now_ns, engine_world.wall_ms, result);
}

enum append_verdict
model_send(struct engine *e, unsigned i, const struct item *it, uint32_t value, uint64_t seed,
	struct append_result *result)
{
	struct item again = *it;

	again.value = value;
	again.seed = seed;
	again.sent_ms = engine_world.wall_ms;
	return send(e, i, &again, result);
}

enum append_verdict
model_append(struct engine *e, unsigned i, unsigned producer, uint32_t value, int32_t count,
	bool new_epoch, struct sim_random *r)
{
	struct log *l = &model[i];
	struct item it = model_next(l, producer, l->end, count, new_epoch);
	struct append_result result;
	enum append_verdict v;

	it.value = value;
	it.text = engine_world.config[i].rewrite_lz4; /* what does not compress is not rewritten */
	it.sent_ms = engine_world.wall_ms;
	it.seed = sim_random(r, UINT32_MAX);
	v = send(e, i, &it, &result);
	if (v != APPEND_STORED)
		return v;
	ASSERT(result.base_offset == l->end);
	it.offset = l->end;
	it.append_ms = result.append_ms;
	it.crc = rb_crc(bytes);
	it.total = (uint32_t)rb_total(bytes);
	it.timestamp = rb_max_timestamp(bytes);
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
	if (running)
		model_directory.incarnation = storage_incarnation(e->s);
	b->directory = model_directory;
}

unsigned
model_keep_published(const struct engine *e, struct bounds *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		if (!model[i].created || storage_state(e->part[i]) != PART_OK)
			continue;
		n += b->log[i].end_min < model[i].end;
		b->log[i].end_min = model[i].end;
	}
	return n;
}

void
model_adopt(const struct engine *e)
{
	model_directory.ids = model_directory.ids_asked = storage_producer_ids_spent(e->s);
	model_directory.incarnation = storage_incarnation(e->s);
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
