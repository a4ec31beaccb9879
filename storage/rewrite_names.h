/* SPDX-License-Identifier: MIT
 * rewrite_names.h - the renames that put a rewritten segment in the place of the old one; private to
 * rewrite*.c. Kafka's suffixes, Kafka's order. Blocking. */
#ifndef KIRA_STORAGE_REWRITE_NAMES_H
#define KIRA_STORAGE_REWRITE_NAMES_H

#include "storage/io.h"

#include <stdint.h>

#define REWRITE_CLEANED ".cleaned" /* written, and perhaps not whole: as if it were not there */
#define REWRITE_SWAP    ".swap"    /* whole, on disk; where nothing is .cleaned any more: the segment */

/* All three .cleaned and synced, directory too, become the segment. See rewrite_swap(). */
int rewrite_names(const struct io *io, int dir, int64_t base);
/* No .swap and no .cleaned of it any more. */
int rewrite_undo(const struct io *io, int dir, int64_t base);

#endif
