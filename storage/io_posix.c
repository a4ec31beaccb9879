/* SPDX-License-Identifier: MIT
 * io_posix.c - the real system calls behind io.h. Any thread; owns nothing. */
#include "storage/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <linux/fs.h> /* FICLONE */
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NICE 10 /* of a thread that steps back */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; glibc of Debian 12 has it */
#endif

static int
result(int rc)
{
	return rc < 0 ? -errno : rc;
}

static int
posix_openat(int dir, const char *name, int flags, unsigned mode)
{
	int fd;

	do
		fd = openat(dir, name, flags | O_CLOEXEC, (mode_t)mode);
	while (fd < 0 && errno == EINTR);
	return result(fd);
}

static int
posix_close(int fd)
{
	return fd < 0 ? 0 : result(close(fd));
}

static int
posix_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int
posix_fallocate_(int fd, uint64_t at, uint64_t length)
{
	int rc;

	do
		rc = fallocate(fd, 0, (off_t)at, (off_t)length);
	while (rc < 0 && errno == EINTR);
	return result(rc);
}

static int
posix_ftruncate(int fd, uint64_t size)
{
	int rc;

	do
		rc = ftruncate(fd, (off_t)size);
	while (rc < 0 && errno == EINTR);
	return result(rc);
}

/* What a thread that must not wait for the disk could not have: io.h. */
static _Thread_local struct {
	bool on, gave_up;
	int fd;
	uint64_t at, n;
} nowait;

static int64_t
give_up(int fd, size_t n, uint64_t at)
{
	if (nowait.gave_up)
		return -EAGAIN;
	/* A descriptor of its own: ours may be closed before somebody reads there. */
	nowait.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	nowait.gave_up = true;
	nowait.at = at;
	nowait.n = n;
	return -EAGAIN;
}

void
io_nowait(bool on)
{
	if (on && nowait.gave_up && nowait.fd >= 0)
		(void)close(nowait.fd);
	nowait.on = on;
	nowait.gave_up = nowait.gave_up && !on;
}

bool
io_gave_up(void)
{
	return nowait.gave_up;
}

bool
io_take_cold(int *fd, uint64_t *at, uint64_t *n)
{
	if (!nowait.gave_up)
		return false;
	*fd = nowait.fd;
	*at = nowait.at;
	*n = nowait.n;
	nowait.gave_up = false;
	return true;
}

static ssize_t
pread_cached(int fd, void *to, size_t n, uint64_t at)
{
	const struct iovec v = {to, n};

	return preadv2(fd, &v, 1, (off_t)at, RWF_NOWAIT);
}

static int64_t
posix_pread(int fd, void *to, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = nowait.on ? pread_cached(fd, (uint8_t *)to + done, n - done, at + done) : -1;

		if (nowait.on && got < 0 && errno == EAGAIN)
			return give_up(fd, n - done, at + done);
		/* A file system in memory may not know the flag; nothing waits there. */
		if (!nowait.on || (got < 0 && errno == EOPNOTSUPP))
			got = pread(fd, (uint8_t *)to + done, n - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (int64_t)done;
}

static int64_t
posix_pwrite(int fd, const void *from, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t put = pwrite(fd, (const uint8_t *)from + done, n - done,
			(off_t)(at + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		done += (size_t)put;
	}
	return (int64_t)done;
}

/* No retry after EINTR or any other error: the kernel reports a write-back error once. */
static int
posix_fsync(int fd)
{
	return result(fsync(fd));
}

/* On Linux fdatasync of the range and on the same open file, so an error is reported to whoever asks
 * first of the two; POSIX says the same of MS_SYNC: data integrity completion. FLUSH.md says why not
 * io_uring. */
static int
posix_clone(int from, int to)
{
	return ioctl(to, FICLONE, from) < 0 ? -errno : 0;
}

static int
posix_sync_range(int fd, uint8_t *map, uint64_t at, uint64_t length)
{
	return result(msync(map + at, length, MS_SYNC));
}

/* Since Linux 5.8 it tells what could not be written, of any file there; of an older one we want more
 * anyway (MADV_POPULATE_WRITE). What it tells, the files' own syncs still tell. */
static int
posix_sync_all(int fd)
{
	return result(syncfs(fd));
}

static int
posix_write_behind(int fd, uint64_t at, uint64_t length)
{
	return result(sync_file_range(fd, (off_t)at, (off_t)length, SYNC_FILE_RANGE_WRITE));
}

static int
posix_drop_cache(int fd)
{
	return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* A buffer that its receiver on this machine has read, or closed, may wait on a list of the CPU that filled it,
 * until that CPU has network traffic again: on an idle machine for minutes, with the file pages that sendfile()
 * put into it. (Seen on Linux 6.18; skb_attempt_defer_free.) A datagram to ourselves is traffic, where it is sent from. */
static void
posix_let_go(void)
{
	struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(self);
	cpu_set_t ours, one;
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (bind(fd, (struct sockaddr *)&self, n) == 0 && getsockname(fd, (struct sockaddr *)&self, &n) == 0 &&
		sched_getaffinity(0, sizeof(ours), &ours) == 0) {
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &ours))
				continue;
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			(void)sched_setaffinity(0, sizeof(one), &one);
			(void)sendto(fd, "", 1, MSG_DONTWAIT, (struct sockaddr *)&self, n);
		}
		(void)sched_setaffinity(0, sizeof(ours), &ours);
	}
	(void)close(fd);
}

