/* SPDX-License-Identifier: MIT
 * actions.c - from `kira topic create ..` to the function that does it. Thread: main. */
#include "control/cli/actions.h"

#include <stdio.h>
#include <string.h>

static int
help(const struct actions *all, FILE *to, int status)
{
	fprintf(to, "usage: %s ACTION NAME.. [OPTIONS]\n\n", all->command);
	for (unsigned i = 0; i < all->n; i++)
		fprintf(to, "  %-15s %s\n", all->action[i].word, all->action[i].help);
	fprintf(to, "\n`%s ACTION --help` lists the options of an action.\n", all->command);
	return status;
}

static int
run(const struct actions *all, const struct action *a, void *options, size_t size, int argc, char **argv)
{
	struct action_call call = {.command = a->command.name, .options = options};
	const char *bootstrap;
	struct err err = {""};
	int status;

	if (!cli_begin(&a->command, options, size, argc, argv, call.word, &call.words, &status))
		return status;
	if (call.words < a->words_min) {
		err_set(&err, "the name of a %s is missing; %s --help", all->of, call.command);
		return cli_fail(call.command, err.text, CLI_EXIT_USAGE);
	}
	memcpy(&bootstrap, (const char *)options + all->bootstrap_at, sizeof(bootstrap));
	/* A consumer, because asking about a topic as a producer makes it. */
	if (cli_kafka_open(&call.kafka, RD_KAFKA_CONSUMER, bootstrap, NULL, &err) < 0)
		return cli_fail(call.command, err.text, CLI_EXIT_USAGE);
	status = a->run(&call, &err);
	cli_kafka_close(&call.kafka);
	return *err.text ? cli_fail(call.command, err.text, status) : status;
}

int
actions_run(const struct actions *all, void *options, size_t size, int argc, char **argv)
{
	if (argc < 2)
		return help(all, stderr, CLI_EXIT_USAGE);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help(all, stdout, CLI_EXIT_OK);
	for (unsigned i = 0; i < all->n; i++)
		if (strcmp(argv[1], all->action[i].word) == 0)
			return run(all, &all->action[i], options, size, argc - 1, argv + 1);
	fprintf(stderr, "%s: %s: no such action; %s --help lists them\n", all->command, argv[1], all->command);
	return CLI_EXIT_USAGE;
}
