/* SPDX-License-Identifier: MIT
 * blast_hostile.h - the part of a run that means harm: frames that the broker must drop without a word,
 * and answers that no session may believe. By a seeded generator. Pure: frames are bytes, time is an
 * argument. Thread: the generator's lcore. */
#ifndef KIRA_BLAST_HOSTILE_H
#define KIRA_BLAST_HOSTILE_H

#include "dataplane/blast/blast_session.h"

enum hostile_kind {
#define HOSTILE(name, counter, what) HOSTILE_##name,
#define FORGED(name, counter, what)
#include "dataplane/blast/blast_hostile.def"
#undef HOSTILE
#undef FORGED
	HOSTILE_KINDS
};

enum forged_kind {
#define HOSTILE(name, counter, what)
#define FORGED(name, counter, what) FORGED_##name,
#include "dataplane/blast/blast_hostile.def"
#undef HOSTILE
#undef FORGED
	FORGED_KINDS
};

extern const char *const hostile_names[HOSTILE_KINDS], *const forged_names[FORGED_KINDS];

#define HOSTILE_OLD       32 /* frames kept for replay, */
#define HOSTILE_OLD_EVERY 61 /* one of so many: the oldest went out some 2,000 before */

struct hostile {
	uint64_t state;          /* of the generator */
	double per_honest;       /* hostile frames per honest one; 0: nothing means harm */
	double owed, owed_in;
	struct blast_session *session; /* those whose names are misused, `sessions` of them; */
	unsigned sessions;
	struct blast_session *insider; /* and one that was granted like them, and misbehaves */
	const struct frame_template *frame;
	uint8_t *old;            /* [HOSTILE_OLD][FRAME_MAX] */
	uint32_t old_bytes[HOSTILE_OLD];
	uint64_t seen;           /* honest frames */
	uint64_t sent[HOSTILE_KINDS], forged[FORGED_KINDS];
};

/* `share` (0..1, not 1) of all frames shall be hostile. `session[sessions]` is the insider. 0 or -errno. */
int hostile_init(struct hostile *h, double share, struct blast_session *session, unsigned sessions,
	const struct frame_template *frame, uint64_t seed, struct err *err);
void hostile_free(struct hostile *h);

/* An honest frame goes out. How many hostile ones are due: hostile_frame() for each. */
void hostile_honest(struct hostile *h, const uint8_t *frame, uint32_t bytes);
static inline bool
hostile_due(const struct hostile *h)
{
	return h->owed >= 1;
}

/* Fill `frame` (FRAME_MAX bytes of room; behind what is filled it may hold anything). Its length. */
uint32_t hostile_frame(struct hostile *h, uint64_t now_ns, uint8_t *frame);

/* An answer of the broker came in. The same share of forged ones is due: hostile_forge() for each. */
void hostile_answered(struct hostile *h);
static inline bool
hostile_forgery_due(const struct hostile *h)
{
	return h->owed_in >= 1;
}

/* Fill `frame` with an answer to one of the sessions that is not the broker's. Its length. */
uint32_t hostile_forge(struct hostile *h, uint8_t frame[FRAME_LINK + KUP_ACK_MAX]);

#endif
