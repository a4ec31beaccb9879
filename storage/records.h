/* SPDX-License-Identifier: MIT
 * records.h - the records inside a batch, for a search by time and for tools. Cold; pure but for the
 * memory a compressed batch needs. Bytes are judged: a mouth of its own for a fuzzer. */
#ifndef KIRA_STORAGE_RECORDS_H
#define KIRA_STORAGE_RECORDS_H

#include "base/bits.h"
#include "base/reader.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORDS_RAW_MAX (64 * MIB) /* of a decompressed batch; 5 MiB seldom hold more */

/* The first record at or above offset `from` of a whole, checked batch with timestamp >= target. False: none,
 * or the records cannot be read: then the batch as a whole is the answer. */
bool records_find_time(const uint8_t *batch, int64_t from, int64_t target_ms, int64_t *offset,
	int64_t *timestamp_ms);

struct record {
	int64_t offset, timestamp_ms;
	int64_t created_ms;     /* the producer's time, also where the broker stamped the batch */
	uint8_t attributes;
	struct view body;       /* as stored: from the key's length to the end of the record */
	struct view key, value; /* NULL: null. Valid during the call */
	int32_t headers;
	struct reader rest;     /* stands at the first header: records_header() */
};

enum records_verdict {
	RECORDS_WHOLE,  /* each was given out, and they fill the batch exactly */
	RECORDS_BROKEN, /* from here on they are no records, or not what their codec says */
};

/* Each record of a whole, checked batch, in order; `each` returns false to stop (then WHOLE). */
enum records_verdict records_each(const uint8_t *batch, bool (*each)(void *arg, struct record *r),
	void *arg);
/* The same; a compressed batch that holds more than `raw_max` bytes is broken. */
enum records_verdict records_each_within(const uint8_t *batch, size_t raw_max,
	bool (*each)(void *arg, struct record *r), void *arg);
/* The next header of a record; its bytes were walked over before. */
void records_header(struct record *r, struct view *name, struct view *value);

#endif
