/* SPDX-License-Identifier: MIT
 * counter_table.h - what each counter of kirad means: the tables that kirad makes its counters from.
 * Pure. Any thread. */
#ifndef KIRA_CLI_COUNTER_TABLE_H
#define KIRA_CLI_COUNTER_TABLE_H

#include <stdbool.h>

struct counter_help {
	const char *name, *help;
	bool gauge; /* a level, not a sum: its change per second says nothing */
};

/* `group` as in the counters file, with its number ("store0"). NULL: this kira does not know it. */
const struct counter_help *counter_table_find(const char *group, const char *name);

#endif
