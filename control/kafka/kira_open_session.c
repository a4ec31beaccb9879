/* SPDX-License-Identifier: MIT
 * kira_open_session.c - Kira's own request: a UDP produce session (dataplane/PROTOCOL.md, 2).
 * Thread: control. Two waits: for topics that are made on the way, then for the rx lcore to install
 * the session. The client is answered only after that: a datagram it sends at once finds it there. */
#include "control/kafka/serve.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/log.h"

#include <kira/errors.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/random.h>

#define RETRY_MS 1000 /* with 89, where the rx lcore gives no time of its own */

struct open_session {
	struct grant_cmd *cmd; /* on its way to the rx lcore and back; NULL: not yet sent, or back */
	struct grant *grant;
	bool installed;
	uint32_t credit_limit;
	struct in6_addr host;
	uint16_t port;
	int16_t error[KUP_HANDLES_MAX];
	uint16_t handle[KUP_HANDLES_MAX];
};

static const struct park wait_for_session;

static void
write_host(struct writer *w, const struct in6_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED(a))
		(void)inet_ntop(AF_INET, &a->s6_addr[12], text, sizeof(text));
	else
		(void)inet_ntop(AF_INET6, a, text, sizeof(text));
	kw_string(w, text);
}

/* An answer without a session. */
static enum served
refuse(struct conn *c, int16_t error, const char *why, uint32_t retry_ms)
{
	struct writer *w = conn_answer(c);

	counter_add(&c->ctl->count->sessions_refused, 1);
	kw_i32(w, (int32_t)retry_ms);
	kw_i16(w, error);
	kw_string(w, why);
	kw_i16(w, KUP_OPEN_SESSION_VERSION);
	kw_i32(w, 0);      /* session_id */
	kw_i64(w, 0);      /* secret */
	kw_i64(w, 0);      /* incarnation */
	kw_string(w, "");  /* udp_host */
	kw_i16(w, 0);      /* udp_port */
	kw_i16(w, 0);      /* max_dgram */
	kw_i16(w, 0);      /* window */
	kw_i32(w, 0);      /* credit_limit */
	kw_i32(w, 0);      /* capabilities */
	kw_i16(w, 0);      /* ack_every */
	kw_i32(w, 0);      /* ack_delay_us */
	kw_i32(w, 0);      /* lease_ms */
	kw_i32(w, 0);      /* credit_lease_ms */
	kw_i16(w, 0);      /* keepalive_s */
	kw_array(w, 0);
	kw_tags(w);
	return SERVED_ANSWER;
}

static void
write_topic(struct writer *w, const struct open_session *os, const struct q_open_topic *q,
	int32_t i)
{
	const struct topic *t = NULL;
	int16_t error = os->error[i];

	if (!error) {
		t = os->grant->handle[os->handle[i] - 1].topic;
		if (!t)
			error = KIRA_E_UNKNOWN_TOPIC_OR_PARTITION; /* deleted meanwhile */
	}
	kw_i16(w, error);
	kw_view(w, q->name);
	kw_raw(w, t ? t->id : serve_no_id, UUID_BYTES);
	kw_i16(w, t ? (int16_t)os->handle[i] : 0);
	kw_i32(w, t ? t->partitions : 0);
	kw_i32(w, t ? (int32_t)MIN(t->cfg.log.max_message_bytes, t->cfg.log.segment_bytes) : 0);
	kw_i8(w, t ? (int8_t)t->cfg.ack_min : 0);
	kw_tags(w);
}

