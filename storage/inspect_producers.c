/* SPDX-License-Identifier: MIT
 * inspect_producers.c - producer snapshots against the batch headers below them. */
#include "storage/inspect_log.h"

#include "storage/layout.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define HEAD  10
#define ENTRY 46 /* FORMAT.md, "Snapshot of producer state" */
#define FOLD  0  /* slots of the table: what the headers gave, */
#define FILES 1  /* what the file says */

static const char cure[] = "remove the file: kirad then goes by an older snapshot and the batch headers";

/* A slot's entries, in the snapshot's format; to be freed. */
static uint8_t *
entries(const struct producers *p, unsigned slot, uint32_t *n)
{
	const uint32_t length = PRODUCER_SNAPSHOT_BYTES(producers_count(p, slot));
	uint8_t *bytes = malloc(length);

	ASSERT(bytes && producers_put(p, slot, bytes, length) == length);
	*n = producers_count(p, slot);
	return bytes;
}

static int
by_id(const void *a, const void *b)
{
	const int64_t x = (int64_t)get_be64(a), y = (int64_t)get_be64(b);

	return x < y ? -1 : x > y;
}

static bool
in_hole(const struct holes *h, int64_t offset)
{
	return h && holes_after(h, offset) != offset;
}

static void
compare(struct inspect *in, const struct inspect_place *at, const char *name, const struct inspect_snapshot *s)
{
	uint32_t folded, written, missing = 0, j = 0;
	uint8_t *fold = entries(s->producers, FOLD, &folded), *file = entries(s->producers, FILES, &written);

	qsort(fold + HEAD, folded, ENTRY, by_id);
	qsort(file + HEAD, written, ENTRY, by_id);
	for (uint32_t i = 0; i < written; i++) {
		const uint8_t *w = file + HEAD + (size_t)i * ENTRY, *f = NULL;
		const int64_t id = (int64_t)get_be64(w), offset = (int64_t)get_be64(w + 14);

		for (; j < folded && by_id(fold + HEAD + (size_t)j * ENTRY, w) < 0; j++)
			missing++;
		if (j < folded && by_id(fold + HEAD + (size_t)j * ENTRY, w) == 0)
			f = fold + HEAD + (size_t)j++ * ENTRY;
		if (in_hole(s->holes, offset))
			continue;
		/* Id, epoch, last sequence, last offset and its delta. */
		if ((f && memcmp(f, w, 26) != 0) || (!f && offset >= s->before))
			inspect_say(in, INSPECT_DAMAGE, at, name, -1, offset, cure,
				"producer %" PRId64 ": the snapshot has epoch %d, sequence %" PRId32 " at offset %" PRId64
				", the batch headers give epoch %d, sequence %" PRId32 " at offset %" PRId64, id,
				(int16_t)get_be16(w + 8), (int32_t)get_be32(w + 10), offset,
				f ? (int16_t)get_be16(f + 8) : -1, f ? (int32_t)get_be32(f + 10) : -1,
				f ? (int64_t)get_be64(f + 14) : -1);
	}
	missing += folded - j;
	if (missing > 0)
		inspect_say(in, INSPECT_NOTE, at, name, -1, -1, NULL, "%" PRIu32 " of %" PRIu32
			" producers are not in it: forgotten, since too many others came", missing, folded);
	free(fold);
	free(file);
}

int
inspect_snapshot(struct inspect *in, const struct inspect_place *at, const struct inspect_snapshot *s,
	bool *loaded, struct err *err)
{
	struct producers *const p = s->producers;
	const int64_t offset = s->offset;
	char name[LAYOUT_NAME], *bytes;
	size_t n;
	int rc;

	layout_name(name, offset, ".snapshot");
	rc = layout_read(in->io, at->fd, name, &bytes, &n);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return err_sys(err, rc, "read %s/%s", at->path, name);
	in->bytes += n;
	producers_forget(p, FILES);
	if (!producers_load(p, FILES, (const uint8_t *)bytes, (uint32_t)n, 0))
		inspect_say(in, INSPECT_DAMAGE, at, name, -1, offset, cure,
			"not a snapshot: its version, length or CRC-32C is wrong");
	else if (!*loaded && offset == s->before)
		/* What lies below the first segment only this file knows. */
		*loaded = producers_load(p, FOLD, (const uint8_t *)bytes, (uint32_t)n, 0);
	else
		compare(in, at, name, s);
	free(bytes);
	return 0;
}
