/* SPDX-License-Identifier: MIT
 * conn.c - read requests, have them served, keep their limits of time and memory.
 * Thread: control. Owns: the connections. Never: waits for anything; reads a socket while a request
 * of it is served, so that answers are in order and a slow client meets TCP's own flow control. */
#include "control/conn.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/kafka/serve.h"
#include "control/log.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_NS       (10 * NS_PER_S) /* a frame once begun */
#define BODY_NS       (30 * NS_PER_S) /* and 1 s for each MiB that has come */
#define SEND_NS       (60 * NS_PER_S) /* without progress */
#define READ_TURN_MAX (1024 * 1024)   /* one connection must not keep the turn */
#define NO_DEADLINE   UINT64_MAX

static struct log_limit bad_frames, tls_spoken, http_spoken, slow_peers;

static void conn_go(struct conn *c, uint64_t now_ns);

/* ---- Time ---- */

/* Lazy: the heap is touched only when the deadline moves forward; a timer that fires early is set
 * again. An ordinary request costs no heap operation. */
static void
set_deadline(struct conn *c, uint64_t at_ns)
{
	c->deadline_ns = at_ns;
	if (at_ns != NO_DEADLINE && (c->timer.slot == 0 || at_ns < c->timer.at_ns))
		loop_arm(&c->ctl->loop, &c->timer, at_ns);
}

static void
conn_timer(struct timer *t, uint64_t now_ns)
{
	struct conn *c = (struct conn *)((char *)t - offsetof(struct conn, timer));
	char peer[64];

	if (now_ns < c->deadline_ns) {
		if (c->deadline_ns != NO_DEADLINE)
			loop_arm(&c->ctl->loop, t, c->deadline_ns);
		return;
	}
	if (c->state == CONN_SERVE) {
		conn_wake(c, now_ns, true);
		return;
	}
	if (c->state == CONN_HEAD && c->in_length == 0) {
		/* A session's anchor may stay silent for ever, while the session lives. */
		if (c->sessions > 0) {
			grants_ask(c->ctl, c, NULL);
			set_deadline(c, now_ns + (uint64_t)c->ctl->cfg->idle_ms * NS_PER_MS);
			return;
		}
	} else {
		log_limited(&slow_peers, now_ns, LOG_LEVEL_INFO,
			"%s: closed, no progress while %s", conn_peer(c, peer),
			c->state == CONN_SEND ? "taking an answer" : "sending a request");
	}
	counter_add(&c->ctl->count->connections_timed_out, 1);
	conn_close(c);
}

/* ---- Memory ---- */

/* Is there request memory for `bytes` more? Else the connection is put in line. */
static bool
memory_take(struct conn *c, uint64_t bytes)
{
	struct control *ctl = c->ctl;

	if (ctl->memory_used == 0 || ctl->memory_used + bytes <= ctl->memory_max)
		return true;
	counter_add(&ctl->count->memory_waits, 1);
	set_deadline(c, NO_DEADLINE);
	wait_add(&ctl->memory_waits, c);
	(void)loop_watch(&ctl->loop, &c->src, EPOLLRDHUP);
	c->reading_stopped = true;
	return false;
}

unsigned
conn_memory_turn(struct control *ctl, uint64_t now_ns)
{
	unsigned n = 0;

	for (struct conn *c; (c = ctl->memory_waits.first) != NULL && n < 64; n++) {
		const uint64_t need = c->frame_length > CONN_SMALL ? c->frame_length : 0;

		if (ctl->memory_used > 0 && ctl->memory_used + need > ctl->memory_max)
			break; /* first in line stays first */
		wait_remove(c);
		conn_pin(c);
		conn_go(c, now_ns);
		conn_unpin(c);
	}
	return n;
}

static void
free_body(struct conn *c)
{
	if (c->body_own) {
		c->ctl->memory_used -= c->frame_length;
		free(c->body);
	}
	c->body = NULL;
	c->body_own = false;
	c->body_have = 0;
}

void
conn_drop_body(struct conn *c)
{
	c->rq.body = NULL;
	c->rq.client_id = (struct view){NULL, 0};
	if (!c->body_own)
		return; /* in[] is there anyway */
	free_body(c);
	c->frame_length = 0;
}

/* ---- Life ---- */

static void
conn_free(struct conn *c)
{
	free_body(c);
	free(c);
}

