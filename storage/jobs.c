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
	pthread_cond_t more, less;
	struct queue waiting, finished;
	bool stop;
	unsigned threads, running;
	unsigned flying; /* the flush daemon's alone */
	void (*rang)(void *arg);
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

static void *
work(void *arg)
{
	struct jobs *j = arg;
	struct job *job;

	(void)pthread_mutex_lock(&j->lock);
	for (;;) {
		while (!(job = pop(&j->waiting)) && !j->stop)
			(void)pthread_cond_wait(&j->more, &j->lock);
		if (!job)
			break;
		j->running++;
		(void)pthread_mutex_unlock(&j->lock);
		job->run(job);
		(void)pthread_mutex_lock(&j->lock);
		j->running--;
		push(&j->finished, job);
		(void)pthread_cond_signal(&j->less);
		(void)pthread_mutex_unlock(&j->lock);
		j->rang(j->arg);
		(void)pthread_mutex_lock(&j->lock);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return NULL;
}

int
jobs_open(struct jobs **ret, unsigned threads, void (*rang)(void *arg), void *arg, struct err *err)
{
	struct jobs *j = calloc(1, sizeof(*j) + threads * sizeof(j->thread[0]));
	int rc;

	ASSERT(j);
	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->more, NULL);
	(void)pthread_cond_init(&j->less, NULL);
	j->waiting.last = &j->waiting.first;
	j->finished.last = &j->finished.first;
	j->rang = rang;
	j->arg = arg;
	for (; j->threads < threads; j->threads++) {
		char name[16];

		rc = -pthread_create(&j->thread[j->threads], NULL, work, j);
		if (rc < 0) {
			jobs_close(j);
			return err_sys(err, rc, "start a job thread");
		}
		(void)snprintf(name, sizeof(name), "kira-job-%u", j->threads);
		(void)pthread_setname_np(j->thread[j->threads], name);
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
	(void)pthread_mutex_unlock(&j->lock);
	for (unsigned i = 0; i < j->threads; i++)
		(void)pthread_join(j->thread[i], NULL);
	ASSERT(!j->waiting.first && !j->finished.first);
	(void)pthread_cond_destroy(&j->more);
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
	push(&j->waiting, job);
	(void)pthread_cond_signal(&j->more);
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
	while (j->threads > 0 && (j->waiting.first || j->running > 0))
		(void)pthread_cond_wait(&j->less, &j->lock);
	(void)pthread_mutex_unlock(&j->lock);
}

bool
jobs_idle(const struct jobs *j)
{
	return j->flying == 0;
}
