/* SPDX-License-Identifier: MIT
 * asleep.c - everything asleep, then one gift, with real threads: the flush daemon and its jobs on a real
 * directory, a storage lcore, and somebody who waits for the disk. What tests/sim/interleave.c tries in
 * any order of steps on one thread, here with the memory of real CPUs; asleep.sh --tsan lets a
 * sanitizer look. Bells that ring for nothing make the daemon lie down thousands of times a second,
 * so that a gift comes in the middle of it.
 *
 *	asleep [--seconds N] [--seed N]
 *
 * Exit 1 if a wait does not end, or if too many ended only with the daemon's own look at the clock. */
#include "storage/directory.h"
#include "tests/unit/storage/make_batch.h"

#include "base/assert.h"
#include "base/clock.h"

#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PARTS      4
#define LIMIT_NS   (20 * NS_PER_S)
#define LATE_NS    (400 * NS_PER_MS) /* the daemon sleeps for half a second at most */
#define QUICK_MOST 40                /* duplicates between two sleeps */

enum gift { FIRST_BATCH, ROLL, DISK_WAITER, DUPLICATE, GIFTS };
static const char *const gift_name[GIFTS] = {"first batches of a cold partition", "rolls without a spare",
	"first disk waiters", "duplicates on an idle directory"};

static struct {
	struct storage *s;
	struct partition *part[PARTS];
	char dir[64];
	int32_t sequence[PARTS];     /* next */
	uint8_t bytes[4096];
	uint64_t dice, rounds[GIFTS], late[GIFTS];
	uint64_t longest_ns;
	_Atomic uint64_t wanted, seen; /* commits: the lcore's wish, and what the waiter saw done */
	_Atomic bool stop;
} run;

static uint64_t
roll_dice(uint64_t below)
{
	uint64_t z = run.dice += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	return (z ^ z >> 31) % below;
}

static _Noreturn void
violation(const char *what)
{
	printf("FAILED  %s\n", what);
	exit(1);
}

static void
ring(void)
{
	if (storage_flush_sleeps(run.s)) /* Z2 */
		storage_wake_flush(run.s);
}

/* ---- The one who waits for the disk: an rx lcore, or control ------------------------------- */

static void *
waiter(void *arg)
{
	uint64_t asked = 0;

	while (!atomic_load(&run.stop)) {
		const uint64_t want = atomic_load(&run.wanted), done = storage_commit_done(run.s);

		if (want > asked) {
			storage_want_disk(run.s, 0, want); /* W1 */
			asked = want;
			ring();
		}
		atomic_store(&run.seen, done);
		(void)sched_yield();
	}
	return NULL;
}

static void *
ringer(void *arg)
{
	while (!atomic_load(&run.stop)) {
		storage_wake_flush(run.s); /* for nothing */
		(void)usleep(100);
	}
	return NULL;
}

/* ---- The storage lcore --------------------------------------------------------------------- */

static enum append_verdict
append(unsigned i, bool again)
{
	struct append_result result;
	const uint32_t n = make_batch(run.bytes, (struct batch_of){.count = 1, .value = 500, .producer = 9,
		.sequence = run.sequence[i] - again, .timestamp = clock_wall_ms(), .seed = i});
	const enum append_verdict v = storage_append(run.part[i], run.bytes, n, APPEND_UDP, clock_now_ns(),
		clock_wall_ms(), &result);

	if (v == APPEND_STORED)
		run.sequence[i]++;
	else if (v != APPEND_WAIT && v != APPEND_DUPLICATE)
		violation("a batch in sequence was refused");
	return v;
}

/* Everything that a wait looks at; false: it goes on. */
struct wait {
	enum gift gift;
	unsigned part;
	uint64_t commit;
	const struct segment *left;
	bool stored;
};

static bool
goes_on(struct wait *wt)
{
	const struct partition *part = run.part[wt->part];

	if (wt->gift == ROLL) {
		storage_roll(run.part[wt->part], clock_now_ns());
		ring();
		return part->active != wt->left;
	}
	if (!wt->stored) {
		if (!storage_has_room(part))
			return false;
		wt->stored = append(wt->part, false) == APPEND_STORED;
		wt->commit = storage_publish(run.part[wt->part]);
		ring();
		if (!wt->stored)
			return false;
		if (wt->gift == DISK_WAITER)
			atomic_store(&run.wanted, wt->commit);
	}
	if (wt->gift == FIRST_BATCH) { /* nobody waits: flush.ms must come */
		struct partition_ends ends;

		storage_ends(part, &ends);
		return ends.durable == ends.end;
	}
	return atomic_load(&run.seen) >= wt->commit;
}

