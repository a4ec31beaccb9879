/* SPDX-License-Identifier: MIT
 * recover_checkpoint_ut.c - checkpoints of open segments: their bytes, when they are written, what a start takes
 * from them, and when it does not believe them. */
#include "storage/checkpoint.h"
#include "tests/unit/storage/world.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#define FIRST  "00000000000000000000"
#define MARK   FIRST ".checkpoint"

static struct partition_ends ends;

static void
reopen(void)
{
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
}

/* 48 KiB of one producer in a segment of 64, a checkpoint each 16, and kira.state knows of all. Killed. */
static int64_t
a_log(void)
{
	uint64_t bytes = 0;

	world_begin(1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	w.o.checkpoint_bytes = 16384;
	reopen();
	for (int32_t i = 0; bytes < 48000; i++) {
		(void)world_append(0, (struct batch_of){.count = 2, .value = 400 + (uint32_t)i % 100, .producer = 7,
			.sequence = 2 * i});
		bytes += w.length;
		if (i % 8 == 0)
			world_sync();
		world_turns(1);
	}
	world_sync();
	world_turns(6000);
	CU_ASSERT_TRUE_FATAL(world_has(0, MARK));
	CU_ASSERT_TRUE(w.count.checkpoints >= 2);
	world_kill();
	return 2 * (int64_t)w.was_n[0];
}

static void
load(struct checkpoint_file *cp, uint8_t **bytes, size_t *n)
{
	int dir;
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/t-0", w.dir);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	CU_ASSERT_EQUAL_FATAL(layout_read(&io_posix, dir, MARK, (char **)bytes, n), 0);
	CU_ASSERT_TRUE_FATAL(checkpoint_parse(*bytes, *n, cp));
	(void)close(dir);
}

static void
every_flipped_bit_and_every_cut_is_refused(void)
{
	struct checkpoint_file cp, none;
	uint8_t *b;
	size_t n;

	(void)a_log();
	load(&cp, &b, &n);
	CU_ASSERT_EQUAL(cp.base, 0);
	CU_ASSERT_TRUE(cp.end > 0 && cp.position >= 32768 && cp.entries > 5 && cp.times > 0);
	for (size_t i = 0; i < n * 8; i++) {
		b[i / 8] ^= (uint8_t)(1 << i % 8);
		CU_ASSERT_FALSE(checkpoint_parse(b, n, &none));
		b[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < n; i++)
		CU_ASSERT_FALSE(checkpoint_parse(b, i, &none));
	free(b);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	world_end();
}

static void
remove_it(void)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/t-0/" MARK, w.dir);
	CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
}

static void
flip(uint64_t at)
{
	const int fd = world_open_file(0, FIRST ".log");
	uint8_t b;

	CU_ASSERT_EQUAL(pread(fd, &b, 1, (off_t)at), 1);
	b ^= 4;
	CU_ASSERT_EQUAL(pwrite(fd, &b, 1, (off_t)at), 1);
	(void)close(fd);
}

static size_t
contents(const char *name, uint8_t *to, size_t room)
{
	const int fd = world_open_file(0, name);
	const ssize_t n = pread(fd, to, room, 0);

	(void)close(fd);
	CU_ASSERT_TRUE_FATAL(n >= 0);
	return (size_t)n;
}

/* The same index, snapshot and end as without; and what lies below is not read: a flipped bit there is
 * somebody else's to find. */
static void
a_start_goes_on_from_it(void)
{
	static const char *const file[] = {FIRST ".index", FIRST ".timeindex"};
	const int64_t end = a_log();
	uint8_t with[2][8192], without[8192];
	size_t n[2];

	world_save();
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.end, end);
	CU_ASSERT_EQUAL(world_read(0), end);
	CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 1);
	CU_ASSERT_FALSE(world_has(0, MARK)); /* sealed now */
	for (unsigned i = 0; i < 2; i++)
		n[i] = contents(file[i], with[i], sizeof(with[i]));
	for (int32_t back = 1; back <= 6; back++) {
		CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.count = 2, .producer = 7,
			.sequence = (int32_t)end - 2 * back}, 0), APPEND_DUPLICATE);
		CU_ASSERT_EQUAL(w.result.base_offset, back <= 5 ? end - 2 * back : -1);
	}
	world_kill();
	world_restore();
	remove_it();
	reopen();
	CU_ASSERT_EQUAL(world_read(0), end);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(contents(file[i], without, sizeof(without)), n[i]);
		CU_ASSERT_EQUAL(memcmp(without, with[i], n[i]), 0);
	}
	world_kill();
	for (unsigned i = 0; i < 2; i++) {
		world_restore();
		flip(2000);
		if (i == 1)
			remove_it();
		reopen();
		CU_ASSERT_EQUAL(storage_state(w.part[0]), i == 0 ? PART_OK : PART_HALTED);
		world_kill();
	}
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	world_end();
}

