/* SPDX-License-Identifier: MIT
 * page_sim.h - what the files of page_sim share: one run over seeds, its chances and its findings.
 * Thread: main. */
#ifndef KIRA_TESTS_PAGE_SIM_H
#define KIRA_TESTS_PAGE_SIM_H

#include "tests/sim/sim_model.h"

enum event {
#define EVENT(name, text) name,
#include "tests/sim/page_sim_events.def"
#undef EVENT
	EVENTS
};

/* What a recovery made of a disk. */
struct found {
	bool known, there[SIM_TOPICS];
	int64_t start[SIM_TOPICS], end[SIM_TOPICS];
};

struct run {
	uint64_t seed, states, batches, event[EVENTS];
	const char *program;
	struct sim_random random;
	struct engine live;
	bool running;  /* the live engine's published words may be read */
	bool stopping;
	bool failed;   /* a sync of the live engine did */
	bool full;     /* its disk is */
	/* Cuts only while a segment is rewritten, at every call; every topic's are. */
	bool rewrites;
	/* One state of this seed's is left in every way it can be, not many in one way each. */
	bool trace, traced;
	unsigned trace_pages; /* at least so many */
	/* The recovery that is being checked. */
	unsigned depth;
	uint64_t cut_in; /* calls until the crash inside it; 0: none */
	bool cut_all;    /* at each of its calls, when it is the first */
	struct found *found; /* whatever comes of it, cut or not, is the same */
	const struct bounds *bounds;
};
extern struct run run;

_Noreturn void violation(const char *what);
uint64_t roll_dice(uint64_t below);

/* Before each call of the live engine: crashes are tried. page_sim_check.c */
void cut_live(void);
void cut_here(unsigned states);
void judge(struct engine *e, const struct bounds *b);
void open_or_fail(struct engine *e, struct sim_disk *disk);

/* The workload of one seed. page_sim_work.c */
void run_seed(uint64_t seed);

#endif
