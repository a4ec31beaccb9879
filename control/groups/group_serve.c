/* SPDX-License-Identifier: MIT
 * group_serve.c - answers of the coordinator on their way to connections.
 * Thread: control. An answer is written when it is decided, from what is true then; it is sent by the next turn:
 * to send may serve the connection's next request, which must not happen in the middle of a round. */
#include "control/groups/group_serve.h"

#include "base/assert.h"
#include "base/clock.h"
#include "control/log.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/random.h>

static const struct park wait_in_group;

/* What conn_answer() holds is c's. One that does not fit closes the connection. */
static void
written(struct conn *c)
{
	c->group_answered = true;
	(void)conn_send_take(c);
	if (c->park == &wait_in_group)
		wait_add(&c->ctl->group_answers, c);
}

static struct conn *
conn_of(struct group_wait *w)
{
	return (struct conn *)((char *)w - offsetof(struct conn, group_wait));
}

static void
joined(struct groups *gs, struct group_wait *w, const struct group_joined *a)
{
	k11_write(conn_of(w), a);
	written(conn_of(w));
}

static void
synced(struct groups *gs, struct group_wait *w, const struct group_synced *a)
{
	k14_write(conn_of(w), a);
	written(conn_of(w));
}

/* Version 4: random, but for version and variant. */
static void
uuid(struct groups *gs, char ret[GROUP_UUID_TEXT])
{
	uint8_t b[16];

	ASSERT(getrandom(b, sizeof(b), 0) == (ssize_t)sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	(void)snprintf(ret, GROUP_UUID_TEXT, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
}

static enum served
take(struct conn *c)
{
	static struct log_limit too_long;

	c->group_answered = false;
	if (c->reply)
		return SERVED_TAKEN;
	log_limited(&too_long, c->ctl->now_ns, LOG_LEVEL_ERROR, "a group's answer does not fit into %u bytes",
		c->ctl->scratch_size);
	return SERVED_CLOSE;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	return c->group_answered ? take(c) : SERVED_PARKED;
}

/* Its member stays. */
static void
forget(struct conn *c)
{
	wait_remove(c);
	group_forget(&c->group_wait);
}

static const struct park wait_in_group = {again, forget};

enum served
group_served(struct conn *c)
{
	if (c->group_answered)
		return take(c);
	conn_drop_body(c); /* the group has copies; a rebalance may take minutes */
	return conn_park(c, &wait_in_group, NULL, UINT64_MAX);
}

unsigned
group_serve_turn(struct control *ctl, uint64_t now_ns)
{
	const unsigned n = ctl->group_answers.n;

	wait_wake(&ctl->group_answers, now_ns, false);
	return n;
}

const char *
group_client_host(const struct conn *c, char ret[64])
{
	ret[0] = '/';
	if (IN6_IS_ADDR_V4MAPPED(&c->peer))
		(void)inet_ntop(AF_INET, &c->peer.s6_addr[12], ret + 1, 63);
	else
		(void)inet_ntop(AF_INET6, &c->peer, ret + 1, 63);
	return ret;
}

void
group_serve_open(struct control *ctl)
{
	const struct config *cfg = ctl->cfg;
	struct groups *gs = &ctl->groups;

	gs->limits = (struct group_limits){
		.initial_delay_ns = (uint64_t)cfg->group_initial_delay_ms * NS_PER_MS,
		.session_min_ms = (int32_t)cfg->group_session_min_ms,
		.session_max_ms = (int32_t)cfg->group_session_max_ms,
		.members_max = (unsigned)cfg->group_max_size,
		.memory_max = (uint64_t)cfg->group_memory,
	};
	gs->loop = &ctl->loop;
	gs->owner = ctl;
	gs->joined = joined;
	gs->synced = synced;
	gs->uuid = uuid;
}
