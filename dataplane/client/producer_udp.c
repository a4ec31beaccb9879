/* SPDX-License-Identifier: MIT
 * producer_udp.c - a session's datagrams: path probe, DATA, QUERY, PING, CLOSE out; ACK, PONG, RESET in;
 * what is sent again when the session is lost.
 * Thread: the I/O thread. Owns: the window and the UDP socket. Never: opens a session (a job). */
#include "dataplane/client/producer_io.h"

#include "base/bug.h"

#define PROBE_TRIES    3
#define PROBE_LAST     6                /* of the smallest size, each twice as far from the next */
#define PROBE_FIRST_NS (60 * NS_PER_MS) /* a PTO before the first round trip is known */
#define ROUNDS_MAX     8                /* receive bursts per turn */

static const uint16_t probe_sizes[] = {8972, 8952, 1472, 1452, 1392, KUP_DGRAM_BASE};

/* ---- Outcomes ------------------------------------------------------------------------------ */

static void
on_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
	struct io *io = arg;
	struct batch *b = slot->batch;

	b->part->outstanding--;
	partition_queue(io, b->part);
	if (error != 0 && error != KIRA_E_DUPLICATE_SEQUENCE_NUMBER) {
		batch_failed(io, b, error);
	} else if (io->p->o.acks == KIRA_ACKS_DISK && !b->told) {
		batch_logged(io, b, base_offset);
	} else {
		batch_stored(io, b, base_offset);
	}
}

static void
on_disk(void *arg, uint32_t disk_seq)
{
	struct io *io = arg;

	while (io->logged_head && !serial_newer(io->logged_head->pkt_seq, disk_seq)) {
		struct batch *b = io->logged_head;

		batch_unlogged(io, b);
		partition_queue(io, b->part);
		batch_stored(io, b, b->base_offset);
	}
}

/* The session's packets have no outcome any more: all not at its level is sent again elsewhere. */
void
udp_recall(struct io *io)
{
	for (unsigned i = 0; i < io->p->routed; i++)
		io->p->topic[i]->handle = 0;
	while (io->logged_head) {
		struct batch *b = io->logged_head;

		batch_unlogged(io, b);
		if (BUG(42))
			batch_stored(io, b, b->base_offset);
		else
			batch_back(io, b);
	}
	if (io->state == IO_UDP) {
		uint32_t seq = io->window.oldest_unknown;
		struct cw_slot *slot;

		io->add.datagrams += io->window.stats.sent;
		io->add.retransmits += io->window.stats.again;
		io->add.lost += io->window.stats.lost;
		io->add.probes += io->window.stats.probes;
		io->add.bursts += io->window.stats.bursts;
		io->add.bursts_off += io->window.stats.gso_off;
		io->gso_off |= io->window.gso.state == GSO_OFF;
		while ((slot = cw_unknown(&io->window, &seq)) != NULL) {
			struct batch *b = slot->batch;

			b->part->outstanding--;
			batch_back(io, b);
		}
		memset(&io->window.stats, 0, sizeof(io->window.stats));
	}
	batches_forgotten(io);
	io->named = 0;
}

void
udp_drop(struct io *io)
{
	cudp_close(io->udp);
	io->udp = NULL;
	ckafka_close(io->anchor);
	io->anchor = NULL;
}

void
udp_lost(struct io *io, uint64_t pause_ns)
{
	udp_recall(io);
	udp_drop(io);
	io->state = IO_OPENING;
	io->open_at_ns = io->now_ns + pause_ns;
}

/* ---- Path probe ---------------------------------------------------------------------------- */

void
udp_probe_from(struct io *io, unsigned index)
{
	const uint32_t ours = cudp_payload_max(io->udp);
	uint32_t most = io->session.max_dgram;

	if (ours > 0)
		most = MIN(most, ours);
	while (index < ARRAY_LENGTH(probe_sizes) && probe_sizes[index] > most)
		index++;
	io->probe_index = index;
	io->probe_tries = 0;
	io->probe_at_ns = io->now_ns;
}

