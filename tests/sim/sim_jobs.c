/* SPDX-License-Identifier: MIT
 * sim_jobs.c - storage/jobs.h without threads: linked in place of jobs.c. A job runs in some later
 * turn, and in any order with the others, as on four threads; so that appends, and crashes, come
 * between its submission and its end. Order follows from sim_jobs_seed(). Thread: main. */
#include "storage/jobs.h"

#include "tests/sim/sim_disk.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 64

struct jobs {
	struct job *job[JOBS_MAX];
	bool ran[JOBS_MAX]; /* and is still to be reaped */
	unsigned n;
};

static struct sim_random dice;

void
sim_jobs_seed(uint64_t seed)
{
	dice.state = seed;
}

int
jobs_open(struct jobs **ret, unsigned threads, void (*rang)(void *arg, bool now), void *arg,
	struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	ASSERT(*ret);
	return 0;
}

void
jobs_close(struct jobs *j)
{
	ASSERT(!j || j->n == 0);
	free(j);
}

void
jobs_submit(struct jobs *j, struct job *job)
{
	ASSERT(j->n < JOBS_MAX);
	j->ran[j->n] = false;
	j->job[j->n++] = job;
}

unsigned
jobs_reap(struct jobs *j)
{
	unsigned n = 0;

	for (unsigned tries = j->n; tries > 0 && j->n > 0; tries--) {
		const unsigned i = (unsigned)sim_random(&dice, j->n);
		struct job *job = j->job[i];

		if (sim_random(&dice, 3) == 0)
			continue;
		if (!j->ran[i]) {
			job->run(job);
			j->ran[i] = true;
			continue;
		}
		/* Out of the table first: done() may submit again. */
		j->job[i] = j->job[--j->n];
		j->ran[i] = j->ran[j->n];
		job->done(job);
		n++;
	}
	return n;
}

bool
sim_jobs_have(const struct jobs *j, const struct job *job)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->job[i] == job)
			return true;
	return false;
}

bool
jobs_finished(struct jobs *j)
{
	return j->n > 0; /* never asked: nobody sleeps here */
}

void
jobs_wait(struct jobs *j)
{
}

bool
jobs_idle(const struct jobs *j)
{
	return j->n == 0;
}
