/* SPDX-License-Identifier: MIT
 * read_ut.c - storage/read.c: every offset of a log of many segments at many limits against what was
 * appended; visibility, rolls, retention under a reader, damage. */
#include "tests/unit/storage/world.h"

#include <errno.h>

static struct storage_range r;
static uint8_t bytes[1 << 20];

/* The remembered batch that contains `offset`. */
static unsigned
batch_of_offset(int64_t offset)
{
	unsigned i = 0;

	while (w.was[0][i].offset + w.was[0][i].count <= offset)
		i++;
	return i;
}

/* Judge a range: whole batches from the one that contains `offset`, each as appended. Returns how
 * many; the index of the first behind them in `next`. */
static unsigned
judge(int64_t offset, uint32_t max, bool one, unsigned *next)
{
	unsigned i = batch_of_offset(offset), n = 0;
	uint32_t at = 0;

	CU_ASSERT_EQUAL(r.first_offset, w.was[0][i].offset);
	CU_ASSERT_EQUAL_FATAL(pread(r.fd, bytes, r.length, (off_t)r.position), r.length);
	while (at < r.length) {
		const struct appended *a = &w.was[0][i];

		CU_ASSERT_EQUAL_FATAL(rb_total(bytes + at), a->total);
		CU_ASSERT_EQUAL(rb_crc(bytes + at), a->crc);
		CU_ASSERT_EQUAL(rb_base_offset(bytes + at), a->offset);
		at += a->total;
		i++;
		n++;
	}
	CU_ASSERT_EQUAL(at, r.length);
	CU_ASSERT_TRUE(r.length <= max || (one && n == 1));
	*next = i;
	return n;
}

/* In each call on: a live log has memory indexes, a restarted one files. */
static void
every_offset(int64_t end)
{
	static const uint32_t max[] = {
		0, 1, 100, 700, 1500, 4096, 5000, 20000, WORLD_SEGMENT, 1000000};
	unsigned next;

	for (int64_t offset = 0; offset < end; offset++) {
		for (unsigned m = 0; m < ARRAY_LENGTH(max); m++) {
			const uint32_t first = w.was[0][batch_of_offset(offset)].total;

			CU_ASSERT_EQUAL_FATAL(storage_read(w.part[0], offset, max[m], true, &r), 0);
			CU_ASSERT_TRUE_FATAL(r.length > 0);
			CU_ASSERT_TRUE(judge(offset, max[m], true, &next) > 0);
			storage_unpin(r.pinned);
			CU_ASSERT_EQUAL_FATAL(
				storage_read(w.part[0], offset, max[m], false, &r), 0);
			CU_ASSERT_EQUAL(r.length > 0, first <= max[m]);
			CU_ASSERT_EQUAL(r.pinned != NULL, r.length > 0);
			if (r.length > 0) {
				(void)judge(offset, max[m], false, &next);
				storage_unpin(r.pinned);
			}
		}
	}
}

/* From offset to offset as a consumer does: nothing is left out, and it gets on. */
static unsigned
walk(uint32_t max)
{
	int64_t at = 0;
	unsigned reads = 0, next;

	while (at < w.part[0]->next) {
		CU_ASSERT_EQUAL_FATAL(storage_read(w.part[0], at, max, true, &r), 0);
		CU_ASSERT_TRUE_FATAL(r.length > 0);
		(void)judge(at, max, true, &next);
		storage_unpin(r.pinned);
		at = next < w.was_n[0] ? w.was[0][next].offset : w.part[0]->next;
		reads++;
	}
	CU_ASSERT_EQUAL(storage_read(w.part[0], at, max, true, &r), 0);
	CU_ASSERT_EQUAL(r.length, 0);
	CU_ASSERT_PTR_NULL(r.pinned);
	return reads;
}

static void
fill(void)
{
	for (unsigned i = 0; i < 420; i++)
		(void)world_append(
			0, (struct batch_of){.count = 1 + (int32_t)(i % 3), .value = i * 37 % 900});
}

