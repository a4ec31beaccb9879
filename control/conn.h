/* SPDX-License-Identifier: MIT
 * conn.h - one Kafka connection: one request at a time, in, served, out.
 *
 *        8 bytes, judged        body complete          answer ready           all bytes sent
 *  HEAD ------------------> BODY -------------> SERVE ------------------> SEND ---------------> HEAD
 *   |  10 s once begun        | 30 s + 1 s/MiB in | may park                 | 60 s without progress
 *   |  idle: 10 min           v                   |                          v
 *   +------------------------ close <-------------+--------------------------+
 *
 * A peer that sends no more is served to the end of what it sent; one that resets is closed at once.
 * HELD is SEND done while a storage lcore still reads the body. Control thread. */
#ifndef KIRA_CONTROL_CONN_H
#define KIRA_CONTROL_CONN_H

#include "control/control.h"

#define CONN_SMALL (16 * 1024) /* an idle connection holds no more; small bodies live in it */

enum conn_state { CONN_HEAD, CONN_BODY, CONN_SERVE, CONN_SEND, CONN_HELD, CONN_CLOSED };

enum served {
	SERVED_ANSWER,    /* ctl->answer holds it */
	SERVED_TAKEN,     /* c->reply holds it */
	SERVED_PARKED,    /* conn_resume() later */
	SERVED_SILENT,    /* done, nothing is answered (acks=0) */
	SERVED_MALFORMED, /* close, with a line */
	SERVED_CLOSE,     /* close; the handler has said why */
};

/* The answer on its way out. One allocation, charged to request memory. */
struct reply {
	uint32_t length, sent;             /* bytes in memory */
	uint32_t pieces, piece_at;
	uint32_t piece_sent;               /* of piece[piece_at] */
	uint32_t piece_cached;             /* so far it was found in the page cache, or read in */
	uint8_t *bytes;
	struct piece piece[];
};

/* What a parked request waits for. */
struct park {
	enum served (*again)(struct conn *c, uint64_t now_ns, bool deadline); /* look again */
	void (*forget)(struct conn *c); /* the connection goes, or the request is answered */
};

struct conn {
	struct source src;
	struct timer timer;
	struct control *ctl;
	struct conn *next, *prev;
	struct in6_addr peer, local;       /* IPv4 as ::ffff:a.b.c.d */
	uint16_t peer_port, local_port;
	enum conn_state state;
	bool reading_stopped;              /* EPOLLIN is off */
	bool peer_done;                    /* it sends no more; what it has sent is still served */
	bool corked;
	uint64_t deadline_ns;              /* the timer may fire earlier, never later */
	unsigned pins;                     /* callers up the stack and parts that point at us */
	unsigned holds;                    /* of these, storage lcores that still read the body */
	unsigned sessions;                 /* it is the anchor of so many: not closed as idle */
	struct grant *anchored;            /* these */

	uint32_t in_length;
	uint32_t frame_length;             /* of the request being read or served, size field included */
	uint8_t *body;                     /* after the size field: inside in[], or of its own */
	uint32_t body_have;                /* a body of its own: bytes read so far */
	bool body_own;
	struct request rq;
	struct reply *reply;

	unsigned cold_reads;               /* reads of the disk under way for it (read_ahead.h) */
	bool cold_waits;                   /* woken when one of them is done */
	bool cold_failed;                  /* of this request: one failed; read where we are, to learn why */

	const struct park *park;
	void *park_data;                   /* of the request's own file */
	uint64_t park_until_ns;
	struct group_wait group_wait;      /* JoinGroup, SyncGroup: its place in the group */
	bool group_answered;               /* c->reply holds what the group decided, or it did not fit */
	struct wait_list *wait_in;
	struct conn *wait_next, *wait_prev;

	uint8_t in[CONN_SMALL];
};

/* Take an accepted socket. NULL: refused (and closed). */
struct conn *conn_open(struct control *ctl, int fd, uint64_t now_ns);
void conn_close(struct conn *c);

/* The connection is pointed at from elsewhere; freed at the last unpin. */
void conn_pin(struct conn *c);
void conn_unpin(struct conn *c);
/* The body too: no next request is read before the last release. */
void conn_hold(struct conn *c);
void conn_release(struct conn *c, uint64_t now_ns);

/* Stop serving until conn_wake(); `until_ns`: then again() is called with deadline = true. */
enum served conn_park(struct conn *c, const struct park *park, void *data, uint64_t until_ns);
/* The request is decoded and parks for long: its bytes give their memory back. Neither rq.body nor a view into
 * it is looked at again. */
void conn_drop_body(struct conn *c);
/* Call again() and go on from what it says. */
void conn_wake(struct conn *c, uint64_t now_ns, bool deadline);
/* A read of the disk that it waited for is done: look again, or send on. */
void conn_cold_read(struct conn *c, uint64_t now_ns);
/* End a parked request with what a part other than its again() has decided. */
void conn_finish(struct conn *c, enum served served, uint64_t now_ns);

/* Those that waited for request memory. */
unsigned conn_memory_turn(struct control *ctl, uint64_t now_ns);

/* Begin an answer to the request being served: header written, encoding set. */
struct writer *conn_answer(struct conn *c);

/* ---- conn_peer.c ---- */

const char *conn_peer(const struct conn *c, char ret[64]);
/* Both ends of the socket. False: it is no longer connected. */
bool conn_addresses(struct conn *c, int fd);
/* Of all, or of its address: it is to be refused. */
bool conn_one_too_many(const struct conn *c, uint64_t now_ns);

/* ---- conn_send.c ---- */

/* Take ctl->answer and ctl->piece[] over into c->reply. False: no memory to be had. */
bool conn_send_take(struct conn *c);
/* Send what the socket takes, at most a turn's share. 0: all is sent; 1: more to come; 2: the same, once the disk
 * has given it (cold_waits); -errno. */
int conn_send(struct conn *c);
void conn_send_free(struct conn *c);

#endif
