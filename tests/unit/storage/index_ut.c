/* SPDX-License-Identifier: MIT
 * index_ut.c - storage/index.c: searches in memory and in Kafka's files against a list of batches
 * that is walked from the front, and the files' bytes. */
#include "storage/index.c"

#include "tests/unit/ut.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCHES 3000
#define SIZE    (8 * MIB)

struct model_batch {
	uint32_t position, length, last_delta, since; /* since: as the index should count */
	int64_t timestamp;
	bool entry;
};

static struct model_batch model[BATCHES];
static struct index ix;
static uint32_t total;
static int entry_fd, time_fd;
static uint64_t entry_bytes, time_bytes;

static uint32_t
a_random(uint32_t below)
{
	static uint64_t state = 4711;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static int
file_of(const void *bytes, size_t n)
{
	const int fd = memfd_create("index", MFD_CLOEXEC);

	CU_ASSERT_TRUE_FATAL(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	return fd;
}

/* Batches of all sizes, timestamps that wander forth and back. */
static void
fill(unsigned batches)
{
	uint32_t delta = 0, since = 0;
	uint8_t *entries, *times;

	CU_ASSERT_EQUAL_FATAL(index_open(&ix, &io_posix, SIZE), 0);
	CU_ASSERT_EQUAL(index_populate(&ix, &io_posix, 0, SIZE), 0);
	total = 0;
	for (unsigned i = 0; i < batches; i++) {
		struct model_batch *b = &model[i];

		*b = (struct model_batch){.position = total,
			.length = 70 + a_random(5000),
			.last_delta = delta + a_random(10),
			.timestamp = 1000 + (int64_t)i + a_random(50) - 25};
		b->entry = since > INDEX_INTERVAL;
		since = b->entry ? b->length : since + b->length;
		index_add(&ix, b->position, b->length, b->last_delta, b->timestamp);
		delta = b->last_delta + 1;
		total += b->length;
	}
	index_finish(&ix);
	entry_bytes = (uint64_t)ix.n * INDEX_ENTRY_BYTES;
	time_bytes = (uint64_t)ix.times * TIME_ENTRY_BYTES;
	entries = malloc(entry_bytes + 1);
	times = malloc(time_bytes + 1);
	CU_ASSERT_TRUE_FATAL(entries && times);
	index_put(&ix, entries, times);
	entry_fd = file_of(entries, entry_bytes);
	time_fd = file_of(times, time_bytes);
	free(entries);
	free(times);
}

static void
empty(void)
{
	index_close(&ix, &io_posix);
	(void)close(entry_fd);
	(void)close(time_fd);
}

static uint32_t
model_find(unsigned n, uint32_t delta)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < n && model[i].last_delta <= delta; i++)
		if (model[i].entry)
			at = model[i].position;
	return at;
}

static uint32_t
model_floor(unsigned n, uint64_t limit)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < n && model[i].position <= limit; i++)
		if (model[i].entry)
			at = model[i].position;
	return at;
}

static void
searches_by_offset_agree_with_a_walk_over_all_batches(void)
{
	uint32_t at;

	fill(BATCHES);
	for (uint32_t delta = 0; delta <= model[BATCHES - 1].last_delta + 3; delta++) {
		const uint32_t expected = model_find(BATCHES, delta);

		CU_ASSERT_EQUAL(index_find(&ix, delta), expected);
		CU_ASSERT_EQUAL(index_file_find(&io_posix, entry_fd, entry_bytes, delta, &at), 0);
		CU_ASSERT_EQUAL(at, expected);
	}
	empty();
}

static void
the_floor_of_a_position_is_a_batch_boundary_at_or_below_it(void)
{
	uint32_t at;

	fill(BATCHES);
	for (unsigned i = 0; i < 20000; i++) {
		const uint64_t limit = i < BATCHES ? model[i].position - (i > 0 && i % 2)
						   : a_random(total + 10000);
		const uint32_t expected = model_floor(BATCHES, limit);

		CU_ASSERT_EQUAL(index_floor(&ix, limit), expected);
		CU_ASSERT_EQUAL(index_file_floor(&io_posix, entry_fd, entry_bytes, limit, &at), 0);
		CU_ASSERT_EQUAL(at, expected);
	}
	empty();
}

/* No batch before the answer reaches the target, and the answer is not needlessly early: it is the
 * last one in the index that lies below. */
static void
searches_by_time_never_start_behind_the_first_that_fits(void)
{
	uint32_t at;

	fill(BATCHES);
	for (int64_t target = 900; target < 1000 + BATCHES + 100; target++) {
		const uint32_t delta = index_find_time(&ix, target);
		unsigned before = 0;

		CU_ASSERT_EQUAL(
			index_file_find_time(&io_posix, time_fd, time_bytes, target, &at), 0);
		CU_ASSERT_EQUAL(at, delta);
		for (unsigned i = 0; i < BATCHES && model[i].last_delta < delta; i++)
			before += model[i].timestamp >= target;
		CU_ASSERT_EQUAL(before, 0);
	}
	CU_ASSERT_EQUAL(index_find_time(&ix, -5), 0);
	CU_ASSERT_EQUAL(index_file_find_time(&io_posix, time_fd, time_bytes, -5, &at), 0);
	CU_ASSERT_EQUAL(at, 0);
	/* Beyond all: the batch with the largest. */
	CU_ASSERT_TRUE(index_find_time(&ix, INT64_MAX) > model[BATCHES - 100].last_delta);
	empty();
}

