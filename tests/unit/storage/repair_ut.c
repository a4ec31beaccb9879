/* SPDX-License-Identifier: MIT
 * repair_ut.c - storage/repair*.c: what is broken is found, told and cut out, by either way; then the directory
 * has nothing to tell, and the log goes on. Crashes inside a repair: tests/sim/repair_sim.c. */
#include "storage/repair.h"
#include "storage/inspect.h"
#include "tests/unit/storage/world.h"

#include <errno.h>

static struct repair r;
static struct partition_ends ends;
static unsigned lines[3];
static char broken_text[1024];
static struct err err;

static void
line(void *arg, enum repair_line kind, const char *path, const char *text)
{
	lines[kind]++;
	if (kind == REPAIR_BROKEN)
		(void)snprintf(broken_text, sizeof(broken_text), "%.400s: %.600s", path, text);
	if (getenv("REPAIR_UT_SAY"))
		fprintf(stderr, "%u %s: %s\n", kind, path, text);
}

static int
repair(enum repair_mode mode)
{
	int rc;

	r = (struct repair){.io = &fake_io, .mode = mode, .say = line};
	memset(lines, 0, sizeof(lines));
	broken_text[0] = err.text[0] = 0;
	rc = repair_directory(&r, w.dir, &err);
	if (rc < 0)
		fprintf(stderr, "%s\n", err.text);
	return rc;
}

static char damage[1024];

static void
found(void *arg, const struct inspect_finding *f)
{
	if (f->level == INSPECT_DAMAGE)
		(void)snprintf(damage, sizeof(damage), "%.400s: %.500s", f->file, f->what);
}

/* Damaged places that kira check finds. */
static uint64_t
checked(void)
{
	struct inspect in = {.io = &fake_io, .found = found};

	damage[0] = 0;
	CU_ASSERT_EQUAL(inspect_directory(&in, w.dir, &err), 0);
	return in.damages;
}

static void
is_whole(void)
{
	if (checked() > 0) {
		fprintf(stderr, "%s\n", damage);
		CU_FAIL("the check finds damage");
	}
}

/* Segments of two producers' batches; 2 records each, so that offset / 2 is the batch. */
static void
a_log(bool clean)
{
	world_begin(1);
	for (int32_t i = 0; i < 300; i++)
		(void)world_append(0, (struct batch_of){.count = 2, .value = 500, .producer = 5 + (i & 1),
			.sequence = i / 2 * 2, .seed = (uint64_t)i});
	world_settle();
	world_turns(6000);
	if (!clean)
		world_kill();
	else if (world_stop() < 0)
		CU_FAIL("the stop failed");
}

/* Where batch `i` lies: its file goes to *base. */
static uint64_t
place_of(unsigned i, int64_t *base)
{
	char name[LAYOUT_NAME];
	uint64_t at = 0;

	for (unsigned k = i;; k--) {
		layout_name(name, w.was[0][k].offset, ".log");
		if (world_has(0, name)) {
			*base = w.was[0][k].offset;
			for (; k < i; k++)
				at += w.was[0][k].total;
			return at;
		}
	}
}

/* Bit 4 of a byte of batch `i`. */
static int64_t
flip(unsigned i, uint32_t byte)
{
	char name[LAYOUT_NAME];
	int64_t base;
	const uint64_t at = place_of(i, &base) + byte;
	uint8_t b;
	int fd;

	layout_name(name, base, ".log");
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL_FATAL(pread(fd, &b, 1, (off_t)at), 1);
	b ^= 0x10;
	CU_ASSERT_EQUAL_FATAL(pwrite(fd, &b, 1, (off_t)at), 1);
	(void)close(fd);
	return base;
}

static void
reopen(int64_t end, int64_t lost)
{
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
	if (storage_state(w.part[0]) != PART_OK) {
		fprintf(stderr, "%s\n", storage_halt_reason(w.part[0]));
		CU_FAIL_FATAL("halted");
	}
	CU_ASSERT_EQUAL(ends.end, end);
	CU_ASSERT_EQUAL(world_read(0), end);
	CU_ASSERT_EQUAL((int64_t)r.offsets_lost, lost);
	CU_ASSERT_TRUE(storage_leader_epoch(w.part[0]) > 0);
	(void)world_append(0, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.base_offset, end);
	CU_ASSERT_EQUAL(world_stop(), 0);
	is_whole();
	world_end();
}

