/* SPDX-License-Identifier: MIT
 * producer_sim.c - runs of the producer simulator, one per seed, and the report. What is simulated:
 * producer_sim.h. Every batch must be told once, be stored once, in order, and all must come to an end
 * once the run is calm; every kind of fault must have happened.
 *
 * A failing run says how to repeat it, with all that happened in it.
 *
 * Usage: producer_sim [--from SEED] [--seeds N | --minutes N] [--failures N] [--trace]
 * Exit 0: all held. 1: a run failed (its line says how to repeat it), or a fault never happened. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/sim/producer_sim.h"

#include "tests/unit/dataplane/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#define SEEDS       400
#else
#define SEEDS       2000
#endif
#define SEEDS_MIN   400  /* of fewer not every fault is asked for */
#define TWICE       5    /* the first so many runs are repeated: the same trace */
#define FAILURES    10   /* then it stops, unless told otherwise */
#define END_MAX_NS  (150 * NS_PER_S) /* from calm on; longer than every pause and lease: it hangs */
/* Without congestion control all that is out comes again at each loss, and a ring of a few places takes as
 * many of that: a full window is through after ten minutes. */
#define FLOOD_MAX_NS (1200 * NS_PER_S)
#define TX_TS_END_NS ((UINT64_C(1) << 32) * NS_PER_US)
#define STEP_MIN_NS (20 * NS_PER_US)
#define STEP_MAX_NS NS_PER_MS

struct sim sim;
static uint64_t rng;

static const char *const fault_text[FAULTS] = {
#define FAULT(name, text) text,
#include "tests/sim/producer_sim_faults.def"
#undef FAULT
};

uint32_t
sim_draw(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % n);
}

void
sim_note(const char *format, ...)
{
	char line[200];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (const char *p = line; *p; p++) /* FNV-1a */
		sim.trace = (sim.trace ^ (uint8_t)*p) * 0x100000001b3u;
	sim.trace = (sim.trace ^ sim.now_ns) * 0x100000001b3u;
	if (sim.print)
		(void)printf("%.6f %s\n", (double)(sim.now_ns - sim.begun_ns) / 1e9, line);
}

void
sim_wrong(const char *what)
{
	sim_note("WRONG: %s", what);
	if (!sim.wrong)
		sim.wrong = what;
}

static void
begin(uint64_t seed)
{
	rng = seed * 0x9e3779b97f4a7c15u + 1;
	memset(sim.client, 0, sizeof(sim.client));
	sim.seed = seed;
	/* In one run of four tx_ts, which has 32 bits of microseconds, begins again. */
	sim.begun_ns = sim.now_ns = sim_once_in(4) ? TX_TS_END_NS - sim_draw(10000) * NS_PER_MS : 1000 * NS_PER_S;
	sim.calm = sim.dark_out = sim.dark_back = sim.away = sim.stopped = sim.cut_off = false;
	sim.pausing = sim.day_passed = false;
	sim.drain_until_ns = sim.ahead_ns = 0;
	sim.incarnation = 5;
	sim.wrong = NULL;
	sim.trace = 0xcbf29ce484222325u;
	sim_plan_draw();
	sim_wire_begin();
	sim_broker_begin();
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		sim_client_begin(i);
}

/* The next moment at which something may happen. */
static uint64_t
next_ns(void)
{
	uint64_t at_ns = sim_wire_next_ns();

	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		at_ns = MIN(at_ns, sim_client_next_ns(i));
	return CLAMP(at_ns, sim.now_ns + STEP_MIN_NS, sim.now_ns + STEP_MAX_NS);
}

static bool
done(void)
{
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		if (!sim_client_done(i))
			return false;
	return true;
}

static uint64_t
end_max_ns(void)
{
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		if (sim.plan.ring > 0 && sim.client[i].floods)
			return FLOOD_MAX_NS;
	return END_MAX_NS;
}

