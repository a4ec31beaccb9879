/* SPDX-License-Identifier: MIT
 * nth_failure.c - days of a broker on the simulated disk (sim_disk.h) in which one system call fails,
 * for every call: EIO, ENOSPC or EDQUOT, EINTR, a short read or write, a disk that dies there, or pages that
 * the kernel could not write back behind the broker's back. Then it ends (stopped, killed or cut
 * off), and the next start finds what was promised.
 *
 *	nth_failure [--seed N] [--seeds N] [--every N] [--seconds N]
 *
 * Of each seed's day every N-th call (1: each). Every kind must have fired. A violation ends the run
 * with exit 1 and names the command that repeats it. */
#include "tests/sim/sim_model.h"
#include "tests/unit/storage/fake_io.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CALLS_MAX 20000

enum kind { FAIL_EIO, FAIL_ENOSPC, FAIL_EINTR, FAIL_SHORT, FAIL_BACK, FAIL_DEAD, KINDS };
static const char *const kind_name[KINDS] = {"EIO", "ENOSPC and EDQUOT", "EINTR", "short reads and writes",
	"pages not written back", "disks that died"};

enum event {
	SYNC_FAILED,
	FAILED,       /* partitions */
	HALTED,
	OPEN_FAILED,
	STOP_FAILED,
	OP_FAILED,
	DISK_FULL,
	STORED_LATER, /* by the others, after one had failed */
	BEHIND,
	STOPPED,
	KILLED,
	CUT,
	EVENTS,
};
static const char *const event_name[EVENTS] = {"data syncs told an error", "partitions failed",
	"partitions halted for one start", "starts refused", "stops that said they failed",
	"operations refused", "days with a full disk", "batches stored beside a failed partition",
	"write-behinds",
	"clean stops", "kills", "power cuts"};

static struct run {
	uint64_t seed, at, runs, fired[KINDS], event[EVENTS], batches, again;
	enum kind kind;
	const char *program, *doing;
	struct sim_random random;
	struct engine live;
	bool did;           /* it fired; see did() */
	bool opening;
	bool synced;        /* it was a sync, which loses bytes whatever the error is */
	uint8_t called[CALLS_MAX]; /* enum io_kind, of the day without a failure */
	struct {
		bool told;       /* an error of one of its files */
		int64_t durable; /* then: no further */
	} part[SIM_TOPICS];
} run;

static _Noreturn void
violation(const char *what)
{
	printf("FAILED  seed %" PRIu64 ", %s at call %" PRIu64 ", %s: %s\nrepeat: %s --seed %" PRIu64
	       " --only %d --at %" PRIu64 "\n", run.seed, kind_name[run.kind], run.at, run.doing, what,
		run.program, run.seed, run.kind, run.at);
	exit(1);
}

static uint64_t
roll_dice(uint64_t below)
{
	return sim_random(&run.random, below);
}

static bool
did(void)
{
	const bool at_fake = run.kind == FAIL_SHORT || run.kind == FAIL_DEAD;

	return run.did || (at_fake && run.at > 0 && fake.total >= run.at);
}

/* ---- The failure -------------------------------------------------------------------------- */

static bool
has_fd(const struct partition *part, int fd)
{
	for (const struct segment *seg = part->f.left_first; seg; seg = seg->left_next)
		if (seg->fd == fd)
			return true;
	return part->f.active && part->f.active->fd == fd;
}

/* A data sync, or write-behind, of a segment returns an error: from here on no `disk` ack. */
static void
told(int fd)
{
	struct partition_ends ends;

	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		struct partition *part = run.live.part[i];

		if (!part || run.opening || !has_fd(part, fd))
			continue;
		run.event[SYNC_FAILED]++;
		if (run.part[i].told)
			continue;
		storage_ends(part, &ends);
		run.part[i].told = true;
		run.part[i].durable = ends.durable;
	}
}

static int
fail_here(enum io_kind call, int fd)
{
	static const int error[] = {-EIO, -ENOSPC, -EINTR};

	if (run.kind == FAIL_SHORT || run.kind == FAIL_DEAD)
		return 0; /* fake.short_at, fake.dies_at */
	if (run.kind == FAIL_BACK) {
		run.did = sim_disk_fail_back(sim.disk, -1, &run.random);
		return 0;
	}
	run.did = true;
	run.synced = call == IO_FSYNC || call == IO_SYNC_RANGE || call == IO_WRITE_BEHIND;
	if (call == IO_SYNC_RANGE || call == IO_WRITE_BEHIND) {
		(void)sim_disk_fail_back(sim.disk, fd, &run.random);
		told(fd);
	}
	return run.kind == FAIL_ENOSPC && run.at % 2 ? -EDQUOT : error[run.kind]; /* a quota is a full disk, too */
}

