/* SPDX-License-Identifier: MIT
 * directory.c - the data directory's own files: kira.state, kira.topics, kira.ids, checkpoints.
 * Blocking: the control thread before others run, or a job. Formats: FORMAT.md. */
#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/uuid.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- kira.state --------------------------------------------------------------------------- */

static bool
unreached(const struct storage *s)
{
	for (unsigned i = 0; i < s->rows; i++)
		if (!s->row[i].used)
			return true;
	return false;
}

/* The sealed file that the log ends with: a start then needs no more than its name and size. */
static void
name_last(const struct partition *part, struct state_row *row)
{
	const struct segments *a = atomic_load(&part->segments);
	const struct segment *last = part->f.active && part->f.active->sealed ? part->f.active :
		a && a->n > 0 ? a->seg[a->n - 1] : NULL;

	if (!last || !last->sealed || last->end != row->recovery)
		return;
	row->last_base = last->base;
	row->last_bytes = segment_used(last);
}

static void
put_partition(FILE *f, const struct partition *part)
{
	struct state_row r;

	if (part->halted_at_start) {
		/* What was found is all that is known: a row made up here would say more. */
		if (part->found_row) {
			r = *part->found_row;
			r.state = PART_HALTED;
			catalogue_put_row(f, &r);
		}
		return;
	}
	r = (struct state_row){
		.partition = part->index,
		.epoch = epochs_latest(&part->epochs),
		.start = atomic_load(&part->start),
		.recovery = frontier_read(BUG(3) ? &part->tail : &part->durable).end,
		.state = partition_state(part),
		.holes = *part->holes,
		.last_base = -1,
	};
	name_last(part, &r);
	memcpy(r.topic, part->topic, sizeof(r.topic));
	memcpy(r.id, part->topic_id, sizeof(r.id));
	catalogue_put_row(f, &r);
}

char *
directory_state(const struct storage *s, bool clean, int64_t wall_ms)
{
	const struct storage_op *op = s->flush.op;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ASSERT(f);
	/* A start that failed half-way knows nothing of those it did not reach. */
	catalogue_put_head(f, s->incarnation, clean && !unreached(s), wall_ms);
	for (unsigned i = 0; i < s->rows; i++)
		if (!s->row[i].used)
			catalogue_put_row(f, &s->row[i]);
	for (unsigned i = 0; i < s->o.partitions_max; i++)
		if (s->flush.live[i])
			put_partition(f, s->flush.live[i]);
	/* Until the catalogue forgets a topic that is being deleted, a power cut brings it back: where it starts
	 * and what was durable must come with it. */
	for (int32_t i = 0; op && op->kind == OP_DELETE_TOPIC && i < op->topic.partitions; i++)
		put_partition(f, op->part[i]);
	ASSERT(fclose(f) == 0);
	return text;
}

