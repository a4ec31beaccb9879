/* SPDX-License-Identifier: MIT
 * rewrite_names.c - see the header. Three files cannot change their names at once; a crash may come
 * between any two renames, and a power cut undo any that no sync of the directory covers.
 *
 *   .cleaned (synced) --rename timeindex, index, log--> .swap --sync--> --rename log, index, timeindex--> final
 *
 * While anything is .cleaned nothing final was touched: undone. Once nothing is, all of the new files
 * are there, each as .swap or already final: finished. The sync between makes sure that a final name
 * never changes before that is so. */
#include "storage/rewrite_names.h"

#include "storage/layout.h"
#include "storage/rewrite.h"

#include "base/bits.h"
#include "base/bug.h"

#include <errno.h>
#include <fcntl.h>

static void
part_name(char ret[LAYOUT_NAME], int64_t base, unsigned part, const char *tail)
{
	char suffix[24];

	(void)snprintf(suffix, sizeof(suffix), "%s%s", segment_suffix[part], tail);
	layout_name(ret, base, suffix);
}

static int
rename_part(const struct io *io, int dir, int64_t base, unsigned part, const char *from, const char *to)
{
	char old[LAYOUT_NAME], new[LAYOUT_NAME];

	part_name(old, base, part, from);
	part_name(new, base, part, to);
	return io->renameat(dir, old, new);
}

/* Whatever of the three is there. */
static int
rename_all(const struct io *io, int dir, int64_t base, const char *from, const char *to)
{
	int rc = 0;

	for (unsigned i = 0; i < SEGMENT_PARTS && rc == 0; i++) {
		rc = rename_part(io, dir, base, i, from, to);
		if (rc == -ENOENT)
			rc = 0;
	}
	return rc;
}

int
rewrite_undo(const struct io *io, int dir, int64_t base)
{
	/* First no .swap any more, for good: some of them alone would count. */
	int rc = rename_all(io, dir, base, REWRITE_SWAP, REWRITE_CLEANED);

	if (rc == 0)
		rc = layout_sync_dir(io, dir);
	for (unsigned i = 0; i < SEGMENT_PARTS && rc == 0; i++) {
		char name[LAYOUT_NAME];

		part_name(name, base, i, REWRITE_CLEANED);
		rc = layout_unlink(io, dir, name);
	}
	return rc;
}

int
rewrite_names(const struct io *io, int dir, int64_t base)
{
	int rc = 0;

	for (unsigned i = SEGMENT_PARTS; i-- > 0 && rc == 0;)
		rc = rename_part(io, dir, base, i, REWRITE_CLEANED, REWRITE_SWAP);
	if (rc == 0)
		rc = layout_sync_dir(io, dir); /* the commit point */
	if (rc < 0) {
		(void)rewrite_undo(io, dir, base);
		return rc;
	}
	rc = rename_all(io, dir, base, REWRITE_SWAP, "");
	return rc < 0 ? rc : layout_sync_dir(io, dir);
}

int64_t
rewrite_left(const char *name, bool *cleaned, unsigned *part)
{
	static const char *const tail[] = {REWRITE_SWAP, REWRITE_CLEANED};

	for (unsigned t = 0; t < ARRAY_LENGTH(tail); t++) {
		for (unsigned i = 0; i < SEGMENT_PARTS; i++) {
			char suffix[24];
			int64_t base;

			(void)snprintf(suffix, sizeof(suffix), "%s%s", segment_suffix[i], tail[t]);
			base = layout_offset(name, suffix);
			if (base < 0)
				continue;
			*cleaned = t == 1;
			if (part)
				*part = i;
			return base;
		}
	}
	return -1;
}

int
rewrite_recover(const struct io *io, int dir, int64_t base, bool any_cleaned)
{
	char name[LAYOUT_NAME];
	int rc, fd;

	if (any_cleaned && !BUG(16)) {
		rc = rewrite_undo(io, dir, base);
		return rc < 0 ? rc : layout_sync_dir(io, dir);
	}
	rc = rename_part(io, dir, base, SEGMENT_LOG, REWRITE_SWAP, "");
	if (rc == -ENOENT) {
		/* Renamed before; or the segment expired while its swap had failed half-way. */
		part_name(name, base, SEGMENT_LOG, "");
		rc = fd = io->openat(dir, name, O_RDONLY, 0);
		if (fd >= 0)
			rc = io->close(fd);
		if (rc == -ENOENT)
			rc = rewrite_undo(io, dir, base);
	}
	if (rc == 0)
		rc = rename_all(io, dir, base, REWRITE_SWAP, "");
	return rc < 0 ? rc : layout_sync_dir(io, dir);
}
