/* SPDX-License-Identifier: MIT
 * daemon_ut.c - a flush daemon that ends is told at once, one that hangs owes time; clocks that jump move
 * neither offsets nor epochs nor what is known of producers; reads that fail; where nothing starts. */
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define TOLD 7

/* ---- Its end ------------------------------------------------------------------------------ */

static void
told(void)
{
	_exit(TOLD);
}

static void *
nothing(void *arg)
{
	return NULL;
}

/* In a child: the real thread, ended from outside; the limit is its waiting. */
static int
exit_of_one_that_ends(bool stopped)
{
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0) {
		struct err err;

		w.s->o.daemon_ended = told;
		w.s->o.job_threads = 1;
		if (storage_start(w.s, -1, &err) < 0)
			_exit(1);
		if (stopped)
			_exit(storage_close(w.s, w.wall_ms, &err) < 0 ? 2 : 0);
		(void)pthread_cancel(w.s->flush.thread);
		(void)alarm(20);
		(void)pthread_join(w.s->flush.thread, NULL);
		_exit(3); /* it ended, and nobody was told */
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
a_daemon_that_ends_is_told_at_once(void)
{
	pthread_t thread;

	/* The unwinder that a cancellation loads must be found in the child. */
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, nothing, NULL), 0);
	CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
	world_begin(1);
	CU_ASSERT_EQUAL(exit_of_one_that_ends(false), TOLD);
	CU_ASSERT_EQUAL(exit_of_one_that_ends(true), 0);
	world_end();
}

/* ---- No threads to be had ----------------------------------------------------------------- */

/* Room for so much more, which is less than a thread's stack. */
static void
limit_memory(rlim_t more)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu", &pages) != 1)
		_exit(4);
	(void)fclose(f);
	if (more)
		limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
	if (setrlimit(RLIMIT_AS, &limit) < 0)
		_exit(5);
}

/* `spare`: threads that are to be had. In a child, since it may crash. */
static int
exit_without_threads(unsigned spare)
{
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0) {
		pthread_attr_t attr;
		struct err err = {""};
		size_t stack = 0;
		int rc;

		if (pthread_attr_init(&attr) != 0 || pthread_attr_getstacksize(&attr, &stack) != 0)
			_exit(6);
		w.s->o.job_threads = 1;
		limit_memory(stack / 2 + spare * (stack + 65536));
		rc = storage_start(w.s, -1, &err);
		limit_memory(0);
		_exit(rc < 0 && err.text[0] && storage_close(w.s, w.wall_ms, &err) == 0 ? 0 : 1);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Jobs, rewriting, the daemon itself. What was appended before is sealed all the same. (A sanitizer wants memory
 * of its own for a thread, and gives up without.) */
static void
a_start_without_threads_can_be_stopped(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	const unsigned most = 0;
#else
	const unsigned most = 3;
#endif

	for (unsigned spare = 0; spare < most; spare++) {
		world_begin(1);
		(void)world_append(0, (struct batch_of){.count = 3});
		CU_ASSERT_EQUAL(exit_without_threads(spare), 0);
		world_kill();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(storage_leader_epoch(w.part[0]), 0);
		CU_ASSERT_EQUAL(world_read(0), 3);
		world_end();
	}
}

/* ---- A hang ------------------------------------------------------------------------------- */

static uint64_t owed_ns;

static int
ask_while_it_syncs(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_SYNC_RANGE)
		owed_ns = storage_stuck_ns(w.s, w.now_ns + 7 * NS_PER_S);
	return 0;
}

static void
a_commit_that_does_not_end_is_owed(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(storage_stuck_ns(w.s, w.now_ns), 0);
	fake.hook = ask_while_it_syncs;
	(void)world_append(0, (struct batch_of){.count = 1});
	world_sync();
	CU_ASSERT_TRUE(owed_ns >= 7 * NS_PER_S);
	/* It ended, and a turn later nothing is owed. */
	world_turns(1);
	CU_ASSERT_EQUAL(storage_stuck_ns(w.s, w.now_ns), 0);
	world_end();
}

static void
a_turn_that_does_not_come_is_owed(void)
{
	world_begin(1);
	world_turns(1);
	CU_ASSERT_EQUAL(storage_stuck_ns(w.s, w.now_ns + 6 * NS_PER_S), 6 * NS_PER_S);
	world_turns(1);
	CU_ASSERT_EQUAL(storage_stuck_ns(w.s, w.now_ns), 0);
	world_end();
}