static enum served
answer(struct conn *c, const struct open_session *os)
{
	const struct grant *g = os->grant;
	struct q_open_session q;
	struct writer *w;

	if (!q_open_session(&q, &c->rq))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_i16(w, 0);
	kw_string(w, NULL);
	kw_i16(w, KUP_OPEN_SESSION_VERSION);
	kw_i32(w, (int32_t)g->session_id);
	kw_i64(w, (int64_t)g->secret);
	kw_i64(w, (int64_t)storage_incarnation(c->ctl->storage));
	write_host(w, &os->host);
	kw_i16(w, (int16_t)os->port);
	kw_i16(w, (int16_t)g->max_dgram);
	kw_i16(w, (int16_t)g->window);
	kw_i32(w, (int32_t)os->credit_limit);
	kw_i32(w, (int32_t)g->capabilities);
	kw_i16(w, KUP_ACK_EVERY);
	kw_i32(w, KUP_ACK_DELAY_US);
	kw_i32(w, KUP_LEASE_MS);
	kw_i32(w, KUP_CREDIT_LEASE_MS);
	kw_i16(w, KUP_KEEPALIVE_S);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++)
		write_topic(w, os, &q.topic[i], i);
	kw_tags(w);
	return SERVED_ANSWER;
}

/* The topic's handle in this session, old or new; 0: error set. */
static uint16_t
handle_of(struct control *ctl, struct grant *g, const struct q_open_topic *q, int16_t *error)
{
	struct topic *t = topics_find(ctl, q->name);

	*error = 0;
	if (!topic_name_legal(q->name) || (t && t->internal)) /* control alone writes the broker's own */
		*error = KIRA_E_INVALID_TOPIC_EXCEPTION;
	else if (!t)
		*error = q->create && !ctl->cfg->auto_create_topics ? KIRA_E_POLICY_VIOLATION
								    : KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	/* Below the topic's level the client could complete nothing. */
	else if (t->cfg.ack_min == ACK_DISK && !(g->capabilities & KUP_CAP_WANT_DISK))
		*error = KIRA_E_POLICY_VIOLATION;
	/* An lcore does not look into records. */
	else if (t->cfg.validate == VALIDATE_DEEP)
		*error = KIRA_E_POLICY_VIOLATION;
	if (*error)
		return 0;
	for (uint16_t h = 0; h < g->handles; h++)
		if (g->handle[h].topic == t)
			return (uint16_t)(h + 1);
	if (g->handles == KUP_HANDLES_MAX) {
		*error = KIRA_E_POLICY_VIOLATION;
		return 0;
	}
	g->handle[g->handles++].topic = t;
	return g->handles;
}

static bool
udp_address(const struct conn *c, const struct q_open_session *q, struct in6_addr *ret)
{
	if (q->udp_address.len == 0) {
		*ret = c->peer;
	} else if (q->udp_address.len == 4) {
		*ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
		memcpy(&ret->s6_addr[12], q->udp_address.p, 4);
	} else if (q->udp_address.len == 16) {
		memcpy(ret, q->udp_address.p, 16);
	} else {
		return false;
	}
	return true;
}

/* Why a session is not given; error 0: it is. */
struct refusal {
	int16_t error;
	const char *why;
	uint32_t retry_ms;
};

static struct refusal
judge(const struct conn *c, const struct q_open_session *q, const struct grant *g,
	const struct in6_addr *peer)
{
	const struct control *ctl = c->ctl;

	if (q->max_dgram < KUP_DGRAM_BASE || q->want_window < 2 || q->want_window > KUP_WINDOW_MAX)
		return (struct refusal){KIRA_E_INVALID_REQUEST,
			"max_dgram is at least 1200, want_window 2 to 1024", 0};
	if (!grants_address_allowed(ctl, &c->peer, peer))
		return (struct refusal){KIRA_E_POLICY_VIOLATION, "that UDP address is outside "
			"produce-from (default: the data port's subnet)", 0};
	if (q->session_id && !g)
		return (struct refusal){KIRA_E_FETCH_SESSION_ID_NOT_FOUND, "no such session", 0};
	if (!g && (c->sessions >= ctl->cfg->sessions_per_anchor ||
		grants_of_address(ctl, peer) >= ctl->cfg->sessions_per_address))
		return (struct refusal){KIRA_E_THROTTLING_QUOTA_EXCEEDED,
			"too many sessions of one connection or address", RETRY_MS};
	return (struct refusal){0, NULL, 0};
}