static int
before(enum io_kind call, int fd, const char *name)
{
	run.event[BEHIND] += call == IO_WRITE_BEHIND;
	if (fake.total < CALLS_MAX && run.at == 0)
		run.called[fake.total] = (uint8_t)call;
	return run.at > 0 && fake.total == run.at ? fail_here(call, fd) : 0;
}

/* ---- What must hold at any time ----------------------------------------------------------- */

/* S17: of sync, write-behind and seal of one file never two are in flight together. */
static void
check_one_in_flight(const struct engine *e, const struct partition *part, const struct segment *seg)
{
	const struct jobs *j = e->s->flush.jobs;

	if (sim_jobs_have(j, &seg->sync_job) + sim_jobs_have(j, &seg->behind_job) +
		(seg == part->f.left_first && sim_jobs_have(j, &part->f.seal_job)) > 1)
		violation("two calls in flight that can report a write-back error of one file");
}

static void
check_running(const struct engine *e)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		const struct partition *part = e->part[i];
		struct partition_ends ends;

		if (!part)
			continue;
		storage_ends(part, &ends);
		if (!(ends.start <= ends.durable && ends.durable <= ends.end))
			violation("not start <= durable <= end");
		if (run.part[i].told && ends.durable != run.part[i].durable)
			violation("the durable end moved after an error");
		failed += storage_state(part) == PART_FAILED;
		check_one_in_flight(e, part, part->f.active);
		for (const struct segment *seg = part->f.left_first; seg; seg = seg->left_next)
			check_one_in_flight(e, part, seg);
	}
	if (failed > 1 && run.kind != FAIL_DEAD)
		violation("one failing call failed two partitions");
	if (failed > 0 && run.kind == FAIL_ENOSPC && !run.synced)
		violation("a full disk failed a partition");
	if (failed > 0 && !did())
		violation("a partition failed, and no call had");
	if (sim.syncs_again > run.again)
		violation("a file was synced again after an error");
}

static void
turns(unsigned n)
{
	struct bounds b;

	while (n-- > 0) {
		engine_turns(&run.live, 1);
		model_bounds(&run.live, true, &b); /* acks, as they come */
		check_running(&run.live);
	}
}

/* ---- A day -------------------------------------------------------------------------------- */

static void
append_some(unsigned i)
{
	for (uint64_t n = 1 + roll_dice(6); n > 0; n--) {
		const unsigned producer = (unsigned)roll_dice(SIM_PRODUCERS);
		enum append_verdict v = model_append(&run.live, i, producer,
			(uint32_t)roll_dice(900), 1 + (int32_t)roll_dice(3), false, &run.random);

		if (v == APPEND_WAIT) {
			turns(2);
			continue;
		}
		if (v == APPEND_REFUSED && storage_state(run.live.part[i]) == PART_OK)
			violation("a batch in sequence was refused");
		if (v != APPEND_STORED)
			break;
		for (unsigned k = 0; k < SIM_TOPICS; k++)
			run.event[STORED_LATER] += k != i && run.part[k].told;
	}
	model_publish(&run.live, i);
	if (roll_dice(3) == 0)
		storage_want_disk(run.live.s, 0, storage_publish(run.live.part[i]));
}

static void
read_some(unsigned i)
{
	struct sim_disk *const outer = sim.disk;
	struct partition_ends ends;
	struct storage_range r;
	int16_t error;

	storage_ends(run.live.part[i], &ends);
	if (ends.visible == ends.start)
		return;
	sim.disk = run.live.disk;
	error = storage_read(run.live.part[i],
		ends.start + (int64_t)roll_dice((uint64_t)(ends.visible - ends.start)), 3000, true, &r);
	if (error && !did())
		violation("a read failed, and no call had");
	if (!error && r.length > 0)
		storage_unpin(r.pinned);
	storage_take_segments(run.live.s);
	sim.disk = outer;
}

/* True: it is there. */
static void
create(unsigned i)
{
	model[i].asked = true;
	if (engine_create(&run.live, i) < 0) {
		run.event[OP_FAILED]++;
		if (!*run.live.err.text)
			violation("a topic could not be created, and nobody said why");
		run.live.part[i] = NULL;
		return;
	}
	model[i].created = true;
}

