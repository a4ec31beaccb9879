/* SPDX-License-Identifier: MIT
 * stat_appends.h - what the counters of a counters file say of the append path, in a few lines. Any
 * thread; reads only. */
#ifndef KIRA_CLI_STAT_APPENDS_H
#define KIRA_CLI_STAT_APPENDS_H

#include <stdbool.h>
#include <stdio.h>

/* `map`: a valid counters file (kira/counters.h). Nothing is printed before the first batch. */
void stat_appends_print(const void *map, FILE *to);

/* Is the group one whose values are told by those lines? ("wait0", "turn1") */
bool stat_appends_tells(const char *group);

#endif
