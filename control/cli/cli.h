/* SPDX-License-Identifier: MIT
 * cli.h - the subcommands of kira. Each gets argv from its own word on and returns the exit status.
 * Thread: main. */
#ifndef KIRA_CLI_H
#define KIRA_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_FAILED = 1,      /* the broker refused, something was not acked, or is damaged */
	CLI_EXIT_USAGE = 2,
	CLI_EXIT_INTERRUPTED = 130 /* 128 + SIGINT, as shells have it */
};

int cli_topic(int argc, char **argv);
int cli_group(int argc, char **argv);
int cli_produce(int argc, char **argv);
int cli_consume(int argc, char **argv);
int cli_stat(int argc, char **argv);
int cli_dump(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_repair(int argc, char **argv);

struct cli_command;

/* Options and words of a subcommand (cli_options.h). False: *status is the exit status, --help was printed or what
 * is wrong with them. */
bool cli_begin(const struct cli_command *c, void *options, size_t size, int argc, char **argv, const char **word,
	unsigned *words, int *status);

/* "kira produce: TEXT" on stderr. Returns `status`. */
int cli_fail(const char *command, const char *text, int status);
/* The same of a file or directory that could not be read, and who might. `rc`: -errno. Returns CLI_EXIT_USAGE. */
int cli_unread(const char *command, const char *text, int rc);

#endif
