/* SPDX-License-Identifier: MIT
 * stat.c - kira stat: the counters of a kirad on this host, from its mapped file.
 * Thread: main. Only reads: kirad neither knows nor waits. */
#include "control/cli/cli.h"
#include "control/cli/cli_options.h"
#include "control/cli/counter_table.h"
#include "control/cli/stat_appends.h"

#include "base/clock.h"

#include <kira/counters.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME      "kira stat"
#define SHM_FILES "/dev/shm/kira-counters-*"

struct stat_options {
	const char *data_dir;
	double watch;
	bool all, json;
};

#define AT(field) offsetof(struct stat_options, field)
static const struct cli_row rows[] = {
	{"data-dir", 0, "DIR", CLI_TEXT, AT(data_dir), 0, 0, NULL,
		"kirad's; needed where more than one kirad runs"},
	{"all", 'a', NULL, CLI_ON, AT(all), 0, 0, NULL, "counters that are 0, too"},
	{"watch", 'w', "SECONDS", CLI_REAL, AT(watch), 0, 86400, "0",
		"again and again, with the change per second; 0: once"},
	{"json", 0, NULL, CLI_ON, AT(json), 0, 0, NULL, "one object: pid, alive, groups of counters"},
};
#undef AT

static const struct cli_command command = {
	NAME, "[--data-dir DIR] [OPTIONS]",
	"Print the counters of the kirad on this host: GROUP.NAME, value, meaning.", rows,
	ARRAY_LENGTH(rows), 0,
	"Groups: control, storage; lcoreN, rxN, dropN (packets dropped, by reason), storeN per lcore;\n"
	"faultsN, waitN, turnN per storage lcore: page faults; how long batches without room waited, and\n"
	"turns lasted, by powers of two of a microsecond. What these come to is said first.\n"
	"Example:\n"
	"  kira stat --watch 1\n"
	"  kira stat --data-dir /var/lib/kira --all | grep drop\n"};

struct view {
	const void *map;
	size_t bytes;
	bool alive;
};

/* The file of the only kirad that lives here. */
static int
find_only(char *ret, size_t size, struct err *err)
{
	glob_t g = {0};
	unsigned live = 0;

	(void)glob(SHM_FILES, GLOB_NOSORT, NULL, &g);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		const long pid = strtol(g.gl_pathv[i] + sizeof(SHM_FILES) - 2, NULL, 10);

		if (pid <= 0 || (kill((pid_t)pid, 0) < 0 && errno != EPERM))
			continue;
		(void)snprintf(ret, size, "%s", g.gl_pathv[i]);
		live++;
	}
	globfree(&g);
	if (live == 1)
		return 0;
	if (live == 0)
		err_set(err, "no kirad runs on this host; --data-dir DIR reads what a killed one left");
	else
		err_set(err, "%u kirads run on this host; --data-dir DIR says which", live);
	return -ENOENT;
}

static int
map_file(struct view *v, const char *data_dir, struct err *err)
{
	const struct kira_counters_head *head;
	char path[4096];
	struct stat st;
	void *map;
	int fd, rc;

	if (data_dir)
		(void)snprintf(path, sizeof(path), "%s/run/counters", data_dir);
	else if ((rc = find_only(path, sizeof(path), err)) < 0)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		if (rc == -ENOENT)
			err_set(err, "%s: no counters there; does kirad run with --data-dir %s?", path,
				data_dir ? data_dir : "DIR");
		else
			err_sys(err, rc, "open %s", path);
		return rc;
	}
	if (fstat(fd, &st) < 0 || st.st_size <= 0) {
		(void)close(fd);
		err_set(err, "%s: empty; kirad is starting? try again", path);
		return -EAGAIN;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	rc = -errno;
	(void)close(fd);
	if (map == MAP_FAILED)
		return err_sys(err, rc, "map %s", path);
	if (!kira_counters_valid(map, (size_t)st.st_size)) {
		(void)munmap(map, (size_t)st.st_size);
		err_set(err, "%s: not a counters file of this version; are kira and kirad of one build?", path);
		return -EINVAL;
	}
	head = map;
	*v = (struct view){.map = map, .bytes = (size_t)st.st_size,
		.alive = kill(head->pid, 0) == 0 || errno == EPERM};
	return 0;
}

