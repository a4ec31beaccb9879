/* SPDX-License-Identifier: MIT
 * flush_tidy_ut.c - storage/flush_tidy.c: which segments go, in which order start, kira.state and
 * files move, and what holds it back. */
#include "tests/unit/storage/world.h"

#include <errno.h>

static struct partition_ends ends;
static unsigned seen; /* by hooks: that they fired */

static void
look(unsigned p)
{
	storage_ends(w.part[p], &ends);
}

static void
recreate(void)
{
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
}

/* start published -> kira.state that says so durable -> unlinked, at every unlink of a segment. And
 * kira.state never claims more than is durable. */
static int
deletion_order(enum io_kind kind, int fd, const char *name)
{
	struct state_row *row;
	uint64_t incarnation;
	unsigned n;
	bool clean;
	char *body;

	if (kind != IO_UNLINKAT || layout_offset(name, ".log") < 0)
		return 0;
	seen++;
	CU_ASSERT_EQUAL_FATAL(layout_read_text(&io_posix, w.s->dirfd, "state", &body), 0);
	CU_ASSERT_TRUE_FATAL(catalogue_parse_state(body, &incarnation, &clean, &row, &n));
	look(0);
	CU_ASSERT_TRUE(layout_offset(name, ".log") < ends.start);
	CU_ASSERT_EQUAL(row[0].start, ends.start);
	CU_ASSERT_TRUE(row[0].recovery <= ends.durable);
	free(row);
	free(body);
	return 0;
}

static void
check_trimmed(uint64_t at_least)
{
	struct storage_range r;

	look(0);
	CU_ASSERT_TRUE(ends.start > 0);
	CU_ASSERT_TRUE(seen >= at_least);
	CU_ASSERT_EQUAL(w.count.segments_deleted, seen);
	CU_ASSERT_EQUAL(world_read(0), ends.end); /* from the new start on */
	CU_ASSERT_EQUAL(storage_read(w.part[0], ends.start - 1, 1000, true, &r),
		KIRA_E_OFFSET_OUT_OF_RANGE);
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.log"));
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.index"));
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.timeindex"));
}

static void
retention_by_size_deletes_the_oldest_whole_segments_in_order(void)
{
	world_begin(1);
	w.config.retention_bytes = 3 * WORLD_SEGMENT;
	recreate();
	seen = 0;
	fake.hook = deletion_order;
	world_fill(0, 10 * WORLD_SEGMENT);
	world_settle();
	check_trimmed(6);
	CU_ASSERT_TRUE(storage_bytes(w.part[0]) >= 3 * WORLD_SEGMENT);
	CU_ASSERT_TRUE(storage_bytes(w.part[0]) < 4 * WORLD_SEGMENT);
	world_end();
}

static uint64_t
blocks_held(void)
{
	const struct segments *a = atomic_load(&w.part[0]->segments);
	uint64_t bytes = w.part[0]->f.active->allocated + (w.part[0]->f.given ? w.part[0]->f.given->allocated : 0);

	for (uint32_t i = 0; i < a->n; i++)
		bytes += a->seg[i]->allocated;
	return bytes;
}

/* Also in the turn in which files go. */
static void
what_the_directory_holds_is_told_while_segments_go(void)
{
	struct partition_config config;
	unsigned deleted = 0;

	world_begin(1);
	world_fill(0, 10 * WORLD_SEGMENT);
	world_settle();
	config = w.config;
	config.retention_bytes = 5 * WORLD_SEGMENT;
	storage_configure(w.part[0], &config);
	for (unsigned i = 0; i < 3000; i++) {
		const uint64_t due_ns = w.s->flush.tidy_ns;
		const bool waits = w.part[0]->f.trim_waits;

		world_turns(1);
		if (w.now_ns < due_ns)
			continue;
		if (waits && !w.part[0]->f.trim_waits) {
			deleted++;
			CU_ASSERT_EQUAL(counter_read(&w.count.disk_held_bytes), blocks_held());
		}
	}
	CU_ASSERT_TRUE(deleted > 0);
	world_end();
}

static void
retention_by_time_deletes_what_is_older(void)
{
	world_begin(1);
	w.config.retention_ms = 60000;
	recreate();
	seen = 0;
	fake.hook = deletion_order;
	world_fill(0, 4 * WORLD_SEGMENT);
	world_turns(40000);
	CU_ASSERT_EQUAL(seen, 0);
	world_fill(0, 4 * WORLD_SEGMENT);
	world_turns(25000);
	check_trimmed(3);
	look(0);
	CU_ASSERT_TRUE(seen < 6 && ends.end - ends.start > 200);
	world_end();
}

/* An idle topic: control rolls it, then even its last records go. */
static void
an_idle_segment_that_was_rolled_by_order_is_deleted_too(void)
{
	world_begin(1);
	w.config.retention_ms = 60000;
	recreate();
	(void)world_append(0, (struct batch_of){.count = 3});
	world_settle();
	storage_roll(w.part[0], w.now_ns);
	world_turns(5);
	storage_roll(w.part[0], w.now_ns);
	world_turns(70000);
	look(0);
	CU_ASSERT_EQUAL(ends.start, 3);
	CU_ASSERT_EQUAL(ends.end, 3);
	CU_ASSERT_EQUAL(world_count(0, ".log"), 1);
	(void)world_append(0, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.base_offset, 3);
	CU_ASSERT_EQUAL(world_read(0), 5);
	world_end();
}

