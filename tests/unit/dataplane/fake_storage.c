/* SPDX-License-Identifier: MIT
 * fake_storage.c - storage.h's append side in memory. See fake_storage.h. */
#include "tests/unit/dataplane/fake_storage.h"

#include "base/assert.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <string.h>

void
fake_partition(struct partition *ret, struct storage *s, unsigned slot, unsigned lcore)
{
	memset(ret, 0, sizeof(*ret));
	ret->storage = s;
	s->part[slot] = ret;
	ret->slot = slot;
	ret->lcore = lcore;
	ret->room = UINT32_MAX;
}

void
fake_commit(struct storage *s)
{
	for (unsigned i = 0; i < FAKE_PARTITIONS; i++)
		if (s->part[i])
			s->part[i]->durable = s->part[i]->published;
	s->commit_done++;
}

void
fake_fail(struct partition *part)
{
	part->state = PART_FAILED;
	part->storage->failures++;
}

unsigned
fake_stored(const struct partition *part, int64_t producer, int32_t sequence)
{
	unsigned n = 0;

	for (unsigned i = 0; i < part->published; i++)
		n += part->log[i].producer == producer && part->log[i].sequence == sequence;
	return n;
}

bool
fake_on_disk(const struct partition *part, int64_t producer, int32_t sequence)
{
	for (unsigned i = 0; i < part->durable; i++)
		if (part->log[i].producer == producer && part->log[i].sequence == sequence)
			return true;
	return false;
}

static int32_t *
next_of(struct partition *part, int64_t producer)
{
	unsigned i = 0;

	while (i < part->producers && part->producer[i].id != producer)
		i++;
	ASSERT(i < FAKE_PRODUCERS);
	if (i == part->producers) {
		part->producer[i].id = producer;
		part->producers++;
	}
	return &part->producer[i].next;
}

enum append_verdict
storage_append(struct partition *part, uint8_t *batch, uint32_t length, unsigned flags,
	uint64_t now_ns, int64_t wall_ms, struct append_result *result)
{
	const int64_t producer = rb_producer_id(batch);
	const int32_t sequence = rb_base_sequence(batch), records = rb_count(batch);
	int32_t *next = producer >= 0 ? next_of(part, producer) : NULL;

	*result = (struct append_result){.base_offset = -1, .append_ms = -1};
	part->storage->appends++;
	if (part->state == PART_FAILED) {
		result->error = KIRA_E_KAFKA_STORAGE_ERROR;
		return APPEND_REFUSED;
	}
	if (length != (uint64_t)rb_total(batch) || rb_crc(batch) == 0xbad) {
		result->error = KIRA_E_CORRUPT_MESSAGE;
		return APPEND_REFUSED;
	}
	if (next && rb_sequence_below(sequence, *next)) {
		result->error = KIRA_E_DUPLICATE_SEQUENCE_NUMBER;
		return APPEND_DUPLICATE;
	}
	if (next && sequence != *next)
		return APPEND_EARLY;
	if (part->room == 0 && part->spares > 0) {
		part->spares--;
		part->room = part->segment;
	}
	if (part->room == 0) {
		part->wants_spare = part->segment > 0;
		return APPEND_WAIT;
	}
	ASSERT(part->appended < FAKE_LOG);
	if (part->breaks_at && part->appended + 1 == part->breaks_at) {
		fake_fail(part);
		result->error = KIRA_E_KAFKA_STORAGE_ERROR;
		return APPEND_REFUSED;
	}
	part->room--;
	part->log[part->appended++] = (struct fake_batch){.producer = producer,
		.base_offset = part->end, .sequence = sequence, .records = records};
	result->base_offset = part->end;
	part->end += records;
	if (next)
		*next = rb_sequence_add(*next, records);
	return APPEND_STORED;
}

void
storage_give_up(struct partition *part, const uint8_t *batch, uint32_t length, unsigned flags, uint64_t now_ns)
{
	part->storage->given_up++;
}

uint64_t
storage_publish(struct partition *part)
{
	part->storage->publishes++;
	if (part->state == PART_FAILED)
		return 0;
	part->published = part->appended;
	return part->storage->commit_done + 1;
}

bool
storage_has_room(const struct partition *part)
{
	return part->wants_spare ? part->spares > 0 : part->room > 0;
}

void
storage_roll(struct partition *part, uint64_t now_ns)
{
}

void
storage_configure(struct partition *part, const struct partition_config *config)
{
	part->config = *config;
}

void
storage_detach_lcore(struct partition *part)
{
	part->detached = true;
}

bool
storage_flush_sleeps(const struct storage *s)
{
	return false;
}

void
storage_wake_flush(struct storage *s)
{
	s->flush_woken = true;
}

enum partition_state
storage_state(const struct partition *part)
{
	return part->state;
}

unsigned
storage_lcore(const struct partition *part)
{
	return part->lcore;
}

unsigned
storage_slot(const struct partition *part)
{
	return part->slot;
}

uint64_t
storage_commit_done(const struct storage *s)
{
	return s->commit_done;
}

uint64_t
storage_failures(const struct storage *s)
{
	return s->failures;
}

void
storage_want_disk(struct storage *s, unsigned giver, uint64_t commit)
{
	if (commit > s->wanted)
		s->wanted = commit;
}

/* One, that tells which partition it is of. */
unsigned
storage_producers(const struct partition *part, struct storage_producer *to, unsigned n, uint64_t now_ns)
{
	if (n == 0)
		return 0;
	to[0] = (struct storage_producer){.id = part->slot};
	return 1;
}
