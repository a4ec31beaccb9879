/* SPDX-License-Identifier: MIT
 * jobs.c - see the header. Two queues under one lock: jobs are milliseconds long and few. */
#include "storage/jobs.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdlib.h>

struct queue {
	struct job *first, **last;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t more, more_first, less;
	struct queue waiting, first, finished; /* first: jobs that go first */
	bool first_idle;                       /* the thread for those waits for one */
	bool stop;
	unsigned threads, running;
	unsigned flying; /* the flush daemon's alone */
	void (*rang)(void *arg, bool now);
	void *arg;
	pthread_t thread[];
};

static void
push(struct queue *q, struct job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct job *
pop(struct queue *q)
{
	struct job *job = q->first;

	if (job && !(q->first = job->next))
		q->last = &q->first;
	return job;
}

/* Run it, the lock is held before and after. */
static void
run(struct jobs *j, struct job *job)
{
	bool now;

	j->running++;
	(void)pthread_mutex_unlock(&j->lock);
	job->run(job);
	(void)pthread_mutex_lock(&j->lock);
	j->running--;
	now = job->first || (j->running == 0 && !j->waiting.first);
	push(&j->finished, job); /* from here on it is the flush daemon's */
	(void)pthread_cond_signal(&j->less);
	(void)pthread_mutex_unlock(&j->lock);
	j->rang(j->arg, now);
	(void)pthread_mutex_lock(&j->lock);
}

/* One that goes first, then one that waits: with many partitions there may always be another that goes
 * first, each held up by the disk, and the syncs that would relieve it must not wait for all of them. */
static void *
work(void *arg)
{
	struct jobs *j = arg;
	struct job *job;
	bool was_first = false;

	(void)pthread_mutex_lock(&j->lock);
	for (;;) {
		struct queue *one = was_first ? &j->waiting : &j->first;
		struct queue *other = was_first ? &j->first : &j->waiting;

		while (!(job = pop(one)) && !(job = pop(other)) && !j->stop)
			(void)pthread_cond_wait(&j->more, &j->lock);
		if (!job)
			break;
		was_first = job->first;
		run(j, job);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return NULL;
}

static void *
work_first(void *arg)
{
	struct jobs *j = arg;
	struct job *job;

	(void)pthread_mutex_lock(&j->lock);
	for (;;) {
		while (!(job = pop(&j->first)) && !j->stop) {
			j->first_idle = true;
			(void)pthread_cond_wait(&j->more_first, &j->lock);
		}
		if (!job)
			break;
		run(j, job);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return NULL;
}

int
jobs_open(struct jobs **ret, const char *name, unsigned threads, void (*rang)(void *arg, bool now), void *arg,
	struct err *err)
{
	struct jobs *j = calloc(1, sizeof(*j) + threads * sizeof(j->thread[0]));
	int rc;

	ASSERT(j);
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->more, NULL);
	(void)pthread_cond_init(&j->more_first, NULL);
	(void)pthread_cond_init(&j->less, NULL);
	j->waiting.last = &j->waiting.first;
	j->first.last = &j->first.first;
	j->finished.last = &j->finished.first;
	j->rang = rang;
	j->arg = arg;
	for (; j->threads < threads; j->threads++) {
		char called[16];

		/* The first of several. */
		rc = -pthread_create(&j->thread[j->threads], NULL,
			threads > 1 && j->threads == 0 ? work_first : work, j);
		if (rc < 0) {
			jobs_close(j);
			return err_sys(err, rc, "start a job thread");
		}
		(void)snprintf(called, sizeof(called), "%s-%u", name, j->threads);
		(void)pthread_setname_np(j->thread[j->threads], called);
	}
	*ret = j;
	return 0;
}

void
jobs_close(struct jobs *j)
{
	if (!j)
		return;
	(void)pthread_mutex_lock(&j->lock);
	j->stop = true;
	(void)pthread_cond_broadcast(&j->more);
	(void)pthread_cond_broadcast(&j->more_first);
	(void)pthread_mutex_unlock(&j->lock);
	for (unsigned i = 0; i < j->threads; i++)
		(void)pthread_join(j->thread[i], NULL);
	ASSERT(!j->waiting.first && !j->first.first && !j->finished.first);
	(void)pthread_cond_destroy(&j->more);
	(void)pthread_cond_destroy(&j->more_first);
	(void)pthread_cond_destroy(&j->less);
	(void)pthread_mutex_destroy(&j->lock);
	free(j);
}

void
jobs_submit(struct jobs *j, struct job *job)
{
	j->flying++;
	if (j->threads == 0) {
		job->run(job);
		push(&j->finished, job);
		return;
	}
	(void)pthread_mutex_lock(&j->lock);
	push(job->first ? &j->first : &j->waiting, job);
	(void)pthread_cond_signal(job->first && j->first_idle ? &j->more_first : &j->more);
	if (job->first)
		j->first_idle = false;
	(void)pthread_mutex_unlock(&j->lock);
}

unsigned
jobs_reap(struct jobs *j)
{
	struct job *job, *next;
	unsigned n = 0;

	if (j->flying == 0)
		return 0;
	(void)pthread_mutex_lock(&j->lock);
	job = j->finished.first;
	j->finished.first = NULL;
	j->finished.last = &j->finished.first;
	(void)pthread_mutex_unlock(&j->lock);
	for (; job; job = next, n++) {
		next = job->next;
		j->flying--;
		job->done(job); /* may submit again */
	}
	return n;
}

void
jobs_wait(struct jobs *j)
{
	(void)pthread_mutex_lock(&j->lock);
	while (j->threads > 0 && (j->waiting.first || j->first.first || j->running > 0))
		(void)pthread_cond_wait(&j->less, &j->lock);
	(void)pthread_mutex_unlock(&j->lock);
}

void
jobs_wait_ms(struct jobs *j, unsigned ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&j->lock);
	if (j->threads > 0 && !j->finished.first && (j->waiting.first || j->running > 0))
		(void)pthread_cond_timedwait(&j->less, &j->lock, &until);
	(void)pthread_mutex_unlock(&j->lock);
}

bool
jobs_finished(struct jobs *j)
{
	bool any;

	if (j->flying == 0)
		return false;
	(void)pthread_mutex_lock(&j->lock);
	any = j->finished.first != NULL;
	(void)pthread_mutex_unlock(&j->lock);
	return any;
}

bool
jobs_idle(const struct jobs *j)
{
	return j->flying == 0;
}
