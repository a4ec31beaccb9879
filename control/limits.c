/* SPDX-License-Identifier: MIT
 * limits.c - open files and maps. Thread: control, at start. A partition that cannot get one waits, as
 * on a full disk; better said before than found out then. */
#include "control/limits.h"

#include "control/config.h"
#include "control/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

/* storage/SEGMENTS.md: directory, open segment, spare; and two maps of each of the latter. */
#define FILES_PER_PARTITION 3
#define MAPS_PER_PARTITION  4
#define FILES_ELSE          2048 /* sealed segments being read, EAL, listeners */
#define MAPS_ELSE           4096 /* EAL, libraries, stacks */

unsigned
limits_judge(const struct config *cfg, uint64_t open_files, uint64_t maps, char text[2][LIMITS_TEXT])
{
	const uint64_t n = (uint64_t)cfg->max_partitions;
	const uint64_t files_need = n * FILES_PER_PARTITION + (uint64_t)cfg->max_connections + FILES_ELSE;
	const uint64_t maps_need = n * MAPS_PER_PARTITION + MAPS_ELSE;
	unsigned found = 0;

	if (open_files < files_need)
		(void)snprintf(text[found++], LIMITS_TEXT, "open files are limited to %" PRIu64 ", and max-partitions=%"
			PRIu64 " with max-connections may need %" PRIu64 ": raise the hard limit (systemd: LimitNOFILE=%"
			PRIu64 "; shell: ulimit -Hn), or lower max-partitions", open_files, n, files_need, files_need);
	if (maps < maps_need)
		(void)snprintf(text[found++], LIMITS_TEXT, "a process may have %" PRIu64 " memory maps, and max-partitions=%"
			PRIu64 " may need %" PRIu64 " if all are appended to: sysctl -w vm.max_map_count=%" PRIu64
			", or lower max-partitions", maps, n, maps_need, maps_need);
	return found;
}

void
limits_raise(const struct config *cfg)
{
	char text[2][LIMITS_TEXT];
	struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};
	uint64_t maps = UINT64_MAX;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	unsigned n;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
	if (f && fscanf(f, "%" SCNu64, &maps) != 1)
		maps = UINT64_MAX;
	if (f)
		(void)fclose(f);
	n = limits_judge(cfg, lim.rlim_cur, maps, text);
	for (unsigned i = 0; i < n; i++)
		log_warn("%s", text[i]);
}
