/* SPDX-License-Identifier: MIT
 * sim_disk.h - a disk in memory behind storage/io.h that knows what a power cut may leave. Each
 * page remembers every version it had since the last sync of its file (stores into maps are seen
 * by comparison at the next call that changes something, and at sim_disk_look()); each file its
 * sizes; each directory the names changed since its last sync. A crash makes another disk: of
 * every page any version, or 512-byte pieces of several; of the sizes any; of the names a prefix
 * per directory, as file systems that log their metadata leave, or any. Thread: main. */
#ifndef KIRA_TESTS_SIM_DISK_H
#define KIRA_TESTS_SIM_DISK_H

#include "storage/io.h"

#define SIM_PAGE   4096
#define SIM_SECTOR 512

struct sim_disk;

/* Faults that crashes made, by kind. */
enum sim_fault {
	SIM_PAGE_LOST,    /* unsynced, and as at the last sync */
	SIM_PAGE_BETWEEN, /* a version that was overwritten since */
	SIM_PAGE_TORN,    /* sectors of different versions */
	SIM_HOLE,         /* lost, while a later page of the file is there */
	SIM_SIZE_LOST,    /* not the newest size */
	SIM_NAMES_LOST,   /* none of the directory's changes */
	SIM_NAMES_CUT,    /* the newest of them */
	SIM_NAMES_ANY,    /* any of them */
	SIM_SYNC_FAILED,
	SIM_LIE_DROPPED,  /* a page that only the cache had after that, dropped from it */
	SIM_NOTHING_LOST, /* a crash that lost nothing: a kill */
	SIM_FAULTS,
};
extern const char *const sim_fault_name[SIM_FAULTS];

/* Numbers that follow from a seed. */
struct sim_random {
	uint64_t state;
};

struct sim {
	struct sim_disk *disk;  /* that the calls of sim_io go to */
	void (*before)(void);   /* each call that changes or syncs something; may change sim.disk if it
				 * puts it back */
	/* Does this sync of a segment fail? NULL: none does. Numbers: those of failing. */
	bool (*sync_fails)(void);
	struct sim_random failing;
	/* A call on `fd` has told an error of writing back, once per descriptor as Linux does. */
	void (*told)(int fd);
	uint64_t syncs_again;   /* syncs of a segment by the process that was told before; S9 */
	struct io_space space;  /* of all disks, while not full; total 0: plenty */
	bool tells_no_holes;    /* a file system that knows none: "there is data" everywhere */
	uint64_t holes_told, holes_untold; /* pages of zeros; questions */
	bool old_files;         /* what is asked for its age is days old; else of this minute */
	uint64_t calls;         /* such calls, of all disks */
	uint64_t fault[SIM_FAULTS];
};
extern struct sim sim;
extern const struct io sim_io;

/* Print how often each fired; how many of them never did. */
unsigned sim_tell(const char *const *name, const uint64_t *fired, unsigned n);

uint64_t sim_random(struct sim_random *r, uint64_t below);
void sim_jobs_seed(uint64_t seed); /* sim_jobs.c: the order in which jobs run */
struct job;
struct jobs;
/* Jobs run by this alone, one at a time, and not in the flush daemon's turn. NULL: none is left. */
extern bool sim_jobs_apart;
struct job *sim_jobs_run(struct jobs *j);
bool sim_jobs_left(const struct jobs *j); /* that did not run */
bool sim_jobs_have(const struct jobs *j, const struct job *job); /* submitted, and not reaped */

struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *d);
/* What was stored into maps since becomes a version of its page. Who stores says so: looking is dear.
 * (A crash and a sync look anyway.) */
void sim_disk_stored(struct sim_disk *d);
void sim_disk_look(struct sim_disk *d);
/* What a power cut leaves. NULL random: all is kept, and durable. */
struct sim_disk *sim_disk_crash(struct sim_disk *d, struct sim_random *r);
/* Of the pages that a power cut now may take (so many) the subset `kept`, a bit each, is there; names and
 * sizes are the newest. */
unsigned sim_disk_dirty(struct sim_disk *d);
struct sim_disk *sim_disk_crash_subset(struct sim_disk *d, uint32_t kept);
/* Full, calls that want more space get none. */
void sim_disk_fill(struct sim_disk *d, bool full);
/* Frozen, every call that would change something fails: its process is gone. Thawed, the next one
 * begins, on what the page cache holds: a kill, and no power cut. */
void sim_disk_freeze(struct sim_disk *d, bool frozen);
unsigned sim_disk_open_fds(const struct sim_disk *d);
/* The kernel could not write back some of the unsynced pages of `fd`'s file (-1: of a mapped one that
 * has such). They stay in the cache, clean; who syncs next is told, once per descriptor. False: there
 * is none. */
bool sim_disk_fail_back(struct sim_disk *d, int fd, struct sim_random *r);
/* So many errors of that kind nobody was told of. */
unsigned sim_disk_untold(const struct sim_disk *d);

/* The bytes of a file, as on the disk and in the cache, for who damages them; NULL: not there.
 * `dir` NULL: of the root. Only while it has no unsynced changes. */
uint8_t *sim_disk_bytes(struct sim_disk *d, const char *dir, const char *name, uint64_t *size);
/* Names in a directory, one after the other; NULL ends. */
const char *sim_disk_name(struct sim_disk *d, const char *dir, unsigned i);

#endif
