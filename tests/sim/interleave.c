/* SPDX-License-Identifier: MIT
 * interleave.c - the order of steps between threads, tried: storage lcore, flush daemon, jobs, an rx
 * lcore and control run as coroutines over the real engine, and at every labelled access (E1, K2 ..:
 * storage/README.md) any other may come between. Four scenarios by the seed: busy (rolls against
 * commit, seal and fetch), all asleep, syncs that fail, a full disk. Then all becomes calm: every
 * batch that waits for room, and everybody who waits for a commit, must be done 10 turns later.
 *
 *	interleave [--seed N] [--seeds N | --seconds N]
 *
 * Every pair of labels of two threads must have met. A violation ends the run with exit 1 and names
 * the command that repeats it. */
#include "tests/sim/interleave.h"

#include "base/clock.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define SEEDS 5000
#else
#define SEEDS 20000
#endif
#define PAIRS_FROM 100000 /* seeds from which all pairs must have met */

static uint64_t seed;
static const char *program;

_Noreturn void
violation(const char *format, ...)
{
	va_list args;

	printf("FAILED  seed %" PRIu64 ": ", seed);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\nrepeat: %s --seed %" PRIu64 " --seeds 1\n", program, seed);
	exit(1);
}

static void
storm(uint64_t steps)
{
	/* One of them stands where it stopped for long, while the others finish whole turns. */
	const unsigned slow = (unsigned)il_dice(ACTORS + 2);

	for (; steps > 0; steps--) {
		const unsigned who = (unsigned)il_dice(ACTORS);

		if (who == slow && il_dice(8))
			continue;
		if (who == FLUSH && !actor_in_turn(FLUSH)) {
			if (!flush_can_run())
				continue;
			engine_world.now_ns += (il_dice(8) ? il_dice(20) : 1100) * NS_PER_MS;
		}
		if (il.plan.what == DISK_FULL && il_dice(10) == 0)
			il.plan.full = !il.plan.full;
		actor_go_on((enum actor)who);
	}
}

static void
calm(void)
{
	il.plan.quiet = true;
	il.plan.full = false;
	actors_finish_turns();
	do {
		il.round++;
		while (sim_jobs_left(il.e.s->flush.jobs))
			actor_go_on(JOBS);
		/* Nobody wakes it for time that passes: a full disk it looks at by itself, awake. */
		engine_world.now_ns += (il.plan.what == DISK_FULL ? 200 : 1) * NS_PER_MS;
		if (flush_can_run())
			actor_go_on(FLUSH);
		actor_go_on(LCORE);
		actor_go_on(RX);
		actor_go_on(CONTROL);
	} while (il_left() > 0);
}

static void
run_seed(void)
{
	static void (*const turn[ACTORS])(void) = {turn_lcore, turn_flush, turn_jobs, turn_rx, turn_control};
	struct sim_disk *disk;

	il.random.state = seed * 0x9e3779b97f4a7c15u;
	sim.failing.state = seed;
	sim_jobs_seed(seed);
	il.plan = (struct plan){.what = (enum scenario)(seed % SCENARIOS)};
	il_begin();
	actors_begin(turn, seed);
	storm(30 + il_dice(250));
	calm();
	il_judge_end();
	disk = il.e.disk;
	sim_jobs_apart = false; /* the kill reaps what is left */
	engine_kill(&il.e);
	sim_disk_free(disk);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 'e'},
		{"seeds", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'}, {0}};
	uint64_t v[128] = {['e'] = 1, ['n'] = SEEDS}, ms;
	const uint64_t begun = clock_now_ns();
	unsigned pairs, of, never;
	int c;

	program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		v[c] = strtoull(optarg, NULL, 10);
	}
	for (seed = v['e']; v['s'] ? clock_now_ns() - begun < v['s'] * NS_PER_S :
		seed < v['e'] + v['n']; seed++)
		run_seed();
	seed -= v['e'];
	ms = (clock_now_ns() - begun) / NS_PER_MS;
	never = seed > 100 ? sim_tell(event_name, il.event, EVENTS) : 0;
	if (never > 0)
		printf("FAILED  %u kinds of event never came\n", never);
	pairs = actors_pairs(&of, seed >= PAIRS_FROM);
	if (pairs < of && seed >= PAIRS_FROM)
		printf("FAILED  %u of %u pairs of labels never met\n", of - pairs, of);
	printf("result: %" PRIu64 " seeds, %u of %u pairs of labels met, %" PRIu64 " batches, %" PRIu64
	       " disk acks, 0 violations, %" PRIu64 " seeds per second\n", seed, pairs, of,
		il.event[STORED], il.event[ACKS_DISK] + il.event[ACKS_TCP], seed * 1000 / (ms + 1));
	return never > 0 || (pairs < of && seed >= PAIRS_FROM);
}
