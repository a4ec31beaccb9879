/* SPDX-License-Identifier: MIT
 * world.c - see the header. Includes storage.c, for what it does not show: a kill frees memory
 * without stopping anything. */
#include "storage/producer_state.h"

/* Every open of every test fills the table: a small one. */
#undef PRODUCERS_PER_LCORE
#define PRODUCERS_PER_LCORE 1024

#include "storage/storage.c"

#include "storage/batch.h"
#include "tests/unit/storage/world.h"
#include "base/uuid.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#define TURNS_MAX 20000

struct world w;

/* ---- Life --------------------------------------------------------------------------------- */

static int
remove_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void
world_remove(const char *dir)
{
	(void)nftw(dir, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}

int
world_open(void)
{
	const struct storage_topic *topic;
	unsigned n;
	int rc = storage_open(&w.s, &w.o, w.wall_ms, &w.err);

	w.parts = 0;
	if (rc < 0) {
		w.s = NULL;
		return rc;
	}
	n = storage_topics(w.s, &topic);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		rc = storage_attach(w.s, &topic[i], &w.config, w.part + w.parts, &w.err);
		if (rc == 0)
			w.parts += (unsigned)topic[i].partitions;
	}
	if (rc == 0)
		rc = storage_recover(w.s, w.wall_ms, NULL, NULL, &w.err);
	if (rc < 0)
		world_kill();
	return rc;
}

void
world_kill(void)
{
	struct storage *s = w.s;
	const uint64_t dies_at = fake.dies_at;

	/* Nothing reaches the files any more; what had run is reaped for its memory. */
	fake.dies_at = 1;
	for (unsigned i = 0; i < s->o.partitions_max; i++)
		if (s->flush.live[i] && s->flush.live[i]->f.active)
			(void)flush_take_full(s, s->flush.live[i]); /* a roll that only it knows */
	while (!jobs_idle(s->flush.jobs))
		(void)jobs_reap(s->flush.jobs);
	while (!jobs_idle(s->flush.rewriting.jobs))
		(void)jobs_reap(s->flush.rewriting.jobs);
	fake.dies_at = dies_at;
	storage_take_segments(s);
	for (unsigned i = 0; i < s->o.partitions_max; i++)
		if (s->flush.live[i])
			partition_free(s->flush.live[i]);
	free(s->flush.state_text);
	directory_close(s);
	storage_free(s);
	w.s = NULL;
}

int
world_stop(void)
{
	const int rc = storage_close(w.s, w.wall_ms, &w.err);

	w.s = NULL;
	return rc;
}

static void
remove_dirs(void)
{
	char copy[80];

	if (!w.dir[0])
		return;
	world_remove(w.dir);
	(void)snprintf(copy, sizeof(copy), "%s.copy", w.dir);
	world_remove(copy);
	w.dir[0] = 0;
}

/* Syncs are faked, so memory serves as well as a disk, and does not wait for what others write. */
static const char *
base_dir(void)
{
	const char *dir = getenv("TMPDIR");

	if (dir && strlen(dir) <= 40)
		return dir;
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/var/tmp";
}

void
world_begin(unsigned partitions)
{
	static bool registered;

	if (!registered)
		registered = atexit(remove_dirs) == 0;
	fake_io_reset();
	remove_dirs(); /* of a test that gave up half-way */
	memset(&w, 0, offsetof(struct world, was));
	memset(w.was_n, 0, sizeof(w.was_n));
	(void)snprintf(w.dir, sizeof(w.dir), "%.40s/kira-storage-XXXXXX", base_dir());
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(w.dir));
	w.o = (struct storage_options){.dir = w.dir,
		.io = &fake_io,
		.volatile_ok = true,
		.store_lcores = 2,
		.partitions_max = 8,
		.flush_ms = 100,
		.reserve_bytes = 4 * KIB,
		.disk_cap = 0.8,
		.count = &w.count};
	w.config = (struct partition_config){.segment_bytes = WORLD_SEGMENT,
		.segment_ms = INT64_MAX,
		.retention_bytes = -1,
		.retention_ms = -1,
		.max_message_bytes = BATCH_BYTES_MAX,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = INT64_MAX,
		.flush_messages = INT64_MAX};
	/* Ahead of the real clock, by which recovery dates what it finds. */
	w.now_ns = clock_now_ns() + 3600 * NS_PER_S;
	w.wall_ms = BATCH_WALL_MS;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL_FATAL(world_create("t", partitions), 0);
}

