/* SPDX-License-Identifier: MIT
 * frontier_append.c - the storage lcore: appends in runs, a few of them long, publishes, and only then
 * says how far that was. Thread: its own. */
#include "tests/crash/frontier.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <inttypes.h>
#include <poll.h>

static uint64_t random_state, sent_bytes;
static bool waits[TOPICS];
static struct {
	uint64_t commit; /* 0: none */
	int64_t end;
} disk[TOPICS]; /* a run that waits for its commit, as one with acks at disk does */

/* As many as there is room for. */
static void
append_run_of(unsigned i, struct partition *part, unsigned n)
{
	static uint8_t batch[BATCH_ROOM];
	int64_t next = atomic_load_explicit(&t.topic[i].acked, memory_order_relaxed);
	uint64_t commit;

	waits[i] = false;
	for (; n > 0 && !waits[i]; n--) {
		const uint32_t length = expected_batch(batch, i, t.topic[i].generation, next);
		struct append_result r;

		switch (storage_append(part, batch, length, 0, clock_now_ns(), clock_wall_ms(), &r)) {
		case APPEND_STORED:
			break;
		case APPEND_WAIT:
			happened(WAITED);
			waits[i] = true;
			continue;
		default:
			violation("append at %" PRId64 ": error %d", next, r.error);
		}
		if (r.base_offset != next)
			violation("%" PRId64 " was given where %" PRId64 " is next", r.base_offset, next);
		next += rb_count(batch);
		sent_bytes += length;
	}
	commit = storage_publish(part);
	if (!disk[i].commit) {
		disk[i].commit = commit;
		disk[i].end = next;
		storage_want_disk(t.s, 0, commit);
	}
	/* What a completion says. Release: who reads it finds the published end at least there. */
	atomic_store_explicit(&t.topic[i].acked, next, memory_order_release);
	happened(APPENDED);
}

/* Once the commit is done, what it was to cover is durable: then the ack goes out. */
static void
look_at_commit(unsigned i, const struct partition *part)
{
	struct partition_ends e;

	if (!disk[i].commit || storage_commit_done(t.s) < disk[i].commit)
		return;
	storage_ends(part, &e);
	if (e.durable < disk[i].end)
		violation("acked at disk up to %" PRId64 ", durable up to %" PRId64, disk[i].end, e.durable);
	disk[i].commit = 0;
	happened(ON_DISK);
}

/* What control gives it, until control wants it back. */
static void
serve(unsigned i)
{
	static struct partition *has[TOPICS];
	struct topic *topic = &t.topic[i];
	struct partition *part = atomic_load(&topic->for_lcore);

	if (has[i] && part != has[i]) {
		storage_detach_lcore(has[i]);
		has[i] = NULL;
		disk[i].commit = 0;
		atomic_store(&topic->lcore_has, false);
	}
	if (!part)
		return;
	if (!has[i]) {
		/* Said, then looked at again: control clears the one and then waits for the other. */
		atomic_store(&topic->lcore_has, true);
		if (atomic_load(&topic->for_lcore) != part) {
			atomic_store(&topic->lcore_has, false);
			return;
		}
		has[i] = part;
	}
	look_at_commit(i, part);
	/* A batch that waits is tried again once there may be room for it. */
	if (waits[i] && !storage_has_room(part))
		return;
	if (i == TOPIC_PACKED && dice(&random_state, 4) != 0)
		return; /* slower than it is rewritten */
	if (dice(&random_state, 300) == 0) {
		storage_roll(part, clock_now_ns());
		happened(ROLLED);
	}
	append_run_of(i, part, 1 + (unsigned)dice(&random_state, dice(&random_state, 20) ? 64 : 1500));
}

void *
append_run(void *unused)
{
	const uint64_t begun_ns = clock_now_ns();

	random_state = t.seed * 31;
	while (!t.stop) {
		for (unsigned i = 0; i < TOPICS; i++)
			serve(i);
		if (storage_flush_sleeps(t.s))
			storage_wake_flush(t.s);
		if (waits[TOPIC_LOG] && waits[TOPIC_DISK])
			(void)poll(NULL, 0, 0);
		while (sent_bytes > (clock_now_ns() - begun_ns) / NS_PER_MS * (append_bytes_per_s / 1000) && !t.stop)
			(void)poll(NULL, 0, 1);
	}
	return NULL;
}
