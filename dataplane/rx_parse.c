/* SPDX-License-Identifier: MIT
 * rx_parse.c - Ethernet, up to two VLAN tags, IPv4 or IPv6, UDP. See rx_parse.h.
 * Thread: any. Owns: nothing. Never: reads past `len`, believes a length, writes to the frame. */
#include "dataplane/rx_parse.h"

#include "base/bytes.h"

#define ETH_HEADER   14
#define ETH_VLAN     0x8100
#define ETH_QINQ     0x88A8
#define ETH_IPV4     0x0800
#define ETH_IPV6     0x86DD
#define ETH_ARP      0x0806
#define TAG          4
#define TAGS_MAX     2
#define IPV4_HEADER  20
#define IPV6_HEADER  40
#define ARP_BYTES    28
#define UDP_HEADER   8
#define PROTO_ICMP   1
#define PROTO_UDP    17
#define PROTO_ICMP6  58
#define IPV6_FRAG    44
#define ICMP_ECHO    8
#define ICMP6_ECHO   128
#define ICMP6_NS     135
#define ICMP6_NA     136
#define ND_BYTES     24

uint64_t
sum_bytes(const uint8_t *p, uint32_t len, uint64_t sum)
{
	/* 32-bit pieces into 64 bits: no carry to look after below 2^32 of them. Sums do not mind
	 * byte order, so the pieces stay as the machine reads them. */
	for (; len >= 16; len -= 16, p += 16) {
		uint32_t v[4];

		memcpy(v, p, sizeof(v));
		sum += (uint64_t)v[0] + v[1] + v[2] + v[3];
	}
	for (; len >= 2; len -= 2, p += 2) {
		uint16_t v;

		memcpy(&v, p, sizeof(v));
		sum += v;
	}
	if (len) {
		const uint8_t last[2] = {*p, 0};
		uint16_t v;

		memcpy(&v, last, sizeof(v));
		sum += v;
	}
	return sum;
}

uint16_t
sum_finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum; /* in memory order: store with memcpy */
}

uint16_t
sum_l4(const uint8_t *frame, const struct parsed *p, uint32_t len)
{
	const uint8_t pseudo[4] = {0, p->l4_proto, (uint8_t)(len >> 8), (uint8_t)len};
	uint64_t sum = p->v6 ? sum_bytes(frame + p->l3 + 8, 32, 0) :
			       sum_bytes(frame + p->l3 + 12, 8, 0);

	sum = sum_bytes(pseudo, sizeof(pseudo), sum);
	return sum_finish(sum_bytes(frame + p->l4, len, sum));
}

static void
mapped(struct in6_addr *ret, const uint8_t *v4)
{
	memset(ret, 0, 10);
	ret->s6_addr[10] = 0xff;
	ret->s6_addr[11] = 0xff;
	memcpy(&ret->s6_addr[12], v4, 4);
}

void
parsed_source(const uint8_t *frame, const struct parsed *p, struct in6_addr *ret)
{
	if (p->v6)
		memcpy(ret, frame + p->l3 + 8, 16);
	else
		mapped(ret, frame + p->l3 + 12);
}

void
parsed_destination(const uint8_t *frame, const struct parsed *p, struct in6_addr *ret)
{
	if (p->v6)
		memcpy(ret, frame + p->l3 + 24, 16);
	else
		mapped(ret, frame + p->l3 + 16);
}

/* `left`: bytes of the IP payload from l4 on, as the IP header says and the frame holds. */
static enum parse_verdict
parse_udp(const uint8_t *frame, uint32_t left, unsigned sums, struct parsed *p)
{
	const uint8_t *udp = frame + p->l4;
	uint32_t n;

	if (left < UDP_HEADER)
		return PARSE_RUNT;
	n = get_be16(udp + 4);
	if (n < UDP_HEADER || n > left)
		return PARSE_RUNT;
	p->src_port = get_be16(udp);
	p->dst_port = get_be16(udp + 2);
	p->payload = (uint16_t)(p->l4 + UDP_HEADER);
	p->payload_len = (uint16_t)(n - UDP_HEADER);
	if (!(sums & PARSE_SUM_UDP))
		return PARSE_UDP;
	if (udp[6] == 0 && udp[7] == 0)
		return p->v6 ? PARSE_BAD_SUM_UDP : PARSE_UDP;
	return sum_l4(frame, p, n) == 0 ? PARSE_UDP : PARSE_BAD_SUM_UDP;
}