void
conn_close(struct conn *c)
{
	struct control *ctl = c->ctl;

	if (c->state == CONN_CLOSED)
		return;
	if (c->park) {
		const struct park *park = c->park;

		c->park = NULL;
		park->forget(c);
	}
	wait_remove(c);
	if (c->sessions > 0)
		grants_anchor_gone(ctl, c);
	loop_disarm(&ctl->loop, &c->timer);
	(void)loop_watch(&ctl->loop, &c->src, 0);
	(void)setsockopt(c->src.fd, SOL_SOCKET, SO_LINGER, &(struct linger){0}, sizeof(struct linger));
	(void)close(c->src.fd); /* what was answered is still sent */
	conn_send_free(c);
	c->state = CONN_CLOSED;
	if (c->prev)
		c->prev->next = c->next;
	else
		ctl->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	ctl->conn_count--;
	counter_set(&ctl->count->connections, ctl->conn_count);
	if (c->pins == 0)
		conn_free(c);
}

void
conn_pin(struct conn *c)
{
	c->pins++;
}

void
conn_unpin(struct conn *c)
{
	ASSERT(c->pins > 0);
	if (--c->pins == 0 && c->state == CONN_CLOSED)
		conn_free(c);
}

void
conn_hold(struct conn *c)
{
	c->holds++;
	conn_pin(c);
}

void
conn_release(struct conn *c, uint64_t now_ns)
{
	ASSERT(c->holds > 0);
	if (--c->holds == 0 && c->state == CONN_HELD)
		conn_go(c, now_ns);
	conn_unpin(c);
}

/* ---- One request ---- */

static void
frame_bad(struct conn *c, enum frame_verdict v, const struct frame_head *h, uint64_t now_ns)
{
	/* Mistakes of a configuration, which a line explains, are not drowned by other bad frames. */
	struct log_limit *limit = v == FRAME_TLS ? &tls_spoken : v == FRAME_HTTP ? &http_spoken
										 : &bad_frames;
	char peer[64];

	counter_add(&c->ctl->count->connections_malformed, 1);
	log_limited(limit, now_ns, LOG_LEVEL_WARN, "%s: closed: %s (size %u, key %d, version %d)",
		conn_peer(c, peer), frame_verdict_text(v), h->size, h->key, h->version);
	conn_close(c);
}

/* The request is over: drop its bytes, be ready for the next. */
static void
request_done(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;

	if (c->holds > 0) {
		/* A storage lcore may still read the body; the last release goes on. */
		c->state = CONN_HELD;
		set_deadline(c, NO_DEADLINE);
		return;
	}
	if (!c->body_own) {
		c->in_length -= c->frame_length;
		memmove(c->in, c->in + c->frame_length, c->in_length);
	}
	free_body(c);
	c->frame_length = 0;
	c->cold_failed = false;
	c->state = CONN_HEAD;
	set_deadline(c, now_ns + (c->in_length ? HEAD_NS : (uint64_t)ctl->cfg->idle_ms * NS_PER_MS));
	if (c->reading_stopped) {
		c->reading_stopped = false;
		if (loop_watch(&ctl->loop, &c->src, EPOLLIN | EPOLLRDHUP) < 0)
			conn_close(c);
	}
}

/* Send; true: the request is over. */
static bool
send_more(struct conn *c, uint64_t now_ns)
{
	const int rc = conn_send(c);

	if (rc < 0) {
		conn_close(c);
		return false;
	}
	if (rc == 0) {
		conn_send_free(c);
		return true;
	}
	set_deadline(c, now_ns + SEND_NS);
	c->reading_stopped = true;
	if (loop_watch(&c->ctl->loop, &c->src, (rc == 1 ? EPOLLOUT : 0) | (c->peer_done ? 0 : EPOLLRDHUP)) < 0)
		conn_close(c);
	return false;
}

/* Go on from what a handler said. True: the request is over. */
static bool
after_serve(struct conn *c, enum served served, uint64_t now_ns)
{
	char peer[64];

	if (c->state == CONN_CLOSED)
		return false;
	switch (served) {
	case SERVED_PARKED:
		set_deadline(c, c->park_until_ns);
		return false;
	case SERVED_SILENT:
		counter_add(&c->ctl->count->requests, 1);
		return true;
	case SERVED_MALFORMED:
		counter_add(&c->ctl->count->connections_malformed, 1);
		log_limited(&bad_frames, now_ns, LOG_LEVEL_WARN,
			"%s: closed: malformed %s request (key %d, version %d)", conn_peer(c, peer),
			c->rq.api->name, c->rq.api->key, c->rq.version);
		conn_close(c);
		return false;
	case SERVED_CLOSE:
		conn_close(c);
		return false;
	case SERVED_ANSWER:
	case SERVED_TAKEN:
		break;
	}
	counter_add(&c->ctl->count->requests, 1);
	if (served == SERVED_ANSWER && !conn_send_take(c)) {
		log_limited(&bad_frames, now_ns, LOG_LEVEL_ERROR,
			"%s: closed: the answer to %s does not fit into %u bytes", conn_peer(c, peer),
			c->rq.api->name, c->ctl->scratch_size);
		conn_close(c);
		return false;
	}
	c->state = CONN_SEND;
	return send_more(c, now_ns);
}

