/* SPDX-License-Identifier: MIT
 * inspect_copy.c - a data directory copied while kirad writes to it: each partition up to the offset that
 * kira.state calls durable. No lock is taken and nothing of the source is changed.
 *
 * What makes it a whole: kira.state lags behind what is on disk, and a segment is unlinked only after kira.state with
 * a start above it is durable. So a file that is gone when it is opened means a newer kira.state, which is read
 * again. */
#include "storage/inspect_copy.h"

#include "storage/inspect.h"
#include "storage/layout.h"
#include "storage/offline.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define TRIES_MAX 1000 /* reads of kira.state for one partition: retention took something each time */

struct copies {
	struct inspect *in;
	struct offline o;
	int to;
	const char *to_path;
	FILE *rows;                /* of kira.state: as each partition was copied */
	struct err *err;
};

static const struct storage_topic *
topic_of(const struct offline *o, const struct storage_topic *was)
{
	for (unsigned i = 0; i < o->topics; i++)
		if (memcmp(o->topic[i].id, was->id, sizeof(was->id)) == 0)
			return &o->topic[i];
	return NULL;
}

static bool
is_of(const struct copy *c, const struct storage_topic *topic)
{
	char *text, id[23];
	size_t n;
	bool is;

	if (layout_read(c->io, c->to, LAYOUT_METADATA, &text, &n) < 0)
		return false;
	uuid_put(id, topic->id);
	is = strstr(text, id) != NULL;
	free(text);
	return is;
}

/* 1: the topic is gone meanwhile. */
static int
partition(struct copies *w, const struct storage_topic *topic, int32_t index)
{
	const struct io *io = w->in->io;
	struct copy c = {.io = io};
	char name[TOPIC_NAME_MAX + 16];
	unsigned tries = 0;
	int rc;

	(void)snprintf(name, sizeof(name), "%s-%" PRId32, topic->name, index);
	rc = io->mkdirat(w->to, name);
	c.to = rc == 0 ? io->openat(w->to, name, O_RDONLY | O_DIRECTORY, 0) : rc;
	if (c.to < 0)
		return err_sys(w->err, c.to, "make %s/%s", w->to_path, name);
	do {
		const struct state_row *row = offline_row(&w->o, topic->name, index, topic->id);

		c.start = row ? row->start : 0;
		c.cut = row ? row->recovery : 0;
		c.from = io->openat(w->o.fd, name, O_RDONLY | O_DIRECTORY, 0);
		rc = MIN(c.from, 0);
		if (rc == 0) {
			rc = copy_partition(&c);
			(void)io->close(c.from);
		}
		/* Something is gone, or it was another topic's of that name. */
		if (rc == -ENOENT || (rc == 0 && !is_of(&c, topic))) {
			io->sleep_ms(1);
			offline_read(&w->o);
			if (!topic_of(&w->o, topic))
				rc = 1;
		} else if (rc == 0 && row) {
			struct state_row own = *row;

			own.last_base = -1; /* no file is taken at its word: a start reads it and raises the epoch */
			catalogue_put_row(w->rows, &own);
		}
	} while (rc == -ENOENT && ++tries < TRIES_MAX);
	if (rc == 1 && copy_forget(&c) == 0)
		(void)io->unlinkat(w->to, name, true);
	(void)io->close(c.to);
	copy_free(&c);
	if (rc == -ESTALE)
		err_set(w->err, "copy %s/%s: the files of %020" PRId64 ".log change their names all the time: try again",
			w->o.path, name, c.restless);
	else if (rc < 0)
		(void)err_sys(w->err, rc, "copy %s/%s", w->o.path, name);
	return rc;
}

/* The lines of the topics that were copied. */
static int
put_topics(struct copies *w, const struct storage_topic *topic, const bool *copied, unsigned n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int rc;

	ASSERT(f);
	catalogue_put_topics(f, topic, copied, n);
	ASSERT(fclose(f) == 0);
	rc = layout_put_text(w->in->io, w->to, "topics", text);
	free(text);
	return rc < 0 ? err_sys(w->err, rc, "write %s/kira.topics", w->to_path) : 0;
}

