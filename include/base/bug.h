/* SPDX-License-Identifier: MIT
 * bug.h - BUG(n): is bug n of tests/README.md there, on purpose? To see that a harness catches it. Built
 * in with -Dc_args=-DKIRA_BUG=n; or with -Dc_args=-DKIRA_BUG_CHOSEN, one build for all of them, in
 * which the environment names the one (KIRA_BUG=n). A constant false in every other build. */
#ifndef KIRA_BASE_BUG_H
#define KIRA_BASE_BUG_H

#ifdef KIRA_BUG_CHOSEN
#include <stdatomic.h>
#include <stdlib.h>

/* -1: not read yet. Relaxed: whoever reads it first, it is the same number. */
static inline int
bug_chosen(void)
{
	static _Atomic int chosen = -1;
	int n = atomic_load_explicit(&chosen, memory_order_relaxed);

	if (n < 0) {
		const char *text = getenv("KIRA_BUG");

		n = text ? (int)strtol(text, NULL, 10) : 0;
		atomic_store_explicit(&chosen, n, memory_order_relaxed);
	}
	return n;
}
#define BUG(n) (bug_chosen() == (n))
#else
#ifndef KIRA_BUG
#define KIRA_BUG 0
#endif
#define BUG(n) (KIRA_BUG == (n))
#endif

#endif
