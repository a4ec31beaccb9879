/* SPDX-License-Identifier: MIT
 * storage.c - the life of a data directory: open, attach what the catalogue names, clean stop.
 * Thread: control, while no other runs. */
#include "storage/directory.h"
#include "storage/layout.h"
#include "storage/rewrite.h"
#include "storage/sigbus.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define BUDGET_MAX   (1 * GIB)
#define BUDGET_SHARE 20       /* of the memory: 5 % */
#define TOGETHER_FROM 9       /* below, syncing one by one waits for nothing that others wrote */
#define RESERVE      (1 * MIB)
#define STOP_TURNS   100000   /* of 1 ms: a stop never hangs on a disk that stays full */

static uint64_t
default_budget(void)
{
	struct sysinfo si;

	if (sysinfo(&si) < 0)
		return BUDGET_MAX;
	return MIN(BUDGET_MAX, (uint64_t)si.totalram * si.mem_unit / BUDGET_SHARE);
}

static void
nobody(void *arg, bool now)
{
}

static int
make_words(struct storage *s, struct err *err)
{
	s->words = (s->o.partitions_max + 63) / 64;
	for (unsigned i = 0; i < s->o.store_lcores; i++) {
		struct store_words *w = &s->lcore[i];

		w->touched = calloc(s->words, sizeof(*w->touched));
		w->ask = calloc(s->words, sizeof(*w->ask));
		if (!w->touched || !w->ask || !producers_open(&w->producers, PRODUCERS_PER_LCORE,
			s->o.partitions_max))
			return err_sys(err, -ENOMEM, "memory for producer state");
	}
	s->slot_used = calloc(s->o.partitions_max, 1);
	s->flush.live = calloc(s->o.partitions_max, sizeof(struct partition *));
	s->flush.hot = calloc(s->o.partitions_max, sizeof(struct partition *));
	s->flush.commit.part = calloc(s->o.partitions_max, sizeof(struct partition *));
	if (!s->slot_used || !s->flush.live || !s->flush.hot || !s->flush.commit.part)
		return err_sys(err, -ENOMEM, "memory for %u partitions", s->o.partitions_max);
	return 0;
}

static void
storage_free(struct storage *s)
{
	jobs_close(s->flush.jobs);
	rewrite_close(s->flush.rewriting.rw);
	jobs_close(s->flush.rewriting.jobs);
	for (unsigned i = 0; i < s->o.store_lcores; i++) {
		free(s->lcore[i].touched);
		free(s->lcore[i].ask);
		producers_close(s->lcore[i].producers);
	}
	free(s->slot_used);
	free(s->flush.live);
	free(s->flush.hot);
	free(s->flush.commit.part);
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	(void)pthread_mutex_destroy(&s->op_lock);
	free(s);
}

