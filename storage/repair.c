/* SPDX-License-Identifier: MIT
 * repair.c - kira repair: partitions looked at one after the other, what a way costs, kira.state. See repair.h.
 *
 * Order, for a partition: kira.state without the file that ends it, files, leader-epoch-checkpoint, kira.state. Until
 * the last is durable kirad still halts the partition, or raises the epoch, and a repair that is run again finds what
 * is left to do. */
#include "storage/repair.h"

#include "storage/layout.h"
#include "storage/repair_plan.h"
#include "storage/rewrite.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

__attribute__((format(printf, 4, 5))) static void
say(struct repair *r, enum repair_line kind, const char *path, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->say(r->arg, kind, path, text);
}

/* ---- What is broken, what it costs -------------------------------------------------------- */

static void
say_broken(struct repair *r, const struct repair_log *log)
{
	for (unsigned i = 0; i < log->pieces; i++) {
		const struct repair_piece *p = &log->piece[i];
		char path[DIR_PATH_MAX + LAYOUT_NAME], name[LAYOUT_NAME];

		if (!p->lost)
			continue;
		if (p->file == REPAIR_NO_FILE) {
			say(r, REPAIR_BROKEN, log->path, "offsets %" PRId64 " to %" PRId64 " (%" PRId64 "): %s",
				p->first, p->end - 1, p->end - p->first, p->why);
			continue;
		}
		layout_name(name, log->file[p->file].base, ".log");
		(void)snprintf(path, sizeof(path), "%s/%s", log->path, name);
		if (p->end > p->first)
			say(r, REPAIR_BROKEN, path, "position %" PRIu64 ", %" PRIu64 " bytes, offsets %" PRId64 " to %"
				PRId64 " (%" PRId64 "): %s", p->from, p->to - p->from, p->first, p->end - 1,
				p->end - p->first, p->why);
		else
			say(r, REPAIR_BROKEN, path, "position %" PRIu64 ", %" PRIu64 " bytes that hold no offset: %s",
				p->from, p->to - p->from, p->why);
	}
}

/* Where --truncate ends the log. */
static int64_t
truncated_end(const struct repair_log *log)
{
	return MAX(repair_first_lost(log)->first, log->start);
}

static void
say_truncate(struct repair *r, const struct repair_log *log)
{
	const int64_t end = truncated_end(log);
	uint64_t batches = 0, records = 0;

	for (const struct repair_piece *p = repair_first_lost(log); p < log->piece + log->pieces; p++) {
		batches += p->batches;
		records += p->records;
	}
	if (r->mode == REPAIR_TRUNCATE)
		r->offsets_lost += (uint64_t)(log->end - end);
	say(r, REPAIR_LOSES, log->path, "--truncate: the log ends at offset %" PRId64 "; %" PRId64 " offsets, from "
		"there to %" PRId64 ", are lost, with them %" PRIu64 " whole batches of %" PRIu64 " records that lie "
		"behind the first broken place", end, log->end - end, log->end - 1, batches, records);
}

static void
say_skip(struct repair *r, const struct repair_log *log)
{
	int64_t lost = 0;
	unsigned holes = 0;

	for (unsigned i = 0; i < log->pieces; i++) {
		const struct repair_piece *p = &log->piece[i];

		lost += p->lost ? p->end - p->first : 0;
		holes += p->lost && p->end > p->first;
	}
	if (r->mode == REPAIR_SKIP)
		r->offsets_lost += (uint64_t)lost;
	say(r, REPAIR_LOSES, log->path, "--skip: %" PRId64 " offsets are lost, in %u holes, which readers pass over; "
		"the log still ends at offset %" PRId64, lost, holes, log->end);
}

/* What is made anew whatever is decided. True: there is something. */
static bool
say_mended(struct repair *r, const struct repair_log *log)
{
	char path[DIR_PATH_MAX + LAYOUT_NAME], name[LAYOUT_NAME];
	bool any = log->epochs_lost;

	if (log->dir < 0)
		say(r, REPAIR_DOES, log->path, "the directory is missing: an empty one is made");
	else if (log->epochs_lost)
		say(r, REPAIR_DOES, log->path, LAYOUT_EPOCHS " is missing or damaged: it is made anew from the batches");
	for (unsigned i = 0; i < log->files; i++) {
		const struct repair_file *f = &log->file[i];
		bool cut = false;

		for (unsigned k = 0; k < log->pieces; k++)
			cut |= log->piece[k].lost && log->piece[k].file == i;
		if (cut || !f->read || !f->sealed || (!f->index_wrong && f->used == f->size))
			continue;
		layout_name(name, f->base, ".log");
		(void)snprintf(path, sizeof(path), "%s/%s", log->path, name);
		say(r, REPAIR_DOES, path, f->used != f->size ? "zeros behind its last batch: it is cut to its size" :
			"its index files are wrong: they are made anew");
		any = true;
	}
	for (unsigned i = 0; i < log->pieces; i++) {
		if (log->piece[i].lost || log->piece[i].from == 0 || (i > 0 && log->piece[i - 1].lost))
			continue;
		say(r, REPAIR_DOES, log->path, "broken below the start offset %" PRId64 ": cut away, and nothing is lost",
			log->start);
		any = true;
	}
	return any;
}

