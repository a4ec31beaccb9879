/* SPDX-License-Identifier: MIT
 * cores.c - CPU list, pinning and NUMA nodes (libnuma). Thread: main, at start. Owns: nothing. */
#include "control/cores.h"

#include "base/bits.h"
#include "control/log.h"

#include <errno.h>
#include <numa.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int
add_cpu(struct cpu_list *list, long cpu, const cpu_set_t *allowed, struct err *err)
{
	if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, allowed)) {
		err_set(err, "--cpus: CPU %ld does not exist or is not allowed to this process", cpu);
		return -EINVAL;
	}
	for (unsigned i = 0; i < list->n; i++)
		if (list->cpu[i] == (int)cpu)
			return 0;
	if (list->n == ARRAY_LENGTH(list->cpu)) {
		err_set(err, "--cpus: more than %zu CPUs", ARRAY_LENGTH(list->cpu));
		return -EINVAL;
	}
	list->cpu[list->n++] = (int)cpu;
	return 0;
}

int
cores_read(const char *text, struct cpu_list *ret, struct err *err)
{
	const char *p = text;
	cpu_set_t allowed;

	*ret = (struct cpu_list){0};
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return err_sys(err, -errno, "read the CPUs of this process");
	if (!*p) {
		for (int i = 0; i < CPU_SETSIZE && ret->n < ARRAY_LENGTH(ret->cpu); i++)
			if (CPU_ISSET(i, &allowed))
				ret->cpu[ret->n++] = i;
		return 0;
	}
	while (*p) {
		char *end;
		long from = strtol(p, &end, 10), to = from;

		if (end == p)
			goto bad;
		if (*end == '-') {
			p = end + 1;
			to = strtol(p, &end, 10);
			if (end == p)
				goto bad;
		}
		if (from < 0 || to < from || to >= CPU_SETSIZE || (*end && *end != ','))
			goto bad;
		for (; from <= to; from++)
			if (add_cpu(ret, from, &allowed, err) < 0)
				return -EINVAL;
		p = *end ? end + 1 : end;
	}
	return 0;
bad:
	err_set(err, "--cpus %s: a list is wanted, as 0,2-5", text);
	return -EINVAL;
}

int
cores_pin(int cpu, struct err *err)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return err_sys(err, -errno, "pin the control thread to CPU %d", cpu);
	if (numa_available() >= 0)
		numa_set_localalloc();
	return 0;
}

int
cores_share(const struct cpu_list *cpus, struct err *err)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned i = 0; i < cpus->n; i++)
		CPU_SET(cpus->cpu[i], &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return err_sys(err, -errno, "run on the CPUs of `cpus`");
	return 0;
}

static int
read_node(const char *path)
{
	FILE *f = fopen(path, "r");
	int node = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &node) != 1)
		node = -1;
	(void)fclose(f);
	return node;
}

static int
node_of(int cpu)
{
	return numa_available() >= 0 ? numa_node_of_cpu(cpu) : 0;
}

/* The node of the disk below `dir`; -1 unknown. */
static int
disk_node(const char *dir)
{
	char path[128];
	struct stat st;

	if (stat(dir, &st) < 0)
		return -1;
	/* A partition has no device link of its own; its disk is one up. */
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/device/numa_node",
		major(st.st_dev), minor(st.st_dev));
	if (read_node(path) >= 0)
		return read_node(path);
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../device/numa_node",
		major(st.st_dev), minor(st.st_dev));
	return read_node(path);
}

void
cores_print(const struct dataplane_layout *layout, const char *device, const char *dir)
{
	const int disk = disk_node(dir);
	char path[160];
	int nic;

	(void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.64s/numa_node", device);
	nic = read_node(path);
	log_info("CPU %d: control (node %d); CPU %d: flush", layout->control_cpu,
		node_of(layout->control_cpu), layout->flush_cpu);
	for (unsigned i = 0; i < layout->rx; i++) {
		const int node = node_of(layout->rx_cpu[i]);

		log_info("CPU %d: rx lcore %u%s (node %d)", layout->rx_cpu[i], i,
			layout->merged ? " and storage lcore 0, in one loop" : "", node);
		if (nic >= 0 && node != nic)
			log_warn("rx lcore %u is on node %d, the NIC %s on node %d: choose --cpus of the "
				"NIC's node", i, node, device, nic);
	}
	for (unsigned i = 0; i < layout->store && !layout->merged; i++) {
		const int node = node_of(layout->store_cpu[i]);

		log_info("CPU %d: storage lcore %u (node %d)", layout->store_cpu[i], i, node);
		if (nic >= 0 && node != nic)
			log_warn("storage lcore %u is on node %d, the NIC on node %d", i, node, nic);
		if (disk >= 0 && node != disk)
			log_warn("storage lcore %u is on node %d, the disk of %s on node %d", i, node, dir,
				disk);
	}
}
