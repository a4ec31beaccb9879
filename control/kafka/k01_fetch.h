/* SPDX-License-Identifier: MIT
 * k01_fetch.h - what the files of Fetch share: one partition, judged, read, written; requests of a session.
 * Control thread. */
#ifndef KIRA_CONTROL_KAFKA_K01_FETCH_H
#define KIRA_CONTROL_KAFKA_K01_FETCH_H

#include "control/kafka/serve.h"

/* One partition, judged. */
struct fetch_look {
	struct partition *part; /* NULL: error says why */
	int16_t error;
	struct partition_ends ends;
	bool diverges;
	int32_t diverging_epoch;
	int64_t diverging_end;
	struct storage_range range; /* length 0: no records */
};

/* What is left of the limits of an answer. */
struct fetch_budget {
	uint32_t left;
	bool some; /* a partition has given data */
	bool cold; /* another has some that must be read from disk first; that is under way */
};

/* What a request that waits looks for. */
struct fetch_want {
	uint64_t want, have;
};

/* A topic by its name, from version 13 on by its id. */
const struct topic *fetch_topic(const struct conn *c, struct view key);
void fetch_judge(const struct conn *c, const struct topic *t, const struct q_fetch_partition *q,
	struct fetch_look *ret);
/* Is it reason enough to answer: data, an error, nothing that will ever come? */
bool fetch_enough(const struct conn *c, const struct fetch_look *look, const struct q_fetch_partition *q,
	struct fetch_want *want);
/* Its records, as far as the budget goes. */
void fetch_read(struct conn *c, const struct q_fetch_partition *q, struct fetch_look *look,
	struct fetch_budget *b);
/* Its entry; its range becomes a piece of the answer. */
void fetch_write(struct conn *c, struct writer *w, int32_t partition, const struct fetch_look *look);
void fetch_write_topic(struct writer *w, int16_t version, struct view key);

struct fetch_budget fetch_budget(const struct conn *c, const struct q_fetch *q);
struct fetch_want fetch_want(const struct q_fetch *q);
/* How long it may wait. */
uint64_t fetch_until_ns(const struct conn *c, const struct q_fetch *q, uint64_t now_ns);
/* Throttle, error, session; the list of topics follows. */
struct writer *fetch_answer(struct conn *c, int16_t error, int32_t session_id);
/* An answer that holds nothing but an error. From version 7 on. */
enum served fetch_refuse(struct conn *c, int16_t error);

/* All there is lies on disk: the answer waits, for so long at most; `late`: no longer. */
bool fetch_waits_for_disk(struct conn *c, const struct fetch_budget *b, uint64_t now_ns, bool late);

/* A request in a session: epoch > 0. */
enum served fetch_in_session(struct conn *c, const struct q_fetch *q, uint64_t now_ns);
/* The client was told this of a partition of its session. */
void fetch_told(struct control *ctl, struct session_partition *sp, const struct fetch_look *look);

#endif
