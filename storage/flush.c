/* SPDX-License-Identifier: MIT
 * flush.c - the flush daemon: its turn, its thread, its sleep.
 * Thread: its own, one per data directory; tests call flush_turn() instead. Owns: struct flush, the
 * flush half of every partition. Never: appends, or touches bytes below a published end. */
#include "storage/directory.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/hook.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TURN_NS   NS_PER_MS        /* while something moves */
#define SLEEP_NS  (500 * NS_PER_MS) /* asleep: the longest until the next look at the disk's room */
#define COLD_NS   NS_PER_S         /* silent for so long, a partition leaves the hot list */

/* ---- Hot partitions ----------------------------------------------------------------------- */

void
flush_heat(struct storage *s, struct partition *part)
{
	struct flush *f = &s->flush;

	if (part->f.hot_at)
		return;
	f->hot[f->hot_n++] = part;
	part->f.hot_at = f->hot_n;
	part->f.moved_ns = f->now_ns;
}

void
flush_cool(struct storage *s, struct partition *part)
{
	struct flush *f = &s->flush;
	struct partition *last;

	if (!part->f.hot_at)
		return;
	last = f->hot[--f->hot_n];
	f->hot[part->f.hot_at - 1] = last;
	last->f.hot_at = part->f.hot_at;
	part->f.hot_at = 0;
	flush_account(s, part); /* what it holds ahead of its tail counts no more */
}

uint64_t
flush_longest_ns(const struct storage *s, const struct partition *part)
{
	const int64_t ms = SETTING(part, flush_ms);

	return ms > 0 ? MIN((uint64_t)ms, (uint64_t)3600000) * NS_PER_MS : s->o.flush_ms * NS_PER_MS;
}

/* A partition that was opened or created: from now on its turns look at it. */
void
flush_adopt(struct storage *s, struct partition *part)
{
	ASSERT(!s->flush.live[part->slot]);
	s->flush.live[part->slot] = part;
	if (part->f.unlooked > 0)
		s->flush.look_slot = MIN(s->flush.look_slot, part->slot);
	s->flush.flush_ns = MIN(s->flush.flush_ns, flush_longest_ns(s, part));
}

/* Nothing moved for a second, nothing is in flight, nothing is left to seal, or can be. */
static bool
is_cold(const struct storage *s, const struct partition *part)
{
	const struct flush_half *f = &part->f;

	if (f->jobs > 0 || f->in_commit)
		return false;
	return partition_state(part) != PART_OK || (f->want == 0 && !f->left_first &&
		s->flush.now_ns - f->moved_ns >= COLD_NS);
}

/* ---- Jobs and what is handed on ----------------------------------------------------------- */

void
flush_job(struct storage *s, struct partition *part, struct job *job)
{
	part->f.jobs++;
	jobs_submit(s->flush.jobs, job);
}

/* Control is the only reader of the stacks, and takes them whole. */
void
flush_hand_sealed(struct storage *s, struct segment *seg)
{
	seg->sealed_next = atomic_load_explicit(&s->sealed, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&s->sealed, &seg->sealed_next, seg,
		memory_order_release, memory_order_relaxed))
		;
	s->flush.granted = true;
}

void
flush_hand_gone(struct storage *s, struct segment *seg)
{
	seg->gone_next = atomic_load_explicit(&s->gone, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&s->gone, &seg->gone_next, seg,
		memory_order_release, memory_order_relaxed))
		;
	s->flush.granted = true;
}

/* ---- The turn ----------------------------------------------------------------------------- */

/* After A2. E1 of what came before stands before A1, and who waits appends nothing: the tail is that of
 * the ask. Later it may be another, and the room granted for this one long used. The tail first: one
 * beyond the ask shows that it came true, and the wish is forgotten before that is published. The other
 * way round it would be measured from there, and could be for more than the segment has. */
static void
take_want(struct partition *part)
{
	const struct mark tail = frontier_read(&part->tail); /* E2 */
	uint64_t want;

	HOOK(A2);
	want = atomic_load_explicit(&part->want, memory_order_relaxed);
	part->f.want = want;
	part->f.want_to = want == WANT_SPARE ? 0 : tail.position + want;
	part->f.want_base = tail.seg->base;
}

/* A2: who waits for room; and who has touched bytes since the last commit (looked at, not taken). */
static unsigned
look_at_bitmaps(struct storage *s)
{
	unsigned work = 0;

	for (unsigned l = 0; l < s->o.store_lcores; l++) {
		struct store_words *w = &s->lcore[l];

		for (unsigned i = 0; i < s->words; i++) {
			uint64_t asks = 0, bits;

			HOOK(A2);
			if (atomic_load_explicit(&w->ask[i], memory_order_relaxed))
				asks = atomic_exchange(&w->ask[i], 0); /* A2, seq_cst */
			bits = asks | atomic_load_explicit(&w->touched[i], memory_order_relaxed);
			for (; bits; bits &= bits - 1) {
				const unsigned bit = (unsigned)__builtin_ctzll(bits);
				struct partition *part = s->flush.live[i * 64 + bit];

				if (!part)
					continue; /* deleted since */
				flush_heat(s, part);
				if (asks >> bit & 1) {
					take_want(part);
					work++;
				}
			}
		}
	}
	return work;
}

