/* SPDX-License-Identifier: MIT
 * rx_parse_ut.c - frames as they come from a port: whole, cut at every byte, tagged, fragmented, with
 * bad sums. */
#include "dataplane/rx_parse.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "tests/unit/ut.h"

#include <string.h>

#define BOTH (PARSE_SUM_IP | PARSE_SUM_UDP)

static uint8_t f[2048];
static struct parsed p;

/* A UDP datagram of `len` payload bytes; returns the frame's length. */
static uint32_t
udp4(unsigned tags, uint16_t len)
{
	uint8_t *ip = f + 14 + 4 * tags, *udp = ip + 20;
	const struct parsed whole = {.l3 = (uint16_t)(ip - f), .l4 = (uint16_t)(udp - f),
		.l4_proto = 17};
	uint16_t sum;

	memset(f, 0, sizeof(f));
	for (unsigned i = 0; i < tags; i++)
		put_be16(f + 12 + 4 * i, i == 0 && tags == 2 ? 0x88A8 : 0x8100);
	put_be16(ip - 2, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(28 + len));
	ip[6] = 0x40; /* DF is no fragment */
	ip[8] = 64;
	ip[9] = 17;
	put_be32(ip + 12, 0x0a000002);
	put_be32(ip + 16, 0x0a000001);
	sum = sum_finish(sum_bytes(ip, 20, 0));
	memcpy(ip + 10, &sum, 2);
	put_be16(udp, 5000);
	put_be16(udp + 2, 9104);
	put_be16(udp + 4, (uint16_t)(8 + len));
	for (uint16_t i = 0; i < len; i++)
		udp[8 + i] = (uint8_t)(i * 7);
	sum = sum_l4(f, &whole, 8u + len);
	memcpy(udp + 6, &sum, 2);
	return (uint32_t)(udp + 8 + len - f);
}

static uint32_t
udp6(uint16_t len)
{
	uint8_t *ip = f + 14, *udp = ip + 40;
	const struct parsed whole = {.l3 = 14, .l4 = 54, .l4_proto = 17, .v6 = true};
	uint16_t sum;

	memset(f, 0, sizeof(f));
	put_be16(f + 12, 0x86DD);
	ip[0] = 0x60;
	ip[1] = 0x30; /* CE */
	put_be16(ip + 4, (uint16_t)(8 + len));
	ip[6] = 17;
	ip[7] = 64;
	ip[8] = 0xfd;
	ip[23] = 2;
	ip[24] = 0xfd;
	ip[39] = 1;
	put_be16(udp, 5000);
	put_be16(udp + 2, 9104);
	put_be16(udp + 4, (uint16_t)(8 + len));
	sum = sum_l4(f, &whole, 8u + len);
	memcpy(udp + 6, &sum, 2);
	return 62u + len;
}

static void
a_whole_datagram_is_found_behind_up_to_two_tags(void)
{
	for (unsigned tags = 0; tags <= 2; tags++) {
		const uint32_t len = udp4(tags, 300);
		struct in6_addr a;

		CU_ASSERT_EQUAL_FATAL(rx_parse(f, len, BOTH, &p), PARSE_UDP);
		CU_ASSERT_EQUAL(p.payload, 42 + 4 * tags);
		CU_ASSERT_EQUAL(p.payload_len, 300);
		CU_ASSERT_EQUAL(p.src_port, 5000);
		CU_ASSERT_EQUAL(p.dst_port, 9104);
		CU_ASSERT_EQUAL(p.ecn, 0);
		parsed_source(f, &p, &a);
		CU_ASSERT(IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[15] == 2);
		parsed_destination(f, &p, &a);
		CU_ASSERT(IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[15] == 1);
	}
	(void)udp4(2, 300);
	put_be16(f + 12, 0x8100);
	put_be16(f + 16, 0x8100);
	put_be16(f + 20, 0x8100);
	CU_ASSERT_EQUAL(rx_parse(f, 400, BOTH, &p), PARSE_OTHER);
}

static void
ipv6_is_read_with_its_congestion_mark(void)
{
	struct in6_addr a;

	CU_ASSERT_EQUAL_FATAL(rx_parse(f, udp6(256), BOTH, &p), PARSE_UDP);
	CU_ASSERT_TRUE(p.v6);
	CU_ASSERT_EQUAL(p.payload, 62);
	CU_ASSERT_EQUAL(p.payload_len, 256);
	CU_ASSERT_EQUAL(p.ecn, 3);
	parsed_source(f, &p, &a);
	CU_ASSERT(a.s6_addr[0] == 0xfd && a.s6_addr[15] == 2);
}

