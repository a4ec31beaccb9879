/* SPDX-License-Identifier: MIT
 * io_ut.c - storage/io_posix.c against a real file: what recovery takes from `cached` and `changed_ms`. */
#include "storage/io.h"
#include "tests/unit/ut.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FS_EXT 0xef53
#define FS_XFS 0x58465342

#define PAGES 5000 /* more than are looked at in one piece */

static int
written_file(void)
{
	char name[] = "/var/tmp/kira-io-XXXXXX";
	const int fd = mkstemp(name);
	static uint8_t page[4096];

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	(void)unlink(name);
	for (unsigned i = 0; i < PAGES; i++)
		CU_ASSERT_EQUAL_FATAL(io_posix.pwrite(fd, page, sizeof(page), i * sizeof(page)),
			sizeof(page));
	return fd;
}

/* All of it in the cache, or nothing: after some tries where others hold its pages, or memory is short. */
static bool
becomes(bool cached, int fd)
{
	static uint8_t bytes[PAGES * 4096];

	for (unsigned try = 0; try < 100; try++) {
		if (try > 0)
			io_posix.sleep_ms(50);
		if ((cached ? io_posix.pread(fd, bytes, sizeof(bytes), 0) : io_posix.drop_cache(fd)) < 0)
			return false;
		if (io_posix.cached(fd, sizeof(bytes)) == (cached ? (int64_t)sizeof(bytes) : 0))
			return true;
	}
	return false;
}

static void
a_read_that_must_not_wait_gives_up_and_says_what_it_lacked(void)
{
	uint8_t byte[2] = {1, 1};
	int fd = written_file(), cold = -1;
	uint64_t at = 0, n = 0;

	CU_ASSERT_EQUAL(io_posix.fsync(fd), 0);
	if (!becomes(false, fd)) { /* a file system in memory */
		(void)close(fd);
		return;
	}
	io_nowait(true);
	CU_ASSERT_EQUAL(io_posix.pread(fd, byte, 2, 8192), -EAGAIN);
	CU_ASSERT_EQUAL(io_posix.pread(fd, byte, 1, 0), -EAGAIN); /* the first one counts */
	CU_ASSERT_TRUE(io_gave_up());
	io_nowait(false);
	CU_ASSERT_EQUAL_FATAL(io_take_cold(&cold, &at, &n), true);
	CU_ASSERT_TRUE(cold >= 0 && cold != fd && at == 8192 && n == 2);
	CU_ASSERT_FALSE(io_gave_up());
	CU_ASSERT_FALSE(io_take_cold(&cold, &at, &n));
	CU_ASSERT_EQUAL(io_posix.pread(cold, byte, 2, 8192), 2); /* one who may wait */
	CU_ASSERT_EQUAL(byte[0], 0);
	io_nowait(true);
	byte[0] = 1;
	CU_ASSERT_EQUAL(io_posix.pread(fd, byte, 2, 8192), 2);
	CU_ASSERT_EQUAL(byte[0], 0);
	CU_ASSERT_EQUAL(io_posix.pread(fd, byte, 2, (uint64_t)PAGES * 4096), 0); /* the end is no lack */
	CU_ASSERT_FALSE(io_gave_up());
	io_nowait(false);
	(void)close(cold);
	(void)close(fd);
}

static void
pages_are_seen_in_the_cache_until_they_are_dropped_and_stay_while_mapped(void)
{
	const uint64_t size = PAGES * 4096;
	struct io_space space;
	int fd = written_file();
	uint8_t *map;

	CU_ASSERT_EQUAL(io_posix.space(fd, &space), 0);
	CU_ASSERT_EQUAL(io_posix.cached(fd, 0), 0);
	CU_ASSERT_TRUE(becomes(true, fd));
	if (space.type == FS_EXT || space.type == FS_XFS) { /* others may hide it, or keep them */
		CU_ASSERT_EQUAL(io_posix.fsync(fd), 0);
		CU_ASSERT_TRUE(becomes(false, fd));
		map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		CU_ASSERT_TRUE_FATAL(map != MAP_FAILED);
		CU_ASSERT_EQUAL(map[4500 * 4096], 0);
		CU_ASSERT_EQUAL(io_posix.drop_cache(fd), 0);
		CU_ASSERT_TRUE(io_posix.cached(fd, size) > 0);
		(void)munmap(map, size);
		CU_ASSERT_TRUE(becomes(false, fd));
	}
	(void)io_posix.close(fd);
	CU_ASSERT_TRUE(io_posix.cached(fd, size) < 0);
}

static void
a_rename_is_a_change_and_a_missing_file_an_error(void)
{
	char name[] = "/var/tmp/kira-io-XXXXXX", to[sizeof(name) + 2];
	const int fd = mkstemp(name);
	int64_t before = 0, after = 0;
	struct timespec now;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	(void)snprintf(to, sizeof(to), "%s.b", name);
	CU_ASSERT_EQUAL(io_posix.changed_ms(AT_FDCWD, name, &before), 0);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	CU_ASSERT_TRUE(before <= now.tv_sec * 1000 + 999 && before > now.tv_sec * 1000 - 600000);
	CU_ASSERT_EQUAL(io_posix.renameat(AT_FDCWD, name, to), 0);
	CU_ASSERT_EQUAL(io_posix.changed_ms(AT_FDCWD, to, &after), 0);
	CU_ASSERT_TRUE(after >= before);
	CU_ASSERT_TRUE(io_posix.changed_ms(AT_FDCWD, name, &after) < 0);
	(void)unlink(to);
	(void)io_posix.close(fd);
}

static void *
idle(void *arg)
{
	int *found = arg;

	found[0] = io_posix.be_idle();
	found[1] = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
	found[2] = (int)syscall(SYS_ioprio_get, 1, 0);
	return NULL;
}

static void
a_thread_that_steps_back_still_gets_cpu_and_disk_soon(void)
{
	int found[3];
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, idle, found), 0);
	(void)pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(found[0], 0);
	/* At 19 it waits a second for the CPU, and for what it holds all others. */
	CU_ASSERT_EQUAL(found[1], MAX(10, getpriority(PRIO_PROCESS, 0)));
	CU_ASSERT_EQUAL(found[2], 2 << 13 | 7); /* best effort, the lowest */
}

static const struct ut_test tests[] = {
	UT("cache", a_read_that_must_not_wait_gives_up_and_says_what_it_lacked),
	UT("time", a_rename_is_a_change_and_a_missing_file_an_error),
	UT("idle", a_thread_that_steps_back_still_gets_cpu_and_disk_soon),
	UT("cache", pages_are_seen_in_the_cache_until_they_are_dropped_and_stay_while_mapped),
};

UT_MAIN(tests)
