/* SPDX-License-Identifier: MIT
 * fake_storage.h - what a test may do to the storage that fake_storage.c pretends to be. */
#ifndef KIRA_TESTS_FAKE_STORAGE_H
#define KIRA_TESTS_FAKE_STORAGE_H

#include "storage/storage.h"

struct storage {
	bool hold_ops;             /* storage_reap() gives nothing: the test decides when */
	unsigned give_ops;         /* but so many */
	int fail_rc;               /* -errno: the next reaped operation failed */
	bool hold_commits;         /* commit_done stays where it is */
	bool full;                 /* storage_append() answers WAIT */
	uint64_t commit, commit_done, failures;
	const char *root_failure, *read_failure;
	uint64_t stuck_ns;
	unsigned range_failures;
	int64_t producer_ids;
	unsigned pinned;           /* ranges given out and not yet unpinned */
	unsigned wanted_disk;      /* calls of storage_want_disk() */
	unsigned warm, cold;       /* after so many reads so many give up, if told not to wait */
	/* Called once, when storage_ends() has read what it returns, after so many calls that did as well. */
	void (*asked_ends)(struct partition *part);
	unsigned ends_until;
	unsigned find_times;       /* calls of storage_find_time() */
	bool nowait, gave_up;
	unsigned partitions;       /* that live */
	unsigned slots;            /* given out; none is given again */
	uint64_t moved;            /* slots below 64 whose end was published since dataplane_moved() asked */
	char *catalogue;           /* text of the last operation that carried one */
	struct storage_op *op_first, *op_last;
	unsigned ops;              /* submitted and not reaped */
};

extern struct storage fake;

/* Forget everything; partitions made before are freed. */
void fake_reset(void);
/* Append and publish a batch of `count` records, `bytes` long in all. */
void fake_put(struct partition *part, int32_t count, uint32_t bytes);
void fake_set_state(struct partition *part, enum partition_state state);
/* Due until told to roll. */
void fake_set_roll_due(struct partition *part, bool due);
/* As it was made or configured last; how often since it was made. */
const struct partition_config *fake_config(const struct partition *part, unsigned *times);
unsigned fake_rolls(const struct partition *part);
/* Its bytes lie in this file from now on, which is the fake's to close. */
void fake_move(struct partition *part, int fd);
void fake_set_start(struct partition *part, int64_t start);
/* The last `records` may not be read yet. */
void fake_hide(struct partition *part, int64_t records);

#endif