/* What was wrong, or NULL. */
static const char *
run(uint64_t seed)
{
	begin(seed);
	while (!sim.wrong && !done()) {
		sim_wire_turn();
		sim_broker_turn();
		for (unsigned i = 0; i < SIM_CLIENTS; i++)
			sim_client_turn(i);
		sim_plan_turn();
		sim_judge_turn();
		sim.now_ns = next_ns();
		if (sim.now_ns > sim.plan.calm_ns + end_max_ns())
			sim_wrong("no end");
	}
	if (!sim.wrong)
		sim_judge_end();
	if (!sim.wrong && sim.now_ns > sim.plan.calm_ns + sim.slowest_ns) {
		sim.slowest_ns = sim.now_ns - sim.plan.calm_ns;
		sim.slowest = seed;
	}
	if (sim.wrong)
		(void)printf("FAILED seed %" PRIu64 ", after %.3f s: %s\n  client 0: %s\n  client 1: %s\n",
			seed, (double)(sim.now_ns - sim.begun_ns) / 1e9, sim.wrong, sim_client_text(0),
			sim_client_text(1));
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		sim_client_end(i);
	if (sim_broker_end() > 0 && !sim.wrong) {
		sim.wrong = "packet buffers are missing at the end";
		(void)printf("FAILED seed %" PRIu64 ": %s\n", seed, sim.wrong);
	}
	return sim.wrong;
}

/* The same seed, the same trace: else a failure could not be repeated. */
static bool
run_again(uint64_t seed)
{
	uint64_t fired[FAULTS];
	const uint64_t trace = sim.trace;

	memcpy(fired, sim.fired, sizeof(fired));
	(void)run(seed);
	memcpy(sim.fired, fired, sizeof(fired));
	if (sim.trace != trace)
		(void)printf("FAILED seed %" PRIu64 ": another trace the second time\n", seed);
	return sim.trace == trace;
}

static unsigned
report(uint64_t seeds, unsigned failed)
{
	for (unsigned i = 0; i < FAULTS; i++) {
		(void)printf("%12" PRIu64 " %s\n", sim.fired[i], fault_text[i]);
		if (sim.fired[i] == 0 && seeds >= SEEDS_MIN) {
			(void)printf("FAILED: no %s in any run\n", fault_text[i]);
			failed++;
		}
	}
	(void)printf("result: %" PRIu64 " runs, %u failed, each at its end %.0f s after the last fault at the latest "
		     "(seed %" PRIu64 ")\n", seeds, failed, (double)sim.slowest_ns / 1e9, sim.slowest);
	return failed;
}

static uint64_t
number(const char *text)
{
	char *end = NULL;
	const uint64_t n = text ? strtoull(text, &end, 10) : 0;

	if (!text || *text == '\0' || *end != '\0') {
		(void)fprintf(stderr, "Usage: producer_sim [--from SEED] [--seeds N | --minutes N] "
				      "[--failures N] [--trace]\n");
		exit(2);
	}
	return n;
}

int
main(int argc, char **argv)
{
	uint64_t from = 1, seeds = SEEDS, until_ns = UINT64_MAX, n = 0;
	uint64_t failures = FAILURES;
	unsigned failed = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--from") == 0) {
			from = number(argv[++i]);
		} else if (strcmp(argv[i], "--seeds") == 0) {
			seeds = number(argv[++i]);
		} else if (strcmp(argv[i], "--minutes") == 0) {
			until_ns = clock_now_ns() + number(argv[++i]) * 60 * NS_PER_S;
			seeds = UINT64_MAX;
		} else if (strcmp(argv[i], "--failures") == 0) {
			failures = number(argv[++i]);
		} else if (strcmp(argv[i], "--trace") == 0) {
			sim.print = true;
		} else {
			(void)number("?");
		}
	}
	world_eal();
	for (; n < seeds && failed < failures && clock_now_ns() < until_ns; n++) {
		if (run(from + n)) {
			(void)printf("  repeat: %s --from %" PRIu64 " --seeds 1 --trace\n", argv[0], from + n);
			failed++;
		} else if (n < TWICE && !sim.print) {
			failed += !run_again(from + n);
		}
		(void)fflush(stdout);
	}
	return report(n, failed) > 0;
}
