/* SPDX-License-Identifier: MIT
 * corrupt_sweep.c - damage to a finished directory, bit by bit and page by page. Each is opened by
 * the real recovery and read back from every batch on. Damage is found (the start is refused, the
 * partition halts, a read fails, a checksum is wrong) or harmless; never is an acked batch lost
 * without a word, and never are other records served under a right checksum.
 *
 *	corrupt_sweep [--every N]
 *
 * Every N-th bit is flipped, of a file that is trusted every 8 N-th: of an open segment, which a start checks, of a
 * filed one, which it trusts, and of every small file. Pages of both segments are zeroed, swapped, older, of
 * another partition, or written over another (misdirected). A batch of another partition that begins at the same
 * offset cannot be told from the right one: nothing in a batch says whose it is. Those are counted apart. */
#include "tests/sim/sim_model.h"

#include "storage/batch.h"

#include "base/assert.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT 65536
#define PAGES   (SEGMENT / SIM_PAGE)

enum outcome { REFUSED, HALTED, READ_FAILED, CHECKSUM_WRONG, FOREIGN, HARMLESS, OUTCOMES };
static const char *const outcome_name[OUTCOMES] = {"starts refused", "partitions halted",
	"reads failed", "checksums wrong", "batches of another partition", "harmless"};

enum damage { BIT, PAGE_ZEROED, PAGES_SWAPPED, PAGE_OLD, PAGE_OF_ANOTHER, PAGE_MISDIRECTED, DAMAGES };
static const char *const damage_name[DAMAGES] = {"bits flipped", "pages zeroed", "pages swapped",
	"pages of an older time", "pages of another partition", "pages written over another"};

struct target {
	const char *what, *dir, *name;
	struct sim_disk *disk;
	bool checked; /* by a start, which then finds what there is */
};

static uint64_t outcomes[OUTCOMES], damages[DAMAGES];
static struct sim_random dice = {4711};
static const char *program;
#ifdef __SANITIZE_ADDRESS__
static uint64_t every = 128;
#else
static uint64_t every = 16;
#endif

/* One damage: where, and what. */
struct hit {
	const struct target *t;
	enum damage kind;
	uint64_t at, with;    /* bit; pages */
	const uint8_t *page;  /* that takes the place of page `at` */
};

static _Noreturn void
violation(const struct hit *h, const char *what)
{
	printf("FAILED  %s, %s: %s at %" PRIu64 " (%" PRIu64 "): %s\nrepeat: %s --every %" PRIu64
	       "\n", h->t->what, h->t->name, damage_name[h->kind], h->at, h->with, what, program,
		every);
	exit(1);
}

/* ---- Reading what is served --------------------------------------------------------------- */

static enum outcome
worse(enum outcome a, enum outcome b)
{
	return MIN(a, b);
}

static bool
is_of(const struct log *l, const uint8_t *b)
{
	for (unsigned k = 0; k < l->n; k++)
		if (l->item[k].crc == rb_crc(b) && l->item[k].offset == rb_base_offset(b))
			return true;
	return false;
}

/* One of the log's batches, with another offset in it. */
static bool
moved(const struct log *l, const uint8_t *b)
{
	for (unsigned k = 0; k < l->n; k++)
		if (l->item[k].crc == rb_crc(b) && l->item[k].offset != rb_base_offset(b))
			return true;
	return false;
}

static enum outcome
read_batch(const struct hit *h, struct engine *e, unsigned i, const struct item *it)
{
	static uint8_t b[SEGMENT];
	struct storage_range r;
	const int16_t error = storage_read(e->part[i], it->offset, 1, true, &r);

	if (error != 0)
		return READ_FAILED;
	if (r.length == 0)
		violation(h, "nothing to read at an acked batch");
	ASSERT(r.length <= sizeof(b));
	if (sim_io.pread(r.fd, b, r.length, r.position) != r.length)
		violation(h, "a range that is not in the file");
	storage_unpin(r.pinned);
	if (r.length < RB_HEADER || rb_total(b) != r.length ||
		batch_check(b, r.length, BATCH_EXACT) != 0 || !batch_crc_right(b))
		return CHECKSUM_WRONG;
	/* A whole batch of another partition, of the same offset: nothing in a batch says whose it is. */
	if (h->kind == PAGE_OF_ANOTHER && is_of(&model[1 - i], b))
		return FOREIGN;
	/* A batch that says it lies elsewhere: no checksum covers that word, nor did another batch lie
	 * between it and the index entry. */
	if (rb_crc(b) != it->crc && h->kind == BIT && moved(&model[i], b))
		return FOREIGN;
	if (rb_crc(b) != it->crc || r.length != it->total)
		violation(h, "other records under a right checksum");
	if (rb_base_offset(b) != it->offset || rb_leader_epoch(b) != it->leader_epoch)
		violation(h, "an offset or an epoch that is not its own");
	return HARMLESS;
}

