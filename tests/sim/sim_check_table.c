/* SPDX-License-Identifier: MIT
 * sim_check_table.c - see the header. */
#include "tests/sim/sim_check_table.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_BYTES (256 * GIB) /* of address space; the file is as long as what was touched */
#define CHUNKS_MAX  ((uint64_t)1 << 24) /* 6.8 * 10^10 rows, in a directory of 128 MiB */

int
arena_open(struct arena *a, const char *dir, struct err *err)
{
	int fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int rc = 0;

	*a = (struct arena){.size = ARENA_BYTES};
	if (fd < 0)
		return err_sys(err, -errno, "make a file in %s", dir ? dir : "/var/tmp");
	if (ftruncate(fd, (off_t)a->size) < 0)
		rc = err_sys(err, -errno, "make a sparse file of %d GiB", (int)(a->size / GIB));
	if (rc == 0) {
		a->at = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
		if (a->at == MAP_FAILED)
			rc = err_sys(err, -errno, "map it");
	}
	(void)close(fd);
	return rc;
}

void
arena_close(struct arena *a)
{
	if (a->at)
		(void)munmap(a->at, a->size);
	*a = (struct arena){0};
}

static void *
arena_take(struct arena *a, uint64_t bytes)
{
	uint8_t *p = a->at + a->used;

	bytes = round_up(bytes, CACHE_LINE);
	if (bytes > a->size - a->used)
		return NULL;
	a->used += bytes;
	return p;
}

/* ---- Rows --------------------------------------------------------------------------------- */

void *
rows_at(struct rows *r, struct arena *a, int64_t number)
{
	const uint64_t chunk = (uint64_t)number / ROWS_CHUNK;

	if (number < 0 || chunk >= CHUNKS_MAX)
		return NULL;
	if (chunk >= r->chunks) {
		const uint64_t n = MAX(chunk + 1, r->chunks * 2);
		void **grown = realloc(r->chunk, n * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + r->chunks, 0, (n - r->chunks) * sizeof(*grown));
		r->chunk = grown;
		r->chunks = n;
	}
	if (!r->chunk[chunk])
		r->chunk[chunk] = arena_take(a, ROWS_CHUNK * r->row);
	return rows_find(r, number);
}

void *
rows_find(const struct rows *r, int64_t number)
{
	const uint64_t chunk = (uint64_t)number / ROWS_CHUNK;

	if (number < 0 || chunk >= r->chunks || !r->chunk[chunk])
		return NULL;
	return (uint8_t *)r->chunk[chunk] + (uint64_t)number % ROWS_CHUNK * r->row;
}

void
rows_free(struct rows *r)
{
	free(r->chunk);
	r->chunk = NULL;
	r->chunks = 0;
}

/* ---- The set ------------------------------------------------------------------------------ */

static struct seen *
find(const struct seen_set *set, unsigned part, int32_t leader, int64_t offset)
{
	uint64_t h = ((uint64_t)offset * 0x9e3779b97f4a7c15u) ^ ((uint64_t)(uint32_t)leader << 17) ^ part;

	h *= 0xff51afd7ed558ccdu;
	for (h >>= 20;; h++) {
		struct seen *s = &set->slot[h & (set->slots - 1)];

		if (!s->unit_stream ||
			(s->offset == offset && s->leader == leader && s->part == part))
			return s;
	}
}

struct seen *
seen_slot(struct seen_set *set, struct arena *a, unsigned part, int32_t leader, int64_t offset)
{
	if (set->n * 2 >= set->slots) {
		struct seen_set grown = {.slots = MAX(set->slots * 2, (uint64_t)1024), .n = set->n};

		grown.slot = arena_take(a, grown.slots * sizeof(*grown.slot));
		if (!grown.slot)
			return NULL;
		for (uint64_t i = 0; i < set->slots; i++) {
			const struct seen *s = &set->slot[i];

			if (s->unit_stream)
				*find(&grown, s->part, s->leader, s->offset) = *s;
		}
		*set = grown;
	}
	return find(set, part, leader, offset);
}
