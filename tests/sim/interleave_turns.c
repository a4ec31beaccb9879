/* SPDX-License-Identifier: MIT
 * interleave_turns.c - the turns of the flush daemon (the real one), of an rx lcore and of control: what
 * dataplane/ and control/ do with completions and commits, and reads. What is told must be true. See
 * interleave.h. */
#include "tests/sim/interleave.h"
#include "tests/sim/sim_files.h"
#include "tests/unit/storage/fake_io.h"

#include "storage/batch.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 65536
#define GIVER_TCP  (STORAGE_GIVERS_MAX - 1)
#define LIMIT      10 /* turns that a wait may last once nothing hinders */

const char *const event_name[EVENTS] = {"batches stored", "duplicates", "batches in WAIT", "rolls",
	"rolls that waited for a segment", "log acks", "disk acks", "disk acks over TCP", "reads",
	"segments sealed", "segments expired", "sleeps of the flush daemon", "rings that woke it",
	"syncs failed", "refused", "failures with completions in the ring", "sessions ended",
	"freed in WAIT", "reservations refused"};

struct interleave il;
struct item item[IL_ITEMS];
struct lane lane[IL_PARTS];
struct queue to_rx, to_control;
uint64_t made;
static struct queue mark_rx, mark_control;
static uint64_t ended, failures_rx;
static enum { AWAKE, DOZES, SLEEPS } flush_lies;

uint64_t
il_dice(uint64_t below)
{
	return sim_random(&il.random, below);
}

void
queue_put(struct queue *q, struct item *it, enum place at)
{
	it->at = at;
	it->since = il.round;
	it->next = NULL;
	*q->last = it;
	q->last = &it->next;
}

struct item *
queue_take(struct queue *q)
{
	struct item *it = q->first;

	if (it && !(q->first = it->next))
		q->last = &q->first;
	return it;
}

static void
finish(struct item *it)
{
	ASSERT(it->at != IDLE);
	it->at = IDLE;
	ended++;
}

void
wake_flush(bool gave)
{
	if (gave && storage_flush_sleeps(il.e.s))
		storage_wake_flush(il.e.s);
}

/* ---- Acks --------------------------------------------------------------------------------- */

static bool
is_named(const struct item *it)
{
	char name[32];
	struct sim_file **dir;

	(void)snprintf(name, sizeof(name), "t%u-0", it->part);
	dir = sim_names_find(&il.e.disk->root->now, name);
	for (unsigned i = 0; dir && i < (*dir)->kept.n; i++)
		if ((*dir)->kept.entry[i].file == it->file)
			return strcmp((*dir)->kept.entry[i].name, "next.pool") != 0;
	return false;
}

/* A power cut now would leave it. */
static void
judge_disk_ack(const struct item *it)
{
	const struct partition *part = il.e.part[it->part];
	const uint8_t *b;

	if (it->offset < 0 || it->offset < atomic_load(&part->start))
		return; /* told without an offset; or retention took it */
	if (!is_named(it))
		violation("t%u: a disk ack for %" PRId64 ", whose file has no durable name", it->part,
			it->offset);
	b = it->file->disk + it->position;
	if (it->file->disk_size < it->position + it->length ||
		batch_check(b, it->length, 0) != 0 || !batch_crc_right(b) ||
		rb_base_offset(b) != it->offset)
		violation("t%u: a disk ack for %" PRId64 ", which is not on the disk", it->part,
			it->offset);
}

static void
ack_disk(struct item *it)
{
	judge_disk_ack(it);
	il.event[it->tcp ? ACKS_TCP : ACKS_DISK]++;
	finish(it);
}

/* A completion: the log ack is judged. */
static bool
waits_for_disk(const struct item *it)
{
	if (it->error && it->error != KIRA_E_DUPLICATE_SEQUENCE_NUMBER)
		return false;
	/* Not storage_ends(): a failure since hides what was told before it. */
	if (it->offset >= 0 && frontier_read(&il.e.part[it->part]->tail).end < it->offset + it->count)
		violation("t%u: %" PRId64 " acked, beyond the end", it->part, it->offset);
	il.event[ACKS_LOG]++;
	return !it->log_only;
}

/* ---- The flush daemon, as flush_main() ---------------------------------------------------- */

void
turn_flush(void)
{
	uint64_t n, ns;

	(void)!read(il.e.s->wake_fd, &n, sizeof(n));
	flush_gets_up(il.e.s);
	(void)flush_turn(il.e.s, engine_world.now_ns, engine_world.wall_ms);
	for (unsigned i = 0; i < IL_PARTS; i++) /* S19 */
		for (const struct segment *seg = il.e.part[i]->f.left_first; seg; seg = seg->left_next)
			if (segment_used(seg) == SEGMENT_OPEN)
				violation("t%u: a segment was left before its size was set", i);
	ns = flush_lies_down(il.e.s);
	flush_lies = ns == 0 ? AWAKE : ns <= NS_PER_MS ? DOZES : SLEEPS;
	il.event[FLUSH_SLEPT] += flush_lies == SLEEPS;
}

