/* SPDX-License-Identifier: MIT
 * scan_ut.c - storage/scan.c: a file of batches read one by one, and every way it may end. */
#include "storage/scan.c"

#include "tests/unit/storage/fake_io.h"
#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#include <sys/mman.h>
#include <unistd.h>

#define BATCHES 5
#define RESERVED (64 * MIB)

static uint8_t image[64 * 1024];
static uint32_t used, start_of[BATCHES + 1];
static struct epochs epochs;
static struct epoch_entry epoch_rows[] = {{1, 0}, {4, 106}};

/* Five batches of 2 records at offsets 100..109, the last two in epoch 4. */
static void
five(void)
{
	fake_io_reset();
	epochs = (struct epochs){epoch_rows, 2};
	memset(image, 0, sizeof(image));
	used = 0;
	for (unsigned i = 0; i < BATCHES; i++) {
		start_of[i] = used;
		used += make_batch(image + used,
			(struct batch_of){.count = 2, .value = 50 + i * 30, .seed = i});
		put_be64(image + start_of[i], 100 + 2 * i);
		put_be32(image + start_of[i] + RB_LEADER_EPOCH, i < 3 ? 1 : 4);
	}
	start_of[BATCHES] = used;
}

static struct scan sc;
static int fd;

/* Scans `size` bytes of the image; how many batches came before the verdict. */
static unsigned
scan_all(uint32_t size, bool crc, enum scan_verdict *v)
{
	unsigned n = 0;
	int64_t at = 100;

	fd = memfd_create("log", MFD_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(fd >= 0 && write(fd, image, size) == (ssize_t)size);
	CU_ASSERT_EQUAL_FATAL(scan_open(&sc, &fake_io, fd, 0), 0);
	while ((*v = scan_next(&sc, at, &epochs, crc)) == SCAN_BATCH) {
		CU_ASSERT_EQUAL(memcmp(sc.batch, image + start_of[n], sc.total), 0);
		CU_ASSERT_EQUAL(sc.position, start_of[n + 1]);
		at += rb_count(sc.batch);
		n++;
	}
	CU_ASSERT_EQUAL(sc.position, start_of[n]); /* of the last good end */
	scan_close(&sc);
	(void)close(fd);
	return n;
}

static void
whole_batches_come_in_order_and_then_the_end(void)
{
	enum scan_verdict v;

	five();
	CU_ASSERT_EQUAL(scan_all(used, true, &v), 5);
	CU_ASSERT_EQUAL(v, SCAN_END);
	CU_ASSERT_EQUAL(scan_all(0, true, &v), 0);
	CU_ASSERT_EQUAL(v, SCAN_END);
}

static void
a_tail_of_zeros_is_told_from_one_that_is_not(void)
{
	enum scan_verdict v;

	five();
	for (uint32_t more = 1; more < 200; more++) {
		CU_ASSERT_EQUAL(scan_all(used + more, true, &v), 5);
		CU_ASSERT_EQUAL(v, SCAN_ZEROS);
	}
	for (uint32_t at = 0; at < 200; at++) {
		image[used + at] = 1;
		CU_ASSERT_EQUAL(scan_all(used + 200, true, &v), 5);
		CU_ASSERT_EQUAL(v, SCAN_BAD);
		image[used + at] = 0;
	}
	image[used + 60000] = 1; /* far behind */
	CU_ASSERT_EQUAL(scan_all(sizeof(image), true, &v), 5);
	CU_ASSERT_EQUAL(v, SCAN_BAD);
}

/* The five, then zeros that no block holds up to 64 MiB; at `wrong` a byte, if that is not 0. */
static enum scan_verdict
with_reserved_tail(uint64_t wrong, bool skips_holes, uint64_t *read)
{
	_Atomic uint64_t fetched = 0;
	enum scan_verdict v;
	int64_t at = 100;

	fd = memfd_create("log", MFD_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(fd >= 0 && write(fd, image, used) == (ssize_t)used && ftruncate(fd, RESERVED) == 0);
	CU_ASSERT_EQUAL(pwrite(fd, "x", wrong > 0, (off_t)wrong), wrong > 0);
	CU_ASSERT_EQUAL_FATAL(scan_open(&sc, &fake_io, fd, 0), 0);
	sc.skips_holes = skips_holes;
	sc.fetched = &fetched;
	while ((v = scan_next(&sc, at, &epochs, true)) == SCAN_BATCH)
		at += rb_count(sc.batch);
	CU_ASSERT_EQUAL(at, 110);
	CU_ASSERT_EQUAL(sc.position, used);
	scan_close(&sc);
	(void)close(fd);
	*read = fetched;
	return v;
}

/* A byte that is none is found wherever it lies, and to find it only what the file system has is read. */
static void
a_reserved_tail_is_not_read_where_the_file_system_knows_that_it_is_empty(void)
{
	uint64_t read;

	five();
	CU_ASSERT_EQUAL(with_reserved_tail(0, true, &read), SCAN_ZEROS);
	CU_ASSERT_TRUE(read <= 64 * KIB);
	CU_ASSERT_EQUAL(fake.calls[IO_NEXT_DATA], 1);
	CU_ASSERT_EQUAL(with_reserved_tail(0, false, &read), SCAN_ZEROS);
	CU_ASSERT_EQUAL(fake.calls[IO_NEXT_DATA], 1); /* nobody said that the cache was dropped */
	CU_ASSERT_EQUAL(read, RESERVED);
	fake.tells_no_holes = true;
	CU_ASSERT_EQUAL(with_reserved_tail(0, true, &read), SCAN_ZEROS);
	CU_ASSERT_EQUAL(read, RESERVED);
	for (uint64_t at = used; at < RESERVED; at = at * 5 / 4 + 4095) {
		fake.tells_no_holes = false;
		CU_ASSERT_EQUAL(with_reserved_tail(at, true, &read), SCAN_BAD);
		CU_ASSERT_TRUE(read <= 64 * KIB);
		fake.tells_no_holes = true;
		CU_ASSERT_EQUAL(with_reserved_tail(at, true, &read), SCAN_BAD);
	}
	fake.tells_no_holes = false;
	CU_ASSERT_EQUAL(with_reserved_tail(RESERVED - 1, true, &read), SCAN_BAD);
	CU_ASSERT_TRUE(read <= 64 * KIB);
}

static void
a_file_cut_anywhere_ends_with_the_last_whole_batch(void)
{
	enum scan_verdict v;
	unsigned whole = 0;

	five();
	for (uint32_t size = 0; size <= used; size++) {
		while (whole < BATCHES && start_of[whole + 1] <= size)
			whole++;
		CU_ASSERT_EQUAL(scan_all(size, true, &v), whole);
		/* Less than 61 bytes of a header: its first ones are the high ones of an offset. */
		CU_ASSERT_TRUE(
			size == start_of[whole]
				? v == SCAN_END
				: v == SCAN_BAD || (size - start_of[whole] < 8 && v == SCAN_ZEROS));
	}
}

/* With the checksum no flip is missed: it and the rules of continuity cover every bit. */
static void
any_bit_turned_in_a_batch_ends_the_scan_before_it(void)
{
	enum scan_verdict v;

	five();
	for (uint32_t bit = start_of[2] * 8; bit < start_of[3] * 8; bit++) {
		image[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_EQUAL(scan_all(used, true, &v), 2);
		CU_ASSERT_EQUAL(v, SCAN_BAD);
		image[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void
without_the_checksum_a_wrong_body_passes_and_a_wrong_header_does_not(void)
{
	enum scan_verdict v;

	five();
	image[start_of[2] + RB_HEADER + 9] ^= 1;
	CU_ASSERT_EQUAL(scan_all(used, false, &v), 5);
	image[start_of[2]] ^= 1;
	CU_ASSERT_EQUAL(scan_all(used, false, &v), 2);
	CU_ASSERT_EQUAL(v, SCAN_BAD);
}

/* A batch of an older run, left behind the tail: offset and checksum are right by chance. */
static void
a_stale_batch_of_an_older_epoch_is_rejected(void)
{
	enum scan_verdict v;

	five();
	put_be32(image + start_of[4] + RB_LEADER_EPOCH, 1);
	CU_ASSERT_EQUAL(scan_all(used, true, &v), 4);
	CU_ASSERT_EQUAL(v, SCAN_BAD);
	put_be32(image + start_of[4] + RB_LEADER_EPOCH, 4);
	put_be32(image + start_of[1] + RB_LEADER_EPOCH, 4); /* nor one of a later epoch */
	CU_ASSERT_EQUAL(scan_all(used, true, &v), 1);
}

static void
a_batch_that_does_not_continue_the_log_is_rejected(void)
{
	enum scan_verdict v;

	five();
	put_be64(image + start_of[3], 107);
	CU_ASSERT_EQUAL(scan_all(used, true, &v), 3);
	put_be64(image + start_of[3], 105);
	CU_ASSERT_EQUAL(scan_all(used, true, &v), 3);
	CU_ASSERT_EQUAL(v, SCAN_BAD);
}

/* A length that lies must not lead outside the file or the buffer. */
static void
a_length_that_lies_is_rejected(void)
{
	static const uint32_t lies[] = {0, 48, 0x7fffffff, 0x80000000, 0xffffffff, BATCH_BYTES_MAX,
		BATCH_BYTES_MAX - 11, 6000};
	enum scan_verdict v;

	five();
	for (unsigned i = 0; i < ARRAY_LENGTH(lies); i++) {
		put_be32(image + start_of[1] + RB_LENGTH, lies[i]);
		CU_ASSERT_EQUAL(scan_all(sizeof(image), true, &v), 1);
		CU_ASSERT_EQUAL(v, SCAN_BAD);
	}
}

static int
no_pread(enum io_kind kind, int f, const char *name)
{
	return kind == IO_PREAD ? -EIO : 0;
}

static void
a_file_that_cannot_be_read_is_an_error_and_no_end(void)
{
	five();
	fd = memfd_create("log", MFD_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(fd >= 0 && write(fd, image, used) == (ssize_t)used);
	CU_ASSERT_EQUAL_FATAL(scan_open(&sc, &fake_io, fd, 0), 0);
	fake.hook = no_pread;
	CU_ASSERT_EQUAL(scan_next(&sc, 100, &epochs, true), SCAN_ERROR);
	CU_ASSERT_EQUAL(sc.rc, -EIO);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(ftruncate(fd, 30), 0); /* shorter than it was */
	CU_ASSERT_EQUAL(scan_next(&sc, 100, &epochs, true), SCAN_ERROR);
	scan_close(&sc);
	fake.fails_at = fake.total + 1;
	CU_ASSERT_EQUAL(scan_open(&sc, &fake_io, fd, 0), -EIO);
	(void)close(fd);
}

/* Batches that straddle the edge of the read buffer. */
static void
batches_larger_than_what_is_left_of_the_buffer_are_read_again(void)
{
	const uint32_t room = 4 * 1024 * 1024;
	uint8_t *big = calloc(1, room);
	int64_t at = 0;
	uint32_t n;
	enum scan_verdict v;

	fake_io_reset();
	CU_ASSERT_PTR_NOT_NULL_FATAL(big);
	fd = memfd_create("log", MFD_CLOEXEC);
	for (int i = 0; i < 7; i++) {
		n = make_batch(big, (struct batch_of){.value = 3 * 1024 * 1024 + 7, .seed = 1});
		put_be64(big, (uint64_t)i);
		CU_ASSERT_EQUAL_FATAL(write(fd, big, n), (ssize_t)n);
	}
	CU_ASSERT_EQUAL_FATAL(scan_open(&sc, &fake_io, fd, 0), 0);
	while ((v = scan_next(&sc, at, NULL, true)) == SCAN_BATCH)
		at++;
	CU_ASSERT_EQUAL(v, SCAN_END);
	CU_ASSERT_EQUAL(at, 7);
	scan_close(&sc);
	(void)close(fd);
	free(big);
}

static const struct ut_test tests[] = {
	UT("scan", whole_batches_come_in_order_and_then_the_end),
	UT("scan", a_tail_of_zeros_is_told_from_one_that_is_not),
	UT("scan", a_reserved_tail_is_not_read_where_the_file_system_knows_that_it_is_empty),
	UT("scan", a_file_cut_anywhere_ends_with_the_last_whole_batch),
	UT("scan", any_bit_turned_in_a_batch_ends_the_scan_before_it),
	UT("scan", without_the_checksum_a_wrong_body_passes_and_a_wrong_header_does_not),
	UT("scan", a_stale_batch_of_an_older_epoch_is_rejected),
	UT("scan", a_batch_that_does_not_continue_the_log_is_rejected),
	UT("scan", a_length_that_lies_is_rejected),
	UT("scan", a_file_that_cannot_be_read_is_an_error_and_no_end),
	UT("scan", batches_larger_than_what_is_left_of_the_buffer_are_read_again),
};

UT_MAIN(tests)
