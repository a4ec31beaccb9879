/* SPDX-License-Identifier: MIT
 * sim_check_rules.h - C1 to C12: what must be true of a history (history.h) whatever went wrong while it
 * was made. Thread: main. */
#ifndef KIRA_TESTS_SIM_CHECK_RULES_H
#define KIRA_TESTS_SIM_CHECK_RULES_H

#include "base/err.h"

#include <stdint.h>

enum rule { C1 = 1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, RULES };
enum rule_class { CLASS_LOST, CLASS_DUPLICATE, CLASS_REORDERED, CLASS_INVALID, CLASSES };

#define VERDICT_LINES 3 /* of each rule, the first ones */

struct verdict {
	uint64_t broken[RULES];
	struct err line[RULES][VERDICT_LINES];
	/* What there was to judge. */
	uint64_t valid; /* units in the final logs with nothing against them */
	uint64_t sent, acked, read, faults, powers, runs, directory_records;
};

extern const char *const rule_text[RULES];
extern const enum rule_class rule_class[RULES];
extern const char *const rule_class_name[CLASSES];

/* All files of one history. `dir`: the data directory that the last run left, stopped; NULL: none, C12 is
 * not judged. `tmp`: where the tables' file is; NULL: /var/tmp. 0, or -errno and why it cannot be judged. */
int history_judge(struct verdict *ret, const char *const *file, unsigned files, const char *dir,
	const char *tmp, struct err *err);

#endif
