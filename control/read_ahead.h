/* SPDX-License-Identifier: MIT
 * read_ahead.h - what the page cache lacks is read by threads of its own, while the request that needs it waits.
 * Control thread; the threads see one struct cold_read each, and nothing else. */
#ifndef KIRA_CONTROL_READ_AHEAD_H
#define KIRA_CONTROL_READ_AHEAD_H

#include "base/clock.h"
#include "control/loop.h"
#include "storage/storage.h"

#include <pthread.h>

#define READ_AHEAD_THREADS 4
/* A request waits so long for one read of the disk, then it answers without. */
#define READ_AHEAD_WAIT_NS (10 * NS_PER_S)

struct conn;
struct control;
struct cold_read;

struct read_ahead {
	pthread_mutex_t lock;              /* of the two lists and `stop` */
	pthread_cond_t some;
	struct cold_read *first, *last;    /* asked for */
	struct cold_read *done;            /* newest first */
	bool stop;
	pthread_t thread[READ_AHEAD_THREADS];
	unsigned threads;                  /* running; made when first needed */
	unsigned outstanding;              /* control's: asked for and not taken back */
	struct source bell;                /* eventfd: something is done */
};

/* Stop the threads; connections are closed already. */
void read_ahead_close(struct control *ctl);

/* Read it in. Then c is woken, if it waits for that (conn.cold_waits), and unpinned; c->cold_reads counts what
 * is under way for it. False: too much is under way, or no thread could be made; the descriptor is closed
 * either way. */
bool read_ahead_ask(struct control *ctl, const struct storage_cold *what, struct conn *c);

/* Is this in the page cache, as far as one look per 128 KiB tells? */
bool read_ahead_cached(int fd, uint64_t position, uint64_t length);

#endif
