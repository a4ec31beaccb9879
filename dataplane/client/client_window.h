/* SPDX-License-Identifier: MIT
 * client_window.h - one session's packets in flight, from the first sending to the known outcome:
 * numbering, ACKs, losses, round-trip time, probes, congestion window, credit, and what to send
 * next. Pure: no socket, no clock, no allocation; the caller gives the slots and the time.
 * Thread: one caller at a time. Rules and formulas: dataplane/PROTOCOL.md, 5.2, 7 and 8.
 *
 * The caller's loop, per session:
 *   each datagram in:   cwire_parse() -> cw_ack() / cw_pong() / reset is the caller's affair
 *   while it can send:  cw_next(): CW_AGAIN  send that slot's bytes again
 *                                  CW_NEW    if there is a batch: cw_new(), send it
 *                                  CW_QUERY, CW_PING  send one;  CW_NOTHING: stop
 *   sleep until         cw_deadline()
 * What cw_next() and cw_new() return counts as sent: ask only while the socket or ring has room. */
#ifndef KIRA_CLIENT_WINDOW_H
#define KIRA_CLIENT_WINDOW_H

#include "dataplane/client/client_cc.h"
#include "dataplane/client/client_gso.h"
#include "dataplane/client/client_rtt.h"
#include "dataplane/client/client_wire.h"

#define CW_NEVER UINT64_MAX

enum cw_state {
	CW_FREE,
	CW_IN_FLIGHT, /* sent, neither reported nor lost; on the list of its last transmission */
	CW_LOST,      /* waits to be sent again */
	CW_RECEIVED,  /* reported as received; bytes are no longer needed on this session's wire */
};

/* One packet. The caller reads; `batch` and `user` are its own. */
struct cw_slot {
	void *batch;
	uint64_t user;
	uint64_t first_ns, sent_ns;  /* first and last transmission */
	uint32_t seq;                /* pkt_seq */
	uint32_t tx_ts;              /* microseconds, of the last transmission */
	uint32_t first_tx, last_tx;  /* transmissions of a session are counted; these two */
	uint32_t records;            /* offsets of a run of results are derived from it */
	uint32_t copies;             /* transmissions so far */
	int32_t partition;
	uint16_t handle;
	uint16_t prev, next;         /* list of CW_IN_FLIGHT, oldest last transmission first */
	uint8_t state;               /* enum cw_state */
	bool known;                  /* outcome told to the caller */
	bool was_lost;               /* declared lost at least once */
	bool ack_now;                /* the transmission just ordered carries ACK_NOW */
	bool behind;                 /* the last transmission was of a burst, not the first there */
};

/* Called from cw_ack(), never with the window half changed; may not call into this window. */
struct cw_events {
	/* The outcome of one packet, once. error 0 or 46 (duplicate): in the log. Others: it appended
	 * nothing. base_offset -1: unknown. Order between packets is not promised. */
	void (*outcome)(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset);
	/* Every packet up to and including this one whose outcome was success is on disk. */
	void (*disk)(void *arg, uint32_t disk_seq);
	void *arg;
};

struct cw_options {
	struct cw_slot *slots;   /* the caller's memory, a power of two >= window */
	uint32_t slot_count;
	uint16_t window;         /* as granted, 2..KUP_WINDOW_MAX */
	uint32_t credit_limit;   /* as granted */
	uint32_t ack_delay_us, credit_lease_ms;
	uint16_t keepalive_s;
	bool want_disk;          /* someone waits for disk: ping for it when nothing else moves */
	enum cw_cc cc;
	bool paced;              /* not where each packet has its own time to go, or nobody wakes */
	bool gso_off;            /* found so in an earlier session */
	uint32_t first_seq;      /* 1; others are for tests of the wrap */
};

struct cw_stats {
	uint64_t sent, again, probes, lost, spurious, acks, acks_old, acks_bad, queries, cuts,
		bursts, gso_off;
};

struct client_window {
	struct cw_slot *slots;
	uint32_t mask;
	uint16_t window;
	bool want_disk, paced, heard_ack, drain;

	/* Serial pkt_seq marks: oldest_unknown <= log_seq + 1 or less; all <= next_seq. */
	uint32_t next_seq, oldest_unknown, log_seq, disk_seq, disk_told, credit_limit, max_seq;
	uint32_t ack_num, err_total, err_known, last_echo;
	uint16_t ce_count;

	uint32_t in_flight, lost, missing; /* missing: sent and not received, lost ones included */
	uint16_t head, tail;               /* of the in-flight list */
	uint64_t lost_map[KUP_WINDOW_MAX / 64]; /* bit = slot index */
	uint32_t tx, evidence_tx;          /* transmissions so far; newest one known to have arrived */
	bool evidence;

	uint32_t recovery_end, reorder;
	struct client_cc cc;
	struct client_rtt rtt;
	struct client_gso gso;

	uint64_t credit_lease_ns, keepalive_ns;
	uint64_t heard_ns, acked_ns, sent_ns, ping_ns, throttle_until_ns, query_ns;
	bool querying;
	struct cw_stats stats;
};

void cw_init(struct client_window *w, const struct cw_options *o, uint64_t now_ns);

enum cw_what { CW_NOTHING, CW_AGAIN, CW_NEW, CW_QUERY, CW_PING };

struct cw_step {
	struct cw_slot *slot;  /* AGAIN: tx_ts, copies, ack_now are those to send */
	uint32_t query_first;  /* QUERY */
	uint16_t query_count;
	bool ack_now;          /* PING */
};

/* What to send now. CW_NEW only says that a new packet may go. */
enum cw_what cw_next(struct client_window *w, uint64_t now_ns, struct cw_step *ret);

/* Number a new packet; only after cw_next() answered CW_NEW. */
struct cw_slot *cw_new(struct client_window *w, uint64_t now_ns, void *batch, uint64_t user,
	uint16_t handle, int32_t partition, uint32_t records);

/* The transmissions first_tx .. first_tx + count - 1 (slot->last_tx), the newest ones, have gone to the
 * kernel as one burst. Whether the next one may: gso_wanted(&w->gso). */
void cw_burst(struct client_window *w, uint32_t first_tx, uint32_t count);

/* Judge an ACK that cwire_parse() accepted. False: it contradicts what was sent and is ignored. */
bool cw_ack(struct client_window *w, const struct cwire_ack *ack, uint64_t now_ns,
	const struct cw_events *ev);

/* A PONG that answers a PING of tx_ts `ts_echo`. */
void cw_pong(struct client_window *w, uint32_t ts_echo, uint64_t now_ns);

/* When cw_next() may have something new to say without a datagram coming in; CW_NEVER. */
uint64_t cw_deadline(const struct client_window *w, uint64_t now_ns);

/* The first packet from *seq on whose outcome is not known, NULL: none. Start with *seq =
 * w->oldest_unknown; for what must be sent again in another session. */
struct cw_slot *cw_unknown(struct client_window *w, uint32_t *seq);

/* Nothing sent is without an outcome (and, with want_disk, without its disk mark). */
bool cw_idle(const struct client_window *w);

static inline uint32_t
cw_tx_ts(uint64_t now_ns)
{
	return (uint32_t)(now_ns / 1000);
}

#endif