static void
unmap_file(struct view *v)
{
	(void)munmap((void *)(uintptr_t)v->map, v->bytes);
}

static void
print_json(const struct view *v)
{
	const struct kira_counters_head *h = v->map;
	const uint32_t n = kira_counters_entries(v->map);
	const char *group = "";

	printf("{\"pid\":%d,\"alive\":%s,\"started_ms\":%" PRId64 ",\"groups\":{", h->pid,
		v->alive ? "true" : "false", h->started_wall_ms);
	for (uint32_t i = 0; i < n; i++) {
		const struct kira_counters_entry *e = kira_counters_entry(v->map, i);

		if (strncmp(group, e->group, sizeof(e->group)) != 0)
			printf("%s\"%.*s\":{", *group ? "}," : "", (int)sizeof(e->group), e->group);
		else
			printf(",");
		group = e->group;
		printf("\"%.*s\":%" PRIu64, (int)sizeof(e->name), e->name, kira_counters_value(v->map, e));
	}
	printf("%s}}\n", *group ? "}" : "");
}

static uint64_t
value_of(const struct view *v, const char *group, const char *name)
{
	const uint32_t n = kira_counters_entries(v->map);

	for (uint32_t i = 0; i < n; i++) {
		const struct kira_counters_entry *e = kira_counters_entry(v->map, i);

		if (strncmp(e->group, group, sizeof(e->group)) == 0 &&
			strncmp(e->name, name, sizeof(e->name)) == 0)
			return kira_counters_value(v->map, e);
	}
	return 0;
}

static void
print_head(const struct view *v)
{
	const uint64_t degraded_s = value_of(v, "control", "degraded_s");
	const struct kira_counters_head *h = v->map;
	const int64_t s = MAX(clock_wall_ms() - h->started_wall_ms, (int64_t)0) / 1000;

	if (v->alive)
		printf("kirad runs, pid %d, since %" PRId64 " h %02" PRId64 " min %02" PRId64 " s\n", h->pid,
			s / 3600, s / 60 % 60, s % 60);
	else
		printf("kirad does NOT run: pid %d is gone, these are its last figures\n", h->pid);
	if (degraded_s > 0)
		printf("DEGRADED: nothing became durable for %" PRIu64 " s, disk acks wait\n", degraded_s);
	if (value_of(v, "control", "in_memory"))
		printf("IN MEMORY: a power cut takes all records\n");
}

static uint64_t
storage_counter(const struct view *v, const char *name)
{
	const uint32_t n = kira_counters_entries(v->map);

	for (uint32_t i = 0; i < n; i++) {
		const struct kira_counters_entry *e = kira_counters_entry(v->map, i);

		if (strncmp(e->group, "storage", sizeof(e->group)) == 0 &&
			strncmp(e->name, name, sizeof(e->name)) == 0)
			return kira_counters_value(v->map, e);
	}
	return 0;
}

/* What compression.type=lz4 saved since the start; nothing where no topic has it. */
static void
print_rewritten(const struct view *v)
{
	const uint64_t before = storage_counter(v, "rewrite_bytes_before");
	const uint64_t after = storage_counter(v, "rewrite_bytes_after");

	if (before > 0)
		printf("rewritten with LZ4: %" PRIu64 " segments, %.1f MiB became %.1f MiB, %.0f %% saved\n",
			storage_counter(v, "rewrite_segments"), (double)before / (double)MIB,
			(double)after / (double)MIB, 100 - (double)after * 100 / (double)before);
}

/* How many batches a data sync stands for; nothing where nobody waits for the disk. */
static void
print_group_commit(const struct view *v)
{
	const uint64_t syncs = storage_counter(v, "syncs");
	const uint32_t n = kira_counters_entries(v->map);
	uint64_t acked = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct kira_counters_entry *e = kira_counters_entry(v->map, i);

		if (strncmp(e->group, "rx", 2) == 0 && strncmp(e->name, "disk_acked", sizeof(e->name)) == 0)
			acked += kira_counters_value(v->map, e);
	}
	if (acked > 0 && syncs > 0)
		printf("group commit: %" PRIu64 " datagrams acked at disk by %" PRIu64 " data syncs, %.0f each\n",
			acked, syncs, (double)acked / (double)syncs);
}

