/* SPDX-License-Identifier: MIT
 * blast_hostile.c - frames and answers that mean harm, each built from an honest one by one lie.
 * Thread: the generator's lcore. Owns: its counts, the frames kept for replay.
 * Never: forges what the protocol does not claim to withstand: who reads the secret on the path may
 * do anything with it (PROTOCOL.md, 13), so a right secret never goes with a believable lie. */
#include "dataplane/blast/blast_hostile.h"

#include "base/bytes.h"
#include "dataplane/blast/blast_inject.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <stdlib.h>

const char *const hostile_names[HOSTILE_KINDS] = {
#define HOSTILE(name, counter, what) [HOSTILE_##name] = counter,
#define FORGED(name, counter, what)
#include "dataplane/blast/blast_hostile.def"
#undef HOSTILE
#undef FORGED
};

const char *const forged_names[FORGED_KINDS] = {
#define HOSTILE(name, counter, what)
#define FORGED(name, counter, what) [FORGED_##name] = counter,
#include "dataplane/blast/blast_hostile.def"
#undef HOSTILE
#undef FORGED
};

int
hostile_init(struct hostile *h, double share, struct blast_session *session, unsigned sessions,
	const struct frame_template *frame, uint64_t seed, struct err *err)
{
	memset(h, 0, sizeof(*h));
	h->state = seed;
	h->per_honest = share / (1 - share);
	h->session = session;
	h->sessions = sessions;
	h->insider = &session[sessions];
	h->frame = frame;
	h->old = share > 0 ? malloc((size_t)HOSTILE_OLD * FRAME_MAX) : NULL;
	return share > 0 && !h->old ? err_sys(err, -ENOMEM, "frames for replay") : 0;
}

void
hostile_free(struct hostile *h)
{
	free(h->old);
	h->old = NULL;
}

static uint32_t
draw(struct hostile *h, uint32_t below)
{
	return (uint32_t)((uint64_t)inject_draw(&h->state) * below >> 32);
}

/* Lengths that overflow, underflow, or miss the truth by a little; never the truth. */
static uint32_t
absurd(struct hostile *h, uint32_t truth)
{
	switch (draw(h, 5)) {
	case 0:
		return 0;
	case 1:
		return UINT32_MAX - draw(h, 8);
	case 2:
		return 0x7fffffff;
	case 3:
		return truth + 1 + draw(h, 1500);
	default:
		return draw(h, 20);
	}
}

/* ---- To the broker ------------------------------------------------------------------------ */

void
hostile_honest(struct hostile *h, const uint8_t *frame, uint32_t bytes)
{
	h->owed += h->per_honest;
	if (h->seen++ % HOSTILE_OLD_EVERY == 0) {
		const uint64_t i = h->seen / HOSTILE_OLD_EVERY % HOSTILE_OLD;

		memcpy(h->old + i * FRAME_MAX, frame, bytes);
		h->old_bytes[i] = bytes;
	}
}

/* A DATA of `s` as it would be believed, but for a pkt_seq that is beyond what an ACK still on its way may
 * allow. Every other one is as small as may be: a flood is made of those. Not sealed; returns the
 * datagram's length. */
static uint32_t
data_of(struct hostile *h, const struct blast_session *s, uint8_t *frame)
{
	const uint32_t batch = draw(h, 2) ? h->frame->batch_bytes : KUP_FLOOR - KUP_DATA_BATCH;

	memcpy(frame + FRAME_BATCH, h->frame->bytes + FRAME_BATCH, batch);
	cwire_data(frame + FRAME_LINK, &s->wire, s->window.credit_limit + 4 * KUP_WINDOW_MAX + draw(h, 1 << 20),
		draw(h, UINT32_MAX), s->handle, (int32_t)draw(h, (uint32_t)s->run->partitions),
		KUP_FLAG_ACK_NOW, 0);
	return cwire_data_length(batch);
}