/* It is found, costs what is told, and is gone. */
static void
skips(int64_t lost)
{
	CU_ASSERT_EQUAL(repair(REPAIR_LOOK), 0);
	CU_ASSERT_EQUAL(r.broken, 1);
	CU_ASSERT_EQUAL(r.repaired, 0);
	CU_ASSERT_EQUAL(repair(REPAIR_SKIP), 0);
	CU_ASSERT_EQUAL(r.repaired, 1);
	CU_ASSERT_EQUAL((int64_t)r.offsets_lost, lost);
	is_whole();
}

static void
nothing_broken_nothing_done(void)
{
	for (unsigned i = 0; i < 2; i++) {
		a_log(i == 0);
		CU_ASSERT_EQUAL(repair(REPAIR_SKIP), 0);
		CU_ASSERT_TRUE(r.broken == 0 && r.repaired == 0 && r.partitions == 1);
		CU_ASSERT_EQUAL(repair(REPAIR_TRUNCATE), 0);
		CU_ASSERT_TRUE(r.broken == 0 && r.repaired == 0);
		r.offsets_lost = 0;
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(world_read(0), 600);
		world_end();
	}
}

/* A record, the length, the count, the offset, the epoch, the magic; first, middle and last of a file. */
static void
a_broken_batch_is_cut_out_and_all_others_stay(void)
{
	static const uint32_t byte[] = {70, RB_LENGTH + 2, RB_COUNT + 3, 7, RB_LEADER_EPOCH + 3, RB_MAGIC};
	static const unsigned batch[] = {0, 1, 40, 100, 299};

	for (unsigned i = 0; i < ARRAY_LENGTH(byte) * ARRAY_LENGTH(batch) * 2; i++) {
		const unsigned k = batch[i / 2 % ARRAY_LENGTH(batch)];
		char name[LAYOUT_NAME];

		a_log(i % 2);
		(void)flip(k, byte[i / 2 / ARRAY_LENGTH(batch)]);
		skips(2);
		layout_name(name, 2 * k, ".log.bad");
		/* Behind the last of an unsealed segment zeros follow, to the end of a sector. */
		CU_ASSERT_TRUE(world_size(0, name) >= w.was[0][k].total &&
			world_size(0, name) < w.was[0][k].total + (k == 299 ? 512 : 1));
		reopen(600, 2);
	}
}

static void
truncated_at_the_broken_batch_the_log_begins_anew_there(void)
{
	for (unsigned i = 0; i < 12; i++) {
		const unsigned k = (const unsigned[]){0, 1, 40, 100, 200, 299}[i / 2];
		char name[LAYOUT_NAME];

		a_log(i % 2);
		(void)flip(k, 70);
		CU_ASSERT_EQUAL(repair(REPAIR_TRUNCATE), 0);
		CU_ASSERT_EQUAL(r.repaired, 1);
		is_whole();
		layout_name(name, 2 * k, ".log.bad");
		CU_ASSERT_TRUE(world_has(0, name));
		world_forget(0, 2 * k);
		reopen(2 * k, 600 - 2 * k);
	}
}

static void
several_broken_places_are_several_holes(void)
{
	a_log(true);
	for (unsigned k = 3; k < 300; k += 50)
		(void)flip(k, 70);
	(void)flip(4, 70); /* beside one */
	skips(14);
	CU_ASSERT_EQUAL(lines[REPAIR_BROKEN], 6);
	CU_ASSERT_EQUAL(world_count(0, ".log.bad"), 6);
	reopen(600, 14);
}

/* What says where the first of them ends is still there: its length, and one of two counts. */
static void
one_batch_between_two_broken_ones_stays(void)
{
	static const uint32_t byte[] = {70, RB_COUNT + 3, RB_LAST_OFFSET_DELTA + 3};

	for (unsigned i = 0; i < ARRAY_LENGTH(byte); i++) {
		a_log(true);
		(void)flip(40, byte[i]);
		(void)flip(42, 70);
		skips(4);
		CU_ASSERT_EQUAL(lines[REPAIR_BROKEN], 2);
		reopen(600, 4);
	}
}

