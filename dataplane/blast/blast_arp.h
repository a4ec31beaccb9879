/* SPDX-License-Identifier: MIT
 * blast_arp.h - the little ARP a generator needs: ask for its peer, answer for itself. Pure: bytes
 * in, bytes out. Thread: any. */
#ifndef KIRA_BLAST_ARP_H
#define KIRA_BLAST_ARP_H

#include <stdbool.h>
#include <stdint.h>

#define ARP_FRAME 60 /* Ethernet's smallest, zero-padded */

void arp_request(uint8_t frame[ARP_FRAME], const uint8_t own_mac[6], const uint8_t own[4],
	const uint8_t who[4]);

/* A reply to the request in `in`, for our address. False: it asks for something else. */
bool arp_answer(uint8_t frame[ARP_FRAME], const uint8_t *in, uint32_t bytes,
	const uint8_t own_mac[6], const uint8_t own[4]);

/* `in` says at which MAC `who` is. */
bool arp_learn(const uint8_t *in, uint32_t bytes, const uint8_t who[4], uint8_t mac[6]);

#endif
