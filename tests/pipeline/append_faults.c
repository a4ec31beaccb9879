/* SPDX-License-Identifier: MIT
 * append_faults.c - appends at a steady rate with the flush daemon's own threads behind, and counts
 * page faults of the appending thread, per commit and partition. faults.py runs and judges it.
 * Threads: main appends, as a storage lcore would; the daemon and its jobs are storage's.
 *
 *   append_faults -d DIR [-p PARTITIONS] [-r MB/S] [-b BATCH BYTES] [-s SECONDS] [-w WARM-UP SECONDS]
 *                 [-S SEGMENT BYTES] [-f FLUSH MS] [-j JOB THREADS] [-m MODE] [-D] [-v]
 *
 * -D: a `disk` ack is always waited for, so that commits follow each other; its time is printed.
 * MODE, letters: what the daemon would do otherwise, for comparison. w: whole-file syncs; f: folios as
 * read-ahead makes them; n: the tail's page is not refilled after a sync; i: pages behind it stay mapped. */
#include "storage/directory.h"
#include "tests/unit/storage/make_batch.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/uuid.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREATE_NS (300 * NS_PER_S)
#define TICK_NS   (200 * NS_PER_US)
/* The kernel writes a file back by itself once its oldest dirty page is 30 s old (it looks every 5 s), and
 * any file once more of all memory is dirty than vm.dirty_background_ratio. */
#define FLUSHER_S 25
/* A sync(2) of anybody writes all files of a file system, one after the other: so long before and after it
 * was noticed it may have written this one. */
#define OTHERS_TICKS 20
#define TICK_OTHERS_NS (100 * NS_PER_MS)

struct lane {
	uint64_t commit;    /* the one begun last when it was looked at */
	unsigned faults;    /* since that commit began */
	const struct segment *seg; /* when others last wrote, and how far it was faulted in: */
	uint64_t ready;
};

struct run {
	const char *dir;
	unsigned partitions, jobs;
	double rate_mb, seconds, warm_s;
	uint32_t batch_bytes;
	uint64_t segment_bytes, flush_ms;
	bool ask, verbose;
	bool foreign;       /* the canary's page is dirty from here on */
	struct storage *s;
	struct partition **part;
	struct lane *lane;
	struct storage_counters count;
	/* Found, after the warm-up. */
	uint64_t batches, bytes, waits;
	/* Faults: the first of a commit and partition; any further; those of a file so old, or while so much is
	 * dirty, that the kernel's own flusher may have written it. */
	uint64_t first, more, flusher;
	/* Further ones of pages that others wrote back. Nobody of ours ever syncs the canary: a store into its
	 * page that faults tells of them. `recent`: what was counted as `more` meanwhile, by tick. */
	uint64_t others, others_seen, others_ns, undisturbed; /* undisturbed: pairs far from any of that */
	uint8_t *canary;
	struct {
		uint64_t tick, more;
	} recent[OTHERS_TICKS + 1];
	uint64_t major, commits_0, commits_1, pairs;
	struct histogram wait, append, disk;
	uint64_t flusher_ns;      /* when it was last seen to have cause to run */
	uint64_t asked, asked_ns; /* -D: the commit waited for, and since when */
};

static uint64_t
faults(uint64_t *major)
{
	struct rusage u;

	(void)getrusage(RUSAGE_THREAD, &u);
	*major = (uint64_t)u.ru_majflt;
	return (uint64_t)u.ru_minflt;
}

/* ---- What the daemon would do otherwise --------------------------------------------------- */

static const char *mode = "";

static int
other_sync_range(int fd, uint8_t *map, uint64_t at, uint64_t length)
{
	if (!strchr(mode, 'w'))
		return io_posix.sync_range(fd, map, at, length);
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int
other_map(int fd, uint64_t length, uint8_t **ret)
{
	const int rc = io_posix.map(fd, length, ret);

	if (rc == 0 && fd >= 0 && strchr(mode, 'f'))
		(void)madvise(*ret, length, MADV_NORMAL);
	return rc;
}

static int
other_populate(void *at, uint64_t length)
{
	return length == FLUSH_PAGE && strchr(mode, 'n') ? 0 : io_posix.populate(at, length);
}

static int
other_unpopulate(void *at, uint64_t length)
{
	return strchr(mode, 'i') ? 0 : io_posix.unpopulate(at, length);
}

/* ---- The run ------------------------------------------------------------------------------ */

static int
fail(const char *what, const struct err *err)
{
	fprintf(stderr, "append_faults: %s: %s\n", what, err ? err->text : strerror(errno));
	return -1;
}

static int
canary_open(struct run *r)
{
	char name[4096];
	int fd;

	(void)snprintf(name, sizeof(name), "%s.canary", r->dir);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || io_posix.pwrite(fd, name, sizeof(name), 0) < 0 || fsync(fd) < 0 ||
		io_posix.map(fd, FLUSH_PAGE, &r->canary) < 0)
		return fail("make the canary", NULL);
	return close(fd);
}