static void
the_last_time_entry_is_the_largest_timestamp_and_the_earliest_batch_with_it(void)
{
	uint32_t delta, at = 0;
	int64_t largest = -1, timestamp;

	fill(BATCHES);
	for (unsigned i = 0; i < BATCHES; i++) {
		if (model[i].timestamp > largest) {
			largest = model[i].timestamp;
			at = model[i].last_delta;
		}
	}
	CU_ASSERT_EQUAL(
		index_file_last_time(&io_posix, time_fd, time_bytes, &timestamp, &delta), 0);
	CU_ASSERT_EQUAL(timestamp, largest);
	CU_ASSERT_EQUAL(delta, at);
	CU_ASSERT_EQUAL(index_file_last_time(&io_posix, time_fd, 0, &timestamp, &delta), 0);
	CU_ASSERT_EQUAL(timestamp, -1);
	empty();
}

static void
entries_come_every_4096_bytes_and_the_files_hold_them_big_endian(void)
{
	uint8_t b[TIME_ENTRY_BYTES];
	uint32_t n = 0;
	int64_t largest = -1, last = -1;

	fill(BATCHES);
	for (unsigned i = 0; i < BATCHES; i++) {
		if (!model[i].entry)
			continue;
		CU_ASSERT_EQUAL(pread(entry_fd, b, 8, n * 8), 8);
		CU_ASSERT_EQUAL(get_be32(b), model[i].last_delta);
		CU_ASSERT_EQUAL(get_be32(b + 4), model[i].position);
		n++;
	}
	CU_ASSERT_EQUAL(ix.n, n);
	CU_ASSERT_EQUAL(lseek(entry_fd, 0, SEEK_END), n * 8);
	CU_ASSERT_TRUE(n > 100 && !model[0].entry);
	/* Time entries: strictly rising, each with a timestamp that is the largest so far. */
	for (uint32_t i = 0; i < ix.times; i++) {
		CU_ASSERT_EQUAL(pread(time_fd, b, 12, i * 12), 12);
		largest = (int64_t)get_be64(b);
		CU_ASSERT_TRUE(largest > last);
		last = largest;
	}
	empty();
}

static void
a_segment_without_batches_has_empty_files(void)
{
	uint32_t at = 7;

	fill(0);
	CU_ASSERT_EQUAL(entry_bytes + time_bytes, 0);
	CU_ASSERT_EQUAL(index_find(&ix, 100), 0);
	CU_ASSERT_EQUAL(index_file_find(&io_posix, entry_fd, 0, 100, &at), 0);
	CU_ASSERT_EQUAL(at, 0);
	empty();
	fill(1); /* one batch: no offset entry, one time entry at the seal */
	CU_ASSERT_EQUAL(entry_bytes, 0);
	CU_ASSERT_EQUAL(time_bytes, TIME_ENTRY_BYTES);
	empty();
}

static void
batches_without_a_timestamp_make_no_time_entry(void)
{
	CU_ASSERT_EQUAL_FATAL(index_open(&ix, &io_posix, SIZE), 0);
	for (uint32_t i = 0; i < 10; i++)
		index_add(&ix, i * 3000, 3000, i, -1);
	index_finish(&ix);
	CU_ASSERT_EQUAL(ix.times, 0);
	CU_ASSERT_TRUE(ix.n > 0);
	index_close(&ix, &io_posix);
}

/* The smallest batches fill the segment: the arrays hold what can come. */
static void
the_smallest_batches_never_outgrow_the_arrays(void)
{
	const uint64_t size = 1 * MIB;

	CU_ASSERT_EQUAL_FATAL(index_open(&ix, &io_posix, size), 0);
	for (uint32_t at = 0, i = 0; at + 4097 <= size; at += 4097, i++)
		index_add(&ix, at, 4097, i, i);
	index_finish(&ix);
	CU_ASSERT_TRUE(ix.n <= ix.room && ix.times <= ix.room);
	CU_ASSERT_EQUAL(ix.n, size / 4097 - 1);
	index_close(&ix, &io_posix);
}

static void
a_file_that_is_shorter_than_it_says_is_an_error(void)
{
	uint32_t at;
	int64_t t;

	fill(BATCHES);
	CU_ASSERT_EQUAL(ftruncate(entry_fd, 4), 0);
	CU_ASSERT_EQUAL(ftruncate(time_fd, 4), 0);
	CU_ASSERT_EQUAL(index_file_find(&io_posix, entry_fd, entry_bytes, 9, &at), -EIO);
	CU_ASSERT_EQUAL(index_file_floor(&io_posix, entry_fd, entry_bytes, 9, &at), -EIO);
	CU_ASSERT_EQUAL(index_file_find_time(&io_posix, time_fd, time_bytes, 9, &at), -EIO);
	CU_ASSERT_EQUAL(index_file_last_time(&io_posix, time_fd, time_bytes, &t, &at), -EIO);
	empty();
}

static const struct ut_test tests[] = {
	UT("search", searches_by_offset_agree_with_a_walk_over_all_batches),
	UT("search", the_floor_of_a_position_is_a_batch_boundary_at_or_below_it),
	UT("search", searches_by_time_never_start_behind_the_first_that_fits),
	UT("search", a_file_that_is_shorter_than_it_says_is_an_error),
	UT("bytes", the_last_time_entry_is_the_largest_timestamp_and_the_earliest_batch_with_it),
	UT("bytes", entries_come_every_4096_bytes_and_the_files_hold_them_big_endian),
	UT("bytes", a_segment_without_batches_has_empty_files),
	UT("bytes", batches_without_a_timestamp_make_no_time_entry),
	UT("bytes", the_smallest_batches_never_outgrow_the_arrays),
};

UT_MAIN(tests)
