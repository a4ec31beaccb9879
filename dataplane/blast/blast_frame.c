/* SPDX-License-Identifier: MIT
 * blast_frame.c - build the template, patch and sum a frame, judge a received one.
 * Thread: any. Owns nothing. Never: allocates, reads a clock. */
#include "dataplane/blast/blast_frame.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/writer.h"

#include <kira/record_batch.h>

#include <errno.h>

#define IP_PROTOCOL_UDP 17
#define ETHERTYPE_IPV4  0x0800

static unsigned
varint_bytes(uint32_t zigzag)
{
	unsigned n = 1;

	for (; zigzag >= 0x80; zigzag >>= 7)
		n++;
	return n;
}

/* A record without key and headers: attributes, timestamp delta 0, offset delta, key -1, value. */
static uint32_t
record_body(uint32_t i, uint32_t value_bytes)
{
	return 1 + 1 + varint_bytes(i << 1) + 1 + varint_bytes(value_bytes << 1) + value_bytes + 1;
}

static void
record_put(struct writer *w, uint32_t i, uint32_t value_bytes)
{
	kw_varint(w, (int32_t)record_body(i, value_bytes));
	kw_i8(w, 0);
	kw_varlong(w, 0);
	kw_varint(w, (int32_t)i);
	kw_varint(w, -1);
	kw_varint(w, (int32_t)value_bytes);
	/* Letters, so that `kcat -C` shows something a person recognises as filler. */
	for (uint32_t k = 0; k < value_bytes; k++)
		kw_i8(w, (int8_t)('a' + k % 26));
	kw_varint(w, 0);
}

int
frame_template_build(struct frame_template *t, uint32_t value_bytes, uint32_t batch_max,
	struct err *err)
{
	struct writer w;
	uint32_t n = 0, bytes = RB_HEADER;

	memset(t, 0, sizeof(*t));
	while (n < FRAME_RECORDS_MAX) {
		const uint32_t body = record_body(n, value_bytes);

		if (bytes + varint_bytes(body << 1) + body > batch_max)
			break;
		bytes += varint_bytes(body << 1) + body;
		n++;
	}
	if (value_bytes < FRAME_VALUE_MIN || n == 0 || bytes > KUP_DGRAM_MAX - KUP_DATA_BATCH) {
		err_set(err, "no record of %u bytes fits into a batch of %u: --batch %u at least",
			value_bytes, batch_max, RB_HEADER + record_body(0, value_bytes) + 3);
		return -EINVAL;
	}
	w = kw_open(t->bytes + FRAME_BATCH, sizeof(t->bytes) - FRAME_BATCH, false);
	kw_i64(&w, 0);
	kw_i32(&w, (int32_t)(bytes - RB_LENGTH_FROM));
	kw_i32(&w, -1);
	kw_i8(&w, 2);
	kw_i32(&w, 0);
	kw_i16(&w, 0);
	kw_i32(&w, (int32_t)n - 1);
	kw_i64(&w, 0);
	kw_i64(&w, 0);
	kw_i64(&w, -1);
	kw_i16(&w, -1);
	kw_i32(&w, -1);
	kw_i32(&w, (int32_t)n);
	for (uint32_t i = 0; i < n; i++) {
		record_put(&w, i, value_bytes);
		/* The value ends one byte (its header count) before the record does. */
		t->value_at[i] = (uint16_t)(FRAME_BATCH + kw_length(&w) - 1 - value_bytes);
	}
	ASSERT(!w.full && kw_length(&w) == bytes);
	t->records = n;
	t->value_bytes = value_bytes;
	t->batch_bytes = bytes;
	t->datagram_bytes = cwire_data_length(bytes);
	t->frame_bytes = FRAME_LINK + t->datagram_bytes;
	return 0;
}

uint32_t
frame_sum(const uint8_t *p, uint32_t n)
{
	uint64_t a = 0, b = 0, sum;

	/* Halves of 8 bytes are added apart: no carry is lost before 2^32 steps. */
	for (; n >= 16; n -= 16, p += 16) {
		uint64_t v, w;

		memcpy(&v, p, 8);
		memcpy(&w, p + 8, 8);
		a += (v & 0xffffffffu) + (w & 0xffffffffu);
		b += (v >> 32) + (w >> 32);
	}
	sum = (a & 0xffffffffu) + (a >> 32) + (b & 0xffffffffu) + (b >> 32);
	for (; n >= 2; n -= 2, p += 2) {
		uint16_t v;

		memcpy(&v, p, 2);
		sum += v;
	}
	if (n) {
		uint16_t v = 0;

		memcpy(&v, p, 1);
		sum += v;
	}
	while (sum >> 16)
		sum = (sum & 0xffffu) + (sum >> 16);
	return (uint32_t)sum;
}

