/* SPDX-License-Identifier: MIT
 * inspect_directory.c - a whole data directory: the lock, Kira's own files, every partition of the
 * catalogue, and what belongs to none. */
#include "storage/inspect_log.h"

#include "storage/layout.h"
#include "storage/offline.h"

#include "base/assert.h"
#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

struct whole {
	struct inspect *in;
	struct inspect_place at;
	struct err *err;
	struct offline o;
	bool catalogue;
	struct producers *producers;
	int rc; /* of a partition, while the directory is listed */
};

/* ---- Kira's own files --------------------------------------------------------------------- */

bool
inspect_text_right(struct inspect *in, const char *dir, const char *kind)
{
	char *body;
	int fd, rc;

	if (!in->io)
		in->io = &io_posix;
	fd = in->io->openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return false;
	rc = layout_read_text(in->io, fd, kind, &body);
	(void)in->io->close(fd);
	if (rc == 0)
		free(body);
	return rc == 0;
}

int64_t
inspect_hole_after(struct inspect *in, const char *dir, int64_t offset)
{
	char up[DIR_PATH_MAX], *body = NULL, *path = realpath(dir, NULL), *slash = path ? strrchr(path, '/') : NULL;
	struct state_row *row = NULL;
	uint64_t incarnation;
	unsigned n = 0;
	bool clean;
	int fd;

	if (!slash || slash == path) {
		free(path);
		return offset;
	}
	(void)snprintf(up, sizeof(up), "%.*s", (int)(slash - path), path);
	fd = in->io->openat(AT_FDCWD, up, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0 && layout_read_text(in->io, fd, "state", &body) == 0 &&
		catalogue_parse_state(body, &incarnation, &clean, &row, &n)) {
		for (unsigned i = 0; i < n; i++) {
			char name[TOPIC_NAME_MAX + 16];

			(void)snprintf(name, sizeof(name), "%s-%" PRId32, row[i].topic, row[i].partition);
			if (strcmp(name, slash + 1) == 0)
				offset = holes_after(&row[i].holes, offset);
		}
		catalogue_free_rows(row, n);
	}
	if (fd >= 0)
		(void)in->io->close(fd);
	free(body);
	free(path);
	return offset;
}

static void
bad_file(struct whole *w, const char *name, int rc, const char *cure)
{
	inspect_say(w->in, INSPECT_DAMAGE, &w->at, name, -1, -1, cure, "%s",
		rc == -ENOENT ? "missing" : rc == -EBADMSG ? "damaged: its crc32c line or its form is wrong" :
		"cannot be read");
}

static void
own_files(struct whole *w)
{
	const struct offline *o = &w->o;

	if (o->meta_rc < 0)
		bad_file(w, "kira.meta", o->meta_rc, "put back a copy: kirad does not start without it");
	if (o->state_rc < 0)
		bad_file(w, "kira.state", o->state_rc, "nothing to do: the next start checks every partition from "
			"its first unsealed segment on, but cannot tell whether durable records are missing");
	else if (!o->clean)
		inspect_say(w->in, INSPECT_NOTE, &w->at, "kira.state", -1, -1, NULL,
			"the last stop was not clean: segments may be unsealed");
	w->catalogue = o->topics_rc == 0 || (o->topics_rc == -ENOENT && o->rows == 0);
	/* -ENOENT: no topic was ever made, else kira.state has a line for it. */
	if (!w->catalogue)
		bad_file(w, "kira.topics", o->topics_rc, o->topics_rc == -ENOENT ?
			"put back a copy; kirad would start without a topic" :
			"put back a copy; the records are in the partition directories");
}

static void
read_ids(struct whole *w)
{
	const char *cure = "write it again, with a next_producer_id above all that are in use";
	char *body = NULL;
	int64_t next = 0;
	int rc = layout_read_text(w->in->io, w->at.fd, "ids", &body);

	if (rc == 0 && (sscanf(body, "next_producer_id %" SCNd64 "\n", &next) != 1 || next < 0))
		rc = -EBADMSG;
	free(body);
	if (rc < 0 && rc != -ENOENT)
		bad_file(w, "kira.ids", rc, cure);
	else if (w->in->producer_max >= next)
		inspect_say(w->in, INSPECT_NOTE, &w->at, "kira.ids", -1, -1, cure,
			"the next producer id is %" PRId64 ", but the log has one of %" PRId64
			": made up by a client, or an older file", next, w->in->producer_max);
}

/* ---- Partitions --------------------------------------------------------------------------- */

static int
partition(struct whole *w, const char *topic, int32_t index, const uint8_t *id)
{
	const struct state_row *row = offline_row(&w->o, topic, index, id);
	/* A failed partition is left as it was, whatever the stop was for the others. */
	const bool clean = w->o.clean && (!row || row->state == PART_OK);
	const struct inspect_partition p = {topic, index, id, row, clean, w->producers};

	return inspect_partition(w->in, &w->at, &p, w->err);
}

