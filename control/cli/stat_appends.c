/* SPDX-License-Identifier: MIT
 * stat_appends.c - see the header: waits for room and turns as quantiles, page faults per million
 * records and per commit and partition. */
#include "control/cli/stat_appends.h"

#include "base/stall.h"

#include <kira/counters.h>

#include <inttypes.h>

#define LCORES_MAX 16

struct lcore {
	uint64_t batches, records, minor, major;
	uint64_t wait[STALL_BUCKETS], wait_longest_ns, turn[STALL_BUCKETS], turn_longest_ns;
};

struct found {
	struct lcore lcore[LCORES_MAX];
	uint64_t syncs;
};

static void
take_stall(uint64_t bucket[STALL_BUCKETS], uint64_t *longest_ns, unsigned at, uint64_t value)
{
	if (at < STALL_BUCKETS)
		bucket[at] = value;
	else if (at == STALL_BUCKETS)
		*longest_ns = value;
}

/* `at`: the place of the entry in its group. */
static void
take(struct found *f, const struct kira_counters_entry *e, unsigned at, uint64_t value)
{
	char kind[KIRA_COUNTERS_GROUP];
	unsigned i;

	if (strcmp(e->group, "storage") == 0 && strcmp(e->name, "syncs") == 0)
		f->syncs = value;
	if (sscanf(e->group, "%31[a-z]%u", kind, &i) != 2 || i >= LCORES_MAX)
		return;
	if (strcmp(kind, "wait") == 0)
		take_stall(f->lcore[i].wait, &f->lcore[i].wait_longest_ns, at, value);
	else if (strcmp(kind, "turn") == 0)
		take_stall(f->lcore[i].turn, &f->lcore[i].turn_longest_ns, at, value);
	else if (strcmp(kind, "faults") == 0)
		*(strcmp(e->name, "minor") == 0 ? &f->lcore[i].minor : &f->lcore[i].major) = value;
	else if (strcmp(kind, "store") == 0 && strstr(e->name, "_batches"))
		f->lcore[i].batches += value;
	else if (strcmp(kind, "store") == 0 && strstr(e->name, "_records"))
		f->lcore[i].records += value;
}

static void
find(struct found *f, const void *map)
{
	const uint32_t n = kira_counters_entries(map);
	const char *group = "";
	unsigned at = 0;

	for (uint32_t i = 0; i < n; i++, at++) {
		struct kira_counters_entry e = *kira_counters_entry(map, i);

		e.group[sizeof(e.group) - 1] = e.name[sizeof(e.name) - 1] = 0;
		if (strncmp(group, e.group, sizeof(e.group)) != 0)
			at = 0;
		group = kira_counters_entry(map, i)->group;
		take(f, &e, at, kira_counters_value(map, kira_counters_entry(map, i)));
	}
}

static void
print_ns(FILE *to, const char *what, uint64_t ns)
{
	if (ns == 0)
		fprintf(to, "%s 0", what);
	else if (ns < 1000000)
		fprintf(to, "%s %.3g us", what, (double)ns / 1e3);
	else if (ns < 1000000000)
		fprintf(to, "%s %.3g ms", what, (double)ns / 1e6);
	else
		fprintf(to, "%s %.3g s", what, (double)ns / 1e9);
}

static void
print_stall(FILE *to, const uint64_t bucket[STALL_BUCKETS], uint64_t before, uint64_t longest_ns)
{
	print_ns(to, " p50", stall_quantile_ns(bucket, before, longest_ns, .5));
	print_ns(to, ", p99", stall_quantile_ns(bucket, before, longest_ns, .99));
	print_ns(to, ", p99.9", stall_quantile_ns(bucket, before, longest_ns, .999));
	print_ns(to, ", longest", longest_ns);
	fprintf(to, "\n");
}

static void
print_lcore(FILE *to, unsigned i, const struct lcore *l)
{
	uint64_t waited = 0;

	for (unsigned b = 0; b < STALL_BUCKETS; b++)
		waited += l->wait[b];
	fprintf(to, "storage lcore %u, %" PRIu64 " batches\n", i, l->batches);
	fprintf(to, "  waits for room: %" PRIu64 ";", waited);
	print_stall(to, l->wait, l->batches - MIN(waited, l->batches), l->wait_longest_ns);
	fprintf(to, "  turns:");
	print_stall(to, l->turn, 0, l->turn_longest_ns);
	fprintf(to, "  page faults: %" PRIu64 ", %.3g per million records; %" PRIu64 " that waited for the disk\n",
		l->minor + l->major, (double)(l->minor + l->major) * 1e6 /
		(double)MAX(l->records, (uint64_t)1), l->major);
}

void
stat_appends_print(const void *map, FILE *to)
{
	struct found f = {0};
	uint64_t faults = 0, batches = 0;

	find(&f, map);
	for (unsigned i = 0; i < LCORES_MAX; i++) {
		if (f.lcore[i].batches > 0)
			print_lcore(to, i, &f.lcore[i]);
		batches += f.lcore[i].batches;
		faults += f.lcore[i].minor + f.lcore[i].major;
	}
	if (batches > 0 && f.syncs > 0)
		fprintf(to, "page faults per commit and partition: %.3g\n",
			(double)faults / (double)f.syncs);
}

bool
stat_appends_tells(const char *group)
{
	char kind[KIRA_COUNTERS_GROUP];
	unsigned i;

	return sscanf(group, "%31[a-z]%u", kind, &i) == 2 &&
		(strcmp(kind, "wait") == 0 || strcmp(kind, "turn") == 0);
}