static int
create(struct run *r)
{
	const struct partition_config config = {.segment_bytes = (int64_t)r->segment_bytes,
		.segment_ms = INT64_MAX, .retention_bytes = 2 * (int64_t)r->segment_bytes,
		.retention_ms = -1, .max_message_bytes = BATCH_BYTES_MAX,
		.timestamp_before_max_ms = INT64_MAX, .timestamp_after_max_ms = INT64_MAX,
		.flush_messages = INT64_MAX};
	char text[200], id[23];
	struct storage_op op = {.kind = OP_CREATE_TOPIC, .config = config, .part = r->part,
		.catalogue = text}, *done = NULL;
	const uint64_t t0 = clock_now_ns();

	(void)snprintf(op.topic.name, sizeof(op.topic.name), "t");
	op.topic.partitions = (int32_t)r->partitions;
	memset(op.topic.id, 7, sizeof(op.topic.id));
	uuid_put(id, op.topic.id);
	(void)snprintf(text, sizeof(text), "version 1\nt t %s %u\n", id, r->partitions);
	storage_submit(r->s, &op);
	while (!(done = storage_reap(r->s)) && clock_now_ns() - t0 < CREATE_NS)
		(void)usleep(1000);
	if (!done || op.rc < 0)
		return fail("create", &op.err);
	printf("create_ms=%.1f\n", (double)(clock_now_ns() - t0) / 1e6);
	return 0;
}

/* More is dirty, of whatever process, than the kernel leaves alone. */
static bool
flusher_runs(void)
{
	FILE *f = fopen("/proc/vmstat", "r");
	char name[64];
	unsigned long long n, dirty = 0, threshold = 1;

	while (f && fscanf(f, "%63s %llu", name, &n) == 2) {
		if (strcmp(name, "nr_dirty") == 0)
			dirty = n;
		else if (strcmp(name, "nr_dirty_background_threshold") == 0)
			threshold = n;
	}
	if (f)
		(void)fclose(f);
	return dirty >= threshold;
}

static bool
is_old(const struct run *r, const struct segment *seg)
{
	struct statx st;

	if (clock_now_ns() - r->flusher_ns < NS_PER_S)
		return true;
	return statx(seg->fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) == 0 && (st.stx_mask & STATX_BTIME) &&
		clock_wall_ms() / 1000 - st.stx_btime.tv_sec >= FLUSHER_S;
}

static bool
others_wrote(const struct run *r, uint64_t now_ns)
{
	return r->others_ns && now_ns - r->others_ns < OTHERS_TICKS * TICK_OTHERS_NS;
}

/* Its page was there before they wrote, or a while after. */
static bool
is_of_others(const struct run *r, const struct lane *l, const struct segment *seg, uint64_t position, uint64_t now_ns)
{
	return others_wrote(r, now_ns) || (r->others_ns && l->seg == seg && position < l->ready);
}

static void
canary_look(struct run *r, uint64_t now_ns)
{
	uint64_t major, before = faults(&major);

	(void)atomic_fetch_add((_Atomic uint8_t *)r->canary, 1);
	if (faults(&major) == before)
		return;
	if (!r->foreign) { /* the first store of all */
		r->foreign = true;
		return;
	}
	r->others_seen++;
	r->others_ns = now_ns;
	for (unsigned i = 0; i <= OTHERS_TICKS; i++) {
		if (now_ns / TICK_OTHERS_NS - r->recent[i].tick > OTHERS_TICKS)
			continue;
		r->more -= r->recent[i].more;
		r->others += r->recent[i].more;
		r->recent[i].more = 0;
	}
}

static void
count_more(struct run *r, uint64_t now_ns)
{
	const uint64_t tick = now_ns / TICK_OTHERS_NS;
	const unsigned i = tick % (OTHERS_TICKS + 1);

	if (r->recent[i].tick != tick)
		r->recent[i].more = 0;
	r->recent[i].tick = tick;
	r->recent[i].more++;
	r->more++;
}

/* `begun`: the commit begun last before the stores; another may have begun before they were counted. */
static void
count_faults(struct run *r, struct lane *l, const struct segment *seg, uint64_t position, uint64_t begun,
	uint64_t n, uint64_t now_ns, bool warm)
{
	if (others_wrote(r, now_ns)) {
		l->seg = seg;
		l->ready = atomic_load(&seg->ready);
	}
	if (begun != l->commit) {
		l->commit = begun;
		l->faults = 0;
		r->pairs += warm;
		r->undisturbed += warm && !others_wrote(r, now_ns);
	}
	for (; n > 0; n--) {
		if (warm && l->faults == 0)
			r->first++;
		else if (warm && is_of_others(r, l, seg, position, now_ns))
			r->others++;
		else if (warm && is_old(r, seg))
			r->flusher++;
		else if (warm)
			count_more(r, now_ns);
		l->faults++;
	}
}