/* It must lead to a batch that is there, whole, of its epoch; else the file is read from its beginning. */
static void
one_that_the_log_does_not_bear_out_is_not_believed(void)
{
	const int64_t end = a_log();
	struct checkpoint_file cp;
	uint8_t *b;
	size_t n;
	int fd;

	load(&cp, &b, &n);
	free(b);
	world_save();
	flip(cp.position - 5); /* the last batch below it: acknowledged, and damaged */
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(ends.end < cp.end);
	world_kill();
	world_restore();
	load(&cp, &b, &n); /* of another log of that name: another epoch */
	put_be32(b + 36, 7);
	put_be32(b + 8, crc32c(b + 12, n - 12));
	CU_ASSERT_TRUE(checkpoint_parse(b, n, &cp));
	fd = world_open_file(0, MARK);
	CU_ASSERT_EQUAL(pwrite(fd, b, n, 0), (ssize_t)n);
	(void)close(fd);
	free(b);
	flip(2000);
	reopen();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED);
	CU_ASSERT_TRUE(ends.end < cp.end);
	world_kill();
	world_restore();
	reopen();
	CU_ASSERT_EQUAL(world_read(0), end);
	world_end();
}

/* One that is left behind: of a segment that was sealed, or of none. */
static void
an_old_one_is_removed(void)
{
	char path[200];
	int fd;

	(void)a_log();
	reopen();
	CU_ASSERT_EQUAL(world_stop(), 0);
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/t-0/%020d.checkpoint", w.dir, i * 123456);
		fd = open(path, O_CREAT | O_WRONLY, 0644);
		CU_ASSERT_TRUE(fd >= 0);
		(void)close(fd);
	}
	reopen();
	CU_ASSERT_EQUAL(world_count(0, ".checkpoint"), 0);
	world_end();
}

static int
lose_its_name(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_RENAMEAT && strstr(name, ".checkpoint") && fake.lost == 0)
		fake_io_lose(fd);
	return 0;
}

/* The checkpoint is written again a second later; a segment's name that was lost with it must not count. */
static void
a_directory_that_lost_its_name_takes_no_new_segment(void)
{
	(void)a_log();
	reopen();
	fake.hook = lose_its_name;
	for (unsigned i = 0; i < 40; i++) {
		(void)world_append(0, (struct batch_of){.count = 2, .value = 450});
		world_sync();
	}
	CU_ASSERT_EQUAL(fake.lost, 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.file_failures), 1);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	storage_roll(w.part[0], w.now_ns);
	world_turns(2000);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	world_end();
}

static const struct ut_test tests[] = {
	UT("bytes", every_flipped_bit_and_every_cut_is_refused),
	UT("start", a_start_goes_on_from_it),
	UT("start", one_that_the_log_does_not_bear_out_is_not_believed),
	UT("files", a_directory_that_lost_its_name_takes_no_new_segment),
	UT("files", an_old_one_is_removed),
};

UT_MAIN(tests)
