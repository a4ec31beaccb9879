/* SPDX-License-Identifier: MIT
 * kill_ut.c - a child that appends and tells what it published is killed at a random moment; the
 * parent recovers. Everything it told of is there. With the real system calls but for syncs. */
#include "tests/unit/storage/world.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define ROUNDS 20

static uint32_t
a_random(uint32_t below)
{
	static uint64_t state = 815;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

/* The child: opens, appends for ever, and after each publish writes what is visible now. */
static _Noreturn void
child_main(int out, uint64_t seed)
{
	struct appended *a;

	w.seed = seed;
	if (world_open() < 0)
		_exit(1);
	for (unsigned i = 0;; i++) {
		if (w.was_n[0] + 1 >= WORLD_APPENDED)
			_exit(2);
		(void)world_append(0, (struct batch_of){.count = 1 + (int32_t)(i % 5),
					      .value = (i * 131) % 1500,
					      .producer = 3,
					      .sequence = (int32_t)w.part[0]->next});
		a = &w.was[0][w.was_n[0] - 1];
		if (write(out, a, sizeof(*a)) != sizeof(*a))
			_exit(3);
		if (i % 7 == 0)
			world_turns(1);
	}
}

/* Until it told of `n` batches; then it dies wherever it is. What it told goes into the model. */
static void
run_and_kill(unsigned n, uint64_t seed)
{
	struct appended a;
	int pipe_fd[2];
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(pipe_fd[0]);
		child_main(pipe_fd[1], seed);
	}
	CU_ASSERT_TRUE_FATAL(pid > 0);
	(void)close(pipe_fd[1]);
	for (unsigned i = 0; i < n && read(pipe_fd[0], &a, sizeof(a)) == sizeof(a); i++)
		w.was[0][w.was_n[0]++] = a;
	(void)kill(pid, SIGKILL);
	/* It may have told of more than was waited for. */
	while (read(pipe_fd[0], &a, sizeof(a)) == sizeof(a))
		w.was[0][w.was_n[0]++] = a;
	(void)close(pipe_fd[0]);
	CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
}

/* What was appended but not told of: whole batches behind the last, learned from the log. */
static void
learn_the_rest(int64_t from)
{
	struct partition_ends ends;
	uint8_t head[RB_HEADER];
	struct storage_range r;

	storage_ends(w.part[0], &ends);
	while (from < ends.end) {
		struct appended *a = &w.was[0][w.was_n[0]];

		CU_ASSERT_EQUAL_FATAL(storage_read(w.part[0], from, 1, true, &r), 0);
		CU_ASSERT_EQUAL_FATAL(
			pread(r.fd, head, sizeof(head), (off_t)r.position), RB_HEADER);
		storage_unpin(r.pinned);
		*a = (struct appended){rb_base_offset(head), rb_crc(head), (uint32_t)rb_total(head),
			rb_count(head), rb_leader_epoch(head)};
		w.was_n[0]++;
		from += rb_count(head);
	}
}

static void
all_that_was_published_survives_a_kill_at_any_moment(void)
{
	int64_t told = 0;

	world_begin(1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		run_and_kill(1 + a_random(400), (uint64_t)round << 32);
		CU_ASSERT_TRUE_FATAL(w.was_n[0] > 0);
		told = w.was[0][w.was_n[0] - 1].offset + w.was[0][w.was_n[0] - 1].count;
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
		learn_the_rest(told);
		CU_ASSERT_TRUE(world_read(0) >= told);
		world_kill();
	}
	CU_ASSERT_TRUE(told > ROUNDS);
	world_end();
}

static const struct ut_test tests[] = {
	UT("kill", all_that_was_published_survives_a_kill_at_any_moment),
};

UT_MAIN(tests)
