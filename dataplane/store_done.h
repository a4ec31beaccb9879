/* SPDX-License-Identifier: MIT
 * store_done.h - the end of a message in a storage lcore: staged, and completed once the partitions of
 * the run are published. Thread: the storage lcore, in its turn. */
#ifndef KIRA_DATAPLANE_STORE_DONE_H
#define KIRA_DATAPLANE_STORE_DONE_H

#include "dataplane/store.h"

/* Finished, but for the publish. `covered`: a commit number goes with it. The message may be given
 * back before this returns. */
void store_stage(struct store_lcore *st, struct store_msg *msg, int16_t error, int64_t base_offset,
	bool covered);

/* End the run. */
void store_publish(struct store_lcore *st);

/* The next publish covers `part`. */
static inline void
store_touch(struct store_lcore *st, struct store_lane *lane, struct partition *part)
{
	lane->part = part;
	if (lane->dirty)
		return;
	lane->dirty = true;
	st->dirty[st->dirty_n++] = lane;
}

#endif
