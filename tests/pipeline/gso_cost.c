/* SPDX-License-Identifier: MIT
 * gso_cost.c - what a datagram costs the sender, by itself and in a burst that the kernel is handed whole:
 * libkira's client_udp.c, in turns, towards an address where nobody listens to the packets.
 *
 *	gso_cost ADDRESS PORT BYTES SECONDS
 *
 * Prints `plain NS burst NS bursts N`: CPU time per datagram, user and system; bursts that the kernel took. */
#include "dataplane/client/client_udp.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <kira/wire.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUND 1024 /* datagrams in a row of one kind */

static uint64_t bursts;

static void
on_burst(void *arg, uint32_t first_tx, uint32_t count)
{
	bursts++;
}

static uint64_t
cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int
main(int argc, char **argv)
{
	static uint8_t bytes[CUDP_BURST][KUP_DGRAM_MAX];
	struct sockaddr_storage to = {0}, from;
	struct sockaddr_in *in = (struct sockaddr_in *)&to;
	uint64_t spent[2] = {0}, sent[2] = {0}, end_ns;
	uint32_t length, tx = 0;
	struct err err = {""};
	struct cudp *u;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &in->sin_addr) != 1)
		return 2;
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	length = (uint32_t)strtoul(argv[3], NULL, 10);
	if (length > KUP_DGRAM_MAX || cudp_source(&to, sizeof(*in), &from) < 0
			|| cudp_open(&u, &from, sizeof(*in), &err) < 0
			|| cudp_connect(u, &to, sizeof(*in), &err) < 0) {
		fprintf(stderr, "gso_cost: %s\n", err.text);
		return 1;
	}
	cudp_on_burst(u, on_burst, NULL);
	end_ns = clock_now_ns() + strtoull(argv[4], NULL, 10) * NS_PER_S;
	for (unsigned kind = 0; clock_now_ns() < end_ns; kind ^= 1) {
		const uint64_t begun_ns = cpu_ns();

		for (unsigned i = 0; i < ROUND; i++)
			cudp_send_data(u, bytes[i % CUDP_BURST], length, ++tx, kind ? CUDP_BURST : 0);
		cudp_flush(u);
		spent[kind] += cpu_ns() - begun_ns;
		sent[kind] += ROUND;
	}
	printf("plain %" PRIu64 " burst %" PRIu64 " bursts %" PRIu64 "\n", spent[0] / sent[0],
		spent[1] / sent[1], bursts);
	cudp_close(u);
	return bursts > 0 ? 0 : 1;
}