static void
on_burst(void *arg, uint32_t first_tx, uint32_t count)
{
	struct io *io = arg;

	cw_burst(&io->window, first_tx, count);
}

static void
begin_udp(struct io *io, uint32_t path)
{
	const struct kira_producer_options *o = &io->p->o;
	const struct cw_options w = {
		.slots = io->slots,
		.slot_count = KUP_WINDOW_MAX,
		.window = io->session.window,
		.credit_limit = io->session.credit_limit,
		.ack_delay_us = io->session.ack_delay_us,
		.credit_lease_ms = io->session.credit_lease_ms,
		.keepalive_s = io->session.keepalive_s,
		.want_disk = o->acks == KIRA_ACKS_DISK,
		.cc = o->no_congestion_control ? CW_CREDIT_ONLY : CW_RENO,
		.paced = true,
		.gso_off = io->gso_off || o->no_gso,
		.first_seq = 1,
	};

	io->path = path;
	io->state = IO_UDP;
	io->add.sessions++;
	cw_init(&io->window, &w, io->now_ns);
	cudp_on_burst(io->udp, on_burst, io);
	route_set_rooms(io);
	for (unsigned i = 0; i < io->p->routed; i++)
		if (io->p->topic[i]->handle != 0 && io->p->topic[i]->route != ROUTE_UDP)
			route_set(io, io->p->topic[i], ROUTE_UDP, "");
	io->used_udp = io->news = true;
}

static void
probe_turn(struct io *io)
{
	const bool last = io->probe_index + 1 == ARRAY_LENGTH(probe_sizes);
	char why[256];

	if (io->now_ns < io->probe_at_ns)
		return;
	if (io->probe_tries == (last ? PROBE_LAST : PROBE_TRIES))
		udp_probe_from(io, io->probe_index + 1);
	if (io->probe_index < ARRAY_LENGTH(probe_sizes)) {
		/* The end of UDP for a minute: not over one ARP request that was lost, which the kernel
		 * repeats after a second. */
		io->probe_at_ns = io->now_ns + (PROBE_FIRST_NS << (last ? io->probe_tries : 0));
		io->probe_tries++;
		cudp_send(io->udp, io->control[0],
			cwire_ping(io->control[0], probe_sizes[io->probe_index], &io->session.wire,
				probe_sizes[io->probe_index], cw_tx_ts(io->now_ns), 0));
		cudp_flush(io->udp);
		return;
	}
	(void)snprintf(why, sizeof(why), "no answer to a ping from %.100s UDP port %u; is it reachable "
		"from here, and is a firewall in between?", io->session.udp_host, io->session.udp_port);
	route_no_udp(io, why);
	io->udp_again_ns = io->now_ns + UDP_AGAIN_NS;
}

/* ---- Sending and receiving ----------------------------------------------------------------- */

static void
send_data(struct io *io, const struct cw_slot *slot)
{
	const struct client_gso *gso = &io->window.gso;
	struct batch *b = slot->batch;

	cwire_data(b->memory, &io->session.wire, slot->seq, slot->tx_ts, slot->handle, slot->partition,
		slot->ack_now ? KUP_FLAG_ACK_NOW : 0, slot->copies - 1);
	/* Until the path has carried one, one at a time. */
	cudp_send_data(io->udp, b->memory, cwire_data_length(b->length), slot->last_tx,
		gso->state == GSO_WORKS ? CUDP_BURST : gso_wanted(gso));
}

