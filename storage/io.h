/* SPDX-License-Identifier: MIT
 * io.h - every system call that storage/ makes, as a table; a test or a simulator passes another.
 * All return 0 (or a count, or a descriptor) or -errno; EINTR is dealt with inside. Any thread. */
#ifndef KIRA_STORAGE_IO_H
#define KIRA_STORAGE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_space {
	uint64_t total, free; /* bytes; free: to an ordinary user */
	uint64_t type;        /* f_type of statfs(2) */
	uint64_t fsid;
};

struct io {
	int (*openat)(int dir, const char *name, int flags, unsigned mode);
	int (*close)(int fd);
	int (*size)(int fd, uint64_t *ret);
	int (*fallocate)(int fd, uint64_t at, uint64_t length);
	int (*ftruncate)(int fd, uint64_t size);
	int64_t (*pread)(int fd, void *to, size_t n, uint64_t at); /* short only at the end of file */
	int64_t (*pwrite)(int fd, const void *from, size_t n, uint64_t at);
	/* All of `from` becomes all of `to`, without a copy. -EOPNOTSUPP, -EXDEV and others: not here. */
	int (*clone)(int from, int to);
	int (*fsync)(int fd);
	/* What fdatasync promises, of these bytes alone: `map` is of all of `fd`, `at` at a page of it.
	 * Pages outside the range are neither written nor protected from stores. */
	int (*sync_range)(int fd, uint8_t *map, uint64_t at, uint64_t length);
	int (*sync_all)(int fd); /* all of the file system it lies on: files, sizes, names */
	int (*write_behind)(int fd, uint64_t at, uint64_t length); /* starts, promises nothing */
	int (*drop_cache)(int fd);
	int64_t (*cached)(int fd, uint64_t size); /* bytes of the file in the page cache, in pages */
	/* The next byte from `at` on that need not be zero; UINT64_MAX: there is none. `at` itself where the file
	 * system cannot tell. */
	uint64_t (*next_data)(int fd, uint64_t at);
	void (*sleep_ms)(unsigned ms);
	/* The kernel frees what it still holds of sockets that gave it up, on the CPUs that this thread may run on: file
	 * pages too. */
	void (*let_go)(void);
	/* fd -1: zeroed memory. Shared and writable; may be longer than the file, whose pages come one by
	 * one: no read-ahead. */
	int (*map)(int fd, uint64_t length, uint8_t **ret);
	int (*unmap)(void *map, uint64_t length);
	int (*populate)(void *at, uint64_t length);  /* fault in for writing */
	int (*unpopulate)(void *at, uint64_t length); /* drop map entries, not data */
	int (*renameat)(int dir, const char *from, const char *to);
	int (*unlinkat)(int dir, const char *name, bool directory);
	int (*mkdirat)(int dir, const char *name);
	int (*size_at)(int dir, const char *name, uint64_t *ret);
	int (*changed_ms)(int dir, const char *name, int64_t *wall_ms); /* ctime: also by a rename */
	int (*list)(int dir, int (*each)(void *arg, const char *name), void *arg);
	int (*lock)(int fd); /* -EAGAIN: somebody else has it */
	int (*space)(int fd, struct io_space *ret);
	/* The calling thread steps back for all others, so far that it still gets the CPU within milliseconds, and
	 * the disk: they may wait for a lock of the file system that it holds. */
	int (*be_idle)(void);
};

extern const struct io io_posix;

/* io_posix's pread on this thread, while on: of pages that are not cached -EAGAIN, instead of waiting for the
 * disk. The first such read since it was switched on is kept, to be read by somebody who may wait. */
void io_nowait(bool on);
bool io_gave_up(void);
/* That read, with a descriptor of its own (< 0: there was none to be had), the caller's to close. False: none. */
bool io_take_cold(int *fd, uint64_t *at, uint64_t *n);

#endif
