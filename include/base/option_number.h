/* SPDX-License-Identifier: MIT
 * option_number.h - the number that a command-line option is given. Any thread; pure. */
#ifndef KIRA_BASE_OPTION_NUMBER_H
#define KIRA_BASE_OPTION_NUMBER_H

#include "base/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A suffix k, m, g means powers of 1024 for bytes, of 1000 else; a fraction has none. */
enum option_number { OPTION_COUNT, OPTION_BYTES, OPTION_REAL, OPTION_FRACTION };

static inline bool
option_suffix(const char *end, enum option_number kind, double *value)
{
	static const char letters[] = "kmg";
	const double step = kind == OPTION_BYTES ? 1024 : 1000;
	const char *at = *end ? strchr(letters, *end | 0x20) : NULL;

	if (*end == '\0')
		return true;
	if (!at || end[1] != '\0' || kind == OPTION_FRACTION)
		return false;
	for (const char *p = letters; p <= at; p++)
		*value *= step;
	return true;
}

/* `name` without dashes, for the sentence. A count and bytes are whole numbers. */
static inline bool
option_number(const char *name, const char *text, enum option_number kind, double min, double max,
	double *ret, struct err *err)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (end == text || errno != 0 || !option_suffix(end, kind, &value)) {
		err_set(err, "--%s: \"%s\" is not a number", name, text);
		return false;
	}
	if (!(value >= min && value <= max)) {
		err_set(err, "--%s: %s is outside %.15g..%.15g", name, text, min, max);
		return false;
	}
	if (kind <= OPTION_BYTES && value != (value < 0 ? (double)(int64_t)value : (double)(uint64_t)value)) {
		err_set(err, "--%s: %s is not a whole number", name, text);
		return false;
	}
	*ret = value;
	return true;
}

#endif