/* The whole frame is here. True: the request is over. */
static bool
serve_frame(struct conn *c, uint64_t now_ns)
{
	const struct api *api = api_find((int16_t)get_be16(c->body));
	const int16_t version = (int16_t)get_be16(c->body + 2);

	c->state = CONN_SERVE;
	counter_add(&c->ctl->count->request_bytes, c->frame_length);
	if (api->key == API_API_VERSIONS && (version < api->served_min || version > api->max))
		/* Key, version and correlation id are all that is read of a version we do not speak. */
		c->rq = (struct request){.api = api, .version = -1,
			.correlation = (int32_t)get_be32(c->body + 4)};
	else if (!frame_request(&c->rq, api, c->body, c->frame_length - 4))
		return after_serve(c, SERVED_MALFORMED, now_ns);
	return after_serve(c, serve(c, now_ns), now_ns);
}

/* In HEAD with bytes in in[]. False: nothing more can be done now. */
static bool
take_frame(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct frame_head h;
	enum frame_verdict v;

	if (c->in_length < FRAME_FIRST || ctl->stopping)
		return false;
	v = frame_judge(c->in, (uint32_t)ctl->cfg->request_max, &h);
	if (v != FRAME_OK && v != FRAME_STEP_DOWN) {
		frame_bad(c, v, &h, now_ns);
		return false;
	}
	c->frame_length = h.size + 4;
	if (c->frame_length <= CONN_SMALL) {
		if (c->in_length < c->frame_length)
			return false;
		/* Small bodies cost nothing, but their answers do. */
		if (!memory_take(c, 0))
			return false;
		c->body = c->in + 4;
		return serve_frame(c, now_ns);
	}
	if (!memory_take(c, c->frame_length))
		return false;
	c->body = malloc(h.size);
	if (!c->body) {
		conn_close(c);
		return false;
	}
	ctl->memory_used += c->frame_length;
	c->body_own = true;
	c->body_have = c->in_length - 4;
	memcpy(c->body, c->in + 4, c->body_have);
	c->in_length = 0;
	c->state = CONN_BODY;
	set_deadline(c, now_ns + BODY_NS);
	return true;
}

/* Read what is there. False: no more now, or closed. */
static bool
read_some(struct conn *c, uint64_t now_ns)
{
	const bool own = c->state == CONN_BODY;
	uint8_t *to = own ? c->body + c->body_have : c->in + c->in_length;
	const size_t room = own ? c->frame_length - 4 - c->body_have : CONN_SMALL - c->in_length;
	const ssize_t n = recv(c->src.fd, to, MIN(room, (size_t)READ_TURN_MAX), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		conn_close(c);
		return false;
	}
	if (own) {
		c->body_have += (uint32_t)n;
		/* Announced alone, a large body would hold request memory for minutes. */
		set_deadline(c, c->deadline_ns + (uint64_t)n * NS_PER_S / MIB);
	} else {
		if (c->in_length == 0)
			set_deadline(c, now_ns + HEAD_NS);
		c->in_length += (uint32_t)n;
	}
	return true;
}

/* Serve what has been read, until a frame is not complete or a request does not end at once. */
static void
conn_go(struct conn *c, uint64_t now_ns)
{
	if (c->state == CONN_HELD)
		request_done(c, now_ns);
	for (;;) {
		if (c->state == CONN_HEAD) {
			if (c->reading_stopped && !c->wait_in) {
				c->reading_stopped = false;
				if (loop_watch(&c->ctl->loop, &c->src, EPOLLIN | EPOLLRDHUP) < 0) {
					conn_close(c);
					return;
				}
			}
			if (!take_frame(c, now_ns))
				return;
			if (c->state != CONN_BODY) {
				request_done(c, now_ns);
				continue;
			}
		}
		if (c->state != CONN_BODY || c->body_have < c->frame_length - 4)
			return;
		if (!serve_frame(c, now_ns))
			return;
		request_done(c, now_ns);
	}
}

