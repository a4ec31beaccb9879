/* SPDX-License-Identifier: MIT
 * grants.h - UDP produce sessions: the half that control keeps. Control thread. */
#ifndef KIRA_CONTROL_GRANTS_H
#define KIRA_CONTROL_GRANTS_H

#include "dataplane/dataplane.h"

#define GRANT_BUCKETS 1024

struct control;
struct conn;
struct topic;

/* A prefix of --produce-from; IPv4 as ::ffff:a.b.c.d/96+n. */
struct grant_prefix {
	struct in6_addr address;
	unsigned bits;
};

/* One handle of a session: h is handle[h - 1]. */
struct grant_handle {
	struct topic *topic;   /* NULL: the topic was deleted, the handle is dead */
};

struct grant {
	struct grant *next;    /* of its bucket */
	struct grant *anchored_next, *anchored_prev; /* of its connection */
	uint32_t session_id;   /* 0: not installed yet */
	uint64_t secret;
	struct conn *anchor;   /* NULL: the lease runs */
	uint64_t ends_ns;      /* without anchor: when the rx lcore has ended it for sure */
	uint64_t asked_ns;     /* when its rx lcore was last asked whether it lives */
	struct in6_addr peer;  /* the granted UDP address */
	uint16_t window, max_dgram;
	uint32_t capabilities;
	unsigned busy;         /* commands under way that lead back to it */
	uint16_t handles;
	struct grant_handle handle[KUP_HANDLES_MAX];
};

/* A command to an rx lcore that belongs to a session. */
struct grant_cmd {
	struct rx_cmd rx;      /* first: a completion leads back here */
	struct control *ctl;
	struct conn *conn;     /* whose OpenSession waits; NULL: nobody's, or it went */
	struct grant *grant;
};

struct grants {
	struct grant *bucket[GRANT_BUCKETS];
	unsigned n;
	struct rx_cmd **give;  /* commands that found the ring full, in order */
	unsigned gives, give_room;
	struct grant_prefix *prefix;
	unsigned prefixes;
	unsigned outstanding;
	uint64_t swept_ns;
};

/* Read --produce-from. */
int grants_open(struct control *ctl, struct err *err);
void grants_close(struct control *ctl);

/* Give a command to its rx lcore; kept in order where the ring is full. */
void grants_give(struct control *ctl, struct rx_cmd *cmd);

struct grant *grants_find(const struct control *ctl, uint32_t session_id, uint64_t secret);
/* May a producer at `peer` name `address` as its own? */
bool grants_address_allowed(const struct control *ctl, const struct in6_addr *peer,
	const struct in6_addr *address);
/* Sessions of this UDP address that are anchored or on their way. Those that lost their anchor end by
 * themselves, and a host that runs many short-lived producers has many of them. */
unsigned grants_of_address(const struct control *ctl, const struct in6_addr *address);

struct grant *grants_make(struct control *ctl);
void grants_link(struct control *ctl, struct grant *g, uint32_t session_id);
void grants_drop(struct control *ctl, struct grant *g);
/* One of its commands is back. */
void grant_unbusy(struct grant *g);
void grants_anchor(struct grant *g, struct conn *c);
/* A limit was met, or c is idle: those that c anchors, and those of the address (NULL: none), are dropped once
 * their rx lcore has said that it ended them. Each is asked once a second at most, however often somebody knocks. */
void grants_ask(struct control *ctl, const struct conn *c, const struct in6_addr *address);
/* Nobody anchors it: tell its rx lcore, so that the lease runs. */
void grants_unanchored(struct control *ctl, struct grant *g);
/* The connection closes: its sessions live on for their lease. */
void grants_anchor_gone(struct control *ctl, struct conn *c);
void grants_topic_gone(struct control *ctl, struct topic *t);

unsigned grants_turn(struct control *ctl);
bool grants_idle(const struct control *ctl);

#endif