static void
a_frame_cut_anywhere_is_a_runt(void)
{
	uint32_t len = udp4(1, 100);

	for (uint32_t n = 0; n < len; n++)
		CU_ASSERT_EQUAL(rx_parse(f, n, BOTH, &p), PARSE_RUNT);
	len = udp6(100);
	for (uint32_t n = 0; n < len; n++)
		CU_ASSERT_EQUAL(rx_parse(f, n, BOTH, &p), PARSE_RUNT);
}

static void
padding_of_short_frames_is_not_payload(void)
{
	const uint32_t len = udp4(0, 4);

	CU_ASSERT_EQUAL(rx_parse(f, len + 14, BOTH, &p), PARSE_UDP); /* 60 bytes */
	CU_ASSERT_EQUAL(p.payload_len, 4);
}

static void
a_flipped_bit_fails_the_sum_that_covers_it(void)
{
	const uint32_t len = udp4(0, 100);

	for (uint32_t i = 42; i < len; i++) {
		f[i] ^= 0x10;
		CU_ASSERT_EQUAL(rx_parse(f, len, BOTH, &p), PARSE_BAD_SUM_UDP);
		CU_ASSERT_EQUAL(rx_parse(f, len, PARSE_SUM_IP, &p), PARSE_UDP);
		f[i] ^= 0x10;
	}
	f[14 + 8] ^= 1; /* time to live */
	CU_ASSERT_EQUAL(rx_parse(f, len, BOTH, &p), PARSE_BAD_SUM_IP);
	CU_ASSERT_EQUAL(rx_parse(f, len, PARSE_SUM_UDP, &p), PARSE_UDP);
}

static void
no_udp_sum_is_taken_over_ipv4_and_never_over_ipv6(void)
{
	uint32_t len = udp4(0, 100);

	put_be16(f + 40, 0);
	CU_ASSERT_EQUAL(rx_parse(f, len, BOTH, &p), PARSE_UDP);
	len = udp6(100);
	put_be16(f + 60, 0);
	CU_ASSERT_EQUAL(rx_parse(f, len, BOTH, &p), PARSE_BAD_SUM_UDP);
}

static void
fragments_are_told_whichever_they_are(void)
{
	uint32_t len = udp4(0, 100);

	f[20] = 0x20; /* more to come */
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_FRAGMENT);
	f[20] = 0;
	f[21] = 1;    /* not the first */
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_FRAGMENT);
	len = udp6(100);
	f[20] = 44;
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_FRAGMENT);
}

static void
lengths_that_contradict_each_other_are_runts(void)
{
	uint32_t len = udp4(0, 100);

	put_be16(f + 38, 109); /* UDP: more than IP has */
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_RUNT);
	put_be16(f + 38, 7);
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_RUNT);
	(void)udp4(0, 100);
	f[14] = 0x44; /* a header of 16 bytes */
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_RUNT);
	(void)udp4(0, 100);
	put_be16(f + 16, 19);
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_RUNT);
	len = udp6(100);
	put_be16(f + 18, 109);
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_RUNT);
}

static void
tcp_and_unknown_types_are_other(void)
{
	const uint32_t len = udp4(0, 100);

	f[23] = 6;
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_OTHER);
	put_be16(f + 12, 0x88CC); /* LLDP */
	CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), PARSE_OTHER);
}

static const struct ut_test tests[] = {
	UT("parse", a_whole_datagram_is_found_behind_up_to_two_tags),
	UT("parse", ipv6_is_read_with_its_congestion_mark),
	UT("parse", a_frame_cut_anywhere_is_a_runt),
	UT("parse", padding_of_short_frames_is_not_payload),
	UT("sum", a_flipped_bit_fails_the_sum_that_covers_it),
	UT("sum", no_udp_sum_is_taken_over_ipv4_and_never_over_ipv6),
	UT("fault", fragments_are_told_whichever_they_are),
	UT("fault", lengths_that_contradict_each_other_are_runts),
	UT("fault", tcp_and_unknown_types_are_other),
};
UT_MAIN(tests)
