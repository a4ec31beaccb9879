/* SPDX-License-Identifier: MIT
 * grants.c - who may send datagrams: session ids, secrets, anchors, handles.
 * Thread: control. Owns: the grant half of each session; the live half (windows, credit, counters)
 * belongs to the rx lcore that was chosen as its owner, and is reached by commands only.
 * Never: is told that an rx lcore ended a session (CLOSE, silence, a RESET). It seldom needs to know: a
 * REPEAT of an ended session comes back 70, an id that is granted again replaces the old entry,
 * entries without an anchor go after their lease, and where a limit is met, or an anchor idle, it asks.
 * Secrets are never logged. */
#include "control/grants.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"
#include "control/kafka/serve.h"
#include "control/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#define DONE_TURN 64
#define SWEEP_NS  NS_PER_S
#define ASK_NS    NS_PER_S

static int
read_prefix(const char *text, struct grant_prefix *ret, struct err *err)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	const size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned most = 128;
	struct in_addr v4;
	char *end = NULL;
	long bits;

	if (n >= sizeof(address))
		goto bad;
	memcpy(address, text, n);
	address[n] = 0;
	*ret = (struct grant_prefix){0};
	if (inet_pton(AF_INET, address, &v4) == 1) {
		ret->address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
		memcpy(&ret->address.s6_addr[12], &v4, sizeof(v4));
		most = 32;
	} else if (inet_pton(AF_INET6, address, &ret->address) != 1) {
		goto bad;
	}
	bits = slash ? strtol(slash + 1, &end, 10) : (long)most;
	if ((slash && (end == slash + 1 || *end)) || bits < 0 || bits > (long)most)
		goto bad;
	ret->bits = (unsigned)bits + (128 - most);
	return 0;
bad:
	err_set(err, "--produce-from %s: ADDRESS/LENGTH is wanted, as 10.0.0.0/8 or fd00::/8", text);
	return -EINVAL;
}

int
grants_open(struct control *ctl, struct err *err)
{
	const struct config_list *list = &ctl->cfg->produce_from;
	struct grants *gs = &ctl->grants;

	*gs = (struct grants){0};
	gs->prefix = calloc(list->n + 1, sizeof(*gs->prefix));
	ASSERT(gs->prefix);
	for (unsigned i = 0; i < list->n; i++)
		if (read_prefix(list->item[i], &gs->prefix[i], err) < 0)
			return -EINVAL;
	gs->prefixes = list->n;
	return 0;
}

void
grants_close(struct control *ctl)
{
	struct grants *gs = &ctl->grants;
	struct grant *next;

	for (unsigned b = 0; b < GRANT_BUCKETS; b++)
		for (struct grant *g = gs->bucket[b]; g; g = next) {
			next = g->next;
			free(g);
		}
	free(gs->give);
	free(gs->prefix);
	*gs = (struct grants){0};
}

void
grants_give(struct control *ctl, struct rx_cmd *cmd)
{
	struct grants *gs = &ctl->grants;

	gs->outstanding++;
	if (gs->gives == 0 && dataplane_rx(ctl->dp, cmd))
		return;
	if (gs->gives == gs->give_room) {
		gs->give_room = MAX(gs->give_room * 2, 64u);
		gs->give = realloc(gs->give, gs->give_room * sizeof(*gs->give));
		ASSERT(gs->give);
	}
	gs->give[gs->gives++] = cmd;
}

static unsigned
give_more(struct control *ctl)
{
	struct grants *gs = &ctl->grants;
	unsigned n = 0;

	while (n < gs->gives && dataplane_rx(ctl->dp, gs->give[n]))
		n++;
	if (n > 0) {
		gs->gives -= n;
		memmove(gs->give, gs->give + n, gs->gives * sizeof(*gs->give));
	}
	return n;
}

