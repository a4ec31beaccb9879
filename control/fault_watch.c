/* SPDX-License-Identifier: MIT
 * fault_watch.c - page faults of the storage lcores' threads, from /proc. Thread: control.
 * Owns: groups faultsN of the counters. Never: asks an lcore, which has nothing to count them with
 * but a system call. */
#include "control/fault_watch.h"

#include "control/control.h"
#include "control/counters.h"

#include "base/bits.h"
#include "base/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS NS_PER_S

bool
fault_watch_parse(const char *line, uint64_t *minor, uint64_t *major)
{
	/* The name of the thread stands in brackets and may hold anything; after the last one:
	 * state, 6 numbers, minflt, cminflt, majflt. proc(5). */
	const char *rest = strrchr(line, ')');

	return rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %" SCNu64 " %*u %" SCNu64, minor,
		major) == 2;
}

static bool
read_faults(int tid, uint64_t *minor, uint64_t *major)
{
	char path[64], line[1024];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	line[n] = 0;
	return fault_watch_parse(line, minor, major);
}

static void
look(struct control *ctl)
{
	struct fault_watch *fw = &ctl->fault_watch;
	uint64_t minor, major;

	for (unsigned i = 0; i < fw->lcores; i++) {
		const int tid = dataplane_store_thread(ctl->dp, i);

		if (tid == 0 || !read_faults(tid, &minor, &major))
			continue;
		if (!fw->lcore[i].looked) {
			fw->lcore[i].looked = true;
			fw->lcore[i].minor = minor;
			fw->lcore[i].major = major;
		}
		counter_set(&fw->lcore[i].count->minor, minor - fw->lcore[i].minor);
		counter_set(&fw->lcore[i].count->major, major - fw->lcore[i].major);
	}
}

static void
fire(struct timer *t, uint64_t now_ns)
{
	struct fault_watch *fw = (struct fault_watch *)((char *)t - offsetof(struct fault_watch, timer));
	struct control *ctl = (struct control *)((char *)fw - offsetof(struct control, fault_watch));

	look(ctl);
	loop_arm(&ctl->loop, t, now_ns + LOOK_NS);
}

void
fault_watch_start(struct control *ctl)
{
	static const char *const name[] = {
#define COUNTER(counter_name, help) #counter_name,
#include "control/fault_counters.def"
#undef COUNTER
	};
	struct fault_watch *fw = &ctl->fault_watch;
	char group[32];

	*fw = (struct fault_watch){.timer.fire = fire, .lcores = dataplane_store_lcores(ctl->dp)};
	for (unsigned i = 0; i < fw->lcores; i++) {
		(void)snprintf(group, sizeof(group), "faults%u", i);
		fw->lcore[i].count = (struct fault_counters *)(void *)counters_group(ctl->counters, group,
			name, ARRAY_LENGTH(name));
	}
	look(ctl);
	loop_arm(&ctl->loop, &fw->timer, ctl->now_ns + LOOK_NS);
}