static uint32_t
seal(uint8_t *frame, uint32_t datagram_bytes, const struct frame_link *link)
{
	frame_seal(frame, datagram_bytes, link);
	return FRAME_LINK + datagram_bytes;
}

static uint32_t
wrong_secret(struct hostile *h, const struct blast_session *s, uint64_t now_ns, uint8_t *frame)
{
	struct cwire_session wire = s->wire;
	uint8_t *p = frame + FRAME_LINK;

	wire.secret ^= UINT64_C(1) << draw(h, 64);
	switch (draw(h, 4)) {
	case 0:
		return seal(frame, cwire_ping(p, KUP_FLOOR, &wire, 1, cw_tx_ts(now_ns), KUP_FLAG_ACK_NOW),
			&s->link);
	case 1:
		return seal(frame, cwire_query(p, &wire, s->window.log_seq, KUP_RESULTS_KEPT), &s->link);
	case 2:
		return seal(frame, cwire_close(p, &wire, 1), &s->link);
	default: {
		const uint32_t bytes = data_of(h, s, frame);

		put_be64(p + KUP_OFF_AUTH, wire.secret);
		return seal(frame, bytes, &s->link);
	}
	}
}

static uint32_t
spoofed(struct hostile *h, const struct blast_session *s, bool port, uint8_t *frame)
{
	const uint8_t *ip = s->link.bytes + FRAME_ETHER;
	struct frame_link link;
	uint8_t from[4];

	memcpy(from, ip + 12, 4);
	from[3] = port ? from[3] : (uint8_t)(from[3] + 1 + draw(h, 255));
	frame_link_build(&link, s->link.bytes + 6, s->link.bytes, from, ip + 16,
		port ? (uint16_t)(s->from_port + 0x1000 + draw(h, 0x4000)) : s->from_port, s->to_port);
	return seal(frame, data_of(h, s, frame), &link);
}

/* After sealing: the lie is the only fault where the sums are made good again. */
static uint32_t
length_ip(struct hostile *h, const struct blast_session *s, uint8_t *frame)
{
	const uint32_t bytes = seal(frame, data_of(h, s, frame), &s->link);
	uint8_t *ip = frame + FRAME_ETHER;
	uint16_t sum = 0;

	if (draw(h, 4) == 0)
		ip[0] = (uint8_t)(0x40 | draw(h, 5)); /* a header of 16 bytes at most */
	else
		put_be16(ip + 2, (uint16_t)(absurd(h, bytes - FRAME_ETHER) | (draw(h, 2) << 15)));
	memcpy(ip + 10, &sum, 2);
	sum = (uint16_t)~frame_sum(ip, FRAME_IP);
	memcpy(ip + 10, &sum, 2);
	return bytes;
}

static uint32_t
length_udp(struct hostile *h, const struct blast_session *s, uint8_t *frame)
{
	const uint32_t bytes = seal(frame, data_of(h, s, frame), &s->link);
	const uint32_t truth = bytes - FRAME_ETHER - FRAME_IP;

	if (draw(h, 3) == 0) /* cut off by the sender: IP and UDP claim more than there is */
		return FRAME_LINK + draw(h, KUP_FLOOR);
	put_be16(frame + FRAME_ETHER + FRAME_IP + 4, (uint16_t)absurd(h, truth));
	return bytes;
}

