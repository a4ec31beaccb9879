/* SPDX-License-Identifier: MIT
 * inspect_partition.c - one partition: its files as a chain, from the start offset to where a start of
 * kirad would find the end; what does not belong to it. */
#include "storage/inspect_log.h"

#include "storage/layout.h"
#include "storage/rewrite.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

enum { HAS_LOG = 1, HAS_INDEX = 2, HAS_TIME = 4, HAS_SNAPSHOT = 8, SEALED = HAS_LOG | HAS_INDEX | HAS_TIME };
/* Left by a rewriting: the three, above, as .swap; any of them as .cleaned. */
enum { SWAPPED = 4 /* bits */, HAS_SWAP = SEALED << SWAPPED, HAS_CLEANED = 128 };

static const char lost[] = "put back a copy, or decide with kira repair; kirad serves nothing from here on";

struct at_offset {
	int64_t offset;
	unsigned has;
};

struct partition_files {
	struct inspect *in;
	const struct inspect_place *at;
	const struct inspect_partition *p;
	struct err *err;
	struct at_offset *file; /* sorted; an entry per name, then one per offset */
	unsigned n, room;
	bool pool;
	/* While the chain is walked. */
	struct epochs epochs;   /* n 0: none that can be read */
	int64_t start, end, before;
	int64_t gone;           /* no file that begins below is of the log */
	bool snapshot_loaded;
	bool over;              /* what comes is no part of the log */
	bool unsealed;          /* the file before is, as a kill or a power cut leaves it */
	bool broken;            /* batches are missing, or were merged: what they said of producers, too */
};

/* What a start makes the segment's file: it finishes the renames of a rewriting. */
static const char *
suffix_of(const struct at_offset *file, unsigned part)
{
	static const char *const swap[] = {".log.swap", ".index.swap", ".timeindex.swap"};
	static const char *const final[] = {".log", ".index", ".timeindex"};

	return file->has >> SWAPPED >> part & 1 ? swap[part] : final[part];
}

/* ---- What is there ------------------------------------------------------------------------ */

