/* SPDX-License-Identifier: MIT
 * client_rtt.h - a session's round-trip time, after RFC 9002: when a packet that was overtaken is
 * lost, and how long to wait before a probe. Pure. Thread: one caller at a time. */
#ifndef KIRA_CLIENT_RTT_H
#define KIRA_CLIENT_RTT_H

#include <stdbool.h>
#include <stdint.h>

struct client_rtt {
	uint64_t srtt_ns, var_ns, last_ns;
	uint64_t pto_ns;       /* holds the doubling by probes */
	uint64_t ack_delay_ns; /* what the broker may wait before it acks */
	uint32_t probes;       /* unanswered in a row */
	bool sampled;
};

void rtt_init(struct client_rtt *r, uint64_t ack_delay_ns);

/* One round trip; an absurd one is passed over. */
void rtt_take(struct client_rtt *r, uint64_t rtt_ns);

/* Something came in: no probe is unanswered. */
void rtt_heard(struct client_rtt *r);

/* A probe goes out: the next waits twice as long. */
void rtt_probe(struct client_rtt *r);

/* A packet overtaken by a later one is lost so long after its transmission: a round trip and some
 * eighths of it, 1..8. */
uint64_t rtt_loss_after_ns(const struct client_rtt *r, uint32_t eighths);

#endif
