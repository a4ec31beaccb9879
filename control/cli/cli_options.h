/* SPDX-License-Identifier: MIT
 * cli_options.h - one option table per subcommand: a row makes the long flag, its letter, its bounds,
 * its default and its line in --help. Thread: main, before anything else runs. */
#ifndef KIRA_CLI_OPTIONS_H
#define KIRA_CLI_OPTIONS_H

#include "base/bits.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_kind {
	CLI_TEXT,   /* const char * */
	CLI_LIST,   /* struct cli_list; the option may be repeated */
	CLI_WHOLE,  /* int64_t; suffixes k, m, g: powers of 1000 */
	CLI_BYTES,  /* int64_t; powers of 1024 */
	CLI_REAL,   /* double */
	CLI_ON,     /* bool */
	CLI_OFF,
	CLI_CHOICE, /* unsigned, an index into `arg`, which is "a|b|c" */
};

#define CLI_LIST_MAX 64

struct cli_list {
	const char *item[CLI_LIST_MAX];
	unsigned n;
};

struct cli_row {
	const char *name;
	char letter;           /* 0: none */
	const char *arg;       /* NULL: takes no value */
	enum cli_kind kind;
	size_t at;             /* of its field */
	double min, max;
	const char *otherwise; /* the default, as typed; NULL: none */
	const char *help;
};

struct cli_command {
	const char *name;      /* "kira produce": of the messages too */
	const char *usage;     /* behind the name */
	const char *about;
	const struct cli_row *row;
	unsigned rows;
	unsigned words_max;    /* words that belong to no option */
	const char *example;
};

/* Every subcommand that talks to a broker has it. */
#define CLI_BOOTSTRAP(field)                                                                       \
	{"bootstrap", 'b', "HOST:PORT", CLI_TEXT, field, 0, 0, "127.0.0.1:9092",                   \
		"the broker's Kafka port"}

enum cli_parse {
	CLI_GO,
	CLI_DONE, /* --help, --version: printed */
	CLI_BAD,  /* err says why */
};

/* `argv[0]` is the subcommand's own word. Fills *options (its `size` bytes are cleared first); words
 * go to word[0..*words-1]. */
enum cli_parse cli_options_parse(const struct cli_command *c, void *options, size_t size, int argc,
	char **argv, const char **word, unsigned *words, struct err *err);

#endif