static int
by_partition(const void *a, const void *b)
{
	const struct state_row *x = a, *y = b;
	int c = strcmp(x->topic, y->topic);

	c = c ? c : memcmp(x->id, y->id, sizeof(x->id));
	return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

struct state_row *
directory_row(const struct storage *s, const char *topic, const uint8_t id[16], int32_t partition)
{
	struct state_row key = {.partition = partition};

	(void)snprintf(key.topic, sizeof(key.topic), "%s", topic);
	memcpy(key.id, id, sizeof(key.id));
	return s->rows ? bsearch(&key, s->row, s->rows, sizeof(key), by_partition) : NULL;
}

/* Sorted, to be found among thousands; those of which the catalogue names no topic (deleted since) are to
 * be forgotten. */
static void
settle_rows(struct storage *s)
{
	if (s->rows > 0)
		qsort(s->row, s->rows, sizeof(*s->row), by_partition);
	for (unsigned i = 0; i < s->rows; i++)
		s->row[i].used = true;
	for (unsigned i = 0; i < s->topics; i++) {
		for (int32_t p = 0; p < s->topic[i].partitions; p++) {
			struct state_row *row = directory_row(s, s->topic[i].name, s->topic[i].id, p);

			if (row)
				row->used = false;
		}
	}
}

/* What was found goes back with a higher incarnation and clean 0: durable before a file is opened. */
static int
begin_incarnation(struct storage *s, int64_t wall_ms, struct err *err)
{
	char *body = NULL;
	size_t size;
	FILE *f;
	int rc = layout_read_text(s->io, s->dirfd, "state", &body);

	if (rc < 0 && rc != -ENOENT && rc != -EBADMSG)
		return err_sys(err, rc, "read %s/kira.state", s->dir);
	if (rc < 0 || !catalogue_parse_state(body, &s->incarnation, &s->was_clean, &s->row, &s->rows)) {
		/* None: every partition is checked from its first unsealed segment on. */
		s->was_clean = false;
		s->incarnation = (uint64_t)wall_ms;
	}
	free(body);
	settle_rows(s);
	s->incarnation++;
	f = open_memstream(&body, &size);
	ASSERT(f);
	catalogue_put_head(f, s->incarnation, false, wall_ms);
	for (unsigned i = 0; i < s->rows; i++)
		if (!s->row[i].used)
			catalogue_put_row(f, &s->row[i]);
	ASSERT(fclose(f) == 0);
	rc = layout_put_text(s->io, s->dirfd, "state", body);
	if (layout_no_space(rc) && directory_release(s)) /* a quota */
		rc = layout_put_text(s->io, s->dirfd, "state", body);
	free(body);
	return rc < 0 ? err_sys(err, rc, "write %s/kira.state", s->dir) : 0;
}

/* ---- Topics, ids -------------------------------------------------------------------------- */

static int
read_topics(struct storage *s, struct err *err)
{
	char *body;
	int rc = layout_read_text(s->io, s->dirfd, "topics", &body);

	if (rc == -ENOENT)
		return 0;
	if (rc == 0) {
		rc = catalogue_parse(body, &s->topic, &s->topics) ? 0 : -EBADMSG;
		free(body);
	}
	if (rc == -EBADMSG)
		err_set(err, "%s/kira.topics is damaged: put back a copy of it; the records are in the "
			"partition directories, untouched", s->dir);
	else if (rc < 0)
		(void)err_sys(err, rc, "read %s/kira.topics", s->dir);
	return rc;
}

static int
read_ids(struct storage *s, struct err *err)
{
	char *body;
	int rc = layout_read_text(s->io, s->dirfd, "ids", &body);

	if (rc == -ENOENT)
		return 0;
	if (rc == 0) {
		rc = sscanf(body, "next_producer_id %" SCNd64 "\n", &s->ids_spent) == 1 &&
			s->ids_spent >= 0 ? 0 : -EBADMSG;
		free(body);
	}
	if (rc == -EBADMSG)
		err_set(err, "%s/kira.ids is damaged: a producer id must never be given twice; write "
			"it again with a next_producer_id above all that are in use", s->dir);
	else if (rc < 0)
		(void)err_sys(err, rc, "read %s/kira.ids", s->dir);
	return rc;
}

int
directory_put_ids(struct storage *s, int64_t next)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "next_producer_id %" PRId64 "\n", next);
	return layout_put_text(s->io, s->dirfd, "ids", text);
}

/* ---- Left-overs --------------------------------------------------------------------------- */

struct removal {
	struct storage *s;
	int dir;
	bool found;
};

static int
remove_file(void *arg, const char *name)
{
	struct removal *r = arg;

	return layout_unlink(r->s->io, r->dir, name);
}

int
directory_remove(struct storage *s, const char *name)
{
	struct removal r = {.s = s};
	int rc = s->io->openat(s->dirfd, name, O_RDONLY | O_DIRECTORY, 0);

	if (rc < 0)
		return rc;
	r.dir = rc;
	rc = s->io->list(r.dir, remove_file, &r);
	(void)s->io->close(r.dir);
	return rc < 0 ? rc : s->io->unlinkat(s->dirfd, name, true);
}