/* A job thread, as jobs.c: it rings for a job that goes first, for the last, and one who sleeps. */
void
turn_jobs(void)
{
	const struct job *job = sim_jobs_run(il.e.s->flush.jobs);

	if (!job)
		return;
	HOOK(Z2);
	if (job->first || !sim_jobs_left(il.e.s->flush.jobs) || atomic_load(&il.e.s->asleep) == FLUSH_SLEEPS)
		storage_wake_flush(il.e.s);
}

bool
flush_can_run(void)
{
	uint64_t n;

	if (flush_lies == SLEEPS && read(il.e.s->wake_fd, &n, sizeof(n)) > 0) {
		flush_lies = DOZES;
		il.event[RUNG]++;
	}
	return flush_lies != SLEEPS;
}

void
flush_until_asleep(void)
{
	for (unsigned n = 0; flush_can_run(); n++) {
		if (n > 300)
			violation("the flush daemon never sleeps");
		while (sim_jobs_left(il.e.s->flush.jobs))
			turn_jobs();
		engine_world.now_ns += 100 * NS_PER_MS;
		turn_flush();
		storage_take_segments(il.e.s);
	}
}

/* ---- An rx lcore, as rx.c ----------------------------------------------------------------- */

static bool
session_ended(const struct item *it)
{
	return it->session < lane[it->part].session;
}

/* Marks that `done` covers, or whose session ended. */
static void
judge_marks(struct queue *q, uint64_t done)
{
	struct queue left = {.last = &left.first};
	struct item *it;

	while ((it = queue_take(q)) != NULL) {
		if (!it->tcp && session_ended(it))
			finish(it);
		else if (it->commit > done)
			*left.last = it, left.last = &it->next, it->next = NULL;
		else if (it->tcp && storage_state(il.e.part[it->part]) != PART_OK)
			finish(it); /* 20: in the log, not known to be on the disk */
		else
			ack_disk(it);
	}
	*q = left;
	if (!q->first)
		q->last = &q->first;
}

static void
end_session(unsigned part)
{
	lane[part].session++;
	il.event[ENDED_SESSIONS]++;
}

void
turn_rx(void)
{
	const uint64_t done = storage_commit_done(il.e.s);  /* K4, before X2 */
	const uint64_t failures = storage_failures(il.e.s);
	uint64_t want = 0;
	struct item *it;

	if (failures != failures_rx) {
		failures_rx = failures;
		for (unsigned i = 0; i < IL_PARTS; i++)
			if (storage_state(il.e.part[i]) == PART_FAILED)
				end_session(i);
	}
	judge_marks(&mark_rx, done);
	for (uint64_t n = 1 + il_dice(6); n > 0 && (it = queue_take(&to_rx)) != NULL; n--) {
		if (session_ended(it) || !waits_for_disk(it)) {
			finish(it);
			continue;
		}
		if (it->commit <= done) {
			ack_disk(it);
			continue;
		}
		queue_put(&mark_rx, it, MARKED);
		want = MAX(want, it->commit);
	}
	if (want > 0)
		storage_want_disk(il.e.s, 0, want);
	if (il.plan.what == DISK_FULL && !il.plan.quiet && il_dice(12) == 0)
		end_session((unsigned)il_dice(IL_PARTS));
	wake_flush(want > 0);
}

/* ---- Control, as produce_wait.c, k01_fetch.c, roll.c -------------------------------------- */

static void
look_at_ends(unsigned i)
{
	struct partition_ends *was = &lane[i].ends, now;

	storage_ends(il.e.part[i], &now);
	if (!(now.start <= now.durable && now.durable <= now.visible && now.visible <= now.end))
		violation("t%u: start %" PRId64 ", durable %" PRId64 ", visible %" PRId64 ", end %"
			PRId64, i, now.start, now.durable, now.visible, now.end);
	if (now.start < was->start || now.durable < was->durable ||
		(now.end < was->end && storage_state(il.e.part[i]) == PART_OK))
		violation("t%u: an offset went back", i);
	*was = now;
}

static void
read_some(unsigned i)
{
	static uint8_t bytes[READ_BYTES];
	struct partition_ends ends;
	struct storage_range r;
	int64_t at;
	int16_t error;

	storage_ends(il.e.part[i], &ends);
	if (ends.visible == ends.start)
		return;
	at = ends.start + (int64_t)il_dice((uint64_t)(ends.visible - ends.start));
	error = storage_read(il.e.part[i], at, READ_BYTES, true, &r);
	if (error == KIRA_E_OFFSET_OUT_OF_RANGE && at < atomic_load(&il.e.part[i]->start))
		return; /* expired since */
	/* Failed since: empty, where the two looks had it between them. */
	if ((error == KIRA_E_KAFKA_STORAGE_ERROR || r.length == 0) && storage_state(il.e.part[i]) == PART_FAILED)
		return;
	if (error || r.length == 0)
		violation("t%u: nothing to read at %" PRId64 ", error %d", i, at, error);
	if (sim_io.pread(r.fd, bytes, r.length, r.position) != r.length)
		violation("t%u: a range that is not there", i);
	at = r.first_offset;
	for (uint32_t k = 0; k < r.length; k += (uint32_t)rb_total(bytes + k)) {
		if (batch_check(bytes + k, r.length - k, 0) != 0 || !batch_crc_right(bytes + k) ||
			rb_base_offset(bytes + k) != at)
			violation("t%u: no batch at %" PRId64, i, at);
		at += rb_count(bytes + k);
	}
	storage_unpin(r.pinned);
	il.event[READS]++;
}

