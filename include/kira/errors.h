/* SPDX-License-Identifier: MIT
 * errors.h - Kafka's error codes, as Kira uses them. Source: errors.def. Any thread. */
#ifndef KIRA_ERRORS_H
#define KIRA_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

enum kira_error {
#define KIRA_ERROR(number, name, retriable, meaning) KIRA_E_##name = number,
#include "kira/errors.def"
#undef KIRA_ERROR
};

/* "CORRUPT_MESSAGE"; "UNKNOWN" for a number not in the table. */
static inline const char *
kira_error_name(int16_t code)
{
	switch (code) {
#define KIRA_ERROR(number, name, retriable, meaning)                                               \
	case number:                                                                               \
		return #name;
#include "kira/errors.def"
#undef KIRA_ERROR
	default:
		return "UNKNOWN";
	}
}

/* What it means here, for a log line or a tool's message. */
static inline const char *
kira_error_meaning(int16_t code)
{
	switch (code) {
#define KIRA_ERROR(number, name, retriable, meaning)                                               \
	case number:                                                                               \
		return meaning;
#include "kira/errors.def"
#undef KIRA_ERROR
	default:
		return "error code not known to this version of Kira";
	}
}

static inline bool
kira_error_retriable(int16_t code)
{
	switch (code) {
#define KIRA_ERROR(number, name, retriable, meaning)                                               \
	case number:                                                                               \
		return retriable;
#include "kira/errors.def"
#undef KIRA_ERROR
	default:
		return false;
	}
}

#endif
