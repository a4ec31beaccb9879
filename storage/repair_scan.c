/* SPDX-License-Identifier: MIT
 * repair_scan.c - a partition's files read batch by batch, as pieces of the log that are whole or lost.
 * Changes nothing. */
#include "storage/repair_plan.h"

#include "storage/inspect_log.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

static const struct holes none;

static const struct holes *
holes_of(const struct repair_log *log)
{
	return log->row ? &log->row->holes : &none;
}

/* ---- Pieces ------------------------------------------------------------------------------- */

static struct repair_piece *
add_piece(struct repair_log *log, bool lost, unsigned file, uint64_t position, int64_t offset)
{
	struct repair_piece *p;

	log->piece = realloc(log->piece, (log->pieces + 1) * sizeof(*log->piece));
	ASSERT(log->piece);
	p = &log->piece[log->pieces++];
	*p = (struct repair_piece){.lost = lost, .file = file, .from = position, .to = position,
		.first = offset, .end = offset};
	return p;
}

static struct repair_piece *
last_piece(struct repair_log *log)
{
	return log->pieces ? &log->piece[log->pieces - 1] : NULL;
}

/* Offsets up to `end` are lost: added to a lost piece that ends where the log does, if there is one. */
static void
lose(struct repair_log *log, int64_t end, const char *why)
{
	struct repair_piece *p = last_piece(log);

	if (!p || !p->lost || p->end != log->end) {
		p = add_piece(log, true, REPAIR_NO_FILE, 0, log->end);
		(void)snprintf(p->why, sizeof(p->why), "%s", why);
	}
	p->end = log->end = end;
}

/* ---- One file ----------------------------------------------------------------------------- */

struct walk {
	struct repair_log *log;
	unsigned file;
	int64_t below;          /* base of the next file, INT64_MAX */
	struct scan sc;
	struct index made;
	char *index;            /* the .index file, NULL: none */
	size_t index_bytes;
};

static void
take(struct walk *w)
{
	struct repair_log *log = w->log;
	struct repair_piece *p = last_piece(log);
	const uint8_t *b = w->sc.batch;
	const int32_t count = rb_count(b);

	if (!p || p->lost || p->file != w->file)
		p = add_piece(log, false, w->file, w->sc.position - w->sc.total, log->end);
	index_add(&w->made, (uint32_t)(w->sc.position - w->sc.total), w->sc.total,
		(uint32_t)(log->end + count - 1 - log->file[w->file].base), rb_max_timestamp(b));
	p->to = w->sc.position;
	p->batches++;
	p->records += (uint64_t)count;
	p->end = log->end += count;
}

/* A batch that does not continue the log. 1: the log goes on behind it. 0: not in this file, or the rest is a
 * torn tail, which a start cuts by itself. */
static int
broken(struct walk *w)
{
	struct repair_log *log = w->log;
	const struct repair_file *file = &log->file[w->file];
	struct inspect_log says = {.end = log->end, .epochs = &log->epochs};
	struct inspect_refused r;
	struct repair_piece *p;
	uint64_t position;
	int64_t offset;
	int rc;

	if (!file->sealed && log->end >= log->promised)
		return 0;
	rc = inspect_refuse(&w->sc, &says, &r);
	if (rc < 0)
		return rc;
	free(r.bytes);
	p = add_piece(log, true, w->file, w->sc.position, log->end);
	(void)snprintf(p->why, sizeof(p->why), "%s", says.why);
	rc = repair_find(&(struct repair_find){log->io, w->sc.fd, w->sc.size, &log->epochs, w->sc.position,
		r.total ? w->sc.position + r.total : 0, log->end, w->below, (const uint8_t *)w->index,
		(unsigned)(w->index_bytes / INDEX_ENTRY_BYTES)}, &position, &offset);
	if (rc < 0)
		return rc;
	p->to = rc ? position : w->sc.size;
	if (rc)
		p->end = log->end = offset;
	w->sc.position = p->to;
	return rc;
}

static int
walk(struct walk *w)
{
	enum scan_verdict v;
	int rc = 1;

	while (rc > 0) {
		v = scan_next(&w->sc, w->log->end, &w->log->epochs, true);
		if (v == SCAN_BATCH)
			take(w);
		else if (v == SCAN_BAD)
			rc = broken(w);
		else
			rc = v == SCAN_ERROR ? w->sc.rc : 0;
	}
	w->log->file[w->file].used = w->sc.position;
	return rc;
}

/* Are both index files what the log gives? */
static bool
index_right(const struct walk *w, int64_t base)
{
	const size_t n = atomic_load(&w->made.n) * (size_t)INDEX_ENTRY_BYTES;
	const size_t m = atomic_load(&w->made.times) * (size_t)TIME_ENTRY_BYTES;
	uint8_t *bytes = malloc(n + m + 1);
	char name[LAYOUT_NAME], *times = NULL;
	size_t got = 0;
	bool right;

	ASSERT(bytes);
	index_put(&w->made, bytes, bytes + n);
	layout_name(name, base, ".timeindex");
	right = layout_read(w->log->io, w->log->dir, name, &times, &got) == 0 && got == m &&
		memcmp(times, bytes + n, m) == 0 && w->index_bytes == n && memcmp(w->index, bytes, n) == 0;
	free(times);
	free(bytes);
	return right;
}