static void
udp_send_turn(struct io *io)
{
	struct cw_step step;
	unsigned controls = 0;

	for (unsigned sent = 0; sent < KUP_WINDOW_MAX && controls < CUDP_BURST; sent++) {
		uint8_t *p = io->control[controls];

		switch (cw_next(&io->window, io->now_ns, &step)) {
		case CW_AGAIN:
			send_data(io, step.slot);
			continue;
		case CW_QUERY:
			cudp_send(io->udp, p, cwire_query(p, &io->session.wire, step.query_first,
				step.query_count));
			controls++;
			continue;
		case CW_PING:
			cudp_send(io->udp, p, cwire_ping(p, KUP_FLOOR, &io->session.wire, 0,
				cw_tx_ts(io->now_ns), step.ack_now ? KUP_FLAG_ACK_NOW : 0));
			controls++;
			continue;
		case CW_NEW: {
			struct batch *b = batch_next(io, false);
			struct cw_slot *slot;

			if (!b)
				break;
			batch_sending(io, b, BATCH_UDP);
			slot = cw_new(&io->window, io->now_ns, b, 0, b->part->topic->handle,
				b->part->index, (uint32_t)b->build.count);
			b->pkt_seq = slot->seq;
			send_data(io, slot);
			continue;
		}
		case CW_NOTHING:
			break;
		}
		break;
	}
	cudp_flush(io->udp);
}

static void
took_pong(struct io *io, const struct cwire_in *in)
{
	if (io->state == IO_UDP) {
		cw_pong(&io->window, in->pong.ts_echo, io->now_ns);
		return;
	}
	/* Of a size that was given up, too: on a long path answers come when smaller ones are out. */
	for (unsigned i = 0; i < ARRAY_LENGTH(probe_sizes) && io->state == IO_PROBING; i++) {
		if (in->pong.id == probe_sizes[i]) {
			begin_udp(io, probe_sizes[i]);
			cw_pong(&io->window, in->pong.ts_echo, io->now_ns);
		}
	}
}

void
udp_receive(struct io *io)
{
	const struct cw_events events = {.outcome = on_outcome, .disk = on_disk, .arg = io};
	const uint8_t *p[CUDP_BURST];
	uint32_t length[CUDP_BURST];
	unsigned n = CUDP_BURST;

	for (unsigned round = 0; round < ROUNDS_MAX && n == CUDP_BURST; round++) {
		n = cudp_receive(io->udp, p, length);
		for (unsigned i = 0; i < n; i++) {
			struct cwire_in in;

			switch (cwire_parse(p[i], length[i], &io->session.wire, &in)) {
			case CWIRE_ACK:
				if (io->state == IO_UDP)
					(void)cw_ack(&io->window, &in.ack, io->now_ns, &events);
				break;
			case CWIRE_PONG:
				took_pong(io, &in);
				break;
			case CWIRE_RESET:
				io->reset |= in.reset.incarnation == io->session.wire.incarnation;
				break;
			case CWIRE_FOREIGN:
			case CWIRE_SHORT:
				break;
			}
		}
	}
}

void
udp_send_close(struct io *io)
{
	cudp_send(io->udp, io->control[0], cwire_close(io->control[0], &io->session.wire, 1));
	cudp_flush(io->udp);
}

/* Probes go unanswered although TCP answers: datagrams do not get through. */
static void
judge_silence(struct io *io)
{
	if (io->window.rtt.probes < KUP_PROBES || !io->anchor
			|| io->now_ns - io->window.heard_ns < KUP_UDP_DEAD_MS * NS_PER_MS)
		return;
	udp_send_close(io);
	route_no_udp(io, "datagrams get no answer any more, while TCP does");
	io->udp_again_ns = io->now_ns + UDP_AGAIN_NS;
}

void
udp_turn(struct io *io)
{
	if (!io->udp)
		return;
	udp_receive(io);
	if (io->reset) {
		/* A running repeat still has the socket's number in hand. */
		if (!io->job_running)
			udp_lost(io, 0);
		return;
	}
	if (io->state == IO_PROBING && !io->job_running)
		probe_turn(io);
	if (io->state != IO_UDP)
		return;
	udp_send_turn(io);
	if (!io->job_running)
		judge_silence(io);
}
