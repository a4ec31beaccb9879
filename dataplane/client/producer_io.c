/* SPDX-License-Identifier: MIT
 * producer_io.c - from a closed batch to its delivery: sequences, sending over UDP or TCP, ACKs,
 * failures and what to do about each, lost sessions, time-outs.
 * Thread: the I/O thread. Owns: partitions' lists, the window, both sockets, the order of events.
 * Never: blocks for a broker (the set-up thread does), holds the lock while it calls back.
 *
 *   START --topics--> OPENING --granted--> PROBING --path known--> UDP
 *                        |  ^                |                     | |
 *                        |  +----------------+------- lost --------+ |
 *                        +--refused--> TCP <--no answer--------------+ */
#include "dataplane/client/producer_private.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define RETRY_MIN_NS   (100 * NS_PER_MS) /* first pause after a failure that may pass; doubles */
#define RETRY_MAX_NS   (2 * NS_PER_S)
#define EXPIRE_EVERY_NS (50 * NS_PER_MS)
#define TRIES_GONE     5                 /* UNKNOWN_TOPIC_OR_PARTITION so often: it is gone */
#define PROBE_TRIES    3
#define PROBE_FIRST_NS (60 * NS_PER_MS)  /* a PTO before the first round trip is known */
#define UDP_AGAIN_NS   (60 * NS_PER_S)
#define CLOSE_TRIES    3
#define TCP_TIMEOUT_MS 30000             /* the broker's, for acks -1 */
#define ROUNDS_MAX     8                 /* receive bursts per turn */

static const uint16_t probe_sizes[] = {8972, 8952, 1472, 1452, 1392, KUP_DGRAM_BASE};

enum io_state { IO_START, IO_OPENING, IO_PROBING, IO_UDP, IO_TCP };

struct io {
	struct kira_producer *p;
	enum io_state state;
	uint64_t now_ns;
	/* What this turn did, told to the application side by settle(). */
	uint64_t told, released;
	struct batch *freed;
	struct kira_producer_stats add;  /* sums since the last settle() */
	bool news;                       /* a route or reason changed */

	struct ckafka *anchor;           /* NULL: lost, or with the set-up thread */
	struct cudp *udp;
	struct ckafka_session session;
	struct cw_slot slots[KUP_WINDOW_MAX];
	struct client_window window;
	uint32_t path;                   /* datagram bytes that get through */
	unsigned probe_index, probe_tries;
	uint64_t probe_at_ns;
	uint64_t open_at_ns, repeat_at_ns, udp_again_ns;
	unsigned named;                  /* topics named in this session */
	bool was_kira, reset;
	uint8_t control[CUDP_BURST][KUP_DGRAM_MAX]; /* PING, QUERY: until the flush */

	struct ctcp *tcp;
	bool want_tcp;
	uint64_t tcp_at_ns;
	bool used_tcp, used_udp;

	bool want_raise;
	uint64_t raise_at_ns;
	bool job_running;

	struct batch *logged_head, *logged_tail;
	struct partition *queue_head, *queue_tail; /* partitions with something ready */
	uint32_t queue_length;
	uint64_t next_wait_ns;           /* the nearest wait_until_ns met while looking */
	uint64_t expire_at_ns;
	uint64_t linger_at_ns;
	uint64_t alive;                  /* batches admitted and not freed */

	struct cbatch_lz4 *lz4;
	uint8_t *scratch;
	size_t scratch_size;
};

/* ---- Lists ------------------------------------------------------------------------------- */

static void
list_remove(struct batch_list *list, struct batch *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		list->head = b->next;
	if (b->next)
		b->next->prev = b->prev;
	else
		list->tail = b->prev;
	b->next = b->prev = NULL;
}

/* By order, looking from the end where new ones go. */
static void
list_insert(struct batch_list *list, struct batch *b)
{
	struct batch *after = list->tail;

	while (after && after->order > b->order)
		after = after->prev;
	b->prev = after;
	b->next = after ? after->next : list->head;
	if (b->next)
		b->next->prev = b;
	else
		list->tail = b;
	if (after)
		after->next = b;
	else
		list->head = b;
}

static void
enqueue(struct io *io, struct partition *part)
{
	if (part->queued)
		return;
	part->queued = true;
	part->queue_next = NULL;
	if (io->queue_tail)
		io->queue_tail->queue_next = part;
	else
		io->queue_head = part;
	io->queue_tail = part;
	io->queue_length++;
}

static struct partition *
dequeue(struct io *io)
{
	struct partition *part = io->queue_head;

	io->queue_head = part->queue_next;
	if (!io->queue_head)
		io->queue_tail = NULL;
	io->queue_length--;
	part->queued = false;
	return part;
}

