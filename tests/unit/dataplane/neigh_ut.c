/* SPDX-License-Identifier: MIT
 * neigh_ut.c - two hosts on one wire: who asks for an address learns its MAC, a ping comes back, and
 * nobody answers for an address that is not its own. */
#include "dataplane/neigh.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "dataplane/rx_parse.h"
#include "tests/unit/ut.h"

#include <string.h>

#define ROOM 2048

static struct neigh us, them;
static uint8_t f[ROOM];
static struct parsed p;

static void
begin(void)
{
	struct err err;

	CU_ASSERT_EQUAL(neigh_parse(&us, "10.0.0.1/24,fd00::1/64", &err), 0);
	CU_ASSERT_EQUAL(neigh_parse(&them, "10.0.0.2/24,fd00::2/64", &err), 0);
	memcpy(us.mac, "\2\0\0\0\0\1", 6);
	memcpy(them.mac, "\2\0\0\0\0\2", 6);
}

static void
who_asks_learns_our_mac_in_both_families(void)
{
	begin();
	for (unsigned i = 0; i < 2; i++) {
		const struct in6_addr ip = us.address[i].ip;
		uint32_t len = neigh_ask(&them, f, &ip);
		uint8_t mac[6] = {0};

		CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), i ? PARSE_ND : PARSE_ARP);
		len = neigh_answer(&us, f, len, ROOM, &p);
		CU_ASSERT(len > 0);
		CU_ASSERT_EQUAL(memcmp(f, them.mac, 6), 0);
		CU_ASSERT_EQUAL(memcmp(f + 6, us.mac, 6), 0);
		CU_ASSERT_EQUAL(rx_parse(f, len, 0, &p), i ? PARSE_ND : PARSE_ARP);
		CU_ASSERT_TRUE(neigh_learn(&them, f, len, &p, &ip, mac));
		CU_ASSERT_EQUAL(memcmp(mac, us.mac, 6), 0);
		/* An answer is not answered. */
		CU_ASSERT_EQUAL(neigh_answer(&them, f, len, ROOM, &p), 0);
	}
}

static void
nobody_answers_for_another(void)
{
	begin();
	for (unsigned i = 0; i < 2; i++) {
		struct in6_addr ip = us.address[i].ip;
		uint32_t len;

		ip.s6_addr[15] = 9;
		len = neigh_ask(&them, f, &ip);
		(void)rx_parse(f, len, 0, &p);
		CU_ASSERT_EQUAL(neigh_answer(&us, f, len, ROOM, &p), 0);
	}
}

static void
a_solicitation_from_another_link_is_not_believed(void)
{
	uint32_t len;

	begin();
	len = neigh_ask(&them, f, &us.address[1].ip);
	(void)rx_parse(f, len, 0, &p);
	f[14 + 7] = 254; /* a router has passed it on */
	CU_ASSERT_EQUAL(neigh_answer(&us, f, len, ROOM, &p), 0);
	len = neigh_ask(&them, f, &us.address[1].ip);
	(void)rx_parse(f, len, 0, &p);
	f[p.l4 + 8] ^= 1;
	CU_ASSERT_EQUAL(neigh_answer(&us, f, len, ROOM, &p), 0);
	/* No room for the answer's option. */
	len = neigh_ask(&them, f, &us.address[1].ip);
	(void)rx_parse(f, len, 0, &p);
	CU_ASSERT_EQUAL(neigh_answer(&us, f, len, len - 1, &p), 0);
}

static void
a_ping_comes_back_with_good_sums(void)
{
	uint8_t *ip = f + 14, *icmp = ip + 20;
	uint16_t sum;
	uint32_t len;

	begin();
	memset(f, 0, sizeof(f));
	memcpy(f, us.mac, 6);
	memcpy(f + 6, them.mac, 6);
	put_be16(f + 12, 0x0800);
	ip[0] = 0x45;
	put_be16(ip + 2, 20 + 8 + 56);
	ip[8] = 3;
	ip[9] = 1;
	memcpy(ip + 12, &them.address[0].ip.s6_addr[12], 4);
	memcpy(ip + 16, &us.address[0].ip.s6_addr[12], 4);
	sum = sum_finish(sum_bytes(ip, 20, 0));
	memcpy(ip + 10, &sum, 2);
	icmp[0] = 8;
	put_be32(icmp + 4, 0x12340001);
	sum = sum_finish(sum_bytes(icmp, 64, 0));
	memcpy(icmp + 2, &sum, 2);
	CU_ASSERT_EQUAL(rx_parse(f, 98, PARSE_SUM_IP, &p), PARSE_ECHO);
	len = neigh_answer(&us, f, 98, ROOM, &p);
	CU_ASSERT_EQUAL(len, 98);
	CU_ASSERT_EQUAL(rx_parse(f, len, PARSE_SUM_IP, &p), PARSE_OTHER); /* a reply */
	CU_ASSERT_EQUAL(icmp[0], 0);
	CU_ASSERT_EQUAL(get_be32(icmp + 4), 0x12340001);
	CU_ASSERT_EQUAL(sum_finish(sum_bytes(icmp, 64, 0)), 0);
	CU_ASSERT_EQUAL(memcmp(ip + 12, &us.address[0].ip.s6_addr[12], 4), 0);
}

static void
addresses_are_read_with_their_prefix(void)
{
	static const char *const wrong[] = {"", "10.0.0.1/33", "10.0.0.1/", "fd00::1/129", "kira",
		"10.0.0.1/2x", "10.0.0.1,,"};
	struct in6_addr a;
	struct neigh n;
	struct err err;

	begin();
	a = them.address[0].ip;
	CU_ASSERT_TRUE(neigh_in_subnet(&us, &a));
	CU_ASSERT_FALSE(neigh_has(&us, &a));
	a.s6_addr[14] = 1;
	CU_ASSERT_FALSE(neigh_in_subnet(&us, &a));
	CU_ASSERT_TRUE(neigh_in_subnet(&us, &them.address[1].ip));
	CU_ASSERT_EQUAL(neigh_parse(&n, "10.0.0.1/20", &err), 0);
	CU_ASSERT_TRUE(neigh_in_subnet(&n, &a));
	CU_ASSERT_PTR_NULL(neigh_family(&n, false));
	for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++)
		CU_ASSERT(neigh_parse(&n, wrong[i], &err) < 0);
}

static const struct ut_test tests[] = {
	UT("neigh", who_asks_learns_our_mac_in_both_families),
	UT("neigh", nobody_answers_for_another),
	UT("neigh", a_solicitation_from_another_link_is_not_believed),
	UT("neigh", a_ping_comes_back_with_good_sums),
	UT("neigh", addresses_are_read_with_their_prefix),
};
UT_MAIN(tests)
