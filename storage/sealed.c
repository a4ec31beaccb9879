/* SPDX-License-Identifier: MIT
 * sealed.c - see the header. */
#include "storage/sealed.h"

#include "storage/index.h"
#include "storage/layout.h"
#include "storage/read.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

static int
open_file(const struct io *io, int dir, int64_t base, const char *suffix, uint64_t *size)
{
	char name[LAYOUT_NAME];
	int fd, rc;

	layout_name(name, base, suffix);
	fd = io->openat(dir, name, O_RDONLY, 0);
	rc = fd < 0 ? fd : io->size(fd, size);
	if (fd >= 0 && rc < 0)
		(void)io->close(fd);
	return rc < 0 ? rc : fd;
}

int
sealed_max_timestamp(const struct io *io, int dir, int64_t base, int64_t *ret)
{
	uint64_t size;
	uint32_t delta;
	const int fd = open_file(io, dir, base, ".timeindex", &size);
	int rc;

	if (fd < 0)
		return fd;
	rc = index_file_last_time(io, fd, size, ret, &delta);
	(void)io->close(fd);
	return rc;
}

/* The last entry of the index, (0, 0) where there is none. -errno. */
static int
last_entry(const struct io *io, int dir, int64_t base, uint32_t *delta, uint32_t *position)
{
	uint8_t b[INDEX_ENTRY_BYTES];
	uint64_t size;
	int rc = 0, fd = open_file(io, dir, base, ".index", &size);

	*delta = *position = 0;
	if (fd < 0)
		return fd;
	size -= size % sizeof(b);
	if (size > 0) {
		rc = io->pread(fd, b, sizeof(b), size - sizeof(b)) == sizeof(b) ? 0 : -EIO;
		*delta = rc == 0 ? rb_get32(b, 0) : 0;
		*position = rc == 0 ? rb_get32(b, 4) : 0;
	}
	(void)io->close(fd);
	return rc;
}

int
sealed_last_batch(const struct io *io, int dir, int fd, int64_t base, int64_t *at,
	uint64_t *position, bool *agrees)
{
	uint8_t b[RB_HEADER];
	uint32_t delta, where;
	int rc = last_entry(io, dir, base, &delta, &where);

	*at = base;
	*position = 0;
	*agrees = true;
	if (rc < 0 || where == 0)
		return rc;
	/* Where the batch begins is told by the entry: the batch's own word is not covered by its
	 * checksum. */
	if (io->pread(fd, b, sizeof(b), where) == sizeof(b) && rb_last_offset_delta(b) >= 0 &&
		rb_last_offset_delta(b) <= (int64_t)delta &&
		rb_base_offset(b) == base + delta - rb_last_offset_delta(b)) {
		*at = rb_base_offset(b);
		*position = where;
	} else {
		*agrees = false;
	}
	return 0;
}

/* Header by header from a batch boundary on, as far as they continue the log; *append_ms: of the last, -1 where
 * it has a producer's time. -EIO and the like. */
static int
walk_headers(const struct io *io, int fd, uint64_t size, uint64_t *position, int64_t *at, int64_t *append_ms)
{
	uint8_t b[READ_HEADER];
	int rc = 0;

	*append_ms = -1;
	while (rc == 0 && *position < size) {
		rc = read_header(io, fd, *position, size, b);
		if (rc == 0 && rb_base_offset(b) != *at)
			rc = -EBADMSG;
		if (rc == 0) {
			*position += (uint64_t)rb_total(b);
			*at += rb_count(b);
			*append_ms = rb_attributes(b) & RB_ATTR_LOG_APPEND ? rb_max_timestamp(b) : -1;
		}
	}
	return rc == -EBADMSG ? 0 : rc;
}

int
sealed_append_ms(const struct io *io, int dir, int64_t base, int64_t *ret)
{
	uint64_t size, position;
	int64_t at;
	bool agrees;
	int rc, fd = open_file(io, dir, base, ".log", &size);

	if (fd < 0)
		return fd;
	rc = sealed_last_batch(io, dir, fd, base, &at, &position, &agrees);
	if (rc == 0)
		rc = walk_headers(io, fd, size, &position, &at, ret);
	(void)io->close(fd);
	return rc;
}

int
sealed_look(const struct io *io, int dir, const struct holes *holes, int64_t base, int64_t next,
	struct sealed_tail *ret, struct err *err)
{
	uint64_t size = 0;
	int64_t append_ms;
	bool agrees;
	int rc, fd = open_file(io, dir, base, ".log", &size);

	*ret = (struct sealed_tail){.end = base, .max_timestamp = -1};
	if (fd < 0)
		return err_sys(err, fd, "open %020" PRId64 ".log", base);
	rc = sealed_last_batch(io, dir, fd, base, &ret->end, &ret->position, &agrees);
	if (rc < 0) {
		(void)err_sys(err, rc, "read the index of %020" PRId64, base);
	} else {
		rc = walk_headers(io, fd, size, &ret->position, &ret->end, &append_ms);
		if (rc < 0)
			(void)err_sys(err, rc, "read %020" PRId64 ".log", base);
	}
	(void)io->close(fd);
	if (rc < 0)
		return rc;
	if (holes_after(holes, ret->end) != next || ret->position != size) {
		err_set(err, "acknowledged data is missing: %020" PRId64 ".log is whole up to offset %"
			PRId64 ", the next file begins at %" PRId64, base, ret->end, next);
		return -EBADMSG;
	}
	rc = sealed_max_timestamp(io, dir, base, &ret->max_timestamp);
	return rc < 0 ? err_sys(err, rc, "read the time index of %020" PRId64, base) : 0;
}
