/* SPDX-License-Identifier: MIT
 * counters.c - make and fill the mapped file of counters.
 * Thread: control, at start (groups) and at stop. Owns: the map and its table; the values belong
 * to the writers of each group. Never: reads the file of another kirad. */
#include "control/counters.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/counters.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* 4,096 entries: 16 rx lcores with about 60 counters each, 16 storage lcores with about 80, and room. */
#define ENTRIES_MAX 4096
#define VALUES_AT   (sizeof(struct kira_counters_head) + \
	ENTRIES_MAX * sizeof(struct kira_counters_entry))
#define VALUES_BYTES (64 * KIB)
#define FILE_BYTES   (VALUES_AT + VALUES_BYTES)
#define FILE_PREFIX  "kira-counters-"

BUILD_ASSERT(VALUES_AT % CACHE_LINE == 0);

/* A group that the file had no room for. */
struct unseen {
	struct unseen *next;
	_Alignas(CACHE_LINE) counter value[];
};

struct counters {
	struct kira_counters_head *head;
	int fd;        /* locked while we live: how others know a dead one's file */
	uint32_t used; /* bytes from the start of the file that are taken */
	struct control_counters *control;
	struct unseen *unseen;
	char shm_dir[64], path[256], link[4200];
};

/* The file behind an old link, if it is one that we made. */
static void
remove_stale(const char *shm_dir, const char *link_path)
{
	char target[256], want[256];
	const ssize_t n = readlink(link_path, target, sizeof(target) - 1);

	if (n <= 0)
		return;
	target[n] = 0;
	(void)snprintf(want, sizeof(want), "%s/" FILE_PREFIX, shm_dir);
	if (strncmp(target, want, strlen(want)) == 0 && !strchr(target + strlen(want), '/'))
		(void)unlink(target);
	(void)unlink(link_path);
}

/* Files of kirads that were killed: nobody holds their lock. Those of a data directory that is gone
 * would stay in memory for ever. */
static void
remove_dead(const char *shm_dir)
{
	DIR *dir = opendir(shm_dir);
	struct dirent *e;
	int fd, pid;

	while (dir && (e = readdir(dir)) != NULL) {
		/* The pid is of our namespace or of another one: it can keep a file, the lock decides. */
		if (sscanf(e->d_name, FILE_PREFIX "%d-", &pid) != 1 ||
			(pid != (int)getpid() && kill(pid, 0) == 0))
			continue;
		fd = openat(dirfd(dir), e->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
		(void)close(fd);
	}
	if (dir)
		(void)closedir(dir);
}

int
counters_open(struct counters **ret, const char *shm_dir, int64_t wall_ms, struct err *err)
{
	static const char *const name[] = {
#define COUNTER(name, help) #name,
#include "control/control_counters.def"
#undef COUNTER
	};
	struct counters *cs = calloc(1, sizeof(*cs));
	int fd, rc;

	ASSERT(cs);
	remove_dead(shm_dir);
	(void)snprintf(cs->shm_dir, sizeof(cs->shm_dir), "%s", shm_dir);
	(void)snprintf(cs->path, sizeof(cs->path), "%s/" FILE_PREFIX "%d-XXXXXX", shm_dir,
		(int)getpid());
	fd = mkstemp(cs->path);
	if (fd < 0) {
		rc = err_sys(err, -errno, "make the counters file %s", cs->path);
		goto fail_free;
	}
	(void)flock(fd, LOCK_EX | LOCK_NB);
	/* Blocks now: a full /dev/shm must not become a SIGBUS in a packet loop. */
	rc = -posix_fallocate(fd, 0, (off_t)FILE_BYTES);
	if (rc < 0) {
		err_sys(err, rc, "reserve %zu bytes for counters in %s", (size_t)FILE_BYTES, shm_dir);
		goto fail_unlink;
	}
	(void)fchmod(fd, 0644);
	cs->head = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (cs->head == MAP_FAILED) {
		rc = err_sys(err, -errno, "map the counters file %s", cs->path);
		goto fail_unlink;
	}
	cs->fd = fd;
	cs->used = VALUES_AT;
	cs->head->version = KIRA_COUNTERS_VERSION;
	cs->head->bytes = FILE_BYTES;
	cs->head->pid = (int32_t)getpid();
	cs->head->entries_max = ENTRIES_MAX;
	cs->head->started_wall_ms = wall_ms;
	cs->head->entries_at = sizeof(struct kira_counters_head);
	cs->head->values_at = VALUES_AT;
	memcpy(cs->head->magic, KIRA_COUNTERS_MAGIC, sizeof(cs->head->magic));
	cs->control = (struct control_counters *)(void *)counters_group(cs, "control", name,
		ARRAY_LENGTH(name));
	*ret = cs;
	return 0;
fail_unlink:
	(void)close(fd);
	(void)unlink(cs->path);
fail_free:
	free(cs);
	return rc;
}

int
counters_link(struct counters *cs, const char *link_path, struct err *err)
{
	remove_stale(cs->shm_dir, link_path);
	if (symlink(cs->path, link_path) < 0)
		return err_sys(err, -errno, "link %s to the counters file", link_path);
	(void)snprintf(cs->link, sizeof(cs->link), "%s", link_path);
	return 0;
}

void
counters_close(struct counters *cs)
{
	if (!cs)
		return;
	if (*cs->link)
		(void)unlink(cs->link);
	(void)unlink(cs->path);
	(void)close(cs->fd);
	(void)munmap(cs->head, FILE_BYTES);
	while (cs->unseen) {
		struct unseen *u = cs->unseen;

		cs->unseen = u->next;
		free(u);
	}
	free(cs);
}

static counter *
unseen_group(struct counters *cs, size_t bytes)
{
	struct unseen *u = aligned_alloc(CACHE_LINE, sizeof(*u) + bytes);

	ASSERT(u);
	memset(u, 0, sizeof(*u) + bytes);
	u->next = cs->unseen;
	cs->unseen = u;
	return u->value;
}

counter *
counters_group(void *arg, const char *group, const char *const *name, unsigned n)
{
	struct counters *cs = arg;
	const uint32_t have = atomic_load_explicit(&cs->head->entries, memory_order_relaxed);
	const uint32_t at = (uint32_t)round_up(cs->used, CACHE_LINE);
	const size_t bytes = round_up((uint64_t)n * sizeof(counter), CACHE_LINE);

	if (n > ENTRIES_MAX - have || at + bytes > FILE_BYTES)
		return unseen_group(cs, bytes);
	for (unsigned i = 0; i < n; i++) {
		struct kira_counters_entry *e = (struct kira_counters_entry *)(void *)((char *)cs->head +
			cs->head->entries_at) + have + i;

		(void)snprintf(e->group, sizeof(e->group), "%s", group);
		(void)snprintf(e->name, sizeof(e->name), "%s", name[i]);
		e->value_at = at + i * (uint32_t)sizeof(counter);
	}
	cs->used = at + (uint32_t)bytes;
	/* N1, release: whoever sees the count sees the entries; pairs with N2 in the reader. */
	atomic_store_explicit(&cs->head->entries, have + n, memory_order_release);
	return (counter *)(void *)((char *)cs->head + at);
}

struct control_counters *
counters_control(struct counters *cs)
{
	return cs->control;
}
