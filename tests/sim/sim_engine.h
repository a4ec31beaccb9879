/* SPDX-License-Identifier: MIT
 * sim_engine.h - storage/ on a simulated disk: opened, turned, stopped and killed, on one thread
 * and in made-up time. Several may live at once, each on its own disk: one is suspended inside a
 * system call while others recover what a power cut there would leave. Thread: main. */
#ifndef KIRA_TESTS_SIM_ENGINE_H
#define KIRA_TESTS_SIM_ENGINE_H

#include "storage/directory.h"
#include "tests/sim/sim_disk.h"

#define SIM_TOPICS 3

struct engine {
	struct sim_disk *disk;
	struct storage *s;
	struct partition *part[SIM_TOPICS]; /* NULL: that topic is not there */
	struct err err;
};

/* What all engines of a run agree on. */
struct engine_world {
	uint64_t checkpoint_bytes; /* 0: none is ever due */
	struct partition_config config[SIM_TOPICS];
	unsigned generation[SIM_TOPICS]; /* how often it was deleted: part of its id */
	uint64_t now_ns;
	int64_t wall_ms;
	const struct io *io; /* NULL: sim_io itself */
};
extern struct engine_world engine_world;

/* storage_open() and storage_attach() of what the catalogue names. */
int engine_open(struct engine *e, struct sim_disk *disk);
/* Topic `i`, of one partition. */
int engine_create(struct engine *e, unsigned i);
int engine_delete(struct engine *e, unsigned i);
/* Up to *offset; out: where it begins. */
int engine_delete_records(struct engine *e, unsigned i, int64_t *offset);
int engine_spend_ids(struct engine *e, int64_t below);
void engine_turns(struct engine *e, unsigned n); /* of a millisecond each */
/* The read descriptors go, as if many other segments had been read. */
void engine_close_fds(struct engine *e);
/* Memory and descriptors go; the disk stays as the process left it, its cache included. */
void engine_kill(struct engine *e);
int engine_stop(struct engine *e); /* clean */

#endif
