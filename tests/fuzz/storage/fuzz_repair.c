/* SPDX-License-Identifier: MIT
 * fuzz_repair.c - a partition's directory that nobody vouches for, through the look that `kira repair` takes. Input:
 * bytes 0..1 the start offset, 2..3 what was durable; then per file: what it is (low 3 bits: .log with every checksum
 * made right, .log, .index, .timeindex, leader-epoch-checkpoint, next.pool; bit 7: its offset is a huge one), offset
 * (2), length (2), bytes. What comes out is a plan that covers the log: pieces follow each other, in offsets and in the
 * bytes of a file; the kept ones are whole batches that continue each other. */
#include "storage/repair_plan.h"

#include "storage/layout.h"
#include "storage/scan.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD  5
#define FILES 8
#define DIR   3
#define FD    10 /* of file[0] */

enum { MENDED, LOG, INDEX, TIMES, EPOCHS, POOL };

static struct file {
	char name[LAYOUT_NAME];
	uint8_t *bytes;
	size_t size;
} file[FILES];
static unsigned files;

/* ---- The directory ------------------------------------------------------------------------ */

static int
dir_openat(int dir, const char *name, int flags, unsigned mode)
{
	for (unsigned i = 0; i < files; i++)
		if (strcmp(file[i].name, name) == 0)
			return FD + (int)i;
	return -ENOENT;
}

static int
dir_close(int fd)
{
	return 0;
}

static int
dir_size(int fd, uint64_t *ret)
{
	*ret = file[fd - FD].size;
	return 0;
}

static int64_t
dir_pread(int fd, void *to, size_t n, uint64_t at)
{
	const struct file *f = &file[fd - FD];

	if (at > f->size)
		return 0;
	n = MIN(n, f->size - at);
	memcpy(to, f->bytes + at, n);
	return (int64_t)n;
}

static int
dir_list(int dir, int (*each)(void *arg, const char *name), void *arg)
{
	int rc = 0;

	for (unsigned i = 0; i < files && rc == 0; i++)
		rc = each(arg, file[i].name);
	return rc;
}

static int
done(int fd)
{
	return 0;
}

static struct io memory = {.openat = dir_openat,
	.close = dir_close,
	.size = dir_size,
	.pread = dir_pread,
	.list = dir_list,
	.fsync = done,
	.drop_cache = done};

static void
mend_checksums(const struct file *f)
{
	for (size_t at = 0; at + RB_HEADER <= f->size;) {
		const int64_t total = rb_total(f->bytes + at);

		/* Behind what is no batch others may follow. */
		if (total < RB_HEADER || total > (int64_t)(f->size - at) || f->bytes[at + RB_MAGIC] != 2) {
			at++;
			continue;
		}
		put_be32(f->bytes + at + RB_CRC,
			crc32c(f->bytes + at + RB_ATTRIBUTES, (size_t)total - RB_ATTRIBUTES));
		at += (size_t)total;
	}
}

static void
add(uint8_t what, int64_t base, const uint8_t *bytes, size_t size)
{
	static const char *const suffix[] = {".log", ".log", ".index", ".timeindex"};
	struct file *f = &file[files];

	what &= 7;
	if (what <= TIMES)
		layout_name(f->name, base, suffix[what]);
	else
		(void)snprintf(f->name, sizeof(f->name), "%s", what == EPOCHS ? LAYOUT_EPOCHS : LAYOUT_SPARE);
	if (dir_openat(DIR, f->name, 0, 0) >= 0)
		return;
	f->bytes = malloc(size + 1);
	if (!f->bytes)
		abort();
	memcpy(f->bytes, bytes, size);
	f->size = size;
	if (what == MENDED)
		mend_checksums(f);
	files++;
}

/* ---- The plan ----------------------------------------------------------------------------- */

static void
must(bool true_one)
{
	if (!true_one)
		__builtin_trap();
}

static void
judge_kept(const struct repair_log *log, const struct repair_piece *p)
{
	char name[LAYOUT_NAME];
	struct scan sc;
	int64_t at = p->first;
	uint64_t batches = 0;
	int fd;

	must(p->file < log->files);
	layout_name(name, log->file[p->file].base, ".log");
	fd = dir_openat(DIR, name, 0, 0);
	must(fd >= 0 && scan_open(&sc, &memory, fd, p->from) == 0);
	while (sc.position < p->to && scan_next(&sc, at, &log->epochs, true) == SCAN_BATCH) {
		at += rb_count(sc.batch);
		batches++;
	}
	must(sc.position == p->to && at == p->end && batches == p->batches && batches > 0);
	must(p->records == (uint64_t)(p->end - p->first));
	scan_close(&sc);
}

static void
judge(const struct repair_log *log)
{
	int64_t end = log->pieces ? log->piece[0].first : log->end;
	const struct repair_piece *before = NULL;

	for (unsigned i = 0; i < log->pieces; i++) {
		const struct repair_piece *p = &log->piece[i];

		must(p->first == end && p->end >= p->first);
		if (p->file != REPAIR_NO_FILE) {
			must(p->from <= p->to && p->to <= log->file[p->file].size);
			must(before && before->file == p->file ? p->from == before->to : i == 0 || p->from == 0);
			before = p;
		}
		if (p->lost)
			must(p->why[0] != '\0');
		else
			judge_kept(log, p);
		end = p->end;
	}
	must(end == log->end && log->end >= log->promised);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state_row row = {.epoch = 0};
	struct repair_log log = {.io = &memory, .row = &row, .dir = DIR, .path = "t-0"};
	struct err err = {""};

	if (size < 4)
		return 0;
	memory.map = io_posix.map;
	memory.unmap = io_posix.unmap;
	row.start = get_be16(data);
	row.recovery = get_be16(data + 2);
	data += 4;
	size -= 4;
	files = 0;
	while (size >= HEAD && files < FILES) {
		const int64_t base = get_be16(data + 1);
		const size_t n = MIN((size_t)get_be16(data + 3), size - HEAD);

		add(data[0], data[0] & 0x80 ? INT64_MAX - base : base, data + HEAD, n);
		data += HEAD + n;
		size -= HEAD + n;
	}
	if (repair_scan(&log, &err) == 0)
		judge(&log);
	else
		must(err.text[0] != '\0');
	repair_forget(&log);
	for (unsigned i = 0; i < files; i++)
		free(file[i].bytes);
	return 0;
}
