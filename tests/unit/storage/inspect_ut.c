/* SPDX-License-Identifier: MIT
 * inspect_ut.c - storage/inspect*.c: a whole directory gives no finding, each damage one with its file,
 * position and offset, and nothing is changed. What check says of a killed one agrees with what a start
 * then does. Damages of whole processes' directories: tests/pipeline/check.py. */
#include "storage/inspect.h"
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <sys/stat.h>

static struct inspect in;
static struct inspect_finding last;
static char last_file[4096], last_what[512];
static unsigned with_cure;
static bool negative; /* some finding named an offset that is none */
static struct err err;

static void
found(void *arg, const struct inspect_finding *f)
{
	negative |= f->offset < -1 || strstr(f->what, " -") != NULL;
	/* The first damage, or the last note: a test looks at one. */
	if (in.damages > 1 || (in.damages == 1 && f->level == INSPECT_NOTE))
		return;
	last = *f;
	(void)snprintf(last_file, sizeof(last_file), "%s", f->file + strlen(w.dir) + 1);
	(void)snprintf(last_what, sizeof(last_what), "%s", f->what);
	with_cure += f->cure != NULL;
}

static int
inspect(void)
{
	in = (struct inspect){.io = &fake_io, .found = found};
	last = (struct inspect_finding){.position = -7, .offset = -7};
	last_file[0] = last_what[0] = '\0';
	with_cure = 0;
	negative = false;
	err.text[0] = '\0';
	return inspect_directory(&in, w.dir, &err);
}

/* Three sealed segments of one partition, with two producers. */
static void
begin(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL_FATAL(directory_put_ids(w.s, 7), 0);
	for (int32_t i = 0; i < 180; i++)
		(void)world_append(0, (struct batch_of){.count = 2, .value = 500, .producer = 5 + (i & 1),
			.sequence = i / 2 * 2, .seed = (uint64_t)i});
	world_settle();
}

static void
stop(void)
{
	CU_ASSERT_EQUAL_FATAL(world_stop(), 0);
}

static uint64_t
position_of(unsigned i)
{
	uint64_t position = 0;

	for (unsigned k = 0; k < i; k++)
		position += w.was[0][k].total;
	return position;
}

static void
flip(const char *name, uint64_t at)
{
	const int fd = world_open_file(0, name);
	uint8_t b;

	CU_ASSERT_EQUAL_FATAL(pread(fd, &b, 1, (off_t)at), 1);
	b ^= 0x10;
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, &b, 1, (off_t)at), 1);
	(void)close(fd);
}

#define FIRST "00000000000000000000"

static void
a_clean_directory_gives_no_finding_and_all_is_counted(void)
{
	begin();
	stop();
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	CU_ASSERT_EQUAL(in.notes, 0);
	CU_ASSERT_EQUAL(in.partitions, 1);
	CU_ASSERT_EQUAL(in.segments, world_count(0, ".log"));
	CU_ASSERT_TRUE(in.segments >= 3);
	CU_ASSERT_EQUAL(in.batches, 180);
	CU_ASSERT_EQUAL(in.records, 360);
	CU_ASSERT_EQUAL(in.producer_max, 6);
	CU_ASSERT_EQUAL(world_open(), 0);
	world_end();
}

static void
an_open_directory_is_refused(void)
{
	begin();
	/* The lock is of the open file: a process is kept out, and so is this one's other descriptor. */
	CU_ASSERT_EQUAL(inspect(), -EAGAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "in use"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, w.dir));
	world_end();
}

static void
every_flipped_bit_of_a_batch_is_one_finding_or_two_at_its_place(void)
{
	const unsigned victim = 7;
	unsigned quiet = 0;

	begin();
	stop();
	for (uint32_t at = 0; at < w.was[0][victim].total; at += at < RB_HEADER ? 1 : 97) {
		flip("" FIRST ".log", position_of(victim) + at);
		CU_ASSERT_EQUAL(inspect(), 0);
		quiet += in.damages == 0;
		CU_ASSERT_TRUE(in.damages <= (at >= RB_LENGTH && at < RB_LEADER_EPOCH ? 3 : 1));
		CU_ASSERT_STRING_EQUAL(last_file, "t-0/" FIRST ".log");
		CU_ASSERT_EQUAL(last.position, position_of(victim));
		CU_ASSERT_EQUAL(last.offset, w.was[0][victim].offset);
		CU_ASSERT_TRUE(with_cure > 0);
		flip("" FIRST ".log", position_of(victim) + at);
	}
	CU_ASSERT_EQUAL(quiet, 0);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	world_open();
	world_end();
}

