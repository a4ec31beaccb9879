/* SPDX-License-Identifier: MIT
 * group_client.h - a client's requests of consumer groups, in any version; answers read to their last byte. */
#ifndef KIRA_TESTS_GROUP_CLIENT_H
#define KIRA_TESTS_GROUP_CLIENT_H

#include "control/groups/group.h"
#include "tests/unit/control/world.h"

#define CONSUMER_BYTES "\0\1meta" /* what a member brings, 6 bytes */

extern struct world w;

struct joined {
	int16_t error;
	int32_t generation;
	struct view type, protocol, leader, member;
	bool skip;
	int32_t members;
	struct view first_member, first_metadata;
	struct view instance;
};

void keep(char ret[128], struct view v);

/* Session 10 s, rebalance 20 s, type "consumer", protocol "range". */
void ask_join_with(int16_t version, const char *group, const char *member, const char *instance, const char *metadata,
	uint32_t bytes);
void ask_join(int16_t version, const char *group, const char *member, const char *instance);
struct joined read_join(struct reader r, int16_t version);
/* As a client of that version joins: from 4 on in two steps. `member`: its id, "" at first. */
struct joined join(int fd, int16_t version, const char *group, char member[128]);

/* Who leads assigns itself "part". */
void ask_sync(int16_t version, const char *group, const char *member, int32_t generation, bool leads);

/* The error of the one member; *top: of the whole. */
int16_t ask_leave(int fd, int16_t version, const char *group, const char *member, int16_t *top);

#endif
