/* SPDX-License-Identifier: MIT
 * sigbus.c - the handler of SIGBUS. Thread: a storage lcore, in the middle of a store into the map of
 * its active segment; nobody else touches a map, so any other address dies as it would without us.
 *
 * The rest of the map becomes plain memory, the partition FAILED, and the store runs again, to its
 * end. No jump: whatever the lcore holds on its stack (a burst, a run, a packet) stays where it is,
 * and the append that returns finds the state. Costs the append two moves to thread-local memory. */
#include "storage/sigbus.h"

#include "storage/partition.h"

#include "base/assert.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

_Thread_local struct segment *sigbus_storing;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sigaction before;
static uintptr_t page;

/* From the page of `at` on; what lies before it is in the file and stays there. */
static bool
take_map_away(struct segment *seg, uintptr_t at)
{
	const uintptr_t map = (uintptr_t)seg->map, from = at & ~(page - 1);

	return mmap((void *)from, map + seg->size - from, PROT_READ | PROT_WRITE,
		MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct segment *seg = sigbus_storing;
	const uintptr_t at = (uintptr_t)info->si_addr;
	const int was = errno;

	/* si_code above 0: of the kernel. The last page of a map may be used in part. */
	if (seg && info->si_code > 0 && at >= (uintptr_t)seg->map &&
		at - (uintptr_t)seg->map < seg->size) {
		/* X1 before the map goes: two atomic operations. A sync of a range of this map may be on its
		 * way, and finds nothing to do where plain memory lies; its 0 must meet a failed partition. */
		atomic_store(&seg->part->map_lost, true);
		partition_fail(seg->part);
		if (take_map_away(seg, at)) {
			errno = was;
			return;
		}
	}
	(void)sigaction(sig, &before, NULL);
	if (info->si_code <= 0)
		(void)raise(sig); /* sent by somebody: delivered when we return */
	/* Else the store runs again, and the process ends where it stands. */
}

static void
install(void)
{
	struct sigaction act = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	page = (uintptr_t)sysconf(_SC_PAGESIZE);
	(void)sigemptyset(&act.sa_mask);
	ASSERT(sigaction(SIGBUS, &act, &before) == 0);
}

void
sigbus_install(void)
{
	ASSERT(pthread_once(&once, install) == 0);
}
