/* SPDX-License-Identifier: MIT
 * stop_watch.c - see the header. Thread: its own, while control is inside storage_close(): that returns when
 * the disk does, since an end that was made up would be no clean one. Never: touches the disk. */
#include "control/stop_watch.h"

#include "control/log.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#define SAY_S 5 /* gigabytes to sync may take as long, and are no harm */

static void *
watch(void *arg)
{
	struct stop_watch *sw = arg;
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SAY_S;
	(void)pthread_mutex_lock(&sw->lock);
	while (!sw->ended && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&sw->changed, &sw->lock, &until);
	if (!sw->ended) {
		sw->said = true;
		log_warn("stop: for %d s waiting for the disk of %s, to sync and seal what was taken; should dmesg or "
			"iostat show that it hangs: kill -9 takes nothing that was acknowledged at `disk`, and the "
			"next start checks the log", SAY_S, sw->dir);
	}
	(void)pthread_mutex_unlock(&sw->lock);
	return NULL;
}

void
stop_watch_begin(struct stop_watch *sw, const char *dir)
{
	pthread_condattr_t attr;

	*sw = (struct stop_watch){.dir = dir, .begun_ns = clock_now_ns()};
	(void)pthread_mutex_init(&sw->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&sw->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	sw->runs = pthread_create(&sw->thread, NULL, watch, sw) == 0;
}

void
stop_watch_end(struct stop_watch *sw)
{
	(void)pthread_mutex_lock(&sw->lock);
	sw->ended = true;
	(void)pthread_cond_signal(&sw->changed);
	(void)pthread_mutex_unlock(&sw->lock);
	if (sw->runs)
		(void)pthread_join(sw->thread, NULL);
	if (sw->said)
		log_info("stop: the disk answered after %" PRIu64 " s", (clock_now_ns() - sw->begun_ns) / NS_PER_S);
	(void)pthread_cond_destroy(&sw->changed);
	(void)pthread_mutex_destroy(&sw->lock);
}