static int
scan_file(struct repair_log *log, unsigned i, struct err *err)
{
	struct repair_file *file = &log->file[i];
	struct walk w = {.log = log, .file = i, .below = i + 1 < log->files ? log->file[i + 1].base : INT64_MAX};
	char name[LAYOUT_NAME];
	int fd, rc;

	layout_name(name, file->base, ".index");
	if (file->sealed && layout_read(log->io, log->dir, name, &w.index, &w.index_bytes) < 0)
		w.index = NULL;
	layout_name(name, file->base, ".log");
	fd = log->io->openat(log->dir, name, O_RDONLY, 0);
	if (fd < 0) {
		free(w.index);
		return err_sys(err, fd, "open %s/%s", log->path, name);
	}
	/* As a start does: clean pages may hold bytes that are not on the disk. */
	rc = file->sealed ? 0 : log->io->fsync(fd);
	if (rc == 0 && !file->sealed)
		rc = log->io->drop_cache(fd);
	if (rc == 0)
		rc = index_open(&w.made, log->io, SEGMENT_BYTES_MAX);
	if (rc == 0)
		rc = scan_open(&w.sc, log->io, fd, 0);
	if (rc == 0) {
		file->size = w.sc.size;
		file->read = true;
		rc = walk(&w);
		index_finish(&w.made);
		file->index_wrong = rc == 0 && file->sealed && !index_right(&w, file->base);
		scan_close(&w.sc);
	}
	index_close(&w.made, log->io);
	free(w.index);
	(void)log->io->close(fd);
	return rc < 0 ? err_sys(err, rc, "read %s/%s (copy what can still be read to a good disk, and repair "
		"that)", log->path, name) : 0;
}

/* ---- What is there ------------------------------------------------------------------------ */

static int
look(void *arg, const char *name)
{
	struct repair_log *log = arg;
	const int64_t base = layout_offset(name, ".log");

	log->pool |= strcmp(name, LAYOUT_SPARE) == 0;
	if (base < 0)
		return 0;
	log->file = realloc(log->file, (log->files + 1) * sizeof(*log->file));
	ASSERT(log->file);
	log->file[log->files++] = (struct repair_file){.base = base};
	return 0;
}

static int
by_base(const void *a, const void *b)
{
	const int64_t x = ((const struct repair_file *)a)->base, y = ((const struct repair_file *)b)->base;

	return x < y ? -1 : x > y;
}

static bool
has(const struct repair_log *log, int64_t base, const char *suffix)
{
	char name[LAYOUT_NAME];
	int fd;

	layout_name(name, base, suffix);
	fd = log->io->openat(log->dir, name, O_RDONLY, 0);
	if (fd >= 0)
		(void)log->io->close(fd);
	return fd >= 0;
}

static int
list(struct repair_log *log, struct err *err)
{
	unsigned below = 0;
	int rc = log->dir < 0 ? 0 : log->io->list(log->dir, look, log);

	if (rc < 0)
		return err_sys(err, rc, "list %s", log->path);
	if (log->files > 1)
		qsort(log->file, log->files, sizeof(*log->file), by_base);
	log->start = log->row ? log->row->start : log->files ? log->file[0].base : 0;
	log->promised = log->row ? MAX(log->row->recovery, log->start) : log->start;
	/* Wholly below the start: the next start removes them. */
	while (below + 1 < log->files && log->file[below + 1].base <= log->start)
		below++;
	log->files -= below;
	if (below > 0)
		memmove(log->file, log->file + below, log->files * sizeof(*log->file));
	for (unsigned i = 0; i < log->files; i++)
		log->file[i].sealed = has(log, log->file[i].base, ".index") &&
			has(log, log->file[i].base, ".timeindex");
	return 0;
}

/* ---- Epochs ------------------------------------------------------------------------------- */

/* From the batches themselves: one whose epoch falls behind the one before has a wrong one, and which of the
 * two it is cannot be told. */
static int
epochs_of_file(struct repair_log *log, int64_t base, struct err *err)
{
	char name[LAYOUT_NAME];
	struct scan sc;
	int64_t at = base;
	int rc = 0, fd;

	layout_name(name, base, ".log");
	fd = log->io->openat(log->dir, name, O_RDONLY, 0);
	if (fd < 0 || (rc = scan_open(&sc, log->io, fd, 0)) < 0) {
		if (fd >= 0)
			(void)log->io->close(fd);
		return err_sys(err, fd < 0 ? fd : rc, "open %s/%s", log->path, name);
	}
	while (rc == 0 && scan_next(&sc, at, NULL, true) == SCAN_BATCH) {
		const int32_t epoch = rb_leader_epoch(sc.batch), last = epochs_latest(&log->epochs);

		if (epoch < last || epoch < 0) {
			err_set(err, "%s/" LAYOUT_EPOCHS " is lost, and %s has epoch %" PRId32 " behind epoch %"
				PRId32 " at offset %" PRId64 ": put back a copy of the checkpoint", log->path, name,
				epoch, last, at);
			rc = -EBADMSG;
		} else if (epoch > last) {
			epochs_begin(&log->epochs, epoch, at);
		}
		at += rb_count(sc.batch);
	}
	scan_close(&sc);
	(void)log->io->close(fd);
	return rc;
}