static enum parse_verdict
parse_ipv4(const uint8_t *frame, uint32_t len, unsigned sums, struct parsed *p)
{
	const uint8_t *ip = frame + p->l3;
	const uint32_t left = len - p->l3;
	uint32_t header, total;

	if (left < IPV4_HEADER || ip[0] >> 4 != 4)
		return PARSE_RUNT;
	header = (ip[0] & 0xfu) * 4;
	total = get_be16(ip + 2);
	if (header < IPV4_HEADER || total < header || total > left)
		return PARSE_RUNT;
	if ((sums & PARSE_SUM_IP) && sum_finish(sum_bytes(ip, header, 0)) != 0)
		return PARSE_BAD_SUM_IP;
	p->l4 = (uint16_t)(p->l3 + header);
	p->l4_proto = ip[9];
	p->ecn = ip[1] & 3;
	if (get_be16(ip + 6) & 0x3fff) /* more fragments, or not the first */
		return PARSE_FRAGMENT;
	if (p->l4_proto == PROTO_UDP)
		return parse_udp(frame, total - header, sums, p);
	p->payload_len = (uint16_t)(total - header);
	if (p->l4_proto == PROTO_ICMP && total - header >= 8 && frame[p->l4] == ICMP_ECHO)
		return PARSE_ECHO;
	return PARSE_OTHER;
}

static enum parse_verdict
parse_ipv6(const uint8_t *frame, uint32_t len, unsigned sums, struct parsed *p)
{
	const uint8_t *ip = frame + p->l3;
	const uint32_t left = len - p->l3;
	uint32_t n;

	p->v6 = true;
	if (left < IPV6_HEADER || ip[0] >> 4 != 6)
		return PARSE_RUNT;
	n = get_be16(ip + 4);
	if (n > left - IPV6_HEADER)
		return PARSE_RUNT;
	p->l4 = (uint16_t)(p->l3 + IPV6_HEADER);
	p->l4_proto = ip[6];
	p->ecn = (ip[1] >> 4) & 3;
	if (p->l4_proto == IPV6_FRAG)
		return PARSE_FRAGMENT;
	if (p->l4_proto == PROTO_UDP)
		return parse_udp(frame, n, sums, p);
	p->payload_len = (uint16_t)n;
	if (p->l4_proto == PROTO_ICMP6 && n >= 8 && frame[p->l4] == ICMP6_ECHO)
		return PARSE_ECHO;
	if (p->l4_proto == PROTO_ICMP6 && n >= ND_BYTES &&
		(frame[p->l4] == ICMP6_NS || frame[p->l4] == ICMP6_NA))
		return PARSE_ND;
	return PARSE_OTHER; /* extension headers too */
}

enum parse_verdict
rx_parse(const uint8_t *frame, uint32_t len, unsigned sums, struct parsed *ret)
{
	uint32_t at = ETH_HEADER;
	uint16_t type;

	memset(ret, 0, sizeof(*ret));
	if (len < ETH_HEADER || len > UINT16_MAX)
		return PARSE_RUNT;
	type = get_be16(frame + 12);
	for (unsigned tags = 0; type == ETH_VLAN || type == ETH_QINQ; tags++) {
		if (tags == TAGS_MAX || len < at + TAG)
			return tags == TAGS_MAX ? PARSE_OTHER : PARSE_RUNT;
		type = get_be16(frame + at + 2);
		at += TAG;
	}
	ret->l3 = (uint16_t)at;
	ret->l4 = (uint16_t)at;
	switch (type) {
	case ETH_IPV4:
		return parse_ipv4(frame, len, sums, ret);
	case ETH_IPV6:
		return parse_ipv6(frame, len, sums, ret);
	case ETH_ARP:
		return len - at >= ARP_BYTES ? PARSE_ARP : PARSE_RUNT;
	default:
		return PARSE_OTHER;
	}
}
