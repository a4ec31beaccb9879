/* SPDX-License-Identifier: MIT
 * stop_watch.h - a stop that does not end is said. Control begins and ends it around what may wait for the
 * disk without limit. */
#ifndef KIRA_CONTROL_STOP_WATCH_H
#define KIRA_CONTROL_STOP_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct stop_watch {
	const char *dir;
	uint64_t begun_ns;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool runs, ended, said;
};

/* `dir`: the data directory, for the line; stays the caller's. */
void stop_watch_begin(struct stop_watch *sw, const char *dir);
void stop_watch_end(struct stop_watch *sw);

#endif
