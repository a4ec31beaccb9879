/* SPDX-License-Identifier: MIT
 * sim_disk.c - see the header: files, pages and names. */
#include "tests/sim/sim_files.h"

#include "base/assert.h"
#include "base/bits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim sim;

const char *const sim_fault_name[SIM_FAULTS] = {"pages lost", "pages in between", "pages torn",
	"holes", "sizes lost", "names lost", "names cut",
	"names out of order", "syncs failed", "lying pages dropped", "nothing lost"};

uint64_t
sim_random(struct sim_random *r, uint64_t below)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

unsigned
sim_tell(const char *const *name, const uint64_t *fired, unsigned n)
{
	unsigned never = 0;

	for (unsigned i = 0; i < n; i++) {
		printf("%12" PRIu64 " %s\n", fired[i], name[i]);
		never += fired[i] == 0;
	}
	return never;
}

/* ---- Files -------------------------------------------------------------------------------- */

struct sim_file *
sim_file_new(struct sim_disk *d, bool directory)
{
	struct sim_file *f = calloc(1, sizeof(*f));

	ASSERT(f);
	f->directory = directory;
	f->next = d->files;
	d->files = f;
	return f;
}

static void
forget_versions(struct sim_page *p)
{
	while (p->n > 0)
		free(p->version[--p->n]);
}

/* What the cache holds as clean. */
static const uint8_t *
clean_page(const struct sim_file *f, uint64_t i)
{
	return f->page[i].lie ? f->page[i].lie : f->disk + i * SIM_PAGE;
}

static void
file_free(struct sim_file *f)
{
	for (uint64_t i = 0; i < f->room / SIM_PAGE; i++) {
		forget_versions(&f->page[i]);
		free(f->page[i].lie);
	}
	free(f->live);
	free(f->disk);
	free(f->page);
	free(f->now.entry);
	free(f->kept.entry);
	free(f->change);
	free(f);
}

static void *
grown(void *old, uint64_t from, uint64_t to)
{
	uint8_t *p = calloc(1, to);

	ASSERT(p);
	if (from > 0)
		memcpy(p, old, from);
	free(old);
	return p;
}

void
sim_file_room(struct sim_file *f, uint64_t bytes)
{
	const uint64_t to = round_up(bytes, SIM_PAGE);

	if (to <= f->room)
		return;
	ASSERT(f->maps == 0);
	f->live = grown(f->live, f->room, to);
	f->disk = grown(f->disk, f->room, to);
	f->page = grown(f->page, f->room / SIM_PAGE * sizeof(*f->page),
		to / SIM_PAGE * sizeof(*f->page));
	f->room = to;
}

void
sim_file_look(struct sim_file *f)
{
	for (uint64_t i = 0; i < f->room / SIM_PAGE; i++) {
		struct sim_page *p = &f->page[i];
		const uint8_t *last = p->n ? p->version[p->n - 1] : clean_page(f, i);
		uint8_t *copy;

		if (memcmp(f->live + i * SIM_PAGE, last, SIM_PAGE) == 0)
			continue;
		copy = p->n == SIM_VERSIONS ? p->version[p->n - 1] : malloc(SIM_PAGE);
		ASSERT(copy);
		memcpy(copy, f->live + i * SIM_PAGE, SIM_PAGE);
		if (p->n < SIM_VERSIONS)
			p->version[p->n++] = copy;
		f->dirty = true;
	}
}

void
sim_file_resize(struct sim_file *f, uint64_t size)
{
	sim_file_room(f, size);
	if (size < f->size)
		memset(f->live + size, 0, f->room - size);
	if (f->sizes == SIM_SIZES)
		f->sizes--;
	f->size = f->past_size[f->sizes++] = size;
	f->dirty = true;
	sim_file_look(f);
}

void
sim_file_sync(struct sim_file *f, uint64_t from, uint64_t to)
{
	const uint64_t pages = f->room / SIM_PAGE;

	if (f->directory) {
		sim_names_copy(&f->kept, &f->now);
		f->changes = 0;
		return;
	}
	sim_file_look(f);
	f->dirty = false;
	for (uint64_t i = 0; i < pages; i++) {
		if (f->page[i].n == 0)
			continue;
		if (i < from || i >= to) {
			f->dirty = true;
			continue;
		}
		memcpy(f->disk + i * SIM_PAGE, f->live + i * SIM_PAGE, SIM_PAGE);
		free(f->page[i].lie);
		f->page[i].lie = NULL;
		forget_versions(&f->page[i]);
	}
	f->disk_size = f->size;
	f->sizes = 0;
}

void
sim_file_fail(struct sim_file *f, uint64_t from, uint64_t to, struct sim_random *r)
{
	sim_file_look(f);
	for (uint64_t i = from; i < MIN(to, f->room / SIM_PAGE); i++) {
		struct sim_page *p = &f->page[i];

		if (p->n == 0 || sim_random(r, 2))
			continue; /* the sync writes it */
		if (!p->lie)
			p->lie = malloc(SIM_PAGE);
		ASSERT(p->lie);
		memcpy(p->lie, f->live + i * SIM_PAGE, SIM_PAGE);
		forget_versions(p);
	}
	sim_file_sync(f, from, to);
	f->errors++;
	f->told = false;
	sim.fault[SIM_SYNC_FAILED]++;
}

void
sim_file_drop(struct sim_file *f)
{
	for (uint64_t i = 0; i < f->room / SIM_PAGE && f->maps == 0; i++) {
		struct sim_page *p = &f->page[i];

		if (!p->lie || p->n > 0)
			continue;
		memcpy(f->live + i * SIM_PAGE, f->disk + i * SIM_PAGE, SIM_PAGE);
		free(p->lie);
		p->lie = NULL;
		sim.fault[SIM_LIE_DROPPED]++;
	}
}

