/* SPDX-License-Identifier: MIT
 * repair_sim.c - kira repair, cut at every system call. A log is damaged below what was durable; a repair of it is
 * run to its end, and again with a power cut before each call. What a cut leaves is repaired once more: the same log
 * must come of it, which holds all that was not damaged. Started by the engine instead, it halts or is one of the
 * two: never is anything lost that nobody decided about.
 *
 *	repair_sim [--seed N] [--seeds N] */
#include "tests/sim/sim_model.h"

#include "storage/batch.h"
#include "storage/layout.h"
#include "storage/repair.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define SEEDS 2
#else
#define SEEDS 16
#endif
#define SEEDS_JUDGED 8 /* so many bring every kind of event */
#define ROOM  65536
#define TRIES 3 /* states at a call: which of several names a cut leaves is rolled */

enum event {
	FLIPPED, FILE_GONE, CUT_SHORT, UNSEALED, SKIPPED, TRUNCATED, CRASHED, REPAIRED_AGAIN, HALTED_BETWEEN,
	DONE_BETWEEN, NOT_BEGUN, EVENTS,
};
static const char *const event_name[EVENTS] = {"bits flipped", "files gone", "files cut short",
	"logs with an unsealed tail", "repairs by --skip", "repairs by --truncate", "crashes in a repair",
	"repaired again after one", "halted by a start after one", "started after one: repaired",
	"started after one: as damaged"};

static uint64_t event[EVENTS], seed;
static struct sim_random dice;
static const char *program;

/* What a log is: which items can be read, whole; its end. */
struct shape {
	uint8_t *whole; /* [model[0].n] */
	unsigned n;
	int64_t end;
	bool halted;
};

static struct {
	enum repair_mode mode;
	struct shape want, damaged;
} now;

static _Noreturn void
violation(const char *what, const char *more)
{
	printf("FAILED  seed %" PRIu64 ": %s %s\nrepeat: %s --seed %" PRIu64 " --seeds 1\n", seed, what, more,
		program, seed);
	exit(1);
}

static uint64_t
roll(uint64_t below)
{
	return sim_random(&dice, below);
}

/* ---- Looking at a log --------------------------------------------------------------------- */

static bool
can_be_read(struct engine *e, const struct item *it)
{
	static uint8_t b[ROOM];
	struct storage_range r;

	if (storage_read(e->part[0], it->offset, 1, true, &r) != 0 || r.length == 0)
		return false;
	ASSERT(r.length <= sizeof(b) && sim_io.pread(r.fd, b, r.length, r.position) == r.length);
	storage_unpin(r.pinned);
	if (rb_base_offset(b) > it->offset && holes_after(e->part[0]->holes, it->offset) == it->offset)
		violation("a read goes on behind a hole that nobody recorded", "");
	return r.length == it->total && rb_base_offset(b) == it->offset && rb_leader_epoch(b) == it->leader_epoch &&
		batch_crc_right(b) && rb_crc(b) == it->crc;
}

static struct shape
shape_of(struct sim_disk *disk, bool appends)
{
	struct sim_disk *const outer = sim.disk;
	struct shape s = {.whole = calloc(model[0].n, 1)};
	struct partition_ends ends;
	struct engine e;

	ASSERT(s.whole);
	if (engine_open(&e, disk) < 0)
		violation("does not start:", e.err.text);
	engine_turns(&e, 30); /* sealed segments are looked at behind the start */
	sim.disk = disk;
	storage_ends(e.part[0], &ends);
	s.end = ends.end;
	s.halted = storage_state(e.part[0]) == PART_HALTED;
	for (unsigned i = 0; i < model[0].n; i++) {
		s.whole[i] = model[0].item[i].offset >= ends.start && model[0].item[i].offset < ends.end &&
			can_be_read(&e, &model[0].item[i]);
		s.n += s.whole[i];
	}
	/* Offsets that a truncation gives out again go with another epoch. */
	if (appends && !s.halted && storage_leader_epoch(e.part[0]) <= model[0].epoch)
		violation("the epoch did not rise", "");
	sim.disk = outer;
	engine_kill(&e);
	return s;
}

static bool
same(const struct shape *a, const struct shape *b)
{
	return a->n == b->n && a->end == b->end && memcmp(a->whole, b->whole, model[0].n) == 0;
}

/* ---- Repairs ------------------------------------------------------------------------------ */

static bool aloud;

static void
line(void *arg, enum repair_line kind, const char *path, const char *text)
{
	if (aloud)
		printf("%s: %s\n", path, text);
}

static uint64_t
repair(struct sim_disk *disk)
{
	struct sim_disk *const outer = sim.disk;
	struct repair r = {.io = &sim_io, .mode = now.mode, .say = line};
	struct err err = {""};

	sim.disk = disk;
	if (repair_directory(&r, "/sim", &err) < 0)
		violation("a repair fails:", err.text);
	sim.disk = outer;
	return r.offsets_lost;
}