static int
copy_root(struct copies *w, const char *name)
{
	const struct copy c = {.io = w->in->io, .from = w->o.fd, .to = w->to};
	const int rc = copy_small(&c, name);

	return rc < 0 && rc != -ENOENT ? err_sys(w->err, rc, "copy %s/%s", w->o.path, name) : 0;
}

/* kira.meta last: without it nobody takes an unfinished copy for one. `clean 0`, so that whoever starts kirad on it
 * gets an epoch of its own. */
static int
put_root(struct copies *w, const char *rows)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int rc;

	ASSERT(f);
	catalogue_put_head(f, w->o.incarnation, false, clock_wall_ms());
	fputs(rows, f);
	ASSERT(fclose(f) == 0);
	rc = layout_put_text(w->in->io, w->to, "state", text);
	free(text);
	if (rc < 0)
		return err_sys(w->err, rc, "write %s/kira.state", w->to_path);
	rc = copy_root(w, "kira.ids");
	return rc < 0 ? rc : copy_root(w, "kira.meta");
}

static int
count_names(void *arg, const char *name)
{
	(*(unsigned *)arg)++;
	return 0;
}

static int
make_target(struct copies *w)
{
	const struct io *io = w->in->io;
	unsigned names = 0;
	int rc = io->mkdirat(AT_FDCWD, w->to_path);

	if (rc == 0 || rc == -EEXIST)
		rc = io->openat(AT_FDCWD, w->to_path, O_RDONLY | O_DIRECTORY, 0);
	if (rc < 0)
		return err_sys(w->err, rc, "make %s", w->to_path);
	w->to = rc;
	rc = io->list(w->to, count_names, &names);
	if (rc == 0 && names > 0) {
		err_set(w->err, "%s is not empty: name a directory that is to be made", w->to_path);
		rc = -ENOTEMPTY;
	}
	return rc;
}

static int
copy_all(struct copies *w)
{
	struct storage_topic *topic = NULL;
	unsigned n = 0;
	char *rows = NULL;
	size_t size;
	bool *copied;
	int rc = 0;

	/* A list of its own: what is read again is another. */
	if (w->o.topics_text && !catalogue_parse(w->o.topics_text, &topic, &n))
		return err_sys(w->err, -EBADMSG, "read %s/kira.topics", w->o.path);
	copied = calloc(n + 1, sizeof(*copied));
	w->rows = open_memstream(&rows, &size);
	ASSERT(copied && w->rows);
	for (unsigned i = 0; i < n && rc >= 0; i++) {
		copied[i] = true;
		for (int32_t k = 0; k < topic[i].partitions && copied[i] && rc >= 0; k++) {
			rc = partition(w, &topic[i], k);
			copied[i] = rc <= 0;
		}
	}
	ASSERT(fclose(w->rows) == 0);
	rc = rc < 0 ? rc : put_topics(w, topic, copied, n);
	rc = rc < 0 ? rc : put_root(w, rows);
	free(rows);
	free(copied);
	catalogue_free(topic, n);
	return rc;
}

int
inspect_copy(struct inspect *in, const char *from, const char *to, struct err *err)
{
	struct copies w = {.in = in, .to = -1, .to_path = to, .err = err};
	int rc;

	if (!in->io)
		in->io = &io_posix;
	rc = offline_open(&w.o, in->io, from, false, err);
	if (rc < 0)
		return rc;
	if (w.o.meta_rc < 0 || w.o.state_rc < 0 || (w.o.topics_rc < 0 && w.o.topics_rc != -ENOENT)) {
		err_set(err, "%s: kira.meta, kira.state or kira.topics is missing or damaged: nothing to copy by", from);
		rc = -EBADMSG;
	}
	if (rc == 0)
		rc = make_target(&w);
	if (rc == 0) {
		rc = copy_all(&w);
		if (rc < 0)
			err_prefix(err, "%s is unfinished, remove it: ", to);
	}
	if (w.to >= 0)
		(void)in->io->close(w.to);
	offline_close(&w.o);
	return rc;
}
