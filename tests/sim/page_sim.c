/* SPDX-License-Identifier: MIT
 * page_sim.c - power cuts of the storage engine, on a disk that may lose or tear whatever was not
 * synced (sim_disk.h). A seeded workload runs; at random system calls of it, and of the recoveries
 * too, crashes are tried: what each leaves is recovered by the real code and judged (sim_model.h).
 *
 *	page_sim [--seed N] [--states N | --minutes N]
 *
 * Seeds from N on are run until so many crash states were checked. Every kind of fault must have
 * fired. A violation ends the run with exit 1 and names the command that repeats it. */
#include "tests/sim/sim_model.h"

#include "base/assert.h"
#include "base/clock.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define STATES 4000
#else
#define STATES 12000
#endif
#define DEPTH_MAX 2 /* a crash, one while that is recovered, one more */

enum event {
	CRASH_AT_CALL,
	CRASH_IN_RECOVERY,
	CRASH_AFTER_RECOVERY,
	CRASH_IN_STOP,
	KILLED,
	RECOVERED_AGAIN,
	STOPPED_CLEAN,
	STORED_AGAIN, /* a retry that would have been, were it not recognised */
	ROLLED,
	RETAINED,
	EPOCH_RAISED, /* a producer's */
	CLOCK_BACK,
	DELETED,
	EVENTS,
};
static const char *const event_name[EVENTS] = {"crashes at a call", "crashes in recovery",
	"crashes after recovery", "crashes in a stop", "kills", "recovered again", "clean stops",
	"duplicates known", "rolls", "segments retained away", "producer epochs", "clocks back", "topics deleted"};

static struct run {
	uint64_t seed, states, batches, event[EVENTS];
	const char *program;
	struct sim_random random;
	struct engine live;
	bool running;  /* the live engine's published words may be read */
	bool stopping;
	bool failed;   /* a sync of the live engine did */
	/* The recovery that is being checked. */
	unsigned depth;
	uint64_t cut_in; /* calls until the crash inside it; 0: none */
	const struct bounds *bounds;
} run;

static void check(struct sim_disk *disk, const struct bounds *b);

static _Noreturn void
violation(const char *what)
{
	printf("FAILED  seed %" PRIu64 ": %s\nrepeat: %s --seed %" PRIu64 " --states 1\n", run.seed,
		what, run.program, run.seed);
	exit(1);
}

static uint64_t
roll_dice(uint64_t below)
{
	return sim_random(&run.random, below);
}

/* ---- Crashes ------------------------------------------------------------------------------ */

/* One state that a cut of `disk` now may leave. */
static void
try_cut(struct sim_disk *disk, const struct bounds *b)
{
	struct sim_disk *cut = sim_disk_crash(disk, &run.random);

	check(cut, b);
	sim_disk_free(cut);
}

/* Before a call of the recovery that is checked. */
static void
cut_recovery(void)
{
	if (run.cut_in == 0 || --run.cut_in > 0)
		return;
	run.event[CRASH_IN_RECOVERY]++;
	try_cut(sim.disk, run.bounds);
}

/* Never while it stops, which would have to say so. */
static bool
sync_fails(void)
{
	const bool fails = run.depth == 0 && run.running && !run.stopping && roll_dice(30) == 0;

	run.failed |= fails;
	return fails;
}

/* Before a call of the live engine. */
static void
cut_live(void)
{
	struct bounds b;

	if (roll_dice(6) > 0)
		return;
	model_bounds(&run.live, run.running, &b);
	for (uint64_t n = 1 + roll_dice(2); n > 0; n--) {
		run.event[run.stopping ? CRASH_IN_STOP : CRASH_AT_CALL]++;
		try_cut(sim.disk, &b);
	}
}

static void
open_or_fail(struct engine *e, struct sim_disk *disk)
{
	if (engine_open(e, disk) < 0)
		violation(e->err.text);
}

/* Killed, or stopped, and opened again: the same log, and in the second case the same epoch. */
static void
open_again(struct engine *e, struct bounds *b)
{
	struct sim_disk *const disk = e->disk;

	if (roll_dice(2)) {
		engine_kill(e);
		run.event[RECOVERED_AGAIN]++;
	} else {
		if (engine_stop(e) < 0)
			violation(e->err.text);
		run.event[STOPPED_CLEAN]++;
		for (unsigned i = 0; i < SIM_TOPICS; i++)
			b->log[i].start_max = b->log[i].end_max; /* retention went on in the stop */
	}
	open_or_fail(e, disk);
}