static uint16_t
fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffffu) + (sum >> 16);
	return (uint16_t)sum;
}

void
frame_link_build(struct frame_link *l, const uint8_t from_mac[6], const uint8_t to_mac[6],
	const uint8_t from[4], const uint8_t to[4], uint16_t from_port, uint16_t to_port)
{
	uint8_t *ip = l->bytes + FRAME_ETHER, *udp = ip + FRAME_IP;

	memset(l, 0, sizeof(*l));
	memcpy(l->bytes, to_mac, 6);
	memcpy(l->bytes + 6, from_mac, 6);
	put_be16(l->bytes + 12, ETHERTYPE_IPV4);
	ip[0] = 0x45;
	put_be16(ip + 6, 0x4000); /* DF: a path too small is found by PING, not by fragments */
	ip[8] = 64;
	ip[9] = IP_PROTOCOL_UDP;
	memcpy(ip + 12, from, 4);
	memcpy(ip + 16, to, 4);
	put_be16(udp, from_port);
	put_be16(udp + 2, to_port);
	l->pseudo = frame_sum(ip + 12, 8) + htobe16(IP_PROTOCOL_UDP);
}

void
frame_patch(const struct frame_template *t, uint8_t *frame, const struct frame_batch *b)
{
	uint8_t *batch = frame + FRAME_BATCH;
	const uint64_t first = frame_number(b->producer_id, b->number);

	put_be64(batch + RB_BASE_TIMESTAMP, (uint64_t)b->wall_ms);
	put_be64(batch + RB_MAX_TIMESTAMP, (uint64_t)b->wall_ms);
	put_be64(batch + RB_PRODUCER_ID, (uint64_t)b->producer_id);
	put_be16(batch + RB_PRODUCER_EPOCH, (uint16_t)b->epoch);
	put_be32(batch + RB_BASE_SEQUENCE, (uint32_t)(b->number & 0x7fffffffu));
	for (uint32_t i = 0; i < t->records; i++) {
		put_be64(frame + t->value_at[i], first + i);
		put_be64(frame + t->value_at[i] + 8, b->sched_ns);
	}
	put_be32(batch + RB_CRC, crc32c(batch + RB_ATTRIBUTES, t->batch_bytes - RB_ATTRIBUTES));
}

void
frame_seal(uint8_t *frame, uint32_t datagram_bytes, const struct frame_link *l)
{
	uint8_t *ip = frame + FRAME_ETHER, *udp = ip + FRAME_IP;
	const uint16_t udp_bytes = (uint16_t)(FRAME_UDP + datagram_bytes);
	uint16_t sum;

	memcpy(frame, l->bytes, FRAME_LINK);
	put_be16(ip + 2, (uint16_t)(FRAME_IP + udp_bytes));
	sum = (uint16_t)~frame_sum(ip, FRAME_IP);
	memcpy(ip + 10, &sum, 2);
	put_be16(udp + 4, udp_bytes);
	sum = (uint16_t)~fold(l->pseudo + htobe16(udp_bytes) + frame_sum(udp, udp_bytes));
	if (sum == 0)
		sum = 0xffff; /* 0 would mean: no sum (RFC 768) */
	memcpy(udp + 6, &sum, 2);
}

bool
frame_parse(const uint8_t *frame, uint32_t bytes, const uint8_t to[4], struct frame_datagram *ret)
{
	const uint8_t *ip = frame + FRAME_ETHER, *udp;
	uint32_t header, total, udp_bytes;

	if (bytes < FRAME_LINK || get_be16(frame + 12) != ETHERTYPE_IPV4 || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 15u) * 4;
	total = get_be16(ip + 2);
	if (header < FRAME_IP || total < header + FRAME_UDP || total > bytes - FRAME_ETHER)
		return false;
	if (ip[9] != IP_PROTOCOL_UDP || (get_be16(ip + 6) & 0x3fff) || memcmp(ip + 16, to, 4) != 0)
		return false;
	udp = ip + header;
	udp_bytes = get_be16(udp + 4);
	if (udp_bytes < FRAME_UDP || udp_bytes > total - header || frame_sum(ip, header) != 0xffff)
		return false;
	/* A sum of 0 means none: legal over IPv4, and the secret is checked anyway. */
	if (get_be16(udp + 6) != 0 && fold(frame_sum(ip + 12, 8) + htobe16(IP_PROTOCOL_UDP)
			+ htobe16((uint16_t)udp_bytes) + frame_sum(udp, udp_bytes)) != 0xffff)
		return false;
	ret->payload = udp + FRAME_UDP;
	ret->length = udp_bytes - FRAME_UDP;
	memcpy(ret->from, ip + 12, 4);
	ret->from_port = get_be16(udp);
	ret->to_port = get_be16(udp + 2);
	return true;
}