static bool
ends_with(const char *name, const char *end)
{
	const size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static void
stray(struct partition_files *f, const char *name)
{
	const char *what = "a file that Kira does not make", *cure = "look at it, and remove it";

	if (ends_with(name, ".tmp") || ends_with(name, ".deleted")) {
		what = "left over from a replacement or a deletion that was cut short";
		cure = "nothing to do: the next start removes it";
	} else if (ends_with(name, ".dropped")) {
		what = "cut off by a start after a torn tail: no part of the log";
		cure = "remove it when nobody needs it";
	} else if (strstr(name, ".log.bad")) {
		what = "cut out of the log by kira repair";
		cure = "remove it when nobody needs it";
	}
	inspect_say(f->in, INSPECT_NOTE, f->at, name, -1, -1, cure, "%s", what);
}

static int
look(void *arg, const char *name)
{
	static const char *const suffix[] = {".log", ".index", ".timeindex", ".snapshot"};
	struct partition_files *f = arg;
	int64_t offset = -1;
	unsigned i = 0, part;
	bool cleaned;

	for (; i < ARRAY_LENGTH(suffix); i++)
		if ((offset = layout_offset(name, suffix[i])) >= 0)
			break;
	if (offset < 0 && (offset = rewrite_left(name, &cleaned, &part)) >= 0)
		i = cleaned ? 7 : SWAPPED + part;
	if (offset < 0) {
		f->pool |= strcmp(name, LAYOUT_SPARE) == 0;
		if (strcmp(name, LAYOUT_SPARE) != 0 && strcmp(name, LAYOUT_EPOCHS) != 0 &&
			strcmp(name, LAYOUT_METADATA) != 0 && layout_offset(name, LAYOUT_CHECKPOINT) < 0)
			stray(f, name);
		return 0;
	}
	if (f->n == f->room) {
		f->room = f->room ? f->room * 2 : 64;
		f->file = realloc(f->file, f->room * sizeof(*f->file));
		ASSERT(f->file);
	}
	f->file[f->n++] = (struct at_offset){offset, 1u << i};
	return 0;
}

static int
by_offset(const void *a, const void *b)
{
	const int64_t x = ((const struct at_offset *)a)->offset, y = ((const struct at_offset *)b)->offset;

	return x < y ? -1 : x > y;
}

/* As a start does it. */
static void
settle(struct partition_files *f, struct at_offset *file)
{
	char name[LAYOUT_NAME];

	layout_name(name, file->offset, ".log");
	if (file->has & HAS_CLEANED) {
		file->has &= HAS_SNAPSHOT | SEALED;
		inspect_say(f->in, INSPECT_NOTE, f->at, name, -1, file->offset,
			"nothing to do: the next start removes what it left, *.cleaned and *.swap",
			"its rewriting was cut short");
	} else if (file->has & HAS_SWAP) {
		file->has |= (file->has & HAS_SWAP) >> SWAPPED;
		inspect_say(f->in, INSPECT_NOTE, f->at, name, -1, file->offset,
			"nothing to do: the next start renames *.swap, which are looked at in its place",
			"its rewriting was cut short between the last renames");
	}
}

static void
merge(struct partition_files *f)
{
	unsigned n = 0;

	if (f->n > 0)
		qsort(f->file, f->n, sizeof(*f->file), by_offset);
	for (unsigned i = 0; i < f->n; i++) {
		if (n > 0 && f->file[n - 1].offset == f->file[i].offset)
			f->file[n - 1].has |= f->file[i].has;
		else
			f->file[n++] = f->file[i];
	}
	f->n = n;
	for (unsigned i = 0; i < f->n; i++)
		settle(f, &f->file[i]);
}

/* ---- Small files -------------------------------------------------------------------------- */

static void
metadata(struct partition_files *f)
{
	char *text, want[64], id[23];
	size_t n;

	if (layout_read(f->in->io, f->at->fd, LAYOUT_METADATA, &text, &n) < 0) {
		inspect_say(f->in, INSPECT_DAMAGE, f->at, LAYOUT_METADATA, -1, -1,
			"write it again, as FORMAT.md has it, with the id in kira.topics", "missing");
		return;
	}
	if (f->p->id) {
		uuid_put(id, f->p->id);
		(void)snprintf(want, sizeof(want), "version: 0\ntopic_id: %s", id);
		if (strcmp(text, want) != 0)
			inspect_say(f->in, INSPECT_DAMAGE, f->at, LAYOUT_METADATA, -1, -1,
				"is this the directory of another topic of that name? put back the right one",
				"does not have the topic id of kira.topics, %s", id);
	}
	free(text);
}

static void
epoch_file(struct partition_files *f)
{
	const char *cure = "put back a copy, or let kira repair make it from the batches: kirad halts the partition";
	char *text;
	size_t n;
	int rc = layout_read(f->in->io, f->at->fd, LAYOUT_EPOCHS, &text, &n);

	if (rc < 0) {
		inspect_say(f->in, INSPECT_DAMAGE, f->at, LAYOUT_EPOCHS, -1, -1, cure, "%s",
			rc == -ENOENT ? "missing" : "cannot be read");
		return;
	}
	if (!epochs_parse(&f->epochs, text, n))
		inspect_say(f->in, INSPECT_DAMAGE, f->at, LAYOUT_EPOCHS, -1, -1, cure,
			"not a list of rising epochs and offsets");
	free(text);
}

/* ---- The chain ---------------------------------------------------------------------------- */

/* Where the next batch is looked for: behind a hole, if one was recorded there. */
static int64_t
next_offset(const struct partition_files *f)
{
	return f->p->row && !f->over ? holes_after(&f->p->row->holes, f->end) : f->end;
}

static void
link(struct partition_files *f, const char *name, int64_t base, bool first)
{
	f->end = next_offset(f);
	f->broken |= base != f->end && !(first && base < f->start);
	if (first && base > f->end)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, name, -1, f->start, lost,
			"the first segment begins at offset %" PRId64 ", the partition at %" PRId64
			": a file is missing", base, f->start);
	else if (!first && base > f->end)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, name, -1, f->end, lost,
			"begins at offset %" PRId64 " where %" PRId64 " must follow: a file is missing or cut short",
			base, f->end);
	else if (!first && base < f->end)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, name, -1, f->end, lost,
			"begins at offset %" PRId64 ", but the file before goes on to %" PRId64, base, f->end);
}