void
turn_control(void)
{
	const unsigned i = (unsigned)il_dice(IL_PARTS);
	struct item *it;

	while ((it = queue_take(&to_control)) != NULL) {
		if (!waits_for_disk(it)) {
			finish(it);
			continue;
		}
		queue_put(&mark_control, it, MARKED);
		storage_want_disk(il.e.s, GIVER_TCP, it->commit);
		wake_flush(true);
	}
	judge_marks(&mark_control, storage_commit_done(il.e.s));
	look_at_ends(i);
	if (il_dice(2))
		read_some(i);
	storage_take_segments(il.e.s);
	if (!il.plan.quiet && il_dice(8) == 0)
		lane[i].rolls = true;
}

/* ---- The whole ---------------------------------------------------------------------------- */

static bool
sync_fails(void)
{
	if (il.plan.what != SYNC_FAILS || il.plan.quiet || il_dice(6))
		return false;
	il.event[SYNCS_FAILED]++;
	il.event[DONE_IN_RING] += to_rx.first != NULL;
	return true;
}

static int
before(enum io_kind call, int fd, const char *name)
{
	if (call != IO_FALLOCATE || !il.plan.full)
		return 0;
	il.event[FULL]++;
	return -ENOSPC;
}

void
queue_clear(struct queue *q)
{
	*q = (struct queue){.last = &q->first};
}

void
il_begin(void)
{
	struct sim_disk *disk = sim_disk_new();

	fake_io_reset();
	fake.under = &sim_io;
	fake.hook = before;
	sim.sync_fails = sync_fails;
	sim_jobs_apart = false;
	engine_world = (struct engine_world){.now_ns = clock_now_ns() + 3600 * NS_PER_S,
		.wall_ms = INT64_C(1700000000000), .io = &fake_io};
	for (unsigned i = 0; i < IL_PARTS; i++)
		engine_world.config[i] = (struct partition_config){
			.segment_bytes = (int64_t)(4096u << il_dice(3)),
			.segment_ms = INT64_MAX,
			.retention_bytes = il_dice(2) ? 4000 : -1,
			.retention_ms = -1,
			.max_message_bytes = BATCH_BYTES_MAX,
			.timestamp_before_max_ms = INT64_MAX,
			.timestamp_after_max_ms = INT64_MAX,
			.flush_messages = il_dice(2) ? 5 : INT64_MAX,
			.visible_at_disk = il_dice(3) == 0,
		};
	memset(item, 0, sizeof(item));
	memset(lane, 0, sizeof(lane));
	made = ended = failures_rx = 0;
	lcore_begin();
	queue_clear(&to_rx);
	queue_clear(&to_control);
	queue_clear(&mark_rx);
	queue_clear(&mark_control);
	flush_lies = AWAKE;
	il.round = 0;
	if (engine_open(&il.e, disk) < 0)
		violation("%s", il.e.err.text);
	sim.disk = disk;
	for (unsigned i = 0; i < IL_PARTS; i++) {
		queue_clear(&lane[i].wait);
		if (engine_create(&il.e, i) < 0)
			violation("%s", il.e.err.text);
		lane[i].active = il.e.part[i]->active;
	}
	sim.disk = disk;
	sim_jobs_apart = true;
	if (il.plan.what == ASLEEP) {
		flush_until_asleep();
		storage_wake_flush(il.e.s); /* for nothing: it lies down again while others begin */
	}
}

unsigned
il_left(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < IL_ITEMS; i++) {
		const struct item *it = &item[i];
		const bool head = it->at == MARKED || it == lane[it->part].wait.first;

		if (it->at == IDLE)
			continue;
		n++;
		if (head && il.round - it->since > LIMIT)
			violation("t%u: a batch %s for more than %d turns after it could go on, the flush "
				"daemon %s", it->part, it->at == MARKED ? "waits for its commit" :
				"waits for room", LIMIT, flush_lies == SLEEPS ? "asleep" : "awake");
	}
	return n;
}

void
il_judge_end(void)
{
	struct partition_ends ends;

	if (made != ended)
		violation("%" PRIu64 " batches came, %" PRIu64 " were given back", made, ended);
	flush_until_asleep();
	for (unsigned i = 0; i < IL_PARTS; i++) {
		storage_ends(il.e.part[i], &ends);
		if (storage_state(il.e.part[i]) == PART_OK && ends.durable != ends.end)
			violation("t%u: all sleep, and %" PRId64 " of %" PRId64 " are durable", i,
				ends.durable, ends.end);
		if (storage_state(il.e.part[i]) == PART_FAILED && il.plan.what != SYNC_FAILS)
			violation("t%u failed", i);
	}
	il.event[SEALS] += il.e.s->count->segments_sealed;
	il.event[EXPIRED] += il.e.s->count->segments_deleted;
}
