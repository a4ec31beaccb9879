/* SPDX-License-Identifier: MIT
 * config_rows.h - the rows of config.def as a table, for those who read, print or describe all of
 * them. Pure; any thread. */
#ifndef KIRA_CONTROL_CONFIG_ROWS_H
#define KIRA_CONTROL_CONFIG_ROWS_H

#include "control/config.h"

#include <stddef.h>

#define CONFIG_NAME_MAX 64
#define CONFIG_TEXT_MAX 4096

enum option_kind { KIND_STRING, KIND_LIST, KIND_NUMBER, KIND_FRACTION, KIND_FLAG, KIND_CHOICE };

struct option {
	const char *key, *alias;
	enum option_kind kind;
	size_t at;
	const char *text;    /* default, or choices */
	double def, min, max;
	const char *unit, *help;
};

enum {
#define STRING(key, alias, field, def, help)                 CONFIG_ROW_##field,
#define LIST(key, alias, field, help)                        CONFIG_ROW_##field,
#define NUMBER(key, alias, field, def, min, max, unit, help) CONFIG_ROW_##field,
#define FRACTION(key, alias, field, def, min, max, help)     CONFIG_ROW_##field,
#define FLAG(key, alias, field, def, help)                   CONFIG_ROW_##field,
#define CHOICE(key, alias, field, def, choices, help)        CONFIG_ROW_##field,
#include "control/config.def"
	CONFIG_ROWS
};

extern const struct option config_row[CONFIG_ROWS];

static inline void *
config_field(const struct config *cfg, const struct option *o)
{
	return (char *)(uintptr_t)cfg + o->at;
}

/* Kafka's name where there is one, and dots: a spelling that kirad takes itself. */
void config_kafka_name(const struct option *o, char ret[CONFIG_NAME_MAX]);
enum config_type config_kafka_type(const struct option *o);
/* The value, as a file would give it; lists with commas. Cut where it is longer. */
void config_text(const struct config *cfg, const struct option *o, char ret[CONFIG_TEXT_MAX]);

#endif
