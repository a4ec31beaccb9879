/* SPDX-License-Identifier: MIT
 * format.c - see format.h. Thread: main. Never: allocates. */
#include "control/cli/format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

static const char format_letters[] = "sSkKpotT";

/* One escape at *text, which stands on the backslash; moves it behind. -1: unknown. */
static int
escape(const char **text)
{
	static const char from[] = "tnr0\\", to[] = "\t\n\r\0\\";
	const char c = (*text)[1];
	const char *at = c ? strchr(from, c) : NULL;

	if (at) {
		*text += 2;
		return (uint8_t)to[at - from];
	}
	if (c == 'x' && (*text)[2] && (*text)[3]) {
		const char hex[3] = {(*text)[2], (*text)[3], 0};
		char *end;
		const long v = strtol(hex, &end, 16);

		if (end == hex + 2) {
			*text += 4;
			return (int)v;
		}
	}
	return -1;
}

int
format_unescape(char *ret, size_t room, const char *text, struct err *err)
{
	size_t n = 0;

	while (*text) {
		const int c = *text == '\\' ? escape(&text) : (uint8_t)*text++;

		if (c < 0) {
			err_set(err, "\"%.4s\": the escapes are \\t \\n \\r \\0 \\\\ \\xHH", text);
			return -EINVAL;
		}
		if (n == room) {
			err_set(err, "longer than %zu bytes", room);
			return -EINVAL;
		}
		ret[n++] = (char)c;
	}
	return (int)n;
}

int
format_parse(struct format *f, const char *text, struct err *err)
{
	size_t used = 0, from = 0;

	f->n = 0;
	for (;;) {
		const bool letter = text[0] == '%' && text[1] != '%';
		int c;

		/* A literal ends at a letter and at the end. */
		if ((letter || !*text) && used > from) {
			f->piece[f->n].what = 0;
			f->piece[f->n].text = f->memory + from;
			f->piece[f->n++].length = used - from;
			from = used;
		}
		if (!*text)
			return 0;
		if (f->n + 2 > FORMAT_PIECES_MAX || used == sizeof(f->memory)) {
			err_set(err, "the format is too long");
			return -EINVAL;
		}
		if (letter) {
			if (!text[1] || !strchr(format_letters, text[1])) {
				err_set(err, "%.2s: the letters are %%s %%S %%k %%K %%p %%o %%t %%T %%%%", text);
				return -EINVAL;
			}
			f->piece[f->n++].what = text[1];
			text += 2;
			continue;
		}
		if (text[0] == '%') {
			c = '%';
			text += 2;
		} else {
			c = *text == '\\' ? escape(&text) : (uint8_t)*text++;
		}
		if (c < 0) {
			err_set(err, "\"%.4s\": the escapes are \\t \\n \\r \\0 \\\\ \\xHH", text);
			return -EINVAL;
		}
		f->memory[used++] = (char)c;
	}
}

static void
put(const void *p, size_t n, FILE *to)
{
	if (p && n > 0)
		(void)fwrite_unlocked(p, 1, n, to);
}

void
format_print(const struct format *f, const struct format_record *r, FILE *to)
{
	for (unsigned i = 0; i < f->n; i++) {
		switch (f->piece[i].what) {
		case 0:
			put(f->piece[i].text, f->piece[i].length, to);
			break;
		case 's':
			put(r->value, r->value_length, to);
			break;
		case 'S':
			(void)fprintf(to, "%" PRId64, r->value ? (int64_t)r->value_length : -1);
			break;
		case 'k':
			put(r->key, r->key_length, to);
			break;
		case 'K':
			(void)fprintf(to, "%" PRId64, r->key ? (int64_t)r->key_length : -1);
			break;
		case 'p':
			(void)fprintf(to, "%" PRId32, r->partition);
			break;
		case 'o':
			(void)fprintf(to, "%" PRId64, r->offset);
			break;
		case 't':
			put(r->topic, strlen(r->topic), to);
			break;
		case 'T':
			(void)fprintf(to, "%" PRId64, r->timestamp_ms);
			break;
		}
	}
}