/* One `disk` ack wanted at a time, as a producer with one batch in flight: how long it takes. */
static void
ask_for_disk(struct run *r, uint64_t commit, bool warm)
{
	const uint64_t now = clock_now_ns();

	if (r->asked && storage_commit_done(r->s) < r->asked)
		return;
	if (r->asked && warm)
		hist_add(&r->disk, now - r->asked_ns);
	r->asked = commit;
	r->asked_ns = now;
	storage_want_disk(r->s, 0, commit);
}

/* One batch into one partition, waiting for room if need be. */
static int
append(struct run *r, unsigned i, uint8_t *batch, bool warm)
{
	struct partition *part = r->part[i];
	struct append_result result;
	uint64_t t0 = clock_now_ns(), t1, m0, m1, f0 = faults(&m0), f1, begun, commit, wait_ns = 0;
	enum append_verdict v;
	unsigned flags = 0;

	for (;;) {
		begun = atomic_load(&r->s->commit_begun);
		v = storage_append(part, batch, (uint32_t)rb_total(batch), flags, t0,
			clock_wall_ms(), &result);
		if (v != APPEND_WAIT)
			break;
		(void)storage_publish(part);
		if (storage_flush_sleeps(r->s))
			storage_wake_flush(r->s);
		while (!storage_has_room(part))
			(void)sched_yield();
		flags = APPEND_CHECKED;
		wait_ns = clock_now_ns() - t0;
	}
	if (v != APPEND_STORED) {
		fprintf(stderr, "append_faults: a batch was refused: %d\n", result.error);
		return -1;
	}
	t1 = clock_now_ns();
	f1 = faults(&m1);
	commit = storage_publish(part);
	if (commit == 0)
		return fail("a partition failed", NULL);
	if (r->ask)
		ask_for_disk(r, commit, warm);
	if (r->verbose && f1 != f0)
		fprintf(stderr, "fault t=%.4f p=%u n=%" PRIu64 " position=%" PRIu64 " begun=%" PRIu64
			" done=%" PRIu64 "\n", (double)(t1 % (1000 * NS_PER_S)) / 1e9, i, f1 - f0,
			part->position, atomic_load(&r->s->commit_begun), atomic_load(&r->s->commit_done));
	count_faults(r, &r->lane[i], part->active, part->position, begun, f1 - f0, t1, warm);
	if (warm) {
		r->batches++;
		r->bytes += (uint64_t)rb_total(batch);
		r->major += m1 - m0;
		r->waits += wait_ns > 0;
		hist_add(&r->wait, wait_ns);
		hist_add(&r->append, t1 - t0 - wait_ns);
	}
	return 0;
}

static int
drive(struct run *r)
{
	uint8_t *batch = malloc(r->batch_bytes + 4096);
	const double per_s = r->rate_mb * 1e6 / r->batch_bytes;
	const uint64_t t0 = clock_now_ns();
	uint64_t sent = 0, looked_ns = 0;
	unsigned at = 0;

	(void)make_batch(batch, (struct batch_of){.count = 1, .value = r->batch_bytes - 100});
	for (;;) {
		const uint64_t now = clock_now_ns();
		const double s = (double)(now - t0) / 1e9;
		const bool warm = s >= r->warm_s;
		const uint64_t due = (uint64_t)(s * per_s);

		if (s >= r->warm_s + r->seconds)
			break;
		if (warm && r->commits_0 == 0)
			r->commits_0 = counter_read(&r->count.commits);
		for (unsigned n = 0; sent < due && n < 64; n++, sent++) {
			if (append(r, at, batch, warm) < 0)
				return -1;
			at = at + 1 == r->partitions ? 0 : at + 1;
		}
		canary_look(r, now);
		if (storage_flush_sleeps(r->s))
			storage_wake_flush(r->s);
		if (now - looked_ns > 100 * NS_PER_MS) {
			looked_ns = now;
			if (flusher_runs())
				r->flusher_ns = now;
			storage_take_segments(r->s);
			for (unsigned i = 0; i < r->partitions; i++)
				(void)storage_segments(r->part[i]);
		}
		if (sent >= due) {
			const struct timespec ts = {.tv_nsec = TICK_NS};

			(void)nanosleep(&ts, NULL);
		}
	}
	r->commits_1 = counter_read(&r->count.commits);
	free(batch);
	return 0;
}

