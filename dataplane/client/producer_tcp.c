/* SPDX-License-Identifier: MIT
 * producer_tcp.c - batches as Produce requests: all of them where there is no UDP, and those that fit
 * no datagram. Thread: the I/O thread. Owns: the Produce connection. Never: connects (a job). */
#include "dataplane/client/producer_io.h"

#define TCP_TIMEOUT_MS 30000 /* the broker's, for acks -1 */
/* No answer for so long: the broker is gone without a word, or stopped. Above TCP_TIMEOUT_MS. */
#define TCP_DEAD_NS    (40 * NS_PER_S)

static void
on_produced(void *arg, void *user, const struct ckafka_produced *res)
{
	struct io *io = arg;
	struct batch *b = user;

	b->part->outstanding--;
	b->part->outstanding_tcp--;
	io->tcp_answered_ns = io->now_ns;
	partition_queue(io, b->part);
	if (res->error == 0 || res->error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER)
		batch_stored(io, b, res->error ? -1 : res->base_offset);
	else
		batch_failed(io, b, res->error);
}

void
tcp_over(struct io *io)
{
	struct batch *b;

	while ((b = ctcp_recall(io->tcp)) != NULL) {
		b->part->outstanding--;
		b->part->outstanding_tcp--;
		batch_back(io, b);
	}
	batches_forgotten(io);
	ctcp_close(io->tcp);
	io->tcp = NULL;
	io->tcp_at_ns = io->now_ns + RETRY_MIN_NS;
}

void
tcp_turn(struct io *io)
{
	const int16_t acks = io->p->o.acks == KIRA_ACKS_DISK ? -1 : 1;
	/* UDP is tried again when nothing is in flight here, which under steady load would never be. */
	const bool leaving = io->state == IO_TCP && io->now_ns >= io->udp_again_ns;
	struct err err = {""};

	while (!leaving && io->queue_length > 0 && (!io->tcp || ctcp_in_flight(io->tcp) < CTCP_IN_FLIGHT)) {
		struct batch *b = batch_next(io, true);

		io->want_tcp = b != NULL;
		if (!b || !io->tcp)
			break;
		batch_sending(io, b, BATCH_TCP);
		b->part->outstanding_tcp++;
		if (!ctcp_send(io->tcp, b, b->part->topic->name, b->part->index, acks, TCP_TIMEOUT_MS,
				b->build.p, b->length, io->now_ns)) {
			b->part->outstanding--;
			b->part->outstanding_tcp--;
			b->part->wait_until_ns = io->now_ns + RETRY_MIN_NS;
			batch_back(io, b);
			break;
		}
		io->used_tcp = io->news = true;
	}
	if (io->tcp && ctcp_turn(io->tcp, on_produced, io, &err) < 0) {
		producer_trouble(io, err.text);
		tcp_over(io);
	} else if (io->tcp && io->now_ns >= tcp_deadline(io)) {
		producer_trouble(io, "the broker took a Produce request and does not answer");
		tcp_over(io);
	}
}

uint64_t
tcp_deadline(const struct io *io)
{
	const uint64_t oldest_ns = io->tcp ? ctcp_oldest_ns(io->tcp) : CW_NEVER;

	/* Answers come one after the other: each one gives the next the whole time. */
	return oldest_ns == CW_NEVER ? CW_NEVER : MAX(oldest_ns, io->tcp_answered_ns) + TCP_DEAD_NS;
}