static struct grant *
make_grant(struct control *ctl, const struct q_open_session *q, uint16_t max_dgram)
{
	struct grant *g = grants_make(ctl);

	ASSERT(getrandom(&g->secret, sizeof(g->secret), 0) == sizeof(g->secret));
	g->window = q->want_window;
	g->max_dgram = MIN(MIN(q->max_dgram, max_dgram), (uint16_t)KUP_DGRAM_MAX);
	g->capabilities = q->capabilities & (KUP_CAP_WANT_OFFSETS | KUP_CAP_WANT_DISK);
	return g;
}

/* The session as its rx lcore shall have it; handles from `old` on are new to it. */
static void
fill_command(struct rx_cmd *rx, const struct control *ctl, const struct grant *g, unsigned owner,
	uint16_t peer_port, uint16_t old)
{
	*rx = (struct rx_cmd){
		.kind = g->session_id ? RX_REPEAT : RX_GRANT,
		.rx = owner,
		.session_id = g->session_id,
		.secret = g->secret,
		.incarnation = storage_incarnation(ctl->storage),
		.peer = g->peer,
		.peer_port = peer_port,
		.max_dgram = g->max_dgram,
		.window = g->window,
		.ack_every = KUP_ACK_EVERY,
		.keepalive_s = KUP_KEEPALIVE_S,
		.ack_delay_us = KUP_ACK_DELAY_US,
		.lease_ms = KUP_LEASE_MS,
		.capabilities = g->capabilities,
		.handles = g->handles,
	};
	for (uint16_t h = old; h < g->handles; h++)
		rx->topic[h] = g->handle[h].topic->part;
}

/* Topics are there: choose the owner, send the command. */
static enum served
install(struct conn *c, struct open_session *os)
{
	struct control *ctl = c->ctl;
	struct q_open_session q;
	struct refusal no;
	struct in6_addr peer;
	struct grant_cmd *cmd;
	uint16_t max_dgram, old;
	struct grant *g;
	unsigned rx;

	if (!q_open_session(&q, &c->rq))
		return SERVED_MALFORMED;
	if (!udp_address(c, &q, &peer))
		return refuse(c, KIRA_E_INVALID_REQUEST, "udp_address has 0, 4 or 16 bytes", 0);
	g = q.session_id ? grants_find(ctl, q.session_id, q.secret) : NULL;
	no = judge(c, &q, g, &peer);
	if (no.error == KIRA_E_THROTTLING_QUOTA_EXCEEDED)
		grants_ask(ctl, c, &peer); /* some may have ended: there is room when it comes again */
	if (no.error)
		return refuse(c, no.error, no.why, no.retry_ms);
	rx = g ? g->session_id >> 24 : dataplane_owner(ctl->dp);
	if (!dataplane_endpoint(ctl->dp, &peer, rx, &os->host, &os->port, &max_dgram))
		return refuse(c, KIRA_E_POLICY_VIOLATION, "this broker's data port cannot be reached by "
			"UDP from that address; produce over TCP", 0);
	cmd = calloc(1, sizeof(*cmd));
	if (!cmd)
		return SERVED_CLOSE;
	if (!g)
		g = make_grant(ctl, &q, max_dgram);
	g->peer = peer;
	g->busy++;
	old = g->handles;
	for (int32_t i = 0; i < q.topics; i++)
		os->handle[i] = handle_of(ctl, g, &q.topic[i], &os->error[i]);
	*cmd = (struct grant_cmd){.ctl = ctl, .conn = c, .grant = g};
	fill_command(&cmd->rx, ctl, g, rx, q.udp_port, old);
	cmd->rx.owner = cmd;
	os->cmd = cmd;
	os->grant = g;
	/* Before the command is given: the old anchor, closing before the answer is back, would else
	 * start a lease behind it, in a session that is anchored here. */
	if (g->session_id)
		grants_anchor(g, c);
	grants_give(ctl, &cmd->rx);
	return SERVED_PARKED;
}