/* In pieces: a byte per page, on the stack. */
static int64_t
posix_cached(int fd, uint64_t size)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned char in[4096];
	int64_t n = 0;
	int rc = 0;
	void *map;

	if (size == 0)
		return 0;
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	for (uint64_t at = 0; at < size && rc == 0; at += sizeof(in) * page) {
		const uint64_t length = size - at < sizeof(in) * page ? size - at : sizeof(in) * page;

		rc = result(mincore((uint8_t *)map + at, length, in));
		for (uint64_t i = 0; i < (length + page - 1) / page && rc == 0; i++)
			n += in[i] & 1;
	}
	(void)munmap(map, size);
	return rc < 0 ? rc : n * (int64_t)page;
}

/* The descriptor's own place moves; nobody uses it. An error other than "none" is the next pread's to tell. */
static uint64_t
posix_next_data(int fd, uint64_t at)
{
	const off_t next = lseek(fd, (off_t)at, SEEK_DATA);

	if (next >= 0)
		return (uint64_t)next;
	return errno == ENXIO ? UINT64_MAX : at;
}

static void
posix_sleep_ms(unsigned ms)
{
	(void)usleep(ms * 1000);
}

static int
posix_map(int fd, uint64_t length, uint8_t **ret)
{
	const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	/* Without it the page cache grows folios of many pages ahead of the faults, and a sync that
	 * writes one protects all of it, the pages ahead of the tail too. */
	if (fd >= 0)
		(void)madvise(p, length, MADV_RANDOM);
	*ret = p;
	return 0;
}

static int
posix_unmap(void *map, uint64_t length)
{
	return map ? result(munmap(map, length)) : 0;
}

static int
posix_populate(void *at, uint64_t length)
{
	int rc;

	do
		rc = madvise(at, length, MADV_POPULATE_WRITE);
	while (rc < 0 && errno == EINTR);
	return result(rc);
}

static int
posix_unpopulate(void *at, uint64_t length)
{
	return result(madvise(at, length, MADV_DONTNEED));
}

static int
posix_renameat(int dir, const char *from, const char *to)
{
	return result(renameat(dir, from, dir, to));
}

static int
posix_unlinkat(int dir, const char *name, bool directory)
{
	return result(unlinkat(dir, name, directory ? AT_REMOVEDIR : 0));
}

static int
posix_mkdirat(int dir, const char *name)
{
	return result(mkdirat(dir, name, 0755));
}

static int
posix_size_at(int dir, const char *name, uint64_t *ret)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int
posix_changed_ms(int dir, const char *name, int64_t *wall_ms)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*wall_ms = (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;
	return 0;
}

static int
posix_list(int dir, int (*each)(void *arg, const char *name), void *arg)
{
	const int fd = posix_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	struct dirent *e;
	DIR *d;
	int rc = 0;

	if (fd < 0)
		return fd;
	d = fdopendir(fd);
	if (!d) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = each(arg, e->d_name);
	if (rc == 0 && errno != 0)
		rc = -errno;
	(void)closedir(d);
	return rc;
}

static int
posix_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const int rc = result(fcntl(fd, F_OFD_SETLK, &lock));

	return rc == -EACCES ? -EAGAIN : rc;
}

static int
posix_space(int fd, struct io_space *ret)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	ret->total = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	ret->free = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	ret->type = (uint64_t)fs.f_type;
	memcpy(&ret->fsid, &fs.f_fsid, sizeof(ret->fsid));
	return 0;
}

/* A thread is a process to both calls. Neither SCHED_IDLE nor IOPRIO_CLASS_IDLE: a thread that does not get the
 * CPU or the disk while others want them could sit on a lock of the file system, or have pages on their way that
 * its journal waits for, and every sync of others with it. mq-deadline holds back what is idle for 10 s. Nor 19:
 * woken while it holds a handle of the journal, it stood behind a busy process for 1 s, and all syncs behind it. */
static int
posix_be_idle(void)
{
	const id_t tid = (id_t)syscall(SYS_gettid);
	const int lowest = 2 << 13 | 7; /* IOPRIO_CLASS_BE; the C library has no name for it, nor the call */

	/* Who was started with less keeps that. */
	if (getpriority(PRIO_PROCESS, tid) < NICE && setpriority(PRIO_PROCESS, tid, NICE) < 0)
		return -errno;
	return syscall(SYS_ioprio_set, 1, 0, lowest) < 0 ? -errno : 0;
}

const struct io io_posix = {
	.openat = posix_openat,
	.close = posix_close,
	.size = posix_size,
	.fallocate = posix_fallocate_,
	.ftruncate = posix_ftruncate,
	.pread = posix_pread,
	.pwrite = posix_pwrite,
	.fsync = posix_fsync,
	.clone = posix_clone,
	.sync_range = posix_sync_range,
	.sync_all = posix_sync_all,
	.write_behind = posix_write_behind,
	.drop_cache = posix_drop_cache,
	.cached = posix_cached,
	.next_data = posix_next_data,
	.sleep_ms = posix_sleep_ms,
	.let_go = posix_let_go,
	.map = posix_map,
	.unmap = posix_unmap,
	.populate = posix_populate,
	.unpopulate = posix_unpopulate,
	.renameat = posix_renameat,
	.unlinkat = posix_unlinkat,
	.mkdirat = posix_mkdirat,
	.size_at = posix_size_at,
	.changed_ms = posix_changed_ms,
	.list = posix_list,
	.lock = posix_lock,
	.space = posix_space,
	.be_idle = posix_be_idle,
};
