/* SPDX-License-Identifier: MIT
 * jobs_ut.c - storage/jobs.c, with its threads: what an append may wait for does not wait behind
 * syncs, and a daemon that is about to sleep learns of what has run. */
#include "storage/jobs.c"

#include "tests/unit/ut.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#define LIMIT_S 20

struct step {
	struct job job;
	sem_t *waits; /* for this, if not NULL */
	unsigned ran; /* 1: first of all */
	bool done;
};

static struct jobs *j;
static struct err err;
static _Atomic unsigned order;
static sem_t release, rung;
static _Atomic unsigned rings_now;

static void
rang(void *arg, bool now)
{
	rings_now += now;
	(void)sem_post(&rung);
}

static bool
wait_for(sem_t *sem)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += LIMIT_S;
	return sem_timedwait(sem, &ts) == 0;
}

static void
step_run(struct job *job)
{
	struct step *step = (struct step *)job;

	if (step->waits)
		(void)wait_for(step->waits);
	step->ran = ++order;
}

static void
step_done(struct job *job)
{
	((struct step *)job)->done = true;
}

static void
submit(struct step *step, bool first, sem_t *waits)
{
	*step = (struct step){.job = {.run = step_run, .done = step_done, .first = first},
		.waits = waits};
	jobs_submit(j, &step->job);
}

static void
begin(unsigned threads)
{
	order = rings_now = 0;
	(void)sem_init(&release, 0, 0);
	(void)sem_init(&rung, 0, 0);
	CU_ASSERT_EQUAL_FATAL(jobs_open(&j, "job", threads, rang, NULL, &err), 0);
}

static void
end(void)
{
	jobs_wait(j);
	(void)jobs_reap(j);
	CU_ASSERT_TRUE(jobs_idle(j));
	jobs_close(j);
	(void)sem_destroy(&release);
	(void)sem_destroy(&rung);
}

static void
a_first_job_runs_while_every_other_thread_is_in_a_sync(void)
{
	struct step sync[3], room;

	begin(2);
	for (unsigned i = 0; i < 3; i++)
		submit(&sync[i], false, &release);
	submit(&room, true, NULL);
	CU_ASSERT_TRUE(wait_for(&rung));
	CU_ASSERT_EQUAL(room.ran, 1);
	CU_ASSERT_EQUAL(rings_now, 1);
	CU_ASSERT_TRUE(jobs_finished(j));
	CU_ASSERT_EQUAL(jobs_reap(j), 1);
	CU_ASSERT_TRUE(room.done);
	CU_ASSERT_FALSE(jobs_finished(j));
	for (unsigned i = 0; i < 3; i++)
		(void)sem_post(&release);
	end();
	CU_ASSERT_TRUE(sync[0].done && sync[1].done && sync[2].done);
}

static void
with_one_thread_it_overtakes_those_that_wait(void)
{
	struct step running, waiting, room;

	begin(1);
	submit(&running, false, &release);
	submit(&waiting, false, NULL);
	submit(&room, true, NULL);
	(void)sem_post(&release);
	end();
	CU_ASSERT_TRUE(room.ran < waiting.ran);
}

static void
a_sync_does_not_wait_for_all_that_go_first(void)
{
	struct step running, room[3], sync;

	begin(1);
	submit(&running, true, &release);
	for (unsigned i = 0; i < 3; i++)
		submit(&room[i], true, NULL);
	submit(&sync, false, NULL);
	(void)sem_post(&release);
	end();
	CU_ASSERT_EQUAL(running.ran, 1);
	CU_ASSERT_EQUAL(sync.ran, 2);
}

static void
of_a_thousand_syncs_the_last_one_rings(void)
{
	struct step sync[100];

	begin(4);
	for (unsigned i = 0; i < 100; i++)
		submit(&sync[i], false, &release);
	for (unsigned i = 0; i < 100; i++)
		(void)sem_post(&release);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_TRUE(wait_for(&rung));
	CU_ASSERT_EQUAL(rings_now, 1);
	end();
}

static const struct ut_test tests[] = {
	UT("jobs", a_first_job_runs_while_every_other_thread_is_in_a_sync),
	UT("jobs", with_one_thread_it_overtakes_those_that_wait),
	UT("jobs", a_sync_does_not_wait_for_all_that_go_first),
	UT("jobs", of_a_thousand_syncs_the_last_one_rings),
};

UT_MAIN(tests)