int
storage_open(struct storage **ret, const struct storage_options *o, int64_t wall_ms, struct err *err)
{
	struct storage *s = aligned_alloc(CACHE_LINE, round_up(sizeof(*s), CACHE_LINE));
	int rc;

	ASSERT(s && o->store_lcores >= 1 && o->store_lcores <= STORE_LCORES_MAX);
	memset(s, 0, sizeof(*s));
	s->o = *o;
	s->io = o->io ? o->io : &io_posix;
	s->count = o->count ? o->count : &s->own;
	s->dirfd = s->lock_fd = -1;
	(void)snprintf(s->dir, sizeof(s->dir), "%s", o->dir);
	if (s->o.reserve_bytes == 0)
		s->o.reserve_bytes = RESERVE;
	if (s->o.together_from == 0)
		s->o.together_from = TOGETHER_FROM;
	s->dirty_budget = o->dirty_budget ? o->dirty_budget : default_budget();
	s->flush.flush_ns = o->flush_ms * NS_PER_MS;
	s->op_last = &s->op_first;
	s->reap_last = &s->reap_first;
	s->lru.lru_next = s->lru.lru_prev = &s->lru;
	(void)pthread_mutex_init(&s->op_lock, NULL);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigbus_install();
	rc = s->wake_fd < 0 ? err_sys(err, -errno, "eventfd") : 0;
	if (rc == 0)
		rc = make_words(s, err);
	if (rc == 0)
		rc = jobs_open(&s->flush.jobs, "", 0, nobody, NULL, err);
	if (rc == 0)
		rc = jobs_open(&s->flush.rewriting.jobs, "", 0, nobody, NULL, err);
	if (rc == 0)
		rc = directory_open(s, wall_ms, err);
	if (rc < 0) {
		directory_close(s);
		storage_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

unsigned
storage_topics(const struct storage *s, const struct storage_topic **ret)
{
	*ret = s->topic;
	return s->topics;
}

int
storage_attach(struct storage *s, const struct storage_topic *topic,
	const struct partition_config *config, struct partition **part, struct err *err)
{
	int rc = storage_take_partitions(s, topic, 0, config, part);

	if (rc < 0) {
		err_set(err, "more partitions than max-partitions=%u allows: raise it",
			s->o.partitions_max);
		return rc;
	}
	s->attached = realloc(s->attached,
		(s->attached_n + (size_t)topic->partitions) * sizeof(*s->attached));
	ASSERT(s->attached);
	for (int32_t i = 0; i < topic->partitions; i++)
		s->attached[s->attached_n++] = (struct attached){part[i],
			directory_row(s, topic->name, topic->id, i)};
	return 0;
}

uint64_t
storage_incarnation(const struct storage *s)
{
	return s->incarnation;
}

const char *
storage_cluster_id(const struct storage *s)
{
	return s->cluster_id;
}

int64_t
storage_producer_ids_spent(const struct storage *s)
{
	return s->ids_spent;
}

bool
storage_is_volatile(const struct storage *s)
{
	return s->is_volatile;
}

/* ---- Clean stop --------------------------------------------------------------------------- */

static bool
settled(const struct storage *s)
{
	for (unsigned i = 0; i < s->flush.hot_n; i++)
		if (partition_state(s->flush.hot[i]) == PART_OK && s->flush.hot[i]->f.left_first)
			return false;
	return !s->flush.commit.running && jobs_idle(s->flush.jobs) && !s->flush.op &&
		!s->op_first && s->flush.commit.number >= s->sync_wanted[0];
}

/* One more commit, and the seals that were due. Jobs run inside the turns now. */
static void
settle(struct storage *s, int64_t wall_ms)
{
	uint64_t now_ns = s->flush.now_ns;

	atomic_store(&s->sync_wanted[0], MAX(atomic_load(&s->sync_wanted[0]),
		s->flush.commit.number + 1));
	for (unsigned i = 0; i < STOP_TURNS; i++) {
		now_ns += NS_PER_MS;
		(void)flush_turn(s, now_ns, wall_ms);
		if (settled(s))
			return;
	}
	while (!jobs_idle(s->flush.jobs)) /* of the last turn: nothing stays behind */
		(void)jobs_reap(s->flush.jobs);
}

static int
take_spare_back(struct partition *part)
{
	struct segment *spare = part->f.given;

	if (!spare)
		return 0;
	part->f.given = NULL;
	segment_free(spare);
	return layout_unlink(part->storage->io, part->dirfd, LAYOUT_SPARE);
}

/* The active segment as a roll would leave it. */
static int
seal_active(struct partition *part)
{
	struct storage *s = part->storage;
	struct producers *p = s->lcore[part->lcore].producers;
	struct segment *seg = part->active;
	char name[LAYOUT_NAME];
	int rc = take_spare_back(part);

	if (seg->blank)
		return rc;
	if (part->position == 0) { /* left by a roll, and nothing came */
		layout_name(name, seg->base, ".log");
		rc = rc < 0 ? rc : layout_unlink(s->io, part->dirfd, name);
		return rc < 0 ? rc : layout_sync_dir(s->io, part->dirfd);
	}
	free(seg->snapshot);
	seg->snapshot_room = PRODUCER_SNAPSHOT_BYTES(producers_count(p, part->slot));
	seg->snapshot = malloc(seg->snapshot_room);
	ASSERT(seg->snapshot);
	index_finish(&seg->index);
	seg->end = part->next;
	seg->snapshot_length = producers_put(p, part->slot, seg->snapshot, seg->snapshot_room);
	atomic_store_explicit(&seg->used, part->position, memory_order_release);
	seg->synced = part->position; /* by the final commit */
	return rc < 0 ? rc : segment_seal(seg);
}

static int
stop_partition(struct partition *part, struct err *err)
{
	int rc;

	if (partition_state(part) != PART_OK)
		return 0; /* its row says so; the next start looks at what is on disk */
	if (frontier_read(&part->durable).end != part->next) {
		err_set(err, "%s: the last records could not be synced; the next start checks the log",
			part->name);
		partition_fail(part);
		return -EIO;
	}
	rc = seal_active(part);
	if (rc < 0) {
		partition_fail(part);
		return err_sys(err, rc, "seal %s", part->name);
	}
	part->active->sealed = !part->active->blank && part->position > 0;
	return 0;
}

int
storage_close(struct storage *s, int64_t wall_ms, struct err *err)
{
	struct jobs *threads;
	char *state;
	int rc = 0, one;

	if (s->flush.started) {
		atomic_store(&s->flush.stop, true);
		storage_wake_flush(s);
		(void)pthread_join(s->flush.thread, NULL);
	}
	flush_rewrite_stop(s);
	s->flush.look_slot = s->o.partitions_max; /* the rest is looked at after the next start */
	while (!jobs_idle(s->flush.jobs)) { /* done() may submit again */
		jobs_wait(s->flush.jobs);
		(void)jobs_reap(s->flush.jobs);
	}
	threads = s->flush.jobs;
	if (jobs_open(&s->flush.jobs, "", 0, nobody, NULL, err) == 0)
		jobs_close(threads);
	settle(s, wall_ms);
	storage_take_segments(s);
	for (unsigned i = 0; i < s->o.partitions_max; i++) {
		if (!s->flush.live[i])
			continue;
		one = stop_partition(s->flush.live[i], err);
		rc = rc < 0 ? rc : one;
	}
	state = directory_state(s, true, wall_ms);
	one = layout_put_text(s->io, s->dirfd, "state", state);
	if (one == 0)
		one = directory_checkpoints(s);
	if (one < 0)
		rc = err_sys(err, one, "write %s/kira.state", s->dir);
	free(state);
	for (unsigned i = 0; i < s->o.partitions_max; i++)
		if (s->flush.live[i])
			partition_free(s->flush.live[i]);
	for (unsigned i = 0; i < s->attached_n; i++) /* never recovered */
		storage_drop_partition(s, s->attached[i].part);
	free(s->attached);
	directory_close(s);
	storage_free(s);
	return rc;
}