/* ---- Clocks that jump --------------------------------------------------------------------- */

static enum append_verdict
send(int32_t sequence)
{
	return world_append_as(0, (struct batch_of){.producer = 5, .sequence = sequence}, APPEND_UDP);
}

static void
wall_clock_jumps_to(int64_t wall_ms)
{
	const int64_t next = w.part[0]->next;
	const int32_t epoch = storage_leader_epoch(w.part[0]);

	w.wall_ms = wall_ms;
	world_turns(700);
	CU_ASSERT_EQUAL(send((int32_t)next), APPEND_STORED);
	CU_ASSERT_EQUAL(w.result.base_offset, next);
	CU_ASSERT_EQUAL(w.result.leader_epoch, epoch);
	CU_ASSERT_EQUAL(send((int32_t)next), APPEND_DUPLICATE);
	CU_ASSERT_EQUAL(w.result.base_offset, next);
	CU_ASSERT_EQUAL(send(0), APPEND_DUPLICATE); /* known since before the first jump */
	CU_ASSERT_EQUAL(send((int32_t)next + 2), APPEND_EARLY);
	(void)storage_publish(w.part[0]);
}

static void
offsets_epochs_and_producers_know_no_wall_clock(void)
{
	const int64_t year_ms = INT64_C(365) * 24 * 3600 * 1000;
	struct partition_ends ends;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	w.config.retention_ms = 3600 * 1000;
	w.config.segment_ms = 24 * 3600 * 1000;
	CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
	while (send(0) == APPEND_WAIT)
		world_turns(1);
	(void)storage_publish(w.part[0]);
	wall_clock_jumps_to(w.wall_ms + year_ms);
	wall_clock_jumps_to(w.wall_ms - 3 * year_ms);
	wall_clock_jumps_to(w.wall_ms + 2 * year_ms);
	world_sync();
	storage_ends(w.part[0], &ends);
	CU_ASSERT_EQUAL(ends.start, 0);
	CU_ASSERT_EQUAL(ends.durable, 4);
	CU_ASSERT_EQUAL(world_count(0, ".log"), 1); /* and nothing rolled */
	world_end();
}

/* ---- Where it does not start -------------------------------------------------------------- */

static bool
refused_on(uint64_t type, const char *text)
{
	fake.space.type = type;
	w.err.text[0] = 0;
	return world_open() == -EINVAL && strstr(w.err.text, text) && strstr(w.err.text, w.dir);
}

static void
memory_and_network_file_systems_are_refused(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	w.o.volatile_ok = false;
	CU_ASSERT_TRUE(refused_on(0x6969, "NFS"));
	CU_ASSERT_TRUE(refused_on(0x01021994, "--volatile"));
	CU_ASSERT_TRUE(refused_on(0x858458f6, "--volatile"));
	w.o.volatile_ok = true;
	CU_ASSERT_TRUE(refused_on(0x6969, "NFS"));
	fake.space.type = 0x01021994;
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_TRUE(storage_is_volatile(w.s));
	world_end();
}

/* ---- Reads that fail ---------------------------------------------------------------------- */

static int
reads_fail(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_PREAD ? -EIO : 0;
}

static void
a_read_that_fails_is_counted_told_and_marks_nothing(void)
{
	struct storage_range r;

	world_begin(1);
	for (unsigned i = 0; i < 20; i++)
		(void)world_append(0, (struct batch_of){.count = 2, .value = 900});
	fake.hook = reads_fail;
	CU_ASSERT_EQUAL(storage_read(w.part[0], 5, 100, true, &r), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(counter_read(&w.count.read_failures), 1);
	CU_ASSERT_STRING_EQUAL(storage_read_failure(w.s), "t-0 at offset 5: Input/output error");
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(world_read(0), 40);
	CU_ASSERT_EQUAL(counter_read(&w.count.read_failures), 1);
	world_end();
}

static const struct ut_test tests[] = {
	UT("end", a_start_without_threads_can_be_stopped), /* first: a thread that ended leaves its stack to the next */
	UT("start", memory_and_network_file_systems_are_refused),
	UT("read", a_read_that_fails_is_counted_told_and_marks_nothing),
	UT("end", a_daemon_that_ends_is_told_at_once),
	UT("hang", a_commit_that_does_not_end_is_owed),
	UT("hang", a_turn_that_does_not_come_is_owed),
	UT("clock", offsets_epochs_and_producers_know_no_wall_clock),
};

UT_MAIN(tests)
