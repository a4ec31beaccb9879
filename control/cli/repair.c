/* SPDX-License-Identifier: MIT
 * repair.c - kira repair: damage that kirad refuses to cut, decided offline by whoever calls it.
 * Thread: main. Asks nothing; holds the directory's lock. */
#include "control/cli/cli.h"
#include "control/cli/cli_options.h"

#include "storage/repair.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME "kira repair"

struct repair_options {
	bool truncate, skip, dry_run;
};

#define AT(field) offsetof(struct repair_options, field)
static const struct cli_row rows[] = {
	{"truncate", 't', NULL, CLI_ON, AT(truncate), 0, 0, NULL,
		"end each broken log before its first broken place; the offsets behind it are given out again, in\n"
		"                                   a new leader epoch"},
	{"skip", 's', NULL, CLI_ON, AT(skip), 0, 0, NULL,
		"cut out what is broken and go on behind it: all whole batches stay, readers pass over the holes"},
	{"dry-run", 'n', NULL, CLI_ON, AT(dry_run), 0, 0, NULL, "say what would be done, and do nothing"},
};
#undef AT

static const struct cli_command command = {
	NAME, "DATA_DIR [TOPIC-PARTITION] [--truncate | --skip] [--dry-run]",
	"Give up records that are damaged, so that a halted partition runs again. kirad must not run. Without\n"
	"--truncate or --skip: say what is broken and what either would cost, and change nothing.\n"
	"A copy of the damaged files, put back, loses nothing: look for one first.",
	rows, ARRAY_LENGTH(rows), 2,
	"What leaves the log stays beside it as <offset>.log.bad until somebody removes it. Cut short by a crash,\n"
	"run it again. `kira check DATA_DIR` finds nothing afterwards.\n"
	"Exit: 0 nothing is broken, or all of it was repaired; 1 something is broken and was not touched; 2 it\n"
	"could not be done.\n"
	"Example:\n"
	"  kira repair /var/lib/kira\n"
	"  kira repair /var/lib/kira orders-3 --skip\n"};

struct session {
	struct repair r;
	const struct repair_options *o;
};

static void
line(void *arg, enum repair_line kind, const char *path, const char *text)
{
	const struct session *s = arg;
	const bool done = s->r.mode != REPAIR_LOOK && !s->r.dry;
	const char *word = kind == REPAIR_BROKEN ? "broken" : kind == REPAIR_LOSES ? (done ? "lost" : "would") :
		done ? "mended" : "mend";

	printf("%-7s %s: %s\n", word, path, text);
}

int
cli_repair(int argc, char **argv)
{
	struct repair_options o;
	struct session s = {.r = {.say = line}, .o = &o};
	struct err err = {""};
	const char *word[2];
	unsigned words;
	bool left;
	int status, rc;

	if (!cli_begin(&command, &o, sizeof(o), argc, argv, word, &words, &status))
		return status;
	if (words == 0)
		return cli_fail(NAME, "which directory? kira repair DATA_DIR", CLI_EXIT_USAGE);
	if (o.truncate && o.skip)
		return cli_fail(NAME, "--truncate and --skip: one of the two", CLI_EXIT_USAGE);
	s.r.arg = &s;
	s.r.mode = o.truncate ? REPAIR_TRUNCATE : o.skip ? REPAIR_SKIP : REPAIR_LOOK;
	s.r.dry = o.dry_run;
	s.r.partition = words > 1 ? word[1] : NULL;
	rc = repair_directory(&s.r, word[0], &err);
	if (rc == 0)
		printf("%s: %" PRIu64 " partitions read, %" PRIu64 " broken, %" PRIu64 " repaired, %" PRIu64
			" offsets lost\n", word[0], s.r.partitions, s.r.broken, s.r.repaired,
			s.r.repaired ? s.r.offsets_lost : 0);
	if (fflush(stdout) != 0)
		return cli_fail(NAME, "standard output cannot be written", CLI_EXIT_USAGE);
	if (rc < 0)
		return cli_unread(NAME, err.text, rc);
	left = s.r.broken > s.r.repaired;
	if (left && s.r.mode == REPAIR_LOOK)
		printf("decide: kira repair %s%s%s --truncate, or --skip\n", word[0], words > 1 ? " " : "",
			words > 1 ? word[1] : "");
	return left ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