/* After a recovery nothing of the log may go any more. */
static void
pin_bounds(const struct engine *e, struct bounds *b)
{
	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		struct partition_ends ends;

		b->log[i].may = b->log[i].must = e->part[i] != NULL;
		if (!e->part[i])
			continue;
		storage_ends(e->part[i], &ends);
		b->log[i].end_min = b->log[i].end_max = ends.end;
		b->log[i].start_min = b->log[i].start_max = ends.start;
	}
}

static void
judge(struct engine *e, const struct bounds *b)
{
	const char *what = model_judge(e, b, &run.batches);

	if (what)
		violation(what);
}

static void
check_recovered(struct engine *e, const struct bounds *b)
{
	struct bounds now = *b;
	const char *what;

	judge(e, b);
	pin_bounds(e, &now);
	if (run.depth <= DEPTH_MAX && roll_dice(4) == 0) {
		run.event[CRASH_AFTER_RECOVERY]++;
		try_cut(e->disk, &now);
	}
	if (roll_dice(4) == 0) {
		open_again(e, &now);
		judge(e, &now);
	}
	what = model_resend(e, &run.random, &run.event[STORED_AGAIN]);
	if (what)
		violation(what);
}

static void
check(struct sim_disk *disk, const struct bounds *b)
{
	void (*const before)(void) = sim.before;
	const struct run outer = run;
	const struct engine_world world = engine_world;
	struct engine e;

	run.states++;
	run.depth++;
	run.bounds = b;
	run.cut_in = run.depth <= DEPTH_MAX && roll_dice(3) == 0 ? 1 + roll_dice(60) : 0;
	sim.before = cut_recovery;
	open_or_fail(&e, disk);
	run.cut_in = 0;
	check_recovered(&e, b);
	engine_kill(&e);
	sim.before = before;
	engine_world = world;
	run.depth = outer.depth;
	run.cut_in = outer.cut_in;
	run.bounds = outer.bounds;
}

/* ---- The workload ------------------------------------------------------------------------- */

static void
append_some(unsigned i)
{
	for (uint64_t n = 1 + roll_dice(8); n > 0; n--) {
		const bool raise = roll_dice(60) == 0;
		const unsigned producer = (unsigned)roll_dice(SIM_PRODUCERS);
		const uint32_t value = (uint32_t)(roll_dice(8) ? roll_dice(600) : roll_dice(7000));
		const enum append_verdict v = model_append(&run.live, i, producer, value,
			value > 600 ? 1 : 1 + (int32_t)roll_dice(3), raise, &run.random);

		if (v == APPEND_WAIT || storage_state(run.live.part[i]) != PART_OK)
			break;
		if (v != APPEND_STORED)
			violation("a batch in sequence was refused");
		run.event[EPOCH_RAISED] += raise && producer;
		if (roll_dice(3) == 0)
			sim_disk_look(run.live.disk);
	}
	model_publish(&run.live, i);
	if (roll_dice(3) == 0)
		storage_want_disk(run.live.s, 0, storage_publish(run.live.part[i]));
}

static void
go_on_after(struct sim_disk *disk)
{
	struct sim_disk *const old = run.live.disk;
	struct bounds b;

	if (roll_dice(3) == 0) {
		engine_world.wall_ms -= (int64_t)roll_dice(100000);
		run.event[CLOCK_BACK]++;
	}
	model_bounds(&run.live, false, &b);
	open_or_fail(&run.live, disk);
	judge(&run.live, &b);
	model_adopt(&run.live);
	run.failed = false;
	run.running = true;
	if (old != disk)
		sim_disk_free(old);
}

/* The live engine ends, one way or another, and another goes on where it left. */
static void
end_and_go_on(void)
{
	struct sim_disk *disk = run.live.disk;
	const uint64_t how = roll_dice(3);
	struct bounds b;

	if (how == 0) {
		model_bounds(&run.live, true, &b);
		run.stopping = true;
		if (engine_stop(&run.live) < 0)
			violation(run.live.err.text);
		run.stopping = run.running = false;
		for (unsigned i = 0; i < SIM_TOPICS; i++)
			model[i].start_now = model[i].end;
		for (unsigned i = 0; i < SIM_TOPICS; i++)
			model[i].durable = run.failed ? model[i].durable : model[i].end;
		run.event[STOPPED_CLEAN]++;
	} else {
		model_bounds(&run.live, true, &b); /* acks up to now */
		run.running = false;
		if (how == 1)
			disk = sim_disk_crash(disk, &run.random);
		engine_kill(&run.live);
		run.event[KILLED]++;
	}
	go_on_after(disk);
}

