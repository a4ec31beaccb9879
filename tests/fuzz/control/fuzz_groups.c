/* SPDX-License-Identifier: MIT
 * fuzz_groups.c - consumer groups: the input decides what clients do, in which order, and when time passes.
 * runs: 20000
 * Each is a life of several groups: 100,000 take over a minute. */
#include "tests/unit/control/group_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct group_drive_counts n;

	/* Longer ones find nothing that two short ones do not. */
	if (size <= 4096)
		group_drive(data, size, &n);
	return 0;
}