static void
logged_insert(struct io *io, struct batch *b)
{
	struct batch *after = io->logged_tail;

	while (after && serial_newer(after->pkt_seq, b->pkt_seq))
		after = after->logged_prev;
	b->logged_prev = after;
	b->logged_next = after ? after->logged_next : io->logged_head;
	if (b->logged_next)
		b->logged_next->logged_prev = b;
	else
		io->logged_tail = b;
	if (after)
		after->logged_next = b;
	else
		io->logged_head = b;
}

static void
logged_remove(struct io *io, struct batch *b)
{
	if (b->logged_prev)
		b->logged_prev->logged_next = b->logged_next;
	else
		io->logged_head = b->logged_next;
	if (b->logged_next)
		b->logged_next->logged_prev = b->logged_prev;
	else
		io->logged_tail = b->logged_prev;
	b->logged_next = b->logged_prev = NULL;
}

/* ---- Deliveries -------------------------------------------------------------------------- */

static void
tell(struct io *io, struct batch *b, int16_t error, int64_t base_offset)
{
	const struct kira_producer_options *o = &io->p->o;
	const uint32_t records = (uint32_t)b->build.count;
	const struct kira_delivery d = {
		.topic = b->part->topic,
		.partition = b->part->index,
		.error = error,
		.base_offset = base_offset,
		.records = records,
		.bytes = b->length,
		.latency_us = (io->now_ns - b->born_ns) / NS_PER_US,
	};

	if (b->told)
		return;
	b->told = true;
	io->told += records;
	if (error == 0) {
		io->add.records_delivered += records;
		io->add.bytes_delivered += b->length;
	} else {
		io->add.records_failed += records;
	}
	if (o->on_batch)
		o->on_batch(o->arg, &d);
	if (o->on_record)
		for (uint32_t i = 0; i < records; i++)
			o->on_record(o->arg, b->opaque[i], error,
				base_offset < 0 ? -1 : base_offset + i);
}

/* The batch is on no list any more. */
static void
release(struct io *io, struct batch *b)
{
	io->released += b->memory_bytes;
	io->alive--;
	b->next = io->freed;
	io->freed = b;
}

/* What was ordered after it cannot be stored in its sequence: a new epoch, and numbers from 0. */
static void
leave_gap(struct io *io, struct batch *b)
{
	if (b->sequenced && b->part->producer_id >= 0) {
		b->part->raising = true;
		enqueue(io, b->part);
	}
}

/* A batch on `ready` fails for good. */
static void
fail_ready(struct io *io, struct batch *b, int16_t error)
{
	list_remove(&b->part->ready, b);
	leave_gap(io, b);
	tell(io, b, error, -1);
	release(io, b);
}

static void
back_to_ready(struct io *io, struct batch *b)
{
	struct partition *part = b->part;

	list_remove(&part->sent, b);
	b->state = BATCH_READY;
	if (b->given_up) {
		leave_gap(io, b);
		release(io, b);
		return;
	}
	list_insert(&part->ready, b);
	enqueue(io, part);
}

static void
pause_partition(struct io *io, struct batch *b)
{
	uint64_t pause = RETRY_MIN_NS;

	for (unsigned i = 1; i < b->tries && pause < RETRY_MAX_NS; i++)
		pause *= 2;
	b->part->wait_until_ns = io->now_ns + MIN(pause, RETRY_MAX_NS);
}

static void
fence(struct io *io)
{
	pthread_mutex_lock(&io->p->lock);
	io->p->fatal = KIRA_E_INVALID_PRODUCER_EPOCH;
	io->news = true;
	pthread_mutex_unlock(&io->p->lock);
}

/* A batch that was sent appended nothing. It is on `sent` still, and no longer outstanding. */
static void
failed(struct io *io, struct batch *b, int16_t error)
{
	const bool idempotent = b->part->producer_id >= 0;

	if (b->tries < UINT8_MAX)
		b->tries++;
	switch (error) {
	case KIRA_E_CORRUPT_MESSAGE:
		break; /* the same again, at once */
	case KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER:
		if (!idempotent)
			break;
		/* Sent as the first of what was outstanding and refused all the same: the broker does
		 * not know what it had acked. Else an earlier one came too late: alone, next time. */
		if (b->sent_first)
			b->part->raising = true;
		b->alone = true;
		break;
	case KIRA_E_UNKNOWN_TOPIC_OR_PARTITION:
		if (b->tries >= TRIES_GONE)
			goto fatal;
		io->repeat_at_ns = io->now_ns; /* a topic made anew has another handle */
		io->named = 0;
		pause_partition(io, b);
		break;
	case KIRA_E_INVALID_PRODUCER_EPOCH:
		fence(io);
		goto fatal;
	case KIRA_E_KAFKA_STORAGE_ERROR:
	case KIRA_E_REQUEST_TIMED_OUT:
	case KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
	case 5: /* LEADER_NOT_AVAILABLE, and 6 NOT_LEADER_OR_FOLLOWER: of a Kafka broker */
	case 6:
		pause_partition(io, b);
		break;
	default:
		goto fatal;
	}
	back_to_ready(io, b);
	return;
fatal:
	list_remove(&b->part->sent, b);
	leave_gap(io, b);
	tell(io, b, error, -1);
	release(io, b);
}

