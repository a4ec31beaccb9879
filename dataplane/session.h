/* SPDX-License-Identifier: MIT
 * session.h - the live half of the session table of one rx lcore: states, leases, bindings, handles,
 * the queue's credit, who is owed an ACK. The grant half is control's; it arrives as struct rx_cmd.
 * PROTOCOL.md, 2, 5.1 and 8. Time is an argument. Thread: the rx lcore that owns the table. */
#ifndef KIRA_DATAPLANE_SESSION_H
#define KIRA_DATAPLANE_SESSION_H

#include "base/assert.h"
#include "base/bits.h"
#include "dataplane/ack.h"
#include "dataplane/dataplane.h"
#include "dataplane/rx_counters.h"
#include "dataplane/window.h"

#define SESSION_SWEEP_NS 10000000u /* 10 ms: leases, silence, lapse */
#define SESSION_NOT_PENDING UINT32_MAX
#define REPLY_HEAD_MAX 70          /* Ethernet, two tags, IPv6, UDP */

enum session_state {
	SESSION_FREE,
	SESSION_LIVE,
	SESSION_ORPHAN, /* no anchor: the lease runs */
	SESSION_ENDED,  /* quarantine: RESET is the only answer */
};

/* Headers of an answer, but for lengths and sums; made from what the client sent. */
struct reply {
	uint8_t l3, l4;            /* l4 0: nothing came yet, nothing can be sent */
	bool v6;
	uint8_t head[REPLY_HEAD_MAX];
};

struct session {
	struct ack_identity who;   /* id as on the wire, secret */
	uint64_t bytes_in, bytes_out; /* UDP payload; out never exceeds in */
	uint64_t heard_ns;         /* last valid datagram */
	uint64_t ack_at_ns;        /* pending: when an ACK is due at the latest */
	uint64_t until_ns;         /* ORPHAN: end of the lease; ENDED: of the quarantine */
	uint64_t echo_ns;          /* when the DATA of ts_echo came */
	uint64_t lease_ns, silence_ns, ack_delay_ns;
	struct in6_addr peer;
	uint32_t pending_at;       /* place in pending[], or SESSION_NOT_PENDING */
	uint32_t weight;           /* as counted in sessions.credit_out */
	uint32_t share;            /* of the credit, at its last ACK */
	uint32_t in_store;         /* packets handed to storage lcores and not back */
	uint32_t ts_echo, ack_num;
	uint32_t asked_seq;
	uint32_t query_first;
	uint16_t query_count, query_len; /* count 0: none */
	uint16_t peer_port;        /* 0: bound by the first valid datagram */
	uint16_t max_dgram, ack_every, ce_count, handles, reason;
	uint8_t state;             /* enum session_state */
	bool want_disk, active;    /* active: DATA lately; counted in sessions.active */
	bool asked;                /* DATA asked_seq came with ACK_NOW: an ACK once it is final */
	bool ack_now, ack_owed;    /* owed: due, but its bytes would outweigh what came in */
	uint8_t spread_left;       /* partition -1: packets until the next partition, */
	int32_t spread_at;         /* and the one in use */
	uint32_t live_at;          /* place in live[] */
	uint32_t data_at, data_sweep; /* sessions.data_n and sweeps when its last DATA came */
	struct reply reply;
	struct window window;
	const struct dataplane_topic *topic[KUP_HANDLES_MAX];
	uint64_t incarnation;      /* for RESET alone */
};

/* What every packet needs lies in front: identity to reply, and the window's numbers. */
#define SESSION_HOT_LINES 5
BUILD_ASSERT(offsetof(struct session, window.mark) <= SESSION_HOT_LINES * CACHE_LINE);

struct sessions {
	struct session *session;   /* [slots + 1]; slot 0 is never granted: no id is 0 */
	struct window_outcome *outcome; /* [slots + 1][KUP_RESULTS_KEPT] */
	_Atomic uint8_t *ended;    /* Q1: [slots + 1]; pairs with Q2 in store.c */
	uint32_t *unused;          /* free slots, a ring: the one free longest goes first */
	uint32_t unused_at, unused_n;
	uint32_t *live;            /* slots that are not FREE */
	uint32_t live_n;
	uint32_t *pending;         /* slots that are owed an ACK */
	uint32_t pending_n;
	uint32_t slots, owner;
	uint32_t credit, credit_out; /* C; sum of the weights, at most C */
	uint32_t active;
	uint32_t data_n, sweeps;   /* DATA so far, of all; sweeps since which some came. Both wrap */
	uint32_t swept_data_n;     /* data_n at the last sweep */
	uint32_t alive, quarantined;
	uint64_t swept_ns;
	struct rx_counters *count;
};