/* ---- Names -------------------------------------------------------------------------------- */

/* Its last eight characters: what differs between the names of a log. */
static uint64_t
key_of(const char *name)
{
	const size_t n = strlen(name), k = MIN(n, sizeof(uint64_t));
	uint64_t key = 0;

	memcpy(&key, name + n - k, k);
	return key;
}

struct sim_file **
sim_names_find(const struct sim_names *names, const char *name)
{
	const uint64_t key = key_of(name);

	for (unsigned i = 0; i < names->n; i++)
		if (names->entry[i].key == key && strcmp(names->entry[i].name, name) == 0)
			return &names->entry[i].file;
	return NULL;
}

void
sim_names_put(struct sim_names *names, const char *name, struct sim_file *file)
{
	struct sim_file **at = sim_names_find(names, name);

	ASSERT(strlen(name) < SIM_NAME);
	if (at) {
		*at = file;
		return;
	}
	if (names->n == names->room) {
		names->room = names->room * 2 + 8;
		names->entry = realloc(names->entry, names->room * sizeof(*names->entry));
		ASSERT(names->entry);
	}
	memcpy(names->entry[names->n].name, name, strlen(name) + 1);
	names->entry[names->n].key = key_of(name);
	names->entry[names->n++].file = file;
}

void
sim_names_copy(struct sim_names *to, const struct sim_names *from)
{
	if (to->room < from->n) {
		to->room = from->n;
		to->entry = realloc(to->entry, to->room * sizeof(*to->entry));
		ASSERT(to->entry);
	}
	if (from->n > 0)
		memcpy(to->entry, from->entry, from->n * sizeof(*to->entry));
	to->n = from->n;
}

static void
take_out(struct sim_names *names, const char *name)
{
	struct sim_file **at = sim_names_find(names, name);

	if (at) {
		const size_t i = (size_t)((char *)at - (char *)names->entry) / sizeof(*names->entry);

		names->entry[i] = names->entry[--names->n];
	}
}

void
sim_names_apply(struct sim_names *names, const struct sim_change *c)
{
	if (c->from[0])
		take_out(names, c->from);
	if (c->file)
		sim_names_put(names, c->to, c->file);
}

void
sim_names_change(struct sim_file *dir, const char *from, const char *to, struct sim_file *file)
{
	struct sim_change *c;

	if (dir->changes == dir->changes_room) {
		dir->changes_room = dir->changes_room * 2 + 8;
		dir->change = realloc(dir->change, dir->changes_room * sizeof(*dir->change));
		ASSERT(dir->change);
	}
	c = &dir->change[dir->changes++];
	*c = (struct sim_change){.file = file};
	ASSERT(strlen(from) < SIM_NAME && strlen(to) < SIM_NAME);
	memcpy(c->from, from, strlen(from) + 1);
	memcpy(c->to, to, strlen(to) + 1);
	sim_names_apply(&dir->now, c);
}

/* ---- The disk ----------------------------------------------------------------------------- */

struct sim_disk *
sim_disk_new(void)
{
	struct sim_disk *d = calloc(1, sizeof(*d));

	ASSERT(d);
	d->root = sim_file_new(d, true);
	return d;
}

void
sim_disk_free(struct sim_disk *d)
{
	struct sim_file *next;

	for (struct sim_file *f = d ? d->files : NULL; f; f = next) {
		next = f->next;
		file_free(f);
	}
	free(d);
}

void
sim_disk_stored(struct sim_disk *d)
{
	d->stored = true;
}

void
sim_disk_look(struct sim_disk *d)
{
	if (!d->stored)
		return;
	d->stored = false;
	for (struct sim_file *f = d->files; f; f = f->next)
		if (f->maps > 0)
			sim_file_look(f);
}

void
sim_disk_freeze(struct sim_disk *d, bool frozen)
{
	d->frozen = frozen;
	for (struct sim_file *f = frozen ? d->files : NULL; f; f = f->next)
		f->told_now = false; /* the next process may find out again */
}

void
sim_disk_fill(struct sim_disk *d, bool full)
{
	d->full = full;
}

unsigned
sim_disk_open_fds(const struct sim_disk *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SIM_FDS; i++)
		n += d->fd[i] != NULL;
	return n;
}

bool
sim_disk_fail_back(struct sim_disk *d, int fd, struct sim_random *r)
{
	struct sim_file *f = fd < 0 ? d->files : sim_file_of(d, fd);

	sim_disk_look(d);
	while (f && fd < 0 && !(f->maps > 0 && f->dirty))
		f = f->next;
	if (!f)
		return false;
	sim_file_fail(f, 0, SIM_ALL_PAGES, r);
	return true;
}

unsigned
sim_disk_untold(const struct sim_disk *d)
{
	unsigned n = 0;

	for (const struct sim_file *f = d->files; f; f = f->next)
		n += f->errors > 0 && !f->told;
	return n;
}

uint8_t *
sim_disk_bytes(struct sim_disk *d, const char *dir, const char *name, uint64_t *size)
{
	struct sim_file **at = dir ? sim_names_find(&d->root->now, dir) : &d->root;
	struct sim_file *f;

	at = at ? sim_names_find(&(*at)->now, name) : NULL;
	if (!at)
		return NULL;
	f = *at;
	ASSERT(!f->dirty);
	*size = f->size;
	return f->live;
}

const char *
sim_disk_name(struct sim_disk *d, const char *dir, unsigned i)
{
	struct sim_file **at = dir ? sim_names_find(&d->root->now, dir) : &d->root;

	return at && i < (*at)->now.n ? (*at)->now.entry[i].name : NULL;
}