static bool
ends_with(const char *name, const char *end)
{
	const size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

/* `found`: a file with a batch, or one that a creation does not make. */
static int
find_content(void *arg, const char *name)
{
	struct removal *r = arg;
	uint8_t b[RB_HEADER];
	int64_t n = 0;
	int fd;

	if (ends_with(name, ".tmp") || strcmp(name, LAYOUT_METADATA) == 0 ||
		strcmp(name, LAYOUT_EPOCHS) == 0)
		return 0;
	r->found = true;
	if (!ends_with(name, ".log") && strcmp(name, LAYOUT_SPARE) != 0)
		return 0;
	fd = r->s->io->openat(r->dir, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	n = r->s->io->pread(fd, b, sizeof(b), 0);
	(void)r->s->io->close(fd);
	if (n < 0)
		return (int)n;
	r->found = false;
	for (int64_t i = 0; i < n; i++)
		r->found |= b[i] != 0;
	return r->found; /* 1 ends the walk */
}

int
directory_remove_blank(struct storage *s, const char *name)
{
	struct removal r = {.s = s};
	int rc = s->io->openat(s->dirfd, name, O_RDONLY | O_DIRECTORY, 0);

	if (rc < 0)
		return rc;
	r.dir = rc;
	rc = s->io->list(r.dir, find_content, &r);
	(void)s->io->close(r.dir);
	if (rc < 0)
		return rc;
	return r.found ? -EEXIST : directory_remove(s, name);
}

void
directory_deleted_name(char ret[DIRECTORY_DELETED], const char *topic, int32_t partition,
	const uint8_t id[16])
{
	char text[UUID_TEXT];

	uuid_put(text, id);
	(void)snprintf(ret, DIRECTORY_DELETED, "%.200s-%" PRId32 ".%s-delete", topic, partition, text);
}

struct deleted {
	char (*name)[256];
	unsigned n;
};

static int
find_deleted(void *arg, const char *name)
{
	static const char end[] = "-delete";
	struct deleted *d = arg;
	const size_t n = strlen(name);

	if (n >= sizeof(d->name[0]) || n < sizeof(end) || !ends_with(name, end))
		return 0;
	d->name = realloc(d->name, (d->n + 1) * sizeof(d->name[0]));
	ASSERT(d->name);
	memcpy(d->name[d->n++], name, n + 1);
	return 0;
}

/* The partition of the catalogue that was called so; false: of none. */
static bool
name_before(const struct storage *s, const char *deleted, char ret[DIRECTORY_DELETED])
{
	for (unsigned t = 0; t < s->topics; t++) {
		for (int32_t i = 0; i < s->topic[t].partitions; i++) {
			directory_deleted_name(ret, s->topic[t].name, i, s->topic[t].id);
			if (strcmp(ret, deleted) != 0)
				continue;
			(void)snprintf(ret, DIRECTORY_DELETED, "%s-%" PRId32, s->topic[t].name, i);
			return true;
		}
	}
	return false;
}

/* Directories whose deletion was cut short: of a topic that the catalogue still names it never was,
 * the others go. Listed first, since changing while listing is not defined. What cannot be changed
 * stays, and is tried at the next start. */
static void
finish_deletions(struct storage *s)
{
	struct deleted d = {NULL, 0};
	char name[DIRECTORY_DELETED];
	bool back = false;

	(void)s->io->list(s->dirfd, find_deleted, &d);
	for (unsigned i = 0; i < d.n; i++) {
		if (name_before(s, d.name[i], name))
			back |= s->io->renameat(s->dirfd, d.name[i], name) == 0;
		else
			(void)directory_remove(s, d.name[i]);
	}
	free(d.name);
	if (back)
		(void)layout_sync_dir(s->io, s->dirfd);
}

/* ---- Open and close ----------------------------------------------------------------------- */

int
directory_open(struct storage *s, int64_t wall_ms, struct err *err)
{
	int rc = s->io->openat(AT_FDCWD, s->dir, O_RDONLY | O_DIRECTORY, 0);

	if (rc == -ENOENT) {
		rc = s->io->mkdirat(AT_FDCWD, s->dir);
		if (rc == 0)
			rc = s->io->openat(AT_FDCWD, s->dir, O_RDONLY | O_DIRECTORY, 0);
	}
	if (rc < 0)
		return err_sys(err, rc, "open data directory %s", s->dir);
	s->dirfd = rc;
	rc = directory_identify(s, wall_ms, err);
	if (rc == 0)
		rc = read_topics(s, err);
	if (rc == 0)
		rc = read_ids(s, err);
	if (rc == 0) {
		directory_release_if_low(s);
		rc = begin_incarnation(s, wall_ms, err);
	}
	if (rc == 0)
		finish_deletions(s);
	return rc;
}

/* Kafka's own: what another tool, or Kafka itself, would go by. Kira never reads them. */
int
directory_checkpoints(const struct storage *s)
{
	static const char *const file[] = {"recovery-point-offset-checkpoint",
		"log-start-offset-checkpoint"};
	int rc = 0;

	for (unsigned k = 0; k < ARRAY_LENGTH(file) && rc == 0; k++) {
		char *text = NULL;
		size_t size;
		unsigned n = 0;
		FILE *f = open_memstream(&text, &size);

		ASSERT(f);
		for (unsigned i = 0; i < s->o.partitions_max; i++)
			n += s->flush.live[i] != NULL;
		fprintf(f, "0\n%u\n", n);
		for (unsigned i = 0; i < s->o.partitions_max; i++) {
			const struct partition *part = s->flush.live[i];

			if (part)
				fprintf(f, "%s %" PRId32 " %" PRId64 "\n", part->topic, part->index,
					k == 0 ? frontier_read(&part->durable).end :
						 atomic_load(&part->start));
		}
		ASSERT(fclose(f) == 0);
		rc = layout_put(s->io, s->dirfd, file[k], text, size);
		free(text);
	}
	return rc < 0 ? rc : layout_sync_dir(s->io, s->dirfd);
}

void
directory_close(struct storage *s)
{
	catalogue_free(s->topic, s->topics);
	catalogue_free_rows(s->row, s->rows);
	(void)s->io->close(s->lock_fd); /* the lock goes with it */
	(void)s->io->close(s->dirfd);
}