static bool
inside(const struct in6_addr *a, const struct grant_prefix *p)
{
	const unsigned whole = p->bits / 8, rest = p->bits % 8;

	if (memcmp(a->s6_addr, p->address.s6_addr, whole) != 0)
		return false;
	return rest == 0 || ((a->s6_addr[whole] ^ p->address.s6_addr[whole]) >> (8 - rest)) == 0;
}

bool
grants_address_allowed(const struct control *ctl, const struct in6_addr *peer,
	const struct in6_addr *address)
{
	const struct grants *gs = &ctl->grants;

	if (IN6_ARE_ADDR_EQUAL(peer, address))
		return true;
	if (gs->prefixes == 0)
		return dataplane_in_subnet(ctl->dp, address);
	for (unsigned i = 0; i < gs->prefixes; i++)
		if (inside(address, &gs->prefix[i]))
			return true;
	return false;
}

struct grant *
grants_find(const struct control *ctl, uint32_t session_id, uint64_t secret)
{
	struct grant *g = ctl->grants.bucket[session_id % GRANT_BUCKETS];

	while (g && (g->session_id != session_id || g->secret != secret))
		g = g->next;
	return g;
}

unsigned
grants_of_address(const struct control *ctl, const struct in6_addr *address)
{
	unsigned n = 0;

	for (unsigned b = 0; b < GRANT_BUCKETS; b++)
		for (const struct grant *g = ctl->grants.bucket[b]; g; g = g->next)
			n += (g->anchor || g->busy > 0) && IN6_ARE_ADDR_EQUAL(&g->peer, address);
	return n;
}

struct grant *
grants_make(struct control *ctl)
{
	struct grant *g = calloc(1, sizeof(*g));

	ASSERT(g);
	return g;
}

void
grants_link(struct control *ctl, struct grant *g, uint32_t session_id)
{
	struct grants *gs = &ctl->grants;
	struct grant *old = gs->bucket[session_id % GRANT_BUCKETS];

	/* The rx lcore gave the slot again: whoever had it is gone there. */
	while (old && old->session_id != session_id)
		old = old->next;
	if (old)
		grants_drop(ctl, old);
	g->session_id = session_id;
	g->next = gs->bucket[session_id % GRANT_BUCKETS];
	gs->bucket[session_id % GRANT_BUCKETS] = g;
	gs->n++;
}

static void
unanchor(struct grant *g)
{
	struct conn *c = g->anchor;

	if (!c)
		return;
	*(g->anchored_prev ? &g->anchored_prev->anchored_next : &c->anchored) = g->anchored_next;
	if (g->anchored_next)
		g->anchored_next->anchored_prev = g->anchored_prev;
	g->anchored_next = g->anchored_prev = NULL;
	g->anchor = NULL;
	c->sessions--;
}

void
grants_drop(struct control *ctl, struct grant *g)
{
	struct grants *gs = &ctl->grants;
	struct grant **at = &gs->bucket[g->session_id % GRANT_BUCKETS];

	unanchor(g);
	while (*at && *at != g)
		at = &(*at)->next;
	if (*at) {
		*at = g->next;
		gs->n--;
	}
	g->session_id = 0;
	if (g->busy == 0)
		free(g);
}

void
grant_unbusy(struct grant *g)
{
	g->busy--;
	if (g->busy == 0 && g->session_id == 0)
		free(g); /* never installed, or dropped while the command was under way */
}

void
grants_anchor(struct grant *g, struct conn *c)
{
	unanchor(g);
	g->anchor = c;
	g->anchored_prev = NULL;
	g->anchored_next = c->anchored;
	if (c->anchored)
		c->anchored->anchored_prev = g;
	c->anchored = g;
	c->sessions++;
}