static void
say_tail(struct partition_files *f, const char *name, const struct inspect_log *log)
{
	const uint64_t rest = log->size - log->position;

	f->over = log->verdict == SCAN_BAD;
	if (log->batches == 0 && !f->over)
		return; /* made ahead, nothing in it yet */
	if (f->over)
		inspect_say(f->in, INSPECT_NOTE, f->at, name, (int64_t)log->position, log->end,
			"nothing to do: the next start ends the log here, and keeps the rest as *.dropped",
			"unsealed tail: %" PRIu64 " whole batches, then %s", log->batches, log->why);
	else
		inspect_say(f->in, INSPECT_NOTE, f->at, name, (int64_t)log->position, log->end,
			"nothing to do: the next start checks and seals it",
			"unsealed tail: %" PRIu64 " whole batches, then %" PRIu64 " zero bytes", log->batches, rest);
}

static int
sealed(struct partition_files *f, const struct at_offset *file, const char *name, struct inspect_log *log,
	const struct index *made)
{
	const char *const suffix[] = {suffix_of(file, 1), suffix_of(file, 2)};

	if (log->verdict == SCAN_ZEROS)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, name, (int64_t)log->position, log->end,
			"kira repair cuts it",
			"sealed, but %" PRIu64 " zero bytes lie behind the last batch: it must be %" PRIu64
			" bytes", log->size - log->position, log->position);
	if (log->damaged)
		return 0; /* the index is then compared with what is not there */
	return inspect_indexes(f->in, f->at, log->base, suffix, made, f->err);
}

static int
segment(struct partition_files *f, const struct at_offset *file)
{
	struct inspect *in = f->in;
	const bool is_sealed = (file->has & SEALED) == SEALED;
	struct index made = {0};
	struct inspect_log log = {.base = file->offset, .epochs = f->epochs.n ? &f->epochs : NULL,
		.tail = !is_sealed && !f->p->clean, .producers = f->p->producers};
	char name[LAYOUT_NAME];
	int rc;

	layout_name(name, file->offset, suffix_of(file, 0));
	if (!is_sealed && f->p->clean)
		inspect_say(in, INSPECT_DAMAGE, f->at, name, -1, file->offset,
			"nothing to do: the next start checks the segment and makes its index anew",
			"the last stop was clean, but %s is missing",
			file->has & HAS_TIME ? "its .index" : file->has & HAS_INDEX ? "its .timeindex" :
			"its .index and .timeindex");
	if (is_sealed) {
		/* Room for any file that a segment may be. */
		rc = index_open(&made, in->io, SEGMENT_BYTES_MAX);
		if (rc < 0)
			return err_sys(f->err, rc, "memory for an index");
		log.index = &made;
	}
	rc = inspect_log(in, f->at, name, &log, f->err);
	if (rc == 0) {
		if (is_sealed) {
			index_finish(&made);
			rc = sealed(f, file, name, &log, &made);
		} else if (log.tail) {
			say_tail(f, name, &log);
		}
		f->end = log.end;
		f->broken |= log.damaged || log.merged;
		f->unsealed = log.tail;
	}
	index_close(&made, in->io);
	return rc;
}

static int
snapshot(struct partition_files *f, int64_t offset)
{
	/* Damage was told, merged batches are none: the snapshot is believed here, and goes on in place of
	 * the headers. */
	if (f->broken) {
		producers_forget(f->p->producers, 0);
		f->snapshot_loaded = false;
		f->before = offset;
		f->broken = false;
	}
	return inspect_snapshot(f->in, f->at, &(struct inspect_snapshot){f->p->producers, offset, f->before,
		f->p->row ? &f->p->row->holes : NULL}, &f->snapshot_loaded, f->err);
}

static void
say_nothing(void *arg, const struct inspect_finding *finding)
{
	(void)arg;
	(void)finding;
}

/* All was deleted, and a power cut gave back some of the names, in any order: the last file in front of the start ends
 * below it, above which nothing was promised. A start removes it then, whatever it is like. */
