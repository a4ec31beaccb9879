/* SPDX-License-Identifier: MIT
 * request_bytes.h - bodies of requests as golden bytes, and whichever request they are, decoded. */
#ifndef KIRA_TESTS_REQUEST_BYTES_H
#define KIRA_TESTS_REQUEST_BYTES_H

#include "control/kafka/requests_admin.h"
#include "control/kafka/requests_configs.h"
#include "control/kafka/requests_groups.h"
#include "tests/unit/ut.h"

#define ARENA_PARTITIONS 20000 /* the most that a Fetch may name */
#define ID "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"

extern struct arena arena;

/* `key` must be one of ours. */
struct request body(int16_t key, int16_t version, const char *bytes, size_t length);
#define BODY(key, version, bytes) body(key, version, bytes, sizeof(bytes) - 1)

/* By its own decoder, into the arena. */
bool decode(const struct request *rq);
/* It decodes, and no prefix of it does. */
void no_prefix_decodes(const struct request *rq);

bool is(struct view v, const char *text);

#endif
