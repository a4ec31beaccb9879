/* SPDX-License-Identifier: MIT
 * client_cc.h - how many packets of a session may be in flight: Reno's shape, counted in packets, after
 * RFC 9002 (dataplane/PROTOCOL.md, 8); and how fast they follow each other. Pure. Thread: one caller at a
 * time.
 *
 * Pacing: 1.25 x cwnd / srtt packets a second, so that a window's worth does not reach a short queue at once.
 * What was sent is paid for in time, up to paid_ns; who is ahead of that time waits. Behind it one may be by a
 * burst after a silence, by more where a timer woke late. Within a burst's time of the round trip, on a LAN,
 * nothing waits. */
#ifndef KIRA_CLIENT_CC_H
#define KIRA_CLIENT_CC_H

#include <stdbool.h>
#include <stdint.h>

enum cw_cc { CW_RENO, CW_CREDIT_ONLY }; /* cc = none: on a dedicated link only */

struct client_cc {
	uint32_t cwnd, ssthresh, acc, window; /* acc: reported since cwnd last grew by one */
	bool reno;
	bool full;                            /* in flight had reached cwnd since the last growth */
	bool waits;                           /* the last question was answered no */
	uint64_t interval_ns;                 /* of one packet; 0: not paced */
	uint64_t paid_ns, asked_ns;
};

void cc_init(struct client_cc *c, enum cw_cc cc, uint32_t window);

/* So many are in flight, the one just sent included. */
static inline void
cc_sent(struct client_cc *c, uint32_t in_flight)
{
	c->full |= in_flight >= c->cwnd;
	c->paid_ns += c->interval_ns;
}

/* After each ACK; srtt_ns 0: not known yet. */
void cc_pace(struct client_cc *c, uint64_t srtt_ns);

/* May the next packet follow now? If not, from paid_ns on. */
bool cc_may(struct client_cc *c, uint64_t now_ns);

/* `fresh` packets sent since the last cut were reported. */
void cc_grow(struct client_cc *c, uint32_t fresh);

/* Once per round trip with a loss. */
void cc_cut(struct client_cc *c);

/* Probes stay unanswered. */
void cc_collapse(struct client_cc *c);

/* What was lost says nothing about the network's load after all: as at the beginning. */
void cc_restart(struct client_cc *c);

#endif
