/* SPDX-License-Identifier: MIT
 * lines.h - lines from a file descriptor, as records of kira produce. Thread: main. */
#ifndef KIRA_CLI_LINES_H
#define KIRA_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Above every record that a broker takes (max.message.bytes, 1 MiB by default; more, up to 5 MiB, would
 * need a larger batch than libkira builds). A longer line is skipped, and said. */
#define LINE_BYTES_MAX ((size_t)2 << 20)

struct lines {
	char *p;
	size_t room, from, to; /* p[from..to): read, not taken */
	bool end;              /* of the input */
	bool skipping;         /* inside a line that was too long */
};

enum line { LINE_NONE, LINE_OK, LINE_LONG };

int lines_open(struct lines *l);
void lines_close(struct lines *l);

/* One read(). Returns its result, or -errno; 0: the end. */
ssize_t lines_fill(struct lines *l, int fd);

/* The next line, without its \n; valid until the next lines_fill(). What stands behind the last \n
 * is a line, too, once the end is known. LINE_LONG: one was skipped. LINE_NONE: fill first, or done. */
enum line lines_next(struct lines *l, const char **text, size_t *length);

/* Split at the first separator. False: there is none, all of it is the value. */
bool lines_split(const char *text, size_t length, const char *separator, size_t separator_length,
	size_t *key_length);

#endif