static void
report(const struct run *r)
{
	const uint64_t faults = r->first + r->more;

	/* A pair: a commit, and a partition appended to after it began. */
	printf("batches=%" PRIu64 " mb_s=%.1f commits=%" PRIu64 " pairs=%" PRIu64 " first=%" PRIu64
		" more=%" PRIu64 " others=%" PRIu64 " others_seen=%" PRIu64 " undisturbed=%" PRIu64
		" flusher=%" PRIu64 " major=%" PRIu64 " per_pair=%.3f per_million=%.1f\n",
		r->batches, (double)r->bytes / 1e6 / r->seconds, r->commits_1 - r->commits_0, r->pairs,
		r->first, r->more, r->others, r->others_seen, r->undisturbed, r->flusher, r->major,
		(double)faults / (double)MAX(r->pairs, (uint64_t)1),
		(double)faults * 1e6 / (double)MAX(r->batches, (uint64_t)1));
	printf("waits=%" PRIu64 " wait_p999_us=%.1f wait_max_us=%.1f append_p50_us=%.2f append_p99_us=%.1f "
		"append_p999_us=%.1f append_max_us=%.1f\n", r->waits,
		(double)hist_quantile(&r->wait, .999) / 1e3, (double)r->wait.max / 1e3,
		(double)hist_quantile(&r->append, .5) / 1e3, (double)hist_quantile(&r->append, .99) / 1e3,
		(double)hist_quantile(&r->append, .999) / 1e3, (double)r->append.max / 1e3);
	if (r->ask)
		printf("disk_acks=%" PRIu64 " disk_p50_ms=%.2f disk_p99_ms=%.2f disk_max_ms=%.2f\n", r->disk.n,
			(double)hist_quantile(&r->disk, .5) / 1e6, (double)hist_quantile(&r->disk, .99) / 1e6,
			(double)r->disk.max / 1e6);
	printf("synced_mb=%.1f prefaulted_mb=%.1f syncs=%" PRIu64 " segments=%" PRIu64 "\n",
		(double)counter_read(&r->count.synced_bytes) / 1e6,
		(double)counter_read(&r->count.prefaulted_bytes) / 1e6,
		counter_read(&r->count.syncs), counter_read(&r->count.segments_made));
}

int
main(int argc, char **argv)
{
	static struct run r = {.partitions = 1, .rate_mb = 2, .seconds = 8, .warm_s = 2,
		.batch_bytes = 4096, .jobs = 4, .segment_bytes = 64 * MIB, .flush_ms = 100};
	static struct io io;
	struct storage_options o;
	struct err err;
	uint64_t t0;
	int c, rc;

	while ((c = getopt(argc, argv, "d:p:r:s:w:b:S:f:j:m:Dv")) != -1) {
		switch (c) {
		case 'd': r.dir = optarg; break;
		case 'p': r.partitions = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'r': r.rate_mb = strtod(optarg, NULL); break;
		case 's': r.seconds = strtod(optarg, NULL); break;
		case 'w': r.warm_s = strtod(optarg, NULL); break;
		case 'b': r.batch_bytes = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'S': r.segment_bytes = strtoull(optarg, NULL, 10); break;
		case 'f': r.flush_ms = strtoull(optarg, NULL, 10); break;
		case 'j': r.jobs = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'D': r.ask = true; break;
		case 'm': mode = optarg; break;
		case 'v': r.verbose = true; break;
		default: return 2;
		}
	}
	if (!r.dir)
		return 2;
	io = io_posix;
	io.sync_range = other_sync_range;
	io.map = other_map;
	io.populate = other_populate;
	io.unpopulate = other_unpopulate;
	o = (struct storage_options){.dir = r.dir, .io = &io, .store_lcores = 1, .partitions_max = r.partitions,
		.job_threads = r.jobs, .flush_ms = r.flush_ms, .disk_cap = 0.8, .count = &r.count};
	r.part = calloc(r.partitions, sizeof(struct partition *));
	r.lane = calloc(r.partitions, sizeof(*r.lane));
	(void)prctl(PR_SET_TIMERSLACK, 1000UL);
	rc = storage_open(&r.s, &o, clock_wall_ms(), &err);
	if (rc < 0)
		return fail("open", &err), 1;
	rc = storage_start(r.s, -1, &err);
	if (rc < 0)
		return fail("start", &err), 1;
	rc = canary_open(&r);
	if (rc == 0)
		rc = create(&r);
	if (rc == 0)
		rc = drive(&r);
	if (rc == 0)
		report(&r);
	t0 = clock_now_ns();
	if (storage_close(r.s, clock_wall_ms(), &err) < 0)
		rc = fail("close", &err);
	else
		printf("close_ms=%.1f\n", (double)(clock_now_ns() - t0) / 1e6);
	return rc < 0;
}
