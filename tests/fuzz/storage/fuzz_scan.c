/* SPDX-License-Identifier: MIT
 * fuzz_scan.c - a .log file that nobody vouches for, through the scan of recovery. Input: byte 0
 * bit 0: check checksums, bit 1: judge epochs, bit 2: make every checksum right; bytes 1..2 the
 * offset the log begins with; then the file. Batches that come out are whole, lie end to end in the
 * file and continue each other; the scan ends. */
#include "storage/batch.h"
#include "storage/scan.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"

#include <kira/record_batch.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *file;
static size_t file_size;

static int
file_size_of(int fd, uint64_t *ret)
{
	*ret = file_size;
	return 0;
}

static int64_t
file_pread(int fd, void *to, size_t n, uint64_t at)
{
	if (at > file_size)
		return 0;
	n = MIN(n, file_size - at);
	memcpy(to, file + at, n);
	return (int64_t)n;
}

static const struct io memory = {.size = file_size_of, .pread = file_pread};

/* Batches as far as their lengths lead: else the checksum ends nearly every scan at once. */
static void
mend_checksums(void)
{
	size_t at = 0;

	while (at + RB_HEADER <= file_size) {
		const int64_t total = rb_total(file + at);

		if (total < RB_HEADER || total > (int64_t)(file_size - at))
			return;
		put_be32(file + at + RB_CRC,
			crc32c(file + at + RB_ATTRIBUTES, (size_t)total - RB_ATTRIBUTES));
		at += (size_t)total;
	}
}

static void
scan_all(int64_t expected, const struct epochs *epochs, bool crc)
{
	enum scan_verdict v;
	struct scan sc;
	uint64_t at = 0;
	unsigned n = 0;

	if (scan_open(&sc, &memory, 3, 0) != 0)
		__builtin_trap();
	while ((v = scan_next(&sc, expected, epochs, crc)) == SCAN_BATCH) {
		if (sc.position != at + sc.total || sc.position > file_size)
			__builtin_trap();
		if (memcmp(sc.batch, file + at, sc.total) != 0)
			__builtin_trap();
		if (rb_base_offset(sc.batch) != expected ||
			batch_check(sc.batch, sc.total, BATCH_EXACT) != 0 ||
			(crc && !batch_crc_right(sc.batch)) ||
			(epochs && rb_leader_epoch(sc.batch) != epochs_at(epochs, expected)))
			__builtin_trap();
		expected += rb_count(sc.batch);
		at = sc.position;
		if (++n > file_size / RB_HEADER)
			__builtin_trap();
	}
	/* A verdict leaves the position at the end of the last batch. */
	if (v == SCAN_ERROR || sc.position != at || (v == SCAN_END) != (at == file_size))
		__builtin_trap();
	if (v == SCAN_ZEROS)
		for (; at < file_size; at++)
			if (file[at] != 0)
				__builtin_trap();
	scan_close(&sc);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct epoch_entry entry[] = {{0, 0}, {1, 40}, {5, 300}};
	const struct epochs epochs = {entry, ARRAY_LENGTH(entry)};

	if (size < 3)
		return 0;
	file_size = size - 3;
	file = malloc(file_size + 1);
	if (!file)
		return 0;
	memcpy(file, data + 3, file_size);
	if (data[0] & 4)
		mend_checksums();
	scan_all(get_be16(data + 1), data[0] & 2 ? &epochs : NULL, data[0] & 1);
	free(file);
	return 0;
}