static void
stored(struct io *io, struct batch *b, int64_t base_offset)
{
	list_remove(&b->part->sent, b);
	tell(io, b, 0, base_offset);
	release(io, b);
}

/* ---- Outcomes over UDP ------------------------------------------------------------------- */

static void
on_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
	struct io *io = arg;
	struct batch *b = slot->batch;

	b->part->outstanding--;
	enqueue(io, b->part);
	if (error != 0 && error != KIRA_E_DUPLICATE_SEQUENCE_NUMBER) {
		failed(io, b, error);
	} else if (io->p->o.acks == KIRA_ACKS_DISK && !b->told) {
		b->state = BATCH_LOGGED;
		b->base_offset = base_offset;
		logged_insert(io, b);
	} else {
		stored(io, b, base_offset);
	}
}

static void
on_disk(void *arg, uint32_t disk_seq)
{
	struct io *io = arg;

	while (io->logged_head && !serial_newer(io->logged_head->pkt_seq, disk_seq)) {
		struct batch *b = io->logged_head;

		logged_remove(io, b);
		enqueue(io, b->part);
		stored(io, b, b->base_offset);
	}
}

/* The session's packets have no outcome any more: all not at its level is sent again elsewhere. */
static void
recall_udp(struct io *io)
{
	for (unsigned i = 0; i < io->p->routed; i++)
		io->p->topic[i]->handle = 0;
	while (io->logged_head) {
		struct batch *b = io->logged_head;

		logged_remove(io, b);
		back_to_ready(io, b);
	}
	if (io->state == IO_UDP) {
		uint32_t seq = io->window.oldest_unknown;
		struct cw_slot *slot;

		io->add.datagrams += io->window.stats.sent;
		io->add.retransmits += io->window.stats.again;
		io->add.lost += io->window.stats.lost;
		io->add.probes += io->window.stats.probes;
		while ((slot = cw_unknown(&io->window, &seq)) != NULL) {
			struct batch *b = slot->batch;

			b->part->outstanding--;
			back_to_ready(io, b);
		}
		memset(&io->window.stats, 0, sizeof(io->window.stats));
	}
	io->named = 0;
}

static void
drop_udp(struct io *io)
{
	cudp_close(io->udp);
	io->udp = NULL;
	ckafka_close(io->anchor);
	io->anchor = NULL;
}

static void
lost(struct io *io, uint64_t pause_ns)
{
	recall_udp(io);
	drop_udp(io);
	io->state = IO_OPENING;
	io->open_at_ns = io->now_ns + pause_ns;
}

/* ---- Routes ------------------------------------------------------------------------------ */

static void
set_route(struct io *io, struct kira_topic *t, enum topic_route route, const char *why)
{
	pthread_mutex_lock(&io->p->lock);
	t->route = route;
	(void)snprintf(t->why, sizeof(t->why), "%s", why);
	if (route != ROUTE_UDP)
		(void)snprintf(io->p->why, sizeof(io->p->why), "%s", why);
	pthread_mutex_unlock(&io->p->lock);
	io->news = true;
}

static void
set_rooms(struct io *io)
{
	struct kira_producer *p = io->p;
	const uint32_t asked = p->o.batch_bytes ? p->o.batch_bytes : BATCH_TCP_BYTES;
	const uint32_t dgram = io->path - KUP_DATA_BATCH;

	pthread_mutex_lock(&p->lock);
	p->batch_room = io->state == IO_TCP ? asked : MIN(asked, dgram);
	p->single_max = p->o.transport == KIRA_TRANSPORT_UDP ? dgram : BATCH_MAX_BYTES;
	pthread_mutex_unlock(&p->lock);
}

static void
go_tcp(struct io *io, const char *why)
{
	recall_udp(io);
	drop_udp(io);
	io->state = IO_TCP;
	io->udp_again_ns = CW_NEVER;
	set_rooms(io);
	for (unsigned i = 0; i < io->p->routed; i++)
		set_route(io, io->p->topic[i], ROUTE_TCP, why);
}