/* ---- kira.state --------------------------------------------------------------------------- */

static int
put_state(struct offline *o, struct err *err)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int rc;

	ASSERT(f);
	/* None that can be read: as a start counts then. */
	catalogue_put_head(f, o->state_rc == 0 ? o->incarnation : (uint64_t)clock_wall_ms(), o->clean,
		clock_wall_ms());
	for (unsigned i = 0; i < o->rows; i++)
		catalogue_put_row(f, &o->row[i]);
	ASSERT(fclose(f) == 0);
	rc = layout_put_text(o->io, o->fd, "state", text);
	free(text);
	if (rc < 0)
		return err_sys(err, rc, "write %s/kira.state", o->path);
	if (o->state_rc < 0) {
		o->state_rc = 0;
		o->incarnation = (uint64_t)clock_wall_ms();
	}
	return 0;
}

/* Between the pieces that stay, from the start to the end. */
static void
find_holes(const struct repair_log *log, int64_t end, struct holes *h)
{
	int64_t at = log->start;

	*h = (struct holes){NULL, 0};
	for (unsigned i = 0; i < log->pieces; i++) {
		const struct repair_piece *p = &log->piece[i];

		if (p->lost || p->end > end)
			continue;
		if (p->first > at)
			holes_add(h, at, p->first);
		at = MAX(at, p->end);
	}
	if (at < end)
		holes_add(h, at, end);
}

static struct state_row *
row_of(struct offline *o, const struct storage_topic *topic, int32_t index)
{
	struct state_row *row = offline_row(o, topic->name, index, topic->id);

	if (row)
		return row;
	o->row = realloc(o->row, (o->rows + 1) * sizeof(*o->row));
	ASSERT(o->row);
	row = &o->row[o->rows++];
	*row = (struct state_row){.partition = index, .epoch = -1, .last_base = -1};
	memcpy(row->topic, topic->name, sizeof(row->topic));
	memcpy(row->id, topic->id, sizeof(row->id));
	return row;
}

/* ---- A rewriting that was cut short ------------------------------------------------------- */

struct lefts {
	int64_t base; /* the first found, -1: none */
	bool cleaned;
};

static int
find_left(void *arg, const char *name)
{
	struct lefts *l = arg;
	bool cleaned;
	const int64_t base = rewrite_left(name, &cleaned, NULL);

	if (base < 0 || (l->base >= 0 && base != l->base))
		return 0;
	l->base = base;
	l->cleaned |= cleaned;
	return 0;
}

/* It says which files are the log's, and would be finished over repaired ones by the next start. */
static int
finish_rewriting(const struct repair_log *log, struct err *err)
{
	struct lefts l;
	int rc;

	do {
		l = (struct lefts){-1, false};
		rc = log->io->list(log->dir, find_left, &l);
		if (rc == 0 && l.base >= 0)
			rc = rewrite_recover(log->io, log->dir, l.base, l.cleaned);
	} while (rc == 0 && l.base >= 0);
	return rc < 0 ? err_sys(err, rc, "finish a rewriting in %s", log->path) : 0;
}

/* ---- One partition ------------------------------------------------------------------------ */

static int
make_directory(struct offline *o, struct repair_log *log, const char *name, const uint8_t topic_id[16],
	struct err *err)
{
	char id[23], text[64];
	int rc = o->io->mkdirat(o->fd, name);