/* The insider obeys window and credit, so that its lie is looked at. Nothing to send: beyond credit. */
static uint32_t
length_batch(struct hostile *h, uint64_t now_ns, uint8_t *frame, enum hostile_kind *kind)
{
	struct blast_session *s = h->insider;
	uint8_t *p = frame + FRAME_LINK;
	struct cw_slot *slot = NULL;
	struct cw_step step;
	uint32_t bytes;

	switch (cw_next(&s->window, now_ns, &step)) {
	case CW_AGAIN:
		slot = step.slot;
		break;
	case CW_NEW:
		slot = cw_new(&s->window, now_ns, NULL, 0, s->handle, 0, 1);
		break;
	case CW_QUERY:
		return seal(frame, cwire_query(p, &s->wire, step.query_first, step.query_count), &s->link);
	case CW_PING:
		return seal(frame, cwire_ping(p, KUP_FLOOR, &s->wire, ++s->ping_id, cw_tx_ts(now_ns), 0),
			&s->link);
	default:
		*kind = HOSTILE_OVER_CREDIT;
	}
	bytes = data_of(h, s, frame);
	if (slot) {
		put_be32(p + KUP_DATA_SEQ, slot->seq);
		put_be32(p + KUP_DATA_TX_TS, slot->tx_ts);
		put_be32(p + KUP_DATA_PARTITION, (uint32_t)slot->partition);
		put_be32(p + KUP_DATA_BATCH + RB_LENGTH, absurd(h, bytes - KUP_DATA_BATCH - RB_LENGTH_FROM));
	}
	return seal(frame, bytes, &s->link);
}

static uint32_t
wrong_type(struct hostile *h, const struct blast_session *s, uint8_t *frame)
{
	const uint32_t bytes = data_of(h, s, frame);
	uint8_t *p = frame + FRAME_LINK;

	switch (draw(h, 3)) {
	case 0:
		p[KUP_OFF_MAGIC] ^= (uint8_t)(1 + draw(h, 255));
		break;
	case 1:
		p[KUP_OFF_TYPE] = (uint8_t)(((KUP_VERSION + 1 + draw(h, 14)) & 15) << 4 | draw(h, 16));
		break;
	default: /* even ones are the broker's, 9 and up nobody's */
		p[KUP_OFF_TYPE] = (uint8_t)(KUP_VERSION << 4 | (draw(h, 2) ? draw(h, 4) * 2 : 9 + draw(h, 7)));
	}
	return seal(frame, bytes, &s->link);
}

uint32_t
hostile_frame(struct hostile *h, uint64_t now_ns, uint8_t *frame)
{
	const struct blast_session *s = &h->session[draw(h, h->sessions)];
	enum hostile_kind kind = (enum hostile_kind)draw(h, HOSTILE_KINDS);
	uint32_t bytes, i;

	h->owed -= 1;
	switch (kind) {
	case HOSTILE_UNKNOWN_SESSION:
		bytes = data_of(h, s, frame);
		/* Any owner, and slots beyond every table: a slot in use is the next kind's. */
		put_be32(frame + FRAME_LINK + KUP_OFF_SESSION, inject_draw(&h->state) | 0x800000);
		bytes = seal(frame, bytes, &s->link);
		break;
	case HOSTILE_WRONG_SECRET:
		bytes = wrong_secret(h, s, now_ns, frame);
		break;
	case HOSTILE_REPLAY:
		i = draw(h, (uint32_t)MIN(h->seen / HOSTILE_OLD_EVERY + 1, (uint64_t)HOSTILE_OLD));
		bytes = h->old_bytes[i];
		memcpy(frame, h->old + (size_t)i * FRAME_MAX, bytes);
		break;
	case HOSTILE_SPOOFED_ADDRESS:
	case HOSTILE_SPOOFED_PORT:
		bytes = spoofed(h, s, kind == HOSTILE_SPOOFED_PORT, frame);
		break;
	case HOSTILE_LENGTH_IP:
		bytes = length_ip(h, s, frame);
		break;
	case HOSTILE_LENGTH_UDP:
		bytes = length_udp(h, s, frame);
		break;
	case HOSTILE_TYPE:
		bytes = wrong_type(h, s, frame);
		break;
	case HOSTILE_OVER_CREDIT:
		bytes = seal(frame, data_of(h, h->insider, frame), &h->insider->link);
		break;
	case HOSTILE_LENGTH_BATCH:
	default:
		bytes = length_batch(h, now_ns, frame, &kind);
	}
	h->sent[kind]++;
	return bytes;
}

/* ---- To our own sessions ------------------------------------------------------------------ */

