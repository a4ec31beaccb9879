/* SPDX-License-Identifier: MIT
 * read_ahead.c - threads that wait for the disk in place of control.
 * Threads: control asks and takes back; READ_AHEAD_THREADS read. Owns: the descriptors in its lists. Never: gives
 * bytes to anybody: what is read goes into the page cache, where sendfile and control's own reads find it.
 * A read brings in the range asked for, and asks the kernel for as much behind it without waiting: who reads
 * a log in order finds the next piece there. */
#include "control/read_ahead.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/conn.h"
#include "control/control.h"
#include "control/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define OUTSTANDING_MAX 4096
#define PER_CONN_MAX    16
#define STEP            (128 * 1024)  /* of a read, and of looks into the cache: the kernel's own read-ahead */
#define BEHIND          (2 * MIB)     /* also asked for, not waited for */

struct cold_read {
	struct cold_read *next;
	struct storage_cold what;
	struct conn *conn;
	bool failed;
};

bool
read_ahead_cached(int fd, uint64_t position, uint64_t length)
{
	const uint64_t end = position + length;
	uint8_t byte;
	const struct iovec v = {&byte, 1};

	for (uint64_t at = position; at < end; at = at + STEP < end ? at + STEP : MAX(end - 1, at + 1))
		if (preadv2(fd, &v, 1, (off_t)at, RWF_NOWAIT) < 0 && errno == EAGAIN)
			return false;
	return true;
}

/* ---- The threads --------------------------------------------------------------------------- */

/* False: control's own read finds out why. */
static bool
bring_in(const struct storage_cold *what, uint8_t *scratch)
{
	const uint64_t end = what->position + what->length;

	/* All at once, in pieces that the kernel takes whole; then what is wanted is waited for. */
	for (uint64_t at = what->position; at < end + BEHIND; at += STEP)
		(void)posix_fadvise(what->fd, (off_t)at, STEP, POSIX_FADV_WILLNEED);
	for (uint64_t at = what->position; at < end; at += STEP)
		if (pread(what->fd, scratch, MIN((uint64_t)STEP, end - at), (off_t)at) <= 0)
			return false;
	return true;
}

static void *
reader(void *arg)
{
	struct read_ahead *ra = arg;
	uint8_t *scratch = malloc(STEP);
	const uint64_t one = 1;

	ASSERT(scratch);
	(void)pthread_mutex_lock(&ra->lock);
	for (;;) {
		struct cold_read *read = ra->first;

		if (ra->stop)
			break;
		if (!read) {
			(void)pthread_cond_wait(&ra->some, &ra->lock);
			continue;
		}
		ra->first = read->next;
		if (!ra->first)
			ra->last = NULL;
		(void)pthread_mutex_unlock(&ra->lock);
		read->failed = !bring_in(&read->what, scratch);
		(void)close(read->what.fd);
		(void)pthread_mutex_lock(&ra->lock);
		read->next = ra->done;
		ra->done = read;
		(void)!write(ra->bell.fd, &one, sizeof(one));
	}
	(void)pthread_mutex_unlock(&ra->lock);
	free(scratch);
	return NULL;
}

/* ---- Control ------------------------------------------------------------------------------- */

static void
take_back(struct source *src, uint32_t events, uint64_t now_ns)
{
	struct read_ahead *ra = (struct read_ahead *)((char *)src - offsetof(struct read_ahead, bell));
	struct cold_read *done, *next;
	uint64_t n;

	(void)!read(src->fd, &n, sizeof(n));
	(void)pthread_mutex_lock(&ra->lock);
	done = ra->done;
	ra->done = NULL;
	(void)pthread_mutex_unlock(&ra->lock);
	for (; done; done = next) {
		struct conn *c = done->conn;

		next = done->next;
		c->cold_failed |= done->failed;
		free(done);
		ra->outstanding--;
		c->cold_reads--;
		if (c->cold_waits && c->state != CONN_CLOSED)
			conn_cold_read(c, now_ns);
		conn_unpin(c);
	}
}

/* Threads, when the first is needed. */
static bool
start(struct control *ctl)
{
	struct read_ahead *ra = &ctl->read_ahead;

	if (ra->threads > 0)
		return true;
	ra->bell = (struct source){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = take_back};
	(void)pthread_mutex_init(&ra->lock, NULL);
	(void)pthread_cond_init(&ra->some, NULL);
	if (ra->bell.fd < 0 || loop_watch(&ctl->loop, &ra->bell, EPOLLIN) < 0)
		goto fail;
	while (ra->threads < READ_AHEAD_THREADS &&
		pthread_create(&ra->thread[ra->threads], NULL, reader, ra) == 0)
		ra->threads++;
	if (ra->threads > 0)
		return true;
	(void)loop_watch(&ctl->loop, &ra->bell, 0);
fail:
	if (ra->bell.fd >= 0)
		(void)close(ra->bell.fd);
	return false;
}

bool
read_ahead_ask(struct control *ctl, const struct storage_cold *what, struct conn *c)
{
	struct read_ahead *ra = &ctl->read_ahead;
	struct cold_read *read = NULL;

	if (what->fd >= 0 && ra->outstanding < OUTSTANDING_MAX && c->cold_reads < PER_CONN_MAX && start(ctl))
		read = malloc(sizeof(*read));
	if (!read) {
		if (what->fd >= 0)
			(void)close(what->fd);
		return false;
	}
	*read = (struct cold_read){.what = *what, .conn = c};
	/* The reads that bring it in are the threads' alone: without this sendfile would start some itself. */
	(void)posix_fadvise(what->fd, 0, 0, POSIX_FADV_RANDOM);
	ra->outstanding++;
	c->cold_reads++;
	conn_pin(c);
	counter_add(&ctl->count->cold_reads, 1);
	(void)pthread_mutex_lock(&ra->lock);
	if (ra->last)
		ra->last->next = read;
	else
		ra->first = read;
	ra->last = read;
	(void)pthread_cond_signal(&ra->some);
	(void)pthread_mutex_unlock(&ra->lock);
	return true;
}

void
read_ahead_close(struct control *ctl)
{
	struct read_ahead *ra = &ctl->read_ahead;

	if (ra->threads == 0)
		return;
	(void)pthread_mutex_lock(&ra->lock);
	ra->stop = true;
	(void)pthread_cond_broadcast(&ra->some);
	(void)pthread_mutex_unlock(&ra->lock);
	for (unsigned i = 0; i < ra->threads; i++)
		(void)pthread_join(ra->thread[i], NULL);
	for (struct cold_read *read = ra->first, *next; read; read = next) {
		next = read->next;
		(void)close(read->what.fd);
		conn_unpin(read->conn);
		free(read);
	}
	for (struct cold_read *read = ra->done, *next; read; read = next) {
		next = read->next;
		conn_unpin(read->conn);
		free(read);
	}
	(void)loop_watch(&ctl->loop, &ra->bell, 0);
	(void)close(ra->bell.fd);
	(void)pthread_cond_destroy(&ra->some);
	(void)pthread_mutex_destroy(&ra->lock);
	*ra = (struct read_ahead){0};
}
