/* SPDX-License-Identifier: MIT
 * group_drive.h - bytes decide what clients of two groups do, when time leaps, connections die, the log fails.
 * After each step: what must be true of every group. Aborts where it is not. */
#ifndef KIRA_TESTS_GROUP_DRIVE_H
#define KIRA_TESTS_GROUP_DRIVE_H

#include <stddef.h>
#include <stdint.h>

/* What happened; each must have, over a long run. */
#define GROUP_DRIVE_EVENTS(X)                                                                      \
	X(joins) X(syncs) X(beats) X(leaves) X(commits) X(deletes) X(leaps) X(connections_died)        \
	X(parked) X(rounds) X(stable) X(emptied) X(expired) X(fenced) X(required) X(full) X(no_memory) \
	X(log_failed) X(log_late) X(restarts)

struct group_drive_counts {
#define X(name) uint64_t name;
	GROUP_DRIVE_EVENTS(X)
#undef X
};

extern uint64_t group_drive_seed; /* told with a failure */
void group_drive(const uint8_t *data, size_t size, struct group_drive_counts *n);

#endif
