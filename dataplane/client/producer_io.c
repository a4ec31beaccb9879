/* SPDX-License-Identifier: MIT
 * producer_io.c - the I/O thread's loop: admit closed batches, one turn of each part, settle with the
 * application side, sleep; the end.
 * Thread: the I/O thread. Never: blocks for a broker (the set-up thread does), holds the lock while it
 * calls back. */
#include "dataplane/client/producer_io.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define CLOSE_TRIES  3
#define OPEN_PART    8                /* of the delivery timeout a batch may stay open behind another */
#define LAST_TURN_NS (10 * NS_PER_MS) /* while closing: the set-up thread wakes nobody then */

/* ---- Admitting batches --------------------------------------------------------------------- */

static void
pack(struct io *io, struct batch *b)
{
	const struct cbatch_identity nobody = {.producer_id = -1, .epoch = -1, .base_sequence = -1};

	if (io->lz4) {
		const size_t need = cbatch_lz4_bound(b->build.length);

		if (need > io->scratch_size) {
			uint8_t *more = realloc(io->scratch, need);

			ASSERT(more);
			io->scratch = more;
			io->scratch_size = need;
		}
		b->compressed = cbatch_compress(io->lz4, &b->build, io->scratch, io->scratch_size);
	}
	b->length = cbatch_close(&b->build, io->p->o.no_idempotence ? &nobody : NULL, b->compressed);
	b->packed = true;
	if (b->length + KUP_DATA_BATCH < KUP_FLOOR)
		memset(b->build.p + b->length, 0, KUP_FLOOR - KUP_DATA_BATCH - b->length);
}

/* Lock held. Open batches whose linger is over. One that would only wait behind another of its partition
 * stays open and fills up meanwhile: a broker that was away for a second is owed a few large batches
 * then, not hundreds of small ones that each wait for a sync of the disk.
 * Not for ever: a batch's time to be delivered began with its first record, and is the last one's, too. */
static void
close_lingered(struct io *io)
{
	struct kira_producer *p = io->p;
	const bool all = p->stopping;
	struct batch *b = p->open_head, *next;

	/* Else nothing can be due: hundreds that stay open are not walked by in each turn. */
	if (!all && io->now_ns < io->linger_at_ns && (io->linger_at_ns != CW_NEVER || p->next_order == io->order_seen)
			&& !(io->held_open && io->now_ns >= io->open_until_ns))
		return;
	io->linger_at_ns = CW_NEVER;
	io->held_open = false;
	io->order_seen = p->next_order;
	for (; b; b = next) {
		const uint64_t due_ns = b->born_ns + p->o.linger_us * NS_PER_US;
		const uint64_t until_ns = due_ns + p->o.delivery_timeout_ms * NS_PER_MS / OPEN_PART;

		next = b->next;
		if (!all && io->now_ns < due_ns) {
			io->linger_at_ns = due_ns; /* the others are younger */
			break;
		}
		if (all || !b->part->ready.head || io->now_ns >= until_ns) {
			batch_close(p, b);
		} else if (!io->held_open) { /* the oldest of them */
			io->held_open = true;
			io->open_until_ns = until_ns;
		}
	}
}

static void
admit(struct io *io)
{
	struct kira_producer *p = io->p;
	struct batch *list;

	pthread_mutex_lock(&p->lock);
	p->io_sleeps = false;
	p->routed = p->topics;
	close_lingered(io);
	list = p->closed_head;
	p->closed_head = p->closed_tail = NULL;
	pthread_mutex_unlock(&p->lock);
	while (list) {
		struct batch *b = list;

		list = b->next;
		b->next = b->prev = NULL;
		pack(io, b);
		batch_ready(io, b);
	}
}

/* ---- What the application side learns ------------------------------------------------------ */

static const char *
transport_name(const struct io *io)
{
	if (io->used_udp && io->used_tcp)
		return "udp+tcp";
	if (io->used_udp)
		return "udp";
	return io->used_tcp || io->state == IO_TCP ? "tcp" : "none";
}

/* Lock held. */
static void
untold_remove(struct kira_producer *p, struct batch *b)
{
	if (b->untold_prev)
		b->untold_prev->untold_next = b->untold_next;
	else
		p->untold_head = b->untold_next;
	if (b->untold_next)
		b->untold_next->untold_prev = b->untold_prev;
	else
		p->untold_tail = b->untold_prev;
}