static int
read_epochs(struct repair_log *log, struct err *err)
{
	char *text = NULL;
	size_t n;
	int rc = log->dir < 0 ? -ENOENT : layout_read(log->io, log->dir, LAYOUT_EPOCHS, &text, &n);

	if (rc == 0 && epochs_parse(&log->epochs, text, n)) {
		free(text);
		return 0;
	}
	free(text);
	if (rc < 0 && rc != -ENOENT)
		return err_sys(err, rc, "read %s/" LAYOUT_EPOCHS, log->path);
	log->epochs_lost = true;
	rc = 0;
	for (unsigned i = 0; i < log->files && rc == 0; i++)
		rc = epochs_of_file(log, log->file[i].base, err);
	if (rc == 0 && log->epochs.n == 0)
		epochs_begin(&log->epochs, log->row ? MAX(log->row->epoch, 0) : 0, log->start);
	return rc;
}

/* ---- The chain ---------------------------------------------------------------------------- */

static void
missing(struct repair_log *log, int64_t end, bool first)
{
	char why[REPAIR_WHY];

	if (first)
		(void)snprintf(why, sizeof(why), "the log begins at offset %" PRId64 ", its first file at %" PRId64
			": a file is missing", log->end, end);
	else
		(void)snprintf(why, sizeof(why), "the log is whole up to offset %" PRId64 ", the next file begins at "
			"%" PRId64 ": a file is missing or cut short", log->end, end);
	lose(log, end, why);
}

/* From the start offset on, file after file. A file of a repair that was cut short lies inside of what the one
 * before still holds, behind a broken place, and is taken for the next one there. */
static int
chain(struct repair_log *log, struct err *err)
{
	int rc = 0;

	log->end = log->start;
	for (unsigned i = 0; i < log->files && rc == 0; i++) {
		const int64_t base = log->file[i].base, next = holes_after(holes_of(log), log->end);

		if (i > 0 && base < log->end) {
			err_set(err, "%s: %020" PRId64 ".log begins inside of %020" PRId64 ".log: move one of the "
				"two away", log->path, base, log->file[i - 1].base);
			return -EBADMSG;
		}
		/* Behind the end of an unsealed one, and never promised: the next start puts it aside. */
		if (i > 0 && !log->file[i - 1].sealed && base != next && log->end >= log->promised)
			break;
		if (base != next && !(i == 0 && base < log->start))
			missing(log, base, i == 0);
		log->end = base;
		rc = scan_file(log, i, err);
	}
	return rc;
}

/* What broke wholly below the start offset costs nobody anything: the log begins behind it. */
static void
forget_expired(struct repair_log *log)
{
	unsigned behind = 0;

	for (unsigned i = 0; i < log->pieces; i++)
		if (log->piece[i].lost && log->piece[i].end <= log->start)
			behind = i + 1;
	log->pieces -= behind;
	if (behind > 0)
		memmove(log->piece, log->piece + behind, log->pieces * sizeof(*log->piece));
}

/* The spare goes on with the log: a roll into it was not named yet. Else it counts for nothing. */
static int
judge_pool(struct repair_log *log, struct err *err)
{
	struct scan sc;
	int fd, rc = 0;

	if (!log->pool)
		return 0;
	log->pool = false;
	fd = log->io->openat(log->dir, LAYOUT_SPARE, O_RDONLY, 0);
	if (fd >= 0)
		rc = scan_open(&sc, log->io, fd, 0);
	if (fd < 0 || rc < 0)
		rc = err_sys(err, fd < 0 ? fd : rc, "open %s/" LAYOUT_SPARE, log->path);
	else {
		log->pool = scan_next(&sc, log->end, &log->epochs, true) == SCAN_BATCH;
		scan_close(&sc);
	}
	if (fd >= 0)
		(void)log->io->close(fd);
	return rc;
}

const struct repair_piece *
repair_first_lost(const struct repair_log *log)
{
	for (unsigned i = 0; i < log->pieces; i++)
		if (log->piece[i].lost)
			return &log->piece[i];
	return NULL;
}

int
repair_scan(struct repair_log *log, struct err *err)
{
	int rc = list(log, err);

	if (rc == 0)
		rc = read_epochs(log, err);
	if (rc == 0)
		rc = chain(log, err);
	if (rc < 0)
		return rc;
	log->end = holes_after(holes_of(log), log->end);
	if (log->end < log->promised)
		lose(log, log->promised, "the log ends here, and more was durable");
	forget_expired(log);
	return judge_pool(log, err);
}

void
repair_forget(struct repair_log *log)
{
	epochs_free(&log->epochs);
	free(log->file);
	free(log->piece);
}
