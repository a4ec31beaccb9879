/* SPDX-License-Identifier: MIT
 * fetch_client.h - a consumer that fetches in a session, from topics "t" and others of a world of its own. */
#ifndef KIRA_TESTS_FETCH_CLIENT_H
#define KIRA_TESTS_FETCH_CLIENT_H

#include "tests/unit/control/world.h"

#define BATCH 1000
#define TOLD  8

extern struct world w;
extern int fd;
extern int16_t fetch_version;   /* 12 from open_world() on */
extern int32_t fetch_max_bytes; /* 1 MiB from there on */

/* One partition of an answer. */
struct told {
	char topic[16];
	int32_t partition;
	int16_t error;
	int64_t end;
	uint32_t bytes;
};

struct answer {
	int16_t error;
	int32_t session, n;
	struct told told[TOLD];
};

/* Topic t. */
struct topic *open_world(const char *const *options, int32_t partitions);
void close_world(void);

/* Begin a request; want() of each topic follows, then forget(). It may wait for 500 ms. */
struct writer *begin(int32_t session, int32_t epoch, int32_t topics);
/* Partitions 0 .. n-1 of a topic, all from the same offset. */
void want(struct writer *q, const char *topic, int32_t n, int64_t offset);
/* The end of a request: it forgets this topic's partition, or (NULL) nothing. */
void forget(struct writer *q, const char *topic, int32_t partition);
/* A request that changes nothing. */
void unchanged(int32_t session, int32_t epoch);
/* Partition 0 of t from this offset on. */
void from(int32_t session, int32_t epoch, int64_t offset);

struct answer read_answer(struct reader r);
/* The answer, which comes at once. */
struct answer ask(void);
/* What it was parked for has come. */
struct answer woken(int at);
/* It is parked still. */
void waits(int at);

/* A session of all partitions of t, of which the first has a batch. */
int32_t session(const struct topic *t);

#endif
