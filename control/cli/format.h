/* SPDX-License-Identifier: MIT
 * format.h - what kira consume prints of a record, in kcat's letters, and escapes such as \t in an
 * option. Pure but for the stream. Thread: main. */
#ifndef KIRA_CLI_FORMAT_H
#define KIRA_CLI_FORMAT_H

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>

#define FORMAT_PIECES_MAX 64

struct format {
	unsigned n;
	struct {
		char what;        /* a letter of format_letters, or 0: `text` as it is */
		const char *text;
		size_t length;
	} piece[FORMAT_PIECES_MAX];
	char memory[1024];        /* the literal texts, escapes replaced */
};

struct format_record {
	const char *topic;
	int32_t partition;
	int64_t offset, timestamp_ms;
	const void *key, *value;  /* NULL: null */
	size_t key_length, value_length;
};

/* %s value, %S its length, %k key, %K its length (both -1 where null), %p partition, %o offset,
 * %t topic, %T timestamp in ms, %%. */
int format_parse(struct format *f, const char *text, struct err *err);
void format_print(const struct format *f, const struct format_record *r, FILE *to);

/* \t \n \r \0 \\ \xHH. Returns the length, -EINVAL where `room` is too small or the escape unknown. */
int format_unescape(char *ret, size_t room, const char *text, struct err *err);

#endif
