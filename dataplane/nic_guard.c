/* SPDX-License-Identifier: MIT
 * nic_guard.c - munmap(), as the drivers see it: on EAL's interrupt thread it waits for the bursts
 * in flight; on every other thread it is the system call and nothing else.
 * Thread: nic_guard_add() main; munmap() any. Owns: the slots. Never: holds up an lcore.
 * The executable's munmap() comes before libc's in the dynamic linker's order, so the memif plugin
 * binds to this one. DPDK 22.11 to 25.11 have no hook at this place. */
#include "dataplane/nic_guard.h"

#include "dataplane/kira_dpdk_compat.h"

#include "base/assert.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GUARDS_MAX 64

static struct nic_guard guard[GUARDS_MAX];
static _Atomic unsigned guards;

struct nic_guard *
nic_guard_add(void)
{
	const unsigned n = atomic_load_explicit(&guards, memory_order_relaxed);

	ASSERT(n < GUARDS_MAX);
	if (n == 0)
		(void)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	atomic_store_explicit(&guards, n + 1, memory_order_release);
	return &guard[n];
}

static bool
on_interrupt_thread(void)
{
	char name[16];

	return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
		strcmp(name, COMPAT_INTR_THREAD) == 0;
}

__attribute__((visibility("default"))) int
munmap(void *addr, size_t length)
{
	const unsigned n = atomic_load_explicit(&guards, memory_order_acquire);

	if (n > 0 && on_interrupt_thread()) {
		/* B2: the driver's "not connected" is seen by every burst that begins after this. */
		(void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
		for (unsigned i = 0; i < n; i++)
			while (atomic_load_explicit(&guard[i].busy, memory_order_acquire))
				(void)nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
	return (int)syscall(SYS_munmap, addr, length);
}
