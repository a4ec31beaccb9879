/* SPDX-License-Identifier: MIT
 * fake_fetch.c - storage's hints ahead of an append, for the fakes of it: nothing of theirs is far away. */
#include "storage/storage.h"

void
storage_fetch_partition(const struct partition *part)
{
	(void)part;
}

void
storage_fetch_segment(const struct partition *part, const uint8_t *batch)
{
	(void)part, (void)batch;
}

void
storage_fetch_tail(const struct partition *part, const uint8_t *batch)
{
	(void)part, (void)batch;
}
