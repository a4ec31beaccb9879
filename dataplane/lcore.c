/* SPDX-License-Identifier: MIT
 * lcore.c - the only loop: turns, then doorbells, then idling.
 * Thread: each lcore its own. Owns: its struct lcore. Never: decides anything about a packet; what
 * can be tested is in the turns. The only system calls of an lcore are here, between turns. */
#include "dataplane/lcore.h"

#include "base/clock.h"
#include "dataplane/rx.h"
#include "dataplane/store.h"

#include <poll.h>
#include <rte_pause.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#define IDLE_PAUSES      1000             /* empty turns before anything but a pause; */
#define IDLE_PAUSES_SHARED 8              /* on a shared CPU the other thread's work is the work */
#define IDLE_AWAKE_NS    NS_PER_MS        /* then yields until here, then sleeps: */
#define IDLE_SLEEP1_NS   (50 * NS_PER_US) /* soon after work, */
#define IDLE_SLEEP2_NS   (100 * NS_PER_US) /* while a session lives: the longest its packet waits, */
#define IDLE_SLEEP3_NS   (2 * NS_PER_MS)  /* and with none: what waits then is a ping or an ARP */
/* A burst of 32 packets takes 10 to 50 us. What takes longer was put aside by the kernel, or faulted; without
 * it busy_ns is the cost of packets on a busy host, too. */
#define LONG_TURN_NS     (200 * NS_PER_US)
#define IDLE_SLEEP2_FROM (5 * NS_PER_MS)

static void
ring_mask(struct bell *const *bell, uint32_t mask, const struct bell *own)
{
	while (mask) {
		const unsigned i = (unsigned)__builtin_ctz(mask);

		mask &= mask - 1;
		if (bell[i] != own)
			bell_ring(bell[i]);
	}
}

/* Ring for what the turn gave, once per sleeper. */
static void
lcore_wake(struct lcore *lc)
{
	struct gifts *g = lc->gifts;

	ring_mask(lc->store_bell, g->store, &lc->bell);
	ring_mask(lc->rx_bell, g->rx, &lc->bell);
	if (g->data)
		atomic_thread_fence(memory_order_seq_cst); /* Z2: new_data before watch_data */
	if (g->control ||
		(g->data && atomic_load_explicit(lc->watch_data, memory_order_relaxed)))
		bell_ring(lc->control);
	if (g->flush && storage_flush_sleeps(lc->storage))
		storage_wake_flush(lc->storage);
	*g = (struct gifts){0};
}

/* Time up to now belongs to what the last turn found. */
static void
lcore_book(struct lcore *lc, uint64_t now_ns, unsigned work)
{
	const uint64_t took = now_ns - lc->before_ns;

	if (lc->before_work > 0) {
		counter_add(&lc->count->turns, 1);
		counter_add(&lc->count->busy_ns, took);
		counter_max(&lc->count->turn_max_ns, took);
		if (took >= LONG_TURN_NS)
			counter_add(&lc->count->long_ns, took);
		if (lc->turn_count)
			stall_add(lc->turn_count, took);
	} else {
		counter_add(&lc->count->idle_ns, took);
	}
	lc->before_ns = now_ns;
	lc->before_work = work;
}

static void
lcore_sleep(struct lcore *lc, uint64_t sleep_ns)
{
	struct pollfd fd = {.fd = lc->bell.fd, .events = POLLIN};
	const struct timespec ts = {.tv_nsec = (long)sleep_ns};

	bell_sleeps(&lc->bell);
	if (!(lc->store && store_has_work(lc->store)) && !(lc->rx && rx_has_work(lc->rx))) {
		counter_add(&lc->count->sleeps, 1);
		(void)ppoll(&fd, 1, &ts, NULL);
	}
	bell_wakes(&lc->bell);
}

/* Nothing to do: pause, yield, sleep, in this order as time goes by. */
static void
lcore_idle(struct lcore *lc, uint64_t now_ns)
{
	const bool waits = lc->store && store_waits(lc->store);
	uint64_t idle_ns;

	if (lc->empty++ == 0)
		lc->idle_since_ns = now_ns;
	idle_ns = now_ns - lc->idle_since_ns;
	/* In WAIT spinning beside the flush daemon would cost its slices: yield at once. */
	if (!waits && lc->empty < (lc->shared ? IDLE_PAUSES_SHARED : IDLE_PAUSES)) {
		rte_pause();
	} else if (lc->spin && !waits) {
		rte_pause();
	} else if (idle_ns < IDLE_AWAKE_NS || lc->spin || (lc->rx && rx_has_pending(lc->rx))) {
		if (lc->shared || waits)
			(void)sched_yield();
		else
			rte_pause();
	} else if (idle_ns < IDLE_SLEEP2_FROM) {
		lcore_sleep(lc, IDLE_SLEEP1_NS);
	} else {
		lcore_sleep(lc, lc->rx && !rx_has_sessions(lc->rx) ? IDLE_SLEEP3_NS :
								     IDLE_SLEEP2_NS);
	}
}

int
lcore_run(void *lcore)
{
	struct lcore *lc = lcore;

	atomic_store_explicit(&lc->thread, (int)gettid(), memory_order_release);
	(void)prctl(PR_SET_TIMERSLACK, 1000UL); /* 1 us: a sleep of 50 us shall not take 100 */
	lc->before_ns = clock_now_ns();
	while (!atomic_load_explicit(lc->stop, memory_order_relaxed)) {
		const uint64_t now_ns = clock_now_ns();
		unsigned work = 0;

		if (lc->rx)
			work += rx_turn(lc->rx, now_ns);
		if (lc->store)
			work += store_turn(lc->store, now_ns, clock_wall_ms());
		lcore_book(lc, now_ns, work);
		/* Whatever the count says: a gift that is not rung for may find its taker asleep, and
		 * this lcore without work for long. */
		lcore_wake(lc);
		if (work > 0)
			lc->empty = 0;
		else
			lcore_idle(lc, now_ns);
	}
	lcore_wake(lc);
	return 0;
}
