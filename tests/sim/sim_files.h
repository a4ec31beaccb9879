/* SPDX-License-Identifier: MIT
 * sim_files.h - files, pages and names of the simulated disk; private to sim_disk.c, sim_crash.c,
 * sim_io.c. */
#ifndef KIRA_TESTS_SIM_FILES_H
#define KIRA_TESTS_SIM_FILES_H

#include "tests/sim/sim_disk.h"

#define SIM_VERSIONS 12 /* of a page between two syncs; then the last is replaced */
#define SIM_SIZES    12
#define SIM_NAME     96
#define SIM_FDS      256
#define SIM_ALL_PAGES UINT64_MAX

struct sim_file;

struct sim_page {
	unsigned n;
	uint8_t *version[SIM_VERSIONS]; /* since the last sync, oldest first */
	uint8_t *lie; /* after a failed sync: in the cache, taken for clean, and not on the disk */
};

struct sim_names {
	struct {
		uint64_t key;
		char name[SIM_NAME];
		struct sim_file *file;
	} *entry;
	unsigned n, room;
};

/* `from` goes (unless empty), `to` names `file` (unless NULL): create, rename, unlink. */
struct sim_change {
	char from[SIM_NAME], to[SIM_NAME];
	struct sim_file *file;
};

struct sim_file {
	struct sim_file *next;   /* of the disk; unlinked ones too */
	struct sim_file *copy;   /* in the crash that is being made */
	bool directory, dirty, was_mapped;
	unsigned errors;         /* of write-back, so far */
	bool told;               /* the last of them: to somebody, who opens later is not */
	bool told_now;           /* to this process */
	unsigned maps;
	/* Of a file: the page cache, and what a power cut cannot take. Bytes above the size are 0. */
	uint8_t *live, *disk;
	struct sim_page *page;
	uint64_t room;           /* bytes of both */
	uint64_t size, disk_size, past_size[SIM_SIZES];
	unsigned sizes;
	/* Of a directory. */
	struct sim_names now, kept;
	struct sim_change *change; /* from kept to now */
	unsigned changes, changes_room;
};

struct sim_disk {
	struct sim_file *root, *files, *fd[SIM_FDS];
	unsigned seen[SIM_FDS]; /* errors of the file that this descriptor was told, or that are old */
	bool frozen, full;
	bool stored; /* into a map, since the last look */
};

struct sim_file *sim_file_of(const struct sim_disk *d, int fd);
struct sim_file *sim_file_new(struct sim_disk *d, bool directory);
void sim_file_room(struct sim_file *f, uint64_t bytes);
void sim_file_look(struct sim_file *f);
void sim_file_resize(struct sim_file *f, uint64_t size);
/* Pages from..to-1 of a file, and its size; a directory wholly. */
void sim_file_sync(struct sim_file *f, uint64_t from, uint64_t to);
/* A sync that fails: of the pages some are written, the others are clean in the cache all the same. */
void sim_file_fail(struct sim_file *f, uint64_t from, uint64_t to, struct sim_random *r);
void sim_file_drop(struct sim_file *f); /* clean pages leave the cache */

void sim_names_copy(struct sim_names *to, const struct sim_names *from);
void sim_names_apply(struct sim_names *names, const struct sim_change *c);
struct sim_file **sim_names_find(const struct sim_names *names, const char *name);
void sim_names_put(struct sim_names *names, const char *name, struct sim_file *file);
void sim_names_change(struct sim_file *dir, const char *from, const char *to, struct sim_file *file);

#endif
