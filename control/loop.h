/* SPDX-License-Identifier: MIT
 * loop.h - epoll and timers of the control thread. */
#ifndef KIRA_CONTROL_LOOP_H
#define KIRA_CONTROL_LOOP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Something with a descriptor. Embedded in its owner. */
struct source {
	int fd;
	uint32_t events; /* registered with epoll; 0: not registered */
	void (*ready)(struct source *src, uint32_t events, uint64_t now_ns);
};

/* Embedded in its owner; zeroed = not armed. */
struct timer {
	uint64_t at_ns;
	uint32_t slot; /* index + 1 in the heap; 0 not armed */
	void (*fire)(struct timer *t, uint64_t now_ns);
};

struct loop {
	int epoll_fd;
	struct timer **heap;
	uint32_t timers, room;
	uint32_t batch_at, batch_n;
	void *batch;          /* struct epoll_event[LOOP_BATCH] */
};

int loop_open(struct loop *loop, struct err *err);
void loop_close(struct loop *loop);

/* Register, change or (events 0) remove. Returns 0 or -errno. */
int loop_watch(struct loop *loop, struct source *src, uint32_t events);

void loop_arm(struct loop *loop, struct timer *t, uint64_t at_ns);
void loop_disarm(struct loop *loop, struct timer *t);

/* When the next timer is due; UINT64_MAX none. */
uint64_t loop_next_ns(const struct loop *loop);

/* Fire due timers. Returns how many. */
unsigned loop_fire(struct loop *loop, uint64_t now_ns);

/* Wait up to timeout_ns (UINT64_MAX: for ever), then call the ready sources. */
unsigned loop_poll(struct loop *loop, uint64_t timeout_ns, uint64_t (*clock)(void));

#endif
