/* SPDX-License-Identifier: MIT
 * fuzz_datagram.c - any frame that a port may give: Ethernet to UDP, the produce datagram in it, and
 * the answers to ARP, ND and ping, made in place. */
#include "dataplane/neigh.h"
#include "dataplane/rx_parse.h"
#include "dataplane/rx_produce.h"

#include <kira/record_batch.h>
#include <kira/wire.h>
#include <stdlib.h>
#include <string.h>

#define SLACK 64 /* room behind a frame, as an mbuf has */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool fact)
{
	if (!fact)
		__builtin_trap();
}

static void
one_datagram(const uint8_t *p, uint32_t len)
{
	struct produce_head h;
	struct produce_data d;

	if (produce_head(p, len, &h) != PRODUCE_OK)
		return;
	check(len >= KUP_FLOOR);
	if (h.type != KUP_DATA)
		return;
	produce_data(p, len, &d);
	check(d.error != 0 || (d.length >= RB_HEADER && d.length <= len - KUP_DATA_BATCH));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct neigh n;
	struct in6_addr a;
	struct parsed p;
	struct err err;
	uint8_t *frame;

	if (n.n == 0)
		check(neigh_parse(&n, "10.0.0.1/24,fd00::1/64", &err) == 0);
	if (size == 0 || size > 10000)
		return 0;
	/* A copy of exactly that size: a read behind it is seen. */
	frame = malloc(size);
	check(frame != NULL);
	memcpy(frame, data, size);
	(void)rx_parse(frame, (uint32_t)size, PARSE_SUM_IP | PARSE_SUM_UDP, &p);
	switch (rx_parse(frame, (uint32_t)size, 0, &p)) {
	case PARSE_UDP:
		check((size_t)p.payload + p.payload_len <= size);
		parsed_source(frame, &p, &a);
		parsed_destination(frame, &p, &a);
		one_datagram(frame + p.payload, p.payload_len);
		break;
	case PARSE_ARP:
	case PARSE_ND:
	case PARSE_ECHO:
		(void)neigh_learn(&n, frame, (uint32_t)size, &p, &n.address[p.v6].ip, n.mac);
		frame = realloc(frame, size + SLACK);
		check(frame != NULL);
		check(neigh_answer(&n, frame, (uint32_t)size, (uint32_t)size + SLACK, &p) <=
			size + SLACK);
		break;
	default:
		break;
	}
	free(frame);
	/* Without the headers, which a fuzzer would have to find first. */
	one_datagram(data, (uint32_t)size);
	return 0;
}
