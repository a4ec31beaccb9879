/* SPDX-License-Identifier: MIT
 * inspect_copy.c - a data directory copied while kirad writes to it: each partition up to the offset that
 * kira.state calls durable. No lock is taken and nothing of the source is changed.
 *
 * What makes it a whole: kira.state lags behind what is on disk, bytes below a published end never change, and a
 * segment is unlinked only after kira.state with a start above it is durable. So a file that is gone when it is
 * opened means a newer kira.state, which is read again. Index files of sealed segments are copied, since they are
 * to be judged too; a segment may be rewritten meanwhile, see take_sealed(). The one that the cut lies in gets its
 * index files here. */
#include "storage/inspect.h"

#include "storage/inspect_log.h"
#include "storage/layout.h"
#include "storage/offline.h"
#include "storage/rewrite.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/uuid.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define CHUNK     (1 * MIB)
#define TRIES_MAX 1000 /* reads of kira.state for one partition: retention took something each time */

/* One partition. */
struct copy {
	const struct io *io;
	int from, to;        /* directories */
	int64_t start, cut;
	int64_t *base;       /* of its .log files, sorted */
	unsigned bases;
	int64_t *snapshot, *index, *times;
	unsigned snapshots, indexes, timess;
	int64_t *done;       /* bases of those that are copied, as they were */
	unsigned dones;
};

/* ---- Bytes -------------------------------------------------------------------------------- */

