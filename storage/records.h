/* SPDX-License-Identifier: MIT
 * records.h - the records inside a batch, looked at for their timestamps. Cold; pure but for the
 * memory an LZ4 batch needs. Bytes are judged: a mouth of its own for a fuzzer. */
#ifndef KIRA_STORAGE_RECORDS_H
#define KIRA_STORAGE_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

/* The first record of a whole, checked batch with timestamp >= target. False: none, or the records
 * cannot be read (a codec other than LZ4, malformed): then the batch as a whole is the answer. */
bool records_find_time(const uint8_t *batch, int64_t target_ms, int64_t *offset,
	int64_t *timestamp_ms);

#endif
