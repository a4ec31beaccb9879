/* SPDX-License-Identifier: MIT
 * actions.h - subcommands of several actions that ask a broker: kira topic, kira group. Thread: main. */
#ifndef KIRA_CLI_ACTIONS_H
#define KIRA_CLI_ACTIONS_H

#include "control/cli/cli.h"
#include "control/cli/cli_kafka.h"
#include "control/cli/cli_options.h"

#define ACTION_WORDS_MAX 64 /* names in one call */

/* What an action is given. */
struct action_call {
	struct cli_kafka kafka;
	const char *command;  /* "kira topic create": of its messages */
	const void *options;  /* the subcommand's struct */
	const char *word[ACTION_WORDS_MAX];
	unsigned words;
};

struct action {
	const char *word, *help;
	unsigned words_min;
	/* Returns the exit status; err: a sentence to be printed with it. */
	int (*run)(struct action_call *call, struct err *err);
	struct cli_command command;
};

struct actions {
	const char *command; /* "kira topic" */
	const char *of;      /* what its words name: "topic" */
	const struct action *action;
	unsigned n;
	size_t bootstrap_at; /* in the options: a const char * */
};

/* Find the action that argv[1] names, read its options into `options` (`size` bytes) and run it. Returns the exit
 * status. */
int actions_run(const struct actions *all, void *options, size_t size, int argc, char **argv);

#endif