static int
find_gone(struct partition_files *f)
{
	const struct state_row *row = f->p->row;
	struct inspect quiet = {.io = f->in->io, .found = say_nothing};
	struct inspect_log log = {.epochs = f->epochs.n ? &f->epochs : NULL};
	const struct at_offset *last = NULL;
	char name[LAYOUT_NAME];
	int rc;

	if (!row || row->recovery > row->start)
		return 0;
	for (unsigned i = 0; i < f->n && f->file[i].offset <= row->start; i++)
		if (f->file[i].has & HAS_LOG)
			last = &f->file[i];
	if (last && last->offset < row->start) {
		log.base = last->offset;
		log.tail = (last->has & SEALED) != SEALED && !f->p->clean;
		layout_name(name, last->offset, suffix_of(last, 0));
		rc = inspect_log(&quiet, f->at, name, &log, f->err);
		if (rc < 0 || holes_after(&row->holes, log.end) >= row->start)
			return rc;
	}
	f->gone = row->start;
	return 0;
}

/* Its deletion was cut short, or waits for a snapshot. */
static bool
below_start(const struct partition_files *f, unsigned i)
{
	if (f->file[i].offset < f->gone)
		return true;
	for (i++; i < f->n; i++)
		if (f->file[i].has & HAS_LOG)
			return f->file[i].offset <= f->start;
	return false;
}

/* What lies at an offset, in order. */
static int
one(struct partition_files *f, unsigned i, bool *first)
{
	const struct at_offset *file = &f->file[i];
	char name[LAYOUT_NAME];
	int rc = 0;

	layout_name(name, file->offset, file->has & HAS_LOG ? ".log" : file->has & HAS_INDEX ? ".index" :
		file->has & HAS_TIME ? ".timeindex" : ".snapshot");
	if (below_start(f, i)) {
		if (file->has & HAS_LOG)
			inspect_say(f->in, INSPECT_NOTE, f->at, name, -1, file->offset,
				"nothing to do: kirad removes it, once a snapshot remembers its producers",
				"wholly below the start offset %" PRId64, f->start);
		return 0;
	}
	if (!(file->has & HAS_LOG) && (file->has & (HAS_INDEX | HAS_TIME)))
		inspect_say(f->in, f->p->clean ? INSPECT_DAMAGE : INSPECT_NOTE, f->at, name, -1, file->offset,
			f->p->clean ? lost : "nothing to do: the next start removes it",
			"an index without its %020" PRId64 ".log", file->offset);
	/* What an unsealed file lacks in front of the next was never synced, nor is what lies behind it promised. */
	f->over |= (file->has & HAS_LOG) && f->unsealed && file->offset > next_offset(f);
	if ((file->has & HAS_LOG) && f->over) {
		inspect_say(f->in, INSPECT_NOTE, f->at, name, -1, file->offset,
			"nothing to do: the next start puts it aside as *.dropped",
			"behind the end of the log, which is offset %" PRId64, f->end);
		return 0;
	}
	if (file->has & HAS_LOG) {
		link(f, name, file->offset, *first);
		if (*first)
			f->before = file->offset;
		f->end = file->offset;
		*first = false;
	}
	if ((file->has & HAS_SNAPSHOT) && !f->over) {
		if (!(file->has & HAS_LOG) && (*first || (file->offset != f->end && file->offset != next_offset(f))))
			inspect_say(f->in, INSPECT_NOTE, f->at, name, -1, file->offset, "remove it",
				"a snapshot where no segment begins or ends");
		else
			rc = snapshot(f, file->offset);
	}
	return rc == 0 && (file->has & HAS_LOG) ? segment(f, file) : rc;
}

/* The spare may go on with the log: a roll into it was not named yet. */
static int
pool(struct partition_files *f)
{
	struct inspect_log log = {.base = f->end, .epochs = f->epochs.n ? &f->epochs : NULL, .tail = true,
		.producers = f->p->producers};
	int rc;

	if (!f->pool || f->over)
		return 0;
	if (f->p->clean) {
		inspect_say(f->in, INSPECT_NOTE, f->at, LAYOUT_SPARE, -1, -1,
			"nothing to do: the next start removes it", "a spare segment, after a clean stop");
		return 0;
	}
	rc = inspect_log(f->in, f->at, LAYOUT_SPARE, &log, f->err);
	if (rc == 0 && log.batches > 0) {
		say_tail(f, LAYOUT_SPARE, &log);
		f->end = log.end;
	}
	return rc;
}

