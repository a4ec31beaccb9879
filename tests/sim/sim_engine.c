/* SPDX-License-Identifier: MIT
 * sim_engine.c - see the header. Includes storage.c, for what it does not show: a kill frees
 * memory without stopping anything. */
#include "storage/producer_state.h"

/* Every open fills the table: a small one. */
#undef PRODUCERS_PER_LCORE
#define PRODUCERS_PER_LCORE 320

#include "storage/storage.c"

#include "tests/sim/sim_engine.h"
#include "base/uuid.h"

#define TURNS_MAX 20000

struct engine_world engine_world;

static void
topic_of(struct storage_topic *t, unsigned i)
{
	(void)snprintf(t->name, sizeof(t->name), "t%u", i);
	for (unsigned k = 0; k < 16; k++)
		t->id[k] = (uint8_t)(k * 16 + i + 1 + engine_world.generation[i] * 7);
	t->partitions = 1;
}

static int
attach(struct engine *e, const struct storage_topic *t)
{
	const unsigned i = (unsigned)(t->name[1] - '0');

	ASSERT(i < SIM_TOPICS && t->partitions == 1);
	return storage_attach(e->s, t, &engine_world.config[i], &e->part[i], &e->err);
}

int
engine_open(struct engine *e, struct sim_disk *disk)
{
	const struct storage_options o = {.dir = "/sim",
		.io = engine_world.io ? engine_world.io : &sim_io,
		.store_lcores = 1,
		.together_from = engine_world.wall_ms % 2 ? 1 : 0,
		.partitions_max = SIM_TOPICS,
		.flush_ms = 100,
		.dirty_budget = 1 * GIB,
		.checkpoint_bytes = engine_world.checkpoint_bytes,
		.reserve_bytes = 4 * KIB, /* copied with the disk */
		.disk_cap = 0.8};
	struct sim_disk *const outer = sim.disk;
	const struct storage_topic *t;
	int rc;

	*e = (struct engine){.disk = disk};
	sim.disk = disk;
	rc = storage_open(&e->s, &o, engine_world.wall_ms, &e->err);
	if (rc < 0) {
		e->s = NULL;
	} else {
		for (unsigned i = 0; i < storage_topics(e->s, &t) && rc == 0; i++)
			rc = attach(e, &t[i]);
		if (rc == 0)
			rc = storage_recover(e->s, engine_world.wall_ms, NULL, NULL, &e->err);
	}
	if (rc < 0)
		engine_kill(e);
	sim.disk = outer;
	return rc;
}

/* Those that are there, and `with`, but not `without`. */
static void
put_catalogue(const struct engine *e, char text[400], unsigned with, unsigned without)
{
	static unsigned version;
	size_t n = (size_t)snprintf(text, 400, "version %u\n", ++version);

	for (unsigned i = 0; i < SIM_TOPICS; i++) {
		struct storage_topic t;
		char id[23];

		if (i == without || (i != with && !e->part[i]))
			continue;
		topic_of(&t, i);
		uuid_put(id, t.id);
		n += (size_t)snprintf(text + n, 400 - n, "t t%u %s 1\n", i, id);
	}
}

static int
run_op(struct engine *e, struct storage_op *op)
{
	struct sim_disk *const outer = sim.disk;
	struct storage_op *done = NULL;

	sim.disk = e->disk;
	storage_submit(e->s, op);
	for (unsigned k = 0; k < TURNS_MAX && !done; k++) {
		engine_turns(e, 1);
		done = storage_reap(e->s);
	}
	sim.disk = outer;
	e->err = op->err;
	return done ? op->rc : -ETIMEDOUT;
}

int
engine_create(struct engine *e, unsigned i)
{
	char text[400];
	struct partition *part = NULL;
	struct storage_op op = {.kind = OP_CREATE_TOPIC,
		.config = engine_world.config[i],
		.part = &part,
		.catalogue = text};
	int rc;

	topic_of(&op.topic, i);
	put_catalogue(e, text, i, SIM_TOPICS);
	rc = run_op(e, &op);
	e->part[i] = part;
	return rc;
}

int
engine_delete(struct engine *e, unsigned i)
{
	char text[400];
	struct storage_op op = {.kind = OP_DELETE_TOPIC, .part = &e->part[i], .catalogue = text};

	topic_of(&op.topic, i);
	put_catalogue(e, text, SIM_TOPICS, i);
	storage_detach_lcore(e->part[i]);
	return run_op(e, &op);
}

int
engine_delete_records(struct engine *e, unsigned i, int64_t *offset)
{
	struct storage_op op = {.kind = OP_DELETE_RECORDS, .part = &e->part[i], .offset = *offset};
	const int rc = run_op(e, &op);

	*offset = op.offset;
	return rc;
}

int
engine_spend_ids(struct engine *e, int64_t below)
{
	struct storage_op op = {.kind = OP_PRODUCER_IDS, .producer_ids = below};

	return run_op(e, &op);
}

void
engine_turns(struct engine *e, unsigned n)
{
	struct sim_disk *const outer = sim.disk;

	sim.disk = e->disk;
	for (unsigned i = 0; i < n; i++) {
		engine_world.now_ns += NS_PER_MS;
		engine_world.wall_ms++;
		sim_disk_look(e->disk);
		(void)flush_turn(e->s, engine_world.now_ns, engine_world.wall_ms);
		storage_take_segments(e->s);
	}
	sim.disk = outer;
}

void
engine_close_fds(struct engine *e)
{
	struct sim_disk *const outer = sim.disk;
	struct segment *const lru = &e->s->lru;

	sim.disk = e->disk;
	while (lru->lru_next != lru) {
		struct segment *seg = lru->lru_next;

		lru->lru_next = seg->lru_next;
		seg->lru_next->lru_prev = lru;
		seg->lru_next = seg->lru_prev = NULL;
		e->s->read_fds--;
		(void)e->s->io->close(seg->fd);
		seg->fd = -1;
	}
	sim.disk = outer;
}

void
engine_kill(struct engine *e)
{
	struct sim_disk *const outer = sim.disk;
	struct storage *s = e->s;

	if (!s)
		return;
	sim.disk = e->disk;
	/* Nothing reaches the files any more; what had run is reaped for its memory. */
	sim_disk_look(e->disk);
	sim_disk_freeze(e->disk, true);
	for (unsigned i = 0; i < s->o.partitions_max; i++)
		if (s->flush.live[i] && s->flush.live[i]->f.active)
			(void)flush_take_full(s, s->flush.live[i]); /* a roll that only it knows */
	while (!jobs_idle(s->flush.jobs))
		(void)jobs_reap(s->flush.jobs);
	while (!jobs_idle(s->flush.rewriting.jobs))
		(void)jobs_reap(s->flush.rewriting.jobs);
	storage_take_segments(s);
	for (unsigned i = 0; i < s->o.partitions_max; i++)
		if (s->flush.live[i])
			partition_free(s->flush.live[i]);
	free(s->flush.state_text);
	directory_close(s);
	storage_free(s);
	sim_disk_freeze(e->disk, false);
	ASSERT(sim_disk_open_fds(e->disk) == 0);
	e->s = NULL;
	sim.disk = outer;
}

int
engine_stop(struct engine *e)
{
	struct sim_disk *const outer = sim.disk;
	int rc;

	sim.disk = e->disk;
	rc = storage_close(e->s, engine_world.wall_ms, &e->err);
	sim_disk_freeze(e->disk, true);
	sim_disk_freeze(e->disk, false);
	ASSERT(sim_disk_open_fds(e->disk) == 0);
	e->s = NULL;
	sim.disk = outer;
	return rc;
}
