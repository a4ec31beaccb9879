/* SPDX-License-Identifier: MIT
 * sigbus.h - a store into a segment's map that the file cannot take: truncated by hand, a file system
 * shut down, a bad page. The partition fails, the process lives. */
#ifndef KIRA_STORAGE_SIGBUS_H
#define KIRA_STORAGE_SIGBUS_H

#include <stdatomic.h>

struct segment;

/* What this thread is storing into, NULL outside of sigbus_begin() .. sigbus_end(). Initial-exec:
 * the handler reads it, and must not come upon a thread's storage being made. */
extern _Thread_local struct segment *sigbus_storing __attribute__((tls_model("initial-exec")));

/* The process's handler; once, any number of times. */
void sigbus_install(void);

/* Around the stores. After the end the partition's state says whether they reached the file. */
static inline void
sigbus_begin(struct segment *seg)
{
	sigbus_storing = seg;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void
sigbus_end(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	sigbus_storing = (void *)0;
}

#endif