static void
every_flipped_byte_of_an_index_or_snapshot_is_found(void)
{
	static const char *const suffix[] = {".index", ".timeindex", ".snapshot"};
	char name[40], file[64];
	int64_t second = 0;

	begin();
	stop();
	while (!world_has(0, (layout_name(name, ++second, ".log"), name)))
		;
	for (unsigned i = 0; i < ARRAY_LENGTH(suffix); i++) {
		uint64_t size;

		layout_name(name, second, suffix[i]);
		(void)snprintf(file, sizeof(file), "t-0/%s", name);
		size = world_size(0, name);
		CU_ASSERT_TRUE(size >= 12);
		for (uint64_t at = 0; at < size; at++) {
			flip(name, at);
			CU_ASSERT_EQUAL(inspect(), 0);
			CU_ASSERT_EQUAL(in.damages, 1);
			CU_ASSERT_STRING_EQUAL(last_file, file);
			flip(name, at);
		}
	}
	world_open();
	world_end();
}

static void
a_snapshot_that_is_whole_but_not_what_the_headers_give_is_found(void)
{
	uint8_t b[PRODUCER_SNAPSHOT_BYTES(2)];
	int64_t second = 0;
	char name[40];
	int fd;

	begin();
	stop();
	while (!world_has(0, (layout_name(name, ++second, ".snapshot"), name)))
		;
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL_FATAL(pread(fd, b, sizeof(b), 0), sizeof(b));
	put_be32(b + 20, get_be32(b + 20) + 1); /* last sequence of the first */
	producers_seal_snapshot(b, sizeof(b));
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, b, sizeof(b), 0), sizeof(b));
	(void)close(fd);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_file, ".snapshot"));
	CU_ASSERT_PTR_NOT_NULL(strstr(last_what, "the batch headers give"));
	world_open();
	world_end();
}

static void
a_missing_segment_is_told_once_and_not_of_the_snapshot_behind_it(void)
{
	char name[40], path[256];
	int64_t second = 0;

	begin();
	stop();
	while (!world_has(0, (layout_name(name, ++second, ".log"), name)))
		;
	(void)snprintf(path, sizeof(path), "%s/t-0/%s", w.dir, name);
	world_save();
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 2); /* the index without its log, and the gap */
	CU_ASSERT_EQUAL(last.offset, second);
	world_restore();
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	world_open();
	world_end();
}

static void
an_unsealed_tail_is_a_note_and_a_start_finds_the_same_end(void)
{
	struct partition_ends ends;
	int64_t end;

	begin();
	world_kill();
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	CU_ASSERT_TRUE(in.notes >= 2); /* kira.state, and the tail */
	CU_ASSERT_PTR_NOT_NULL(strstr(last_what, "unsealed tail"));
	end = last.offset;
	CU_ASSERT_EQUAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.end, end);
	world_end();
}

static void
a_torn_tail_is_damage_only_below_what_was_durable(void)
{
	char name[40];
	uint64_t position = 0;
	int64_t offset;
	unsigned i = 0;

	begin();
	world_sync();
	world_turns(6000); /* kira.state is written every 5 s */
	(void)world_append(0, (struct batch_of){.count = 3, .value = 100});
	world_last_log(0, name);
	while (w.was[0][i].offset < layout_offset(name, ".log"))
		i++;
	for (unsigned k = i; k + 1 < w.was_n[0]; k++)
		position += w.was[0][k].total;
	offset = w.was[0][w.was_n[0] - 1].offset;
	world_kill();
	flip(name, position + RB_HEADER + 3);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	CU_ASSERT_EQUAL(last.position, position);
	CU_ASSERT_EQUAL(last.offset, offset);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_what, "CRC-32C"));
	/* The one before it was durable. */
	flip(name, position - 3);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_what, "acknowledged records are lost"));
	CU_ASSERT_EQUAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	world_end();
}

/* The unsealed one is torn: what it lacks, and all behind it, was never synced. */
static void
a_segment_behind_a_torn_one_is_a_note(void)
{
	char name[40], path[256];
	int fd;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 3});
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	storage_roll(w.part[0], w.now_ns);
	w.s->flush.state_ns = UINT64_MAX; /* kira.state knows of nothing */
	(void)world_append(0, (struct batch_of){.count = 3});
	world_turns(6);
	world_last_log(0, name);
	CU_ASSERT_EQUAL(layout_offset(name, ".log"), 3);
	world_kill();
	(void)snprintf(path, sizeof(path), "%s/t-0/00000000000000000000.timeindex", w.dir);
	(void)unlink(path);
	fd = world_open_file(0, "00000000000000000000.log");
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	(void)close(fd);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	CU_ASSERT_EQUAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	world_end();
}

/* All was deleted; a power cut gave back one file of it, and not the one behind, nor all of its index, and took the
 * name of the one that was to go on. */
