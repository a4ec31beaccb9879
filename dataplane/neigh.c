/* SPDX-License-Identifier: MIT
 * neigh.c - ARP, neighbour solicitation and ping: answered, asked, learnt. See neigh.h.
 * Thread: any. Owns: nothing. Never: keeps a table; replies swap what the question carried. */
#include "dataplane/neigh.h"

#include "base/bytes.h"
#include "dataplane/rx_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define ETH_DST     0
#define ETH_SRC     6
#define ETH_TYPE    12
#define ARP_OP      6
#define ARP_SHA     8
#define ARP_SPA     14
#define ARP_THA     18
#define ARP_TPA     24
#define ARP_BYTES   28
#define ARP_REQUEST 1
#define ARP_REPLY   2
#define IPV4_TTL    8
#define IPV4_SUM    10
#define IPV4_SRC    12
#define IPV6_HOPS   7
#define IPV6_SRC    8
#define IPV6_DST    24
#define ICMP_SUM    2
#define ICMP_REPLY  0
#define ICMP6_REPLY 129
#define ICMP6_NS    135
#define ICMP6_NA    136
#define ND_TARGET   8
#define ND_OPTION   24 /* type, length in 8 bytes, MAC */
#define ND_BYTES    32 /* with one MAC option */
#define NA_SOLICITED_OVERRIDE 0x60
#define PROTO_ICMP6 58

static int
parse_one(struct neigh_address *ret, char *text)
{
	char *slash = strchr(text, '/'), *end;
	struct in_addr v4;
	unsigned long bits = 128;
	bool is_v4 = true;

	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		memset(&ret->ip, 0, sizeof(ret->ip));
		ret->ip.s6_addr[10] = 0xff;
		ret->ip.s6_addr[11] = 0xff;
		memcpy(&ret->ip.s6_addr[12], &v4, 4);
	} else if (inet_pton(AF_INET6, text, &ret->ip) == 1) {
		is_v4 = false;
	} else {
		return -EINVAL;
	}
	if (slash) {
		bits = strtoul(slash + 1, &end, 10);
		if (slash[1] == '\0' || *end != '\0' || bits > (is_v4 ? 32ul : 128ul))
			return -EINVAL;
		if (is_v4)
			bits += 96;
	}
	ret->prefix = (uint8_t)bits;
	return 0;
}

int
neigh_parse(struct neigh *ret, const char *text, struct err *err)
{
	char copy[512], *rest = copy, *one;

	memset(ret, 0, sizeof(*ret));
	if (!text || snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy)) {
		err_set(err, "address: none, or too many");
		return -EINVAL;
	}
	while ((one = strsep(&rest, ",")) != NULL) {
		if (ret->n == NEIGH_ADDRESSES_MAX || parse_one(&ret->address[ret->n], one) < 0) {
			err_set(err, "address '%s': give A/LEN, several by comma, at most %d", text,
				NEIGH_ADDRESSES_MAX);
			return -EINVAL;
		}
		ret->n++;
	}
	return 0;
}

bool
neigh_has(const struct neigh *n, const struct in6_addr *ip)
{
	for (unsigned i = 0; i < n->n; i++)
		if (memcmp(&n->address[i].ip, ip, sizeof(*ip)) == 0)
			return true;
	return false;
}

bool
neigh_in_subnet(const struct neigh *n, const struct in6_addr *ip)
{
	for (unsigned i = 0; i < n->n; i++) {
		const uint8_t *a = n->address[i].ip.s6_addr, *b = ip->s6_addr;
		const unsigned whole = n->address[i].prefix / 8, bits = n->address[i].prefix % 8;

		if (memcmp(a, b, whole) == 0 &&
			(bits == 0 || ((a[whole] ^ b[whole]) >> (8 - bits)) == 0))
			return true;
	}
	return false;
}

const struct neigh_address *
neigh_family(const struct neigh *n, bool v4)
{
	for (unsigned i = 0; i < n->n; i++)
		if (neigh_is_v4(&n->address[i].ip) == v4)
			return &n->address[i];
	return NULL;
}

static void
map_v4(struct in6_addr *ret, const uint8_t *p)
{
	memset(ret, 0, 10);
	ret->s6_addr[10] = 0xff;
	ret->s6_addr[11] = 0xff;
	memcpy(&ret->s6_addr[12], p, 4);
}

static void
answer_eth(const struct neigh *n, uint8_t *frame)
{
	/* By way of a copy: under UBSan gcc 12 takes frame + 0 for a NULL and warns of its bounds. */
	uint8_t asker[6];

	memcpy(asker, frame + ETH_SRC, 6);
	memcpy(frame + ETH_DST, asker, 6);
	memcpy(frame + ETH_SRC, n->mac, 6);
}

