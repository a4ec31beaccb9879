/* SPDX-License-Identifier: MIT
 * recover_crash_ut.c - recovery cut short at its n-th system call, for every n, and with a single
 * failing call, for every n, which halts the partition: the next recovery finds the same log. */
#include "tests/unit/storage/world.h"

#include <errno.h>

#define CALLS_MAX 3000

static int64_t expected_end;

static void
append(int32_t count)
{
	(void)world_append(0, (struct batch_of){.count = count,
				      .value = 300,
				      .producer = 7,
				      .sequence = (int32_t)w.part[0]->next});
}

/* What one undisturbed recovery makes of the saved directory. */
static void
recover_once(void)
{
	struct partition_ends ends;

	world_save();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	storage_ends(w.part[0], &ends);
	expected_end = ends.end;
	world_forget(0, expected_end);
	CU_ASSERT_EQUAL(world_read(0), expected_end);
	world_kill();
}

static void
recover_again(uint64_t n)
{
	struct partition_ends ends;
	const int rc = world_open();

	if (rc < 0) {
		fprintf(stderr, "after call %llu: %s\n", (unsigned long long)n, w.err.text);
		CU_FAIL("the second recovery failed");
		return;
	}
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(ends.end, expected_end);
	CU_ASSERT_EQUAL(world_read(0), expected_end);
	CU_ASSERT_TRUE(storage_leader_epoch(w.part[0]) >= 1);
	CU_ASSERT_EQUAL(world_count(0, ".tmp"), 0);
	CU_ASSERT_EQUAL(world_count(0, ".log"), world_count(0, ".index"));
	/* It goes on; now and then through a clean stop, which takes its time: nothing was left that
	 * a later start trips over. */
	append(2);
	CU_ASSERT_EQUAL(w.result.base_offset, expected_end);
	if (n % 8 == 0) {
		CU_ASSERT_EQUAL(world_stop(), 0);
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	}
	CU_ASSERT_EQUAL(world_read(0), expected_end + 2);
	world_kill();
	world_forget(0, expected_end);
}

/* Everything from the n-th call on fails, as if the process had died there; or that one alone. */
static void
at_every_call(bool dies)
{
	uint64_t n = 1;

	recover_once();
	for (; n < CALLS_MAX; n++) {
		int rc;

		world_restore();
		fake_io_reset();
		if (dies)
			fake.dies_at = n;
		else
			fake.fails_at = n;
		rc = world_open();
		fake.dies_at = fake.fails_at = 0;
		if (rc == 0 && storage_state(w.part[0]) == PART_HALTED) {
			rc = -EIO;
			CU_ASSERT_PTR_NOT_NULL(storage_halt_reason(w.part[0]));
			if (n % 2)
				CU_ASSERT_EQUAL(world_stop(), 0); /* its row stays */
		}
		if (w.s)
			world_kill();
		recover_again(n);
		if (rc == 0 && fake.total < n)
			break;
		if (rc == 0 && dies)
			break;
	}
	CU_ASSERT_TRUE(n > 30 && n < CALLS_MAX);
}

/* ---- Directories to recover --------------------------------------------------------------- */

/* Two sealed segments, an open one with a torn batch in it, a spare. */
static void
torn_tail(void)
{
	char name[LAYOUT_NAME];
	uint64_t position = 0;
	int fd;

	world_begin(1);
	for (unsigned i = 0; i < 2; i++) {
		append(3);
		append(4);
		storage_roll(w.part[0], w.now_ns);
		world_turns(3);
		storage_roll(w.part[0], w.now_ns);
		world_settle();
	}
	append(5);
	append(6);
	world_last_log(0, name);
	for (unsigned i = 0; i + 1 < w.was_n[0]; i++)
		if (w.was[0][i].offset >= layout_offset(name, ".log"))
			position += w.was[0][i].total;
	world_kill();
	fd = world_open_file(0, name);
	CU_ASSERT_EQUAL(pwrite(fd, "torn", 4, (off_t)position + 70), 4);
	(void)close(fd);
}

/* A roll that was not named; the segment before it not yet sealed. */
static void
unnamed_roll(void)
{
	world_begin(1);
	append(3);
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	storage_roll(w.part[0], w.now_ns);
	append(4);
	world_kill();
}

/* After a power cut: the first segment lost its first batch, the one behind it is whole. */
static void
torn_front(void)
{
	int fd;

	world_begin(1);
	append(3);
	storage_roll(w.part[0], w.now_ns);
	world_turns(3);
	storage_roll(w.part[0], w.now_ns);
	append(4);
	w.s->flush.commit.last_ns = w.now_ns; /* no commit yet */
	world_turns(1);
	world_kill();
	fd = world_open_file(0, "00000000000000000000.log");
	CU_ASSERT_EQUAL(pwrite(fd, "torn", 4, 70), 4);
	(void)close(fd);
	CU_ASSERT_EQUAL(world_count(0, ".log"), 2);
	CU_ASSERT_EQUAL(world_count(0, ".index"), 0);
}