/* One state of the disk that a cut before this call may leave. */
static void
try_cut(void)
{
	struct sim_disk *left = sim_disk_crash(sim.disk, &dice), *started = sim_disk_crash(left, NULL);
	struct shape s;

	event[CRASHED]++;
	s = shape_of(started, false);
	if (s.halted)
		event[HALTED_BETWEEN]++;
	else if (same(&s, &now.want))
		event[DONE_BETWEEN]++;
	else if (same(&s, &now.damaged))
		event[NOT_BEGUN]++;
	else
	{
		char more[200];

		(void)snprintf(more, sizeof(more), "(%s: %u batches to %" PRId64 ", repaired %u to %" PRId64 ", damaged %u to %"
			PRId64 ", %s)", now.mode == REPAIR_SKIP ? "--skip" : "--truncate", s.n, s.end, now.want.n, now.want.end,
			now.damaged.n, now.damaged.end, now.damaged.halted ? "halted" : "not halted");
		violation("a start after a cut finds another log, and does not halt", more);
	}
	free(s.whole);
	if (s.halted) { /* a start in between changes nothing that a repair needs */
		sim_disk_free(left);
		left = sim_disk_crash(started, NULL);
	}
	(void)repair(left);
	s = shape_of(left, false);
	if (s.halted || !same(&s, &now.want))
		violation("repaired after a cut it is another log than repaired in one", "");
	event[REPAIRED_AGAIN]++;
	free(s.whole);
	sim_disk_free(started);
	sim_disk_free(left);
}

static void
cut(void)
{
	void (*const before)(void) = sim.before;

	sim.before = NULL;
	for (unsigned i = 0; i < TRIES; i++)
		try_cut();
	sim.before = before;
}

static void
by(enum repair_mode mode, struct sim_disk *damaged)
{
	struct sim_disk *disk = sim_disk_crash(damaged, NULL);
	struct shape all = now.damaged;
	uint64_t lost;

	now.mode = mode;
	lost = repair(disk);
	now.want = shape_of(disk, true);
	sim_disk_free(disk);
	if (now.want.halted)
		violation("halted after a repair", "");
	if (lost == 0)
		violation("there was damage, and a repair lost nothing", "");
	/* All of what can be read stays: with --truncate, of what lies before the end. */
	for (unsigned i = 0; i < model[0].n; i++)
		if (all.whole[i] && !now.want.whole[i] &&
			(mode == REPAIR_SKIP || model[0].item[i].offset < now.want.end))
			violation("a whole batch is gone that need not be", "");
	if (mode == REPAIR_TRUNCATE && now.want.n > 0 && !now.want.whole[now.want.n - 1])
		violation("a hole after --truncate", "");
	event[mode == REPAIR_SKIP ? SKIPPED : TRUNCATED]++;
	disk = sim_disk_crash(damaged, NULL);
	sim.before = cut;
	(void)repair(disk);
	sim.before = NULL;
	sim_disk_free(disk);
	free(now.want.whole);
}

/* ---- Damage ------------------------------------------------------------------------------- */

/* The .log file that holds an item, and where. */
static uint64_t
place_of(struct sim_disk *disk, const struct item *it, char name[LAYOUT_NAME])
{
	int64_t base = -1;
	uint64_t at = 0;
	const char *n;

	for (unsigned i = 0; (n = sim_disk_name(disk, "t0-0", i)) != NULL; i++)
		if (layout_offset(n, ".log") >= 0 && layout_offset(n, ".log") <= it->offset)
			base = MAX(base, layout_offset(n, ".log"));
	ASSERT(base >= 0);
	layout_name(name, base, ".log");
	for (const struct item *k = model[0].item; k < it; k++)
		at += k->offset >= base ? k->total : 0;
	return at;
}

/* Cut to `size` (0: unlinked with its index files), or byte `at` becomes another. */
static void
change(struct sim_disk *disk, const char *name, uint64_t size, uint64_t at, uint8_t byte)
{
	struct sim_disk *const outer = sim.disk;
	int root, dir, fd;

	sim.disk = disk;
	root = sim_io.openat(AT_FDCWD, "/sim", O_RDONLY | O_DIRECTORY, 0);
	dir = sim_io.openat(root, "t0-0", O_RDONLY | O_DIRECTORY, 0);
	if (size == 0) {
		ASSERT(layout_unlink_segment(&sim_io, dir, layout_offset(name, ".log"), false) == 0);
	} else {
		fd = sim_io.openat(dir, name, O_RDWR, 0);
		ASSERT(size == UINT64_MAX ? sim_io.pwrite(fd, &byte, 1, at) == 1 : sim_io.ftruncate(fd, size) == 0);
		ASSERT(sim_io.fsync(fd) == 0);
		(void)sim_io.close(fd);
	}
	ASSERT(sim_io.fsync(dir) == 0);
	(void)sim_io.close(dir);
	(void)sim_io.close(root);
	sim.disk = outer;
}