static uint32_t
answer_arp(const struct neigh *n, uint8_t *frame, uint32_t len, const struct parsed *p)
{
	static const uint8_t ethernet_ipv4[6] = {0, 1, 8, 0, 6, 4};
	uint8_t *arp = frame + p->l3;
	struct in6_addr target;
	uint8_t asked[4];

	map_v4(&target, arp + ARP_TPA);
	if (memcmp(arp, ethernet_ipv4, sizeof(ethernet_ipv4)) != 0 ||
		get_be16(arp + ARP_OP) != ARP_REQUEST || !neigh_has(n, &target))
		return 0;
	memcpy(asked, arp + ARP_TPA, 4);
	put_be16(arp + ARP_OP, ARP_REPLY);
	memcpy(arp + ARP_THA, arp + ARP_SHA, 10); /* MAC and address of who asks */
	memcpy(arp + ARP_SHA, n->mac, 6);
	memcpy(arp + ARP_SPA, asked, 4);
	answer_eth(n, frame);
	(void)len;
	return p->l3 + ARP_BYTES;
}

/* Sum of an ICMPv6 message of `len` bytes, into it. */
static void
icmp6_sum(uint8_t *frame, const struct parsed *p, uint32_t len)
{
	const struct parsed whole = {.l3 = p->l3, .l4 = p->l4, .l4_proto = PROTO_ICMP6, .v6 = true};
	uint16_t sum;

	memset(frame + p->l4 + ICMP_SUM, 0, 2);
	sum = sum_l4(frame, &whole, len);
	memcpy(frame + p->l4 + ICMP_SUM, &sum, 2);
}

static uint32_t
answer_nd(const struct neigh *n, uint8_t *frame, uint32_t room, const struct parsed *p)
{
	uint8_t *ip = frame + p->l3, *nd = frame + p->l4;
	const uint32_t len = p->l4 + ND_BYTES;
	struct in6_addr target, source;

	memcpy(&target, nd + ND_TARGET, 16);
	memcpy(&source, ip + IPV6_SRC, 16);
	/* 255: came from this link. A source of :: is duplicate address detection: not answered,
	 * the address is the operator's. */
	if (nd[0] != ICMP6_NS || ip[IPV6_HOPS] != 255 || !neigh_has(n, &target) || len > room ||
		IN6_IS_ADDR_UNSPECIFIED(&source) ||
		sum_l4(frame, p, p->payload_len) != 0)
		return 0;
	nd[0] = ICMP6_NA;
	nd[1] = 0;
	put_be32(nd + 4, (uint32_t)NA_SOLICITED_OVERRIDE << 24);
	nd[ND_OPTION] = 2; /* target link-layer address */
	nd[ND_OPTION + 1] = 1;
	memcpy(nd + ND_OPTION + 2, n->mac, 6);
	memcpy(ip + IPV6_DST, ip + IPV6_SRC, 16);
	memcpy(ip + IPV6_SRC, &target, 16);
	put_be16(ip + 4, ND_BYTES);
	answer_eth(n, frame);
	icmp6_sum(frame, p, ND_BYTES);
	return len;
}

static uint32_t
answer_echo(const struct neigh *n, uint8_t *frame, uint32_t len, const struct parsed *p)
{
	uint8_t *ip = frame + p->l3, *icmp = frame + p->l4;
	struct in6_addr to;
	uint8_t swap[16];
	uint16_t sum;

	parsed_destination(frame, p, &to);
	if (!neigh_has(n, &to) || p->l4 + p->payload_len > len)
		return 0;
	answer_eth(n, frame);
	if (p->v6) {
		memcpy(swap, ip + IPV6_SRC, 16);
		memcpy(ip + IPV6_SRC, ip + IPV6_DST, 16);
		memcpy(ip + IPV6_DST, swap, 16);
		ip[IPV6_HOPS] = 64;
		icmp[0] = ICMP6_REPLY;
		icmp6_sum(frame, p, p->payload_len);
	} else {
		memcpy(swap, ip + IPV4_SRC, 4);
		memcpy(ip + IPV4_SRC, ip + IPV4_SRC + 4, 4);
		memcpy(ip + IPV4_SRC + 4, swap, 4);
		ip[IPV4_TTL] = 64;
		memset(ip + IPV4_SUM, 0, 2);
		sum = sum_finish(sum_bytes(ip, (uint32_t)(p->l4 - p->l3), 0));
		memcpy(ip + IPV4_SUM, &sum, 2);
		icmp[0] = ICMP_REPLY;
		memset(icmp + ICMP_SUM, 0, 2);
		sum = sum_finish(sum_bytes(icmp, p->payload_len, 0));
		memcpy(icmp + ICMP_SUM, &sum, 2);
	}
	return (uint32_t)p->l4 + p->payload_len;
}