static void
delete(unsigned i)
{
	model[i].deleting = true;
	if (engine_delete(&run.live, i) < 0)
		run.event[OP_FAILED]++; /* it may be there, or not */
	else
		model_deleted(i);
	run.live.part[i] = NULL;
	run.part[i].told = false;
}

static void
work(unsigned steps)
{
	run.doing = "working";
	for (unsigned n = 0; n < steps; n++) {
		const unsigned i = (unsigned)roll_dice(2);
		const uint64_t what = roll_dice(20), ms = roll_dice(4000);

		if (!run.live.part[i])
			continue;
		if (what < 11)
			append_some(i);
		else if (what < 13)
			read_some(i);
		else if (what < 14)
			storage_roll(run.live.part[i], engine_world.now_ns);
		else if (what < 16)
			engine_world.now_ns += ms * NS_PER_MS;
		else
			turns(1 + (unsigned)roll_dice(12));
	}
	turns(40);
}

/* ---- Ends and starts ---------------------------------------------------------------------- */

/* 0, or a partition is halted; -1 refused. */
static int
try_open(struct sim_disk *disk)
{
	run.doing = "starting";
	run.opening = true;
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		run.part[i].told = false;
	if (engine_open(&run.live, disk) < 0) {
		if (!*run.live.err.text)
			violation("a start was refused, and nobody said why");
		run.event[OPEN_FAILED]++;
		run.opening = false;
		return -1;
	}
	run.opening = false;
	return 0;
}

static bool
any_halted(void)
{
	bool any = false;

	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		if (!run.live.part[i] || storage_state(run.live.part[i]) != PART_HALTED)
			continue;
		if (!storage_halt_reason(run.live.part[i]))
			violation("halted, and nobody said why");
		run.event[HALTED]++;
		any = true;
	}
	return any;
}

/* A start in which the call fails is refused, or halts what it cannot judge; the next one, on a disk
 * that works, finds all that was promised. */
static void
open_and_judge(struct sim_disk *disk, struct bounds *b)
{
	const bool had = did(), untold = sim_disk_untold(disk) > 0;
	struct fake_io was;
	const char *what;
	bool odd = try_open(disk) < 0;

	odd |= !odd && any_halted();
	if (odd) {
		if (had && !untold)
			violation("a start on a disk that works was refused, or halted a partition");
		engine_kill(&run.live);
		fake.dies_at = 0;
		if (try_open(disk) < 0)
			violation(run.live.err.text);
		if (any_halted())
			violation("halted again, on a disk that works");
	}
	was = fake;
	fake = (struct fake_io){.under = &sim_io}; /* our own reads do not fail, nor count */
	what = model_judge(&run.live, b, &run.batches);
	fake = was;
	if (what)
		violation(what);
	model_adopt(&run.live);
}

static struct sim_disk *
end(struct sim_disk *disk)
{
	const uint64_t how = roll_dice(3);
	struct sim_disk *cut = disk;
	bool ok[SIM_TOPICS];
	struct bounds b;

	model_bounds(&run.live, true, &b);
	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		if (!run.live.part[i])
			continue;
		run.event[FAILED] += storage_state(run.live.part[i]) == PART_FAILED;
		run.event[DISK_FULL] += i == 0 && run.live.s->count->disk_full > 0;
		ok[i] = storage_state(run.live.part[i]) == PART_OK;
	}
	run.doing = "stopping";
	if (how == 0) {
		run.event[STOPPED]++;
		if (engine_stop(&run.live) < 0) {
			run.event[STOP_FAILED]++;
			if (!*run.live.err.text)
				violation("a stop failed, and nobody said why");
		} else {
			for (unsigned i = 0; i < SIM_TOPICS; i++)
				if (ok[i] && model[i].created && !model[i].deleting && !run.part[i].told)
					model[i].durable = model[i].end;
		}
		for (unsigned i = 0; i < SIM_TOPICS; i++)
			model[i].start_now = model[i].end; /* retention went on */
	} else if (how == 1) {
		run.event[KILLED]++;
		engine_kill(&run.live);
	}
	if (how != 1) { /* also after a stop: what it said is durable */
		cut = sim_disk_crash(disk, &run.random);
		if (how == 2) {
			run.event[CUT]++;
			engine_kill(&run.live);
		}
		sim_disk_free(disk);
	}
	fake.dies_at = 0; /* another disk, or this one again */
	return cut;
}

