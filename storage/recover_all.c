/* SPDX-License-Identifier: MIT
 * recover_all.c - all partitions of a start, on the job threads: first what names, sizes and kira.state
 * say of each, then, where that is not enough, the log itself. Thread: control, which waits and tells
 * how far it is. Owns: the tables of producers that partitions borrow while they are recovered. */
#include "storage/recover.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"

#include <stdlib.h>

#define WAIT_MS  100
#define TELL_NS  NS_PER_S
/* A look is two reads of a page that wait for the disk, where the rest is gigabytes, on threads with megabytes of
 * their own. More of the former at once: 10,000 idle partitions, nothing cached, opened in 1.1 s, and in 1.5 by 3. */
#define LOOK_THREADS 16

struct recover_all {
	struct storage *s;
	struct recovery *r;
	unsigned n;
	pthread_mutex_t lock;         /* of the storage lcores' tables, and of */
	struct producers **table;     /* those that nobody uses now */
	unsigned tables, tables_room;
	_Atomic unsigned over;
	_Atomic bool given_up;        /* one met what all would meet */
};

/* ---- Producers ---------------------------------------------------------------------------- */

static struct producers *
take_table(struct recover_all *all)
{
	struct producers *p = NULL;

	(void)pthread_mutex_lock(&all->lock);
	if (all->tables > 0)
		p = all->table[--all->tables];
	(void)pthread_mutex_unlock(&all->lock);
	if (!p)
		ASSERT(producers_open(&p, producers_capacity(all->s->lcore[0].producers), 2));
	return p;
}

static void
give_table(struct recover_all *all, struct producers *p)
{
	producers_forget(p, 0);
	(void)pthread_mutex_lock(&all->lock);
	if (all->tables == all->tables_room) {
		all->tables_room = all->tables_room * 2 + 4;
		all->table = realloc(all->table, all->tables_room * sizeof(*all->table));
		ASSERT(all->table);
	}
	all->table[all->tables++] = p;
	(void)pthread_mutex_unlock(&all->lock);
}

bool
recover_load(struct recovery *r, const uint8_t *snapshot, uint32_t length)
{
	struct partition *part = r->part;
	struct producers *p = part->storage->lcore[part->lcore].producers;
	bool good;

	(void)pthread_mutex_lock(&r->all->lock);
	good = producers_load(p, part->slot, snapshot, length, clock_now_ns());
	atomic_store(&part->producers, producers_count(p, part->slot));
	(void)pthread_mutex_unlock(&r->all->lock);
	return good;
}

/* ---- Jobs --------------------------------------------------------------------------------- */

static struct recovery *
of_job(struct job *job)
{
	return (struct recovery *)((char *)job - offsetof(struct recovery, job));
}

static void
book(struct recovery *r)
{
	if (r->rc < 0)
		atomic_store(&r->all->given_up, true);
	if (r->over)
		atomic_fetch_add(&r->all->over, 1);
}

static void
look_run(struct job *job)
{
	struct recovery *r = of_job(job);

	if (atomic_load(&r->all->given_up))
		return;
	recover_look(r);
	book(r);
}

static void
rest_run(struct job *job)
{
	struct recovery *r = of_job(job);

	if (atomic_load(&r->all->given_up))
		return;
	r->producers = take_table(r->all);
	recover_rest(r);
	give_table(r->all, r->producers);
	book(r);
}

static void
nothing(struct job *job)
{
}

static void
rang(void *arg, bool now)
{
}

struct telling {
	void (*progress)(void *arg, const struct storage_recovery *p);
	void *arg;
	uint64_t began_ns, told_ns;
};

static void
tell(const struct recover_all *all, struct telling *t, bool over)
{
	const uint64_t now_ns = clock_now_ns();
	struct storage_recovery p = {.partitions = all->n, .over = over};

	if (!t->progress || (!over && now_ns - t->told_ns < TELL_NS))
		return;
	t->told_ns = now_ns;
	p.done = atomic_load(&all->over);
	p.ms = (now_ns - t->began_ns) / NS_PER_MS;
	for (unsigned i = 0; i < all->n; i++) {
		p.unsealed_bytes += atomic_load(&all->r[i].bytes);
		p.bytes_read += atomic_load(&all->r[i].bytes_read);
		p.bytes += all->r[i].log_bytes;
	}
	t->progress(t->arg, &p);
}

static int
run_all(struct recover_all *all, unsigned threads, void (*run)(struct job *job), struct telling *t,
	struct err *err)
{
	struct jobs *jobs;
	const int rc = jobs_open(&jobs, "kira-recover", threads, rang, NULL, err);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < all->n; i++) {
		struct recovery *r = &all->r[i];

		if (r->over)
			continue;
		r->job = (struct job){.run = run, .done = nothing};
		jobs_submit(jobs, &r->job);
	}
	while (!jobs_idle(jobs)) {
		if (jobs_reap(jobs) == 0)
			jobs_wait_ms(jobs, WAIT_MS);
		if (run == rest_run)
			tell(all, t, false);
	}
	jobs_close(jobs);
	return 0;
}

/* ---- The door ----------------------------------------------------------------------------- */

/* Those that were recovered run from now on; the others never were. */
static int
adopt(struct recover_all *all, struct err *err)
{
	struct storage *s = all->s;
	int rc = 0;

	for (unsigned i = 0; i < all->n; i++) {
		struct recovery *r = &all->r[i];

		if (r->over && r->rc == 0) {
			if (r->row)
				s->attached[i].row->used = true; /* from now on the partition says */
			flush_adopt(s, r->part);
		} else {
			if (r->rc < 0 && rc == 0) {
				rc = r->rc;
				*err = r->err;
			}
			storage_drop_partition(s, r->part);
		}
		recover_free(r);
	}
	return rc;
}

int
storage_recover(struct storage *s, int64_t wall_ms,
	void (*progress)(void *arg, const struct storage_recovery *p), void *arg, struct err *err)
{
	struct recover_all all = {.s = s, .n = s->attached_n};
	struct telling t = {progress, arg, clock_now_ns(), clock_now_ns()};
	const unsigned threads = s->o.job_threads; /* 0: all of it on this thread */
	int rc, taken;

	all.r = calloc(all.n + 1, sizeof(*all.r));
	ASSERT(all.r);
	(void)pthread_mutex_init(&all.lock, NULL);
	for (unsigned i = 0; i < all.n; i++)
		all.r[i] = (struct recovery){.part = s->attached[i].part, .row = s->attached[i].row,
			.io = s->io, .all = &all, .wall_ms = wall_ms};
	rc = run_all(&all, threads ? MIN(LOOK_THREADS, all.n + 1) : 0, look_run, &t, err);
	if (rc == 0)
		rc = run_all(&all, threads, rest_run, &t, err);
	tell(&all, &t, true);
	taken = adopt(&all, err);
	directory_reserve(s); /* on a full disk what is left of it goes to the next start */
	s->flush.state_moved |= all.n > 0;
	free(s->attached);
	s->attached = NULL;
	s->attached_n = 0;
	while (all.tables > 0)
		producers_close(all.table[--all.tables]);
	free(all.table);
	free(all.r);
	(void)pthread_mutex_destroy(&all.lock);
	return rc < 0 ? rc : taken;
}
