/* SPDX-License-Identifier: MIT
 * kira.c - the tool `kira`: finds the subcommand, prints help and version.
 * Thread: main. Never: does the work of a subcommand. */
#include "control/cli/cli.h"
#include "control/cli/cli_options.h"

#include "base/bits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kira_version.h"

static const struct {
	const char *name, *help;
	int (*run)(int argc, char **argv);
} command_table[] = {
	{"topic", "create, list, describe, alter, delete topics; delete records", cli_topic},
	{"group", "list, describe, reset, delete consumer groups", cli_group},
	{"produce", "send lines from standard input", cli_produce},
	{"consume", "print records", cli_consume},
	{"stat", "counters of the kirad on this host", cli_stat},
	{"dump", "print and verify segments, indexes, snapshots", cli_dump},
	{"check", "judge a whole data directory, kirad stopped", cli_check},
	{"repair", "give up damaged records, so that a halted partition runs again", cli_repair},
};

int
cli_fail(const char *command, const char *text, int status)
{
	(void)fflush(stdout); /* in this order where both are one */
	fprintf(stderr, "%s: %s\n", command, text);
	return status;
}

int
cli_unread(const char *command, const char *text, int rc)
{
	char line[768];

	(void)snprintf(line, sizeof(line), "%s%s", text,
		rc == -EACCES || rc == -EPERM ? "; run it as the user that kirad runs as, or as root" : "");
	return cli_fail(command, line, CLI_EXIT_USAGE);
}

bool
cli_begin(const struct cli_command *c, void *options, size_t size, int argc, char **argv, const char **word,
	unsigned *words, int *status)
{
	struct err err = {""};

	switch (cli_options_parse(c, options, size, argc, argv, word, words, &err)) {
	case CLI_DONE:
		*status = CLI_EXIT_OK;
		return false;
	case CLI_BAD:
		*status = cli_fail(c->name, err.text, CLI_EXIT_USAGE);
		return false;
	case CLI_GO:
		break;
	}
	return true;
}

static void
help(FILE *to)
{
	fprintf(to, "usage: kira COMMAND [OPTIONS]\n\n");
	for (unsigned i = 0; i < ARRAY_LENGTH(command_table); i++)
		fprintf(to, "  %-10s %s\n", command_table[i].name, command_table[i].help);
	fprintf(to, "\n`kira COMMAND --help` lists the options of a command. `kira --version`.\n"
		    "Exit: 0 done; 1 the broker refused or a record was not acked, or a file\n"
		    "is damaged; 2 wrong usage, or it could not be checked.\n"
		    "Example:\n"
		    "  kira topic create t --partitions 4\n"
		    "  seq 1 1000 | kira produce --topic t\n"
		    "  kira consume --topic t -e\n");
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return CLI_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		help(stdout);
		return CLI_EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("kira %s\n", KIRA_VERSION);
		return CLI_EXIT_OK;
	}
	for (unsigned i = 0; i < ARRAY_LENGTH(command_table); i++)
		if (strcmp(argv[1], command_table[i].name) == 0)
			return command_table[i].run(argc - 1, argv + 1);
	fprintf(stderr, "kira: %s: no such command; kira --help lists them\n", argv[1]);
	return CLI_EXIT_USAGE;
}
