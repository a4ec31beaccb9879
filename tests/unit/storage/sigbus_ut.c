/* SPDX-License-Identifier: MIT
 * sigbus_ut.c - storage/sigbus.c: a file cut short by hand under its map fails its partition alone;
 * any other SIGBUS ends the process as ever. */
#include "storage/sigbus.h"
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct partition_ends ends;

static void
append(unsigned p)
{
	(void)world_append(p, (struct batch_of){.count = 2, .value = 900});
}

static enum append_verdict
try_append(void)
{
	return world_append_as(0, (struct batch_of){.count = 2, .value = 900}, 0);
}

static void
cut_to(unsigned p, uint64_t size)
{
	CU_ASSERT_EQUAL_FATAL(ftruncate(w.part[p]->active->fd, (off_t)size), 0);
}

static void
a_file_cut_short_fails_its_partition_and_the_other_goes_on(void)
{
	int64_t durable;

	world_begin(2);
	for (unsigned i = 0; i < 10; i++) {
		append(0);
		append(1);
	}
	world_sync();
	storage_ends(w.part[0], &ends);
	durable = ends.durable;
	CU_ASSERT_EQUAL(durable, 20);
	CU_ASSERT_EQUAL(storage_failures(w.s), 0);
	cut_to(0, 0);
	CU_ASSERT_EQUAL(try_append(), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(w.result.base_offset, -1);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	CU_ASSERT_TRUE(storage_failures(w.s) > 0);
	CU_ASSERT_TRUE(strstr(storage_failure(w.part[0]), "cut short") != NULL);
	CU_ASSERT_EQUAL(try_append(), APPEND_REFUSED);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.end, durable);
	for (unsigned i = 0; i < 200; i++) /* rolls too */
		append(1);
	world_sync();
	world_settle();
	CU_ASSERT_EQUAL(world_read(1), 420);
	CU_ASSERT_EQUAL(counter_read(&w.count.partitions_failed), 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.maps_lost), 1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_HALTED); /* what was durable is gone */
	CU_ASSERT_EQUAL(world_read(1), 420);
	world_end();
}

/* Three of a run are in the file, the next is not: no reader and no ack may know of any. */
static void
nothing_of_a_run_that_met_it_is_published(void)
{
	world_begin(1);
	append(0);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(try_append(), APPEND_STORED);
	cut_to(0, 0);
	CU_ASSERT_EQUAL(try_append(), APPEND_REFUSED);
	CU_ASSERT_EQUAL(storage_publish(w.part[0]), 0);
	CU_ASSERT_EQUAL(frontier_read(&w.part[0]->tail).end, 2);
	world_end();
}

/* Those of the run that lie before the cut: the next start finds them, so nobody was told that they are not stored. */
static void
what_was_not_published_may_be_there_after_a_start(void)
{
	enum append_verdict v = APPEND_STORED;
	int64_t stored = 0;

	world_begin(1);
	append(0);
	world_sync();
	cut_to(0, 8192);
	for (unsigned i = 0; i < 10 && v == APPEND_STORED; i++) {
		v = try_append();
		stored += v == APPEND_STORED ? 2 : 0;
	}
	CU_ASSERT_TRUE(v == APPEND_REFUSED && stored > 0);
	CU_ASSERT_EQUAL(storage_publish(w.part[0]), 0);
	(void)world_stop();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.end, 2 + stored);
	world_end();
}

static void
pages_before_the_cut_stay_in_the_file(void)
{
	uint8_t got[100], was[100];

	world_begin(1);
	for (unsigned i = 0; i < 12; i++) /* beyond the second page */
		append(0);
	CU_ASSERT_EQUAL(pread(w.part[0]->active->fd, was, sizeof(was), 0), sizeof(was));
	cut_to(0, 8192);
	while (try_append() == APPEND_STORED)
		;
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	CU_ASSERT_EQUAL(memcmp(w.part[0]->active->map, was, sizeof(was)), 0);
	w.part[0]->active->map[0] ^= 1; /* shared with the file still */
	CU_ASSERT_EQUAL(pread(w.part[0]->active->fd, got, sizeof(got), 0), sizeof(got));
	CU_ASSERT_EQUAL(got[0], was[0] ^ 1);
	world_end();
}

/* The pages of what was published went with the end of the file, and a sync of them has nothing to do. */
static void
no_commit_covers_what_was_cut_off_unsynced(void)
{
	world_begin(2);
	append(0);
	append(1);
	world_sync();
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(try_append(), APPEND_STORED);
		append(1);
	}
	(void)storage_publish(w.part[0]);
	cut_to(0, 2000); /* in the first of them */
	world_sync();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	CU_ASSERT_TRUE(storage_failures(w.s) > 0);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.durable, 2);
	storage_ends(w.part[1], &ends);
	CU_ASSERT_EQUAL(ends.durable, 8);
	world_end();
}

static int
no_seal(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_FTRUNCATE ? -ENOMEM : 0;
}

