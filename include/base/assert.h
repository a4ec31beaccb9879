/* SPDX-License-Identifier: MIT
 * assert.h - one fact each, no work inside.
 * ASSERT: always on; cold code, once per burst or batch. DASSERT: debug builds, per packet.
 * BUILD_ASSERT: constants and layouts. Bytes from wire or disk are judged, never asserted. */
#ifndef KIRA_BASE_ASSERT_H
#define KIRA_BASE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void
assert_failed(const char *fact, const char *file, int line)
{
	fprintf(stderr, "kira: invariant broken: %s (%s:%d); this is a bug, the log on disk is "
			"recovered at the next start\n", fact, file, line);
	abort();
}

#define ASSERT(fact) ((fact) ? (void)0 : assert_failed(#fact, __FILE__, __LINE__))
#ifdef NDEBUG
#define DASSERT(fact) ((void)sizeof(fact))
#else
#define DASSERT(fact) ASSERT(fact)
#endif
#define BUILD_ASSERT(fact) _Static_assert(fact, #fact)

#endif