static void
configure(unsigned i)
{
	engine_world.config[i] = (struct partition_config){
		.segment_bytes = (int64_t)(8192u << roll_dice(3)),
		.segment_ms = INT64_MAX,
		.retention_bytes = i == 0 ? 20000 : -1,
		.retention_ms = -1,
		.max_message_bytes = BATCH_BYTES_MAX,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = INT64_MAX,
		.flush_messages = roll_dice(2) ? 20 : INT64_MAX,
		.log_append_time = i == 1,
		.visible_at_disk = roll_dice(3) == 0,
	};
}

/* True: the call was made, and could fail so. */
static bool
day(uint64_t seed, enum kind kind, uint64_t at)
{
	struct sim_disk *disk = sim_disk_new();
	struct bounds b;

	run.seed = seed;
	run.kind = kind;
	run.at = at;
	run.did = run.synced = false;
	run.again = sim.syncs_again;
	run.random.state = seed * 0x9e3779b97f4a7c15u;
	sim_jobs_seed(seed);
	sim.told = told;
	fake_io_reset();
	fake.under = &sim_io;
	fake.hook = before;
	fake.dies_at = kind == FAIL_DEAD ? at : 0;
	fake.short_at = kind == FAIL_SHORT ? at : 0;
	engine_world = (struct engine_world){.now_ns = clock_now_ns() + 3600 * NS_PER_S,
		.wall_ms = INT64_C(1700000000000), .io = &fake_io};
	for (unsigned i = 0; i < SIM_TOPICS; i++)
		configure(i);
	model_reset();
	model_bounds(NULL, false, &b);
	open_and_judge(disk, &b);
	create(0);
	create(1);
	for (unsigned n = 0; n < 3; n++) {
		work(n == 0 ? 50 : 20);
		if (n == 1)
			create(2);
		if (n == 2 && run.live.part[2])
			delete(2);
		disk = end(disk);
		model_bounds(&run.live, false, &b);
		open_and_judge(disk, &b);
	}
	disk = run.live.disk;
	engine_kill(&run.live);
	sim_disk_free(disk);
	run.runs++;
	run.fired[kind] += did();
	return fake.total >= at;
}

/* ---- The whole ---------------------------------------------------------------------------- */

static int
tell(uint64_t seeds, uint64_t calls, uint64_t ms)
{
	const unsigned never = sim_tell(kind_name, run.fired, KINDS) +
		sim_tell(event_name, run.event, EVENTS);

	printf("%12" PRIu64 " batches read back\n", run.batches);
	if (never > 0)
		printf("FAILED  %u kinds never fired\n", never);
	printf("result: %" PRIu64 " failures at %" PRIu64 " calls of %" PRIu64 " days, %" PRIu64
	       " per second, 0 violations, 0 syncs again, 0 disk acks after an error\n", run.runs,
		calls, seeds, run.runs * 1000 / (ms + 1));
	return never > 0;
}

static bool
can_be_short(uint64_t at)
{
	return run.called[at] == IO_PREAD || run.called[at] == IO_PWRITE;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 'e'},
		{"seeds", required_argument, NULL, 'n'}, {"every", required_argument, NULL, 'v'},
		{"seconds", required_argument, NULL, 's'}, {"only", required_argument, NULL, 'k'},
		{"at", required_argument, NULL, 'a'}, {0}};
	uint64_t v[128] = {['e'] = 1, ['n'] = 2, ['v'] = 7, ['k'] = KINDS}, calls = 0, seed;
	const uint64_t begun = clock_now_ns();
	int c;

	run.program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		v[c] = strtoull(optarg, NULL, 10);
	}
	if (v['a'] && v['k'] < KINDS)
		return !day(v['e'], (enum kind)v['k'], v['a']);
	for (seed = v['e']; v['s'] ? clock_now_ns() - begun < v['s'] * NS_PER_S :
		seed < v['e'] + v['n']; seed++) {
		uint64_t n;

		(void)day(seed, FAIL_EIO, 0);
		ASSERT(fake.total < CALLS_MAX);
		n = fake.total;
		calls += n;
		for (unsigned kind = 0; kind < KINDS; kind++)
			for (uint64_t at = 1 + (seed + kind) % v['v']; at <= n; at += v['v'])
				if (kind != FAIL_SHORT || can_be_short(at))
					(void)day(seed, (enum kind)kind, at);
	}
	model_reset();
	return tell(seed - v['e'], calls, (clock_now_ns() - begun) / NS_PER_MS);
}
