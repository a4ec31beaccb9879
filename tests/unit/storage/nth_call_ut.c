/* SPDX-License-Identifier: MIT
 * nth_call_ut.c - a day of a broker (appends, rolls, seals, retention, a clean stop) in which the n-th
 * system call fails, or it and all after it, for every n; then a restart: what was published is
 * there, nothing aborts, and no data sync of a file is tried again. */
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <sys/stat.h>

#define CALLS_MAX 3000
#define BATCHES   60

/* S9: after one failed sync of a file no other. */
static ino_t failed_file;
static unsigned again;
static uint64_t fails_at;

static ino_t
inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static int
fail_once(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_SYNC_RANGE)
		again += failed_file != 0 && inode_of(fd) == failed_file;
	if (fake.total != fails_at)
		return 0;
	if (kind == IO_SYNC_RANGE)
		failed_file = inode_of(fd);
	return -EIO;
}

/* Appends as long as there is room; whether the partition took all of it. */
static void
work(void)
{
	for (unsigned i = 0; i < BATCHES; i++) {
		enum append_verdict v = APPEND_WAIT;

		for (unsigned k = 0; k < 8 && v == APPEND_WAIT; k++) {
			if (k > 0)
				world_turns(k == 7 ? 600 : 1);
			v = world_append_as(0, (struct batch_of){.count = 3, .value = 1500}, 0);
		}
		(void)storage_publish(w.part[0]);
		if (v == APPEND_REFUSED)
			return;
		if (i % 10 == 9) {
			storage_want_disk(w.s, 0, storage_publish(w.part[0]));
			world_turns(700);
		}
	}
	world_turns(6000);
}

static void
check_after_restart(uint64_t n, int64_t durable)
{
	struct partition_ends ends;
	const struct appended *last = w.was_n[0] ? &w.was[0][w.was_n[0] - 1] : NULL;
	const int64_t published = last ? last->offset + last->count : 0;

	if (world_open() < 0) {
		fprintf(stderr, "call %llu: %s\n", (unsigned long long)n, w.err.text);
		CU_FAIL_FATAL("the restart failed");
	}
	storage_ends(w.part[0], &ends);
	if (ends.end != published || storage_state(w.part[0]) != PART_OK)
		fprintf(stderr, "call %llu: end %lld of %lld, state %d\n", (unsigned long long)n,
			(long long)ends.end, (long long)published, storage_state(w.part[0]));
	CU_ASSERT_EQUAL(ends.end, published);
	CU_ASSERT_TRUE(ends.end >= durable);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_read(0), published);
}

static void
at_every_call(bool dies, bool stops)
{
	struct partition_ends ends;
	bool fired = true;
	uint64_t n = 1;

	for (; fired && n < CALLS_MAX; n++) {
		uint64_t before;

		world_begin(1);
		CU_ASSERT_EQUAL(world_delete(), 0);
		w.config.retention_bytes = WORLD_SEGMENT;
		CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
		failed_file = 0;
		again = 0;
		before = fake.total;
		fails_at = dies ? 0 : before + n;
		fake.dies_at = dies ? before + n : 0;
		fake.hook = fail_once;
		work();
		storage_ends(w.part[0], &ends);
		CU_ASSERT_TRUE(ends.start <= ends.durable && ends.durable <= ends.end);
		if (stops)
			(void)world_stop();
		fired = fake.total - before >= n;
		if (!stops)
			world_kill();
		CU_ASSERT_EQUAL(again, 0);
		fake.hook = NULL;
		fake.dies_at = 0;
		check_after_restart(n, ends.durable);
		world_end();
	}
	CU_ASSERT_TRUE(n > 100 && n < CALLS_MAX);
}

static void
what_was_published_is_there_whichever_call_fails_before_a_kill(void)
{
	at_every_call(false, false);
}

static void
what_was_published_is_there_whichever_call_fails_before_a_stop(void)
{
	at_every_call(false, true);
}

static void
what_was_published_is_there_whenever_the_disk_dies_before_a_kill(void)
{
	at_every_call(true, false);
}

static const struct ut_test tests[] = {
	UT("fails", what_was_published_is_there_whichever_call_fails_before_a_kill),
	UT("fails", what_was_published_is_there_whichever_call_fails_before_a_stop),
	UT("dies", what_was_published_is_there_whenever_the_disk_dies_before_a_kill),
};

UT_MAIN(tests)
