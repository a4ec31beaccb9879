/* SPDX-License-Identifier: MIT
 * blast_reach.h - reach the broker, and reach it again. Thread: main, the generator's lcore. */
#ifndef KIRA_BLAST_REACH_H
#define KIRA_BLAST_REACH_H

#include "dataplane/blast/blast_lcore.h"

/* Everything a first packet needs: 0, or -errno and the reason. */
int reach_first(struct blast *b, struct err *err);

/* The broker went away: note what was under way, come back as often as it takes. -ETIMEDOUT where
 * *heard_ns, the last sign of life, is --give-up-after ago; -EINTR where a signal came first. */
int reach_again(struct blast *b, uint64_t heard_ns);

/* Sessions the broker ended, or that nothing answers: ask over TCP. False: the TCP side died. */
bool reach_sessions(struct blast *b, uint64_t now_ns, uint64_t *asked_ns);

/* Who carries frames for the broker's data address. */
const uint8_t *reach_next_hop(const struct blast *b);

#endif