static enum outcome
read_log(const struct hit *h, struct engine *e, unsigned i)
{
	const struct log *l = &model[i];
	enum outcome found = HARMLESS;
	struct partition_ends ends;

	storage_ends(e->part[i], &ends);
	if (storage_state(e->part[i]) == PART_HALTED)
		found = HALTED;
	else if (ends.end != l->end || ends.start != l->start)
		violation(h, "acked batches are gone, and nothing is said");
	for (unsigned k = 0; k < l->n; k++)
		if (l->item[k].offset >= ends.start && l->item[k].offset < ends.end)
			found = worse(found, read_batch(h, e, i, &l->item[k]));
	return found;
}

static void
try(struct hit h)
{
	struct sim_disk *disk = sim_disk_crash(h.t->disk, NULL);
	struct engine e;
	uint64_t size;
	uint8_t *b = sim_disk_bytes(disk, h.t->dir, h.t->name, &size), page[SIM_PAGE];
	enum outcome found = REFUSED;

	ASSERT(b);
	if (h.kind == BIT) {
		b[h.at / 8] ^= (uint8_t)(1 << h.at % 8);
	} else if (h.kind == PAGES_SWAPPED) {
		memcpy(page, b + h.at * SIM_PAGE, SIM_PAGE);
		memcpy(b + h.at * SIM_PAGE, b + h.with * SIM_PAGE, SIM_PAGE);
		memcpy(b + h.with * SIM_PAGE, page, SIM_PAGE);
	} else {
		memcpy(b + h.at * SIM_PAGE, h.page, MIN(SIM_PAGE, size - h.at * SIM_PAGE));
	}
	damages[h.kind]++;
	if (engine_open(&e, disk) == 0) {
		sim.disk = disk;
		found = HARMLESS;
		for (unsigned i = 0; i < 2; i++) {
			if (!e.part[i])
				violation(&h, "a topic is gone, and nothing is said");
			found = worse(found, read_log(&h, &e, i));
		}
		engine_kill(&e);
	}
	if (h.t->checked && (found == READ_FAILED || found == CHECKSUM_WRONG))
		violation(&h, "a start does not find it, a reader does");
	outcomes[found]++;
	sim_disk_free(disk);
}

/* ---- The directory ------------------------------------------------------------------------ */

static void
fill(struct engine *e, unsigned i, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes;) {
		const unsigned n = model[i].n;
		const enum append_verdict v = model_append(e, i, (unsigned)sim_random(&dice, 3),
			100 + (uint32_t)sim_random(&dice, 900), 1 + (int32_t)sim_random(&dice, 3),
			false, &dice);

		model_publish(e, i);
		if (v == APPEND_WAIT)
			engine_turns(e, 1);
		else
			done += model[i].item[n].total;
	}
}

static void
settle(struct engine *e)
{
	for (unsigned i = 0; i < 2; i++)
		storage_want_disk(e->s, 0, storage_publish(e->part[i]));
	engine_turns(e, 10);
	engine_world.now_ns += 6 * NS_PER_S;
	engine_turns(e, 10);
}

/* A copy of what the engine has on disk now. */
static struct sim_disk *
now(struct engine *e)
{
	return sim_disk_crash(e->disk, NULL);
}

static void
sweep_bits(const struct target *t, uint64_t step)
{
	uint64_t size;

	ASSERT(sim_disk_bytes(t->disk, t->dir, t->name, &size));
	for (uint64_t bit = sim_random(&dice, step); bit < size * 8; bit += step)
		try((struct hit){.t = t, .kind = BIT, .at = bit});
}

static void
sweep_pages(const struct target *t, struct sim_disk *old, const char *other)
{
	static const uint8_t zeros[SIM_PAGE];
	uint64_t size, more;
	const uint8_t *was = sim_disk_bytes(old, t->dir, t->name, &more);
	const uint8_t *theirs = sim_disk_bytes(t->disk, other, t->name, &more);
	const uint8_t *mine = sim_disk_bytes(t->disk, t->dir, t->name, &size);

	ASSERT(was && theirs && mine);
	for (uint64_t i = 0; i < size / SIM_PAGE; i++) {
		try((struct hit){.t = t, .kind = PAGE_ZEROED, .at = i, .page = zeros});
		try((struct hit){.t = t, .kind = PAGE_OLD, .at = i, .page = was + i * SIM_PAGE});
		for (uint64_t k = 0; k < size / SIM_PAGE; k++)
			if (k != i)
				try((struct hit){.t = t, .kind = PAGE_MISDIRECTED, .at = i, .with = k,
					.page = mine + k * SIM_PAGE});
		for (uint64_t k = 0; k < more / SIM_PAGE; k++)
			try((struct hit){.t = t, .kind = PAGE_OF_ANOTHER, .at = i, .with = k,
				.page = theirs + k * SIM_PAGE});
		for (uint64_t k = i + 1; k < size / SIM_PAGE; k++)
			try((struct hit){.t = t, .kind = PAGES_SWAPPED, .at = i, .with = k});
	}
}

