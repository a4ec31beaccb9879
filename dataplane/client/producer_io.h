/* SPDX-License-Identifier: MIT
 * producer_io.h - the I/O thread's own state, and what its files call of each other. All of it runs on
 * the I/O thread, in one turn after the other; nothing here is shared but through struct kira_producer.
 *
 *   START --topics--> OPENING --granted--> PROBING --path known--> UDP
 *                        |  ^                |                     | |
 *                        |  +----------------+------- lost --------+ |
 *                        +--refused--> TCP <--no answer--------------+ */
#ifndef KIRA_PRODUCER_IO_H
#define KIRA_PRODUCER_IO_H

#include "dataplane/client/producer_private.h"

#include "base/assert.h"
#include "base/clock.h"

#define RETRY_MIN_NS  (100 * NS_PER_MS) /* first pause after a failure that may pass; doubles */
#define RETRY_MAX_NS  (2 * NS_PER_S)
#define UDP_AGAIN_NS  (60 * NS_PER_S)   /* on TCP so long before datagrams are tried again */

enum io_state { IO_START, IO_OPENING, IO_PROBING, IO_UDP, IO_TCP };

struct io {
	struct kira_producer *p;
	enum io_state state;
	uint64_t now_ns;
	/* What this turn did, told to the application side by settle(). */
	struct batch *told;
	uint64_t released;
	struct batch *freed;
	struct kira_producer_stats add;  /* sums since the last settle() */
	bool news;                       /* a route or reason changed */
	bool moved;                      /* something was stored */

	struct ckafka *anchor;           /* NULL: lost, or with the set-up thread */
	struct cudp *udp;
	struct ckafka_session session;
	struct cw_slot slots[KUP_WINDOW_MAX];
	struct client_window window;
	uint32_t path;                   /* datagram bytes that get through */
	unsigned probe_index, probe_tries;
	uint64_t probe_at_ns;
	uint64_t open_at_ns, repeat_at_ns, udp_again_ns;
	unsigned named;                  /* topics named in this session */
	bool was_kira, reset;
	bool gso_off;                    /* a path of ours swallows bursts: none for the rest of our life */
	uint8_t control[CUDP_BURST][KUP_DGRAM_MAX]; /* PING, QUERY: until the flush */

	struct ctcp *tcp;
	bool want_tcp;
	uint64_t tcp_at_ns, tcp_answered_ns;
	bool used_tcp, used_udp;

	bool want_raise;
	bool fresh_id;                   /* the broker will not raise the pair: ask for another id */
	uint64_t raise_at_ns;
	bool job_running;

	struct batch *logged_head, *logged_tail;
	struct partition *queue_head, *queue_tail; /* partitions with something ready */
	uint32_t queue_length;
	uint64_t next_wait_ns;           /* the nearest wait_until_ns met while looking */
	uint64_t expire_at_ns;
	uint64_t linger_at_ns;
	uint64_t order_seen;             /* of the newest batch that admit() looked at */
	bool held_open;                  /* some stay open behind one that is not sent, .. */
	uint64_t open_until_ns;          /* .. the oldest of them so long at most */
	uint64_t alive;                  /* batches admitted and not freed */

	struct cbatch_lz4 *lz4;
	uint8_t *scratch;
	size_t scratch_size;
};

/* ---- producer_batches.c: from ready to told ------------------------------------------------ */

void partition_queue(struct io *io, struct partition *part); /* it may have something to send */
void batch_ready(struct io *io, struct batch *b);            /* packed: admitted */
struct batch *batch_next(struct io *io, bool tcp);
void batch_sending(struct io *io, struct batch *b, enum batch_state state);
/* The outcome of one that was sent and is no longer outstanding: it appended nothing .. */
void batch_failed(struct io *io, struct batch *b, int16_t error);
void batch_stored(struct io *io, struct batch *b, int64_t base_offset);
/* .. is in the log and waits for the disk: by pkt_seq on the list `logged`, until unlogged .. */
void batch_logged(struct io *io, struct batch *b, int64_t base_offset);
void batch_unlogged(struct io *io, struct batch *b);
/* .. or is not known: again. */
void batch_back(struct io *io, struct batch *b);
/* Session or connection is over: perhaps the broker's memory, too. */
void batches_forgotten(struct io *io);
void batches_expire(struct io *io);
void topic_missing(struct io *io, struct kira_topic *t); /* the broker does not know it (any more) */
void batches_fail_all(struct io *io);
void producer_fence(struct io *io);
/* What keeps records from moving at present, for people; "" where nothing does. */
void producer_trouble(struct io *io, const char *text);

/* ---- producer_routes.c: how each topic's records travel; jobs for the set-up thread -------- */

void route_turn(struct io *io);
void route_take_job(struct io *io);
void route_set(struct io *io, struct kira_topic *t, enum topic_route route, const char *why);
void route_set_rooms(struct io *io);
void route_no_udp(struct io *io, const char *why);

/* ---- producer_udp.c ------------------------------------------------------------------------ */

void udp_turn(struct io *io);
void udp_probe_from(struct io *io, unsigned index);
void udp_recall(struct io *io); /* nothing of the session has an outcome any more */
void udp_drop(struct io *io);
void udp_lost(struct io *io, uint64_t pause_ns);
void udp_receive(struct io *io);
void udp_send_close(struct io *io);

/* ---- producer_tcp.c ------------------------------------------------------------------------ */

void tcp_turn(struct io *io);
void tcp_over(struct io *io);
uint64_t tcp_deadline(const struct io *io);

#endif