void
hostile_answered(struct hostile *h)
{
	h->owed_in += h->per_honest;
}

static uint32_t
forged_bytes(struct hostile *h, enum forged_kind kind, const struct blast_session *s, uint8_t *p)
{
	switch (kind) {
	case FORGED_ACK:
		p[KUP_OFF_TYPE] = KUP_VERSION << 4 | KUP_ACK;
		put_be32(p + KUP_ACK_LOG_SEQ, s->window.next_seq - 1);
		put_be32(p + KUP_ACK_DISK_SEQ, s->window.next_seq - 1);
		put_be32(p + KUP_ACK_CREDIT, s->window.credit_limit + 1000);
		put_be32(p + KUP_ACK_MAX_SEQ, s->window.next_seq - 1);
		put_be32(p + KUP_ACK_NUM, s->window.ack_num + 1 + draw(h, 1000));
		return KUP_ACK_FIXED;
	case FORGED_PONG:
		p[KUP_OFF_TYPE] = KUP_VERSION << 4 | KUP_PONG;
		put_be32(p + KUP_PONG_ID, s->ping_id);
		put_be16(p + KUP_PONG_LEN, KUP_DGRAM_MAX);
		return KUP_PONG_BYTES;
	case FORGED_RESET:
	default:
		p[KUP_OFF_TYPE] = KUP_VERSION << 4 | KUP_RESET;
		put_be16(p + KUP_RESET_REASON, KUP_RESET_WITHDRAWN);
		put_be64(p + KUP_RESET_INCARNATION, s->wire.incarnation);
		return KUP_RESET_BYTES;
	}
}

/* What gives a forgery away: its secret, its session, where it comes from; and with the right
 * secret, that it contradicts itself, as what was left of another session might. */
uint32_t
hostile_forge(struct hostile *h, uint8_t frame[FRAME_LINK + KUP_ACK_MAX])
{
	const struct blast_session *s = &h->session[draw(h, h->sessions)];
	const enum forged_kind kind = (enum forged_kind)draw(h, FORGED_KINDS);
	const uint8_t *ip = s->link.bytes + FRAME_ETHER;
	uint8_t *p = frame + FRAME_LINK, from[4];
	uint16_t from_port = s->to_port;
	struct frame_link link;
	uint32_t bytes;

	h->owed_in -= 1;
	h->forged[kind]++;
	memset(p, 0, KUP_ACK_MAX);
	bytes = forged_bytes(h, kind, s, p);
	p[KUP_OFF_MAGIC] = KUP_MAGIC;
	put_be32(p + KUP_OFF_SESSION, s->wire.id);
	put_be64(p + KUP_OFF_AUTH, s->wire.secret);
	memcpy(from, ip + 16, 4);
	switch (draw(h, 5)) {
	case 0:
		put_be64(p + KUP_OFF_AUTH, s->wire.secret ^ (UINT64_C(1) << draw(h, 64)));
		break;
	case 1:
		put_be32(p + KUP_OFF_SESSION, s->wire.id ^ (1u << draw(h, 32)));
		break;
	case 2:
		from[3] ^= (uint8_t)(1 + draw(h, 255));
		break;
	case 3:
		from_port ^= (uint16_t)(1 + draw(h, 0xffff));
		break;
	default:
		if (kind == FORGED_ACK) /* acks what was never sent */
			put_be32(p + KUP_ACK_LOG_SEQ, s->window.next_seq + draw(h, 1000));
		else if (kind == FORGED_RESET) /* of another life of the broker */
			put_be64(p + KUP_RESET_INCARNATION, s->wire.incarnation + 1 + draw(h, 100));
		else
			bytes = KUP_HEADER + draw(h, KUP_PONG_BYTES - KUP_HEADER);
	}
	frame_link_build(&link, s->link.bytes, s->link.bytes + 6, from, ip + 12, from_port, s->from_port);
	return seal(frame, bytes, &link);
}
