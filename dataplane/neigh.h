/* SPDX-License-Identifier: MIT
 * neigh.h - the addresses of a port, and the answers that make neighbours find it: ARP, neighbour
 * solicitation, ping. Both sides of it: kira-blast asks. Pure: bytes in, bytes out. Any thread. */
#ifndef KIRA_DATAPLANE_NEIGH_H
#define KIRA_DATAPLANE_NEIGH_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define NEIGH_ADDRESSES_MAX 8

struct neigh_address {
	struct in6_addr ip;   /* IPv4 as ::ffff:a.b.c.d */
	uint8_t prefix;       /* of 128 */
};

struct neigh {
	uint8_t mac[6];
	unsigned n;
	struct neigh_address address[NEIGH_ADDRESSES_MAX];
};

/* "10.0.0.1/24,fd00::1/64": fills everything but the MAC. */
int neigh_parse(struct neigh *ret, const char *text, struct err *err);

bool neigh_has(const struct neigh *n, const struct in6_addr *ip);
/* Inside one of the subnets? */
bool neigh_in_subnet(const struct neigh *n, const struct in6_addr *ip);
/* Our address of that family (IPv4-mapped or not), or NULL. */
const struct neigh_address *neigh_family(const struct neigh *n, bool v4);

static inline bool
neigh_is_v4(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_V4MAPPED(ip);
}

struct parsed;

/* Turn a question in `frame` (rx_parse() said ARP, ND or ECHO) into its answer, in place. Returns
 * the answer's length, never more than `len` but for a solicitation without its MAC option, which
 * gets `room`; 0: not for us, or malformed. */
uint32_t neigh_answer(const struct neigh *n, uint8_t *frame, uint32_t len, uint32_t room,
	const struct parsed *p);

/* A question for `ip` into `frame` (at least 86 bytes of room): ARP or neighbour solicitation, from our
 * address of its family. Returns its length, 0: no address of that family. */
uint32_t neigh_ask(const struct neigh *n, uint8_t *frame, const struct in6_addr *ip);

/* Is `frame` the answer to that question (rx_parse() said ARP or ND)? Its MAC. */
bool neigh_learn(const struct neigh *n, const uint8_t *frame, uint32_t len, const struct parsed *p,
	const struct in6_addr *ip, uint8_t mac[6]);

#endif
