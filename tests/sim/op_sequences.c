/* SPDX-License-Identifier: MIT
 * op_sequences.c - every short sequence of what a log can be asked to do, from a fresh disk and from a
 * topic with something in it, its power cut at every call that changes or syncs something; of some cuts
 * the recovery is cut at each of its calls too, and must end with the same log.
 *
 *	op_sequences [--length N] [--double N] [--seed N]
 *
 * Lengths 1 to N (2: 72 sequences, 3: 584); N recoveries cut at every call. Every kind of cut must have
 * fired. A violation ends the run with exit 1 and names the sequence. */
#include "tests/sim/page_sim.h"

#include "base/assert.h"
#include "base/clock.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LENGTH_MAX  4
#define STATES      6   /* tried at each call */
#define DOUBLE_EACH 23  /* cuts until the next whose recovery is cut everywhere */
#define DOUBLE      50

enum op { OP_CREATE, OP_APPEND, OP_ROLL, OP_FLUSH, OP_SNAPSHOT, OP_RETENTION, OP_EPOCH, OP_STOP, OPS };
static const char *const op_name[OPS] = {"create", "append", "roll", "flush", "snapshot", "retention",
	"epoch bump", "clean stop"};

static const char *const event_name[EVENTS] = {
#define EVENT(name, text) text,
#include "tests/sim/page_sim_events.def"
#undef EVENT
};

struct run run;
static enum op sequence[LENGTH_MAX];
static unsigned length;
static bool begun_full; /* with a topic and records */
static uint64_t sequences, calls, doubles, doubles_wanted = DOUBLE, did[OPS];

_Noreturn void
violation(const char *what)
{
	printf("FAILED  seed %" PRIu64 ", from a %s disk:", run.seed, begun_full ? "used" : "fresh");
	for (unsigned i = 0; i < length; i++)
		printf(" %s%s", op_name[sequence[i]], i + 1 < length ? "," : "");
	printf(": %s\n", what);
	exit(1);
}

uint64_t
roll_dice(uint64_t below)
{
	return sim_random(&run.random, below);
}

/* Before each call. */
static void
cut_at_every(void)
{
	calls++;
	run.cut_all = doubles < doubles_wanted && calls % DOUBLE_EACH == 0;
	doubles += run.cut_all;
	cut_here(STATES);
	run.cut_all = false;
}

/* ---- Operations --------------------------------------------------------------------------- */

static void
pass(uint64_t ms)
{
	engine_world.now_ns += ms * NS_PER_MS;
	engine_world.wall_ms += (int64_t)ms;
	engine_turns(&run.live, 3);
}

static void
create(void)
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
append(unsigned i)
{
	for (unsigned n = 0; n < 3; n++) {
		const unsigned producer = 1 + n % (SIM_PRODUCERS - 1);
		enum append_verdict v = APPEND_WAIT;

		for (unsigned turns = 0; v == APPEND_WAIT; turns++) {
			v = model_append(&run.live, i, producer, 300 + (uint32_t)roll_dice(3000), 1, false,
				&run.random);
			if (v != APPEND_WAIT)
				break;
			if (turns == 100)
				violation("no room after 100 turns");
			engine_turns(&run.live, 1);
		}
		if (v != APPEND_STORED)
			violation("a batch in sequence was refused");
	}
	model_publish(&run.live, i);
}

/* Of what is sealed all may go; then back to what it was. */
static void
retain(unsigned i)
{
	run.live.part[i]->settings.retention_bytes = 1;
	for (unsigned n = 0; n < 4; n++)
		pass(500);
	run.live.part[i]->settings.retention_bytes = engine_world.config[i].retention_bytes;
}

static void
on_topic(enum op op, unsigned i)
{
	switch (op) {
	case OP_APPEND:
		append(i);
		break;
	case OP_ROLL:
		storage_roll(run.live.part[i], engine_world.now_ns);
		engine_turns(&run.live, 2);
		storage_roll(run.live.part[i], engine_world.now_ns); /* once there is a spare */
		break;
	case OP_FLUSH:
		storage_want_disk(run.live.s, 0, storage_publish(run.live.part[i]));
		engine_turns(&run.live, 12);
		break;
	case OP_SNAPSHOT: /* a minute after its last append a partition is checkpointed */
		pass(61000);
		pass(5000);
		break;
	case OP_RETENTION:
		retain(i);
		break;
	default:
		ASSERT(false);
	}
}

