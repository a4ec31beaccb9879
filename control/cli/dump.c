/* SPDX-License-Identifier: MIT
 * dump.c - kira dump: the files of a partition in words, or in JSON, and verified on the way.
 * Thread: main. Only reads, takes no lock: kirad may run, its active segment then ends where it did. */
#include "control/cli/cli.h"
#include "control/cli/cli_options.h"
#include "control/cli/dump_print.h"

#include "storage/inspect.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NAME      "kira dump"
#define FILES_MAX 64
#define BYTES_MAX (256u << 20) /* of an index, a snapshot, a text */

struct dump_options {
	bool records, json;
};

#define AT(field) offsetof(struct dump_options, field)
static const struct cli_row rows[] = {
	{"records", 'r', NULL, CLI_ON, AT(records), 0, 0, NULL,
		"the records of each batch too: key, value, headers"},
	{"json", 'j', NULL, CLI_ON, AT(json), 0, 0, NULL, "an object per line"},
};
#undef AT

static const struct cli_command command = {
	NAME, "FILE.. | DIR [OPTIONS]",
	"Print segments, indexes, snapshots, checkpoints and kira.* files, and verify them. DIR: of a\n"
	"partition, or kirad's data directory.",
	rows, ARRAY_LENGTH(rows), FILES_MAX,
	"Exit: 0 all is right; 1 something is damaged; 2 wrong usage, a file cannot be read, or it is\n"
	"nothing that Kira wrote.\n"
	"Example:\n"
	"  kira dump --records /var/lib/kira/t-0/00000000000000000000.log\n"
	"  kira dump --json /var/lib/kira/t-0\n"};

struct dump {
	struct inspect in;
	struct print print;
	bool unread;        /* something could not be read */
	unsigned files;     /* that were begun */
	int64_t end;        /* of the .log before in the same directory, -1 */
	char end_dir[4096];
};

static void
found(void *arg, const struct inspect_finding *f)
{
	struct dump *d = arg;

	print_finding(&d->print, f);
}

static void
batch(void *arg, const struct inspect_batch *b)
{
	struct dump *d = arg;

	if (!print_batch(&d->print, b))
		d->in.damages++;
}

static void
damage(struct dump *d, const char *path, const char *what)
{
	d->in.damages++;
	print_finding(&d->print, &(struct inspect_finding){INSPECT_DAMAGE, path, -1, -1, what, NULL});
}

/* ---- Files -------------------------------------------------------------------------------- */

/* The whole file, and a 0 behind it; to be freed. */
static int
slurp(const char *path, char **ret, size_t *n, struct err *err)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	char *bytes;

	if (!f || fstat(fileno(f), &st) < 0) {
		const int rc = -errno;

		if (f)
			(void)fclose(f);
		return err_sys(err, rc, "open %s", path);
	}
	bytes = malloc(MIN((size_t)st.st_size, (size_t)BYTES_MAX) + 1);
	*n = bytes ? fread(bytes, 1, MIN((size_t)st.st_size, (size_t)BYTES_MAX), f) : 0;
	(void)fclose(f);
	if (!bytes)
		return err_sys(err, -ENOMEM, "read %s", path);
	bytes[*n] = '\0';
	*ret = bytes;
	return 0;
}

