/* SPDX-License-Identifier: MIT
 * fuzz_ack.c - what a broker's datagrams may do to a client: each passes cwire_parse() and goes into a
 * window with packets in flight. Input: byte 0 window size, byte 1 bit 0 want_disk, bit 1 credit only;
 * then datagrams, each u16 length, u8 milliseconds passed, bytes from offset 16 on (type from bit 0 of
 * the length); the header is made to be this session's. A packet's outcome is told once, and nothing
 * is numbered beyond the window. */
#include "dataplane/client/client_window.h"

#include "base/bytes.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cwire_session session = {.id = 0x01000002, .secret = 0x1122334455667788,
	.incarnation = 7};
static struct cw_slot slots[64];
static struct client_window window;
static uint8_t outcomes[1 << 16]; /* by pkt_seq: the outcome was told */

static void
on_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
	(void)arg;
	(void)error;
	if (base_offset < -1 || slot->batch != &outcomes[slot->seq & 0xffff])
		__builtin_trap();
	if (outcomes[slot->seq & 0xffff]++ != 0)
		__builtin_trap();
}

static void
on_disk(void *arg, uint32_t disk_seq)
{
	(void)arg;
	if ((int32_t)(disk_seq - window.oldest_unknown) >= 0)
		__builtin_trap();
}

static void
send_all(uint64_t now_ns)
{
	struct cw_step step;

	for (unsigned i = 0; i < 200; i++) {
		const uint32_t seq = window.next_seq & 0xffff;

		switch (cw_next(&window, now_ns, &step)) {
		case CW_NEW:
			outcomes[seq] = 0;
			(void)cw_new(&window, now_ns, &outcomes[seq], 0, 1, (int32_t)(seq & 1), 10);
			if (window.next_seq - window.oldest_unknown > window.window)
				__builtin_trap();
			break;
		case CW_AGAIN:
		case CW_QUERY:
		case CW_PING:
			break;
		case CW_NOTHING:
			return;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cw_events events = {.outcome = on_outcome, .disk = on_disk};
	uint64_t now_ns = NS_PER_S;
	struct cw_options o = {.slots = slots, .slot_count = 64, .credit_limit = 20, .ack_delay_us = 50,
		.credit_lease_ms = 200, .keepalive_s = 10, .first_seq = 0xfffffff0};

	if (size < 2)
		return 0;
	o.window = (uint16_t)(2 + data[0] % 63);
	o.want_disk = data[1] & 1;
	o.cc = data[1] & 2 ? CW_CREDIT_ONLY : CW_RENO;
	o.paced = data[1] & 4;
	o.credit_limit += o.first_seq;
	cw_init(&window, &o, now_ns);
	send_all(now_ns);
	for (size_t at = 2; at + 3 <= size;) {
		const uint16_t head = get_be16(data + at);
		const size_t n = head % 1200 < size - at - 3 ? head % 1200 : size - at - 3;
		uint8_t *p = malloc(KUP_HEADER + n);
		struct cwire_in in;

		if (!p)
			return 0;
		now_ns += data[at + 2] * NS_PER_MS;
		p[KUP_OFF_MAGIC] = KUP_MAGIC;
		p[KUP_OFF_TYPE] = KUP_VERSION << 4 | (head & 0x8000 ? KUP_PONG : KUP_ACK);
		p[KUP_OFF_FLAGS] = head & 0x4000 ? KUP_FLAG_DRAIN : 0;
		p[KUP_OFF_AUX] = 0;
		put_be32(p + KUP_OFF_SESSION, session.id);
		put_be64(p + KUP_OFF_AUTH, session.secret);
		memcpy(p + KUP_HEADER, data + at + 3, n);
		switch (cwire_parse(p, KUP_HEADER + n, &session, &in)) {
		case CWIRE_ACK:
			(void)cw_ack(&window, &in.ack, now_ns, &events);
			break;
		case CWIRE_PONG:
			cw_pong(&window, in.pong.ts_echo, now_ns);
			break;
		default:
			break;
		}
		free(p);
		send_all(now_ns);
		at += 3 + n;
	}
	return 0;
}
