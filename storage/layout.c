/* SPDX-License-Identifier: MIT
 * layout.c - see the header. Any thread that may block; owns nothing. */
#include "storage/layout.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
layout_name(char ret[LAYOUT_NAME], int64_t offset, const char *suffix)
{
	(void)snprintf(ret, LAYOUT_NAME, "%020" PRId64 "%s", offset, suffix);
}

int64_t
layout_offset(const char *name, const char *suffix)
{
	int64_t v = 0;
	unsigned i = 0;

	for (; i < 20 && name[i] >= '0' && name[i] <= '9'; i++) {
		if (v > (INT64_MAX - (name[i] - '0')) / 10)
			return -1;
		v = v * 10 + (name[i] - '0');
	}
	return i == 20 && strcmp(name + i, suffix) == 0 ? v : -1;
}

int
layout_sync_dir(const struct io *io, int dir)
{
	uint64_t size;
	const int rc = io->fsync(dir);

	/* XFS that has shut itself down says 0 of a directory, though the changes are gone (6.18: one that is given up
	 * is dirty no more), until a restart. fstat it refuses, so what the sync said before that is true. */
	return rc == 0 && io->size(dir, &size) == -EIO ? -EIO : rc;
}

int
layout_open_dir(const struct io *io, int dir)
{
	return io->openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);
}

int
layout_unlink(const struct io *io, int dir, const char *name)
{
	const int rc = io->unlinkat(dir, name, false);

	return rc == -ENOENT ? 0 : rc;
}

int
layout_unlink_segment(const struct io *io, int dir, int64_t base, bool snapshot)
{
	static const char *const suffix[] = {".snapshot", ".index", ".timeindex", ".log"};
	char name[LAYOUT_NAME];
	int rc = 0;

	for (unsigned i = snapshot ? 0 : 1; i < ARRAY_LENGTH(suffix) && rc == 0; i++) {
		layout_name(name, base, suffix[i]);
		rc = layout_unlink(io, dir, name);
	}
	return rc;
}

static int
put(const struct io *io, int dir, const char *name, const void *bytes, size_t n, bool sync)
{
	char tmp[300];
	int64_t done;
	int fd, rc;

	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	fd = io->openat(dir, tmp, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return fd;
	done = io->pwrite(fd, bytes, n, 0);
	rc = done < 0 ? (int)done : (size_t)done < n ? -EIO : sync ? io->fsync(fd) : 0;
	(void)io->close(fd);
	if (rc == 0)
		rc = io->renameat(dir, tmp, name);
	if (rc < 0)
		(void)io->unlinkat(dir, tmp, false);
	return rc;
}

int
layout_put(const struct io *io, int dir, const char *name, const void *bytes, size_t n)
{
	return put(io, dir, name, bytes, n, true);
}

int
layout_put_unsynced(const struct io *io, int dir, const char *name, const void *bytes, size_t n)
{
	return put(io, dir, name, bytes, n, false);
}

int
layout_replace(const struct io *io, int dir, const char *name, const void *bytes, size_t n)
{
	const int own = layout_open_dir(io, dir);
	int rc = own < 0 ? own : layout_put(io, dir, name, bytes, n);

	if (rc == 0)
		rc = layout_sync_dir(io, own);
	(void)io->close(own);
	return rc;
}

int
layout_read(const struct io *io, int dir, const char *name, char **ret, size_t *n)
{
	uint64_t size;
	char *text = NULL;
	int64_t got = 0;
	int rc, fd = io->openat(dir, name, O_RDONLY, 0);

	if (fd < 0)
		return fd;
	rc = io->size(fd, &size);
	if (rc == 0 && size > LAYOUT_FILE_MAX)
		rc = -EFBIG;
	if (rc == 0) {
		text = malloc(size + 1);
		ASSERT(text);
		got = io->pread(fd, text, size, 0);
		/* Less than it is long: half of a table must not pass for the whole. */
		rc = got < 0 ? (int)got : (uint64_t)got < size ? -EIO : 0;
	}
	(void)io->close(fd);
	if (rc < 0) {
		free(text);
		return rc;
	}
	text[got] = 0;
	*ret = text;
	*n = (size_t)got;
	return 0;
}

int
layout_put_text(const struct io *io, int dir, const char *kind, const char *body)
{
	char name[64], *text = NULL;
	size_t size = 0;
	int rc;
	FILE *f = open_memstream(&text, &size);

	ASSERT(f);
	fprintf(f, "kira-%s 1\n%s", kind, body);
	ASSERT(fflush(f) == 0);
	fprintf(f, "crc32c %08" PRIx32 "\n", crc32c(text, size));
	ASSERT(fclose(f) == 0);
	(void)snprintf(name, sizeof(name), "kira.%s", kind);
	rc = layout_replace(io, dir, name, text, size);
	free(text);
	return rc;
}

int
layout_read_text(const struct io *io, int dir, const char *kind, char **body)
{
	static const size_t last = sizeof("crc32c 00000000\n") - 1;
	char name[64], head[64], tail[32], *text;
	size_t n, h;
	int rc;

	(void)snprintf(name, sizeof(name), "kira.%s", kind);
	h = (size_t)snprintf(head, sizeof(head), "kira-%s 1\n", kind);
	rc = layout_read(io, dir, name, &text, &n);
	if (rc < 0)
		return rc;
	if (n < h + last || memcmp(text, head, h) != 0 || strlen(text) != n)
		goto bad;
	(void)snprintf(tail, sizeof(tail), "crc32c %08" PRIx32 "\n", crc32c(text, n - last));
	if (memcmp(text + n - last, tail, last) != 0 || text[n - last - 1] != '\n')
		goto bad;
	memmove(text, text + h, n - last - h);
	text[n - last - h] = 0;
	*body = text;
	return 0;
bad:
	free(text);
	return -EBADMSG;
}
