/* SPDX-License-Identifier: MIT
 * flush_bell.c - the bell between the flush daemon and those who wait for it. Threads: see flush_bell.h.
 * Owns: the bell. */
#include "control/flush_bell.h"

#include <pthread.h>
#include <stdatomic.h>

static struct {
	pthread_mutex_t lock;    /* keeps the data plane there while it is rung */
	struct dataplane *dp;
	/* Something was granted. The eventfd does not ring for a thread that is awake, and the data
	 * plane does not know what the flush daemon gives: without this word, control would sleep over
	 * a grant that came between its turn and its sleep. */
	_Atomic bool rung;
} bell = {.lock = PTHREAD_MUTEX_INITIALIZER};

void
flush_bell_ring(void *arg)
{
	atomic_store_explicit(&bell.rung, true, memory_order_seq_cst); /* before Z2 */
	(void)pthread_mutex_lock(&bell.lock);
	if (bell.dp)
		dataplane_ring(bell.dp);
	(void)pthread_mutex_unlock(&bell.lock);
}

void
flush_bell_hang(struct dataplane *dp)
{
	(void)pthread_mutex_lock(&bell.lock);
	bell.dp = dp;
	(void)pthread_mutex_unlock(&bell.lock);
}

bool
flush_bell_rung(void)
{
	return atomic_exchange_explicit(&bell.rung, false, memory_order_seq_cst);
}
