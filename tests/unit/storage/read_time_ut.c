/* SPDX-License-Identifier: MIT
 * read_time_ut.c - storage/read_time.c: the first record at or after a time, and the one with the
 * largest, against a walk over all that was appended; live, sealed and restarted. */
#include "tests/unit/storage/world.h"

#include <errno.h>

#define RECORDS 3
#define STEP_MS 4

/* Timestamp of each batch's first record; its records are STEP_MS apart. */
static int64_t first_ms[WORLD_APPENDED];
static int64_t offset, timestamp;

static uint32_t
a_random(uint32_t below)
{
	static uint64_t state = 77;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static void
append_at(int64_t ms)
{
	first_ms[w.was_n[0]] = ms;
	(void)world_append(
		0, (struct batch_of){
			   .count = RECORDS, .value = 300, .timestamp = ms, .step_ms = STEP_MS});
}

/* Times that wander: later on the whole, but not from batch to batch. */
static void
fill(unsigned batches)
{
	for (unsigned i = 0; i < batches; i++)
		append_at(BATCH_WALL_MS + (int64_t)i * 10 + a_random(300));
}

static void
find_at(int64_t target)
{
	offset = timestamp = -9;
	CU_ASSERT_EQUAL(storage_find_time(w.part[0], target, &offset, &timestamp), 0);
}

/* By definition: in the first batch whose largest is enough, the first record that is. */
static void
expect(int64_t target, int64_t below)
{
	find_at(target);
	for (unsigned i = 0; i < w.was_n[0] && w.was[0][i].offset < below; i++) {
		for (unsigned k = 0; k < RECORDS; k++) {
			const int64_t at = first_ms[i] + STEP_MS * k;

			if (at < target)
				continue;
			CU_ASSERT_EQUAL_FATAL(offset, w.was[0][i].offset + k);
			CU_ASSERT_EQUAL(timestamp, at);
			return;
		}
	}
	CU_ASSERT_EQUAL_FATAL(offset, -1);
	CU_ASSERT_EQUAL(timestamp, -1);
}

static void
expect_all(unsigned batches)
{
	for (unsigned i = 0; i < 600; i++)
		expect(BATCH_WALL_MS - 20 + a_random(batches * 10 + 400), INT64_MAX);
	expect(0, INT64_MAX);
	expect(-1, INT64_MAX);
	expect(INT64_MAX, INT64_MAX);
	for (unsigned i = 0; i < batches; i += 7) {
		expect(first_ms[i], INT64_MAX);
		expect(first_ms[i] + 1, INT64_MAX);
	}
}

static void
expect_largest(int64_t below)
{
	int64_t best = -1, at = -1;

	for (unsigned i = 0; i < w.was_n[0] && w.was[0][i].offset < below; i++) {
		if (first_ms[i] + STEP_MS * (RECORDS - 1) > best) {
			best = first_ms[i] + STEP_MS * (RECORDS - 1);
			at = w.was[0][i].offset + RECORDS - 1;
		}
	}
	find_at(-3);
	CU_ASSERT_EQUAL(offset, at);
	CU_ASSERT_EQUAL(timestamp, best);
}

static void
the_first_record_at_or_after_a_time_is_found(void)
{
	world_begin(1);
	fill(400);
	CU_ASSERT_TRUE(world_count(0, ".log") > 3);
	expect_all(400);
	world_settle();
	expect_all(400);
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	expect_all(400);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	expect_all(400);
	world_end();
}

static void
the_record_with_the_largest_timestamp_is_found_wherever_it_lies(void)
{
	world_begin(1);
	expect_largest(INT64_MAX); /* none */
	for (unsigned i = 0; i < 250; i++) {
		append_at(BATCH_WALL_MS + a_random(100000));
		if (i % 11 == 0)
			expect_largest(INT64_MAX);
		if (i % 50 == 0)
			world_settle();
	}
	append_at(BATCH_WALL_MS + 200000); /* in the active segment */
	append_at(BATCH_WALL_MS + 5);
	expect_largest(INT64_MAX);
	CU_ASSERT_EQUAL(offset, 250 * RECORDS + RECORDS - 1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	expect_largest(INT64_MAX);
	world_end();
}

static void
an_empty_log_has_no_time(void)
{
	world_begin(1);
	find_at(0);
	CU_ASSERT_TRUE(offset == -1 && timestamp == -1);
	find_at(-3);
	CU_ASSERT_TRUE(offset == -1 && timestamp == -1);
	world_end();
}

static void
with_visibility_disk_times_above_the_durable_end_are_not_found(void)
{
	struct partition_ends ends;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.visible_at_disk = true;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	for (unsigned i = 0; i < 300; i++) {
		append_at(BATCH_WALL_MS + (int64_t)i * 10);
		if (i % 60 == 59)
			world_sync();
		storage_ends(w.part[0], &ends);
		expect(BATCH_WALL_MS + (int64_t)i * 10, ends.durable);
		expect(BATCH_WALL_MS + (int64_t)a_random(i + 1) * 10, ends.durable);
		expect_largest(ends.durable);
	}
	world_end();
}

static void
after_retention_times_below_the_start_answer_the_start(void)
{
	struct partition_ends ends;
	unsigned i = 0;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.retention_bytes = 2 * WORLD_SEGMENT;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	fill(600);
	world_settle();
	storage_ends(w.part[0], &ends);
	CU_ASSERT_TRUE_FATAL(ends.start > 0);
	while (w.was[0][i].offset < ends.start)
		i++;
	find_at(0);
	CU_ASSERT_EQUAL(offset, ends.start);
	CU_ASSERT_EQUAL(timestamp, first_ms[i]);
	world_end();
}

static int
no_pread(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_PREAD ? -EIO : 0;
}

static void
a_file_that_cannot_be_read_answers_56(void)
{
	world_begin(1);
	fill(50);
	fake.hook = no_pread;
	CU_ASSERT_EQUAL(storage_find_time(w.part[0], BATCH_WALL_MS, &offset, &timestamp),
		KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(
		storage_find_time(w.part[0], -3, &offset, &timestamp), KIRA_E_KAFKA_STORAGE_ERROR);
	world_end();
}

/* Batch i of the first segment, which is sealed, has a header of zeros. */
static void
damage(unsigned batch)
{
	static const uint8_t zeros[RB_HEADER];
	const int fd = world_open_file(0, "00000000000000000000.log");
	uint64_t at = 0;

	for (unsigned i = 0; i < batch; i++)
		at += w.was[0][i].total;
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, zeros, sizeof(zeros), (off_t)at), RB_HEADER);
	(void)close(fd);
}

static void
fill_in_order(void)
{
	world_begin(1);
	for (unsigned i = 0; i < 200; i++)
		append_at(BATCH_WALL_MS + (int64_t)i * 100);
	world_settle();
	CU_ASSERT_TRUE_FATAL(w.part[0]->segments->n > 1 && !w.part[0]->segments->seg[0]->index.time);
}

/* Not "none", and no record of the next segment: who goes on from there has missed all in between. */
static void
a_damaged_header_on_the_way_answers_56(void)
{
	unsigned told = 0;

	fill_in_order();
	damage(20);
	for (unsigned i = 0; i < 40; i++) {
		const int16_t error = storage_find_time(w.part[0], BATCH_WALL_MS + i * 100, &offset, &timestamp);

		if (error == 0) {
			CU_ASSERT_EQUAL(offset, w.was[0][i].offset);
		}
		told += error == KIRA_E_KAFKA_STORAGE_ERROR;
		CU_ASSERT_EQUAL(counter_read(&w.count.read_failures), told);
	}
	CU_ASSERT_TRUE(told >= 1 && told < 20); /* the others are found from an index entry behind it */
	CU_ASSERT_PTR_NOT_NULL_FATAL(storage_read_failure(w.s));
	CU_ASSERT_STRING_EQUAL(storage_read_failure(w.s), "t-0 at offset 0: Bad message");
	world_end();
}

/* A base offset lies outside the checksum. What it says is no answer: a consumer would be told that its place is out of
 * range, and begin anew somewhere. */
static void
a_damaged_base_offset_is_not_given_out(void)
{
	uint8_t offset_of_batch[8];
	uint64_t at = 0;
	int fd;

	fill_in_order();
	for (unsigned i = 0; i < 20; i++)
		at += w.was[0][i].total;
	put_be64(offset_of_batch, (uint64_t)w.was[0][20].offset + (UINT64_C(1) << 40));
	fd = world_open_file(0, "00000000000000000000.log");
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, offset_of_batch, 8, (off_t)at), 8);
	(void)close(fd);
	for (unsigned i = 0; i < 40; i++) {
		const int16_t error = storage_find_time(w.part[0], first_ms[i], &offset, &timestamp);

		CU_ASSERT_TRUE(error == KIRA_E_KAFKA_STORAGE_ERROR || offset == w.was[0][i].offset);
		CU_ASSERT_TRUE(error == 0 || i >= 16);
	}
	CU_ASSERT_EQUAL(storage_find_time(w.part[0], first_ms[20], &offset, &timestamp), KIRA_E_KAFKA_STORAGE_ERROR);
	world_end();
}