/* False: no memory. `credit`: C of the queue; a quarter as many sessions fit. */
bool sessions_open(struct sessions *ss, unsigned owner, uint32_t credit, struct rx_counters *count);
void sessions_close(struct sessions *ss);

/* Do what control asks; the outputs of `cmd` are filled. */
void sessions_command(struct sessions *ss, struct rx_cmd *cmd, uint64_t now_ns);

/* The session of that id, of this owner; NULL: slot out of range or FREE. */
static inline struct session *
sessions_find(struct sessions *ss, uint32_t id)
{
	const uint32_t slot = id & 0xffffff;

	if (slot > ss->slots || ss->session[slot].state == SESSION_FREE)
		return NULL;
	return &ss->session[slot];
}

/* A hint, some packets ahead: DATA `seq` of that session, or its completion, is about to be looked at. Any
 * numbers will do. With hundreds of sessions each would be waited for. */
static inline void
sessions_fetch(const struct sessions *ss, uint32_t id, uint32_t seq)
{
	const uint32_t slot = id & 0xffffff, at = seq & (KUP_WINDOW_MAX - 1u);
	const struct session *s = &ss->session[slot];

	if (slot > ss->slots)
		return;
	for (unsigned line = 0; line < SESSION_HOT_LINES; line++)
		__builtin_prefetch((const uint8_t *)s + line * CACHE_LINE, 1);
	__builtin_prefetch(&s->window.received[at / 64], 1);
	__builtin_prefetch(&s->window.final[at / 64], 1);
	__builtin_prefetch(&s->topic[0]);
	__builtin_prefetch(&ss->outcome[slot * (size_t)KUP_RESULTS_KEPT + at], 1);
}

void session_end(struct sessions *ss, struct session *s, uint16_t reason, uint64_t now_ns);

/* Leases, silence, lapse of credit, end of quarantine; every SESSION_SWEEP_NS. Returns how many
 * sessions changed. */
unsigned sessions_sweep(struct sessions *ss, uint64_t now_ns);

/* A sync has failed somewhere (X2): WANT_DISK sessions with a handle on a failed topic end. */
void sessions_disk_failed(struct sessions *ss, uint64_t now_ns);

/* What it takes of the queue's credit: an ended one what storage still has of it; a living one never
 * less than KUP_IDLE_CREDIT. Were its last credits given to others once it has used them up, nothing
 * would ever come that could raise its limit again. */
static inline uint32_t
session_weight(const struct session *s)
{
	const uint32_t out = window_outstanding(&s->window);

	if (s->state == SESSION_ENDED)
		return s->in_store;
	return out > KUP_IDLE_CREDIT ? out : KUP_IDLE_CREDIT;
}

/* After a packet became final or came back, and after every other change of the above. */
static inline void
sessions_weigh(struct sessions *ss, struct session *s)
{
	const uint32_t weight = session_weight(s);

	ss->credit_out += weight - s->weight;
	s->weight = weight;
}

/* DATA came that was not here before: it counts among those that share the credit. Not so what comes again:
 * by it one that repeats itself would keep a part it does not use, and age the others. */
static inline void
session_active(struct sessions *ss, struct session *s)
{
	s->data_at = ss->data_n++;
	s->data_sweep = ss->sweeps;
	ss->active += !s->active;
	s->active = true;
}

/* May its limit rise, once the next ACK has moved log_seq? */
bool session_credit_can_rise(const struct sessions *ss, const struct session *s);
/* Raise it as far as window, share and the queue's sum allow. */
void session_raise_credit(struct sessions *ss, struct session *s);

/* An ACK is due: at once, or ack_delay after the first that was not reported. */
void session_ack_due(struct sessions *ss, struct session *s, bool now, uint64_t now_ns);
void session_ack_done(struct sessions *ss, struct session *s);

#endif