static bool
ends_with(const char *name, const char *end)
{
	const size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static int
dump_log(struct dump *d, const char *path, const char *dir, const char *name, struct err *err)
{
	const int64_t base = inspect_name(name, ".log");
	char what[128];
	int64_t end;
	int rc;

	if (base >= 0 && d->end >= 0 && d->end != base && strcmp(dir, d->end_dir) == 0 &&
		inspect_hole_after(&d->in, dir, d->end) != base) {
		(void)snprintf(what, sizeof(what), "begins at offset %" PRId64 " where %" PRId64
			" must follow", base, d->end);
		damage(d, path, what);
	}
	rc = inspect_log_file(&d->in, path, &end, err);
	d->end = rc == 0 ? end : -1;
	(void)snprintf(d->end_dir, sizeof(d->end_dir), "%s", dir);
	return rc;
}

static int
dump_text(struct dump *d, const char *path, const char *dir, const char *name, const char *bytes, size_t n)
{
	if (strcmp(name, "leader-epoch-checkpoint") == 0 && !inspect_epochs_right(bytes, n))
		damage(d, path, "not a list of rising epochs and offsets");
	if (strncmp(name, "kira.", 5) == 0 && !inspect_text_right(&d->in, dir, name + 5))
		damage(d, path, "its crc32c line is wrong");
	print_text_file(&d->print, bytes, n);
	return 0;
}

/* One file, by its name. */
static int
dump_file(struct dump *d, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char dir[4096], *bytes = NULL;
	size_t n;
	int rc;

	(void)snprintf(dir, sizeof(dir), "%.*s", !slash ? 1 : slash == path ? 1 : (int)(slash - path),
		slash ? path : ".");
	d->files++;
	print_file(&d->print, path);
	if (ends_with(name, ".log") || ends_with(name, ".pool") || ends_with(name, ".dropped") ||
		strstr(name, ".log.bad"))
		return dump_log(d, path, dir, name, err);
	rc = slurp(path, &bytes, &n, err);
	if (rc < 0)
		return rc;
	if (ends_with(name, ".index") || ends_with(name, ".timeindex")) {
		print_index(&d->print, (const uint8_t *)bytes, n, ends_with(name, ".timeindex"),
			inspect_name(name, ends_with(name, ".timeindex") ? ".timeindex" : ".index"));
		rc = inspect_index_file(&d->in, path, err);
	} else if (ends_with(name, ".snapshot")) {
		if (inspect_snapshot_right((const uint8_t *)bytes, (uint32_t)n))
			print_snapshot(&d->print, (const uint8_t *)bytes, n);
		else
			damage(d, path, "not a snapshot: its version, length or CRC-32C is wrong");
	} else if (ends_with(name, ".checkpoint")) {
		struct checkpoint_file cp;

		if (inspect_checkpoint_right((const uint8_t *)bytes, n, &cp))
			print_checkpoint(&d->print, &cp);
		else
			damage(d, path, "not a checkpoint: its version, lengths or CRC-32C is wrong");
	} else {
		rc = dump_text(d, path, dir, name, bytes, n);
	}
	free(bytes);
	return rc;
}

/* ---- Directories -------------------------------------------------------------------------- */

static void
say_unread(struct dump *d, const struct err *err, int rc)
{
	d->unread = true;
	(void)cli_unread(NAME, err->text, rc);
}

/* What dump can print; else a data directory's run/ and foreign files would come along. */
static bool
is_known(const char *name)
{
	static const char *const end[] = {".log", ".index", ".timeindex", ".snapshot", ".pool", ".dropped", ".bad",
		".checkpoint", "-checkpoint", "partition.metadata"};

	if (strncmp(name, "kira.", 5) == 0) /* a reserve holds blocks, and says nothing */
		return !ends_with(name, ".tmp") && !ends_with(name, ".reserve");
	for (unsigned i = 0; i < ARRAY_LENGTH(end); i++)
		if (ends_with(name, end[i]) || strcmp(name, end[i]) == 0)
			return true;
	return strstr(name, ".log.bad.") != NULL; /* the second of one offset */
}

static void
dump_directory(struct dump *d, const char *path, unsigned depth)
{
	struct dirent **entry;
	const int n = scandir(path, &entry, NULL, alphasort);
	struct err err = {""};
	int rc;

	if (n < 0) {
		rc = -errno;
		(void)err_sys(&err, rc, "list %s", path);
		say_unread(d, &err, rc);
		return;
	}
	for (int i = 0; i < n; i++) {
		const char *name = entry[i]->d_name;
		char sub[4096];
		struct stat st;

		(void)snprintf(sub, sizeof(sub), "%s/%s", path, name);
		if (*name != '.' && stat(sub, &st) == 0) {
			if (S_ISDIR(st.st_mode) && depth == 0 && strcmp(name, "run") != 0)
				dump_directory(d, sub, 1);
			else if (S_ISREG(st.st_mode) && is_known(name) && (rc = dump_file(d, sub, &err)) < 0)
				say_unread(d, &err, rc);
		}
		free(entry[i]);
	}
	free(entry);
	d->end = -1;
}

/* As the user named it: what is nothing of Kira's is not right, but an error. */
static void
dump_word(struct dump *d, const char *path)
{
	const char *slash = strrchr(path, '/');
	const unsigned files = d->files;
	struct err err = {""};
	struct stat st;
	int rc = stat(path, &st) == 0 ? 0 : -errno;

	if (rc < 0) {
		(void)err_sys(&err, rc, "open %s", path);
	} else if (S_ISDIR(st.st_mode)) {
		dump_directory(d, path, 0);
		if (d->files == files && !d->unread) {
			err_set(&err, "%s: nothing that Kira wrote: name kirad's data directory, or a partition's", path);
			rc = -EINVAL;
		}
	} else if (!is_known(slash ? slash + 1 : path)) {
		err_set(&err, "%s: kira dump shows *.log, *.index, *.timeindex, *.snapshot, *.checkpoint, *-checkpoint, kira.* "
			"and the like, and no other file", path);
		rc = -EINVAL;
	} else {
		rc = dump_file(d, path, &err);
	}
	if (rc < 0)
		say_unread(d, &err, rc);
}

int
cli_dump(int argc, char **argv)
{
	struct dump_options o;
	struct dump d = {.in = {.found = found, .batch = batch}, .end = -1};
	const char *word[FILES_MAX];
	unsigned words;
	int status;

	if (!cli_begin(&command, &o, sizeof(o), argc, argv, word, &words, &status))
		return status;
	if (words == 0)
		return cli_fail(NAME, "which file? kira dump FILE.. or DIR", CLI_EXIT_USAGE);
	d.in.arg = &d;
	d.print = (struct print){.to = stdout, .json = o.json, .records = o.records};
	for (unsigned i = 0; i < words; i++) {
		dump_word(&d, word[i]);
	}
	print_end(&d.print, &d.in);
	if (fflush(stdout) != 0)
		return cli_fail(NAME, "standard output cannot be written", CLI_EXIT_USAGE);
	return d.unread ? CLI_EXIT_USAGE : d.in.damages ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