/* No UDP: TCP where that is allowed; else new topics fail, those that had UDP go on trying. */
static void
no_udp(struct io *io, const char *why)
{
	struct kira_producer *p = io->p;

	if (p->o.transport == KIRA_TRANSPORT_AUTO) {
		go_tcp(io, why);
		return;
	}
	lost(io, NS_PER_S);
	for (unsigned i = 0; i < p->routed; i++)
		if (p->topic[i]->route == ROUTE_PENDING)
			set_route(io, p->topic[i], ROUTE_FAILED, why);
}

/* Handles for the topics that a session named; a route is told once the path is known as well. */
static void
route_named(struct io *io, const struct job *job)
{
	for (unsigned i = 0; i < job->topic_count; i++) {
		const struct ckafka_open_topic *named = &job->topics[i];
		struct kira_topic *t = job->topic[i];
		char why[256];

		t->handle = 0;
		if (named->error == 0 && named->ack_min <= (io->p->o.acks == KIRA_ACKS_DISK ? 2 : 1)) {
			t->handle = named->handle;
			if (io->state == IO_UDP && t->route != ROUTE_UDP)
				set_route(io, t, ROUTE_UDP, "");
			continue;
		}
		(void)snprintf(why, sizeof(why), "%s", named->error
			? kira_error_meaning(named->error)
			: "the topic's kira.ack.min is above the level asked for");
		if (io->p->o.transport == KIRA_TRANSPORT_AUTO)
			set_route(io, t, ROUTE_TCP, why);
		else if (t->route == ROUTE_PENDING)
			set_route(io, t, ROUTE_FAILED, why);
	}
	io->named += job->topic_count;
}

/* ---- Path probe -------------------------------------------------------------------------- */

static void
probe_from(struct io *io, unsigned index)
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
		.first_seq = 1,
	};

	io->path = path;
	io->state = IO_UDP;
	io->add.sessions++;
	cw_init(&io->window, &w, io->now_ns);
	set_rooms(io);
	for (unsigned i = 0; i < io->p->routed; i++)
		if (io->p->topic[i]->handle != 0 && io->p->topic[i]->route != ROUTE_UDP)
			set_route(io, io->p->topic[i], ROUTE_UDP, "");
	io->used_udp = io->news = true;
}

static void
probe_turn(struct io *io)
{
	char why[256];

	if (io->now_ns < io->probe_at_ns)
		return;
	if (io->probe_tries == PROBE_TRIES)
		probe_from(io, io->probe_index + 1);
	if (io->probe_index < ARRAY_LENGTH(probe_sizes)) {
		io->probe_tries++;
		io->probe_at_ns = io->now_ns + PROBE_FIRST_NS;
		cudp_send(io->udp, io->control[0],
			cwire_ping(io->control[0], probe_sizes[io->probe_index], &io->session.wire,
				probe_sizes[io->probe_index], cw_tx_ts(io->now_ns), 0));
		cudp_flush(io->udp);
		return;
	}
	(void)snprintf(why, sizeof(why), "no answer to a ping from %.100s UDP port %u; is it reachable "
		"from here, and is a firewall in between?", io->session.udp_host, io->session.udp_port);
	no_udp(io, why);
	io->udp_again_ns = io->now_ns + UDP_AGAIN_NS;
}

/* ---- Jobs of the set-up thread ----------------------------------------------------------- */

static void
post(struct io *io, enum job_kind kind)
{
	struct kira_producer *p = io->p;
	struct job *job = &p->job;

	memset(job, 0, sizeof(*job));
	job->kind = kind;
	job->was_kira = io->was_kira;
	job->id = (struct ckafka_producer_id){.producer_id = p->producer_id, .epoch = p->epoch};
	if (kind == JOB_OPEN) {
		unsigned from = 0;

		job->repeat = io->state == IO_UDP || io->state == IO_PROBING;
		if (job->repeat) {
			from = io->named;
			job->anchor = io->anchor;
			io->anchor = NULL;
			job->udp = io->udp;
			job->session_id = io->session.wire.id;
			job->secret = io->session.wire.secret;
		}
		for (unsigned i = from; i < p->routed; i++) {
			job->topic[job->topic_count] = p->topic[i];
			job->topics[job->topic_count++].name = p->topic[i]->name;
		}
	}
	io->job_running = true;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->job_posted);
	pthread_mutex_unlock(&p->lock);
}

