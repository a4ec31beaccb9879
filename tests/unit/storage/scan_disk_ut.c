/* SPDX-License-Identifier: MIT
 * scan_disk_ut.c - storage/scan.c on a file system with blocks that are reserved and not yet written: the pages
 * that the kernel reads ahead lie in the cache as if they were data. A file in memory has neither. */
#include "storage/scan.h"

#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#include "base/bits.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define FS_EXT 0xef53
#define FS_XFS 0x58465342

#define BATCHES  40
#define RESERVED (96 * MIB)

static uint64_t used;

/* What a power cut leaves of an open segment: batches, then what was reserved for it. None of it in memory. */
static int
short_log_in_a_long_file(void)
{
	static uint8_t batch[16 * 1024];
	char name[] = "/var/tmp/kira-scan-XXXXXX";
	const int fd = mkstemp(name);
	struct io_space space;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	(void)unlink(name);
	CU_ASSERT_EQUAL_FATAL(io_posix.space(fd, &space), 0);
	if (space.type != FS_EXT && space.type != FS_XFS)
		ut_skip("/var/tmp is neither ext4 nor XFS; mount one of them there");
	CU_ASSERT_EQUAL_FATAL(io_posix.fallocate(fd, 0, RESERVED), 0);
	used = 0;
	for (int64_t i = 0; i < BATCHES; i++) {
		const uint32_t n = make_batch(batch, (struct batch_of){.value = 9000, .seed = (uint64_t)i});

		put_be64(batch, (uint64_t)i);
		CU_ASSERT_EQUAL_FATAL(io_posix.pwrite(fd, batch, n, used), n);
		used += n;
	}
	CU_ASSERT_EQUAL_FATAL(io_posix.fsync(fd), 0);
	CU_ASSERT_EQUAL_FATAL(io_posix.drop_cache(fd), 0);
	CU_ASSERT_EQUAL_FATAL(io_posix.cached(fd, RESERVED), 0);
	return fd;
}

/* Bytes fetched. */
static uint64_t
scan_to(int fd, enum scan_verdict want)
{
	_Atomic uint64_t fetched = 0;
	enum scan_verdict v;
	struct scan sc;
	int64_t at = 0;

	CU_ASSERT_EQUAL_FATAL(scan_open(&sc, &io_posix, fd, 0), 0);
	sc.skips_holes = true;
	sc.fetched = &fetched;
	while ((v = scan_next(&sc, at, NULL, true)) == SCAN_BATCH)
		at++;
	CU_ASSERT_EQUAL(v, want);
	CU_ASSERT_EQUAL(at, BATCHES);
	CU_ASSERT_EQUAL(sc.position, used);
	scan_close(&sc);
	return fetched;
}

/* The last read of the log may be twice as long as the log; of the zeros behind it one is enough. */
static void
what_the_kernel_read_ahead_of_a_short_log_is_not_taken_for_data(void)
{
	const int fd = short_log_in_a_long_file();

	CU_ASSERT_TRUE(scan_to(fd, SCAN_ZEROS) <= 4 * used);
	(void)close(fd);
}

static void
a_byte_far_behind_in_reserved_blocks_is_found_and_little_more_than_it_read(void)
{
	const int fd = short_log_in_a_long_file();

	CU_ASSERT_EQUAL(io_posix.pwrite(fd, "x", 1, RESERVED - 12345), 1);
	CU_ASSERT_EQUAL(io_posix.fsync(fd), 0);
	CU_ASSERT_EQUAL(io_posix.drop_cache(fd), 0);
	CU_ASSERT_TRUE(scan_to(fd, SCAN_BAD) <= 4 * used);
	(void)close(fd);
}

static const struct ut_test tests[] = {
	UT("reserved", what_the_kernel_read_ahead_of_a_short_log_is_not_taken_for_data),
	UT("reserved", a_byte_far_behind_in_reserved_blocks_is_found_and_little_more_than_it_read),
};

UT_MAIN(tests)
