/* SPDX-License-Identifier: MIT
 * inspect.c - one .log read batch by batch, and a sentence for what is wrong with it. See inspect.h. */
#include "storage/inspect.h"

#include "storage/batch.h"
#include "storage/epoch.h"
#include "storage/inspect_log.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/crc32c.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define PROGRESS_BATCHES 256 /* a look at the clock for each would cost as much as the batch */

static const char restore[] = "put back a copy of the file, or decide with kira repair";

void
inspect_say(struct inspect *in, enum inspect_level level, const struct inspect_place *at,
	const char *name, int64_t position, int64_t offset, const char *cure, const char *format, ...)
{
	struct inspect_finding f = {.level = level, .position = position, .offset = offset, .cure = cure};
	char file[DIR_PATH_MAX], what[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	(void)snprintf(file, sizeof(file), "%s%s%s", at->path, name ? "/" : "", name ? name : "");
	f.file = file;
	f.what = what;
	if (level == INSPECT_DAMAGE)
		in->damages++;
	else
		in->notes++;
	in->found(in->arg, &f);
}

/* ---- What is wrong with a batch ----------------------------------------------------------- */

static const char *
rule(int16_t error, const uint8_t *b)
{
	if (b[RB_MAGIC] != 2)
		return "magic byte is not 2";
	if ((rb_attributes(b) & RB_CODEC_MASK) > 4)
		return "no such codec";
	if (rb_count(b) < 1 || rb_count(b) - 1 != rb_last_offset_delta(b))
		return "record count and last offset delta contradict each other";
	return error == 2 ? "length field is wrong" : "flags, count or producer fields contradict each other";
}

static void
say_why(struct inspect_log *log, const struct inspect_refused *r)
{
	const uint8_t *b = r->bytes;
	const int16_t error = batch_check(b, r->total, BATCH_EXACT);
	char *to = log->why;
	const size_t room = sizeof(log->why);

	if (error != 0)
		(void)snprintf(to, room, "the header is damaged: %s", rule(error, b));
	else if (rb_base_offset(b) > log->end)
		(void)snprintf(to, room, "base offset %" PRId64 " where %" PRId64 " must follow: %" PRId64
			" offsets are missing", rb_base_offset(b), log->end, rb_base_offset(b) - log->end);
	else if (rb_base_offset(b) < log->end)
		(void)snprintf(to, room, "base offset %" PRId64 " where %" PRId64 " must follow",
			rb_base_offset(b), log->end);
	else if (rb_base_offset(b) > INT64_MAX - rb_count(b))
		(void)snprintf(to, room, "base offset %" PRId64 " is the end of all offsets", rb_base_offset(b));
	else if (!r->crc)
		(void)snprintf(to, room, "CRC-32C is %08" PRIx32 ", the bytes give %08" PRIx32, rb_crc(b),
			crc32c(b + RB_ATTRIBUTES, r->total - RB_ATTRIBUTES));
	else
		(void)snprintf(to, room, "leader epoch %" PRId32 ", by leader-epoch-checkpoint it is %" PRId32,
			rb_leader_epoch(b), log->epochs ? epochs_at(log->epochs, log->end) : -1);
}

/* Reads it anew: what the scan read, it does not give out. */
int
inspect_refuse(const struct scan *sc, struct inspect_log *log, struct inspect_refused *r)
{
	const uint64_t left = sc->size - sc->position;
	uint8_t head[RB_HEADER];
	int64_t total, got;

	*r = (struct inspect_refused){NULL};
	got = sc->io->pread(sc->fd, head, MIN(left, sizeof(head)), sc->position);
	if (got < 0)
		return (int)got;
	if (got < RB_HEADER) {
		(void)snprintf(log->why, sizeof(log->why), "%" PRId64 " bytes that are no batch", got);
		return 0;
	}
	total = rb_total(head);
	if (total < RB_HEADER || total > BATCH_BYTES_MAX) {
		(void)snprintf(log->why, sizeof(log->why), "no batch begins here: its length would be %" PRId64,
			total);
		return 0;
	}
	if ((uint64_t)total > left) {
		(void)snprintf(log->why, sizeof(log->why), "a batch of %" PRId64 " bytes is cut short: the file "
			"ends after %" PRIu64 " of them", total, left);
		return 0;
	}
	r->bytes = malloc((size_t)total);
	ASSERT(r->bytes);
	r->total = (uint32_t)total;
	got = sc->io->pread(sc->fd, r->bytes, (size_t)total, sc->position);
	if (got != total) {
		free(r->bytes);
		r->bytes = NULL;
		return got < 0 ? (int)got : -EIO;
	}
	r->crc = batch_crc_right(r->bytes);
	say_why(log, r);
	return 0;
}

/* ---- The walk ----------------------------------------------------------------------------- */

static void
take(struct inspect *in, struct inspect_log *log, const struct inspect_place *at, const char *name,
	const struct inspect_batch *batch)
{
	const uint8_t *b = batch->bytes;
	const int32_t count = rb_count(b);

	if (log->index && batch->whole && batch->position < SEGMENT_BYTES_MAX) /* its room */
		index_add(log->index, (uint32_t)batch->position, batch->total,
			(uint32_t)(log->end + count - 1 - log->base), rb_max_timestamp(b));
	log->merged |= (rb_attributes(b) & RB_CODEC_MASK) == RB_CODEC_LZ4 && rb_producer_id(b) < 0;
	if (log->producers && batch->whole)
		producers_fold(log->producers, 0, b, log->end, 0);
	if (batch->whole && !log->epochs && rb_leader_epoch(b) < log->epoch) {
		log->damaged = true;
		inspect_say(in, INSPECT_DAMAGE, at, name, (int64_t)batch->position, log->end, restore,
			"leader epoch %" PRId32 " behind epoch %" PRId32, rb_leader_epoch(b), log->epoch);
	}
	if (batch->whole) {
		in->producer_max = MAX(in->producer_max, rb_producer_id(b));
		in->records += (uint64_t)count;
		log->epoch = rb_leader_epoch(b);
		log->batches++;
	}
	in->batches++;
	in->bytes += batch->total;
	if (in->batch)
		in->batch(in->arg, batch);
	if (in->progress && in->batches % PROGRESS_BATCHES == 0)
		in->progress(in->arg);
}

#define OFFSET_SANE (INT64_MAX - BATCH_RECORDS_MAX) /* a batch from there on still ends at an offset */

/* May the walk go on behind the refused batch, and with which offset? What stands there must look like
 * a batch; its own word for its offset counts, so that one damage is one finding. */
static bool
resume(const struct scan *sc, const struct inspect_refused *r, struct inspect_log *log)
{
	const uint64_t next = sc->position + r->total;
	const int32_t count = rb_count(r->bytes);
	uint8_t head[RB_HEADER];

	if (log->end > OFFSET_SANE)
		return false;
	if (next == sc->size) {
		if (rb_base_offset(r->bytes) <= OFFSET_SANE)
			log->end = MAX(log->end, rb_base_offset(r->bytes));
		log->end += count >= 1 && count <= BATCH_RECORDS_MAX ? count : 1;
		return true;
	}
	if (sc->size - next < RB_HEADER ||
		sc->io->pread(sc->fd, head, sizeof(head), next) != RB_HEADER)
		return false;
	if (head[RB_MAGIC] != 2 || rb_total(head) < RB_HEADER ||
		(uint64_t)rb_total(head) > sc->size - next || rb_base_offset(head) <= log->end ||
		rb_base_offset(head) > OFFSET_SANE)
		return false;
	log->end = rb_base_offset(head);
	return true;
}

static int
bad_batch(struct inspect *in, const struct inspect_place *at, const char *name, struct scan *sc,
	struct inspect_log *log, bool *on)
{
	struct inspect_refused r;
	const int rc = inspect_refuse(sc, log, &r);

	*on = false;
	if (rc < 0 || log->tail) {
		free(rc < 0 ? NULL : r.bytes);
		return rc;
	}
	log->damaged = true;
	inspect_say(in, INSPECT_DAMAGE, at, name, (int64_t)sc->position, log->end, restore, "%s", log->why);
	if (r.bytes) {
		take(in, log, at, name, &(struct inspect_batch){name, sc->position, r.bytes, r.total, false, r.crc});
		*on = resume(sc, &r, log);
	}
	if (*on)
		sc->position += r.total;
	else
		inspect_say(in, INSPECT_DAMAGE, at, name, (int64_t)sc->position, log->end, restore,
			"the %" PRIu64 " bytes from here to the end of the file cannot be read as batches",
			sc->size - sc->position);
	free(r.bytes);
	return 0;
}

static int
walk(struct inspect *in, const struct inspect_place *at, const char *name, struct scan *sc,
	struct inspect_log *log)
{
	bool on = true;
	int rc = 0;

	while (on && rc == 0) {
		const uint64_t position = sc->position;

		log->verdict = scan_next(sc, log->end, log->epochs, true);
		if (log->verdict == SCAN_BATCH) {
			take(in, log, at, name,
				&(struct inspect_batch){name, position, sc->batch, sc->total, true, true});
			log->end += rb_count(sc->batch);
		} else if (log->verdict == SCAN_BAD) {
			rc = bad_batch(in, at, name, sc, log, &on);
		} else {
			rc = log->verdict == SCAN_ERROR ? sc->rc : 0;
			on = false;
		}
		log->position = sc->position;
	}
	return rc;
}

int
inspect_log(struct inspect *in, const struct inspect_place *at, const char *name,
	struct inspect_log *log, struct err *err)
{
	const int fd = in->io->openat(at->fd, name, O_RDONLY, 0);
	struct scan sc;
	uint8_t first[8];
	int rc;

	if (fd < 0)
		return err_sys(err, fd, "open %s/%s", at->path, name);
	log->epoch = -1;
	rc = scan_open(&sc, in->io, fd, 0);
	if (rc == 0) {
		if (log->base < 0)
			log->base = in->io->pread(fd, first, sizeof(first), 0) == sizeof(first) ?
				rb_base_offset(first) : 0;
		log->end = log->base;
		log->size = sc.size;
		rc = walk(in, at, name, &sc, log);
		scan_close(&sc);
	}
	(void)in->io->close(fd);
	in->segments++;
	return rc < 0 ? err_sys(err, rc, "read %s/%s", at->path, name) : 0;
}

/* ---- For kira dump ------------------------------------------------------------------------ */

int
inspect_log_file(struct inspect *in, const char *path, int64_t *end, struct err *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char dir[DIR_PATH_MAX];
	const struct inspect_place at = {AT_FDCWD, dir};
	struct inspect_log log = {.base = inspect_name(name, ".log")};
	int rc, fd;

	if (!in->io)
		in->io = &io_posix;
	(void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	fd = in->io->openat(AT_FDCWD, *dir ? dir : "/", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(err, fd, "open %s", dir);
	rc = inspect_log(in, &(struct inspect_place){fd, at.path}, name, &log, err);
	(void)in->io->close(fd);
	if (rc < 0)
		return rc;
	if (log.verdict == SCAN_ZEROS)
		inspect_say(in, INSPECT_NOTE, &at, name, (int64_t)log.position, log.end, NULL,
			"%" PRIu64 " zero bytes behind the last batch: the segment is not sealed",
			log.size - log.position);
	*end = log.end;
	return 0;
}

int64_t
inspect_name(const char *name, const char *suffix)
{
	return layout_offset(name, suffix);
}

bool
inspect_snapshot_right(const uint8_t *bytes, uint32_t length)
{
	return producers_snapshot_right(bytes, length);
}

bool
inspect_checkpoint_right(const uint8_t *bytes, uint64_t length, struct checkpoint_file *ret)
{
	return checkpoint_parse(bytes, length, ret) && (ret->snapshot_length == 0 ||
		producers_snapshot_right(ret->snapshot, ret->snapshot_length));
}

bool
inspect_epochs_right(const char *text, size_t length)
{
	struct epochs e;

	if (!epochs_parse(&e, text, length))
		return false;
	epochs_free(&e);
	return true;
}