static int64_t
file_of(unsigned batch)
{
	int64_t base;

	(void)place_of(batch, &base);
	return base;
}

static void
remove_segment(int64_t base)
{
	char path[200];
	int dir;

	(void)snprintf(path, sizeof(path), "%s/t-0", w.dir);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	CU_ASSERT_EQUAL(layout_unlink_segment(&io_posix, dir, base, false), 0);
	(void)close(dir);
}

/* The first, one in the middle, the last. */
static void
a_missing_segment_becomes_a_hole(void)
{
	for (unsigned i = 0; i < 6; i++) {
		int64_t base, next;

		a_log(i % 2);
		base = file_of((const unsigned[]){0, 150, 299}[i / 2]);
		for (next = base + 2; next < 600 && file_of((unsigned)(next / 2)) == base;)
			next += 2;
		remove_segment(base);
		skips(next - base);
		reopen(600, next - base);
	}
}

static void
a_segment_cut_short_loses_what_it_lost(void)
{
	char name[LAYOUT_NAME];
	int64_t base;
	uint64_t at;
	int fd;

	a_log(true);
	at = place_of(100, &base);
	layout_name(name, base, ".log");
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)at + 100), 0);
	(void)close(fd);
	for (base = 202; file_of((unsigned)(base / 2)) == file_of(99);)
		base += 2;
	skips(base - 200);
	layout_name(name, 200, ".log.bad");
	CU_ASSERT_EQUAL(world_size(0, name), 100);
	reopen(600, base - 200);
}

static void
index_files_that_are_wrong_cost_nothing(void)
{
	for (unsigned i = 0; i < 2; i++) {
		char name[LAYOUT_NAME];
		int fd;

		a_log(true);
		layout_name(name, file_of(100), i ? ".timeindex" : ".index");
		fd = world_open_file(0, name);
		CU_ASSERT_EQUAL(pwrite(fd, "x", 1, 3), 1);
		(void)close(fd);
		CU_ASSERT_TRUE(checked() > 0);
		CU_ASSERT_EQUAL(repair(i ? REPAIR_TRUNCATE : REPAIR_SKIP), 0);
		CU_ASSERT_TRUE(r.repaired == 1 && r.offsets_lost == 0 && lines[REPAIR_DOES] == 1);
		is_whole();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(world_read(0), 600);
		CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 0);
		world_end();
	}
}

static void
a_zero_tail_of_a_sealed_segment_is_cut(void)
{
	char name[LAYOUT_NAME];
	uint64_t size;
	int fd;

	a_log(true);
	layout_name(name, file_of(100), ".log");
	size = world_size(0, name);
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)size + 5000), 0);
	(void)close(fd);
	CU_ASSERT_EQUAL(repair(REPAIR_SKIP), 0);
	CU_ASSERT_TRUE(r.repaired == 1 && r.offsets_lost == 0);
	CU_ASSERT_EQUAL(world_size(0, name), size);
	is_whole();
	world_end();
}

