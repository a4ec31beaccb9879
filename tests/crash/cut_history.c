/* SPDX-License-Identifier: MIT
 * cut_history.c - what was sent, acked and found, over all cuts of one file system: a line per event
 * in a file on another one. Read again by each process, in order; what comes since is added. */
#include "tests/crash/cut.h"

#include "storage/batch.h"
#include "tests/unit/storage/make_batch.h"

#include "base/assert.h"
#include "base/bits.h"

#include <inttypes.h>
#include <stdlib.h>

#define WRONG(h, ...) ((void)snprintf((h)->wrong, sizeof((h)->wrong), __VA_ARGS__))

static struct log *
log_of(struct history *h, unsigned t, unsigned p)
{
	ASSERT(t < CUT_TOPICS && p < CUT_PARTITIONS);
	return &h->topic[t].log[p];
}

/* ---- What an event changes ---------------------------------------------------------------- */

static void
use_epoch(struct history *h, struct log *l, const struct item *it)
{
	const unsigned e = (unsigned)it->leader_epoch;

	ASSERT(it->leader_epoch >= 0 && it->leader_epoch < 1000000);
	if (e >= l->epochs) {
		l->epoch_end = realloc(l->epoch_end, (e + 1) * sizeof(*l->epoch_end));
		ASSERT(l->epoch_end);
		while (l->epochs <= e)
			l->epoch_end[l->epochs++] = 0;
	}
	if (it->leader_epoch < l->epoch)
		WRONG(h, "epoch %" PRId32 " appends at %" PRId64 " after epoch %" PRId32 " began",
			it->leader_epoch, it->offset, l->epoch);
	else if (it->offset < l->epoch_end[e])
		WRONG(h, "(epoch %" PRId32 ", offset %" PRId64 ") is used again", it->leader_epoch,
			it->offset);
	l->epoch = MAX(l->epoch, it->leader_epoch);
	l->epoch_end[e] = MAX(l->epoch_end[e], it->offset + it->count);
}

static void
apply_sent(struct history *h, unsigned t, unsigned p, const struct item *it)
{
	struct log *l = log_of(h, t, p);

	if (it->offset != l->end)
		WRONG(h, "t%u-%u: a batch got offset %" PRId64 ", the end was %" PRId64, t, p, it->offset,
			l->end);
	use_epoch(h, l, it);
	if (l->n == l->room) {
		l->room = l->room * 2 + 64;
		l->item = realloc(l->item, l->room * sizeof(*l->item));
		ASSERT(l->item);
	}
	l->item[l->n] = *it;
	l->item[l->n].commit = UINT64_MAX;
	l->item[l->n++].fresh = true;
	l->end = it->offset + it->count;
}

static void
apply_found(struct history *h, unsigned t, unsigned p, int64_t start, int64_t end, int32_t epoch)
{
	struct log *l = log_of(h, t, p);

	h->topic[t].asked = h->topic[t].created = true;
	h->topic[t].deleting = false;
	while (l->n > 0 && l->item[l->n - 1].offset >= end)
		l->n--;
	for (unsigned i = 0; i < l->n; i++) {
		l->item[i].fresh = false;
		l->item[i].commit = 0;
	}
	l->end = l->published = l->durable = end;
	l->start = l->start_now = start;
	l->epoch = MAX(l->epoch, epoch);
}

static void
apply_gone(struct history *h, unsigned t)
{
	const unsigned generation = h->topic[t].generation;

	for (unsigned p = 0; p < CUT_PARTITIONS; p++) {
		free(h->topic[t].log[p].item);
		free(h->topic[t].log[p].epoch_end);
	}
	h->topic[t] = (struct topic){.generation = generation + 1};
	for (unsigned p = 0; p < CUT_PARTITIONS; p++)
		h->topic[t].log[p].epoch = -1;
}

