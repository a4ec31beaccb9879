/* SPDX-License-Identifier: MIT
 * page_sim.c - power cuts of the storage engine, on a disk that may lose or tear whatever was not
 * synced (sim_disk.h). A seeded workload runs; at random system calls of it, and of the recoveries
 * too, crashes are tried: what each leaves is recovered by the real code and judged (sim_model.h).
 *
 *	page_sim [--seed N] [--states N | --minutes N] [--traces N] [--rewrites]
 *
 * --rewrites: crashes only while a segment is rewritten, but at every call then; and readers look at
 * each. Seeds from N on are run until so many crash states were checked. Every kind of fault must have
 * fired. A violation ends the run with exit 1 and names the command that repeats it. */
#include "tests/sim/page_sim.h"

#include "base/clock.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __SANITIZE_ADDRESS__
#define STATES 8000
#define TRACES 1
#else
#define STATES 12000
#define TRACES 2
#endif

static const char *const event_name[EVENTS] = {
#define EVENT(name, text) text,
#include "tests/sim/page_sim_events.def"
#undef EVENT
};

struct run run;

_Noreturn void
violation(const char *what)
{
	printf("FAILED  seed %" PRIu64 ": %s\nrepeat: %s --seed %" PRIu64 " --states %d --traces %d%s\n",
		run.seed, what, run.program, run.seed, !run.trace, run.trace, run.rewrites ? " --rewrites" : "");
	exit(1);
}

uint64_t
roll_dice(uint64_t below)
{
	return sim_random(&run.random, below);
}

/* Of the kinds that this run is about. */
static unsigned
tell_events(void)
{
	static const enum event of_rewrites[] = {CRASH_IN_RECOVERY, CRASH_AFTER_RECOVERY, REWRITTEN, CRASH_IN_REWRITE,
		SWAP_UNDONE, SWAP_FINISHED, STORED_AGAIN, START_WITHIN};
	unsigned never = 0;

	run.event[START_WITHIN] = model_starts_within;
	if (!run.rewrites)
		return sim_tell(event_name, run.event, START_WITHIN);
	for (unsigned i = 0; i < ARRAY_LENGTH(of_rewrites); i++)
		never += sim_tell(&event_name[of_rewrites[i]], &run.event[of_rewrites[i]], 1);
	return never;
}

static int
tell(uint64_t seeds, uint64_t ms)
{
	const uint64_t cpu_ms = (uint64_t)clock() * 1000 / CLOCKS_PER_SEC;
	const unsigned never = sim_tell(sim_fault_name, sim.fault, SIM_FAULTS) + tell_events();

	printf("%12" PRIu64 " batches read back\n", run.batches);
	if (never > 0 && seeds > 1)
		printf("FAILED  %u kinds of fault never fired\n", never);
	printf("result: %" PRIu64 " crash states of %" PRIu64 " seeds, %" PRIu64 " in recovery, %" PRIu64
	       " in a rewriting, every subset of %" PRIu64 " traces, %" PRIu64 " per second (of CPU time %" PRIu64
	       "), 0 violations\n", run.states, seeds, run.event[CRASH_IN_RECOVERY] +
		run.event[CRASH_AFTER_RECOVERY], run.event[CRASH_IN_REWRITE], run.event[SUBSET],
		run.states * 1000 / (ms + 1), run.states * 1000 / (cpu_ms + 1));
	return never > 0 && seeds > 1;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 'e'},
		{"states", required_argument, NULL, 's'}, {"minutes", required_argument, NULL, 'm'},
		{"traces", required_argument, NULL, 't'}, {"rewrites", no_argument, NULL, 'r'}, {0}};
	uint64_t seed = 1, states = STATES, minutes = 0, traces = TRACES, n = 0;
	const uint64_t begun = clock_now_ns();
	int c;

	run.program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		if (c == 'r') {
			run.rewrites = true;
			traces = 0;
			continue;
		}
		*(c == 'e' ? &seed : c == 's' ? &states : c == 'm' ? &minutes : &traces) =
			strtoull(optarg, NULL, 10);
	}
	for (run.trace = true; run.event[SUBSET] < traces; n++)
		run_seed(seed + n);
	states += run.states;
	for (run.trace = false; minutes ? clock_now_ns() - begun < minutes * 60 * NS_PER_S :
		run.states < states; n++)
		run_seed(seed + n);
	model_reset();
	return tell(n, (clock_now_ns() - begun) / NS_PER_MS);
}
