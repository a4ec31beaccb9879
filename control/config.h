/* SPDX-License-Identifier: MIT
 * config.h - kirad's options, from config.def: a file (inih), then flags. Read once at start. */
#ifndef KIRA_CONTROL_CONFIG_H
#define KIRA_CONTROL_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct config_list {
	unsigned n;
	char **item;
};

struct config {
#define STRING(key, alias, field, def, help)                       char *field;
#define LIST(key, alias, field, help)                              struct config_list field;
#define NUMBER(key, alias, field, def, min, max, unit, help)       int64_t field;
#define FRACTION(key, alias, field, def, min, max, help)           double field;
#define FLAG(key, alias, field, def, help)                         bool field;
#define CHOICE(key, alias, field, def, choices, help)              unsigned field;
#include "control/config.def"
};

enum config_result { CONFIG_OK, CONFIG_HELP, CONFIG_VERSION, CONFIG_BAD };

/* Defaults, then the file that --config names, then the flags. CONFIG_BAD: err says what and where.
 * `cfg` needs config_free() in every case. */
enum config_result config_read(struct config *cfg, int argc, char *const *argv, struct err *err);
void config_free(struct config *cfg);

/* Lower case; '.' and '_' become '-'. Cut to `size`. */
void config_normalise(char *ret, unsigned size, const char *key);

/* Of a value, as DescribeConfigs numbers them. */
enum config_type { CONFIG_BOOLEAN = 1, CONFIG_STRING, CONFIG_INT, CONFIG_SHORT, CONFIG_LONG, CONFIG_DOUBLE,
	CONFIG_LIST };

/* The table, as text: for --help. */
void config_print(void (*line)(void *arg, const char *text), void *arg);

/* "10", "64KiB", "1 MiB", "1GiB" -> bytes; false: not a number. Plain numbers too. */
bool config_number(const char *text, int64_t *ret);

/* Edit distance of two words, for "did you mean". */
unsigned config_distance(const char *a, const char *b);

#endif