uint32_t
neigh_answer(const struct neigh *n, uint8_t *frame, uint32_t len, uint32_t room,
	const struct parsed *p)
{
	if (p->l4_proto == 0 && !p->v6)
		return answer_arp(n, frame, len, p);
	if (p->v6 && p->l4_proto == PROTO_ICMP6 && frame[p->l4] == ICMP6_NS)
		return answer_nd(n, frame, room, p);
	if (p->v6 && p->l4_proto == PROTO_ICMP6 && frame[p->l4] == ICMP6_NA)
		return 0;
	return answer_echo(n, frame, len, p);
}

static uint32_t
ask_arp(const struct neigh *n, uint8_t *frame, const struct in6_addr *ip,
	const struct neigh_address *own)
{
	static const uint8_t head[10] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, ARP_REQUEST};
	uint8_t *arp = frame + 14;

	memset(frame, 0, 60);
	memset(frame + ETH_DST, 0xff, 6);
	memcpy(frame + ETH_SRC, n->mac, 6);
	memcpy(frame + ETH_TYPE, head, sizeof(head));
	memcpy(arp + ARP_SHA, n->mac, 6);
	memcpy(arp + ARP_SPA, &own->ip.s6_addr[12], 4);
	memcpy(arp + ARP_TPA, &ip->s6_addr[12], 4);
	return 60;
}

static uint32_t
ask_nd(const struct neigh *n, uint8_t *frame, const struct in6_addr *ip,
	const struct neigh_address *own)
{
	const struct parsed p = {.l3 = 14, .l4 = 54, .v6 = true};
	uint8_t *v6 = frame + 14, *nd = frame + 54;

	memset(frame, 0, 54 + ND_BYTES);
	frame[0] = 0x33; /* solicited-node multicast ff02::1:ffXX:XXXX, and its MAC */
	frame[1] = 0x33;
	frame[2] = 0xff;
	memcpy(frame + 3, &ip->s6_addr[13], 3);
	memcpy(frame + ETH_SRC, n->mac, 6);
	put_be16(frame + ETH_TYPE, 0x86DD);
	v6[0] = 0x60;
	put_be16(v6 + 4, ND_BYTES);
	v6[6] = PROTO_ICMP6;
	v6[IPV6_HOPS] = 255;
	memcpy(v6 + IPV6_SRC, &own->ip, 16);
	v6[IPV6_DST] = 0xff;
	v6[IPV6_DST + 1] = 0x02;
	v6[IPV6_DST + 11] = 0x01;
	v6[IPV6_DST + 12] = 0xff;
	memcpy(v6 + IPV6_DST + 13, &ip->s6_addr[13], 3);
	nd[0] = ICMP6_NS;
	memcpy(nd + ND_TARGET, ip, 16);
	nd[ND_OPTION] = 1; /* source link-layer address */
	nd[ND_OPTION + 1] = 1;
	memcpy(nd + ND_OPTION + 2, n->mac, 6);
	icmp6_sum(frame, &p, ND_BYTES);
	return 54 + ND_BYTES;
}

uint32_t
neigh_ask(const struct neigh *n, uint8_t *frame, const struct in6_addr *ip)
{
	const bool v4 = neigh_is_v4(ip);
	const struct neigh_address *own = neigh_family(n, v4);

	if (!own)
		return 0;
	return v4 ? ask_arp(n, frame, ip, own) : ask_nd(n, frame, ip, own);
}

bool
neigh_learn(const struct neigh *n, const uint8_t *frame, uint32_t len, const struct parsed *p,
	const struct in6_addr *ip, uint8_t mac[6])
{
	(void)n;
	if (!p->v6) {
		const uint8_t *arp = frame + p->l3;

		if (len - p->l3 < ARP_BYTES || get_be16(arp + ARP_OP) != ARP_REPLY ||
			memcmp(arp + ARP_SPA, &ip->s6_addr[12], 4) != 0)
			return false;
		memcpy(mac, arp + ARP_SHA, 6);
		return true;
	}
	if (p->payload_len < ND_BYTES || frame[p->l4] != ICMP6_NA ||
		memcmp(frame + p->l4 + ND_TARGET, ip, 16) != 0 || frame[p->l4 + ND_OPTION] != 2)
		return false;
	memcpy(mac, frame + p->l4 + ND_OPTION + 2, 6);
	return true;
}
