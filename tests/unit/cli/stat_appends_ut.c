/* SPDX-License-Identifier: MIT
 * stat_appends_ut.c - control/cli/stat_appends.c: quantiles and rates from a counters file. */
#include "control/cli/stat_appends.c"

#include "tests/unit/ut.h"

#include <stdlib.h>

#define ENTRIES_MAX 64

static _Alignas(64) char map[64 + ENTRIES_MAX * 96 + ENTRIES_MAX * 8];
static char text[4096];

static void
put(const char *group, const char *name, uint64_t value)
{
	struct kira_counters_head *h = (void *)map;
	struct kira_counters_entry *e = (struct kira_counters_entry *)(void *)(map + 64) + h->entries;

	h->bytes = sizeof(map);
	h->entries_max = ENTRIES_MAX;
	h->entries_at = 64;
	(void)snprintf(e->group, sizeof(e->group), "%s", group);
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	e->value_at = (uint32_t)(64 + ENTRIES_MAX * 96 + h->entries * 8);
	memcpy(map + e->value_at, &value, sizeof(value));
	h->entries++;
}

static const char *
printed(void)
{
	FILE *to = fmemopen(text, sizeof(text), "w");

	memset(text, 0, sizeof(text));
	stat_appends_print(map, to);
	(void)fclose(to);
	return text;
}

static void
nothing_is_said_before_the_first_batch(void)
{
	memset(map, 0, sizeof(map));
	put("storage", "syncs", 3);
	put("store0", "udp_batches", 0);
	put("faults0", "minor", 9);
	CU_ASSERT_STRING_EQUAL(printed(), "");
}

static void
waits_turns_and_faults_are_told_per_lcore_and_together(void)
{
	char name[16];

	memset(map, 0, sizeof(map));
	put("storage", "syncs", 100);
	put("store1", "udp_batches", 900);
	put("store1", "udp_records", 500000);
	put("store1", "tcp_batches", 100);
	put("store1", "tcp_records", 500000);
	for (unsigned i = 0; i < STALL_BUCKETS; i++) {
		(void)snprintf(name, sizeof(name), "b%u", i);
		put("wait1", name, i == 2 ? 5 : 0);
	}
	put("wait1", "longest_ns", 3000);
	put("faults1", "minor", 20);
	put("faults1", "major", 5);
	(void)printed();
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "storage lcore 1, 1000 batches\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "waits for room: 5; p50 0, p99 0, p99.9 3 us, longest 3 us\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "page faults: 25, 25 per million records; 5 that waited"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "per commit and partition: 0.25\n"));
}

static const struct ut_test tests[] = {
	UT("stat", nothing_is_said_before_the_first_batch),
	UT("stat", waits_turns_and_faults_are_told_per_lcore_and_together),
};

UT_MAIN(tests)