static void
every_offset_reads_whole_batches_within_the_limit(void)
{
	world_begin(1);
	fill();
	world_settle();
	CU_ASSERT_TRUE(world_count(0, ".log") >= 5);
	every_offset(w.part[0]->next);
	CU_ASSERT_EQUAL(world_stop(), 0); /* now all of them by their index files */
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	every_offset(w.part[0]->next);
	world_end();
}

static void
a_consumer_gets_every_batch_once(void)
{
	static const uint32_t max[] = {1, 1000, 5000, 30000, 1000000};

	world_begin(1);
	fill();
	for (unsigned m = 0; m < ARRAY_LENGTH(max); m++) {
		const unsigned reads = walk(max[m]);

		CU_ASSERT_TRUE(m > 0 ? reads <= w.was_n[0] : reads == w.was_n[0]);
	}
	world_sync();                                           /* the last roll has its name */
	CU_ASSERT_EQUAL(walk(1000000), world_count(0, ".log")); /* a read ends with its segment */
	world_end();
}

static void
offsets_outside_the_log_are_told_from_its_end(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 0, 1000, true, &r), 0);
	CU_ASSERT_EQUAL(r.length, 0);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 1, 1000, true, &r), KIRA_E_OFFSET_OUT_OF_RANGE);
	CU_ASSERT_EQUAL(storage_read(w.part[0], -1, 1000, true, &r), KIRA_E_OFFSET_OUT_OF_RANGE);
	(void)world_append(0, (struct batch_of){.count = 5});
	CU_ASSERT_EQUAL(storage_read(w.part[0], 5, 1000, true, &r), 0);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 6, 1000, true, &r), KIRA_E_OFFSET_OUT_OF_RANGE);
	CU_ASSERT_EQUAL(
		storage_read(w.part[0], INT64_MAX, 1000, true, &r), KIRA_E_OFFSET_OUT_OF_RANGE);
	CU_ASSERT_EQUAL(
		storage_read(w.part[0], INT64_MIN, 1000, true, &r), KIRA_E_OFFSET_OUT_OF_RANGE);
	world_end();
}

static void
with_visibility_disk_nothing_above_the_durable_end_is_read(void)
{
	struct partition_ends ends;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.visible_at_disk = true;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	for (unsigned i = 0; i < 400; i++) {
		(void)world_append(0, (struct batch_of){.count = 2, .value = 500});
		storage_ends(w.part[0], &ends);
		CU_ASSERT_EQUAL(ends.visible, ends.durable);
		CU_ASSERT_EQUAL(storage_read(w.part[0], ends.durable, 100000, true, &r), 0);
		CU_ASSERT_EQUAL(r.length, 0);
		if (i % 9 == 0)
			world_turns(1);
		if (i % 40 == 0) {
			world_sync();
			CU_ASSERT_EQUAL(world_read(0), 2 * (i + 1));
		}
		/* The last visible batch: no further than the durable end, also in its segment. */
		storage_ends(w.part[0], &ends);
		CU_ASSERT_EQUAL(storage_read(w.part[0], ends.durable - 1, 100000, true, &r), 0);
		CU_ASSERT_EQUAL(r.length, w.was[0][batch_of_offset(ends.durable - 1)].total);
		storage_unpin(r.pinned);
	}
	world_end();
}

static void
a_roll_that_is_not_filed_yet_is_read_on_both_sides(void)
{
	world_begin(1);
	fill();
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	storage_roll(w.part[0], w.now_ns);
	CU_ASSERT_PTR_NOT_NULL(w.part[0]->full); /* no turn since */
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 2}, 0), APPEND_STORED);
	CU_ASSERT_EQUAL(
		world_read(0), w.was[0][w.was_n[0] - 2].offset + w.was[0][w.was_n[0] - 2].count);
	(void)storage_publish(w.part[0]);
	CU_ASSERT_EQUAL(world_read(0), w.part[0]->next);
	world_end();
}