static void
took_open(struct io *io, struct job *job)
{
	switch (job->verdict) {
	case OPEN_OK:
		io->was_kira = true;
		io->anchor = job->anchor;
		if (job->repeat) {
			route_named(io, job);
			io->repeat_at_ns = CW_NEVER;
			return;
		}
		io->udp = job->udp;
		io->session = job->session;
		io->named = 0;
		io->reset = false;
		io->state = IO_PROBING;
		io->repeat_at_ns = CW_NEVER;
		route_named(io, job);
		probe_from(io, 0);
		return;
	case OPEN_NO_SESSION:
		ckafka_close(job->anchor);
		if (job->repeat)
			lost(io, 0);
		else
			io->open_at_ns = io->now_ns + NS_PER_S;
		return;
	case OPEN_REFUSED:
		ckafka_close(job->anchor);
		if (job->repeat) {
			io->repeat_at_ns = io->now_ns + NS_PER_S;
			return;
		}
		cudp_close(job->udp);
		no_udp(io, job->err.text);
		return;
	case OPEN_AGAIN:
	default:
		ckafka_close(job->anchor);
		pthread_mutex_lock(&io->p->lock);
		(void)snprintf(io->p->why, sizeof(io->p->why), "%.250s", job->err.text);
		pthread_mutex_unlock(&io->p->lock);
		if (job->repeat) {
			io->repeat_at_ns = io->now_ns + job->retry_ms * NS_PER_MS;
		} else {
			cudp_close(job->udp);
			io->open_at_ns = io->now_ns + job->retry_ms * NS_PER_MS;
		}
	}
}

static void
took_raise(struct io *io, const struct job *job)
{
	io->raise_at_ns = io->now_ns + RETRY_MIN_NS;
	if (job->rc < 0)
		return;
	if (job->id.error == KIRA_E_INVALID_PRODUCER_EPOCH) {
		fence(io);
	} else if (job->id.error == 0) {
		io->p->producer_id = job->id.producer_id;
		io->p->epoch = job->id.epoch;
		io->want_raise = false;
		io->add.epochs_raised++;
	}
}

static void
took_tcp(struct io *io, const struct job *job)
{
	if (job->rc == 0)
		io->tcp = ctcp_open(job->fd, io->p->client_id);
	if (!io->tcp)
		io->tcp_at_ns = io->now_ns + 2 * RETRY_MIN_NS;
}

static void
take_job(struct io *io)
{
	struct job *job = &io->p->job;
	bool done;

	if (!io->job_running)
		return;
	pthread_mutex_lock(&io->p->lock);
	done = job->done;
	pthread_mutex_unlock(&io->p->lock);
	if (!done)
		return;
	io->job_running = false;
	if (job->kind == JOB_OPEN)
		took_open(io, job);
	else if (job->kind == JOB_RAISE)
		took_raise(io, job);
	else if (job->kind == JOB_TCP)
		took_tcp(io, job);
}

static bool
repeat_due(struct io *io)
{
	if (io->state != IO_UDP && io->state != IO_PROBING)
		return false;
	if (io->named < io->p->routed && (io->repeat_at_ns == CW_NEVER || io->now_ns >= io->repeat_at_ns))
		return true;
	if (!io->anchor && io->repeat_at_ns == CW_NEVER)
		io->repeat_at_ns = io->now_ns;
	/* "Do you live?", each second while probes go unanswered. */
	if (io->state == IO_UDP && io->window.probes >= KUP_PROBES && io->repeat_at_ns == CW_NEVER)
		io->repeat_at_ns = io->now_ns + NS_PER_S;
	return io->now_ns >= io->repeat_at_ns;
}

static void
job_turn(struct io *io)
{
	struct kira_producer *p = io->p;

	take_job(io);
	if (io->state == IO_START && p->routed > 0) {
		if (p->o.transport == KIRA_TRANSPORT_TCP) {
			io->state = IO_TCP;
			set_rooms(io);
			io->udp_again_ns = CW_NEVER;
		} else {
			io->state = IO_OPENING;
			io->open_at_ns = io->now_ns;
		}
	}
	if (io->state == IO_TCP) {
		for (unsigned i = 0; i < p->routed; i++)
			if (p->topic[i]->route == ROUTE_PENDING)
				set_route(io, p->topic[i], ROUTE_TCP, p->why);
		if (io->now_ns >= io->udp_again_ns && (!io->tcp || ctcp_in_flight(io->tcp) == 0)) {
			io->state = IO_OPENING;
			io->open_at_ns = io->now_ns;
		}
	}
	if (io->job_running)
		return;
	if (io->state == IO_OPENING && io->now_ns >= io->open_at_ns && p->routed > 0)
		post(io, JOB_OPEN);
	else if (repeat_due(io))
		post(io, JOB_OPEN);
	else if (io->want_tcp && !io->tcp && io->now_ns >= io->tcp_at_ns)
		post(io, JOB_TCP);
	else if (io->want_raise && io->now_ns >= io->raise_at_ns)
		post(io, JOB_RAISE);
}

/* ---- Admitting batches ------------------------------------------------------------------- */

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

