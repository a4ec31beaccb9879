/* SPDX-License-Identifier: MIT
 * cut_io.c - struct io over the real system calls, which counts those that change or sync something,
 * and cuts the power of the file system before one of them: pages of the newest files written back in
 * any order, then the shutdown ioctl. From then on the file system answers EIO, and its device keeps
 * what it has. Any thread. */
#include "tests/crash/cut.h"

#include "base/assert.h"
#include "base/bits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PAGE     4096
#define FS_EXT4  0xef53
#define SHUTDOWN _IOR('X', 125, uint32_t) /* EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN */
enum { SHUT_DEFAULT, SHUT_LOG_FLUSH, SHUT_NO_LOG_FLUSH }; /* their argument */

struct cut cut = {.mount = -1, .calls_left = -1};
const char *const cut_how_name[CUT_HOWS] = {"log flushed", "after an fsync", "bare", "synced",
	"read-only"};

uint64_t
cut_random(uint64_t *state, uint64_t below)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

/* ---- Pages written back in any order ------------------------------------------------------ */

#define NEWEST 2

static void
write_back_file(int dir, const char *name, unsigned share, uint64_t *random)
{
	const int fd = openat(dir, name, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0) {
		for (uint64_t at = 0; at < (uint64_t)st.st_size; at += PAGE) {
			if (cut_random(random, 100) >= share)
				continue;
			if (sync_file_range(fd, (off_t)at, PAGE, SYNC_FILE_RANGE_WAIT_BEFORE |
				SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) == 0)
				cut.pages++;
		}
	}
	(void)close(fd);
}

/* The newest ones: those behind the recovery point, and the spare. */
static void
write_back_partition(int root, const char *name, unsigned share, uint64_t *random)
{
	char newest[NEWEST][64] = {{0}};
	const int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		const size_t n = strlen(e->d_name);

		if (n != 24 || strcmp(e->d_name + 20, ".log") != 0 ||
			strcmp(e->d_name, newest[0]) <= 0)
			continue;
		if (strcmp(e->d_name, newest[1]) > 0) {
			memcpy(newest[0], newest[1], sizeof(newest[0]));
			memcpy(newest[1], e->d_name, n + 1);
		} else {
			memcpy(newest[0], e->d_name, n + 1);
		}
	}
	for (unsigned i = 0; d && i < NEWEST; i++)
		if (newest[i][0])
			write_back_file(fd, newest[i], share, random);
	if (d && cut_random(random, 2))
		write_back_file(fd, "next.pool", share, random);
	if (d)
		(void)closedir(d);
}

void
cut_write_back(unsigned share, uint64_t seed)
{
	const int root = open(cut.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = root < 0 ? NULL : fdopendir(root);
	struct dirent *e;

	while (share > 0 && d && (e = readdir(d)) != NULL)
		if (e->d_type == DT_DIR && e->d_name[0] != '.' && strchr(e->d_name, '-'))
			write_back_partition(root, e->d_name, share, &seed);
	if (d)
		(void)closedir(d);
}

/* ---- The cut ------------------------------------------------------------------------------ */

static void
sync_another_file(void)
{
	const int fd = openat(cut.mount, "another", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	(void)!pwrite(fd, &cut.seed, sizeof(cut.seed), 0);
	(void)fsync(fd);
	(void)close(fd);
}

void
cut_now(void)
{
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	uint32_t flag = cut.how == CUT_LOG_FLUSHED ? SHUT_LOG_FLUSH :
		cut.how >= CUT_SYNCED ? SHUT_DEFAULT : SHUT_NO_LOG_FLUSH;

	struct statfs fs;
	int rc = fstatfs(cut.mount, &fs);

	if (cut.how == CUT_READ_ONLY && (rc < 0 || fs.f_type != FS_EXT4))
		cut.how = CUT_SYNCED;
	ASSERT(pthread_mutex_lock(&once) == 0);
	if (!cut.done && cut.mount >= 0) {
		cut.begun = true;
		cut_write_back(cut.write_back, cut.seed);
		if (cut.how == CUT_AFTER_FSYNC)
			sync_another_file();
		rc = cut.how == CUT_READ_ONLY ? mount(NULL, cut.path, NULL, MS_REMOUNT, "abort") :
			ioctl(cut.mount, SHUTDOWN, &flag);
		if (rc < 0) {
			fprintf(stderr, "the cut: %s\n", strerror(errno));
			exit(3);
		}
	}
	cut.begun = cut.done = true;
	ASSERT(pthread_mutex_unlock(&once) == 0);
}

/* Before a call that changes or syncs something. */
static void
enter(void)
{
	cut.calls++;
	if (cut.calls_left >= 0 && cut.calls_left-- == 0)
		cut_now();
}

/* ---- The table ---------------------------------------------------------------------------- */

static int
cut_openat(int dir, const char *name, int flags, unsigned mode)
{
	if (flags & (O_CREAT | O_TRUNC))
		enter();
	return io_posix.openat(dir, name, flags, mode);
}

static int
cut_fallocate(int fd, uint64_t at, uint64_t length)
{
	enter();
	return io_posix.fallocate(fd, at, length);
}

static int
cut_ftruncate(int fd, uint64_t size)
{
	enter();
	return io_posix.ftruncate(fd, size);
}

static int64_t
cut_pwrite(int fd, const void *from, size_t n, uint64_t at)
{
	enter();
	return io_posix.pwrite(fd, from, n, at);
}

static int
cut_fsync(int fd)
{
	enter();
	return io_posix.fsync(fd);
}

static int
cut_sync_range(int fd, uint8_t *map, uint64_t at, uint64_t length)
{
	enter();
	return io_posix.sync_range(fd, map, at, length);
}

static int
cut_sync_all(int fd)
{
	enter();
	return io_posix.sync_all(fd);
}

static int
cut_write_behind(int fd, uint64_t at, uint64_t length)
{
	enter();
	return io_posix.write_behind(fd, at, length);
}

static int
cut_renameat(int dir, const char *from, const char *to)
{
	enter();
	return io_posix.renameat(dir, from, to);
}

static int
cut_unlinkat(int dir, const char *name, bool directory)
{
	enter();
	return io_posix.unlinkat(dir, name, directory);
}

static int
cut_mkdirat(int dir, const char *name)
{
	enter();
	return io_posix.mkdirat(dir, name);
}

/* Without job threads the pieces of a rewriting run on the main thread, which would have to wait ever after. */
static int
cut_be_idle(void)
{
	return gettid() == getpid() ? 0 : io_posix.be_idle();
}

const struct io *
cut_io(void)
{
	static struct io io;

	io = io_posix;
	io.openat = cut_openat;
	io.fallocate = cut_fallocate;
	io.ftruncate = cut_ftruncate;
	io.pwrite = cut_pwrite;
	io.fsync = cut_fsync;
	io.sync_range = cut_sync_range;
	io.sync_all = cut_sync_all;
	io.write_behind = cut_write_behind;
	io.renameat = cut_renameat;
	io.unlinkat = cut_unlinkat;
	io.mkdirat = cut_mkdirat;
	io.be_idle = cut_be_idle;
	return &io;
}