unsigned
flush_turn(struct storage *s, uint64_t now_ns, int64_t wall_ms)
{
	struct flush *f = &s->flush;
	unsigned work;

	f->now_ns = now_ns;
	f->wall_ms = wall_ms;
	atomic_store_explicit(&s->turn_ns, now_ns, memory_order_relaxed);
	if (f->began_ns == 0)
		f->began_ns = f->commit.last_ns = now_ns;
	/* Before A2 and W2: what is set from here on is urgent again. */
	atomic_store(&s->urgent, 0);
	work = jobs_reap(f->jobs);
	work += flush_ops(s);
	work += flush_trims(s);
	work += look_at_bitmaps(s);
	for (unsigned i = f->hot_n; i-- > 0;) {
		struct partition *part = f->hot[i];

		work += flush_room(s, part);
		work += flush_seal(s, part);
		work += flush_checkpoint(s, part);
		if (is_cold(s, part))
			flush_cool(s, part);
	}
	work += flush_commit(s);
	work += flush_tidy(s);
	work += flush_rewrite(s);
	work += flush_look(s);
	counter_set(&s->count->dirty_bytes, f->dirty);
	return work;
}

/* ---- The thread --------------------------------------------------------------------------- */

void
storage_wake_flush(struct storage *s)
{
	const uint64_t one = 1;

	(void)!write(s->wake_fd, &one, sizeof(one));
}

/* Z2. The caller has set its word, with seq_cst order, before. Dozing, the next turn is a
 * millisecond away: only who waits rings. */
bool
storage_flush_sleeps(const struct storage *s)
{
	uint32_t asleep;

	HOOK(Z2);
	atomic_thread_fence(memory_order_seq_cst);
	asleep = atomic_load(&s->asleep);
	return asleep == FLUSH_SLEEPS || (asleep == FLUSH_DOZES && atomic_load(&s->urgent));
}

/* The last look, after Z1: is there something that nobody will ring for any more? */
static bool
has_work(struct storage *s)
{
	HOOK(A2);
	for (unsigned l = 0; l < s->o.store_lcores; l++)
		for (unsigned i = 0; i < s->words; i++)
			if (atomic_load(&s->lcore[l].ask[i]) || atomic_load(&s->lcore[l].touched[i]))
				return true;
	return flush_wanted(s) > s->flush.commit.number || atomic_load(&s->flush.stop) ||
		jobs_finished(s->flush.jobs);
}

/* Busy, and something cannot wait for the next millisecond: who waits for room, for a commit that
 * may begin now, for the end. */
static bool
is_urgent(const struct storage *s)
{
	return atomic_load(&s->urgent) || atomic_load(&s->flush.stop) ||
		(!s->flush.commit.running && flush_wanted(s) > s->flush.commit.number);
}

/* A partition is hot: another turn soon, and not at once, since on a small host this thread shares
 * its CPU with control. Else until somebody rings; a finished job does. */
uint64_t
flush_lies_down(struct storage *s)
{
	const bool busy = s->flush.hot_n > 0 || s->flush.commit.running;
	const bool early = BUG(24) && (busy ? is_urgent(s) : has_work(s));

	HOOK(Z1);
	atomic_store(&s->asleep, busy ? FLUSH_DOZES : FLUSH_SLEEPS); /* Z1 */
	if (BUG(24) ? early : busy ? is_urgent(s) : has_work(s))
		return 0;
	return busy ? TURN_NS : SLEEP_NS;
}

void
flush_gets_up(struct storage *s)
{
	atomic_store(&s->asleep, FLUSH_AWAKE);
}

static void
rest(struct storage *s)
{
	const struct timespec ts = {0, (long)flush_lies_down(s)};
	struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
	uint64_t n;

	if (ts.tv_nsec > 0 && ppoll(&p, 1, &ts, NULL) > 0)
		(void)!read(s->wake_fd, &n, sizeof(n));
	flush_gets_up(s);
}

/* However the thread ends: by a return, pthread_exit() or a cancellation. */
static void
ended(void *arg)
{
	const struct storage *s = arg;

	if (atomic_load(&s->flush.stop))
		return;
	if (s->o.daemon_ended)
		s->o.daemon_ended();
	abort();
}

static void *
flush_main(void *arg)
{
	struct storage *s = arg;

	pthread_cleanup_push(ended, s);
	while (!atomic_load(&s->flush.stop)) {
		(void)flush_turn(s, clock_now_ns(), clock_wall_ms());
		if (s->flush.granted) {
			s->flush.granted = false;
			if (s->o.granted)
				s->o.granted(s->o.granted_arg);
		}
		rest(s);
	}
	pthread_cleanup_pop(1);
	return NULL;
}

/* Z2, after the job is among the finished. Dozing, the next turn is a millisecond away. */
static void
rang(void *arg, bool now)
{
	struct storage *s = arg;

	atomic_thread_fence(memory_order_seq_cst);
	if (now || atomic_load(&s->asleep) == FLUSH_SLEEPS)
		storage_wake_flush(s);
}

/* In place of those without threads, of the time before; where there are none to be had a stop needs these. */
static int
give_threads(struct storage *s, struct jobs **jobs, const char *name, unsigned threads, struct err *err)
{
	struct jobs *with;
	const int rc = jobs_open(&with, name, threads, rang, s, err);

	if (rc < 0)
		return rc;
	jobs_close(*jobs);
	*jobs = with;
	return 0;
}

int
storage_start(struct storage *s, int cpu, struct err *err)
{
	cpu_set_t set;
	int rc = give_threads(s, &s->flush.jobs, "kira-job", s->o.job_threads, err);

	if (rc == 0)
		rc = give_threads(s, &s->flush.rewriting.jobs, "kira-rewrite", 1, err);
	if (rc < 0)
		return rc;
	rc = -pthread_create(&s->flush.thread, NULL, flush_main, s);
	if (rc < 0)
		return err_sys(err, rc, "start the flush daemon");
	s->flush.started = true;
	(void)pthread_setname_np(s->flush.thread, "kira-flush");
	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	rc = -pthread_setaffinity_np(s->flush.thread, sizeof(set), &set);
	return rc < 0 ? err_sys(err, rc, "pin the flush daemon to CPU %d", cpu) : 0;
}