/* ---- What kira.state and the epochs say --------------------------------------------------- */

static void
promises(struct partition_files *f)
{
	const struct state_row *row = f->p->row;
	const struct epochs *e = &f->epochs;

	if (e->n > 0 && e->entry[e->n - 1].start > f->end)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, LAYOUT_EPOCHS, -1, f->end, lost,
			"epoch %" PRId32 " begins at offset %" PRId64 ", the log ends at %" PRId64, epochs_latest(e),
			e->entry[e->n - 1].start, f->end);
	if (!row) {
		inspect_say(f->in, f->p->clean ? INSPECT_DAMAGE : INSPECT_NOTE, f->at, NULL, -1, f->end,
			"nothing to do: the next start goes by the files", "kira.state has no line for it");
		return;
	}
	if (row->recovery > f->end)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, NULL, -1, f->end,
			"put back copies of its last files, or decide with kira repair; kirad halts the partition, and cuts nothing",
			"the log ends at offset %" PRId64 ", but up to %" PRId64
			" was durable: acknowledged records are lost", f->end, row->recovery);
	if (row->start > row->recovery)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, NULL, -1, row->start, lost,
			"kira.state: start offset %" PRId64 " is above the durable end %" PRId64, row->start,
			row->recovery);
	if (e->n > 0 && row->epoch > epochs_latest(e))
		inspect_say(f->in, INSPECT_DAMAGE, f->at, LAYOUT_EPOCHS, -1, -1, "put back a newer copy",
			"the last epoch is %" PRId32 ", kira.state says %" PRId32, epochs_latest(e), row->epoch);
	if (row->state != PART_OK)
		inspect_say(f->in, INSPECT_DAMAGE, f->at, NULL, -1, -1,
			row->state == PART_FAILED ? "start kirad: it finds out what is on disk" :
			"put back what the other lines name, or decide with kira repair; a start then looks again",
			"kirad left it %s", row->state == PART_FAILED ? "failed: a sync did not succeed" :
			"halted: acknowledged records were damaged");
}

static int
chain(struct partition_files *f)
{
	bool first = true;
	int rc;

	f->start = f->p->row ? f->p->row->start : 0;
	for (unsigned i = 0; i < f->n; i++)
		if (!f->p->row && (f->file[i].has & HAS_LOG)) {
			f->start = f->file[i].offset;
			break;
		}
	f->end = f->before = f->start;
	rc = find_gone(f);
	for (unsigned i = 0; i < f->n && rc == 0; i++)
		rc = one(f, i, &first);
	f->end = next_offset(f);
	if (rc == 0)
		rc = pool(f);
	f->end = next_offset(f);
	if (rc == 0)
		promises(f);
	return rc;
}

int
inspect_partition(struct inspect *in, const struct inspect_place *root,
	const struct inspect_partition *p, struct err *err)
{
	char name[TOPIC_NAME_MAX + 16], path[DIR_PATH_MAX];
	struct inspect_place at = {.path = path};
	struct partition_files f = {.in = in, .at = &at, .p = p, .err = err};
	int rc;

	(void)snprintf(name, sizeof(name), "%s-%" PRId32, p->topic, p->index);
	(void)snprintf(path, sizeof(path), "%s/%s", root->path, name);
	in->partitions++;
	at.fd = in->io->openat(root->fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (at.fd == -ENOENT) {
		inspect_say(in, INSPECT_DAMAGE, &at, NULL, -1, -1,
			"put back a copy of the directory, or decide with kira repair; kirad halts the partition without it",
			"the directory of a partition in kira.topics is missing");
		return 0;
	}
	if (at.fd < 0)
		return err_sys(err, at.fd, "open %s", path);
	rc = in->io->list(at.fd, look, &f);
	if (rc < 0) {
		(void)err_sys(err, rc, "list %s", path);
	} else {
		merge(&f);
		metadata(&f);
		epoch_file(&f);
		rc = chain(&f);
		producers_forget(p->producers, 0);
		producers_forget(p->producers, 1);
		epochs_free(&f.epochs);
	}
	free(f.file);
	(void)in->io->close(at.fd);
	return rc;
}