static void
beyond_the_directorys_cap_the_oldest_segment_goes_whatever_its_topic_allows(void)
{
	world_begin(1);
	seen = 0;
	fake.hook = deletion_order;
	fake.space.total = 10 * WORLD_SEGMENT; /* of which 80 % */
	fake.space.free = fake.space.total;
	world_fill(0, 20 * WORLD_SEGMENT);
	world_settle();
	world_turns(20000);
	check_trimmed(12);
	CU_ASSERT_TRUE(w.count.segments_over_cap >= 12);
	CU_ASSERT_TRUE(w.count.disk_held_bytes <= 9 * WORLD_SEGMENT);
	world_end();
}

static void
a_wall_clock_that_jumps_expires_nothing_for_an_hour(void)
{
	world_begin(1);
	w.config.retention_ms = 3600000;
	recreate();
	world_fill(0, 3 * WORLD_SEGMENT);
	world_settle();
	w.wall_ms += INT64_C(30) * 24 * 3600000;
	world_turns(10000);
	look(0);
	CU_ASSERT_EQUAL(ends.start, 0);
	w.now_ns += 3601 * NS_PER_S; /* both went on together */
	w.wall_ms += 3601000;
	w.s->flush.tidied_ns = w.now_ns;
	w.s->flush.tidied_wall_ms = w.wall_ms;
	world_turns(10000);
	look(0);
	CU_ASSERT_TRUE(ends.start > 0);
	world_end();
}

static int
no_state(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_RENAMEAT && strcmp(name, "kira.state") == 0 ? -EIO : 0;
}

static void
nothing_is_deleted_while_kira_state_cannot_be_written(void)
{
	unsigned logs;

	world_begin(1);
	w.config.retention_bytes = WORLD_SEGMENT;
	recreate();
	fake.hook = no_state;
	world_fill(0, 6 * WORLD_SEGMENT);
	world_settle();
	logs = world_count(0, ".log");
	CU_ASSERT_TRUE(logs >= 6);
	CU_ASSERT_TRUE(world_has(0, "00000000000000000000.log"));
	fake.hook = NULL;
	world_turns(20000);
	CU_ASSERT_FALSE(world_has(0, "00000000000000000000.log"));
	world_end();
}

/* ---- Errors of files that hold no records --------------------------------------------------- */

static int file_rc;
static const char *file_name;

static int
no_file(enum io_kind kind, int fd, const char *name)
{
	const bool changes = kind == IO_RENAMEAT || kind == IO_UNLINKAT;

	return changes && strstr(name, file_name) ? file_rc : 0;
}

static void
an_io_error_of_kira_state_is_kept_and_counted_and_a_full_disk_is_not(void)
{
	world_begin(1);
	file_name = "kira.state";
	file_rc = -ENOSPC;
	fake.hook = no_file;
	(void)world_append(0, (struct batch_of){.count = 1});
	world_sync();
	world_turns(12000);
	CU_ASSERT_PTR_NULL(storage_root_failure(w.s));
	CU_ASSERT_EQUAL(counter_read(&w.count.file_failures), 0);
	file_rc = -EROFS;
	world_turns(12000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(storage_root_failure(w.s));
	CU_ASSERT_TRUE(strstr(storage_root_failure(w.s), "kira.state: Read-only") != NULL);
	CU_ASSERT_TRUE(counter_read(&w.count.file_failures) >= 2);
	fake.hook = NULL;
	world_turns(6000);
	CU_ASSERT_TRUE(strstr(storage_root_failure(w.s), "kira.state") != NULL);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	world_end();
}

static void
an_io_error_of_the_catalogue_is_kept_and_counted(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	file_name = "kira.topics";
	file_rc = -EIO;
	fake.hook = no_file;
	CU_ASSERT_EQUAL(world_create("u", 1), -EIO);
	CU_ASSERT_PTR_NOT_NULL_FATAL(storage_root_failure(w.s));
	CU_ASSERT_TRUE(strstr(storage_root_failure(w.s), "kira.topics") != NULL);
	CU_ASSERT_EQUAL(counter_read(&w.count.file_failures), 1);
	world_end();
}

static void
a_file_that_could_not_be_removed_does_not_count_as_deleted(void)
{
	world_begin(1);
	world_fill(0, 5 * WORLD_SEGMENT);
	world_settle();
	file_name = ".log";
	file_rc = -EIO;
	fake.hook = no_file;
	w.part[0]->settings.retention_bytes = WORLD_SEGMENT;
	world_turns(6000);
	look(0);
	CU_ASSERT_TRUE(ends.start > 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.segments_deleted), 0);
	CU_ASSERT_TRUE(strstr(storage_root_failure(w.s), "remove expired segments of t-0") != NULL);
	world_end();
}

static const struct ut_test tests[] = {
	UT("retention", retention_by_size_deletes_the_oldest_whole_segments_in_order),
	UT("retention", what_the_directory_holds_is_told_while_segments_go),
	UT("retention", retention_by_time_deletes_what_is_older),
	UT("retention", an_idle_segment_that_was_rolled_by_order_is_deleted_too),
	UT("retention",
		beyond_the_directorys_cap_the_oldest_segment_goes_whatever_its_topic_allows),
	UT("retention", a_wall_clock_that_jumps_expires_nothing_for_an_hour),
	UT("files", an_io_error_of_kira_state_is_kept_and_counted_and_a_full_disk_is_not),
	UT("files", an_io_error_of_the_catalogue_is_kept_and_counted),
	UT("files", a_file_that_could_not_be_removed_does_not_count_as_deleted),
	UT("retention", nothing_is_deleted_while_kira_state_cannot_be_written),
};

UT_MAIN(tests)