/* Of a directory with a filed segment: it, and the small files of every kind. */
static void
sweep_files(struct sim_disk *filed, struct sim_disk *old)
{
	static const char log[] = "00000000000000000000.log";
	const struct target t[] = {{"a filed segment", "t0-0", log, filed},
		{"a filed segment", "t0-0", "00000000000000000000.index", filed},
		{"a filed segment", "t0-0", "00000000000000000000.timeindex", filed},
		{"the epochs", "t0-0", "leader-epoch-checkpoint", filed},
		{"the catalogue", NULL, "kira.topics", filed},
		{"the identity", NULL, "kira.meta", filed},
		{"the state", NULL, "kira.state", filed}};
	const uint64_t step = every > 1 ? every * 8 : 1;
	const char *name;

	for (unsigned i = 0; i < ARRAY_LENGTH(t); i++)
		sweep_bits(&t[i], step);
	for (unsigned i = 0; (name = sim_disk_name(filed, "t0-0", i)) != NULL; i++)
		if (strstr(name, ".snapshot") || strstr(name, ".checkpoint"))
			sweep_bits(&(struct target){"producer state", "t0-0", name, filed}, step);
	sweep_pages(&t[0], old, "t1-0");
}

static int
tell(uint64_t ms)
{
	uint64_t n = 0;
	unsigned never = 0;

	for (unsigned i = 0; i < DAMAGES; i++) {
		printf("%10" PRIu64 " %s\n", damages[i], damage_name[i]);
		n += damages[i];
		never += damages[i] == 0;
	}
	for (unsigned i = 0; i < OUTCOMES; i++)
		printf("%10" PRIu64 " %s\n", outcomes[i], outcome_name[i]);
	/* A sweep in which nothing is found proves nothing. */
	never += outcomes[REFUSED] == 0;
	never += outcomes[HALTED] == 0;
	never += outcomes[CHECKSUM_WRONG] == 0;
	if (never > 0)
		printf("FAILED  %u kinds never came about\n", never);
	printf("result: %" PRIu64 " damages (%" PRIu64 " bits, %" PRIu64 " pages), %" PRIu64 " found, %" PRIu64
	       " harmless, %" PRIu64 " batches of another partition, in %" PRIu64
	       " ms; 0 cut, lost or wrong without a word\n", n, damages[BIT], n - damages[BIT],
		n - outcomes[HARMLESS] - outcomes[FOREIGN], outcomes[HARMLESS], outcomes[FOREIGN], ms);
	return never > 0;
}

static void
prepare(struct engine *e)
{
	engine_world.now_ns = clock_now_ns() + 3600 * NS_PER_S;
	engine_world.wall_ms = INT64_C(1700000000000);
	for (unsigned i = 0; i < 2; i++)
		engine_world.config[i] = (struct partition_config){.segment_bytes = SEGMENT,
			.segment_ms = INT64_MAX,
			.retention_bytes = -1,
			.retention_ms = -1,
			.max_message_bytes = BATCH_BYTES_MAX,
			.timestamp_before_max_ms = INT64_MAX,
			.timestamp_after_max_ms = INT64_MAX,
			.flush_messages = INT64_MAX};
	ASSERT(engine_open(e, sim_disk_new()) == 0);
	for (unsigned i = 0; i < 2; i++)
		ASSERT(engine_create(e, i) == 0);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"every", required_argument, NULL, 'n'}, {0}};
	static const char log[] = "00000000000000000000.log";
	const uint64_t begun = clock_now_ns();
	struct sim_disk *old, *open, *filed, *disk;
	struct engine e;
	int c;

	program = argv[0];
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		every = MAX(strtoull(optarg, NULL, 10), 1);
	}
	prepare(&e);
	fill(&e, 0, SEGMENT / 3);
	fill(&e, 1, SEGMENT / 2);
	settle(&e);
	old = now(&e);
	fill(&e, 0, SEGMENT / 2);
	settle(&e);
	for (unsigned i = 0; i < 2; i++)
		model[i].durable = model[i].end;
	open = now(&e);
	sweep_bits(&(struct target){"an open segment", "t0-0", log, open, true}, every);
	sweep_pages(&(struct target){"an open segment", "t0-0", log, open, true}, old, "t1-0");
	fill(&e, 0, SEGMENT / 2); /* over the end: a roll */
	settle(&e);
	settle(&e);
	filed = now(&e);
	sweep_files(filed, old);
	disk = e.disk;
	engine_kill(&e);
	sim_disk_free(disk);
	sim_disk_free(old);
	sim_disk_free(open);
	sim_disk_free(filed);
	model_reset();
	return tell((clock_now_ns() - begun) / NS_PER_MS);
}
