/* SPDX-License-Identifier: MIT
 * sim_check_rules.c - the whole: the files are gone through three times: what was sent, acked and done to
 * the broker; the log that was left (sim_check_final.c); what readers saw (sim_check_readers.c). A unit
 * that breaks one rule is not held against the next, so that a count says what happened. */
#include "tests/sim/sim_check_private.h"

#include "storage/inspect.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct check k;

const char *const rule_text[RULES] = {
	[C1] = "what was acked is in the log",
	[C2] = "nothing of an idempotent producer is there twice",
	[C3] = "a producer's units lie in its order, with no hole among those acked",
	[C4] = "offset and bytes as acked are as read",
	[C5] = "what was seen is a beginning of the final log",
	[C6] = "(leader epoch, offset) names one unit for ever",
	[C7] = "offsets rise by one",
	[C8] = "nothing that nobody sent",
	[C9] = "batches are whole",
	[C10] = "published offsets never go back",
	[C11] = "nothing of an older leader epoch follows a newer one",
	[C12] = "the data directory passes kira check",
};
const enum rule_class rule_class[RULES] = {
	[C1] = CLASS_LOST, [C2] = CLASS_DUPLICATE, [C3] = CLASS_REORDERED, [C4] = CLASS_INVALID,
	[C5] = CLASS_LOST, [C6] = CLASS_INVALID, [C7] = CLASS_REORDERED, [C8] = CLASS_INVALID,
	[C9] = CLASS_INVALID, [C10] = CLASS_REORDERED, [C11] = CLASS_REORDERED, [C12] = CLASS_INVALID,
};
const char *const rule_class_name[CLASSES] = {"lost", "duplicate", "reordered", "invalid"};

/* ---- Telling ------------------------------------------------------------------------------ */

void
broken(enum rule rule, const char *file, uint32_t line, const char *fmt, ...)
{
	const uint64_t n = k.v->broken[rule]++;
	char text[300];
	va_list ap;

	if (n >= VERDICT_LINES)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(&k.v->line[rule][n], "%s:%u: %s", file, line, text);
}

int
cannot(const char *why)
{
	err_set(k.err, "%s:%u: %s", k.h->name, k.h->line, why);
	return -EINVAL;
}

int
full(void)
{
	return cannot("the history is too large for the tables (256 GiB), or its numbers are absurd");
}

/* ---- Looking up --------------------------------------------------------------------------- */

static uint32_t *
bucket_of(int64_t id, int64_t epoch, unsigned part)
{
	uint64_t h = (uint64_t)id * 0x9e3779b97f4a7c15u + (uint64_t)epoch * 0xff51afd7ed558ccdu + part;

	for (h ^= h >> 29;; h++) {
		uint32_t *b = &k.bucket[h & (k.buckets - 1)];
		const struct stream *s = *b ? &k.stream[*b - 1] : NULL;

		if (!s || (s->id == id && s->epoch == epoch && s->part == part))
			return b;
	}
}

uint32_t
stream_of(int64_t id, int64_t epoch, unsigned part, bool make)
{
	uint32_t *b;

	if (make && k.streams * 2 >= k.buckets) {
		free(k.bucket);
		k.buckets = k.buckets ? k.buckets * 2 : 1024;
		k.bucket = calloc(k.buckets, sizeof(*k.bucket));
		k.stream = realloc(k.stream, k.buckets * sizeof(*k.stream));
		if (!k.bucket || !k.stream)
			abort();
		for (uint32_t i = 0; i < k.streams; i++)
			*bucket_of(k.stream[i].id, k.stream[i].epoch, k.stream[i].part) = i + 1;
	}
	if (k.buckets == 0)
		return 0;
	b = bucket_of(id, epoch, part);
	if (!*b && make) {
		k.stream[k.streams++] = (struct stream){.id = id, .epoch = epoch, .part = part,
			.last_found = -1, .unit.row = sizeof(struct unit)};
		*b = k.streams;
	}
	return *b;
}

struct unit *
unit_sent(const struct event *e, unsigned part, uint32_t *stream)
{
	struct unit *u = NULL;

	*stream = stream_of(e->id, e->epoch, part, false);
	if (*stream)
		u = rows_find(&k.stream[*stream - 1].unit, e->sequence);
	return u && u->sent ? u : NULL;
}

bool
in_hole(unsigned part, int64_t from, int64_t to)
{
	for (unsigned i = 0; i < k.holes; i++)
		if (k.hole[i].part == part && from >= k.hole[i].from && to <= k.hole[i].to)
			return true;
	return false;
}

struct unit *
as_sent(const struct event *e, unsigned part, uint32_t *stream)
{
	struct unit *u = unit_sent(e, part, stream);

	if (!u)
		BROKEN(C8, "partition %u, offset %" PRId64 ": nobody sent this", part, e->offset);
	else if (u->count != e->count)
		BROKEN(C9, "partition %u, offset %" PRId64 ": %" PRId64 " records of a unit of %" PRId32, part,
			e->offset, e->count, u->count);
	else if (u->hash != e->hash)
		BROKEN(C4, "partition %u, offset %" PRId64 ": hash %" PRIx64 ", sent was %" PRIx64, part,
			e->offset, e->hash, u->hash);
	else
		return u;
	return NULL;
}

static void
add_span(struct span **list, unsigned *n, unsigned part, int64_t from, int64_t to)
{
	*list = realloc(*list, (*n + 1) * sizeof(**list));
	if (!*list)
		abort();
	(*list)[(*n)++] = (struct span){part, from, to};
}

/* ---- First: what was sent, acked, done ----------------------------------------------------- */

