/* SPDX-License-Identifier: MIT
 * clock.h - the only reader of clocks. Loops read it once per turn and pass the time on. */
#ifndef KIRA_BASE_CLOCK_H
#define KIRA_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US ((uint64_t)1000)
#define NS_PER_MS ((uint64_t)1000000)
#define NS_PER_S  ((uint64_t)1000000000)

/* Monotonic, for every timer and latency. */
static inline uint64_t
clock_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Wall time, for record timestamps and file headers only: it jumps. */
static inline int64_t
clock_wall_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif
