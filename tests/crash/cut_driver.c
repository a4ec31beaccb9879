/* SPDX-License-Identifier: MIT
 * cut_driver.c - one life of the storage engine between two power cuts, for fs_cut.py: looks at what
 * the last cut left, recovers it, judges it by the history, works on, and cuts again.
 *
 *	cut_driver [--seed N] [--mount DIR] [--recovery-cut N] [--look] [--full] [--ops LETTERS --cut-at N] DIR HISTORY
 *
 *	--mount DIR        the file system whose power is cut; without, the run only judges and stops
 *	--recovery-cut N   cut at the Nth call of the recovery that changes or syncs something
 *	--ops LETTERS      only these operations (cut.h), and the cut at the Nth call, or behind them
 *	--full             there is little space: a start may fail of it, and a batch may wait in vain
 *	--look             recover and judge (a copy of) DIR, tell its digests, change no history
 *	--again            used by itself: killed and started again, the file system stayed
 *
 * What it counted goes to stdout, `key value` per line. Exit 1 and a line FAILED: a promise is broken. */
#include "tests/crash/cut.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
	struct engine engine;
	struct history history;
	const char *dir, *history_path, *mount, *ops;
	uint64_t seed, random, flush_ms;
	int64_t recovery_cut, cut_at;
	bool look, again, stops, is_killed;
	struct judged judged;
	struct work work;
};

static _Noreturn void
violation(const struct run *r, const char *what)
{
	printf("FAILED  seed %" PRIu64 ": %s\n", r->seed, what);
	(void)fflush(stdout);
	_exit(1);
}

static uint64_t
dice(struct run *r, uint64_t below)
{
	return cut_random(&r->random, below);
}

static void
tell(const char *key, uint64_t value)
{
	printf("%s %" PRIu64 "\n", key, value);
}

/* ---- What follows from the seed ----------------------------------------------------------- */

static void
configure(struct run *r, unsigned t)
{
	r->engine.config[t] = (struct partition_config){
		.segment_bytes = (int64_t)(131072u << (t == CUT_SMALL ? 0 : dice(r, 4))), /* many, to be rewritten */
		.segment_ms = dice(r, 4) ? INT64_MAX : 3000,
		.retention_bytes = dice(r, 3) ? 300000 + (int64_t)dice(r, 1000000) : 8000000,
		.retention_ms = dice(r, 3) ? -1 : 15000,
		.max_message_bytes = BATCH_BYTES_MAX,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = INT64_MAX,
		.flush_messages = dice(r, 6) ? INT64_MAX : 40,
		.log_append_time = t == 1,
		.rewrite_lz4 = t == CUT_SMALL,
		.visible_at_disk = dice(r, 3) == 0,
	};
}

static void
plan(struct run *r)
{
	/* Two lives of one seed are not to do the same again. */
	r->random = r->seed * 0x9e3779b97f4a7c15u + r->again;
	for (unsigned t = 0; t < CUT_TOPICS; t++)
		configure(r, t);
	r->engine.threads = dice(r, 2);
	r->work.quiet = dice(r, 4) > 0;
	r->flush_ms = r->work.quiet ? 30000 : dice(r, 2) ? 200 + dice(r, 2000) : 20;
	/* By turns, so that a short run has all of them. */
	r->is_killed = !r->again && r->seed % 5 == 1;
	r->stops = r->seed % 5 == 3;
	r->work.random = dice(r, UINT64_MAX);
	r->work.steps = 20 + (unsigned)dice(r, 100);
	r->work.steps_after = 4 + (unsigned)dice(r, 10);
	cut.seed = dice(r, UINT64_MAX);
	cut.write_back = dice(r, 8) ? 10 + (unsigned)dice(r, 80) : 0;
	cut.how = (enum cut_how)((const uint8_t[]){CUT_LOG_FLUSHED, CUT_LOG_FLUSHED, CUT_LOG_FLUSHED,
		CUT_LOG_FLUSHED, CUT_LOG_FLUSHED, CUT_AFTER_FSYNC, CUT_AFTER_FSYNC, CUT_AFTER_FSYNC,
		CUT_BARE, r->seed % 20 < 10 ? CUT_SYNCED : CUT_READ_ONLY})[r->seed % 10];
}

/* ---- Phases ------------------------------------------------------------------------------- */

static void
open_and_judge(struct run *r, bool killed)
{
	const int rc = engine_open(&r->engine, r->dir, r->flush_ms);
	const char *what;

	if (rc == -ENOSPC && work_full) {
		tell("no_space_at_start", 1);
		(void)fflush(stdout);
		_exit(0);
	}
	if (rc < 0 && !cut.begun)
		violation(r, r->engine.err.text);
	if (cut.begun) {
		tell("cut_in_recovery", 1);
		(void)fflush(stdout);
		_exit(0);
	}
	what = judge(&r->engine, &r->history, killed, &r->judged);
	if (what)
		violation(r, what);
}

static void
stop_and_open(struct run *r)
{
	struct judged again = {0};
	const char *what;

	history_stopping(&r->history);
	history_flush(&r->history);
	if (engine_stop(&r->engine) < 0 && !cut.begun)
		violation(r, r->engine.err.text);
	if (cut.begun) {
		tell("cut_in_stop", 1);
		(void)fflush(stdout);
		_exit(0);
	}
	history_stopped(&r->history);
	history_flush(&r->history);
	what = judge_files(r->dir);
	if (what)
		violation(r, what);
	again = r->judged;
	memset(&r->judged, 0, sizeof(r->judged));
	open_and_judge(r, false);
	if (r->judged.epochs > 0)
		violation(r, "a clean stop, and an epoch was raised");
	r->judged = again;
	judge_adopt(&r->engine, &r->history);
	tell("clean_stops", 1);
}

/* The process ends here as by SIGKILL: nothing is closed, written or said. */
static _Noreturn void
die_and_come_back(struct run *r, const char *ops)
{
	char seed[24], at[24];

	(void)snprintf(seed, sizeof(seed), "%" PRIu64, r->seed);
	(void)snprintf(at, sizeof(at), "%" PRId64, (int64_t)cut.calls_left);
	tell("kills", 1);
	(void)fflush(stdout);
	(void)execl("/proc/self/exe", "cut_driver", "--again", "--mount", r->mount, "--seed", seed, r->dir,
		r->history_path, ops ? "--ops" : NULL, ops, "--cut-at", at, NULL);
	violation(r, "execl");
}

static void
work_and_die(struct run *r)
{
	const char *what;

	r->work.steps = 1 + r->work.steps / 3;
	r->work.no_cut = true;
	what = work(&r->engine, &r->history, &r->work);
	if (what)
		violation(r, what);
	die_and_come_back(r, NULL);
}

/* What is in --ops, then the cut if it was not yet. */
static void
live_by_ops(struct run *r)
{
	cut.calls_left = r->cut_at;
	for (const char *op = r->ops; *op && !cut.begun; op++) {
		const char *what = NULL;

		if (*op == 'e')
			die_and_come_back(r, op + 1);
		if (*op == 'k')
			stop_and_open(r);
		else
			what = sequence_op(&r->engine, &r->history, *op);
		if (what)
			violation(r, what);
	}
	cut_now();
	printf("cut %s\n", cut_how_name[cut.how]);
}

static void
tell_judged(const struct run *r, const struct raw *raw)
{
	tell("files", raw->files);
	tell("holes", raw->holes);
	tell("torn", raw->torn);
	tell("lost_pages", raw->lost_pages);
	tell("kept_pages", raw->kept_pages);
	tell("cuts_with_hole", raw->holes > 0);
	tell("cuts_with_torn", raw->torn > 0);
	tell("partitions", r->judged.partitions);
	tell("epochs_raised", r->judged.epochs);
	tell("batches", r->judged.batches);
	tell("merged", r->judged.merged);
	tell("starts_within", r->judged.starts_within);
	tell("starts_merged", r->judged.starts_merged);
	tell("sent_log", r->judged.sent[LEVEL_LOG]);
	tell("kept_log", r->judged.kept[LEVEL_LOG]);
	tell("acked_disk", r->judged.sent[LEVEL_DISK]);
	tell("kept_disk", r->judged.kept[LEVEL_DISK]);
	for (unsigned i = 0; i < CUT_LOGS; i++)
		printf("digest %u %016" PRIx64 "\n", i, r->judged.digest[i]);
}

static void
tell_work(const struct run *r)
{
	tell("duplicates", r->judged.duplicates);
	tell("appended", r->work.batches);
	tell("rolls", r->work.rolls);
	tell("waits_in_vain", work_refused);
	tell("created", r->work.created);
	tell("deleted", r->work.deleted);
	tell("trims", r->work.trims);
	tell("failed_after", r->work.failed_after);
	tell("threads", r->engine.threads);
	tell("pages_written_back", cut.pages);
	tell("calls", cut.calls);
	if (cut.mount >= 0)
		printf("cut %s\n", cut_how_name[cut.how]);
}

static void
live(struct run *r)
{
	const bool has_past = r->history.events > 0;
	struct raw raw = {0};
	const char *what;

	if (!r->again)
		raw_look(&r->history, r->dir, &raw);
	if (raw.acked_lost > 0)
		fprintf(stderr, "%u pages below what was acked at disk are not there\n", raw.acked_lost);
	cut.calls_left = r->again && r->ops ? r->cut_at : r->recovery_cut;
	open_and_judge(r, r->again);
	r->cut_at = r->ops && r->again ? cut.calls_left : r->cut_at;
	cut.calls_left = -1;
	tell("recovered", has_past && !r->again);
	if (has_past)
		tell_judged(r, &raw);
	if (r->look)
		return;
	judge_adopt(&r->engine, &r->history);
	if (r->ops) {
		live_by_ops(r);
		return;
	}
	if ((r->stops && !work_full) || cut.mount < 0)
		stop_and_open(r);
	if (cut.mount < 0)
		r->engine.threads = false; /* one more stop, and that is all */
	if (engine_start(&r->engine) < 0)
		violation(r, r->engine.err.text);
	what = work_full ? NULL : judge_producers(&r->engine, &r->history, &r->random, &r->judged);
	if (what)
		violation(r, what);
	if (cut.mount < 0) {
		stop_and_open(r);
		return;
	}
	if (r->is_killed && !work_full)
		work_and_die(r);
	if (dice(r, 5) > 1)
		cut.calls_left = (int64_t)dice(r, 300);
	what = work(&r->engine, &r->history, &r->work);
	if (what)
		violation(r, what);
	tell_work(r);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"mount", required_argument, NULL, 'm'}, {"recovery-cut", required_argument, NULL, 'r'},
		{"ops", required_argument, NULL, 'o'},
		{"cut-at", required_argument, NULL, 'c'}, {"look", no_argument, NULL, 'l'}, {"full", no_argument, NULL, 'f'}, {"again", no_argument, NULL, 'a'}, {0}};
	static struct run r = {.recovery_cut = -1, .cut_at = -1};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': r.seed = strtoull(optarg, NULL, 10); break;
		case 'o': r.ops = optarg; break;
		case 'c': r.cut_at = strtoll(optarg, NULL, 10); break;
		case 'm': r.mount = cut.path = optarg; cut.mount = open(optarg, O_RDONLY | O_DIRECTORY | O_CLOEXEC); break;
		case 'r': r.recovery_cut = strtoll(optarg, NULL, 10); break;
		case 'l': r.look = true; break;
		case 'f': work_full = true; break;
		case 'a': r.again = true; break;
		default: return 2;
		}
	}
	if (argc - optind != 2)
		return 2;
	r.dir = cut.dir = argv[optind];
	r.history_path = argv[optind + 1];
	history_open(&r.history, r.history_path);
	if (r.look) {
		(void)fclose(r.history.file);
		r.history.file = NULL;
	}
	plan(&r);
	if (r.ops)
		r.engine.threads = false;
	live(&r);
	(void)fflush(stdout);
	_exit(0); /* the power is gone: nothing is stopped */
}
