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
	enum { SUBMITTED, RUNS, RAN } state[JOBS_MAX]; /* until it is reaped */
	unsigned n;
};

bool sim_jobs_apart;
static struct sim_random dice;

void
sim_jobs_seed(uint64_t seed)
{
	dice.state = seed;
}

int
jobs_open(struct jobs **ret, const char *name, unsigned threads, void (*rang)(void *arg, bool now), void *arg,
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
	j->state[j->n] = SUBMITTED;
	j->job[j->n++] = job;
}

/* Marked when it ended: it may be told to let others go on in between, and the table move. */
static void
run(struct jobs *j, struct job *job)
{
	unsigned i = 0;

	job->run(job);
	while (j->job[i] != job)
		i++;
	j->state[i] = RAN;
}

struct job *
sim_jobs_run(struct jobs *j)
{
	const unsigned first = j->n ? (unsigned)sim_random(&dice, j->n) : 0;

	for (unsigned k = 0; k < j->n; k++) {
		const unsigned i = (first + k) % j->n;
		struct job *job = j->job[i];

		if (j->state[i] != SUBMITTED)
			continue;
		j->state[i] = RUNS;
		run(j, job);
		return job;
	}
	return NULL;
}

/* Out of the table first: done() may submit again. */
static void
reap(struct jobs *j, unsigned i)
{
	struct job *job = j->job[i];

	j->job[i] = j->job[--j->n];
	j->state[i] = j->state[j->n];
	job->done(job);
}

static unsigned
reap_all(struct jobs *j)
{
	unsigned n = 0;

	for (unsigned i = 0; i < j->n;) {
		if (j->state[i] == RAN) {
			reap(j, i);
			n++;
		} else {
			i++;
		}
	}
	return n;
}

unsigned
jobs_reap(struct jobs *j)
{
	unsigned n = 0;

	if (sim_jobs_apart)
		return reap_all(j);
	for (unsigned tries = j->n; tries > 0 && j->n > 0; tries--) {
		const unsigned i = (unsigned)sim_random(&dice, j->n);

		if (sim_random(&dice, 3) == 0)
			continue;
		if (j->state[i] == RAN) {
			reap(j, i);
			n++;
		} else {
			run(j, j->job[i]);
		}
	}
	return n;
}

bool
sim_jobs_left(const struct jobs *j)
{
	for (unsigned i = 0; i < j->n; i++)
		if (j->state[i] == SUBMITTED)
			return true;
	return false;
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
	for (unsigned i = 0; i < j->n; i++)
		if (j->state[i] == RAN)
			return true;
	return false;
}

void
jobs_wait(struct jobs *j)
{
}

void
jobs_wait_ms(struct jobs *j, unsigned ms)
{
}

bool
jobs_idle(const struct jobs *j)
{
	return j->n == 0;
}