/* Synced, left by a roll, and cut before it is sealed. */
static void
a_seal_puts_no_zeros_where_records_were(void)
{
	int fd;

	world_begin(1);
	append(0);
	world_sync();
	fd = dup(w.part[0]->active->fd);
	storage_roll(w.part[0], w.now_ns);
	world_turns(10);
	fake.hook = no_seal;
	storage_roll(w.part[0], w.now_ns);
	world_turns(500);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 100), 0);
	fake.hook = NULL;
	world_settle();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	CU_ASSERT_EQUAL(world_size(0, "00000000000000000000.log"), 100);
	(void)close(fd);
	world_end();
}

static bool full;

static int
full_disk(enum io_kind kind, int fd, const char *name)
{
	return full && kind == IO_FALLOCATE ? -ENOSPC : 0;
}

/* A partition of larger segments: more is reserved than is ready. */
static struct segment *
begin_large(void)
{
	world_begin(1);
	full = false;
	fake.hook = full_disk;
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.segment_bytes = 4 * MIB;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	append(0);
	return w.part[0]->active;
}

static enum append_verdict
append_many(unsigned n)
{
	enum append_verdict v = APPEND_WAIT;

	while (n-- > 0) {
		v = try_append();
		(void)storage_publish(w.part[0]);
		if (v != APPEND_STORED)
			world_turns(1);
	}
	return v;
}

static void
cut_where_no_store_was_let_go_it_is_reserved_once_more(void)
{
	struct segment *seg = begin_large();
	const uint64_t ready = atomic_load(&seg->ready);

	CU_ASSERT_TRUE_FATAL(ready < seg->allocated);
	cut_to(0, ready);
	CU_ASSERT_EQUAL(append_many(1000), APPEND_STORED);
	CU_ASSERT_TRUE(atomic_load(&seg->ready) > ready);
	world_sync();
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_read(0), 2 * w.was_n[0]);
	world_end();
}

static void
on_a_full_disk_that_waits_and_goes_on_when_space_returns(void)
{
	struct segment *seg = begin_large();
	const uint64_t ready = atomic_load(&seg->ready);
	unsigned stored;

	full = true;
	cut_to(0, ready);
	CU_ASSERT_EQUAL(append_many(2000), APPEND_WAIT);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(atomic_load(&seg->ready), ready);
	stored = w.was_n[0];
	CU_ASSERT_EQUAL(world_read(0), 2 * stored);
	full = false;
	CU_ASSERT_EQUAL(append_many(2000), APPEND_STORED);
	CU_ASSERT_TRUE(w.was_n[0] > stored);
	CU_ASSERT_EQUAL(world_read(0), 2 * w.was_n[0]);
	world_end();
}

static void
what_was_cut_below_is_not_made_up_by_zeros(void)
{
	struct segment *seg = begin_large();

	full = true;
	CU_ASSERT_EQUAL(append_many(2000), APPEND_WAIT);
	CU_ASSERT_EQUAL(atomic_load(&seg->ready), seg->allocated);
	cut_to(0, seg->allocated - 4096);
	full = false;
	CU_ASSERT_EQUAL(append_many(2000), APPEND_REFUSED);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_FAILED);
	world_end();
}

/* Does a child that runs this end by a signal? (With a sanitizer: by its report.) */
static bool
dies(void (*run)(void))
{
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(0);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* Not what is being stored into. */
static void
store_elsewhere(void)
{
	uint8_t *other = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED,
		w.part[1]->active->fd, 0);

	sigbus_begin(w.part[0]->active);
	(void)ftruncate(w.part[1]->active->fd, 0);
	other[0] = 1;
	sigbus_end();
}

/* Nobody stores: a map touched by who must not. */
static void
touch_a_map(void)
{
	(void)ftruncate(w.part[0]->active->fd, 0);
	w.part[0]->active->map[0] = 1;
}

static void
send_it(void)
{
	sigbus_begin(w.part[0]->active);
	(void)raise(SIGBUS);
}

static void
any_other_ends_the_process(void)
{
	world_begin(2);
	CU_ASSERT_TRUE(dies(store_elsewhere));
	CU_ASSERT_TRUE(dies(send_it));
	CU_ASSERT_TRUE(dies(touch_a_map));
	world_end();
}

static const struct ut_test tests[] = {
	UT("map", a_file_cut_short_fails_its_partition_and_the_other_goes_on),
	UT("map", nothing_of_a_run_that_met_it_is_published),
	UT("map", what_was_not_published_may_be_there_after_a_start),
	UT("map", pages_before_the_cut_stay_in_the_file),
	UT("map", no_commit_covers_what_was_cut_off_unsynced),
	UT("map", a_seal_puts_no_zeros_where_records_were),
	UT("map", cut_where_no_store_was_let_go_it_is_reserved_once_more),
	UT("map", on_a_full_disk_that_waits_and_goes_on_when_space_returns),
	UT("map", what_was_cut_below_is_not_made_up_by_zeros),
	UT("other", any_other_ends_the_process),
};

UT_MAIN(tests)
