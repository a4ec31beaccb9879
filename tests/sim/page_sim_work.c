/* SPDX-License-Identifier: MIT
 * page_sim_work.c - what happens to the live engine: a seed's workload, step by step. */
#include "tests/sim/page_sim.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>

#define CROWD 70

static void
pass(uint64_t ms)
{
	engine_world.now_ns += ms * NS_PER_MS;
	engine_world.wall_ms += (int64_t)ms;
}

/* ---- Appends ------------------------------------------------------------------------------ */

static enum append_verdict
append_one(unsigned i)
{
	const bool raise = roll_dice(60) == 0;
	const unsigned producer = (unsigned)roll_dice(SIM_PRODUCERS);
	const uint32_t value = (uint32_t)(roll_dice(8) ? roll_dice(600) : roll_dice(7000));
	const enum append_verdict v = model_append(&run.live, i, producer, value,
		value > 600 ? 1 : 1 + (int32_t)roll_dice(3), raise, &run.random);

	run.event[WAITED] += v == APPEND_WAIT;
	if (v == APPEND_STORED) {
		const struct item *it = &model[i].item[model[i].n - 1];

		run.event[EPOCH_RAISED] += raise && producer;
		run.event[WRAPPED] += it->sequence > INT32_MAX - it->count;
	}
	return v;
}

static void
append_some(unsigned i)
{
	for (uint64_t n = 1 + roll_dice(8); n > 0; n--) {
		const enum append_verdict v = append_one(i);

		if (v == APPEND_WAIT || storage_state(run.live.part[i]) != PART_OK)
			break;
		if (v != APPEND_STORED)
			violation("a batch in sequence was refused");
		if (roll_dice(3) == 0)
			sim_disk_look(run.live.disk);
	}
	model_publish(&run.live, i);
	if (roll_dice(3) == 0)
		storage_want_disk(run.live.s, 0, storage_publish(run.live.part[i]));
}

static void
roll(unsigned i)
{
	const bool due = storage_roll_due(run.live.part[i], engine_world.now_ns);

	if (!due && roll_dice(3) > 0)
		return;
	storage_roll(run.live.part[i], engine_world.now_ns);
	run.event[ROLLED_BY_TIME] += due;
}

/* ---- Topics, ids, room -------------------------------------------------------------------- */

static void
create_next(void)
{
	unsigned i = 0;
	int rc;

	while (i < SIM_TOPICS && model[i].created)
		i++;
	if (i == SIM_TOPICS)
		return;
	model[i].asked = true;
	rc = engine_create(&run.live, i);
	if (rc < 0 && !(run.full && rc == -ENOSPC))
		violation(run.live.err.text);
	model[i].created = rc == 0;
	run.event[CREATED] += rc == 0;
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
spend_ids(void)
{
	int rc;

	model_directory.ids_asked += 1000;
	rc = engine_spend_ids(&run.live, model_directory.ids_asked);
	if (rc < 0 && !(run.full && rc == -ENOSPC))
		violation(run.live.err.text);
	if (rc == 0)
		model_directory.ids = model_directory.ids_asked;
	run.event[IDS_SPENT] += rc == 0;
}

/* Two seconds after the last byte of space came back every log takes batches again. */
static void
resume(void)
{
	sim_disk_fill(run.live.disk, false);
	run.full = false;
	for (unsigned n = 0; n < 20; n++) {
		pass(99);
		engine_turns(&run.live, 1);
	}
	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		if (!model[i].created || storage_state(run.live.part[i]) != PART_OK)
			continue;
		if (append_one(i) == APPEND_WAIT) { /* it asks; a turn or two and it has it */
			for (unsigned n = 0; n < 40 && !storage_has_room(run.live.part[i]); n++)
				engine_turns(&run.live, 1);
			if (storage_state(run.live.part[i]) == PART_OK && append_one(i) == APPEND_WAIT)
				violation("space is back, and a batch waits");
		}
		model_publish(&run.live, i);
		run.event[RESUMED]++;
	}
}

static void
fill(void)
{
	sim_disk_fill(run.live.disk, true);
	run.full = true;
	run.event[DISK_FULL]++;
}

