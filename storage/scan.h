/* SPDX-License-Identifier: MIT
 * scan.h - a .log file read batch by batch, by pread, as bytes that nobody vouches for.
 * Blocking; never on a storage lcore. Also the mouth that the recovery fuzzer feeds. */
#ifndef KIRA_STORAGE_SCAN_H
#define KIRA_STORAGE_SCAN_H

#include "storage/epoch.h"
#include "storage/io.h"

#include <stdatomic.h>

enum scan_verdict {
	SCAN_BATCH, /* batch, total */
	SCAN_END,   /* the file ends here */
	SCAN_ZEROS, /* nothing but zeros to the end of the file */
	SCAN_BAD,   /* something else: torn, stale, damaged */
	SCAN_ERROR, /* rc */
};

struct scan {
	const struct io *io;
	int fd;
	uint64_t size, position;  /* of the next batch */
	uint8_t *buffer;
	uint64_t at, have;        /* buffer[0] is the file's byte `at` */
	uint64_t ahead;           /* bytes that the next read takes at least */
	uint64_t farthest;        /* byte of the file that was read */
	_Atomic uint64_t *fetched; /* how many were, each once, is added there; NULL: nobody asks */
	const uint8_t *batch;     /* valid until the next call */
	uint32_t total;
	bool first_only;          /* no batch here: nobody asks what lies behind */
	/* Synced, and dropped from the page cache: what the file system has no data of is zeros on the disk, and
	 * not read. */
	bool skips_holes;
	int rc;
};

int scan_open(struct scan *sc, const struct io *io, int fd, uint64_t position);
void scan_close(struct scan *sc);

/* The batch at the position, which then moves behind it. It must continue the log: base offset
 * `expected`, the epoch that `epochs` gives there (NULL: any), header and, if `crc`, checksum right. */
enum scan_verdict scan_next(struct scan *sc, int64_t expected, const struct epochs *epochs, bool crc);

#endif