/* Closed batches, and open ones whose linger is over or that somebody flushes for. */
static void
admit(struct io *io)
{
	struct kira_producer *p = io->p;
	struct batch *list;

	pthread_mutex_lock(&p->lock);
	p->io_sleeps = false;
	p->routed = p->topics;
	while (p->open_head && (p->flushing > 0 || p->stopping
			|| io->now_ns >= p->open_head->born_ns + p->o.linger_us * NS_PER_US)) {
		struct batch *b = p->open_head;

		p->open_head = b->next;
		if (b->next)
			b->next->prev = NULL;
		else
			p->open_tail = NULL;
		b->next = NULL;
		b->part->open = NULL;
		if (p->closed_tail)
			p->closed_tail->next = b;
		else
			p->closed_head = b;
		p->closed_tail = b;
	}
	io->linger_at_ns = p->open_head
		? p->open_head->born_ns + p->o.linger_us * NS_PER_US : CW_NEVER;
	list = p->closed_head;
	p->closed_head = p->closed_tail = NULL;
	pthread_mutex_unlock(&p->lock);
	while (list) {
		struct batch *b = list;

		list = b->next;
		b->next = b->prev = NULL;
		pack(io, b);
		b->state = BATCH_READY;
		list_insert(&b->part->ready, b);
		enqueue(io, b->part);
		io->alive++;
	}
}

/* ---- Which batch next -------------------------------------------------------------------- */

/* Its partition's first: may it go now, and over UDP? */
static bool
fits_udp(const struct io *io, const struct batch *b)
{
	return io->state == IO_UDP && b->part->topic->handle != 0
		&& b->length + KUP_DATA_BATCH <= io->path;
}

static bool
raise_partition(struct io *io, struct partition *part)
{
	if (part->sent.head || io->p->fatal)
		return false;
	if (part->producer_id == io->p->producer_id && part->epoch == io->p->epoch) {
		io->want_raise = true;
		return false;
	}
	part->producer_id = io->p->producer_id;
	part->epoch = io->p->epoch;
	part->next_sequence = 0;
	part->raising = false;
	for (struct batch *b = part->ready.head; b; b = b->next) {
		b->sequenced = false;
		b->alone = false;
	}
	return true;
}

static bool
sendable(struct io *io, struct partition *part, bool tcp)
{
	const struct batch *b = part->ready.head;
	bool udp;

	if (part->raising && !raise_partition(io, part))
		return false;
	if (io->now_ns < part->wait_until_ns) {
		io->next_wait_ns = MIN(io->next_wait_ns, part->wait_until_ns);
		return false;
	}
	if (b->alone && part->outstanding > 0)
		return false;
	udp = fits_udp(io, b);
	if (!tcp)
		return udp && part->outstanding_tcp == 0;
	if (udp || (io->state != IO_UDP && io->state != IO_TCP))
		return false;
	/* Beside UDP a TCP batch goes alone: it would not be held if it came early. */
	return io->state == IO_TCP ? part->outstanding == part->outstanding_tcp
				   : part->outstanding == 0;
}

/* The next batch to send by that transport, in turn over the partitions; NULL: none may go. */
static struct batch *
next_batch(struct io *io, bool tcp)
{
	for (uint32_t n = io->queue_length; n > 0; n--) {
		struct partition *part = dequeue(io);
		struct batch *b = part->ready.head;

		if (!b && !part->raising)
			continue;
		if (!b) { /* nothing to renumber: the next batch finds the new epoch */
			if (!raise_partition(io, part))
				enqueue(io, part);
			continue;
		}
		enqueue(io, part);
		if (sendable(io, part, tcp))
			return b;
	}
	return NULL;
}

static void
number(struct io *io, struct batch *b)
{
	struct partition *part = b->part;
	struct cbatch_identity id;

	if (io->p->o.no_idempotence || b->sequenced)
		return;
	/* Nothing of the old epoch is outstanding: take the producer's present one. */
	if (!part->sent.head && (part->producer_id != io->p->producer_id
				|| part->epoch != io->p->epoch)) {
		part->producer_id = io->p->producer_id;
		part->epoch = io->p->epoch;
		part->next_sequence = 0;
	}
	b->base_sequence = part->next_sequence;
	b->sequenced = true;
	part->next_sequence = rb_sequence_add(part->next_sequence, b->build.count);
	id = (struct cbatch_identity){part->producer_id, part->epoch, b->base_sequence};
	cbatch_restamp(b->build.p, b->length, &id);
}

static void
sending(struct io *io, struct batch *b, enum batch_state state)
{
	struct partition *part = b->part;

	number(io, b);
	b->sent_first = part->outstanding == 0;
	list_remove(&part->ready, b);
	list_insert(&part->sent, b);
	b->state = (uint8_t)state;
	part->outstanding++;
	if (!b->handed) {
		b->handed = true;
		if (state == BATCH_UDP)
			io->add.batches_udp++;
		else
			io->add.batches_tcp++;
	}
	if (io->p->o.acks == KIRA_ACKS_NONE)
		tell(io, b, 0, -1);
}