static void
apply_topic(struct history *h, unsigned t, enum topic_event e)
{
	ASSERT(t < CUT_TOPICS);
	h->topic[t].asked |= e == TOPIC_ASKED;
	h->topic[t].created |= e == TOPIC_CREATED;
	h->topic[t].deleting |= e == TOPIC_DELETING;
}

static void
apply_stop(struct history *h, bool done)
{
	for (unsigned t = 0; t < CUT_TOPICS; t++) {
		for (unsigned p = 0; p < CUT_PARTITIONS; p++) {
			struct log *l = &h->topic[t].log[p];

			l->start_now = l->end;
			if (done)
				l->durable = l->end;
		}
	}
}

/* ---- The file ----------------------------------------------------------------------------- */

static bool
apply_line(struct history *h, const char *line)
{
	unsigned t, p, k;
	int64_t a, b;
	int32_t c;
	struct item it = {0};
	int level;

	h->events++;
	if (sscanf(line, "b %u %u %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu32 " %" SCNu32
			 " %" SCNu32 " %" SCNd32 " %" SCNd32 " %" SCNd32 " %u %hd %d", &t, &p,
			&it.offset, &it.timestamp, &it.append_ms, &it.seed, &it.crc, &it.total,
			&it.value, &it.count, &it.leader_epoch, &it.sequence, &it.producer,
			&it.epoch, &level) == 15) {
		it.level = (enum level)level;
		apply_sent(h, t, p, &it);
	} else if (sscanf(line, "d %u %u %" SCNd64, &t, &p, &a) == 3) {
		log_of(h, t, p)->durable = a;
	} else if (sscanf(line, "s %u %u %" SCNd64, &t, &p, &a) == 3) {
		log_of(h, t, p)->start_now = a;
	} else if (sscanf(line, "l %u %u %" SCNd64, &t, &p, &a) == 3) {
		log_of(h, t, p)->start = a;
	} else if (sscanf(line, "p %u %u %" SCNd64, &t, &p, &a) == 3) {
		log_of(h, t, p)->published = a;
	} else if (sscanf(line, "f %u %u %" SCNd64 " %" SCNd64 " %" SCNd32, &t, &p, &a, &b, &c) == 5) {
		apply_found(h, t, p, a, b, c);
	} else if (sscanf(line, "g %u", &t) == 1) {
		apply_gone(h, t);
	} else if (sscanf(line, "t %u %u", &t, &k) == 2) {
		apply_topic(h, t, (enum topic_event)k);
	} else if (sscanf(line, "stop %u", &k) == 1) {
		apply_stop(h, k != 0);
	} else {
		return false;
	}
	return true;
}

void
history_open(struct history *h, const char *path)
{
	char line[400];

	memset(h, 0, sizeof(*h));
	for (unsigned t = 0; t < CUT_TOPICS; t++)
		for (unsigned p = 0; p < CUT_PARTITIONS; p++)
			h->topic[t].log[p].epoch = -1;
	h->file = fopen(path, "a+");
	ASSERT(h->file);
	rewind(h->file);
	while (fgets(line, sizeof(line), h->file))
		ASSERT(apply_line(h, line));
	ASSERT(h->wrong[0] == 0);
}

/* One event: into the file, and what it changes. Before what it speaks of can reach the disk, but for
 * acks: those come after. */
#define EVENT(h, ...) (h->events++, (void)(h->file && fprintf(h->file, __VA_ARGS__)))

void
history_sent(struct history *h, unsigned t, unsigned p, const struct item *it)
{
	EVENT(h, "b %u %u %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRIu32
		" %" PRId32 " %" PRId32 " %" PRId32 " %u %d %d\n", t, p, it->offset, it->timestamp,
		it->append_ms, it->seed, it->crc, it->total, it->value, it->count, it->leader_epoch,
		it->sequence, it->producer, it->epoch, it->level);
	apply_sent(h, t, p, it);
}