static void
settle(struct io *io)
{
	struct kira_producer *p = io->p;
	struct kira_producer_stats *s = &p->stats;
	const struct cw_stats *w = &io->window.stats;

	pthread_mutex_lock(&p->lock);
	for (struct batch *b = io->told; b; b = b->told_next)
		untold_remove(p, b);
	p->buffered -= io->released;
	s->records_delivered += io->add.records_delivered;
	s->records_failed += io->add.records_failed;
	s->bytes_delivered += io->add.bytes_delivered;
	s->batches_udp += io->add.batches_udp;
	s->batches_tcp += io->add.batches_tcp;
	s->sessions += io->add.sessions;
	s->epochs_raised += io->add.epochs_raised;
	/* Those of earlier sessions were summed up by udp_recall(). */
	io->add = (struct kira_producer_stats){.datagrams = io->add.datagrams,
		.retransmits = io->add.retransmits, .lost = io->add.lost, .probes = io->add.probes,
		.bursts = io->add.bursts, .bursts_off = io->add.bursts_off};
	s->datagrams = io->add.datagrams + w->sent;
	s->retransmits = io->add.retransmits + w->again;
	s->lost = io->add.lost + w->lost;
	s->probes = io->add.probes + w->probes;
	s->bursts = io->add.bursts + w->bursts;
	s->bursts_off = io->add.bursts_off + w->gso_off;
	s->rtt_us = io->window.rtt.sampled ? io->window.rtt.srtt_ns / NS_PER_US : 0;
	while (io->freed) {
		struct batch *b = io->freed, *spare = p->spare;
		uint8_t *memory = b->memory;
		void **opaque = b->opaque;

		io->freed = b->next;
		if (spare && spare->memory_bytes != b->memory_bytes) {
			free(memory);
			free(opaque);
			free(b);
			continue;
		}
		*b = (struct batch){.next = spare, .memory = memory, .memory_bytes = b->memory_bytes,
			.opaque = opaque, .opaque_room = b->opaque_room};
		p->spare = b;
	}
	p->transport = transport_name(io);
	if (io->moved)
		p->trouble[0] = '\0';
	if (io->told || io->released > 0 || io->news)
		pthread_cond_broadcast(&p->room);
	pthread_mutex_unlock(&p->lock);
	io->told = NULL;
	io->released = 0;
	io->news = io->moved = false;
}

/* ---- The loop ------------------------------------------------------------------------------ */

static uint64_t
wake_at(struct io *io)
{
	uint64_t at = MIN(io->linger_at_ns, io->next_wait_ns);

	if (io->held_open)
		at = MIN(at, io->open_until_ns);
	if (io->alive > 0)
		at = MIN(at, io->expire_at_ns);
	if (io->state == IO_UDP)
		at = MIN(at, cw_deadline(&io->window, io->now_ns));
	if (io->state == IO_TCP && (!io->tcp || ctcp_in_flight(io->tcp) == 0))
		at = MIN(at, io->udp_again_ns);
	at = MIN(at, tcp_deadline(io));
	if (io->job_running)
		return at;
	if (io->state == IO_PROBING)
		at = MIN(at, io->probe_at_ns);
	if (io->state == IO_OPENING)
		at = MIN(at, io->open_at_ns);
	if (io->state == IO_UDP || io->state == IO_PROBING)
		at = MIN(at, io->repeat_at_ns);
	if (io->want_tcp && !io->tcp)
		at = MIN(at, io->tcp_at_ns);
	if (io->want_raise)
		at = MIN(at, io->raise_at_ns);
	return at;
}

/* False: something came up meanwhile, do not sleep. */
static bool
announce_sleep(struct io *io)
{
	struct kira_producer *p = io->p;
	bool ok;

	pthread_mutex_lock(&p->lock);
	ok = !p->closed_head && p->topics == p->routed && !p->stopping
		&& !(io->job_running && p->job.done)
		&& !(p->open_head && io->linger_at_ns == CW_NEVER && p->next_order != io->order_seen);
	p->io_sleeps = ok;
	pthread_mutex_unlock(&p->lock);
	return ok;
}