/* `was`, if not NULL: the values `seconds` ago, by entry. `now`, if not NULL, takes those of
 * now. */
static void
print_text(const struct view *v, bool all, const uint64_t *was, uint64_t *now, double seconds)
{
	const uint32_t n = kira_counters_entries(v->map);
	const char *group = "";

	print_head(v);
	print_rewritten(v);
	print_group_commit(v);
	if (!was)
		stat_appends_print(v->map, stdout);
	for (uint32_t i = 0; i < n; i++) {
		const struct kira_counters_entry *e = kira_counters_entry(v->map, i);
		const uint64_t value = kira_counters_value(v->map, e);
		const struct counter_help *help;
		char name[KIRA_COUNTERS_GROUP + KIRA_COUNTERS_NAME + 2], rate[32] = "";

		if (now)
			now[i] = value;
		if (value == 0 && !all && (!was || was[i] == 0))
			continue;
		if (!all && stat_appends_tells(e->group))
			continue;
		if (strncmp(group, e->group, sizeof(e->group)) != 0)
			printf("\n");
		group = e->group;
		(void)snprintf(name, sizeof(name), "%.*s.%.*s", (int)sizeof(e->group), e->group,
			(int)sizeof(e->name), e->name);
		help = counter_table_find(e->group, e->name);
		if (was && !(help && help->gauge))
			(void)snprintf(rate, sizeof(rate), "%14.1f/s", (double)(int64_t)(value - was[i]) / seconds);
		printf("%-34s %20" PRIu64 "%s%*s  %s%s\n", name, value, rate,
			was && !*rate ? 16 : 0, "", help ? help->help : "", help && help->gauge ? " (now)" : "");
	}
}

static int
watch(const struct stat_options *o, struct err *err)
{
	const struct timespec pause = {.tv_sec = (time_t)o->watch,
		.tv_nsec = (long)((o->watch - (double)(time_t)o->watch) * 1e9)};
	const bool terminal = isatty(STDOUT_FILENO) != 0;
	uint64_t *value[2] = {NULL, NULL}, at_ns = 0;
	uint32_t entries = 0;
	int32_t pid = 0;
	unsigned turn = 0;

	/* Mapped anew each time: kirad may have been restarted, with another file. */
	for (;; turn ^= 1) {
		const uint64_t was_ns = at_ns;
		struct view v;
		uint32_t n;
		bool same;
		int rc = map_file(&v, o->data_dir, err);

		if (rc < 0)
			return rc;
		at_ns = clock_now_ns();
		n = kira_counters_entries(v.map);
		same = n == entries && pid == ((const struct kira_counters_head *)v.map)->pid;
		if (!same) {
			free(value[0]);
			free(value[1]);
			value[0] = calloc(n + 1, sizeof(uint64_t));
			value[1] = calloc(n + 1, sizeof(uint64_t));
			if (!value[0] || !value[1])
				return -ENOMEM;
			entries = n;
			pid = ((const struct kira_counters_head *)v.map)->pid;
		}
		if (terminal && !o->json)
			printf("\033[H\033[J");
		if (o->json)
			print_json(&v);
		else
			print_text(&v, o->all, same ? value[turn ^ 1] : NULL, value[turn],
				(double)(at_ns - was_ns) / 1e9);
		if (!terminal && !o->json)
			printf("\n");
		unmap_file(&v);
		if (fflush(stdout) != 0)
			return err_sys(err, -errno, "write to standard output");
		(void)nanosleep(&pause, NULL);
	}
}

int
cli_stat(int argc, char **argv)
{
	struct stat_options o;
	struct err err = {""};
	struct view v;
	const char *word[1];
	unsigned words;
	int status;

	if (!cli_begin(&command, &o, sizeof(o), argc, argv, word, &words, &status))
		return status;
	if (o.watch > 0)
		return watch(&o, &err) < 0 ? cli_fail(NAME, err.text, CLI_EXIT_FAILED) : CLI_EXIT_OK;
	if (map_file(&v, o.data_dir, &err) < 0)
		return cli_fail(NAME, err.text, CLI_EXIT_FAILED);
	if (o.json)
		print_json(&v);
	else
		print_text(&v, o.all, NULL, NULL, 1);
	unmap_file(&v);
	return CLI_EXIT_OK;
}