void
grants_unanchored(struct control *ctl, struct grant *g)
{
	struct grant_cmd *cmd = calloc(1, sizeof(*cmd));

	ASSERT(cmd);
	unanchor(g);
	/* Its quarantine is 2 leases; afterwards the entry says nothing any more. */
	g->ends_ns = ctl->now_ns + 4 * KUP_LEASE_MS * NS_PER_MS;
	cmd->ctl = ctl;
	cmd->rx = (struct rx_cmd){.kind = RX_ANCHOR_GONE, .rx = g->session_id >> 24,
		.session_id = g->session_id, .secret = g->secret, .owner = cmd};
	grants_give(ctl, &cmd->rx);
}

/* Is it there still? asked() hears. */
static void
ask(struct control *ctl, struct grant *g)
{
	struct grant_cmd *cmd = calloc(1, sizeof(*cmd));

	ASSERT(cmd);
	g->busy++;
	g->asked_ns = ctl->now_ns;
	cmd->ctl = ctl;
	cmd->grant = g;
	cmd->rx = (struct rx_cmd){.kind = RX_ASK, .rx = g->session_id >> 24, .session_id = g->session_id,
		.secret = g->secret, .owner = cmd};
	grants_give(ctl, &cmd->rx);
}

static void
asked(struct control *ctl, struct grant_cmd *cmd)
{
	struct grant *g = cmd->grant;

	if (cmd->rx.error && g->session_id != 0)
		grants_drop(ctl, g);
	grant_unbusy(g);
	free(cmd);
}

void
grants_ask(struct control *ctl, const struct conn *c, const struct in6_addr *address)
{
	for (unsigned b = 0; b < GRANT_BUCKETS; b++)
		for (struct grant *g = ctl->grants.bucket[b]; g; g = g->next)
			if (g->anchor && g->busy == 0 && ctl->now_ns - g->asked_ns >= ASK_NS &&
				(g->anchor == c || (address && IN6_ARE_ADDR_EQUAL(&g->peer, address))))
				ask(ctl, g);
}

void
grants_anchor_gone(struct control *ctl, struct conn *c)
{
	while (c->anchored)
		grants_unanchored(ctl, c->anchored);
}

void
grants_topic_gone(struct control *ctl, struct topic *t)
{
	for (unsigned b = 0; b < GRANT_BUCKETS; b++)
		for (struct grant *g = ctl->grants.bucket[b]; g; g = g->next)
			for (uint16_t h = 0; h < g->handles; h++)
				if (g->handle[h].topic == t)
					g->handle[h].topic = NULL;
}

/* Entries whose lease has run out. */
static void
sweep(struct control *ctl)
{
	struct grants *gs = &ctl->grants;
	struct grant *next;

	if (ctl->now_ns - gs->swept_ns < SWEEP_NS)
		return;
	gs->swept_ns = ctl->now_ns;
	for (unsigned b = 0; b < GRANT_BUCKETS; b++)
		for (struct grant *g = gs->bucket[b]; g; g = next) {
			next = g->next;
			if (!g->anchor && g->busy == 0 && g->ends_ns <= ctl->now_ns)
				grants_drop(ctl, g);
		}
}

unsigned
grants_turn(struct control *ctl)
{
	struct rx_cmd *done[DONE_TURN];
	const unsigned n = dataplane_rx_done(ctl->dp, done, DONE_TURN);

	for (unsigned i = 0; i < n; i++) {
		struct grant_cmd *cmd;

		ctl->grants.outstanding--;
		if (done[i]->kind == RX_FORGET_TOPIC) {
			topics_forgotten(ctl, done[i]);
			continue;
		}
		if (done[i]->kind == RX_SWAP_TOPIC) {
			topics_swapped(ctl, done[i]);
			continue;
		}
		cmd = (struct grant_cmd *)(void *)done[i];
		if (done[i]->kind == RX_ASK)
			asked(ctl, cmd);
		else if (cmd->conn || cmd->grant)
			kira_open_session_installed(cmd);
		else
			free(cmd);
	}
	if (ctl->grants.n > 0)
		sweep(ctl);
	return n + give_more(ctl);
}

bool
grants_idle(const struct control *ctl)
{
	return ctl->grants.outstanding == 0;
}
