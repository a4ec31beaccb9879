/* SPDX-License-Identifier: MIT
 * client_cc.h - how many packets of a session may be in flight: Reno's shape, counted in packets, after
 * RFC 9002 (dataplane/PROTOCOL.md, 8). Pure. Thread: one caller at a time. */
#ifndef KIRA_CLIENT_CC_H
#define KIRA_CLIENT_CC_H

#include <stdbool.h>
#include <stdint.h>

enum cw_cc { CW_RENO, CW_CREDIT_ONLY }; /* cc = none: on a dedicated link only */

struct client_cc {
	uint32_t cwnd, ssthresh, acc, window; /* acc: reported since cwnd last grew by one */
	bool reno;
	bool full;                            /* in flight had reached cwnd since the last growth */
};

void cc_init(struct client_cc *c, enum cw_cc cc, uint32_t window);

/* So many are in flight, the one just sent included. */
static inline void
cc_sent(struct client_cc *c, uint32_t in_flight)
{
	c->full |= in_flight >= c->cwnd;
}

/* `fresh` packets sent since the last cut were reported. */
void cc_grow(struct client_cc *c, uint32_t fresh);

/* Once per round trip with a loss. */
void cc_cut(struct client_cc *c);

/* Probes stay unanswered. */
void cc_collapse(struct client_cc *c);

/* What was lost says nothing about the network's load after all: as at the beginning. */
void cc_restart(struct client_cc *c);

#endif
