/* SPDX-License-Identifier: MIT
 * jobs.h - what may block, run by a few threads for the flush daemon. run() on a job thread, done()
 * in the flush daemon's turn. Without threads (tests) run() happens inside jobs_submit(). */
#ifndef KIRA_STORAGE_JOBS_H
#define KIRA_STORAGE_JOBS_H

#include "base/err.h"

#include <stdbool.h>

struct job {
	void (*run)(struct job *job);
	void (*done)(struct job *job);
	struct job *next;
	int rc;     /* run()'s answer: 0 or -errno */
	bool first; /* before those that are not, and a thread of the several does nothing else: an append
		     * may wait for it, and must not wait behind a thousand syncs. The other threads take turns,
		     * so that no sync waits for as long as appends do. */
};

struct jobs;

/* The threads are called NAME-0 and so on (at most 12 characters). `rang`: called on a job thread after each run(). `now`: it was one that somebody may wait for, or the
 * last that was waiting or running; else more are to come, and reaping them together is cheaper. */
int jobs_open(struct jobs **ret, const char *name, unsigned threads, void (*rang)(void *arg, bool now), void *arg,
	struct err *err);
void jobs_close(struct jobs *j); /* all must have been reaped */
void jobs_submit(struct jobs *j, struct job *job);
unsigned jobs_reap(struct jobs *j);
void jobs_wait(struct jobs *j); /* until every one submitted has run; they are still to be reaped */
bool jobs_finished(struct jobs *j);   /* something waits to be reaped: for a last look before sleeping */
void jobs_wait_ms(struct jobs *j, unsigned ms); /* until one has run, or so long */
bool jobs_idle(const struct jobs *j); /* nothing submitted that was not reaped */

#endif