static void
rise(struct history *h, char kind, unsigned t, unsigned p, int64_t *word, int64_t to)
{
	if (to <= *word)
		return;
	*word = to;
	EVENT(h, "%c %u %u %" PRId64 "\n", kind, t, p, to);
}

void
history_published(struct history *h, unsigned t, unsigned p, uint64_t commit)
{
	struct log *l = log_of(h, t, p);

	for (unsigned k = l->n; k-- > 0 && l->item[k].commit == UINT64_MAX;)
		l->item[k].commit = commit;
	rise(h, 'p', t, p, &l->published, l->end);
}

void
history_durable(struct history *h, unsigned t, unsigned p, int64_t end)
{
	rise(h, 'd', t, p, &log_of(h, t, p)->durable, end);
}

void
history_start(struct history *h, unsigned t, unsigned p, int64_t start)
{
	rise(h, 's', t, p, &log_of(h, t, p)->start_now, start);
}

void
history_trim(struct history *h, unsigned t, unsigned p, int64_t offset)
{
	rise(h, 's', t, p, &log_of(h, t, p)->start_now, offset);
}

void
history_trimmed(struct history *h, unsigned t, unsigned p, int64_t offset)
{
	rise(h, 'l', t, p, &log_of(h, t, p)->start, offset);
}

void
history_found(struct history *h, unsigned t, unsigned p, int64_t start, int64_t end, int32_t epoch)
{
	EVENT(h, "f %u %u %" PRId64 " %" PRId64 " %" PRId32 "\n", t, p, start, end, epoch);
	apply_found(h, t, p, start, end, epoch);
}

void
history_gone(struct history *h, unsigned t)
{
	EVENT(h, "g %u\n", t);
	apply_gone(h, t);
}

void
history_topic(struct history *h, unsigned t, enum topic_event e)
{
	EVENT(h, "t %u %u\n", t, e);
	apply_topic(h, t, e);
}

void
history_stopping(struct history *h)
{
	EVENT(h, "stop 0\n");
	apply_stop(h, false);
}

void
history_stopped(struct history *h)
{
	EVENT(h, "stop 1\n");
	apply_stop(h, true);
}

void
history_flush(struct history *h)
{
	ASSERT(!h->file || fflush(h->file) == 0);
}

/* ---- Asked -------------------------------------------------------------------------------- */

/* The latest batch of a producer below `end`; NULL: none. `back`: so many before it. */
const struct item *
history_latest(const struct log *l, unsigned producer, int64_t end, unsigned back)
{
	for (unsigned i = l->n; i-- > 0;)
		if (l->item[i].producer == producer && l->item[i].offset < end && back-- == 0)
			return &l->item[i];
	return NULL;
}

static int
by_offset(const void *offset, const void *item)
{
	const int64_t x = *(const int64_t *)offset, y = ((const struct item *)item)->offset;

	return x < y ? -1 : x > y;
}

const struct item *
history_at(const struct log *l, int64_t offset)
{
	return l->n ? bsearch(&offset, l->item, l->n, sizeof(*l->item), by_offset) : NULL;
}

uint32_t
history_bytes(const struct item *it, uint8_t *to)
{
	return make_batch(to, (struct batch_of){.count = it->count,
				  .value = it->value,
				  .producer = it->producer,
				  .epoch = it->epoch,
				  .sequence = it->sequence,
				  .timestamp = it->timestamp,
				  .seed = it->seed,
				  .text = it->seed % 4 > 0}); /* else no rewriting is worth it */
}

uint32_t
history_stored_bytes(const struct item *it, uint8_t *to)
{
	const uint32_t total = history_bytes(it, to);

	if (it->append_ms >= 0)
		batch_stamp(to, it->append_ms);
	put_be64(to + RB_BASE_OFFSET, (uint64_t)it->offset);
	put_be32(to + RB_LEADER_EPOCH, (uint32_t)it->leader_epoch);
	return total;
}
