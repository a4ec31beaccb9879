/* SPDX-License-Identifier: MIT
 * group_random_ut.c - random requests, leaps of time, dead connections, a log that fails: no group ends up in a state
 * that it must not be in, nobody waits for ever. `group_random [SEED [RUNS]]` for a long run. */
#include "tests/unit/control/group_drive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RUNS  1500
#define BYTES 1200

static uint64_t
next(uint64_t *x)
{
	/* splitmix64 */
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void
run(uint64_t seed, struct group_drive_counts *n)
{
	uint8_t data[BYTES];
	uint64_t x = seed;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next(&x);
	group_drive(data, sizeof(data), n);
}

int
main(int argc, char **argv)
{
	const uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	const uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : RUNS;
	struct group_drive_counts n = {0};
	int missing = 0;

	for (uint64_t i = 0; i < runs; i++) {
		group_drive_seed = from + i;
		run(from + i, &n);
	}
#define X(name)                                                                                    \
	printf("%-18s %" PRIu64 "\n", #name, n.name);                                              \
	missing += n.name == 0;
	GROUP_DRIVE_EVENTS(X)
#undef X
	printf("result: %" PRIu64 " runs, %d kinds of events never happened\n", runs, missing);
	return runs >= RUNS && missing > 0;
}
