/* SPDX-License-Identifier: MIT
 * cut_raw.c - what a cut left, page by page, before a recovery repairs it: the files of the segments
 * against the batches that were sent. Says what faults the cut really made: a page that is not there
 * below one that is, a batch of which only a part is. Reads only. Thread: main. */
#include "tests/crash/cut.h"

#include "base/assert.h"
#include "base/bits.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

struct file {
	const struct log *log;
	int64_t until;          /* base of the next file */
	unsigned first, n;      /* its batches, among the log's items */
	uint64_t size;          /* as found */
	uint64_t used, synced;  /* as sent; below `synced` all was promised */
	uint8_t *is, *should;
};

static bool
page_is_there(const struct file *f, uint64_t page)
{
	const uint64_t at = page * PAGE, n = MIN((uint64_t)PAGE, f->used - at);

	return memcmp(f->is + at, f->should + at, n) == 0;
}

static bool
page_is_blank(const struct file *f, uint64_t page)
{
	static const uint8_t zero[PAGE];

	return memcmp(f->is + page * PAGE, zero, MIN((uint64_t)PAGE, f->used - page * PAGE)) == 0;
}

/* Above what was promised, a page is there, an older version of it, or nothing. A hole is one that
 * is not there in front of one of which something is. */
static void
look_at_pages(const struct file *f, struct raw *ret)
{
	bool missing = false, hole = false;

	for (uint64_t page = f->synced / PAGE; page * PAGE < f->used; page++) {
		const bool there = page_is_there(f, page);

		hole |= missing && (there || !page_is_blank(f, page));
		missing |= !there;
		ret->kept_pages += there;
		ret->lost_pages += !there;
	}
	ret->holes += hole;
	for (uint64_t page = 0; (page + 1) * PAGE <= f->synced; page++)
		ret->acked_lost += !page_is_there(f, page);
}

/* Torn: some of its pages are there and some are not. */
static void
look_at_batches(const struct file *f, struct raw *ret)
{
	uint64_t at = 0;

	for (unsigned i = f->first; i < f->first + f->n; i++) {
		const uint64_t end = at + f->log->item[i].total;
		bool in = false, out = false;

		for (uint64_t from = at; from < end && at >= f->synced;) {
			const uint64_t to = MIN(end, (from / PAGE + 1) * PAGE);
			const bool same = memcmp(f->is + from, f->should + from, to - from) == 0;

			in |= same;
			out |= !same;
			from = to;
		}
		ret->torn += in && out;
		at = end;
	}
}

static void
look_at_file(struct file *f, int fd, struct raw *ret)
{
	uint64_t at = 0;

	for (unsigned i = f->first; i < f->log->n; i++, f->n++) {
		const struct item *it = &f->log->item[i];

		if (it->offset >= f->until || at + it->total > f->size)
			break;
		at += it->total;
		if (it->offset + it->count <= f->log->durable)
			f->synced = at;
	}
	f->used = at;
	f->is = calloc(1, f->size + CUT_BATCH_ROOM);
	f->should = calloc(1, f->size + CUT_BATCH_ROOM);
	ASSERT(f->is && f->should);
	if (pread(fd, f->is, f->size, 0) != (ssize_t)f->size)
		f->n = 0;
	at = 0;
	for (unsigned i = f->first; i < f->first + f->n; i++)
		at += history_stored_bytes(&f->log->item[i], f->should + at);
	if (f->n > 0) {
		look_at_pages(f, ret);
		look_at_batches(f, ret);
		ret->files++;
	}
	free(f->is);
	free(f->should);
}

static int
by_value(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Bases of its files, sorted; how many. */
static unsigned
list(int fd, int64_t *base, unsigned room)
{
	DIR *d = fdopendir(fd);
	unsigned n = 0;
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL && n < room)
		if (strlen(e->d_name) == 24 && strcmp(e->d_name + 20, ".log") == 0)
			base[n++] = strtoll(e->d_name, NULL, 10);
	if (d)
		(void)closedir(d);
	else
		(void)close(fd);
	qsort(base, n, sizeof(*base), by_value);
	return n;
}

static void
look_at_log(const struct log *log, int dir, struct raw *ret)
{
	int64_t base[1024];
	const unsigned n = list(openat(dir, ".", O_RDONLY | O_DIRECTORY), base, 1024);

	for (unsigned i = 0; i < n; i++) {
		const struct item *first = history_at(log, base[i]);
		struct file f = {.log = log, .until = i + 1 < n ? base[i + 1] : INT64_MAX};
		char name[32];
		struct stat st;
		int fd;

		/* Only what may be damaged: at or above the last promise. */
		if (!first || (i + 1 < n && base[i + 1] <= log->durable))
			continue;
		(void)snprintf(name, sizeof(name), "%020" PRId64 ".log", base[i]);
		fd = openat(dir, name, O_RDONLY);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0) {
			f.size = (uint64_t)st.st_size;
			f.first = (unsigned)(first - log->item);
			look_at_file(&f, fd, ret);
		}
		(void)close(fd);
	}
}

void
raw_look(const struct history *h, const char *dir, struct raw *ret)
{
	*ret = (struct raw){0};
	for (unsigned t = 0; t < CUT_TOPICS; t++) {
		for (unsigned p = 0; p < CUT_PARTITIONS; p++) {
			char path[4096];
			int fd;

			(void)snprintf(path, sizeof(path), "%s/t%u-%u", dir, t, p);
			fd = open(path, O_RDONLY | O_DIRECTORY);
			if (fd < 0)
				continue;
			if (h->topic[t].log[p].n > 0)
				look_at_log(&h->topic[t].log[p], fd, ret);
			(void)close(fd);
		}
	}
}