void
world_end(void)
{
	fake.hook = NULL;
	fake.dies_at = fake.fails_at = 0;
	if (w.s)
		(void)world_stop();
	remove_dirs();
}

/* ---- Operations --------------------------------------------------------------------------- */

static int
run(struct storage_op *op)
{
	struct storage_op *done;

	storage_submit(w.s, op);
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		world_turns(1);
		done = storage_reap(w.s);
		if (done == op) {
			w.err = op->err;
			return op->rc;
		}
		w.other = done ? done : w.other;
	}
	CU_FAIL_FATAL("the operation never ended");
	return -ETIMEDOUT;
}

int
world_create(const char *name, unsigned partitions)
{
	char text[400], id[23];
	struct storage_op op = {
		.kind = OP_CREATE_TOPIC, .config = w.config, .part = w.part, .catalogue = text};
	int rc;

	(void)snprintf(op.topic.name, sizeof(op.topic.name), "%s", name);
	op.topic.partitions = (int32_t)partitions;
	for (unsigned i = 0; i < 16; i++)
		op.topic.id[i] = (uint8_t)(i * 16 + strlen(name) + w.now_ns / NS_PER_MS);
	uuid_put(id, op.topic.id);
	(void)snprintf(text, sizeof(text), "version 1\nt %s %s %u\n", name, id, partitions);
	memset(w.part, 0xa5, sizeof(w.part)); /* storage must not look at what it did not set */
	rc = run(&op);
	w.parts = rc < 0 ? 0 : partitions;
	return rc;
}

int
world_grow(unsigned partitions)
{
	char text[400], id[23];
	struct storage_op op = {.kind = OP_CREATE_TOPIC, .config = w.config, .first = (int32_t)w.parts,
		.part = w.part + w.parts, .catalogue = text};
	int rc;

	(void)snprintf(op.topic.name, sizeof(op.topic.name), "%s", w.part[0]->topic);
	memcpy(op.topic.id, w.part[0]->topic_id, sizeof(op.topic.id));
	op.topic.partitions = (int32_t)partitions;
	uuid_put(id, op.topic.id);
	(void)snprintf(text, sizeof(text), "version 1\nt %s %s %u\n", op.topic.name, id, partitions);
	rc = run(&op);
	w.parts = rc < 0 ? w.parts : partitions;
	return rc;
}

int
world_delete(void)
{
	static char nothing[] = "version 2\n";
	struct storage_op op = {.kind = OP_DELETE_TOPIC, .part = w.part, .catalogue = nothing};
	int rc;

	(void)snprintf(op.topic.name, sizeof(op.topic.name), "%s", w.part[0]->topic);
	memcpy(op.topic.id, w.part[0]->topic_id, sizeof(op.topic.id));
	op.topic.partitions = (int32_t)w.parts;
	for (unsigned i = 0; i < w.parts; i++)
		storage_detach_lcore(w.part[i]);
	rc = run(&op);
	if (!op.undone) {
		w.parts = 0;
		memset(w.was_n, 0, sizeof(w.was_n));
	}
	return rc;
}

/* ---- Time --------------------------------------------------------------------------------- */

void
world_turns(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		w.now_ns += NS_PER_MS;
		w.wall_ms++;
		(void)flush_turn(w.s, w.now_ns, w.wall_ms);
		storage_take_segments(w.s);
	}
}

void
world_sync(void)
{
	const uint64_t n = storage_publish(w.part[0]);

	storage_want_disk(w.s, 0, n);
	for (unsigned i = 0; i < TURNS_MAX && storage_commit_done(w.s) < n; i++)
		world_turns(1);
	CU_ASSERT_TRUE(storage_commit_done(w.s) >= n);
}

void
world_look(void)
{
	for (unsigned i = 0; i < TURNS_MAX && w.s->flush.look_slot < w.s->o.partitions_max; i++)
		world_turns(1);
	CU_ASSERT_EQUAL(w.s->flush.look_slot, w.s->o.partitions_max);
}

void
world_settle(void)
{
	world_sync();
	world_turns(2100);
}

/* ---- Append ------------------------------------------------------------------------------- */

/* A partition's first batch waits for its first segment; here until that has its name. */
static enum append_verdict
append_first(struct partition *part, unsigned flags)
{
	enum append_verdict v = storage_append(part, w.batch, w.length, flags, w.now_ns, w.wall_ms, &w.result);

	if (v != APPEND_WAIT || !part->active->blank)
		return v;
	for (unsigned i = 0; !storage_has_room(part) && i < 8; i++)
		world_turns(1);
	v = storage_append(part, w.batch, w.length, flags, w.now_ns, w.wall_ms, &w.result);
	world_turns(2);
	return v;
}

