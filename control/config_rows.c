/* SPDX-License-Identifier: MIT
 * config_rows.c - config.def as a table, and its rows as text: for --help and for DescribeConfigs.
 * Pure; any thread. */
#include "control/config_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct option config_row[CONFIG_ROWS] = {
#define AT(field) offsetof(struct config, field)
#define STRING(key, alias, field, def, help) {key, alias, KIND_STRING, AT(field), def, 0, 0, 0, "", help},
#define LIST(key, alias, field, help) {key, alias, KIND_LIST, AT(field), "", 0, 0, 0, "", help},
#define NUMBER(key, alias, field, def, min, max, unit, help)                                       \
	{key, alias, KIND_NUMBER, AT(field), "", def, min, max, unit, help},
#define FRACTION(key, alias, field, def, min, max, help)                                           \
	{key, alias, KIND_FRACTION, AT(field), "", def, min, max, "", help},
#define FLAG(key, alias, field, def, help) {key, alias, KIND_FLAG, AT(field), "", def, 0, 1, "", help},
#define CHOICE(key, alias, field, def, choices, help)                                              \
	{key, alias, KIND_CHOICE, AT(field), choices, 0, 0, 0, def, help},
#include "control/config.def"
};

void
config_kafka_name(const struct option *o, char ret[CONFIG_NAME_MAX])
{
	(void)snprintf(ret, CONFIG_NAME_MAX, "%s", *o->alias ? o->alias : o->key);
	for (char *p = ret; *p; p++)
		if (*p == '-')
			*p = '.';
}

enum config_type
config_kafka_type(const struct option *o)
{
	switch (o->kind) {
	case KIND_FLAG:
		return CONFIG_BOOLEAN;
	case KIND_NUMBER:
		return o->max <= INT32_MAX ? CONFIG_INT : CONFIG_LONG;
	case KIND_FRACTION:
		return CONFIG_DOUBLE;
	case KIND_LIST:
		return CONFIG_LIST;
	case KIND_STRING:
	case KIND_CHOICE:
		break;
	}
	return CONFIG_STRING;
}

static void
list_text(const struct config_list *list, char ret[CONFIG_TEXT_MAX])
{
	size_t n = 0;

	ret[0] = 0;
	for (unsigned i = 0; i < list->n && n < CONFIG_TEXT_MAX - 1; i++)
		n += (size_t)snprintf(ret + n, CONFIG_TEXT_MAX - n, "%s%s", i ? "," : "", list->item[i]);
}

static void
choice_text(const char *choices, unsigned i, char ret[CONFIG_TEXT_MAX])
{
	for (; i > 0; i--)
		choices += strcspn(choices, "|") + 1;
	(void)snprintf(ret, CONFIG_TEXT_MAX, "%.*s", (int)strcspn(choices, "|"), choices);
}

void
config_text(const struct config *cfg, const struct option *o, char ret[CONFIG_TEXT_MAX])
{
	const void *field = config_field(cfg, o);

	switch (o->kind) {
	case KIND_STRING:
		(void)snprintf(ret, CONFIG_TEXT_MAX, "%s", *(char *const *)field);
		break;
	case KIND_LIST:
		list_text(field, ret);
		break;
	case KIND_NUMBER:
		(void)snprintf(ret, CONFIG_TEXT_MAX, "%" PRId64, *(const int64_t *)field);
		break;
	case KIND_FRACTION:
		(void)snprintf(ret, CONFIG_TEXT_MAX, "%g", *(const double *)field);
		break;
	case KIND_FLAG:
		(void)snprintf(ret, CONFIG_TEXT_MAX, "%s", *(const bool *)field ? "true" : "false");
		break;
	case KIND_CHOICE:
		choice_text(o->text, *(const unsigned *)field, ret);
		break;
	}
}

void
config_print(void (*line)(void *arg, const char *text), void *arg)
{
	char text[512], about[128];

	for (unsigned i = 0; i < CONFIG_ROWS; i++) {
		const struct option *o = &config_row[i];

		about[0] = 0;
		if (o->kind == KIND_NUMBER)
			(void)snprintf(about, sizeof(about), " [%.0f%s%s]", o->def, *o->unit ? " " : "",
				o->unit);
		else if (o->kind == KIND_FRACTION)
			(void)snprintf(about, sizeof(about), " [%.2f]", o->def);
		else if (o->kind == KIND_FLAG)
			(void)snprintf(about, sizeof(about), " [%s]", o->def != 0 ? "true" : "false");
		else if (o->kind == KIND_CHOICE)
			(void)snprintf(about, sizeof(about), " (%s) [%s]", o->text, o->unit);
		else if (*o->text)
			(void)snprintf(about, sizeof(about), " [%s]", o->text);
		(void)snprintf(text, sizeof(text), "  --%-30s %s%s", o->key, o->help, about);
		line(arg, text);
	}
}