static void
a_torn_tail_is_recovered_whenever_recovery_dies(void)
{
	torn_tail();
	at_every_call(true);
	CU_ASSERT_EQUAL(expected_end, 19);
	world_end();
}

static void
a_torn_tail_is_recovered_whichever_call_fails(void)
{
	torn_tail();
	at_every_call(false);
	world_end();
}

static void
an_unnamed_roll_is_adopted_whenever_recovery_dies(void)
{
	unnamed_roll();
	at_every_call(true);
	CU_ASSERT_EQUAL(expected_end, 7);
	world_end();
}

static void
an_unnamed_roll_is_adopted_whichever_call_fails(void)
{
	unnamed_roll();
	at_every_call(false);
	world_end();
}

static void
a_torn_front_leaves_an_empty_log_whenever_recovery_dies(void)
{
	torn_front();
	at_every_call(true);
	CU_ASSERT_EQUAL(expected_end, 0);
	world_end();
}

static void
a_torn_front_leaves_an_empty_log_whichever_call_fails(void)
{
	torn_front();
	at_every_call(false);
	world_end();
}

static bool
meta_says(const char *line)
{
	char *body;
	const bool said = layout_read_text(w.s->io, w.s->dirfd, "meta", &body) == 0 &&
		strncmp(body, line, strlen(line)) == 0;

	free(body);
	return said;
}

/* Of the format before: raised first of all, so that nothing of ours lies in a directory of that number. */
static void
a_raise_of_the_format_is_done_whenever_it_dies(void)
{
	char *body;

	torn_tail();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_TRUE(meta_says("format 2\n"));
	CU_ASSERT_EQUAL_FATAL(layout_read_text(w.s->io, w.s->dirfd, "meta", &body), 0);
	body[7] = '1';
	CU_ASSERT_EQUAL_FATAL(layout_put_text(w.s->io, w.s->dirfd, "meta", body), 0);
	free(body);
	CU_ASSERT_TRUE(meta_says("format 1\n"));
	world_kill();
	at_every_call(true);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_TRUE(meta_says("format 2\n"));
	world_end();
}

/* What a start seals has no roll that wrote its producers down. Retention takes it; nothing but a
 * snapshot remembers then. */
static void
a_retry_is_known_after_retention_took_what_a_recovery_sealed(void)
{
	const struct batch_of once = {.producer = 5};
	struct partition_ends ends;

	world_begin(1);
	(void)world_append(0, once);
	world_sync();
	world_kill();
	w.config.retention_bytes = 40000;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	world_fill(0, WORLD_SEGMENT + 10000);
	world_settle();
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.start, 1);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(world_append_as(0, once, 0), APPEND_DUPLICATE);
	world_end();
}

/* A file system may lose the newer of two unlinks and keep the older: of a log that retention emptied
 * a file below the start comes back, alone. */
static void
a_file_of_before_an_empty_logs_start_is_no_damage(void)
{
	char log[200], kept[200];
	struct partition_ends ends;

	world_begin(1);
	(void)snprintf(log, sizeof(log), "%s/t-0/00000000000000000000.log", w.dir);
	(void)snprintf(kept, sizeof(kept), "%s/t-0/kept", w.dir);
	append(3);
	w.config.retention_ms = 60000;
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	append(5);
	CU_ASSERT_EQUAL_FATAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(link(log, kept), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	for (unsigned i = 0; i < 200; i++) {
		w.now_ns += NS_PER_S;
		w.wall_ms += 1000;
		world_turns(1);
	}
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL_FATAL(ends.start, 8);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(rename(kept, log), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.start, 8);
	CU_ASSERT_EQUAL(ends.end, 8);
	CU_ASSERT_EQUAL(world_append_as(0, (struct batch_of){.producer = 7, .sequence = 3, .count = 5}, 0),
		APPEND_DUPLICATE);
	CU_ASSERT_EQUAL(world_count(0, ".log"), 0);
	world_end();
}

static const struct ut_test tests[] = {
	UT("dies", a_torn_tail_is_recovered_whenever_recovery_dies),
	UT("dies", an_unnamed_roll_is_adopted_whenever_recovery_dies),
	UT("dies", a_torn_front_leaves_an_empty_log_whenever_recovery_dies),
	UT("dies", a_raise_of_the_format_is_done_whenever_it_dies),
	UT("fails", a_torn_tail_is_recovered_whichever_call_fails),
	UT("fails", an_unnamed_roll_is_adopted_whichever_call_fails),
	UT("fails", a_torn_front_leaves_an_empty_log_whichever_call_fails),
	UT("names", a_file_of_before_an_empty_logs_start_is_no_damage),
	UT("producers", a_retry_is_known_after_retention_took_what_a_recovery_sealed),
};

UT_MAIN(tests)