/* ---- UDP --------------------------------------------------------------------------------- */

static void
send_data(struct io *io, const struct cw_slot *slot)
{
	struct batch *b = slot->batch;

	cwire_data(b->memory, &io->session.wire, slot->seq, slot->tx_ts, slot->handle, slot->partition,
		slot->ack_now ? KUP_FLAG_ACK_NOW : 0, slot->copies - 1);
	cudp_send(io->udp, b->memory, cwire_data_length(b->length));
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
			struct batch *b = next_batch(io, false);
			struct cw_slot *slot;

			if (!b)
				break;
			sending(io, b, BATCH_UDP);
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
	if (io->probe_index < ARRAY_LENGTH(probe_sizes)
			&& in->pong.id == probe_sizes[io->probe_index]) {
		begin_udp(io, probe_sizes[io->probe_index]);
		cw_pong(&io->window, in->pong.ts_echo, io->now_ns);
	}
}

static void
udp_receive_turn(struct io *io)
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

static void
send_close(struct io *io)
{
	cudp_send(io->udp, io->control[0], cwire_close(io->control[0], &io->session.wire, 1));
	cudp_flush(io->udp);
}

/* Probes go unanswered although TCP answers: datagrams do not get through. */
static void
judge_silence(struct io *io)
{
	if (io->window.probes < KUP_PROBES || !io->anchor
			|| io->now_ns - io->window.heard_ns < KUP_UDP_DEAD_MS * NS_PER_MS)
		return;
	send_close(io);
	no_udp(io, "datagrams get no answer any more, while TCP does");
	io->udp_again_ns = io->now_ns + UDP_AGAIN_NS;
}

