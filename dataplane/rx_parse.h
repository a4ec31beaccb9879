/* SPDX-License-Identifier: MIT
 * rx_parse.h - Ethernet, IP, UDP: bytes in, verdict out. Check V1 of PROTOCOL.md. Pure: sees only
 * include/; fuzzed. Any thread. */
#ifndef KIRA_DATAPLANE_RX_PARSE_H
#define KIRA_DATAPLANE_RX_PARSE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum parse_verdict {
	PARSE_UDP,       /* whole, its sums good as far as asked */
	PARSE_ARP,
	PARSE_ND,        /* ICMPv6 neighbour solicitation or advertisement */
	PARSE_ECHO,      /* ICMP or ICMPv6 echo request */
	PARSE_OTHER,     /* well-formed as far as looked at, none of the above */
	PARSE_RUNT,      /* a header, or the length it names, does not fit */
	PARSE_FRAGMENT,
	PARSE_BAD_SUM_IP,
	PARSE_BAD_SUM_UDP,
};

#define PARSE_SUM_IP  0x1u /* verify the IPv4 header's checksum */
#define PARSE_SUM_UDP 0x2u /* verify UDP's; a sum of zero is taken over IPv4, never over IPv6 */

struct parsed {
	uint16_t l3, l4, payload;     /* where they begin */
	uint16_t payload_len;         /* UDP: as its header says */
	uint16_t src_port, dst_port;
	uint8_t l4_proto;
	uint8_t ecn;                  /* 3: CE, congestion experienced */
	bool v6;
};

/* Frame of `len` bytes, Ethernet header first, no frame check sequence. `ret` is filled as far as
 * the verdict needs: l3, l4, v6 for all but RUNT; everything for UDP. */
enum parse_verdict rx_parse(const uint8_t *frame, uint32_t len, unsigned sums, struct parsed *ret);

/* Source and destination as 16 bytes, IPv4 as ::ffff:a.b.c.d. */
void parsed_source(const uint8_t *frame, const struct parsed *p, struct in6_addr *ret);
void parsed_destination(const uint8_t *frame, const struct parsed *p, struct in6_addr *ret);

/* Internet checksum: one's complement sum over bytes, continued from `sum`; fold with
 * sum_finish(), which gives the value to store or, over a buffer that contains a good one, 0. */
uint64_t sum_bytes(const uint8_t *p, uint32_t len, uint64_t sum);
uint16_t sum_finish(uint64_t sum);
/* UDP or ICMPv6 over a parsed packet: pseudo header and `len` bytes from l4 on. */
uint16_t sum_l4(const uint8_t *frame, const struct parsed *p, uint32_t len);

#endif
