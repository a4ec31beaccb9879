/* SPDX-License-Identifier: MIT
 * lines.c - see lines.h. Thread: main. Owns: the buffer. Never: blocks but in read(). */
#include "control/cli/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 << 10)

int
lines_open(struct lines *l)
{
	*l = (struct lines){.room = 2 * READ_BYTES};
	l->p = malloc(l->room);
	return l->p ? 0 : -ENOMEM;
}

void
lines_close(struct lines *l)
{
	free(l->p);
	l->p = NULL;
}

ssize_t
lines_fill(struct lines *l, int fd)
{
	ssize_t n;

	if (l->from > 0) {
		memmove(l->p, l->p + l->from, l->to - l->from);
		l->to -= l->from;
		l->from = 0;
	}
	if (l->room - l->to < READ_BYTES) {
		char *more = realloc(l->p, 2 * l->room);

		if (!more)
			return -ENOMEM;
		l->p = more;
		l->room *= 2;
	}
	n = read(fd, l->p + l->to, READ_BYTES);
	if (n < 0)
		return -errno;
	l->to += (size_t)n;
	l->end = n == 0;
	return n;
}

enum line
lines_next(struct lines *l, const char **text, size_t *length)
{
	const char *p = l->p + l->from;
	const size_t have = l->to - l->from;
	const char *nl = have > 0 ? memchr(p, '\n', have) : NULL;
	const bool skipping = l->skipping;

	if (!nl && !l->end) {
		/* Too long already: forget its beginning, it would only grow. */
		if (skipping || have > LINE_BYTES_MAX) {
			l->skipping = true;
			l->from = l->to;
		}
		return LINE_NONE;
	}
	if (!nl && have == 0) {
		l->skipping = false;
		return skipping ? LINE_LONG : LINE_NONE;
	}
	*text = p;
	*length = nl ? (size_t)(nl - p) : have;
	l->from += *length + (nl != NULL);
	l->skipping = false;
	return skipping || *length > LINE_BYTES_MAX ? LINE_LONG : LINE_OK;
}

bool
lines_split(const char *text, size_t length, const char *separator, size_t separator_length,
	size_t *key_length)
{
	const char *at =
		separator_length > 0 ? memmem(text, length, separator, separator_length) : NULL;

	if (!at)
		return false;
	*key_length = (size_t)(at - text);
	return true;
}
