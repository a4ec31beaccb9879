/* SPDX-License-Identifier: MIT
 * blast_arp.c - ARP over Ethernet for IPv4 (RFC 826).
 * Thread: any. Owns nothing. */
#include "dataplane/blast/blast_arp.h"

#include "base/bytes.h"

#define ETHERTYPE 12 /* then hardware type, protocol, lengths, operation, sender, target */
#define HARDWARE  14
#define OPERATION 20
#define SENDER_MAC 22
#define SENDER_IP 28
#define TARGET_MAC 32
#define TARGET_IP 38
#define ARP_BYTES 42

static bool
is_arp(const uint8_t *in, uint32_t bytes)
{
	static const uint8_t ethernet_ipv4[6] = {0, 1, 8, 0, 6, 4};

	return bytes >= ARP_BYTES && get_be16(in + ETHERTYPE) == 0x0806
		&& memcmp(in + HARDWARE, ethernet_ipv4, 6) == 0;
}

static void
fill(uint8_t frame[ARP_FRAME], const uint8_t to_mac[6], uint16_t operation,
	const uint8_t own_mac[6], const uint8_t own[4], const uint8_t target_mac[6],
	const uint8_t target[4])
{
	memset(frame, 0, ARP_FRAME);
	memcpy(frame, to_mac, 6);
	memcpy(frame + 6, own_mac, 6);
	put_be16(frame + ETHERTYPE, 0x0806);
	put_be16(frame + HARDWARE, 1);
	put_be16(frame + HARDWARE + 2, 0x0800);
	frame[HARDWARE + 4] = 6;
	frame[HARDWARE + 5] = 4;
	put_be16(frame + OPERATION, operation);
	memcpy(frame + SENDER_MAC, own_mac, 6);
	memcpy(frame + SENDER_IP, own, 4);
	memcpy(frame + TARGET_MAC, target_mac, 6);
	memcpy(frame + TARGET_IP, target, 4);
}

void
arp_request(uint8_t frame[ARP_FRAME], const uint8_t own_mac[6], const uint8_t own[4],
	const uint8_t who[4])
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, unknown[6];

	fill(frame, all, 1, own_mac, own, unknown, who);
}

bool
arp_answer(uint8_t frame[ARP_FRAME], const uint8_t *in, uint32_t bytes, const uint8_t own_mac[6],
	const uint8_t own[4])
{
	if (!is_arp(in, bytes) || get_be16(in + OPERATION) != 1 || memcmp(in + TARGET_IP, own, 4) != 0)
		return false;
	fill(frame, in + SENDER_MAC, 2, own_mac, own, in + SENDER_MAC, in + SENDER_IP);
	return true;
}

bool
arp_learn(const uint8_t *in, uint32_t bytes, const uint8_t who[4], uint8_t mac[6])
{
	if (!is_arp(in, bytes) || memcmp(in + SENDER_IP, who, 4) != 0)
		return false;
	memcpy(mac, in + SENDER_MAC, 6);
	return true;
}
