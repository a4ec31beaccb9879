/* SPDX-License-Identifier: MIT
 * partition.c - making and freeing a partition, and what any thread may ask of it.
 * Making: a job or the control thread, before anybody else sees it. The questions: any thread. */
#include "storage/partition.h"

#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/hook.h"

#include <errno.h>
#include <stdlib.h>

void
partition_fail(struct partition *part)
{
	int ok = PART_OK;

	atomic_compare_exchange_strong(&part->state, &ok, PART_FAILED); /* X1, seq_cst */
	HOOK(X1);
	atomic_fetch_add(&part->storage->failures, 1);
}

char *
partition_halt_text(const struct partition *part, int rc, const char *reason)
{
	char *text;

	/* Pages that stay in memory go by themselves, space comes back; all else somebody must decide. */
	if (rc == -EBUSY)
		text = strdup(reason);
	else if (layout_no_space(rc))
		text = asprintf(&text, "%s; once there is space, restart kirad", reason) < 0 ? NULL : text;
	else if (asprintf(&text, "%s; with kirad stopped, `kira repair %s %s` says what is broken, and "
		"what --truncate or --skip would cost", reason, part->storage->dir, part->name) < 0)
		text = NULL;
	ASSERT(text);
	return text;
}

void
partition_halt(struct partition *part, int rc, const char *reason)
{
	int ok = PART_OK;

	ASSERT(!part->halt_reason);
	part->halt_reason = partition_halt_text(part, rc, reason); /* before X1: who sees the state finds it */
	atomic_compare_exchange_strong(&part->state, &ok, PART_HALTED); /* X1, seq_cst */
	atomic_fetch_add(&part->storage->failures, 1);
}

static const struct holes none;

struct partition *
partition_alloc(struct storage *s, const char *topic, const uint8_t id[16], int32_t index,
	unsigned slot, const struct partition_config *config)
{
	struct partition *part = aligned_alloc(CACHE_LINE, round_up(sizeof(*part), CACHE_LINE));

	ASSERT(part);
	memset(part, 0, sizeof(*part));
	part->storage = s;
	(void)snprintf(part->topic, sizeof(part->topic), "%s", topic);
	(void)snprintf(part->name, sizeof(part->name), "%s-%d", topic, index);
	memcpy(part->topic_id, id, sizeof(part->topic_id));
	part->index = index;
	part->slot = slot;
	part->lcore = slot % s->o.store_lcores;
	part->dirfd = -1;
	settings_set(&part->settings, config);
	part->holes = &none;
	part->f.left_last = &part->f.left_first;
	return part;
}

void
partition_begin(struct partition *part, int64_t start, int64_t end)
{
	struct segment *seg = segment_blank(part, end);
	const struct mark m = {end, 0, seg};

	part->blank = part->active = part->f.active = seg;
	part->next = end;
	part->leader_epoch = epochs_latest(&part->epochs);
	part->f.seen_base = end;
	frontier_publish(&part->tail, &m);
	frontier_publish(&part->durable, &m); /* what recovery kept was synced by it */
	atomic_store(&part->start, start);
}

void
partition_free(struct partition *part)
{
	struct storage *s = part->storage;
	const struct segments *a = storage_segments(part);

	for (uint32_t i = 0; a && i < a->n; i++)
		storage_free_segment(s, a->seg[i]);
	if (part->active != part->blank)
		storage_free_segment(s, part->active);
	segment_free(part->blank);
	if (part->f.given != part->active)
		storage_free_segment(s, part->f.given);
	free((void *)(uintptr_t)a);
	(void)s->io->close(part->dirfd);
	epochs_free(&part->epochs);
	free(part->f.expired);
	free(atomic_load(&part->checkpoint));
	free(part->f.checkpoint);
	free(part->halt_reason);
	free(part);
}

/* ---- Questions ---------------------------------------------------------------------------- */

void
storage_ends(const struct partition *part, struct partition_ends *ret)
{
	/* In this order: each may only have grown by the time the next is read. */
	HOOK(O2);
	ret->start = atomic_load_explicit(&part->start, memory_order_acquire); /* O2 */
	HOOK(D2);
	ret->durable = frontier_read(&part->durable).end;                      /* D2 */
	HOOK(E2);
	ret->end = frontier_read(&part->tail).end;                             /* E2 */
	if (partition_state(part) != PART_OK)
		ret->end = ret->durable;
	ret->visible = SETTING(part, visible_at_disk) ? ret->durable : ret->end;
	/* Who has read up to a hole at the end of the log has read all there is. */
	if (part->holes->n > 0 && part->holes->hole[part->holes->n - 1].to == ret->visible)
		ret->visible = MAX(part->holes->hole[part->holes->n - 1].from, ret->start);
}

enum partition_state
storage_state(const struct partition *part)
{
	return partition_state(part);
}

const char *
storage_failure(const struct partition *part)
{
	return atomic_load(&part->map_lost) ? "its file could not take a store (cut short by hand, "
		"or the file system was shut down)" : "its data could not be synced";
}

const char *
storage_halt_reason(const struct partition *part)
{
	return partition_state(part) == PART_HALTED ? part->halt_reason : NULL;
}

int32_t
storage_leader_epoch(const struct partition *part)
{
	return epochs_latest(&part->epochs);
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

int32_t
storage_index(const struct partition *part)
{
	return part->index;
}

const char *
storage_topic_name(const struct partition *part)
{
	return part->topic;
}

bool
storage_roll_due(const struct partition *part, uint64_t now_ns)
{
	const struct mark tail = frontier_read(&part->tail); /* E2 */
	const int64_t retention_ms = SETTING(part, retention_ms);
	uint64_t first_ns;
	int64_t age_ms;

	if (partition_state(part) != PART_OK || tail.position == 0)
		return false;
	first_ns = atomic_load_explicit(&tail.seg->first_ns, memory_order_relaxed);
	age_ms = now_ns > first_ns ? (int64_t)((now_ns - first_ns) / NS_PER_MS) : 0;
	return age_ms >= SETTING(part, segment_ms) || (retention_ms >= 0 && age_ms > retention_ms);
}

void
storage_epoch_end(const struct partition *part, int32_t epoch, int32_t *found, int64_t *end)
{
	epochs_end(&part->epochs, epoch, frontier_read(&part->tail).end, found, end);
}

int32_t
storage_epoch_at(const struct partition *part, int64_t offset)
{
	return epochs_at(&part->epochs, offset);
}
