/* SPDX-License-Identifier: MIT
 * client_tcp.h - Produce requests pipelined on one nonblocking connection, one batch each, answers
 * in the order of the requests. Thread: one user at a time; nothing blocks. */
#ifndef KIRA_CLIENT_TCP_H
#define KIRA_CLIENT_TCP_H

#include "dataplane/client/client_kafka.h"

/* Kafka remembers 5 batches per producer and partition: more in flight could not be told apart. */
#define CTCP_IN_FLIGHT 5

struct ctcp;

/* Takes over the connected socket. NULL: no memory (the socket is closed). */
struct ctcp *ctcp_open(int fd, const char *client_id);
void ctcp_close(struct ctcp *t); /* NULL is fine; the requests in flight are the caller's to recall */
int ctcp_fd(const struct ctcp *t);
bool ctcp_wants_write(const struct ctcp *t);
unsigned ctcp_in_flight(const struct ctcp *t);

/* When the oldest request in flight was handed over; UINT64_MAX: none is. */
uint64_t ctcp_oldest_ns(const struct ctcp *t);

/* False: CTCP_IN_FLIGHT are outstanding, or no memory. The batch is copied. */
bool ctcp_send(struct ctcp *t, void *user, const char *topic, int32_t partition, int16_t acks,
	int32_t timeout_ms, const void *batch, uint32_t length, uint64_t now_ns);

/* Write and read what can be; `answer` is called for each response. -errno: the connection is
 * over, err says why; what is in flight is without an outcome. */
int ctcp_turn(struct ctcp *t, void (*answer)(void *arg, void *user, const struct ckafka_produced *),
	void *arg, struct err *err);

/* The request in flight longest, removed; NULL: none. */
void *ctcp_recall(struct ctcp *t);

#endif