static void
damage(struct sim_disk *disk)
{
	const struct log *l = &model[0];
	const uint64_t how = roll(4);

	for (uint64_t k = how < 2 ? 1 + roll(3) : 1; k > 0; k--) {
		const struct item *it = &l->item[roll(l->n)];
		char name[LAYOUT_NAME];
		const uint64_t at = place_of(disk, it, name);
		uint64_t size;
		uint8_t *b = sim_disk_bytes(disk, "t0-0", name, &size);

		ASSERT(b && at + it->total <= size);
		if (aloud)
			printf("damage %d of batch %" PRId64 " in %s at %" PRIu64 " of %" PRIu64 "\n", (int)how, it->offset, name, at,
				size);
		if (how < 2) {
			const uint64_t where = at + roll(it->total);

			change(disk, name, UINT64_MAX, where, (uint8_t)(b[where] ^ 1u << roll(8)));
			event[FLIPPED]++;
		} else if (how == 2) {
			change(disk, name, 0, 0, 0);
			event[FILE_GONE]++;
		} else {
			change(disk, name, at + 1 + roll(it->total - 1), 0, 0);
			event[CUT_SHORT]++;
		}
	}
}

/* ---- A log -------------------------------------------------------------------------------- */

static struct sim_disk *
make_log(void)
{
	struct sim_disk *disk = sim_disk_new(), *left;
	struct engine e;

	ASSERT(engine_open(&e, disk) == 0 && engine_create(&e, 0) == 0);
	model[0].created = model[0].asked = true;
	for (unsigned i = 0; i < 100; i++) {
		while (model_append(&e, 0, (unsigned)roll(SIM_PRODUCERS), (uint32_t)roll(900), 1 + (int32_t)roll(3), false,
			&dice) == APPEND_WAIT)
			engine_turns(&e, 1);
		model_publish(&e, 0);
		engine_turns(&e, (unsigned)roll(3));
	}
	/* All of it durable, and kira.state says so. */
	engine_turns(&e, 300);
	engine_world.now_ns += 6 * NS_PER_S;
	engine_world.wall_ms += 6000;
	engine_turns(&e, 300);
	if (roll(2)) {
		ASSERT(engine_stop(&e) == 0);
	} else {
		engine_kill(&e);
		event[UNSEALED]++;
	}
	left = sim_disk_crash(disk, NULL);
	sim_disk_free(disk);
	return left;
}

static void
run_seed(void)
{
	struct sim_disk *disk, *look;

	dice.state = seed * 0x9e3779b97f4a7c15u;
	sim_jobs_seed(seed);
	model_reset();
	engine_world.now_ns = clock_now_ns() + 3600 * NS_PER_S;
	engine_world.wall_ms = INT64_C(1700000000000);
	engine_world.config[0] = (struct partition_config){.segment_bytes = 8192 << roll(2), .segment_ms = INT64_MAX,
		.retention_bytes = -1, .retention_ms = -1, .max_message_bytes = BATCH_BYTES_MAX,
		.timestamp_before_max_ms = INT64_MAX, .timestamp_after_max_ms = INT64_MAX,
		.flush_messages = INT64_MAX};
	disk = make_log();
	damage(disk);
	look = sim_disk_crash(disk, NULL);
	now.damaged = shape_of(look, false);
	sim_disk_free(look);
	by(REPAIR_SKIP, disk);
	by(REPAIR_TRUNCATE, disk);
	free(now.damaged.whole);
	sim_disk_free(disk);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", 1, NULL, 's'}, {"seeds", 1, NULL, 'n'}, {NULL, 0, NULL, 0}};
	uint64_t first = 1, seeds = SEEDS;
	unsigned never;
	int got;

	program = argv[0];
	while ((got = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (got == '?')
			return 2;
		*(got == 's' ? &first : &seeds) = strtoull(optarg, NULL, 10);
	}
	for (seed = first; seed < first + seeds; seed++)
		run_seed();
	never = sim_tell(event_name, event, EVENTS);
	if (never > 0 && seeds >= SEEDS_JUDGED)
		printf("FAILED  %u kinds of event never came\n", never);
	printf("result: %" PRIu64 " crashes in %" PRIu64 " repairs, all of which came to the same end\n", event[CRASHED],
		event[SKIPPED] + event[TRUNCATED]);
	return never > 0 && seeds >= SEEDS_JUDGED;
}
