/* SPDX-License-Identifier: MIT
 * disk_watch_ut.c - a failed partition, a full disk, a hang, reads that fail: said once, within a second or
 * two. */
#include "tests/unit/control/world.h"

#include "base/clock.h"
#include "control/log.h"

#include <stdlib.h>
#include <unistd.h>

static struct world w;
static char said[8192];
static int saved, log_fd;

/* What goes to stderr from here on is kept. */
static void
listen_to_the_log(void)
{
	char path[] = "/tmp/kira-watch-XXXXXX";

	world_open(&w, NULL);
	log_set_level(LOG_LEVEL_INFO);
	log_fd = mkstemp(path);
	CU_ASSERT_FATAL(log_fd >= 0);
	(void)unlink(path);
	saved = dup(STDERR_FILENO);
	CU_ASSERT_FATAL(dup2(log_fd, STDERR_FILENO) >= 0);
	disk_watch_start(w.ctl);
}

static unsigned
lines_with(const char *text)
{
	const ssize_t n = pread(log_fd, said, sizeof(said) - 1, 0);
	unsigned count = 0;

	said[n < 0 ? 0 : n] = 0;
	for (const char *at = strstr(said, text); at; at = strstr(at + 1, text))
		count++;
	return count;
}

static void
done(void)
{
	CU_ASSERT_FATAL(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)close(log_fd);
	world_close(&w);
}

static void
a_failed_partition_is_said_once(void)
{
	struct topic *t;

	listen_to_the_log();
	t = world_topic(&w, "t", 3);
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("failed"), 0);
	fake_set_state(t->part->part[1], PART_FAILED);
	fake.failures++;
	world_pass(&w, NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("topic t partition 1 failed"), 1);
	fake_set_state(t->part->part[2], PART_FAILED);
	fake.failures++;
	world_pass(&w, NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("topic t partition 1 failed"), 1);
	CU_ASSERT_EQUAL(lines_with("topic t partition 2 failed"), 1);
	done();
}

static void
a_full_disk_is_said_when_it_begins_and_when_it_ends(void)
{
	listen_to_the_log();
	for (unsigned i = 0; i < 5; i++) {
		counter_add(&w.storage_count.disk_full, 10);
		world_pass(&w, NS_PER_S);
	}
	CU_ASSERT_EQUAL(lines_with("the disk is full"), 1);
	CU_ASSERT_EQUAL(lines_with("room again"), 0);
	world_pass(&w, NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("room again"), 1);
	world_pass(&w, NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("room again"), 1);
	done();
}

static void
a_file_of_the_directory_that_failed_is_said_once(void)
{
	listen_to_the_log();
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("data directory"), 0);
	fake.root_failure = "write kira.state: Read-only file system";
	world_pass(&w, 3 * NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("data directory failed: write kira.state: Read-only"), 1);
	done();
}

static void
a_hang_is_said_after_five_seconds_and_its_end_too(void)
{
	listen_to_the_log();
	fake.stuck_ns = 5 * NS_PER_S; /* the limit, and not above it */
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("DEGRADED"), 0);
	CU_ASSERT_EQUAL(counter_read(&w.ctl->count->degraded_s), 0);
	for (unsigned i = 0; i < 3; i++) {
		fake.stuck_ns += NS_PER_S;
		world_pass(&w, NS_PER_S);
	}
	CU_ASSERT_EQUAL(lines_with("DEGRADED"), 1);
	CU_ASSERT_EQUAL(counter_read(&w.ctl->count->degraded_s), 8);
	fake.stuck_ns = 0;
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("no longer degraded"), 1);
	CU_ASSERT_EQUAL(counter_read(&w.ctl->count->degraded_s), 0);
	done();
}

static void
reads_that_fail_are_said_once_a_minute(void)
{
	listen_to_the_log();
	fake.read_failure = "t-0 at offset 7: Input/output error";
	for (unsigned i = 0; i < 5; i++) {
		counter_add(&w.storage_count.read_failures, 2);
		world_pass(&w, NS_PER_S);
	}
	CU_ASSERT_EQUAL(lines_with("2 reads failed, the latest of t-0 at offset 7"), 1);
	world_pass(&w, 61 * NS_PER_S);
	CU_ASSERT_EQUAL(lines_with("8 reads failed"), 1);
	CU_ASSERT_EQUAL(lines_with("reads failed"), 2);
	done();
}

static const struct ut_test tests[] = {
	UT("watch", a_hang_is_said_after_five_seconds_and_its_end_too),
	UT("watch", reads_that_fail_are_said_once_a_minute),
	UT("watch", a_failed_partition_is_said_once),
	UT("watch", a_file_of_the_directory_that_failed_is_said_once),
	UT("watch", a_full_disk_is_said_when_it_begins_and_when_it_ends),
};

UT_MAIN(tests)
