/* SPDX-License-Identifier: MIT
 * blast_broker.h - the TCP side of a run: producer ids, sessions granted, and their anchors, the
 * connections that must stay open. Thread: main, which is the generator's lcore: these calls block
 * until their deadlines, before the run and while the broker is away. */
#ifndef KIRA_BLAST_BROKER_H
#define KIRA_BLAST_BROKER_H

#include "dataplane/blast/blast_session.h"

/* Sessions one connection may anchor: kirad's default bound. */
#define BROKER_PER_ANCHOR 16
#define BROKER_GREEDY_MAX 250

struct broker {
	const char *bootstrap, *topic;
	uint8_t address[4];        /* own, on the device */
	struct ckafka *anchor[BLAST_SESSIONS_MAX / BROKER_PER_ANCHOR + 1];
	unsigned sessions;
	struct ckafka *greedy[BROKER_GREEDY_MAX]; /* connections of broker_exhaust() */
	unsigned greedy_n, greedy_sessions;
	bool exhausted;            /* the last OpenSession of a fresh connection was answered 89 */
	struct blast_session *session;
	uint16_t max_dgram;        /* smallest granted */
	int16_t error;             /* Kafka's, of the last refusal; 0: it was the connection */
};

/* Connect all anchors; false and a sentence while the broker is not there. */
bool broker_connect(struct broker *b, uint64_t deadline_ns, struct err *err);
void broker_disconnect(struct broker *b);

/* True: an anchor was closed by the broker, or never opened. */
bool broker_gone(const struct broker *b);

/* Give each session a producer id of its own. Once per run. */
bool broker_identify(struct broker *b, uint64_t deadline_ns, struct err *err);

/* Session i: keep it alive on the present anchor, or if the broker does not know it, a new one. */
bool broker_open_session(struct broker *b, unsigned i, uint64_t now_ns, uint64_t deadline_ns,
	struct err *err);

/* Sessions that nobody will use, from every address next to our own, until a fresh connection gets none
 * (89). They stay open until broker_disconnect(). False: the broker failed in another way. */
bool broker_exhaust(struct broker *b, uint64_t deadline_ns, struct err *err);

#endif