/* Has the peer sent anything behind the request that is served? */
static bool
sent_more(const struct conn *c)
{
	uint8_t byte;

	return c->in_length > (c->body_own ? 0 : c->frame_length) ||
		recv(c->src.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The peer sends no more. What it has sent counts: a producer with acks=0 sends and goes, and its last
 * requests wait in the kernel while one is served. They are read up to the end, which closes. Only a
 * fetch that waits for data has nobody to wait for, and so has who waits for a group without a word
 * behind it, as LeaveGroup would be. */
static void
peer_is_done(struct conn *c)
{
	const int16_t key = c->rq.api ? c->rq.api->key : -1;

	if (c->state == CONN_SERVE && (key == API_FETCH ||
		((key == API_JOIN_GROUP || key == API_SYNC_GROUP) && !sent_more(c)))) {
		conn_close(c);
		return;
	}
	c->peer_done = true;
	c->reading_stopped = true;
	(void)loop_watch(&c->ctl->loop, &c->src, c->state == CONN_SEND && !c->cold_waits ? EPOLLOUT : 0);
}

static void
send_on(struct conn *c, uint64_t now_ns)
{
	if (!send_more(c, now_ns))
		return;
	request_done(c, now_ns);
	if (c->state == CONN_HEAD)
		conn_go(c, now_ns);
}

static void
conn_ready(struct source *src, uint32_t events, uint64_t now_ns)
{
	struct conn *c = (struct conn *)((char *)src - offsetof(struct conn, src));

	if (events & (EPOLLERR | EPOLLHUP)) {
		conn_close(c);
		return;
	}
	conn_pin(c);
	if ((c->state == CONN_HEAD || c->state == CONN_BODY) && (events & EPOLLIN)) {
		if (read_some(c, now_ns))
			conn_go(c, now_ns);
	} else if (c->state == CONN_SEND && (events & EPOLLOUT)) {
		send_on(c, now_ns);
	} else if (events & EPOLLRDHUP) {
		peer_is_done(c);
	} else if (events & EPOLLIN) {
		/* Pipelined: left in the kernel until this request is over. */
		c->reading_stopped = true;
		(void)loop_watch(&c->ctl->loop, &c->src, EPOLLRDHUP);
	}
	conn_unpin(c);
}

enum served
conn_park(struct conn *c, const struct park *park, void *data, uint64_t until_ns)
{
	c->park = park;
	c->park_data = data;
	c->park_until_ns = until_ns;
	return SERVED_PARKED;
}

void
conn_finish(struct conn *c, enum served served, uint64_t now_ns)
{
	const struct park *park = c->park;

	conn_pin(c);
	if (served != SERVED_PARKED && park) {
		c->park = NULL;
		c->cold_waits = false;
		park->forget(c);
	}
	if (after_serve(c, served, now_ns)) {
		request_done(c, now_ns);
		if (c->state == CONN_HEAD)
			conn_go(c, now_ns);
	}
	conn_unpin(c);
}

void
conn_wake(struct conn *c, uint64_t now_ns, bool deadline)
{
	if (c->park && c->state == CONN_SERVE)
		conn_finish(c, c->park->again(c, now_ns, deadline), now_ns);
}

void
conn_cold_read(struct conn *c, uint64_t now_ns)
{
	c->cold_waits = false;
	if (c->state == CONN_SEND)
		send_on(c, now_ns);
	else
		conn_wake(c, now_ns, false);
}

struct writer *
conn_answer(struct conn *c)
{
	struct control *ctl = c->ctl;

	ctl->answer = kw_open(ctl->scratch, ctl->scratch_size, false);
	ctl->pieces = 0;
	frame_answer(&ctl->answer, &c->rq);
	return &ctl->answer;
}

struct conn *
conn_open(struct control *ctl, int fd, uint64_t now_ns)
{
	const int one = 1;
	struct conn *c;

	c = calloc(1, sizeof(*c));
	if (!c)
		goto refuse;
	c->ctl = ctl;
	if (!conn_addresses(c, fd) || conn_one_too_many(c, now_ns))
		goto refuse;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* Should this process be killed, the kernel throws away what was not sent, and with it its hold on
	 * pages of segments: the next start must see those leave memory (storage/recover_check.c), and a
	 * consumer that is gone would keep them for minutes. */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	c->src = (struct source){.fd = fd, .ready = conn_ready};
	c->timer.fire = conn_timer;
	if (loop_watch(&ctl->loop, &c->src, EPOLLIN | EPOLLRDHUP) < 0)
		goto refuse;
	c->next = ctl->conns;
	if (ctl->conns)
		ctl->conns->prev = c;
	ctl->conns = c;
	ctl->conn_count++;
	counter_add(&ctl->count->connections_accepted, 1);
	counter_set(&ctl->count->connections, ctl->conn_count);
	set_deadline(c, now_ns + (uint64_t)ctl->cfg->idle_ms * NS_PER_MS);
	return c;
refuse:
	counter_add(&ctl->count->connections_refused, 1);
	free(c);
	(void)close(fd);
	return NULL;
}
