/* SPDX-License-Identifier: MIT
 * page_sim_check.c - crashes at the live engine's calls and at those of recoveries: what each leaves is
 * recovered by the real code and judged. */
#include "tests/sim/page_sim.h"

#define DEPTH_MAX       2 /* a crash, one while that is recovered, one more */
#define TRACE_PAGES_MAX 12 /* 4,096 states */
#define INSPECT_ONE_IN  (run.rewrites ? 10 : 200) /* `kira check` costs as much as thirty states */

static void check(struct sim_disk *disk, const struct bounds *b);

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
	const bool all = run.cut_all && run.depth == 1;

	if (!run.found || (!all && (run.cut_in == 0 || --run.cut_in > 0)))
		return;
	run.event[CRASH_IN_RECOVERY]++;
	try_cut(sim.disk, run.bounds);
}

/* Of a trace: nothing more happens to what is recovered, it is many. */
static void
cut_every_way(void)
{
	const unsigned n = sim_disk_dirty(sim.disk);
	struct bounds b;

	if (run.traced || n < run.trace_pages || n > TRACE_PAGES_MAX)
		return;
	model_bounds(&run.live, run.running, &b);
	run.traced = true;
	run.depth = DEPTH_MAX + 1;
	for (uint32_t kept = 0; kept < 1u << n; kept++) {
		struct sim_disk *cut = sim_disk_crash_subset(sim.disk, kept);

		check(cut, &b);
		sim_disk_free(cut);
	}
	run.depth = 0;
	run.event[SUBSET]++;
}

static bool
is_rewriting(void)
{
	return run.running && run.live.s && run.live.s->flush.rewriting.part;
}

/* Inside the job, as the control thread would. */
static void
read_between(void)
{
	void (*const before)(void) = sim.before;
	const char *what;

	sim.before = NULL;
	if (roll_dice(2))
		engine_close_fds(&run.live);
	what = model_judge_live(&run.live, &run.batches);
	if (what)
		violation(what);
	sim.before = before;
}

void
cut_here(unsigned states)
{
	struct bounds b;

	model_bounds(&run.live, run.running, &b);
	for (; states > 0; states--) {
		run.event[CRASH_IN_REWRITE] += is_rewriting();
		run.event[run.stopping ? CRASH_IN_STOP : CRASH_AT_CALL]++;
		try_cut(sim.disk, &b);
	}
}

void
cut_live(void)
{
	if (run.trace) {
		cut_every_way();
		return;
	}
	if (run.rewrites ? !is_rewriting() : roll_dice(6) > 0)
		return;
	if (run.rewrites && !run.stopping)
		read_between();
	cut_here(1 + (unsigned)roll_dice(2));
}

void
open_or_fail(struct engine *e, struct sim_disk *disk)
{
	if (engine_open(e, disk) < 0)
		violation(e->err.text);
}

static void
inspect(struct sim_disk *disk)
{
	const char *what = model_inspect(disk);

	if (what)
		violation(what);
	run.event[INSPECTED]++;
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
		if (roll_dice(INSPECT_ONE_IN / 4) == 0)
			inspect(disk);
		for (unsigned i = 0; i < SIM_TOPICS; i++)
			b->log[i].start_max = b->log[i].end_max; /* retention went on in the stop */
	}
	open_or_fail(e, disk);
}

/* After a recovery nothing of the log may go any more. */
static void
pin_bounds(const struct engine *e, struct bounds *b)
{
	b->directory.incarnation = storage_incarnation(e->s);
	b->directory.ids = b->directory.ids_asked = storage_producer_ids_spent(e->s);
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

void
judge(struct engine *e, const struct bounds *b)
{
	const char *what = model_judge(e, b, &run.batches);

	if (what)
		violation(what);
}

/* A recovery that a crash ended, and the one after it, find what the first would have found. */
static void
same_as(struct found *f, const struct engine *e)
{
	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		struct partition_ends ends = {0};

		if (e->part[i])
			storage_ends(e->part[i], &ends);
		if (f->known && (f->there[i] != (e->part[i] != NULL) || f->start[i] != ends.start ||
			f->end[i] != ends.end))
			violation("recovered again after a crash inside it, it is another log");
		f->there[i] = e->part[i] != NULL;
		f->start[i] = ends.start;
		f->end[i] = ends.end;
	}
	f->known = true;
}

static void
check_recovered(struct engine *e, const struct bounds *b)
{
	struct bounds now = *b;
	const char *what;

	judge(e, b);
	pin_bounds(e, &now);
	if (roll_dice(INSPECT_ONE_IN) == 0)
		inspect(e->disk);
	what = roll_dice(2) ? model_judge_times(e, &run.random, &run.event[TIME_FOUND]) : NULL;
	if (what)
		violation(what);
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

/* What the start that follows has to undo, or to finish. */
static void
count_left(struct sim_disk *disk)
{
	for (unsigned t = 0; t < SIM_TOPICS; t++) {
		const char dir[] = {'t', (char)('0' + t), '-', '0', 0}, *name;
		bool cleaned = false, swap = false;

		for (unsigned i = 0; (name = sim_disk_name(disk, dir, i)) != NULL; i++) {
			cleaned |= strstr(name, ".cleaned") != NULL;
			swap |= strstr(name, ".swap") != NULL;
		}
		run.event[SWAP_UNDONE] += cleaned;
		run.event[SWAP_FINISHED] += swap && !cleaned;
	}
}

static void
check(struct sim_disk *disk, const struct bounds *b)
{
	void (*const before)(void) = sim.before;
	const struct run outer = run;
	const struct engine_world world = engine_world;
	struct found found = {0};
	struct engine e;

	count_left(disk);
	run.found = &found;
	run.states++;
	run.depth++;
	run.bounds = b;
	run.cut_in = run.depth <= DEPTH_MAX && roll_dice(3) == 0 ? 1 + roll_dice(60) : 0;
	sim.before = cut_recovery;
	if (b->directory.incarnation > 0 && roll_dice(INSPECT_ONE_IN) == 0)
		inspect(disk); /* as the cut left it */
	open_or_fail(&e, disk);
	run.cut_in = 0;
	run.found = NULL;
	same_as(&found, &e);
	if (outer.found)
		same_as(outer.found, &e);
	check_recovered(&e, b);
	engine_kill(&e);
	sim.before = before;
	engine_world = world;
	run.depth = outer.depth;
	run.cut_in = outer.cut_in;
	run.bounds = outer.bounds;
	run.found = outer.found;
}
