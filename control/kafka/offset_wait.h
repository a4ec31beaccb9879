/* SPDX-License-Identifier: MIT
 * offset_wait.h - OffsetCommit and OffsetDelete: their changes on the way into the group log, and the connection that
 * waits for them. Control thread.
 * Memory: one piece per request, freed with it, heard or not; the changes go on in the log. */
#ifndef KIRA_CONTROL_KAFKA_OFFSET_WAIT_H
#define KIRA_CONTROL_KAFKA_OFFSET_WAIT_H

#include "control/groups/offsets.h"
#include "control/kafka/serve.h"

struct offset_wait;
typedef enum served offset_answer(struct conn *c, const struct offset_wait *wait);

struct offset_wait {
	struct conn *c;
	offset_answer *answer;
	struct offset_commit *of; /* NULL: nothing is to be stored */
	int16_t all;              /* the request is refused as a whole */
	int16_t error[];          /* of each partition, in the order of the request */
};

struct offset_wait *offset_wait_make(struct conn *c, int32_t partitions, offset_answer *answer);

/* Append what wait->of holds. */
void offset_wait_send(struct offset_wait *wait, enum group_log_level level);

/* Answer, or park until the log has decided; at most 5 s, Kafka's offsets.commit.timeout.ms. Takes `wait` over. */
enum served offset_wait_serve(struct offset_wait *wait, uint64_t now_ns);

/* What the log has decided; REQUEST_TIMED_OUT(7): nothing yet. */
int16_t offset_wait_error(const struct offset_wait *wait);

#endif