static void
give(enum gift gift, unsigned i)
{
	struct wait wt = {.gift = gift, .part = i, .left = run.part[i]->active};
	const uint64_t begun = clock_now_ns();
	uint64_t took;

	if (gift == DUPLICATE) {
		wt.stored = true;
		(void)append(i, true);
		wt.commit = storage_publish(run.part[i]);
		ring();
		atomic_store(&run.wanted, wt.commit);
	}
	while (!goes_on(&wt)) {
		if (clock_now_ns() - begun > LIMIT_NS)
			violation(gift_name[gift]);
		(void)sched_yield();
	}
	took = clock_now_ns() - begun;
	run.rounds[gift]++;
	run.late[gift] += took > LATE_NS;
	run.longest_ns = MAX(run.longest_ns, took);
}

static void
until_all_sleep(void)
{
	const uint64_t begun = clock_now_ns();

	while (atomic_load(&run.s->asleep) != FLUSH_SLEEPS) {
		if (clock_now_ns() - begun > LIMIT_NS)
			violation("the flush daemon never sleeps");
		(void)usleep(1000);
	}
}

static void
rounds(uint64_t until_ns)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < PARTS; i++)
		give(DISK_WAITER, i);
	/* Longer on a machine that is busy: until each kind came. */
	while (clock_now_ns() < until_ns || (n < 2 * DUPLICATE && clock_now_ns() < until_ns + 3 * LIMIT_NS)) {
		const unsigned i = (unsigned)roll_dice(PARTS);

		until_all_sleep();
		for (uint64_t k = 1 + roll_dice(QUICK_MOST); k > 0; k--) {
			give(DUPLICATE, i);
			(void)usleep((unsigned)roll_dice(300));
		}
		/* An empty segment is never rolled. */
		give(run.part[i]->position == 0 ? FIRST_BATCH : (enum gift)(n % DUPLICATE), i);
		n++;
		storage_take_segments(run.s);
	}
}

/* ---- Around it ----------------------------------------------------------------------------- */

static void
open_all(void)
{
	static char catalogue[] = "version 1\nt t AQAAAAAAAAAAAAAAAAAAAA 4\n";
	const struct storage_options o = {.dir = run.dir, .volatile_ok = true, .store_lcores = 1,
		.partitions_max = PARTS, .job_threads = 2, .flush_ms = 50, .disk_cap = 0.9};
	struct storage_op op = {.kind = OP_CREATE_TOPIC, .part = run.part,
		.topic = {.name = "t", .id = {1}, .partitions = PARTS},
		.config = {.segment_bytes = 1 << 20, .segment_ms = INT64_MAX, .retention_bytes = -1,
			.retention_ms = -1, .max_message_bytes = 4096, .timestamp_before_max_ms = INT64_MAX,
			.timestamp_after_max_ms = INT64_MAX, .flush_messages = INT64_MAX},
		.catalogue = catalogue};
	struct err err = {""};

	ASSERT(mkdtemp(run.dir));
	if (storage_open(&run.s, &o, clock_wall_ms(), &err) < 0 || storage_start(run.s, -1, &err) < 0)
		violation(err.text);
	storage_submit(run.s, &op);
	while (!storage_reap(run.s))
		(void)usleep(1000);
	if (op.rc < 0)
		violation(op.err.text);
}

static int
take_away(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 'e'},
		{"seconds", required_argument, NULL, 's'}, {0}};
	uint64_t v[128] = {['e'] = 1, ['s'] = 10}, all = 0, late = 0, never = 0;
	pthread_t thread[2];
	struct err err = {""};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		v[c] = strtoull(optarg, NULL, 10);
	}
	run.dice = v['e'];
	(void)snprintf(run.dir, sizeof(run.dir), "/var/tmp/kira-asleep-XXXXXX");
	open_all();
	ASSERT(pthread_create(&thread[0], NULL, waiter, NULL) == 0);
	ASSERT(pthread_create(&thread[1], NULL, ringer, NULL) == 0);
	rounds(clock_now_ns() + v['s'] * NS_PER_S);
	atomic_store(&run.stop, true);
	for (unsigned i = 0; i < 2; i++)
		(void)pthread_join(thread[i], NULL);
	if (storage_close(run.s, clock_wall_ms(), &err) < 0)
		violation(err.text);
	(void)nftw(run.dir, take_away, 8, FTW_DEPTH | FTW_PHYS);
	for (unsigned i = 0; i < GIFTS; i++) {
		printf("%12" PRIu64 " %s, %" PRIu64 " of them late\n", run.rounds[i], gift_name[i], run.late[i]);
		all += run.rounds[i];
		late += run.late[i];
		never += run.rounds[i] == 0;
	}
	if (never > 0)
		printf("FAILED  %" PRIu64 " kinds never came\n", never);
	if (late > 2 + all / 20) /* a busy machine makes some late */
		printf("FAILED  %" PRIu64 " of %" PRIu64 " waits ended only by the clock\n", late, all);
	printf("result: %" PRIu64 " gifts to sleepers, the longest wait %" PRIu64 " ms\n", all,
		run.longest_ns / NS_PER_MS);
	return never > 0 || late > 2 + all / 20;
}