/* Is one of the topics being made? */
static bool
must_wait(const struct control *ctl, const struct q_open_session *q)
{
	for (int32_t i = 0; i < q->topics; i++)
		if (serve_being_made(ctl, q->topic[i].name))
			return true;
	return false;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct open_session *os = c->park_data;
	struct q_open_session q;

	if (os->installed)
		return answer(c, os);
	if (os->cmd)
		return SERVED_PARKED;
	if (!q_open_session(&q, &c->rq))
		return SERVED_MALFORMED;
	if (must_wait(c->ctl, &q)) {
		wait_add(&c->ctl->topics.waits, c);
		return SERVED_PARKED;
	}
	return install(c, os);
}

static void
forget(struct conn *c)
{
	struct open_session *os = c->park_data;

	wait_remove(c);
	if (os->cmd)
		os->cmd->conn = NULL; /* gone before the lcore answered */
	free(os);
}

static const struct park wait_for_session = {again, forget};

void
kira_open_session_installed(struct grant_cmd *cmd)
{
	struct control *ctl = cmd->ctl;
	struct conn *c = cmd->conn;
	struct open_session *os = c ? c->park_data : NULL;
	struct grant *g = cmd->grant;
	const struct rx_cmd *rx = &cmd->rx;

	if (rx->error == 0) {
		if (rx->kind == RX_GRANT) {
			grants_link(ctl, g, rx->session_id);
			counter_add(&ctl->count->sessions_granted, 1);
		} else {
			counter_add(&ctl->count->sessions_repeated, 1);
		}
	} else if (rx->kind == RX_REPEAT && g->session_id != 0) {
		grants_drop(ctl, g);
	}
	if (os)
		os->cmd = NULL;
	if (c && rx->error == 0 && g->session_id != 0) {
		if (rx->kind == RX_GRANT)
			grants_anchor(g, c);
		os->installed = true;
		os->credit_limit = rx->credit_limit;
		conn_wake(c, ctl->now_ns, false);
	} else if (c) {
		/* Answered by hand: what waits here ends with an error. */
		conn_finish(c, refuse(c, rx->error ? rx->error : KIRA_E_FETCH_SESSION_ID_NOT_FOUND,
			rx->error == KIRA_E_THROTTLING_QUOTA_EXCEEDED ? "no session free"
								      : "no such session",
			rx->error == KIRA_E_THROTTLING_QUOTA_EXCEEDED ?
				MAX(rx->retry_ms, 1u) : 0), ctl->now_ns);
	} else if (rx->kind == RX_GRANT && rx->error == 0 && g->session_id != 0) {
		/* Nobody waits any more: the lease runs from now. */
		grants_unanchored(ctl, g);
	}
	grant_unbusy(g);
	free(cmd);
}

enum served
kira_open_session(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct open_session *os;
	struct q_open_session q;
	enum served served;
	struct topic *made;

	if (c->rq.version != KUP_OPEN_SESSION_VERSION)
		return refuse(c, KIRA_E_UNSUPPORTED_VERSION, "OpenSession version 0 is spoken", 0);
	if (!q_open_session(&q, &c->rq))
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < q.topics && ctl->cfg->auto_create_topics; i++)
		if (q.topic[i].create && topic_name_legal(q.topic[i].name) &&
			!topics_any(ctl, q.topic[i].name))
			(void)topics_create_default(ctl, q.topic[i].name, &made);
	os = calloc(1, sizeof(*os));
	if (!os)
		return SERVED_CLOSE;
	(void)conn_park(c, &wait_for_session, os, UINT64_MAX);
	served = again(c, now_ns, false);
	if (served != SERVED_PARKED) {
		c->park = NULL;
		forget(c);
	}
	return served;
}