static void
a_lost_epoch_checkpoint_is_made_from_the_batches(void)
{
	char path[200];

	a_log(false);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	(void)world_append(0, (struct batch_of){.count = 2});
	CU_ASSERT_EQUAL(w.result.leader_epoch, 1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	(void)snprintf(path, sizeof(path), "%s/t-0/" LAYOUT_EPOCHS, w.dir);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(repair(REPAIR_SKIP), 0);
	CU_ASSERT_TRUE(r.repaired == 1 && r.offsets_lost == 0);
	is_whole();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(world_read(0), 602);
	CU_ASSERT_EQUAL(storage_epoch_at(w.part[0], 599), 0);
	CU_ASSERT_EQUAL(storage_epoch_at(w.part[0], 600), 1);
	world_end();
}

static void
a_missing_directory_is_one_hole(void)
{
	char path[200], away[210];

	for (unsigned i = 0; i < 2; i++) {
		a_log(true);
		(void)snprintf(path, sizeof(path), "%s/t-0", w.dir);
		(void)snprintf(away, sizeof(away), "%s.away", path);
		CU_ASSERT_EQUAL(rename(path, away), 0);
		CU_ASSERT_EQUAL(repair(i ? REPAIR_TRUNCATE : REPAIR_SKIP), 0);
		CU_ASSERT_EQUAL(r.repaired, 1);
		world_forget(0, 0);
		is_whole();
		reopen(i ? 0 : 600, 600);
	}
}

/* Of a batch whose length is not known any more: what a record's value holds is not taken for the log. */
static void
batches_inside_of_a_record_are_not_taken(void)
{
	static uint8_t value[4000];
	uint32_t n = 0;
	int64_t base;
	char name[LAYOUT_NAME];
	uint64_t at;
	int fd;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 2, .value = 3900});
	for (unsigned i = 0; i < 20; i++)
		(void)world_append(0, (struct batch_of){.count = 2, .value = 300});
	world_settle();
	CU_ASSERT_EQUAL(world_stop(), 0);
	/* A log of another partition, whole and in order, that begins at offset 2 of ours. */
	for (int64_t offset = 2; n < 3000; offset++) {
		const uint32_t total = make_batch(value + n, (struct batch_of){.value = 200});

		put_be64(value + n, (uint64_t)offset);
		put_be32(value + n + RB_LEADER_EPOCH, 0);
		n += total;
	}
	at = place_of(0, &base);
	layout_name(name, base, ".log");
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL(pwrite(fd, value, n, (off_t)at + 80), (ssize_t)n);
	CU_ASSERT_EQUAL(pwrite(fd, "\0\0\0\1", 4, (off_t)at + RB_LENGTH), 4);
	(void)close(fd);
	skips(2);
	reopen(42, 2);
}

static void
a_partition_that_is_not_there_is_said(void)
{
	a_log(true);
	r = (struct repair){.io = &fake_io, .mode = REPAIR_SKIP, .say = line, .partition = "t-1"};
	CU_ASSERT_EQUAL(repair_directory(&r, w.dir, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "t-1"));
	world_end();
}

static int
no_epochs(enum io_kind kind, int fd, const char *file)
{
	return kind == IO_OPENAT && strstr(file, LAYOUT_EPOCHS ".tmp") ? -EIO : 0;
}

/* kira.state names the last file that is left, of that size. */
static void
a_truncation_cut_short_never_gives_offsets_twice_in_one_epoch(void)
{
	char spare[200];
	unsigned k;

	world_begin(1);
	for (k = 0; k < 20; k++)
		(void)world_append(0, (struct batch_of){.count = 2, .value = 500, .seed = k});
	storage_roll(w.part[0], w.now_ns);
	world_turns(10);
	storage_roll(w.part[0], w.now_ns);
	world_settle();
	world_turns(6000);
	world_fill(0, 2 * WORLD_SEGMENT);
	world_turns(100); /* and kira.state says nothing of it yet */
	world_kill();
	(void)snprintf(spare, sizeof(spare), "%s/t-0/" LAYOUT_SPARE, w.dir);
	(void)unlink(spare); /* a slow log has none */
	(void)flip(k, 70);
	fake.hook = no_epochs;
	CU_ASSERT_EQUAL(repair(REPAIR_TRUNCATE), -EIO);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(world_count(0, ".log"), 1);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.end, 2 * k);
	CU_ASSERT_TRUE(storage_state(w.part[0]) != PART_OK || storage_leader_epoch(w.part[0]) > 0);
	world_end();
}

static const struct ut_test tests[] = {
	UT("repair", nothing_broken_nothing_done),
	UT("repair", a_broken_batch_is_cut_out_and_all_others_stay),
	UT("repair", truncated_at_the_broken_batch_the_log_begins_anew_there),
	UT("repair", a_truncation_cut_short_never_gives_offsets_twice_in_one_epoch),
	UT("repair", several_broken_places_are_several_holes),
	UT("repair", one_batch_between_two_broken_ones_stays),
	UT("repair", a_missing_segment_becomes_a_hole),
	UT("repair", a_segment_cut_short_loses_what_it_lost),
	UT("repair", index_files_that_are_wrong_cost_nothing),
	UT("repair", a_zero_tail_of_a_sealed_segment_is_cut),
	UT("repair", a_lost_epoch_checkpoint_is_made_from_the_batches),
	UT("repair", a_missing_directory_is_one_hole),
	UT("repair", batches_inside_of_a_record_are_not_taken),
	UT("repair", a_partition_that_is_not_there_is_said),
};

UT_MAIN(tests)