static void
create_next(void)
{
	unsigned i = 0;

	while (i < SIM_TOPICS && model[i].created)
		i++;
	if (i == SIM_TOPICS)
		return;
	model[i].asked = true;
	if (engine_create(&run.live, i) < 0)
		violation(run.live.err.text);
	model[i].created = true;
}

static void
pass(uint64_t ms)
{
	engine_world.now_ns += ms * NS_PER_MS;
	engine_world.wall_ms += (int64_t)ms;
}

static void
delete(unsigned i)
{
	model[i].deleting = true;
	if (engine_delete(&run.live, i) < 0)
		violation(run.live.err.text);
	model_deleted(i);
	run.event[DELETED]++;
}

static void
step(void)
{
	const unsigned i = (unsigned)roll_dice(SIM_TOPICS);
	const uint64_t what = roll_dice(100);

	if (what < 5 || !model[0].created)
		create_next();
	else if (what < 6 && model[i].created && roll_dice(2))
		delete(i);
	else if (what < 66 && model[i].created)
		append_some(i);
	else if (what < 85)
		engine_turns(&run.live, 1 + (unsigned)roll_dice(8));
	else if (what < 88 && model[i].created)
		storage_roll(run.live.part[i], engine_world.now_ns);
	else if (what < 94)
		pass(roll_dice(6000));
	else if (what < 97)
		end_and_go_on();
	else
		engine_turns(&run.live, 30);
}

static void
configure(unsigned i)
{
	engine_world.config[i] = (struct partition_config){
		.segment_bytes = (int64_t)(8192u << roll_dice(3)),
		.segment_ms = INT64_MAX,
		.retention_bytes = roll_dice(3) ? 20000 + (int64_t)roll_dice(30000) : -1,
		.retention_ms = roll_dice(3) ? -1 : 15000,
		.max_message_bytes = BATCH_BYTES_MAX,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = INT64_MAX,
		.flush_messages = roll_dice(2) ? 20 : INT64_MAX,
		.log_append_time = roll_dice(3) == 0,
		.visible_at_disk = roll_dice(3) == 0,
	};
}

static void
run_seed(uint64_t seed)
{
	struct sim_disk *disk = sim_disk_new();

	run.seed = seed;
	run.random.state = seed * 0x9e3779b97f4a7c15u;
	sim_jobs_seed(seed);
	sim.failing.state = seed;
	sim.sync_fails = sync_fails;
	model_reset();
	/* Ahead of the real clock, by which recovery dates what it finds. */
	engine_world.now_ns = clock_now_ns() + 3600 * NS_PER_S;
	engine_world.wall_ms = INT64_C(1700000000000);
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		configure(i);
	sim.before = cut_live;
	run.live = (struct engine){0};
	go_on_after(disk);
	for (uint64_t n = 60 + roll_dice(120); n > 0; n--)
		step();
	run.event[ROLLED] += run.live.s->count->segments_sealed;
	run.event[RETAINED] += run.live.s->count->segments_deleted;
	run.running = false;
	sim.before = NULL;
	disk = run.live.disk;
	engine_kill(&run.live);
	sim_disk_free(disk);
}

/* ---- The whole ---------------------------------------------------------------------------- */

static int
tell(uint64_t seeds, uint64_t ms)
{
	const unsigned never = sim_tell(sim_fault_name, sim.fault, SIM_FAULTS) +
		sim_tell(event_name, run.event, EVENTS);

	printf("%12" PRIu64 " batches read back\n", run.batches);
	if (never > 0 && seeds > 1)
		printf("FAILED  %u kinds of fault never fired\n", never);
	printf("result: %" PRIu64 " crash states of %" PRIu64 " seeds, %" PRIu64 " in recovery, %"
	       PRIu64 " per second, 0 violations\n", run.states, seeds, run.event[CRASH_IN_RECOVERY] +
		run.event[CRASH_AFTER_RECOVERY], run.states * 1000 / (ms + 1));
	return never > 0 && seeds > 1;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 'e'},
		{"states", required_argument, NULL, 't'}, {"minutes", required_argument, NULL, 'm'},
		{0}};
	uint64_t seed = 1, states = STATES, minutes = 0, n = 0;
	const uint64_t begun = clock_now_ns();
	int c;

	run.program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		*(c == 'e' ? &seed : c == 't' ? &states : &minutes) = strtoull(optarg, NULL, 10);
	}
	if (minutes)
		states = UINT64_MAX;
	do
		run_seed(seed + n++);
	while (run.states < states &&
		(!minutes || clock_now_ns() - begun < minutes * 60 * NS_PER_S));
	model_reset();
	return tell(n, (clock_now_ns() - begun) / NS_PER_MS);
}
