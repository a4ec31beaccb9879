/* SPDX-License-Identifier: MIT
 * check.c - kira check: a data directory judged offline, a line per finding.
 * Thread: main. Changes nothing; holds the directory's lock while it reads. */
#include "control/cli/cli.h"
#include "control/cli/cli_options.h"

#include "storage/inspect.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define NAME "kira check"

struct check_options {
	bool quiet;
	const char *copy;
};

#define AT(field) offsetof(struct check_options, field)
static const struct cli_row rows[] = {
	{"quiet", 'q', NULL, CLI_ON, AT(quiet), 0, 0, NULL, "damage only, no notes"},
	{"copy", 'c', "NEW_DIR", CLI_TEXT, AT(copy), 0, 0, NULL,
		"copy what is durable into a new directory first, and check that: kirad may run"},
};
#undef AT

static const struct cli_command command = {
	NAME, "DATA_DIR [OPTIONS]",
	"Read all of kirad's data directory and say what is damaged, where, and what to do. kirad must not run,\n"
	"but for --copy.",
	rows, ARRAY_LENGTH(rows), 1,
	"Lines: damage or note, FILE: position, offset: what; what to do. The last line counts.\n"
	"Exit: 0 no damage; 1 damage; 2 it could not be checked.\n"
	"Example:\n"
	"  kira check /var/lib/kira\n"
	"  kira check /var/lib/kira --copy /backup/kira\n"};

struct check {
	struct inspect in;
	const struct check_options *o;
	uint64_t started_ns, said_ns;
	bool terminal, line; /* line: a progress line stands there */
};

static void
clear_line(struct check *c)
{
	if (c->line)
		fprintf(stderr, "\r\033[K");
	c->line = false;
}

static void
found(void *arg, const struct inspect_finding *f)
{
	struct check *c = arg;

	if (f->level == INSPECT_NOTE && c->o->quiet)
		return;
	clear_line(c);
	printf("%s  %s:", f->level == INSPECT_DAMAGE ? "damage" : "note  ", f->file);
	if (f->position >= 0)
		printf(" position %" PRId64, f->position);
	if (f->offset >= 0)
		printf("%s offset %" PRId64, f->position >= 0 ? "," : "", f->offset);
	printf("%s %s%s%s\n", f->position >= 0 || f->offset >= 0 ? ":" : "", f->what, f->cure ? "; " : "",
		f->cure ? f->cure : "");
}

static void
progress(void *arg)
{
	struct check *c = arg;
	const uint64_t now_ns = clock_now_ns();

	/* Four times a second, once it has taken longer than one. */
	if (now_ns - c->started_ns < NS_PER_S || now_ns - c->said_ns < NS_PER_S / 4)
		return;
	c->said_ns = now_ns;
	c->line = true;
	fprintf(stderr, "\r\033[K%" PRIu64 " MiB, %" PRIu64 " partitions, %" PRIu64 " damaged places ..",
		c->in.bytes >> 20, c->in.partitions, c->in.damages);
	(void)fflush(stderr);
}

int
cli_check(int argc, char **argv)
{
	struct check_options o;
	struct check c = {.in = {.found = found}, .o = &o};
	struct err err = {""};
	const char *word[1];
	unsigned words;
	int status, rc;

	if (!cli_begin(&command, &o, sizeof(o), argc, argv, word, &words, &status))
		return status;
	if (words != 1)
		return cli_fail(NAME, "which directory? kira check DATA_DIR", CLI_EXIT_USAGE);
	c.in.arg = &c;
	c.started_ns = clock_now_ns();
	if (isatty(STDERR_FILENO))
		c.in.progress = progress;
	rc = o.copy ? inspect_copy(&c.in, word[0], o.copy, &err) : 0;
	if (rc == 0)
		rc = inspect_directory(&c.in, o.copy ? o.copy : word[0], &err);
	clear_line(&c);
	if (rc < 0)
		return cli_unread(NAME, err.text, rc);
	printf("%s: %" PRIu64 " damaged places, %" PRIu64 " notes; %" PRIu64 " partitions, %" PRIu64
		" segments, %" PRIu64 " batches, %" PRIu64 " records, %" PRIu64 " bytes checked in %.1f s\n",
		o.copy ? o.copy : word[0], c.in.damages, c.in.notes, c.in.partitions, c.in.segments, c.in.batches, c.in.records,
		c.in.bytes, (double)(clock_now_ns() - c.started_ns) / 1e9);
	if (c.in.damages)
		fprintf(stderr, NAME ": put back copies of what is damaged; without one, `kira repair %s` says what it "
			"costs\n", word[0]);
	if (fflush(stdout) != 0)
		return cli_fail(NAME, "standard output cannot be written", CLI_EXIT_USAGE);
	return c.in.damages ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