static void
what_a_power_cut_gave_back_of_a_deletion_is_a_note(void)
{
	static const char log[] = "" FIRST ".log", index[] = "" FIRST ".timeindex";
	struct storage_op op = {.kind = OP_DELETE_RECORDS, .part = (struct partition *[]){NULL}, .offset = 360};
	struct partition_ends ends;
	int dir;

	begin();
	op.part[0] = w.part[0];
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	dir = dup(w.part[0]->dirfd);
	CU_ASSERT_EQUAL_FATAL(linkat(dir, log, dir, "kept", 0), 0);
	storage_submit(w.s, &op);
	world_turns(2000);
	CU_ASSERT_PTR_EQUAL(storage_reap(w.s), &op);
	CU_ASSERT_EQUAL(op.rc, 0);
	CU_ASSERT_EQUAL(world_count(0, ".log"), 1);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(unlinkat(dir, "00000000000000000360.log", 0), 0);
	CU_ASSERT_EQUAL_FATAL(linkat(dir, "kept", dir, log, 0), 0);
	CU_ASSERT_EQUAL_FATAL(linkat(dir, "kept", dir, index, 0), 0);
	CU_ASSERT_EQUAL_FATAL(unlinkat(dir, "kept", 0), 0);
	(void)close(dir);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(in.damages, 0);
	CU_ASSERT_EQUAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.start, 360);
	CU_ASSERT_EQUAL(ends.end, 360);
	CU_ASSERT_FALSE(world_has(0, log));
	world_end();
}

/* A base offset is in no checksum: damage may make it any. */
static void
an_offset_at_the_end_of_all_is_one_finding(void)
{
	uint8_t huge[] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint64_t position = position_of(0);
	int fd;

	begin();
	stop();
	/* The last batch of the first segment. */
	for (unsigned i = 0; position + w.was[0][i].total < world_size(0, FIRST ".log"); i++)
		position += w.was[0][i].total;
	fd = world_open_file(0, FIRST ".log");
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, huge, sizeof(huge), (off_t)position), sizeof(huge));
	(void)close(fd);
	CU_ASSERT_EQUAL(inspect(), 0);
	CU_ASSERT_EQUAL(last.position, (int64_t)position);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_what, "9223372036854775807"));
	CU_ASSERT_EQUAL(in.damages, 1);
	CU_ASSERT_FALSE(negative);
	world_end();
}

/* The same, where an index entry names it. (An overflow shows under a sanitizer.) */
static void
an_entry_that_names_an_offset_at_the_end_of_all_is_one_finding(void)
{
	static const uint8_t huge[] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	char path[200];
	uint8_t entry[8];
	int fd;

	begin();
	stop();
	fd = world_open_file(0, FIRST ".index");
	CU_ASSERT_EQUAL_FATAL(pread(fd, entry, sizeof(entry), 0), sizeof(entry));
	(void)close(fd);
	fd = world_open_file(0, FIRST ".log");
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, huge, sizeof(huge), (off_t)get_be32(entry + 4)), sizeof(huge));
	(void)close(fd);
	in = (struct inspect){.io = &fake_io, .found = found};
	(void)snprintf(path, sizeof(path), "%s/t-0/" FIRST ".index", w.dir);
	CU_ASSERT_EQUAL(inspect_index_file(&in, path, &err), 0);
	CU_ASSERT_EQUAL(in.damages, 1);
	CU_ASSERT_EQUAL(last.position, 0);
	world_end();
}

static void
no_data_directory_is_an_error_and_not_damage(void)
{
	char dir[] = "/var/tmp/kira-inspect-XXXXXX";

	world_begin(1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	in = (struct inspect){.io = &fake_io, .found = found};
	CU_ASSERT_EQUAL(inspect_directory(&in, dir, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "kira.meta"));
	CU_ASSERT_EQUAL(rmdir(dir), 0);
	CU_ASSERT_EQUAL(inspect_directory(&in, dir, &err), -ENOENT);
	world_end();
}

static const struct ut_test tests[] = {
	UT("whole", a_clean_directory_gives_no_finding_and_all_is_counted),
	UT("whole", an_open_directory_is_refused),
	UT("whole", no_data_directory_is_an_error_and_not_damage),
	UT("damage", every_flipped_bit_of_a_batch_is_one_finding_or_two_at_its_place),
	UT("damage", every_flipped_byte_of_an_index_or_snapshot_is_found),
	UT("damage", a_snapshot_that_is_whole_but_not_what_the_headers_give_is_found),
	UT("damage", a_missing_segment_is_told_once_and_not_of_the_snapshot_behind_it),
	UT("damage", an_offset_at_the_end_of_all_is_one_finding),
	UT("damage", an_entry_that_names_an_offset_at_the_end_of_all_is_one_finding),
	UT("killed", an_unsealed_tail_is_a_note_and_a_start_finds_the_same_end),
	UT("killed", a_torn_tail_is_damage_only_below_what_was_durable),
	UT("killed", a_segment_behind_a_torn_one_is_a_note),
	UT("killed", what_a_power_cut_gave_back_of_a_deletion_is_a_note),
};

UT_MAIN(tests)