/* t-0: "t", 0. */
static bool
split(const char *name, char topic[TOPIC_NAME_MAX + 1], int32_t *index)
{
	const char *dash = strrchr(name, '-');
	char *end;
	long v;

	if (!dash || dash == name || dash - name > TOPIC_NAME_MAX || dash[1] < '0' || dash[1] > '9')
		return false;
	v = strtol(dash + 1, &end, 10);
	if (*end || v > INT32_MAX)
		return false;
	(void)snprintf(topic, TOPIC_NAME_MAX + 1, "%.*s", (int)(dash - name), name);
	*index = (int32_t)v;
	return true;
}

static bool
in_catalogue(const struct whole *w, const char *name)
{
	char topic[TOPIC_NAME_MAX + 1];
	int32_t index;

	if (!split(name, topic, &index))
		return false;
	for (unsigned i = 0; i < w->o.topics; i++)
		if (strcmp(w->o.topic[i].name, topic) == 0)
			return index < w->o.topic[i].partitions;
	return false;
}

static bool
is_ours(const char *name)
{
	static const char *const ours[] = {".lock", "run", "lost+found", "kira.meta", "kira.state",
		"kira.topics", "kira.ids", "kira.reserve", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint"};

	for (unsigned i = 0; i < ARRAY_LENGTH(ours); i++)
		if (strcmp(name, ours[i]) == 0)
			return true;
	return false;
}

/* Whatever the catalogue does not name; where it cannot be read, what looks like a partition is one. */
static int
look(void *arg, const char *name)
{
	struct whole *w = arg;
	const size_t n = strlen(name);
	char topic[TOPIC_NAME_MAX + 1];
	int32_t index;
	int fd;

	if (is_ours(name) || in_catalogue(w, name))
		return 0;
	if (n > 4 && strcmp(name + n - 4, ".tmp") == 0) {
		inspect_say(w->in, INSPECT_NOTE, &w->at, name, -1, -1, "nothing to do: it is written over",
			"left over from a replacement that was cut short");
		return 0;
	}
	fd = w->in->io->openat(w->at.fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		(void)w->in->io->close(fd);
	if (fd >= 0 && n > 7 && strcmp(name + n - 7, "-delete") == 0)
		inspect_say(w->in, INSPECT_NOTE, &w->at, name, -1, -1, "nothing to do: the next start removes it",
			"a deleted topic's, whose removal was cut short");
	else if (fd >= 0 && !w->catalogue && split(name, topic, &index))
		w->rc = partition(w, topic, index, NULL);
	else
		inspect_say(w->in, INSPECT_NOTE, &w->at, name, -1, -1, "look at it, and remove it",
			fd >= 0 ? "a directory that no topic of kira.topics names" : "a file that Kira does not make");
	return w->rc < 0;
}

static bool
is_there(const struct whole *w, const char *name)
{
	const int fd = w->in->io->openat(w->at.fd, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd >= 0)
		(void)w->in->io->close(fd);
	return fd >= 0;
}

/* Renamed for a deletion of the topic that did not come to pass. */
static bool
was_to_go(struct whole *w, const struct storage_topic *t, int32_t index)
{
	char name[DIRECTORY_DELETED], gone[DIRECTORY_DELETED];

	(void)snprintf(name, sizeof(name), "%s-%" PRId32, t->name, index);
	directory_deleted_name(gone, t->name, index, t->id);
	if (is_there(w, name) || !is_there(w, gone))
		return false;
	inspect_say(w->in, INSPECT_NOTE, &w->at, gone, -1, -1,
		"nothing to do: the next start calls it so again",
		"%s, renamed for a deletion of its topic that was cut short", name);
	return true;
}

static int
partitions(struct whole *w)
{
	int rc = 0;

	for (unsigned i = 0; i < w->o.topics; i++)
		for (int32_t k = 0; k < w->o.topic[i].partitions && rc == 0; k++)
			if (!was_to_go(w, &w->o.topic[i], k))
				rc = partition(w, w->o.topic[i].name, k, w->o.topic[i].id);
	if (rc < 0)
		return rc;
	rc = w->in->io->list(w->at.fd, look, w);
	if (w->rc < 0)
		return w->rc;
	return rc < 0 ? err_sys(w->err, rc, "list %s", w->at.path) : 0;
}

/* ---- The whole ---------------------------------------------------------------------------- */

int
inspect_directory(struct inspect *in, const char *path, struct err *err)
{
	struct whole w = {.in = in, .at.path = path, .err = err};
	int rc;

	if (!in->io)
		in->io = &io_posix;
	in->producer_max = -1;
	rc = offline_open(&w.o, in->io, path, true, err);
	if (rc < 0)
		return rc;
	w.at.fd = w.o.fd;
	/* A lcore's worth from the headers, and as many from the file beside them. */
	ASSERT(producers_open(&w.producers, 2 * PRODUCERS_PER_LCORE, 2));
	own_files(&w);
	rc = partitions(&w);
	if (rc == 0)
		read_ids(&w);
	producers_close(w.producers);
	offline_close(&w.o);
	return rc;
}