	if (rc == 0)
		rc = o->io->openat(o->fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (rc < 0)
		return err_sys(err, rc, "make %s", log->path);
	log->dir = rc;
	uuid_put(id, topic_id);
	(void)snprintf(text, sizeof(text), "version: 0\ntopic_id: %s", id);
	rc = layout_put(o->io, log->dir, LAYOUT_METADATA, text, strlen(text));
	if (rc == 0)
		rc = layout_sync_dir(o->io, o->fd);
	return rc < 0 ? err_sys(err, rc, "write %s/" LAYOUT_METADATA, log->path) : 0;
}

/* `raise`: an epoch of its own from `end` on. */
static int
put_epochs(struct repair_log *log, bool raise, int64_t end, struct err *err)
{
	char *text;
	int rc;

	if (!raise && !log->epochs_lost)
		return 0;
	if (raise)
		epochs_begin(&log->epochs, 1 + MAX(epochs_latest(&log->epochs), log->row ? log->row->epoch : -1),
			end);
	text = epochs_text(&log->epochs);
	rc = layout_replace(log->io, log->dir, LAYOUT_EPOCHS, text, strlen(text));
	free(text);
	return rc < 0 ? err_sys(err, rc, "write %s/" LAYOUT_EPOCHS, log->path) : 0;
}

/* A start that finds a sealed file as kira.state names it takes nothing for gone: what lies behind goes now. */
static int
distrust(struct offline *o, const struct storage_topic *topic, int32_t index, struct err *err)
{
	struct state_row *row = offline_row(o, topic->name, index, topic->id);

	if (!row || row->last_base < 0)
		return 0;
	row->last_base = -1;
	return put_state(o, err);
}

static int
change(struct repair *r, struct offline *o, struct repair_log *log, const struct storage_topic *topic,
	int32_t index, struct err *err)
{
	const bool lost = repair_first_lost(log) != NULL;
	const bool truncate = lost && r->mode == REPAIR_TRUNCATE;
	const int64_t end = truncate ? truncated_end(log) : log->end;
	struct state_row *row;
	struct holes holes;
	int rc = distrust(o, topic, index, err);

	if (rc == 0)
		rc = truncate ? repair_truncate(log, end, err) : repair_skip(log, err);
	if (rc == 0)
		rc = repair_indexes(log, truncate ? end : INT64_MAX, err);
	/* Where the last stop was not clean the next start raises the epoch, at an end that it finds itself. */
	if (rc == 0)
		rc = put_epochs(log, truncate || (lost && o->clean), end, err);
	if (rc < 0)
		return rc;
	find_holes(log, end, &holes);
	row = row_of(o, topic, index);
	row->epoch = MAX(row->epoch, epochs_latest(&log->epochs));
	row->start = log->start;
	row->last_base = -1; /* files change: the next start reads */
	row->recovery = truncate ? end : MAX(log->promised, holes.n ? holes.hole[holes.n - 1].to : 0);
	row->state = PART_OK;
	holes_free(&row->holes);
	row->holes = holes;
	r->repaired++;
	return put_state(o, err);
}

static int
partition(struct repair *r, struct offline *o, const struct storage_topic *topic, int32_t index, struct err *err)
{
	struct repair_log log = {.io = o->io, .row = offline_row(o, topic->name, index, topic->id),
		.clean = o->clean};
	char name[TOPIC_NAME_MAX + 16], gone[DIRECTORY_DELETED];
	bool mended, lost;
	int rc;

	(void)snprintf(name, sizeof(name), "%s-%" PRId32, topic->name, index);
	if (r->partition && strcmp(r->partition, name) != 0)
		return 0;
	r->partitions++;
	(void)snprintf(log.path, sizeof(log.path), "%s/%s", o->path, name);
	log.dir = o->io->openat(o->fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (log.dir == -ENOENT) { /* renamed for a deletion that was cut short: a start takes it back */
		directory_deleted_name(gone, topic->name, index, topic->id);
		log.dir = o->io->openat(o->fd, gone, O_RDONLY | O_DIRECTORY, 0);
	}
	if (log.dir < 0 && log.dir != -ENOENT)
		return err_sys(err, log.dir, "open %s", log.path);
	rc = log.dir >= 0 && r->mode != REPAIR_LOOK && !r->dry ? finish_rewriting(&log, err) : 0;
	if (rc == 0)
		rc = repair_scan(&log, err);
	if (rc < 0)
		goto out;
	say_broken(r, &log);
	mended = say_mended(r, &log);
	lost = repair_first_lost(&log) != NULL;
	r->broken += mended || lost;
	if (lost && r->mode != REPAIR_SKIP)
		say_truncate(r, &log);
	if (lost && r->mode != REPAIR_TRUNCATE)
		say_skip(r, &log);
	if (r->mode == REPAIR_LOOK || r->dry || !(mended || lost))
		goto out;
	if (log.dir < 0)
		rc = make_directory(o, &log, name, topic->id, err);
	if (rc == 0)
		rc = change(r, o, &log, topic, index, err);
out:
	if (log.dir >= 0)
		(void)o->io->close(log.dir);
	repair_forget(&log);
	return rc;
}

int
repair_directory(struct repair *r, const char *path, struct err *err)
{
	struct offline o;
	int rc = offline_open(&o, r->io ? r->io : &io_posix, path, true, err);

	if (rc < 0)
		return rc;
	if (o.meta_rc < 0 || o.topics_rc < 0) {
		err_set(err, "%s/kira.%s is missing or damaged: put back a copy first; the records are in the "
			"partition directories", path, o.meta_rc < 0 ? "meta" : "topics");
		rc = -EBADMSG;
	}
	if (rc == 0 && o.format != DIRECTORY_FORMAT && r->mode != REPAIR_LOOK && !r->dry) {
		err_set(err, "%s has format %" PRId32 ", a repair writes format %d: start kirad on it once", path,
			o.format, DIRECTORY_FORMAT);
		rc = -EINVAL;
	}
	for (unsigned i = 0; i < o.topics && rc == 0; i++)
		for (int32_t k = 0; k < o.topic[i].partitions && rc == 0; k++)
			rc = partition(r, &o, &o.topic[i], k, err);
	if (rc == 0 && r->partition && r->partitions == 0) {
		err_set(err, "%s names no partition %s; `kira dump %s/kira.topics` lists the topics", path, r->partition,
			path);
		rc = -ENOENT;
	}
	offline_close(&o);
	return rc;
}
