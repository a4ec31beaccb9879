/* SPDX-License-Identifier: MIT
 * bits.h - sizes, powers of two, serial numbers. */
#ifndef KIRA_BASE_BITS_H
#define KIRA_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_LINE        64
#define ARRAY_LENGTH(a)   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)         ((a) < (b) ? (a) : (b))
#define MAX(a, b)         ((a) > (b) ? (a) : (b))
#define CLAMP(v, lo, hi)  ((v) < (lo) ? (lo) : (v) > (hi) ? (hi) : (v))
#define KIB               ((uint64_t)1 << 10)
#define MIB               ((uint64_t)1 << 20)
#define GIB               ((uint64_t)1 << 30)

static inline bool
is_pow2(uint64_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

/* `to` is a power of two. */
static inline uint64_t
round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

static inline uint64_t
round_down(uint64_t v, uint64_t to)
{
	return v & ~(to - 1);
}

/* RFC 1982 over u32: a is newer than b. Half the circle apart counts as neither. */
static inline bool
serial_newer(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

#endif