static void
sleep_until(struct io *io, uint64_t at_ns)
{
	struct pollfd pfd[4] = {{.fd = io->p->event_fd, .events = POLLIN}};
	const uint64_t now_ns = clock_now_ns();
	struct timespec ts = {0};
	uint64_t drain;
	nfds_t n = 1;
	int anchor_at = -1;

	if (io->udp)
		pfd[n++] = (struct pollfd){.fd = cudp_fd(io->udp), .events = POLLIN};
	if (io->tcp)
		pfd[n++] = (struct pollfd){.fd = ctcp_fd(io->tcp),
			.events = (short)(POLLIN | (ctcp_wants_write(io->tcp) ? POLLOUT : 0))};
	if (io->anchor) {
		anchor_at = (int)n;
		pfd[n++] = (struct pollfd){.fd = ckafka_fd(io->anchor), .events = POLLRDHUP};
	}
	if (at_ns > now_ns) {
		const uint64_t left = MIN(at_ns - now_ns, 60 * NS_PER_S);

		ts = (struct timespec){.tv_sec = (time_t)(left / NS_PER_S),
			.tv_nsec = (long)(left % NS_PER_S)};
	}
	if (ppoll(pfd, n, &ts, NULL) <= 0)
		return;
	if (pfd[0].revents)
		(void)!read(io->p->event_fd, &drain, sizeof(drain));
	if (anchor_at > 0 && pfd[anchor_at].revents) {
		ckafka_close(io->anchor);
		io->anchor = NULL;
	}
}

/* What the set-up thread is at: until the caller's time is over it may end well, a session that it opens
 * is known and can be closed; from then on it is to give up. */
static void
await_job(struct io *io)
{
	struct pollfd pfd = {.fd = io->p->event_fd, .events = POLLIN};
	uint64_t drain;

	while (io->job_running) {
		io->now_ns = clock_now_ns();
		if (io->now_ns >= io->p->stop_by_ns)
			(void)!write(io->p->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
		pthread_mutex_lock(&io->p->lock);
		io->p->io_sleeps = !io->p->job.done;
		pthread_mutex_unlock(&io->p->lock);
		route_take_job(io);
		if (!io->job_running)
			break;
		(void)poll(&pfd, 1, io->now_ns >= io->p->stop_by_ns ? -1
			: (int)MIN((io->p->stop_by_ns - io->now_ns) / NS_PER_MS + 1, 60000u));
		(void)!read(io->p->event_fd, &drain, sizeof(drain));
	}
}

/* CLOSE until the broker says RESET, so that it need not wait for the lease; once where no time is left. */
static void
close_session(struct io *io)
{
	const uint64_t wait_ns = CLAMP(io->window.rtt.pto_ns, 20 * NS_PER_MS, 200 * NS_PER_MS);

	io->now_ns = clock_now_ns();
	for (unsigned i = 0; i == 0 || (i < CLOSE_TRIES && !io->reset && io->now_ns < io->p->stop_by_ns); i++) {
		struct pollfd pfd = {.fd = cudp_fd(io->udp), .events = POLLIN};
		const uint64_t until = MIN(io->now_ns + wait_ns, io->p->stop_by_ns);

		udp_send_close(io);
		while (!io->reset && (io->now_ns = clock_now_ns()) < until) {
			(void)poll(&pfd, 1, (int)((until - io->now_ns) / NS_PER_MS) + 1);
			udp_receive(io);
		}
	}
}

static void
finish(struct io *io)
{
	await_job(io);
	if ((io->state == IO_UDP || io->state == IO_PROBING) && io->anchor)
		close_session(io);
	udp_recall(io);
	if (io->tcp)
		tcp_over(io);
	batches_fail_all(io);
	udp_drop(io);
	settle(io);
}

static void
io_turn(struct io *io)
{
	io->now_ns = clock_now_ns();
	io->next_wait_ns = CW_NEVER;
	admit(io);
	route_turn(io);
	udp_turn(io);
	tcp_turn(io);
	batches_expire(io);
	settle(io);
}

void *
io_thread(void *arg)
{
	struct kira_producer *p = arg;
	struct io *io = calloc(1, sizeof(*io));
	bool stopping = false;

	ASSERT(io);
	io->p = p;
	io->repeat_at_ns = io->udp_again_ns = io->linger_at_ns = CW_NEVER;
	io->path = KUP_DGRAM_BASE;
	if (p->o.compression == KIRA_COMPRESSION_LZ4) {
		io->lz4 = cbatch_lz4_new();
		ASSERT(io->lz4);
	}
	while (!stopping) {
		io_turn(io);
		if (announce_sleep(io))
			sleep_until(io, wake_at(io));
		pthread_mutex_lock(&p->lock);
		stopping = p->stopping;
		pthread_mutex_unlock(&p->lock);
	}
	io_turn(io); /* admits what was open still */
	/* Level none: told when it was sent, still owed to the broker, over losses and part-written frames. */
	while (p->o.acks == KIRA_ACKS_NONE && io->alive > 0 && io->now_ns < p->stop_by_ns) {
		sleep_until(io, MIN(wake_at(io), io->now_ns + LAST_TURN_NS));
		io_turn(io);
	}
	finish(io);
	cbatch_lz4_free(io->lz4);
	free(io->scratch);
	free(io);
	return NULL;
}