void
world_first(unsigned p)
{
	static uint8_t batch[4096];
	const uint32_t length = make_batch(batch, (struct batch_of){.timestamp = w.wall_ms});
	struct append_result result;

	CU_ASSERT_EQUAL_FATAL(storage_append(w.part[p], batch, length, 0, w.now_ns, w.wall_ms, &result), APPEND_WAIT);
	for (unsigned i = 0; !storage_has_room(w.part[p]) && i < 8; i++)
		world_turns(1);
}

enum append_verdict
world_append_as(unsigned p, struct batch_of o, unsigned flags)
{
	enum append_verdict v;
	struct appended *a = &w.was[p][w.was_n[p]];

	if (o.timestamp == 0)
		o.timestamp = w.wall_ms;
	o.seed = ++w.seed;
	w.length = make_batch(w.batch, o);
	v = append_first(w.part[p], flags);
	if (v != APPEND_STORED)
		return v;
	CU_ASSERT_TRUE_FATAL(w.was_n[p] < WORLD_APPENDED);
	*a = (struct appended){w.result.base_offset, rb_crc(w.batch), w.length, rb_count(w.batch),
		w.result.leader_epoch};
	w.was_n[p]++;
	return v;
}

uint64_t
world_append(unsigned p, struct batch_of o)
{
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		const enum append_verdict v = world_append_as(p, o, 0);

		if (v == APPEND_STORED)
			return storage_publish(w.part[p]);
		CU_ASSERT_EQUAL_FATAL(v, APPEND_WAIT);
		do
			world_turns(1);
		while (!storage_has_room(w.part[p]) && ++i < TURNS_MAX);
	}
	CU_FAIL_FATAL("a batch waited for room for ever");
	return 0;
}

void
world_fill(unsigned p, uint64_t bytes)
{
	uint64_t done = 0;

	for (unsigned i = 0; done < bytes; i++) {
		(void)world_append(p,
			(struct batch_of){.count = 2, .value = 400 + i * 37 % 200, .step_ms = 1});
		done += w.length;
	}
}

void
world_forget(unsigned p, int64_t offset)
{
	while (w.was_n[p] > 0 && w.was[p][w.was_n[p] - 1].offset >= offset)
		w.was_n[p]--;
}

/* ---- Read back ---------------------------------------------------------------------------- */

/* The remembered batch at `offset`; NULL: none begins there. */
static const struct appended *
appended_at(unsigned p, int64_t offset)
{
	unsigned lo = 0, hi = w.was_n[p];

	while (lo < hi) {
		const unsigned mid = lo + (hi - lo) / 2;

		if (w.was[p][mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w.was_n[p] && w.was[p][lo].offset == offset ? &w.was[p][lo] : NULL;
}

static bool
batch_is(unsigned p, const uint8_t *b, uint32_t left, int64_t at)
{
	const struct appended *a = appended_at(p, at);

	return a && batch_check(b, left, 0) == 0 && rb_total(b) == a->total && batch_crc_right(b) &&
	       rb_crc(b) == a->crc && rb_base_offset(b) == at && rb_leader_epoch(b) == a->epoch &&
	       rb_count(b) == a->count;
}

int64_t
world_read(unsigned p)
{
	static uint8_t bytes[WORLD_BATCH];
	struct partition_ends ends;
	struct storage_range r;
	int64_t at, next;

	storage_ends(w.part[p], &ends);
	for (at = ends.start; (next = holes_after(w.part[p]->holes, at)) < ends.visible;) {
		const int16_t error = storage_read(w.part[p], at, 100000, true, &r);

		CU_ASSERT_EQUAL(error, 0);
		if (error != 0 || r.length == 0 || r.first_offset != next ||
			pread(r.fd, bytes, r.length, (off_t)r.position) != r.length) {
			CU_FAIL("nothing to read below the visible end");
			return -1;
		}
		at = next;
		for (uint32_t i = 0; i < r.length;) {
			if (!batch_is(p, bytes + i, r.length - i, at)) {
				CU_FAIL("a batch that nobody appended there");
				storage_unpin(r.pinned);
				return -1;
			}
			at += rb_count(bytes + i);
			i += (uint32_t)rb_total(bytes + i);
		}
		storage_unpin(r.pinned);
	}
	return next;
}