/* However long the segment: two searches in index files, and what lies between two of their entries. */
static void
a_time_is_found_by_the_index_and_not_from_the_beginning(void)
{
	uint64_t reads;

	fill_in_order();
	for (unsigned i = 30; i < 60; i++) {
		reads = fake.calls[IO_PREAD];
		expect(first_ms[i], INT64_MAX);
		CU_ASSERT_TRUE(fake.calls[IO_PREAD] - reads < 25);
	}
	world_end();
}

static unsigned failing; /* reads until one fails */

static int
one_pread(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_PREAD && failing-- == 0 ? -EIO : 0;
}

/* Whichever read it is: the largest, or 56, never one that is not the largest. */
static void
the_largest_is_never_guessed(void)
{
	struct storage_op op = {.kind = OP_DELETE_RECORDS, .part = w.part, .topic.partitions = 1, .offset = 10 * RECORDS};
	unsigned told = 0; /* the largest of what is left lies in the segment that holds the start */

	world_begin(1);
	for (unsigned i = 0; i < 200; i++)
		append_at(BATCH_WALL_MS + (int64_t)(200 - i) * 100);
	storage_submit(w.s, &op);
	world_settle();
	CU_ASSERT_PTR_EQUAL_FATAL(storage_reap(w.s), &op);
	CU_ASSERT_EQUAL(op.rc, 0);
	for (unsigned n = 0; n < 200; n++) {
		failing = n;
		fake.hook = one_pread;
		if (storage_find_time(w.part[0], -3, &offset, &timestamp) == 0) {
			CU_ASSERT_EQUAL(timestamp, first_ms[10] + STEP_MS * (RECORDS - 1));
		} else {
			told++;
		}
		fake.hook = NULL;
		CU_ASSERT_EQUAL(counter_read(&w.count.read_failures), told);
	}
	CU_ASSERT_TRUE(told > 3);
	world_end();
}

static const struct ut_test tests[] = {
	UT("time", the_first_record_at_or_after_a_time_is_found),
	UT("time", the_record_with_the_largest_timestamp_is_found_wherever_it_lies),
	UT("time", an_empty_log_has_no_time),
	UT("time", with_visibility_disk_times_above_the_durable_end_are_not_found),
	UT("time", after_retention_times_below_the_start_answer_the_start),
	UT("time", a_file_that_cannot_be_read_answers_56),
	UT("time", a_damaged_header_on_the_way_answers_56),
	UT("time", a_damaged_base_offset_is_not_given_out),
	UT("time", a_time_is_found_by_the_index_and_not_from_the_beginning),
	UT("time", the_largest_is_never_guessed),
};

UT_MAIN(tests)
