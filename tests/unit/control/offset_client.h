/* SPDX-License-Identifier: MIT
 * offset_client.h - a client that commits offsets and asks for them, in a world with topic t of 3 partitions and u
 * of 1, whose group log can be read again. */
#ifndef KIRA_TESTS_OFFSET_CLIENT_H
#define KIRA_TESTS_OFFSET_CLIENT_H

#include "control/groups/group.h"
#include "control/groups/group_topic.h"
#include "control/groups/offsets.h"
#include "tests/unit/control/world.h"

#define SIMPLE (-1) /* the generation of a consumer without a group's protocol */

struct one {
	const char *topic;
	int32_t partition;
	int64_t offset;
	const char *metadata;
};

extern struct world w;
extern int fd; /* the client's socket */

/* Options as those of world_open(). */
void begin_with(const char *const *options);
void begin(void);
void end(void);

/* Build an OffsetCommit, from version 6 on with leader epoch 5; read its answer: an error for each of n. */
void write_commit(int16_t version, const char *group, int32_t generation, const struct one *one, int32_t n);
void read_commit(struct reader r, int16_t version, int16_t *error, int32_t n);
/* Both: one offset, metadata "m". */
int16_t commit(const char *group, const char *topic, int32_t partition, int64_t offset);
/* What a client is told is committed by commit(); -1: nothing. */
int64_t fetch(const char *group, const char *topic, int32_t partition);

/* __consumer_offsets; NULL: not made yet. */
struct topic *log_topic(void);
struct partition *log_part(void);
/* kirad ends and comes back: only what the log holds is left. */
void restart(void);

#endif
