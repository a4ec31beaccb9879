/* SPDX-License-Identifier: MIT
 * limits.h - what the kernel allows this process, held against what the configuration may need. */
#ifndef KIRA_CONTROL_LIMITS_H
#define KIRA_CONTROL_LIMITS_H

#include <stdint.h>

struct config;

#define LIMITS_TEXT 320

/* Sentences into `text`, of what max-partitions, all appended to, and max-connections would pass; how
 * many. Pure. */
unsigned limits_judge(const struct config *cfg, uint64_t open_files, uint64_t maps,
	char text[2][LIMITS_TEXT]);

/* Raise the limit of open files to the hard one, then log what is too low all the same. At start. */
void limits_raise(const struct config *cfg);

#endif