/* ---- Its end, and the next ---------------------------------------------------------------- */

/* Never while it stops, which would have to say so. */
static bool
sync_fails(void)
{
	const bool fails = run.depth == 0 && run.running && !run.stopping && roll_dice(30) == 0;

	run.failed |= fails;
	return fails;
}

static void
configure(unsigned i)
{
	engine_world.config[i] = (struct partition_config){
		.segment_bytes = (int64_t)(8192u << roll_dice(3)),
		.segment_ms = roll_dice(3) ? INT64_MAX : 1000,
		.retention_bytes = roll_dice(3) ? 20000 + (int64_t)roll_dice(30000) : -1,
		.retention_ms = roll_dice(3) ? -1 : 15000,
		.max_message_bytes = BATCH_BYTES_MAX,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = INT64_MAX,
		.flush_messages = roll_dice(2) ? 20 : INT64_MAX,
		.log_append_time = roll_dice(3) == 0,
		.visible_at_disk = roll_dice(3) == 0,
		.rewrite_lz4 = run.rewrites || roll_dice(2),
	};
}

/* `b`: what may be found on the disk. */
static void
go_on(struct sim_disk *disk, const struct bounds *b)
{
	struct sim_disk *const old = run.live.disk;

	if (roll_dice(3) == 0) {
		engine_world.wall_ms -= (int64_t)roll_dice(100000);
		run.event[CLOCK_BACK]++;
	}
	if (roll_dice(3) == 0)
		configure((unsigned)roll_dice(SIM_TOPICS));
	sim.old_files = roll_dice(2);
	sim_disk_fill(disk, false);
	open_or_fail(&run.live, disk);
	judge(&run.live, b);
	model_adopt(&run.live);
	run.failed = run.full = false;
	run.running = true;
	if (old != disk)
		sim_disk_free(old);
}

static void
count_crowded(const struct partition *part)
{
	const struct segments *a = part ? atomic_load(&part->segments) : NULL;

	for (uint32_t i = 0; a && i < a->n; i++)
		run.event[CROWDED] += a->seg[i]->sealed && a->seg[i]->snapshot_room > 0 &&
			a->seg[i]->snapshot_length == 0;
}

/* What the live engine counted. */
static void
count_up(void)
{
	const struct storage_counters *c = run.live.s->count;

	run.event[HOLES_TOLD] = sim.holes_told;
	run.event[HOLES_UNTOLD] = sim.holes_untold;
	run.event[CHECKPOINTED] += c->checkpoints;
	run.event[ROLLED] += c->segments_sealed;
	run.event[RETAINED] += c->segments_deleted;
	run.event[OVER_CAP] += c->segments_over_cap;
	run.event[REWRITTEN] += c->rewrite_segments;
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		count_crowded(run.live.part[i]);
}

static void
stop(void)
{
	struct bounds b;
	int rc;

	model_bounds(&run.live, true, &b);
	count_up();
	run.stopping = true;
	rc = engine_stop(&run.live);
	if (rc < 0 && !(run.full && rc == -ENOSPC))
		violation(run.live.err.text);
	run.stopping = run.running = false;
	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		model[i].start_now = model[i].end;
		model[i].durable = run.failed ? model[i].durable : model[i].end;
	}
	run.event[rc < 0 ? STOP_FAILED : STOPPED_CLEAN]++;
	model_bounds(&run.live, false, &b);
	go_on(run.live.disk, &b);
}

/* The process goes; its disk stays as it is, or loses its power. */
static void
kill_it(bool cut)
{
	struct sim_disk *disk = run.live.disk;
	struct bounds b;

	model_bounds(&run.live, true, &b); /* acks up to now */
	if (cut)
		disk = sim_disk_crash(disk, &run.random);
	else if (!run.failed)
		run.event[LOG_KEPT] += model_keep_published(&run.live, &b);
	run.running = false;
	count_up();
	engine_kill(&run.live);
	run.event[KILLED]++;
	go_on(disk, &b);
}

/* ---- A seed ------------------------------------------------------------------------------- */

