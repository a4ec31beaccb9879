/* SPDX-License-Identifier: MIT
 * sim_crash.c - what a crash leaves of the simulated disk: another disk. */
#include "tests/sim/sim_files.h"

#include "base/assert.h"
#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

/* How one crash chooses: by the page, or all alike, as a disk does that wrote nothing or all. */
enum fate { FATE_ANY, FATE_OLD, FATE_NEW, FATE_TORN, FATES };

struct crash {
	struct sim_random *random; /* NULL: all is kept */
	struct sim_disk *to;
	enum fate data;
	const uint32_t *subset;    /* of the dirty pages is kept, NULL: not so */
	unsigned dirty;            /* pages gone through */
	bool lost;                 /* something was */
};

static const uint8_t *
version_of(const struct sim_file *f, uint64_t page, unsigned v)
{
	return v == 0 ? f->disk + page * SIM_PAGE : f->page[page].version[v - 1];
}

/* One page after the crash; which version counts as lost is said by the return value. */
static bool
leave_page(struct crash *c, const struct sim_file *f, uint64_t page, uint8_t *to)
{
	const unsigned n = f->page[page].n;
	unsigned v = n;

	if (n > 0 && c->subset)
		v = *c->subset >> c->dirty++ & 1 ? n : 0;
	else if (n > 0 && c->random && c->data != FATE_NEW)
		v = c->data == FATE_OLD ? 0 : (unsigned)sim_random(c->random, n + 1);
	memcpy(to, version_of(f, page, v), SIM_PAGE);
	if (n > 0 && c->random && c->data == FATE_TORN && sim_random(c->random, 2)) {
		for (unsigned at = 0; at < SIM_PAGE; at += SIM_SECTOR)
			memcpy(to + at, version_of(f, page, (unsigned)sim_random(c->random, n + 1)) + at,
				SIM_SECTOR);
		sim.fault[SIM_PAGE_TORN]++;
		c->lost = true;
		return false;
	}
	if (v < n) {
		sim.fault[v == 0 ? SIM_PAGE_LOST : SIM_PAGE_BETWEEN]++;
		c->lost = true;
	}
	return n > 0 && v == 0;
}

static uint64_t
leave_size(struct crash *c, const struct sim_file *f)
{
	uint64_t at = f->sizes;

	if (f->sizes > 0 && c->random && c->data != FATE_NEW)
		at = c->data == FATE_OLD ? 0 : sim_random(c->random, f->sizes + 1);
	if (at < f->sizes) {
		sim.fault[SIM_SIZE_LOST]++;
		c->lost = true;
	}
	return at == 0 ? f->disk_size : f->past_size[at - 1];
}

static void
leave_bytes(struct crash *c, struct sim_file *f, struct sim_file *to)
{
	bool hole = false;

	if (f->maps > 0)
		sim_file_look(f);
	to->size = to->disk_size = leave_size(c, f);
	to->room = round_up(to->size, SIM_PAGE);
	to->page = calloc(to->room / SIM_PAGE + 1, sizeof(*to->page));
	to->disk = malloc(to->room + 1);
	to->live = malloc(to->room + 1);
	ASSERT(to->page && to->disk && to->live);
	for (uint64_t i = 0; i < to->room / SIM_PAGE; i++) {
		const bool lost = leave_page(c, f, i, to->disk + i * SIM_PAGE);

		if (hole && !lost && f->page[i].n > 0)
			sim.fault[SIM_HOLE]++;
		hole = lost;
	}
	if (to->size % SIM_PAGE)
		memset(to->disk + to->size, 0, to->room - to->size);
	memcpy(to->live, to->disk, to->room);
}

static struct sim_file *
leave(struct crash *c, struct sim_file *f)
{
	struct sim_file *to;
	unsigned kept = f->changes;
	bool any = false;

	if (f->copy)
		return f->copy;
	to = f->copy = sim_file_new(c->to, f->directory);
	if (!f->directory) {
		leave_bytes(c, f, to);
		return to;
	}
	if (f->changes > 0 && c->random) {
		const uint64_t how = sim_random(c->random, 5);

		any = how == 0;
		kept = any || how == 1 ? f->changes : how == 2 ? 0 :
			(unsigned)sim_random(c->random, f->changes + 1);
		if (any)
			sim.fault[SIM_NAMES_ANY]++;
		else if (kept < f->changes)
			sim.fault[kept ? SIM_NAMES_CUT : SIM_NAMES_LOST]++;
		c->lost |= any || kept < f->changes;
	}
	sim_names_copy(&to->now, &f->kept);
	for (unsigned i = 0; i < kept; i++)
		if (!any || sim_random(c->random, 2))
			sim_names_apply(&to->now, &f->change[i]);
	for (unsigned i = 0; i < to->now.n; i++)
		to->now.entry[i].file = leave(c, to->now.entry[i].file);
	sim_file_sync(to, 0, SIM_ALL_PAGES);
	return to;
}

static struct sim_disk *
crash(struct crash c, struct sim_disk *d)
{
	c.to = calloc(1, sizeof(*c.to));
	ASSERT(c.to);
	for (struct sim_file *f = d->files; f; f = f->next)
		f->copy = NULL;
	c.to->root = leave(&c, d->root);
	if (!c.lost)
		sim.fault[SIM_NOTHING_LOST]++;
	return c.to;
}

struct sim_disk *
sim_disk_crash(struct sim_disk *d, struct sim_random *r)
{
	return crash((struct crash){.random = r, .data = r ? (enum fate)sim_random(r, FATES) : FATE_NEW}, d);
}

struct sim_disk *
sim_disk_crash_subset(struct sim_disk *d, uint32_t kept)
{
	return crash((struct crash){.subset = &kept}, d);
}

static unsigned
count_dirty(struct sim_file *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->now.n; i++)
		n += count_dirty(f->now.entry[i].file);
	if (f->maps > 0)
		sim_file_look(f);
	for (uint64_t i = 0; i < f->room / SIM_PAGE && f->dirty; i++)
		n += f->page[i].n > 0;
	return n;
}

unsigned
sim_disk_dirty(struct sim_disk *d)
{
	return count_dirty(d->root);
}
