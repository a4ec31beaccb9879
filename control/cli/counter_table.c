/* SPDX-License-Identifier: MIT
 * counter_table.c - see counter_table.h. */
#include "control/cli/counter_table.h"

#include "base/bits.h"

#include <string.h>

/* "gauge: " in front of a help text marks a gauge. */
#define GAUGE        "gauge: "
#define IS_GAUGE(h)  (__builtin_strncmp(h, GAUGE, sizeof(GAUGE) - 1) == 0)
#define TEXT(h)      (IS_GAUGE(h) ? (h) + sizeof(GAUGE) - 1 : (h))
#define COUNTER(counter_name, text) {#counter_name, TEXT(text ""), IS_GAUGE(text)},
#define DROP(reason, counter_name, text) {counter_name, text, false},

static const struct counter_help control_table[] = {
#include "control/control_counters.def"
};
static const struct counter_help storage_table[] = {
#include "storage/counters.def"
};
static const struct counter_help lcore_table[] = {
#include "dataplane/lcore_counters.def"
};
static const struct counter_help rx_table[] = {
#include "dataplane/rx_counters.def"
};
static const struct counter_help store_table[] = {
#include "dataplane/store_counters.def"
};
static const struct counter_help drop_table[] = {
#include "dataplane/drop.def"
};

static const struct counter_help fault_table[] = {
#include "control/fault_counters.def"
};
static const struct counter_help stall_table[] = {
#include "dataplane/stall_counters.def"
};

static const struct {
	const char *group; /* without its number */
	const struct counter_help *help;
	unsigned n;
} group_table[] = {
	{"control", control_table, ARRAY_LENGTH(control_table)},
	{"storage", storage_table, ARRAY_LENGTH(storage_table)},
	{"lcore", lcore_table, ARRAY_LENGTH(lcore_table)},
	{"rx", rx_table, ARRAY_LENGTH(rx_table)},
	{"store", store_table, ARRAY_LENGTH(store_table)},
	{"faults", fault_table, ARRAY_LENGTH(fault_table)},
	{"wait", stall_table, ARRAY_LENGTH(stall_table)},
	{"turn", stall_table, ARRAY_LENGTH(stall_table)},
	{"drop", drop_table, ARRAY_LENGTH(drop_table)},
};

const struct counter_help *
counter_table_find(const char *group, const char *name)
{
	const size_t n = strcspn(group, "0123456789");

	for (unsigned i = 0; i < ARRAY_LENGTH(group_table); i++) {
		if (strlen(group_table[i].group) != n || memcmp(group_table[i].group, group, n) != 0)
			continue;
		for (unsigned k = 0; k < group_table[i].n; k++)
			if (strcmp(group_table[i].help[k].name, name) == 0)
				return &group_table[i].help[k];
	}
	return NULL;
}
