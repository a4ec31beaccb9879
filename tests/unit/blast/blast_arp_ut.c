/* SPDX-License-Identifier: MIT
 * blast_arp_ut.c - tests of dataplane/blast/blast_arp.c. */
#include "dataplane/blast/blast_arp.c"

#include "tests/unit/ut.h"

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 2}, our_ip[4] = {127, 18, 0, 2};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1}, peer_ip[4] = {127, 18, 0, 1};
static const uint8_t other_ip[4] = {127, 18, 0, 3};

static void
a_request_is_answered_to_the_one_who_asked(void)
{
	uint8_t asked[ARP_FRAME], answer[ARP_FRAME], mac[6] = {0};

	arp_request(asked, peer_mac, peer_ip, our_ip);
	CU_ASSERT_TRUE_FATAL(arp_answer(answer, asked, sizeof(asked), our_mac, our_ip));
	CU_ASSERT_EQUAL(memcmp(answer, peer_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(answer + 6, our_mac, 6), 0);
	CU_ASSERT_TRUE(arp_learn(answer, sizeof(answer), our_ip, mac));
	CU_ASSERT_EQUAL(memcmp(mac, our_mac, 6), 0);
}

static void
what_asks_for_another_address_or_asks_nothing_is_not_answered(void)
{
	uint8_t asked[ARP_FRAME], answer[ARP_FRAME];

	arp_request(asked, peer_mac, peer_ip, other_ip);
	CU_ASSERT_FALSE(arp_answer(answer, asked, sizeof(asked), our_mac, our_ip));
	arp_request(asked, peer_mac, peer_ip, our_ip);
	CU_ASSERT_TRUE_FATAL(arp_answer(answer, asked, sizeof(asked), our_mac, our_ip));
	CU_ASSERT_FALSE(arp_answer(asked, answer, sizeof(answer), peer_mac, peer_ip));
}

static void
a_mac_is_learned_from_its_owner_only(void)
{
	uint8_t asked[ARP_FRAME], mac[6] = {9, 9, 9, 9, 9, 9};

	arp_request(asked, peer_mac, peer_ip, our_ip);
	CU_ASSERT_FALSE(arp_learn(asked, sizeof(asked), other_ip, mac));
	CU_ASSERT_EQUAL(mac[0], 9);
	CU_ASSERT_TRUE(arp_learn(asked, sizeof(asked), peer_ip, mac));
	CU_ASSERT_EQUAL(memcmp(mac, peer_mac, 6), 0);
}

static void
a_cut_or_foreign_frame_is_no_arp(void)
{
	uint8_t asked[ARP_FRAME], answer[ARP_FRAME], mac[6];

	arp_request(asked, peer_mac, peer_ip, our_ip);
	for (uint32_t n = 0; n < ARP_BYTES; n++) {
		CU_ASSERT_FALSE(arp_answer(answer, asked, n, our_mac, our_ip));
		CU_ASSERT_FALSE(arp_learn(asked, n, peer_ip, mac));
	}
	for (unsigned i = ETHERTYPE; i < OPERATION; i++) {
		asked[i] ^= 1;
		CU_ASSERT_FALSE(arp_answer(answer, asked, sizeof(asked), our_mac, our_ip));
		asked[i] ^= 1;
	}
}

static const struct ut_test tests[] = {
	UT("arp", a_request_is_answered_to_the_one_who_asked),
	UT("arp", what_asks_for_another_address_or_asks_nothing_is_not_answered),
	UT("arp", a_mac_is_learned_from_its_owner_only),
	UT("arp", a_cut_or_foreign_frame_is_no_arp),
};
UT_MAIN(tests)
