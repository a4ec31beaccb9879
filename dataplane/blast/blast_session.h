/* SPDX-License-Identifier: MIT
 * blast_session.h - one produce session of kira-blast: a producer id, a number per partition, the
 * packets in flight (client_window.h), and what must be sent again. Bytes of a batch are not kept:
 * a few words per batch make them again. No DPDK, no socket, no clock.
 * Thread: the generator's lcore. */
#ifndef KIRA_BLAST_SESSION_H
#define KIRA_BLAST_SESSION_H

#include "base/histogram.h"
#include "dataplane/blast/blast_frame.h"
#include "dataplane/blast/blast_options.h"
#include "dataplane/blast/blast_schedule.h"
#include "dataplane/client/client_kafka.h"
#include "dataplane/client/client_window.h"

/* Acks are counted in slices of 10 ms, 10 of them: what was acked shortly before a broker died. */
#define RECENT_SLICE_NS (10 * NS_PER_MS)
#define RECENT_SLICES   10

struct blast_count {
	uint64_t records_sent, records_acked, batches_acked, bytes_acked;
	uint64_t refused;          /* results that were neither success nor 46 */
	uint64_t known_already;    /* results 46: a batch sent again had been stored before */
	uint64_t first_sent_ns, last_acked_ns, heard_ns;
	uint64_t broker_losses, in_flight_at_loss, acked_shortly_before_loss, sent_again;
	uint64_t losses_under_load; /* with batches in flight and some acked shortly before */
};

/* What all sessions share. */
struct blast_run {
	const struct frame_template *frame;
	enum blast_acks acks;
	int32_t partitions;
	int32_t session_partitions; /* of them, that one session writes to; >= 1 */
	int64_t wall_ms;           /* at start_ns of the schedule */
	struct schedule schedule;
	struct histogram ack_ns;   /* scheduled send to the level asked for */
	struct blast_count count;
	uint64_t recent[RECENT_SLICES], recent_slice;
	/* The last refusal, and the one that ends the run; Kafka's codes, 0 none. */
	int16_t refusal, fatal;
};

enum batch_state { BATCH_DONE, BATCH_FLYING, BATCH_LOGGED };

/* In flight or waiting; slot pkt_seq & mask. */
struct session_batch {
	uint64_t number, sched_ns;
	int32_t partition;
	uint16_t refusals;
	uint8_t state;             /* enum batch_state */
};

struct blast_session {
	struct blast_run *run;
	struct cwire_session wire;
	struct client_window window;
	struct cw_slot *slots;
	struct session_batch *batch;   /* `batches` of them, a power of two */
	struct session_batch *again;   /* to be sent under a new pkt_seq: [again_at, again_n) */
	uint32_t batches, again_at, again_n;
	uint32_t oldest;               /* first pkt_seq that is not BATCH_DONE, or the next one */
	uint64_t retry_ns, retry_wait_ns; /* after error 56: not before; doubles */
	bool wait_idle;                /* after error 45: nothing new until all is known */
	bool lost;                     /* RESET, or the broker knows the session no more */
	int64_t producer_id;
	int16_t epoch;
	uint16_t handle;
	int32_t first_partition, next_partition; /* those it writes to lie in a circle from the first on */
	uint64_t *next_number;         /* per partition */
	uint64_t batches_done;         /* at their level */
	uint32_t ping_id, probe_sent_us;
	bool probe_answered;
	uint8_t to[4];
	uint16_t to_port, from_port;
	struct frame_link link;
};

int session_init(struct blast_session *s, struct blast_run *run, uint16_t from_port,
	struct err *err);
void session_free(struct blast_session *s);

/* A session was granted, the first or a new one: packets count from 1 again, and what is not at
 * its level goes first. */
void session_granted(struct blast_session *s, const struct ckafka_session *grant, uint16_t handle,
	uint64_t now_ns);

enum session_step {
	SESSION_NOTHING,  /* for want of credit, congestion window, schedule, or because all is done */
	SESSION_DATA,     /* `data` was patched: send it */
	SESSION_PLAIN,    /* `plain` was filled: send it */
};

/* What to send now. `data` holds the template; `plain` has room for FRAME_MAX. */
enum session_step session_step(struct blast_session *s, uint64_t now_ns, uint8_t *data,
	uint8_t *plain, uint32_t *frame_bytes);

/* PING of the size of a DATA, before the first DATA: does the path carry it? Fills `plain`. */
uint32_t session_probe(struct blast_session *s, uint64_t now_ns, uint8_t *plain);
/* CLOSE, when all is done. */
uint32_t session_close_frame(struct blast_session *s, uint8_t *plain);

/* A datagram from the session's peer address and port. */
/* False: it is not the broker's, or contradicts what was sent: ignored. */
bool session_datagram(struct blast_session *s, const uint8_t *p, uint32_t bytes, uint64_t now_ns);

/* All that was sent is at its level. */
bool session_idle(const struct blast_session *s);

/* Why nothing goes out. */
enum session_wait { WAIT_SCHEDULE, WAIT_CREDIT, WAIT_WINDOW };
enum session_wait session_why(const struct blast_session *s);

/* Batches not at their level; visits each. */
uint64_t session_unfinished(const struct blast_session *s,
	void (*visit)(void *arg, const struct blast_session *s, const struct session_batch *b),
	void *arg);

uint64_t run_recent(const struct blast_run *run, uint64_t now_ns);

#endif
