/* SPDX-License-Identifier: MIT
 * history.c - see the header. */
#include "tests/sim/history.h"

#include "base/bits.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Fields by letter, in the order of the line. */
static const struct {
	const char *word, *fields;
} kind_table[EVENTS] = {
	[EVENT_RUN] = {"run", "tn"},
	[EVENT_READY] = {"ready", "t"},
	[EVENT_KILL] = {"kill", "t"},
	[EVENT_POWER] = {"power", "t"},
	[EVENT_STOP] = {"stop", "t"},
	[EVENT_PAUSE] = {"pause", "tn"},
	[EVENT_EPOCH] = {"epoch", "plo"},
	[EVENT_START] = {"start", "po"},
	[EVENT_HOLE] = {"hole", "poE"},
	[EVENT_PRODUCER] = {"producer", "iP"},
	[EVENT_SEND] = {"send", "tiescph"},
	[EVENT_ACK] = {"ack", "tiespLol"},
	[EVENT_READER] = {"reader", "rpL"},
	[EVENT_FROM] = {"from", "ro"},
	[EVENT_AGAIN] = {"again", "ro"},
	[EVENT_READ] = {"read", "trocliesh"},
	[EVENT_ENDS] = {"ends", "rodvE"},
	[EVENT_FINAL] = {"final", "poE"},
	[EVENT_FOUND] = {"found", "pocliesh"},
};

static const struct {
	char letter;
	size_t at;
} number_table[] = {
	{'t', offsetof(struct event, time)}, {'i', offsetof(struct event, id)},
	{'e', offsetof(struct event, epoch)}, {'s', offsetof(struct event, sequence)},
	{'c', offsetof(struct event, count)}, {'o', offsetof(struct event, offset)},
	{'E', offsetof(struct event, end)}, {'d', offsetof(struct event, durable)},
	{'v', offsetof(struct event, visible)}, {'l', offsetof(struct event, leader)},
	{'n', offsetof(struct event, number)},
};

static bool
read_word(struct event *e, const char *word, size_t n, char letter)
{
	static const char *const level[] = {"none", "log", "disk"}, *const how[] = {"exactly", "plain"};
	const char *const *words = letter == 'L' ? level : how;

	for (unsigned i = 0; i < (letter == 'L' ? 3u : 2u); i++) {
		if (strlen(words[i]) == n && memcmp(words[i], word, n) == 0) {
			e->word = i;
			return true;
		}
	}
	return false;
}

static bool
read_field(struct event *e, char letter, const char **text)
{
	const size_t n = strcspn(*text, " ");
	const char *from = *text;
	char *end;
	long long v;

	*text += n;
	if (n == 0)
		return false;
	if (letter == 'L' || letter == 'P')
		return read_word(e, from, n, letter);
	errno = 0;
	if (letter == 'h') {
		e->hash = strtoull(from, &end, 16);
		return end == *text && errno == 0;
	}
	v = strtoll(from, &end, 10);
	if (end != *text || errno != 0)
		return false;
	if (letter == 'p' || letter == 'r') {
		*(letter == 'p' ? &e->part : &e->reader) = (unsigned)v;
		return v >= 0 && v < (letter == 'p' ? HISTORY_PARTITIONS : HISTORY_READERS);
	}
	for (unsigned i = 0; i < ARRAY_LENGTH(number_table); i++)
		if (number_table[i].letter == letter)
			*(int64_t *)(void *)((char *)e + number_table[i].at) = v;
	return true;
}

static bool
read_line(struct event *e, const char *text)
{
	const size_t n = strcspn(text, " ");
	unsigned kind = 0;

	while (kind < EVENTS && (strlen(kind_table[kind].word) != n ||
				       memcmp(kind_table[kind].word, text, n) != 0))
		kind++;
	if (kind == EVENTS)
		return false;
	*e = (struct event){.kind = (enum event_kind)kind};
	text += n;
	for (const char *f = kind_table[kind].fields; *f; f++) {
		if (*text != ' ')
			return false;
		text++;
		if (!read_field(e, *f, &text))
			return false;
	}
	return *text == 0;
}

int
history_open(struct history_file *h, const char *name, struct err *err)
{
	*h = (struct history_file){.name = name, .f = fopen(name, "re")};
	if (!h->f) {
		err_sys(err, -errno, "open %s", name);
		return -ENOENT;
	}
	return 0;
}

int
history_next(struct history_file *h, struct event *ret, struct err *err)
{
	ssize_t n;

	while ((n = getline(&h->text, &h->room, h->f)) > 0) {
		if (h->text[n - 1] != '\n')
			return 0; /* its writer was killed over it */
		h->text[n - 1] = 0;
		h->line++;
		if (h->text[0] == '#' || h->text[0] == 0)
			continue;
		if (read_line(ret, h->text))
			return 1;
		err_set(err, "%s:%u: not a line of a history: %.100s", h->name, h->line, h->text);
		return -EINVAL;
	}
	return 0;
}

void
history_close(struct history_file *h)
{
	if (h->f)
		(void)fclose(h->f);
	free(h->text);
	*h = (struct history_file){0};
}