/* The first `size` bytes of a descriptor: shared with it where the file system can, else copied. */
static int
copy_bytes(const struct copy *c, int fd, const char *name, uint64_t size)
{
	const int out = c->io->openat(c->to, name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	uint8_t *b = NULL;
	int64_t n = 0;
	int rc = out;

	if (out < 0)
		return rc;
	rc = size > 0 ? c->io->clone(fd, out) : 0;
	if (rc == 0) {
		rc = c->io->ftruncate(out, size);
		goto out;
	}
	b = malloc(CHUNK);
	ASSERT(b);
	rc = 0;
	for (uint64_t at = 0; at < size && rc == 0; at += (uint64_t)n) {
		n = c->io->pread(fd, b, MIN(CHUNK, size - at), at);
		if (n > 0)
			n = c->io->pwrite(out, b, (size_t)n, at);
		rc = n < 0 ? (int)n : n == 0 ? -EIO : 0;
	}
	free(b);
out:
	(void)c->io->close(out);
	return rc;
}

static int
open_part(const struct copy *c, int64_t base, const char *suffix, uint64_t *size)
{
	char name[LAYOUT_NAME];
	int fd, rc;

	layout_name(name, base, suffix);
	fd = c->io->openat(c->from, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	rc = c->io->size(fd, size);
	if (rc < 0)
		(void)c->io->close(fd);
	return rc < 0 ? rc : fd;
}

static int
copy_small(const struct copy *c, const char *name)
{
	char *bytes;
	size_t n;
	int rc = layout_read(c->io, c->from, name, &bytes, &n);

	if (rc < 0)
		return rc;
	rc = layout_put(c->io, c->to, name, bytes, n);
	free(bytes);
	return rc;
}

/* ---- Segments ----------------------------------------------------------------------------- */

struct swap {
	int64_t base;
	bool found;
};

static int
find_swap(void *arg, const char *name)
{
	struct swap *s = arg;
	bool cleaned;

	s->found |= rewrite_left(name, &cleaned) == s->base && !cleaned;
	return 0;
}

/* A log and its two index files of one moment. A rewriting renames the log first, then the others, each from
 * `.swap`. So: the log is opened; no `.swap` is there, then it is all old or all new; index files are opened; the
 * log has still that size, and a rewritten one is smaller, so they are of the same kind. 1: try again. */
static int
take_sealed(const struct copy *c, int64_t base)
{
	static const char *const suffix[] = {".log", ".index", ".timeindex"};
	uint64_t size[3], again = 0;
	char name[LAYOUT_NAME];
	struct swap swap = {.base = base};
	int fd[3] = {-1, -1, -1}, rc = 0, last;

	for (unsigned i = 0; i < ARRAY_LENGTH(suffix) && rc == 0; i++) {
		fd[i] = open_part(c, base, suffix[i], &size[i]);
		rc = MIN(fd[i], 0);
		if (rc == 0 && i == 0)
			rc = c->io->list(c->from, find_swap, &swap);
	}
	last = rc == 0 ? open_part(c, base, suffix[0], &again) : -1;
	if (rc == 0)
		rc = last < 0 ? last : swap.found || again != size[0];
	for (unsigned i = 0; i < ARRAY_LENGTH(suffix) && rc == 0; i++) {
		layout_name(name, base, suffix[i]);
		rc = copy_bytes(c, fd[i], name, size[i]);
	}
	for (unsigned i = 0; i < ARRAY_LENGTH(suffix); i++)
		if (fd[i] >= 0)
			(void)c->io->close(fd[i]);
	if (last >= 0)
		(void)c->io->close(last);
	return rc;
}

/* Up to the offset `end`, as if it were sealed there. Where its batches end before that the check tells. */
static int
take_open(const struct copy *c, int64_t base, int64_t end)
{
	struct index made = {0};
	struct scan sc = {0};
	char name[LAYOUT_NAME];
	uint8_t *bytes;
	size_t n, m;
	uint64_t size;
	int64_t at = base;
	int fd = open_part(c, base, ".log", &size), rc = MIN(fd, 0);

	if (rc == 0)
		rc = index_open(&made, c->io, SEGMENT_BYTES_MAX);
	if (rc == 0)
		rc = scan_open(&sc, c->io, fd, 0);
	while (rc == 0 && at < end && scan_next(&sc, at, NULL, false) == SCAN_BATCH) {
		index_add(&made, (uint32_t)(sc.position - sc.total), sc.total,
			(uint32_t)(at + rb_count(sc.batch) - 1 - base), rb_max_timestamp(sc.batch));
		at += rb_count(sc.batch);
	}
	if (rc == 0)
		rc = sc.rc;
	layout_name(name, base, ".log");
	if (rc == 0)
		rc = copy_bytes(c, fd, name, sc.position);
	if (rc == 0) {
		index_finish(&made);
		n = atomic_load(&made.n) * (size_t)INDEX_ENTRY_BYTES;
		m = atomic_load(&made.times) * (size_t)TIME_ENTRY_BYTES;
		bytes = malloc(n + m + 1);
		ASSERT(bytes);
		index_put(&made, bytes, bytes + n);
		layout_name(name, base, ".index");
		rc = layout_put(c->io, c->to, name, bytes, n);
		layout_name(name, base, ".timeindex");
		if (rc == 0)
			rc = layout_put(c->io, c->to, name, bytes + n, m);
		free(bytes);
	}
	scan_close(&sc);
	index_close(&made, c->io);
	if (fd >= 0)
		(void)c->io->close(fd);
	return rc;
}

/* ---- A partition -------------------------------------------------------------------------- */

static void
push(int64_t **list, unsigned *n, int64_t v)
{
	*list = realloc(*list, (*n + 1) * sizeof(**list));
	ASSERT(*list);
	(*list)[(*n)++] = v;
}

static int
look(void *arg, const char *name)
{
	struct copy *c = arg;
	int64_t v;

	if ((v = layout_offset(name, ".log")) >= 0)
		push(&c->base, &c->bases, v);
	else if ((v = layout_offset(name, ".snapshot")) >= 0)
		push(&c->snapshot, &c->snapshots, v);
	else if ((v = layout_offset(name, ".index")) >= 0)
		push(&c->index, &c->indexes, v);
	else if ((v = layout_offset(name, ".timeindex")) >= 0)
		push(&c->times, &c->timess, v);
	return 0;
}

static int
by_value(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static bool
is_in(const int64_t *list, unsigned n, int64_t v)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return false;
}

static int
take_segments(struct copy *c)
{
	int rc = 0;

	for (unsigned i = 0; i < c->bases && rc == 0; i++) {
		const int64_t base = c->base[i], next = i + 1 < c->bases ? c->base[i + 1] : INT64_MAX;

		if (next <= c->start || base >= c->cut) {
			/* of a try before, perhaps: expired since */
			rc = layout_unlink_segment(c->io, c->to, base, true);
			continue;
		}
		if (is_in(c->done, c->dones, base))
			continue;
		if (next <= c->cut && is_in(c->index, c->indexes, base) && is_in(c->times, c->timess, base)) {
			while ((rc = take_sealed(c, base)) > 0)
				c->io->sleep_ms(1);
			if (rc == 0)
				push(&c->done, &c->dones, base);
		} else {
			rc = take_open(c, base, MIN(next, c->cut));
		}
	}
	return rc;
}

struct stale {
	const struct copy *c;
	bool all;
	char name[LAYOUT_NAME]; /* "": none */
};

static int
find_stale(void *arg, const char *name)
{
	static const char *const suffix[] = {".log", ".index", ".timeindex"};
	struct stale *s = arg;
	int64_t base = -1;

	for (unsigned i = 0; i < ARRAY_LENGTH(suffix) && base < 0; i++)
		base = layout_offset(name, suffix[i]);
	if ((!s->all && base >= 0 && is_in(s->c->done, s->c->dones, base) && is_in(s->c->base, s->c->bases, base)) ||
		strlen(name) >= sizeof(s->name))
		return 0;
	memcpy(s->name, name, strlen(name) + 1);
	return 1; /* ends the walk */
}

/* What a try before left, but for sealed segments that are still there; or all. */
static int
forget_stale(const struct copy *c, bool all)
{
	struct stale s;
	int rc;

	do {
		s = (struct stale){.c = c, .all = all};
		rc = c->io->list(c->to, find_stale, &s);
		if (rc >= 0 && s.name[0])
			rc = layout_unlink(c->io, c->to, s.name);
	} while (rc >= 0 && s.name[0]);
	return MIN(rc, 0);
}

/* Where the segments begin that were taken, and where the log ends. */
static int
take_snapshots(struct copy *c)
{
	int64_t first = 0; /* base of the first that was taken */
	int rc = 0;

	for (unsigned i = 0; i < c->bases && (i == 0 || c->base[i] <= c->start); i++)
		first = c->base[i];
	for (unsigned i = 0; i < c->snapshots && rc == 0; i++) {
		char name[LAYOUT_NAME];

		if (c->snapshot[i] != c->cut && (c->snapshot[i] < first || c->snapshot[i] > c->cut ||
			!is_in(c->base, c->bases, c->snapshot[i])))
			continue;
		layout_name(name, c->snapshot[i], ".snapshot");
		rc = copy_small(c, name);
		if (rc == -ENOENT)
			rc = 0; /* an older one does */
	}
	return rc;
}

/* An epoch that begins above the cut is none of the copy's. */
static int
take_epochs(const struct copy *c)
{
	struct epochs e;
	char *text;
	size_t n;
	int rc = layout_read(c->io, c->from, LAYOUT_EPOCHS, &text, &n);

	if (rc < 0)
		return rc;
	if (!epochs_parse(&e, text, n)) {
		free(text);
		return copy_small(c, LAYOUT_EPOCHS); /* to be judged */
	}
	free(text);
	while (e.n > 1 && e.entry[e.n - 1].start > c->cut)
		e.n--;
	text = epochs_text(&e);
	rc = layout_put(c->io, c->to, LAYOUT_EPOCHS, text, strlen(text));
	free(text);
	epochs_free(&e);
	return rc;
}

static int
take_partition(struct copy *c)
{
	int rc;

	c->bases = c->snapshots = c->indexes = c->timess = 0;
	rc = c->io->list(c->from, look, c);
	if (rc == 0 && c->bases > 0)
		qsort(c->base, c->bases, sizeof(*c->base), by_value);
	if (rc == 0)
		rc = forget_stale(c, false);
	if (rc == 0)
		rc = take_segments(c);
	if (rc == 0)
		rc = take_snapshots(c);
	if (rc == 0)
		rc = take_epochs(c);
	return rc < 0 ? rc : copy_small(c, LAYOUT_METADATA);
}

/* ---- The directory ------------------------------------------------------------------------ */

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
			rc = take_partition(&c);
			(void)io->close(c.from);
		}
		/* Something is gone, or it was another topic's of that name. */
		if (rc == -ENOENT || (rc == 0 && !is_of(&c, topic))) {
			io->sleep_ms(1);
			offline_read(&w->o);
			if (!topic_of(&w->o, topic))
				rc = 1;
		} else if (rc == 0 && row) {
			catalogue_put_row(w->rows, row);
		}
	} while (rc == -ENOENT && ++tries < TRIES_MAX);
	if (rc == 1 && forget_stale(&c, true) == 0)
		(void)io->unlinkat(w->to, name, true);
	(void)io->close(c.to);
	free(c.base);
	free(c.snapshot);
	free(c.index);
	free(c.times);
	free(c.done);
	return rc < 0 ? err_sys(w->err, rc, "copy %s/%s", w->o.path, name) : rc;
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
	if (rc == 0)
		rc = copy_all(&w);
	if (w.to >= 0)
		(void)in->io->close(w.to);
	offline_close(&w.o);
	return rc;
}
