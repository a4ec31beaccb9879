/* SPDX-License-Identifier: MIT
 * layout.h - names of files, and how small files are read and replaced whole (FORMAT.md).
 * Blocking; never on a storage lcore. */
#ifndef KIRA_STORAGE_LAYOUT_H
#define KIRA_STORAGE_LAYOUT_H

#include "storage/io.h"

#include <errno.h>
#include <stdbool.h>

#define LAYOUT_NAME       40 /* 20 digits, the longest suffix, and some */
#define LAYOUT_SPARE      "next.pool"
#define LAYOUT_EPOCHS     "leader-epoch-checkpoint"
#define LAYOUT_CHECKPOINT ".checkpoint" /* suffix */
#define LAYOUT_METADATA   "partition.metadata"
#define LAYOUT_FILE_MAX   (256u << 20)

/* 00000000000000004711.log */
void layout_name(char ret[LAYOUT_NAME], int64_t offset, const char *suffix);
/* The offset in such a name, -1 where it is none. */
int64_t layout_offset(const char *name, const char *suffix);

/* Is that the error of a full disk, or of a quota? */
static inline bool
layout_no_space(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT;
}

/* Replace a file: .tmp, fsync, rename, fsync of the directory, by an open file of its own: what that is told of
 * earlier changes it hides from nobody who syncs `dir`. May be tried again after any error. */
int layout_replace(const struct io *io, int dir, const char *name, const void *bytes, size_t n);
/* The same without the sync of the directory, for several files at once. */
int layout_put(const struct io *io, int dir, const char *name, const void *bytes, size_t n);
/* The same but for the sync: of a file that nothing refers to before io->sync_all(). */
int layout_put_unsynced(const struct io *io, int dir, const char *name, const void *bytes, size_t n);
/* The whole file, and a 0 behind it; to be freed. -ENOENT. */
int layout_read(const struct io *io, int dir, const char *name, char **ret, size_t *n);

/* Kira's own text files: `kira-<kind> 1`, body, `crc32c <hex>`. A file that fails its checks is
 * -EBADMSG. `body`: whole lines. */
int layout_put_text(const struct io *io, int dir, const char *kind, const char *body);
int layout_read_text(const struct io *io, int dir, const char *kind, char **body);

int layout_sync_dir(const struct io *io, int dir);
/* The directory once more, as another open file, to be closed: for whom an error of its sync is not final. The
 * kernel tells what it could not write once per open file, so `dir` itself is told, too. Before the change. */
int layout_open_dir(const struct io *io, int dir);
/* Unlink what is there; a file that is not is no error. */
int layout_unlink(const struct io *io, int dir, const char *name);
/* All files of a segment; `snapshot`: that at its base, too. The log last: cut short, the segment is
 * found again and the rest goes then. Indexes left alone would lie beside the next log of that name,
 * and make it look sealed. */
int layout_unlink_segment(const struct io *io, int dir, int64_t base, bool snapshot);

#endif