static void
a_pinned_segment_outlives_its_deletion(void)
{
	struct partition_ends ends;
	struct storage_range held;
	unsigned next;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.retention_bytes = WORLD_SEGMENT;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	fill();
	CU_ASSERT_EQUAL_FATAL(storage_read(w.part[0], 0, WORLD_SEGMENT, true, &held), 0);
	world_settle();
	storage_ends(w.part[0], &ends);
	CU_ASSERT_TRUE(ends.start > 0);
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.log"));
	CU_ASSERT_EQUAL(storage_read(w.part[0], 0, 1000, true, &r), KIRA_E_OFFSET_OUT_OF_RANGE);
	r = held;
	CU_ASSERT_TRUE(judge(0, WORLD_SEGMENT, true, &next) > 10);
	CU_ASSERT_EQUAL(world_read(0), ends.end);
	storage_unpin(held.pinned);
	world_end();
}

static void
available_bytes_are_what_can_be_read_or_enough(void)
{
	uint64_t all = 0;

	world_begin(1);
	CU_ASSERT_EQUAL(storage_available(w.part[0], 0, 100), 0);
	for (unsigned i = 0; i < 20; i++) {
		(void)world_append(0, (struct batch_of){.count = 2, .value = 500});
		all += w.length;
	}
	CU_ASSERT_EQUAL(storage_available(w.part[0], 0, UINT64_MAX), all);
	CU_ASSERT_EQUAL(storage_available(w.part[0], 0, 100), 100);
	CU_ASSERT_EQUAL(storage_available(w.part[0], 38, UINT64_MAX), w.length);
	CU_ASSERT_EQUAL(storage_available(w.part[0], 40, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(storage_available(w.part[0], 41, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(storage_bytes(w.part[0]), all);
	world_end();
}

static int
no_pread(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_PREAD ? -EIO : 0;
}

static void
a_file_that_cannot_be_read_answers_56_and_the_next_read_tries_again(void)
{
	world_begin(1);
	fill();
	fake.hook = no_pread;
	CU_ASSERT_EQUAL(storage_read(w.part[0], 3, 1000, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(storage_available(w.part[0], 3, 1000), 0);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(storage_read(w.part[0], 3, 1000, true, &r), 0);
	CU_ASSERT_TRUE(r.length > 0);
	storage_unpin(r.pinned);
	world_end();
}

/* A flip in a header on disk, under a running broker: the walk meets it and nothing of it is sent. */
static void
a_header_that_does_not_continue_the_log_is_never_sent(void)
{
	uint8_t b = 0x55;
	int fd;

	world_begin(1);
	for (unsigned i = 0; i < 4; i++)
		(void)world_append(0, (struct batch_of){.count = 2, .value = 100});
	fd = world_open_file(0, "00000000000000000000.log");
	CU_ASSERT_EQUAL(pwrite(fd, &b, 1, (off_t)w.was[0][0].total + 1), 1);
	(void)close(fd);
	CU_ASSERT_EQUAL(storage_read(w.part[0], 2, 1000, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	world_end();
}

/* More sealed segments than one read keeps open: descriptors are closed and opened again. */
static void
each_sealed_segment_is_opened_when_it_is_read(void)
{
	world_begin(1);
	fill();
	world_settle();
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(w.s->read_fds, 0);
	CU_ASSERT_EQUAL(world_read(0), w.part[0]->next);
	CU_ASSERT_EQUAL(w.s->read_fds, world_count(0, ".index"));
	world_end();
}

static const struct ut_test tests[] = {
	UT("ranges", every_offset_reads_whole_batches_within_the_limit),
	UT("ranges", a_consumer_gets_every_batch_once),
	UT("ranges", offsets_outside_the_log_are_told_from_its_end),
	UT("ranges", available_bytes_are_what_can_be_read_or_enough),
	UT("visible", with_visibility_disk_nothing_above_the_durable_end_is_read),
	UT("visible", a_roll_that_is_not_filed_yet_is_read_on_both_sides),
	UT("segments", a_pinned_segment_outlives_its_deletion),
	UT("segments", each_sealed_segment_is_opened_when_it_is_read),
	UT("damage", a_file_that_cannot_be_read_answers_56_and_the_next_read_tries_again),
	UT("damage", a_header_that_does_not_continue_the_log_is_never_sent),
};

UT_MAIN(tests)