static void
read_live(void)
{
	const char *what;
	struct bounds b;

	what = model_judge_live(&run.live, &run.batches);
	if (what)
		violation(what);
	model_bounds(&run.live, true, &b); /* so far and no less from now on */
	if (sim.syncs_again)
		violation("a file whose sync failed is synced again");
	run.event[READ_LIVE]++;
}

/* Up to its batch `k`, or all of them. */
static void
delete_records(unsigned i, uint64_t k)
{
	struct log *l = &model[i];
	int64_t offset = k < l->n ? l->item[k].offset : l->end;
	int rc;

	if (storage_state(run.live.part[i]) != PART_OK)
		return;
	rc = engine_delete_records(&run.live, i, &offset);
	if (rc < 0 && storage_state(run.live.part[i]) == PART_OK)
		violation(run.live.err.text);
	if (rc < 0)
		return;
	l->start = MAX(l->start, offset); /* it was answered: on disk */
	run.event[RECORDS_DELETED]++;
}

/* More producers than the room for a snapshot was made for, of the least batches; then these may go, while the next
 * segment is open and has no checkpoint. */
static void
crowd(unsigned i)
{
	for (unsigned k = 0; k < CROWD; k++)
		if (model_append(&run.live, i, SIM_PRODUCERS + k, 0, 1, false, &run.random) != APPEND_STORED)
			break;
	model_publish(&run.live, i);
	if (run.full || roll_dice(2))
		return;
	storage_roll(run.live.part[i], engine_world.now_ns);
	(void)append_one(i);
	model_publish(&run.live, i);
	engine_turns(&run.live, 20);
	delete_records(i, model[i].n);
	pass(600);
	engine_turns(&run.live, 10);
}

static void
step(void)
{
	const unsigned i = (unsigned)roll_dice(SIM_TOPICS);
	const uint64_t what = roll_dice(100);

	if (run.full && roll_dice(10) == 0)
		resume();
	else if (what < 5 || !model[0].created)
		create_next();
	else if (what < 6 && model[i].created && !run.full && roll_dice(2))
		delete(i);
	else if (what < 9 && model[i].created && !run.rewrites)
		crowd(i); /* it takes away the snapshots that a rewriting waits for */
	else if (what < 62 && model[i].created)
		append_some(i);
	else if (what < 80)
		engine_turns(&run.live, 1 + (unsigned)roll_dice(8));
	else if (what < 84 && model[i].created)
		roll(i);
	else if (what < 90)
		pass(roll_dice(6000));
	else if (what < 91)
		read_live();
	else if (what < 92 && model[i].created && !run.full)
		delete_records(i, roll_dice(model[i].n + 1));
	else if (what < 93)
		spend_ids();
	else if (what < 94)
		fill();
	else if (what < 95)
		stop();
	else if (what < 97)
		kill_it(roll_dice(2));
	else
		engine_turns(&run.live, 30);
}

static void
begin(uint64_t seed)
{
	run.seed = seed;
	run.random.state = seed * 0x9e3779b97f4a7c15u;
	sim_jobs_seed(seed);
	sim.failing.state = seed;
	sim.sync_fails = sync_fails;
	sim.tells_no_holes = seed % 4 == 0;
	/* A small disk: the directory's share of it is soon used up. */
	sim.space = roll_dice(4) ? (struct io_space){0} : (struct io_space){.total = 160000, .free = 80000};
	model_reset();
	/* Ahead of the real clock, by which recovery dates what it finds. */
	engine_world.now_ns = clock_now_ns() + 3600 * NS_PER_S;
	engine_world.checkpoint_bytes = 3000;
	engine_world.wall_ms = INT64_C(1700000000000);
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		configure(i);
	run.live = (struct engine){0};
	run.traced = false;
	run.trace_pages = 10 + (unsigned)roll_dice(3);
}

void
run_seed(uint64_t seed)
{
	struct bounds b;
	struct sim_disk *disk;

	begin(seed);
	sim.before = cut_live;
	model_bounds(&run.live, false, &b);
	go_on(sim_disk_new(), &b);
	for (uint64_t n = 60 + roll_dice(120); n > 0 && !run.traced; n--)
		step();
	count_up();
	run.running = false;
	sim.before = NULL;
	disk = run.live.disk;
	engine_kill(&run.live);
	sim_disk_free(disk);
}