/* The engine ends and another goes on. */
static void
end(bool clean)
{
	struct bounds b;

	model_bounds(&run.live, true, &b);
	run.stopping = clean;
	if (clean) {
		if (engine_stop(&run.live) < 0)
			violation(run.live.err.text);
	} else {
		(void)model_keep_published(&run.live, &b);
	}
	run.running = run.stopping = false;
	if (!clean)
		engine_kill(&run.live);
	for (unsigned i = 0; i < SIM_TOPICS && clean; i++)
		model[i].durable = model[i].start_now = model[i].end;
	if (clean)
		model_bounds(&run.live, false, &b);
	open_or_fail(&run.live, run.live.disk);
	judge(&run.live, &b);
	model_adopt(&run.live);
	run.running = true;
}

static void
do_op(enum op op)
{
	did[op]++;
	if (op == OP_CREATE)
		create();
	else if (op >= OP_EPOCH)
		end(op == OP_STOP);
	else
		for (unsigned i = 0; i < SIM_TOPICS; i++)
			if (model[i].created)
				on_topic(op, i);
}

/* ---- Sequences ---------------------------------------------------------------------------- */

static void
begin(void)
{
	model_reset();
	engine_world.now_ns = clock_now_ns() + 3600 * NS_PER_S;
	engine_world.wall_ms = INT64_C(1700000000000);
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		engine_world.config[i] = (struct partition_config){.segment_bytes = 32768,
			.segment_ms = INT64_MAX,
			.retention_bytes = -1,
			.retention_ms = -1,
			.max_message_bytes = BATCH_BYTES_MAX,
			.timestamp_before_max_ms = INT64_MAX,
			.timestamp_after_max_ms = INT64_MAX,
			.flush_messages = INT64_MAX,
			.log_append_time = i == 1};
	sim.before = NULL;
	run.live = (struct engine){0};
	open_or_fail(&run.live, sim_disk_new());
	model_adopt(&run.live);
	run.running = true;
	if (!begun_full)
		return;
	do_op(OP_CREATE);
	do_op(OP_APPEND);
	do_op(OP_FLUSH);
}

static void
run_sequence(void)
{
	struct sim_disk *disk;

	begin();
	sim.before = cut_at_every;
	for (unsigned i = 0; i < length; i++)
		do_op(sequence[i]);
	/* And what was still to come of it. */
	engine_turns(&run.live, 5);
	run.running = false;
	sim.before = NULL;
	disk = run.live.disk;
	engine_kill(&run.live);
	sim_disk_free(disk);
	sequences++;
}

static void
run_lengths(unsigned most)
{
	for (length = 1; length <= most; length++) {
		uint64_t n = 1;

		for (unsigned i = 0; i < length; i++)
			n *= OPS;
		for (uint64_t k = 0; k < n; k++) {
			for (uint64_t i = 0, rest = k; i < length; i++, rest /= OPS)
				sequence[i] = (enum op)(rest % OPS);
			for (unsigned full = 0; full < 2; full++) {
				begun_full = full;
				run_sequence();
			}
		}
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"length", required_argument, NULL, 'l'},
		{"double", required_argument, NULL, 'd'}, {"seed", required_argument, NULL, 's'}, {0}};
	uint64_t most = 2;
	unsigned never = 0;
	int c;

	run.seed = 1;
	run.program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		*(c == 'l' ? &most : c == 'd' ? &doubles_wanted : &run.seed) = strtoull(optarg, NULL, 10);
	}
	ASSERT(most >= 1 && most <= LENGTH_MAX);
	run.random.state = sim.failing.state = run.seed;
	sim_jobs_seed(run.seed);
	run_lengths((unsigned)most);
	model_reset();
	never += sim_tell(op_name, did, OPS);
	for (enum event e = 0; e < EVENTS; e++)
		if (run.event[e])
			printf("%12" PRIu64 " %s\n", run.event[e], event_name[e]);
	never += sim.fault[SIM_PAGE_LOST] == 0 || sim.fault[SIM_HOLE] == 0 || sim.fault[SIM_NAMES_LOST] == 0 ||
		doubles < doubles_wanted || run.event[CRASH_IN_RECOVERY] == 0;
	if (never > 0)
		printf("FAILED  a kind of cut never fired, or an operation never ran\n");
	printf("result: %" PRIu64 " runs of sequences up to %" PRIu64 " operations, %" PRIu64 " calls cut at, %" PRIu64
	       " states, %" PRIu64 " recoveries cut at each call (%" PRIu64 " cuts in recoveries), 0 violations\n",
		sequences, most, calls, run.states, doubles, run.event[CRASH_IN_RECOVERY]);
	return never > 0;
}