static void
udp_turn(struct io *io)
{
	if (!io->udp)
		return;
	udp_receive_turn(io);
	if (io->reset) {
		/* A running repeat still has the socket's number in hand. */
		if (!io->job_running)
			lost(io, 0);
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

/* ---- TCP --------------------------------------------------------------------------------- */

static void
on_produced(void *arg, void *user, const struct ckafka_produced *res)
{
	struct io *io = arg;
	struct batch *b = user;

	b->part->outstanding--;
	b->part->outstanding_tcp--;
	enqueue(io, b->part);
	if (res->error == 0 || res->error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER)
		stored(io, b, res->error ? -1 : res->base_offset);
	else
		failed(io, b, res->error);
}

static void
tcp_over(struct io *io)
{
	struct batch *b;

	while ((b = ctcp_recall(io->tcp)) != NULL) {
		b->part->outstanding--;
		b->part->outstanding_tcp--;
		back_to_ready(io, b);
	}
	ctcp_close(io->tcp);
	io->tcp = NULL;
	io->tcp_at_ns = io->now_ns + RETRY_MIN_NS;
}

static void
tcp_turn(struct io *io)
{
	const int16_t acks = io->p->o.acks == KIRA_ACKS_DISK ? -1 : 1;
	struct err err = {""};

	while (io->queue_length > 0 && (!io->tcp || ctcp_in_flight(io->tcp) < CTCP_IN_FLIGHT)) {
		struct batch *b = next_batch(io, true);

		io->want_tcp = b != NULL;
		if (!b || !io->tcp)
			break;
		sending(io, b, BATCH_TCP);
		b->part->outstanding_tcp++;
		if (!ctcp_send(io->tcp, b, b->part->topic->name, b->part->index, acks, TCP_TIMEOUT_MS,
				b->build.p, b->length)) {
			b->part->outstanding--;
			b->part->outstanding_tcp--;
			b->part->wait_until_ns = io->now_ns + RETRY_MIN_NS;
			back_to_ready(io, b);
			break;
		}
		io->used_tcp = io->news = true;
	}
	if (io->tcp && ctcp_turn(io->tcp, on_produced, io, &err) < 0) {
		pthread_mutex_lock(&io->p->lock);
		(void)snprintf(io->p->why, sizeof(io->p->why), "%.250s", err.text);
		pthread_mutex_unlock(&io->p->lock);
		tcp_over(io);
	}
}

/* ---- Time-outs, and what the application side learns ------------------------------------- */

static void
expire_partition(struct io *io, struct partition *part, int16_t fatal)
{
	while (part->ready.head && (fatal || io->now_ns >= part->ready.head->deadline_ns))
		fail_ready(io, part->ready.head, fatal ? fatal : KIRA_E_REQUEST_TIMED_OUT);
	/* What is on its way cannot be withdrawn: told now, forgotten when its outcome is known. */
	for (struct batch *b = part->sent.head; b && io->now_ns >= b->deadline_ns; b = b->next) {
		b->given_up = true;
		tell(io, b, KIRA_E_REQUEST_TIMED_OUT, -1);
	}
}

static void
expire_turn(struct io *io)
{
	if (io->alive == 0 || io->now_ns < io->expire_at_ns)
		return;
	io->expire_at_ns = io->now_ns + EXPIRE_EVERY_NS;
	for (unsigned i = 0; i < io->p->routed; i++)
		for (int32_t k = 0; k < io->p->topic[i]->partitions; k++)
			expire_partition(io, &io->p->topic[i]->part[k], io->p->fatal);
}

static const char *
transport_name(const struct io *io)
{
	if (io->used_udp && io->used_tcp)
		return "udp+tcp";
	if (io->used_udp)
		return "udp";
	return io->used_tcp || io->state == IO_TCP ? "tcp" : "none";
}

static void
settle(struct io *io)
{
	struct kira_producer *p = io->p;
	struct kira_producer_stats *s = &p->stats;
	const struct cw_stats *w = &io->window.stats;

	pthread_mutex_lock(&p->lock);
	p->untold -= io->told;
	p->buffered -= io->released;
	s->records_delivered += io->add.records_delivered;
	s->records_failed += io->add.records_failed;
	s->bytes_delivered += io->add.bytes_delivered;
	s->batches_udp += io->add.batches_udp;
	s->batches_tcp += io->add.batches_tcp;
	s->sessions += io->add.sessions;
	s->epochs_raised += io->add.epochs_raised;
	/* Those of earlier sessions were summed up by recall_udp(). */
	io->add = (struct kira_producer_stats){.datagrams = io->add.datagrams,
		.retransmits = io->add.retransmits, .lost = io->add.lost, .probes = io->add.probes};
	s->datagrams = io->add.datagrams + w->sent;
	s->retransmits = io->add.retransmits + w->again;
	s->lost = io->add.lost + w->lost;
	s->probes = io->add.probes + w->probes;
	s->rtt_us = io->window.have_rtt ? io->window.srtt_ns / NS_PER_US : 0;
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
	if (io->told > 0 || io->released > 0 || io->news)
		pthread_cond_broadcast(&p->room);
	pthread_mutex_unlock(&p->lock);
	io->told = io->released = 0;
	io->news = false;
}

/* ---- The loop ---------------------------------------------------------------------------- */

static uint64_t
wake_at(struct io *io)
{
	uint64_t at = MIN(io->linger_at_ns, io->next_wait_ns);

	if (io->alive > 0)
		at = MIN(at, io->expire_at_ns);
	if (io->state == IO_UDP)
		at = MIN(at, cw_deadline(&io->window, io->now_ns));
	if (io->state == IO_TCP)
		at = MIN(at, io->udp_again_ns);
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
		&& !(p->flushing > 0 && p->open_head) && !(io->job_running && p->job.done)
		&& !(p->open_head && io->linger_at_ns == CW_NEVER);
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

/* CLOSE until the broker says RESET, so that it need not wait for the lease. */
static void
close_session(struct io *io)
{
	for (unsigned i = 0; i < CLOSE_TRIES && !io->reset; i++) {
		struct pollfd pfd = {.fd = cudp_fd(io->udp), .events = POLLIN};
		const uint64_t until = clock_now_ns() + MAX(io->window.pto_ns, 20 * NS_PER_MS);

		send_close(io);
		while (!io->reset && (io->now_ns = clock_now_ns()) < until) {
			(void)poll(&pfd, 1, (int)((until - io->now_ns) / NS_PER_MS) + 1);
			udp_receive_turn(io);
		}
	}
}

static void
finish(struct io *io)
{
	while (io->job_running) {
		take_job(io);
		if (io->job_running && announce_sleep(io))
			sleep_until(io, io->now_ns + NS_PER_S);
		else if (io->job_running)
			(void)usleep(1000);
	}
	if (io->state == IO_UDP && io->anchor)
		close_session(io);
	recall_udp(io);
	if (io->tcp)
		tcp_over(io);
	for (unsigned i = 0; i < io->p->routed; i++) {
		for (int32_t k = 0; k < io->p->topic[i]->partitions; k++) {
			struct partition *part = &io->p->topic[i]->part[k];

			while (part->ready.head)
				fail_ready(io, part->ready.head, KIRA_E_REQUEST_TIMED_OUT);
		}
	}
	drop_udp(io);
	settle(io);
}

static void
io_turn(struct io *io)
{
	io->now_ns = clock_now_ns();
	io->next_wait_ns = CW_NEVER;
	admit(io);
	job_turn(io);
	udp_turn(io);
	tcp_turn(io);
	expire_turn(io);
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
	finish(io);
	cbatch_lz4_free(io->lz4);
	free(io->scratch);
	free(io);
	return NULL;
}