static int
take_send(const struct event *e)
{
	const uint32_t s = stream_of(e->id, e->epoch, e->part, true);
	struct unit *u = rows_at(&k.stream[s - 1].unit, &k.arena, e->sequence);

	if (!u)
		return full();
	k.log[e->part].used = true;
	if (u->sent)
		return u->hash == e->hash && u->count == e->count ? 0 : /* sent again */
			cannot("one sequence, two units: the producer that wrote this is wrong");
	k.v->sent++;
	*u = (struct unit){.hash = e->hash, .count = (int32_t)e->count, .sent = true, .acked_at = -1,
		.line = k.h->line, .file = (uint8_t)k.file_at};
	return 0;
}

static int
take_ack(const struct event *e)
{
	uint32_t s;
	struct unit *u = unit_sent(e, e->part, &s);

	if (!u)
		return cannot("an ack of what was not sent");
	k.v->acked += !u->acked;
	/* Two acks: the better promise counts. */
	if (u->acked && (u->level > e->word || (u->level == e->word && u->acked_at >= 0)))
		return 0;
	u->acked = true;
	u->level = (uint8_t)e->word;
	u->acked_ms = e->time;
	u->acked_at = e->offset;
	u->acked_leader = (int32_t)e->leader;
	u->line = k.h->line;
	return 0;
}

int
pass_sent(const struct event *e)
{
	switch (e->kind) {
	case EVENT_RUN:
		k.v->runs++;
		break;
	case EVENT_POWER:
		k.last_power_ms = MAX(k.last_power_ms, e->time);
		k.v->powers++;
		k.v->faults++;
		break;
	case EVENT_KILL:
	case EVENT_PAUSE:
		k.v->faults++;
		break;
	case EVENT_EPOCH:
		add_span(&k.epoch, &k.epochs, e->part, e->offset, e->leader);
		break;
	case EVENT_START:
		k.log[e->part].start_allowed = MAX(k.log[e->part].start_allowed, e->offset);
		break;
	case EVENT_HOLE:
		add_span(&k.hole, &k.holes, e->part, e->offset, e->end);
		break;
	case EVENT_SEND:
		return take_send(e);
	case EVENT_ACK:
		return take_ack(e);
	case EVENT_PRODUCER:
		if (e->word == HISTORY_PLAIN) {
			k.plain = realloc(k.plain, (k.plains + 1) * sizeof(*k.plain));
			if (!k.plain)
				abort();
			k.plain[k.plains++] = e->id;
		}
		break;
	case EVENT_READER:
		k.reader[e->reader] = (struct consumer){.declared = true, .part = e->part,
			.at_disk = e->word == HISTORY_DISK, .next = -1, .leader = -1};
		break;
	default:
		break;
	}
	return 0;
}

/* ---- The whole ----------------------------------------------------------------------------- */

static void
damage(void *arg, const struct inspect_finding *f)
{
	if (f->level == INSPECT_DAMAGE)
		broken(C12, f->file, 0, "position %" PRId64 ", offset %" PRId64 ": %s", f->position, f->offset,
			f->what);
}

static int
judge_directory(const char *dir)
{
	struct inspect in = {.found = damage, .producer_max = -1};
	struct err err = {""};
	const int rc = inspect_directory(&in, dir, &err);

	if (rc == -EAGAIN) {
		*k.err = err;
		return rc;
	}
	if (rc < 0)
		broken(C12, dir, 0, "%s", err.text);
	k.v->directory_records = in.records;
	return 0;
}

static int
pass(int (*take)(const struct event *e), const char *const *file, unsigned files)
{
	struct history_file h;
	struct event e;
	int rc = 0;

	for (k.file_at = 0; rc == 0 && k.file_at < files; k.file_at++) {
		rc = history_open(&h, file[k.file_at], k.err);
		if (rc < 0)
			return rc;
		k.h = &h;
		while ((rc = history_next(&h, &e, k.err)) > 0) {
			rc = take(&e);
			if (rc < 0)
				break;
		}
		history_close(&h);
	}
	return rc;
}

int
history_judge(struct verdict *ret, const char *const *file, unsigned files, const char *dir,
	const char *tmp, struct err *err)
{
	int rc = 0;

	memset(&k, 0, sizeof(k));
	*ret = (struct verdict){0};
	k.v = ret;
	k.err = err;
	k.file = file;
	k.last_power_ms = -1;
	if (files == 0 || files > UINT8_MAX) {
		err_set(err, "%u files: 1 to %d are taken", files, UINT8_MAX);
		return -EINVAL;
	}
	rc = arena_open(&k.arena, tmp, err);
	if (rc == 0)
		rc = pass(pass_sent, file, files);
	for (uint32_t i = 0; i < k.streams; i++)
		for (unsigned n = 0; n < k.plains; n++)
			k.stream[i].plain |= k.stream[i].id == k.plain[n];
	if (rc == 0)
		rc = pass(pass_final, file, files);
	if (rc == 0)
		rc = end_of_logs();
	if (rc == 0)
		rc = pass(pass_read, file, files);
	if (rc == 0)
		judge_acks();
	if (rc == 0 && dir)
		rc = judge_directory(dir);
	for (uint32_t i = 0; i < k.streams; i++)
		rows_free(&k.stream[i].unit);
	for (unsigned i = 0; i < HISTORY_PARTITIONS; i++)
		rows_free(&k.log[i].place);
	free(k.stream);
	free(k.bucket);
	free(k.plain);
	free(k.hole);
	free(k.epoch);
	arena_close(&k.arena);
	return rc;
}
