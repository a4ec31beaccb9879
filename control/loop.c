/* SPDX-License-Identifier: MIT
 * loop.c - one epoll set and a binary heap of timers.
 * Thread: control. Owns: the epoll descriptor, the heap. Never: reads a socket itself.
 * A source that goes while a batch of events is handed out is blanked in the rest of the batch, so
 * that nobody is called for a freed connection. */
#include "control/loop.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOOP_BATCH 128

int
loop_open(struct loop *loop, struct err *err)
{
	*loop = (struct loop){0};
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return err_sys(err, -errno, "epoll_create1");
	loop->batch = calloc(LOOP_BATCH, sizeof(struct epoll_event));
	ASSERT(loop->batch);
	return 0;
}

void
loop_close(struct loop *loop)
{
	if (loop->batch)
		(void)close(loop->epoll_fd);
	free(loop->heap);
	free(loop->batch);
	*loop = (struct loop){0};
}

int
loop_watch(struct loop *loop, struct source *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src}, *batch = loop->batch;
	int rc, op;

	if (events == src->events)
		return 0;
	op = events == 0 ? EPOLL_CTL_DEL : src->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	rc = epoll_ctl(loop->epoll_fd, op, src->fd, &ev) < 0 ? -errno : 0;
	if (rc == 0)
		src->events = events;
	if (events == 0)
		for (uint32_t i = loop->batch_at; i < loop->batch_n; i++)
			if (batch[i].data.ptr == src)
				batch[i].data.ptr = NULL;
	return rc;
}

static void
heap_put(struct loop *loop, uint32_t i, struct timer *t)
{
	loop->heap[i] = t;
	t->slot = i + 1;
}

static void
heap_up(struct loop *loop, uint32_t i)
{
	struct timer *t = loop->heap[i];

	while (i > 0 && loop->heap[(i - 1) / 2]->at_ns > t->at_ns) {
		heap_put(loop, i, loop->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(loop, i, t);
}

static void
heap_down(struct loop *loop, uint32_t i)
{
	struct timer *t = loop->heap[i];

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= loop->timers)
			break;
		if (child + 1 < loop->timers &&
			loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
			child++;
		if (loop->heap[child]->at_ns >= t->at_ns)
			break;
		heap_put(loop, i, loop->heap[child]);
		i = child;
	}
	heap_put(loop, i, t);
}

void
loop_disarm(struct loop *loop, struct timer *t)
{
	const uint32_t i = t->slot - 1;
	struct timer *last;

	if (t->slot == 0)
		return;
	last = loop->heap[--loop->timers];
	t->slot = 0;
	if (last == t)
		return;
	heap_put(loop, i, last);
	heap_up(loop, i);
	heap_down(loop, last->slot - 1);
}

void
loop_arm(struct loop *loop, struct timer *t, uint64_t at_ns)
{
	loop_disarm(loop, t);
	if (loop->timers == loop->room) {
		loop->room = MAX(loop->room * 2, 64u);
		loop->heap = realloc(loop->heap, loop->room * sizeof(*loop->heap));
		ASSERT(loop->heap);
	}
	t->at_ns = at_ns;
	heap_put(loop, loop->timers++, t);
	heap_up(loop, t->slot - 1);
}

uint64_t
loop_next_ns(const struct loop *loop)
{
	return loop->timers > 0 ? loop->heap[0]->at_ns : UINT64_MAX;
}

unsigned
loop_fire(struct loop *loop, uint64_t now_ns)
{
	unsigned n = 0;

	while (loop->timers > 0 && loop->heap[0]->at_ns <= now_ns) {
		struct timer *t = loop->heap[0];

		loop_disarm(loop, t);
		t->fire(t, now_ns);
		n++;
	}
	return n;
}

unsigned
loop_poll(struct loop *loop, uint64_t timeout_ns, uint64_t (*clock)(void))
{
	struct epoll_event *batch = loop->batch;
	/* epoll_pwait2 (Linux 5.11): a fetch looks again after a tenth of a millisecond. */
	const struct timespec ts = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
		.tv_nsec = (long)(timeout_ns % NS_PER_S)};
	const int n = epoll_pwait2(loop->epoll_fd, batch, LOOP_BATCH,
		timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
	const uint64_t now_ns = clock();
	unsigned called = 0;

	if (n <= 0)
		return 0;
	loop->batch_n = (uint32_t)n;
	for (loop->batch_at = 0; loop->batch_at < loop->batch_n;) {
		struct epoll_event *ev = &batch[loop->batch_at++];
		struct source *src = ev->data.ptr;

		if (!src)
			continue;
		src->ready(src, ev->events, now_ns);
		called++;
	}
	loop->batch_n = loop->batch_at = 0;
	return called;
}
