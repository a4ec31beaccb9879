/* SPDX-License-Identifier: MIT
 * cli_options.c - read a subcommand's options by its table, and print that table.
 * Thread: main. Owns: nothing; texts stay in argv. Never: opens what an option names. */
#include "control/cli/cli_options.h"

#include "base/option_number.h"

#include <getopt.h>
#include <stdlib.h>

#include "kira_version.h"

#define ROWS_MAX 32
#define VERSION  1 /* no letter, no row */

static bool
number(const struct cli_row *r, const char *text, void *field, struct err *err)
{
	const enum option_number kind = r->kind == CLI_REAL ? OPTION_FRACTION :
		r->kind == CLI_BYTES ? OPTION_BYTES : OPTION_COUNT;
	double value;

	if (!option_number(r->name, text, kind, r->min, r->max, &value, err))
		return false;
	if (r->kind == CLI_REAL)
		*(double *)field = value;
	else
		*(int64_t *)field = (int64_t)value;
	return true;
}

static bool
choose(const struct cli_row *r, const char *text, unsigned *ret, struct err *err)
{
	const size_t n = strlen(text);
	unsigned i = 0;

	for (const char *p = r->arg; *p; i++) {
		const size_t len = strcspn(p, "|");

		if (len == n && memcmp(p, text, n) == 0) {
			*ret = i;
			return true;
		}
		p += len + (p[len] == '|');
	}
	err_set(err, "--%s: \"%s\" is none of %s", r->name, text, r->arg);
	return false;
}

static bool
take(void *options, const struct cli_row *r, const char *text, struct err *err)
{
	void *field = (char *)options + r->at;
	struct cli_list *list = field;

	switch (r->kind) {
	case CLI_TEXT:
		*(const char **)field = text;
		return true;
	case CLI_LIST:
		if (list->n == CLI_LIST_MAX) {
			err_set(err, "--%s: at most %d of them", r->name, CLI_LIST_MAX);
			return false;
		}
		list->item[list->n++] = text;
		return true;
	case CLI_WHOLE:
	case CLI_BYTES:
	case CLI_REAL:
		return number(r, text, field, err);
	case CLI_ON:
	case CLI_OFF:
		*(bool *)field = r->kind == CLI_ON;
		return true;
	case CLI_CHOICE:
		return choose(r, text, field, err);
	}
	return false;
}

static void
help(const struct cli_command *c)
{
	printf("usage: %s %s\n%s\n\n", c->name, c->usage, c->about);
	for (unsigned i = 0; i < c->rows; i++) {
		const struct cli_row *r = &c->row[i];
		char left[64], letter[8] = "    ";

		if (r->letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", r->letter);
		(void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, r->name, r->arg ? " " : "",
			r->arg ? r->arg : "");
		printf("  %-32s %s", left, r->help);
		if (r->otherwise && *r->otherwise && r->arg)
			printf(" [%s]", r->otherwise);
		printf("\n");
	}
	printf("  %-32s this text\n  %-32s the version\n", "-h, --help", "    --version");
	if (c->example)
		printf("\n%s", c->example);
}

/* What getopt_long did not take: a letter or a long flag unknown to it, or one without its value. */
static void
say_bad(const struct cli_command *c, int got, char *const *argv, const struct option *longs,
	struct err *err)
{
	const char *word = argv[optind - 1];

	if (got == ':' && optopt > 0 && optopt < 256)
		err_set(err, "-%c needs a value", optopt);
	else if (got == ':')
		err_set(err, "%s needs a value", word);
	else if (optopt > 0 && optopt < 256)
		err_set(err, "-%c: no such option; %s --help lists them", optopt, c->name);
	else if (strchr(word, '=') && optopt >= 256)
		err_set(err, "--%s takes no value", longs[optopt - 256].name);
	else
		err_set(err, "%s: no such option; %s --help lists them", word, c->name);
}

enum cli_parse
cli_options_parse(const struct cli_command *c, void *options, size_t size, int argc, char **argv,
	const char **word, unsigned *words, struct err *err)
{
	struct option longs[ROWS_MAX + 3] = {0};
	char letters[2 * ROWS_MAX + 4] = ":h";
	size_t n = 0, l = 2;
	int got;

	memset(options, 0, size);
	*words = 0;
	for (unsigned i = 0; i < c->rows && i < ROWS_MAX; i++) {
		const struct cli_row *r = &c->row[i];

		if (r->otherwise && !take(options, r, r->otherwise, err))
			return CLI_BAD;
		/* A row's number is 256 + its index, so that letters keep theirs. */
		longs[n++] = (struct option){r->name, r->arg ? required_argument : no_argument, NULL,
			256 + (int)i};
		if (r->letter)
			letters[l++] = r->letter;
		if (r->letter && r->arg)
			letters[l++] = ':';
	}
	longs[n++] = (struct option){"help", no_argument, NULL, 'h'};
	longs[n++] = (struct option){"version", no_argument, NULL, VERSION};
	opterr = 0;
	optind = 0; /* GNU's: start anew, whatever was parsed before */
	while ((got = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct cli_row *r = NULL;

		if (got == 'h') {
			help(c);
			return CLI_DONE;
		}
		if (got == VERSION) {
			printf("kira %s\n", KIRA_VERSION);
			return CLI_DONE;
		}
		for (unsigned i = 0; i < c->rows && !r; i++)
			if (got == 256 + (int)i || (got < 256 && got == c->row[i].letter))
				r = &c->row[i];
		if (!r) {
			say_bad(c, got, argv, longs, err);
			return CLI_BAD;
		}
		if (!take(options, r, optarg, err))
			return CLI_BAD;
	}
	for (; optind < argc; optind++) {
		if (*words == c->words_max) {
			err_set(err, "%s: unexpected word; %s --help", argv[optind], c->name);
			return CLI_BAD;
		}
		word[(*words)++] = argv[optind];
	}
	return CLI_GO;
}
