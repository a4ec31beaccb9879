/* SPDX-License-Identifier: MIT
 * producer_batches.c - batches from ready to told: their order within a partition, sequence numbers and
 * epochs, what each failure means, delivery time-outs.
 * Thread: the I/O thread. Owns: the lists of every partition. Never: touches a socket. */
#include "dataplane/client/producer_io.h"

#include "base/bug.h"

#define EXPIRE_EVERY_NS (50 * NS_PER_MS)
#define GONE_NS         (2 * NS_PER_S) /* a topic is missing for so long: it is gone, not made anew */
#define TRIES_AT_ONCE   3 /* CORRUPT_MESSAGE more often: the line or the memory is bad */
/* A broker forgets a producer that stored nothing in a partition for 24 h, sooner where there are many or
 * it is told so. From the last success on it is believed to remember for so long; more would save a
 * round trip a minute, in a partition where nothing goes on. */
#define KNOWN_NS        (60 * NS_PER_S)

/* ---- Lists --------------------------------------------------------------------------------- */

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

void
partition_queue(struct io *io, struct partition *part)
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

/* Off `ready`; were it the last one there, what stayed open behind it is due. */
static void
unready(struct io *io, struct batch *b)
{
	list_remove(&b->part->ready, b);
	if (io->held_open && !b->part->ready.head)
		io->linger_at_ns = io->now_ns;
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

/* It has just told a success. */
static void
broker_knows(const struct io *io, struct partition *part)
{
	part->known_until_ns = io->now_ns + KNOWN_NS;
}

void
batch_logged(struct io *io, struct batch *b, int64_t base_offset)
{
	struct batch *after = io->logged_tail;

	b->state = BATCH_LOGGED;
	broker_knows(io, b->part);
	b->base_offset = base_offset;
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

void
batch_unlogged(struct io *io, struct batch *b)
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

/* ---- Deliveries and failures --------------------------------------------------------------- */

static void
batch_tell(struct io *io, struct batch *b, int16_t error, int64_t base_offset)
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
	b->told_next = io->told;
	io->told = b;
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
batch_release(struct io *io, struct batch *b)
{
	io->released += b->memory_bytes;
	io->alive--;
	b->next = io->freed;
	io->freed = b;
}

/* What was ordered after it cannot be stored in its sequence: a new epoch, and numbers from 0, once the
 * outcome of all that was sent is known (may_renumber()). */
static void
leave_gap(struct io *io, struct batch *b)
{
	if (b->sequenced && b->part->producer_id >= 0) {
		b->part->raising = true;
		partition_queue(io, b->part);
	}
}

/* For good. Any code but 7 promises that it is not stored, which nobody knows of what an earlier sending became. A
 * topic that is gone took what it had with it. */
static void
tell_failed(struct io *io, struct batch *b, int16_t error)
{
	const bool perhaps = b->unknown && error != KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;

	leave_gap(io, b);
	batch_tell(io, b, perhaps ? KIRA_E_REQUEST_TIMED_OUT : error, -1);
	batch_release(io, b);
}

/* A batch on `ready` fails. */
static void
fail_ready(struct io *io, struct batch *b, int16_t error)
{
	unready(io, b);
	tell_failed(io, b, error);
}

void
batch_back(struct io *io, struct batch *b)
{
	struct partition *part = b->part;

	list_remove(&part->sent, b);
	b->state = BATCH_READY;
	if (b->given_up) {
		leave_gap(io, b);
		batch_release(io, b);
		return;
	}
	list_insert(&part->ready, b);
	partition_queue(io, part);
}

void
batches_forgotten(struct io *io)
{
	for (unsigned i = 0; i < io->p->routed; i++)
		for (int32_t k = 0; k < io->p->topic[i]->partitions; k++)
			io->p->topic[i]->part[k].known_until_ns = 0;
}

void
batch_ready(struct io *io, struct batch *b)
{
	b->state = BATCH_READY;
	list_insert(&b->part->ready, b);
	partition_queue(io, b->part);
	io->alive++;
}

static void
pause_partition(struct io *io, struct batch *b)
{
	uint64_t pause = RETRY_MIN_NS;

	for (unsigned i = 1; i < b->tries && pause < RETRY_MAX_NS; i++)
		pause *= 2;
	b->part->wait_until_ns = io->now_ns + MIN(pause, RETRY_MAX_NS);
}

void
producer_trouble(struct io *io, const char *text)
{
	pthread_mutex_lock(&io->p->lock);
	(void)snprintf(io->p->trouble, sizeof(io->p->trouble), "%.250s", text);
	pthread_mutex_unlock(&io->p->lock);
}

void
producer_fence(struct io *io)
{
	pthread_mutex_lock(&io->p->lock);
	io->p->fatal = KIRA_E_INVALID_PRODUCER_EPOCH;
	io->news = true;
	pthread_mutex_unlock(&io->p->lock);
}

void
topic_missing(struct io *io, struct kira_topic *t)
{
	if (t->missing_ns == 0)
		t->missing_ns = io->now_ns;
	if (io->now_ns - t->missing_ns < GONE_NS)
		return;
	/* All at once: batch by batch, each with its pauses, would take for ever. */
	for (int32_t i = 0; i < t->partitions; i++)
		while (t->part[i].ready.head)
			fail_ready(io, t->part[i].ready.head, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
}

/* A batch that was sent appended nothing. It is on `sent` still, and no longer outstanding. */
void
batch_failed(struct io *io, struct batch *b, int16_t error)
{
	struct partition *part = b->part;
	const bool idempotent = part->producer_id >= 0;

	if (b->tries < UINT8_MAX)
		b->tries++;
	/* Of an earlier sending only a verdict over its number tells: a partition that failed answers
	 * 56 to what it holds, too. */
	b->unknown = error == KIRA_E_REQUEST_TIMED_OUT
		|| error == KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND
		|| (b->was_unknown && error != KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER && !BUG(46));
	switch (error) {
	case KIRA_E_CORRUPT_MESSAGE:
		/* The same again, at once; not for ever at full speed. */
		if (b->tries > TRIES_AT_ONCE)
			pause_partition(io, b);
		break;
	case KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER:
		if (!idempotent)
			break;
		/* Sent as the first of what was outstanding and refused all the same: one before it
		 * was given up, or the broker does not know what it had acked. Else an earlier one
		 * came too late: alone, next time. */
		if (b->sent_first)
			part->raising = true;
		b->alone = true;
		break;
	case KIRA_E_UNKNOWN_TOPIC_OR_PARTITION:
		io->repeat_at_ns = io->now_ns; /* a topic made anew has another handle */
		io->named = 0;
		pause_partition(io, b);
		batch_back(io, b);
		topic_missing(io, part->topic);
		return;
	case KIRA_E_INVALID_PRODUCER_EPOCH:
		producer_fence(io);
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
	batch_back(io, b);
	return;
fatal:
	list_remove(&part->sent, b);
	tell_failed(io, b, error);
}

void
batch_stored(struct io *io, struct batch *b, int64_t base_offset)
{
	list_remove(&b->part->sent, b);
	b->part->topic->missing_ns = 0;
	broker_knows(io, b->part);
	io->moved = true;
	batch_tell(io, b, 0, base_offset);
	batch_release(io, b);
}

/* ---- Which batch next, and its number ------------------------------------------------------ */

/* A number may be replaced only where it is known not to be stored, else the record would be stored
 * twice: so what was sent and has no outcome goes again first, under its old number. Behind one that
 * was refused nothing of the old epoch can be stored. */
static bool
may_renumber(const struct partition *part)
{
	const struct batch *b = part->ready.head;

	return (!part->sent.head && !(b && b->sequenced && b->unknown)) || BUG(33);
}

/* The producer's present id and epoch, numbers from 0. */
static void
renew(struct io *io, struct partition *part)
{
	if (part->producer_id != io->p->producer_id)
		part->known_until_ns = 0;
	part->producer_id = io->p->producer_id;
	part->epoch = io->p->epoch;
	part->next_sequence = 0;
}

static bool
raise_partition(struct io *io, struct partition *part)
{
	if (!may_renumber(part) || io->p->fatal)
		return false;
	if (part->producer_id == io->p->producer_id && part->epoch == io->p->epoch) {
		io->want_raise = true;
		return false;
	}
	renew(io, part);
	part->raising = false;
	for (struct batch *b = part->ready.head; b; b = b->next) {
		b->sequenced = false;
		b->alone = false;
		b->unknown = false;
	}
	return true;
}

/* Its partition's first: may it go now, and over UDP? */
static bool
fits_udp(const struct io *io, const struct batch *b)
{
	return io->state == IO_UDP && b->part->topic->handle != 0
		&& b->length + KUP_DATA_BATCH <= io->path;
}

/* Of this producer id the broker may know nothing in the partition: it has not told of anything stored since
 * the session or connection began, or for long. */
static bool
perhaps_forgotten(const struct io *io, const struct partition *part)
{
	if (BUG(54))
		return part->known_until_ns == 0;
	return io->now_ns >= part->known_until_ns && !BUG(50);
}

static bool
sendable(struct io *io, struct partition *part, bool tcp)
{
	const struct batch *b = part->ready.head;
	bool udp;

	if (part->raising && !raise_partition(io, part)) {
		/* No newer epoch yet; or the first one's old number is tried first, by itself. */
		if (!b->unknown || part->sent.head || io->p->fatal)
			return false;
	}
	if (io->now_ns < part->wait_until_ns) {
		io->next_wait_ns = MIN(io->next_wait_ns, part->wait_until_ns);
		return false;
	}
	if (b->alone && part->outstanding > 0)
		return false;
	/* Once round. A broker that has forgotten the producer (24 h) takes number 0, with which one begins,
	 * though what was sent before it is missing: so it goes when nothing of that is out. */
	if (!b->sequenced && part->next_sequence == 0 && part->sent.head && !io->p->o.no_idempotence && !BUG(53))
		return false;
	udp = fits_udp(io, b);
	if (!tcp)
		return udp && part->outstanding_tcp == 0;
	if (udp || io->p->o.transport == KIRA_TRANSPORT_UDP
			|| (io->state != IO_UDP && io->state != IO_TCP))
		return false;
	/* Over TCP a broker takes any first number of a producer it does not know, as Kafka does. Were the
	 * first batch refused (a full disk), Kafka would store the second before it; kirad refuses that, too,
	 * as long as it remembers, and then all that was sent comes again. */
	if (perhaps_forgotten(io, part) && part->outstanding > 0 && !io->p->o.no_idempotence)
		return false;
	/* Beside UDP a TCP batch goes alone: it would not be held if it came early. At level disk nothing
	 * waits for the disk either: a power cut may take it, the session does not know yet, and over
	 * TCP the new kirad would take a number from the middle. */
	return io->state == IO_TCP ? part->outstanding == part->outstanding_tcp
		: BUG(45) ? part->outstanding == 0 : !part->sent.head;
}

/* The next batch to send by that transport, in turn over the partitions; NULL: none may go. */
struct batch *
batch_next(struct io *io, bool tcp)
{
	for (uint32_t n = io->queue_length; n > 0; n--) {
		struct partition *part = dequeue(io);
		struct batch *b = part->ready.head;

		if (!b && !part->raising)
			continue;
		if (!b) { /* nothing to renumber: the next batch finds the new epoch */
			if (!raise_partition(io, part))
				partition_queue(io, part);
			continue;
		}
		partition_queue(io, part);
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
				|| part->epoch != io->p->epoch))
		renew(io, part);
	b->base_sequence = part->next_sequence;
	b->sequenced = true;
	part->next_sequence = rb_sequence_add(part->next_sequence, b->build.count);
	id = (struct cbatch_identity){part->producer_id, part->epoch, b->base_sequence};
	cbatch_restamp(b->build.p, b->length, &id);
}

void
batch_sending(struct io *io, struct batch *b, enum batch_state state)
{
	struct partition *part = b->part;

	number(io, b);
	b->was_unknown = b->unknown;
	b->unknown = true;
	b->sent_first = part->outstanding == 0;
	unready(io, b);
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
		batch_tell(io, b, 0, -1);
}

/* ---- Time-outs ----------------------------------------------------------------------------- */

static void
expire_partition(struct io *io, struct partition *part, int16_t fatal)
{
	while (part->ready.head && (fatal || io->now_ns >= part->ready.head->deadline_ns))
		fail_ready(io, part->ready.head, fatal ? fatal : KIRA_E_REQUEST_TIMED_OUT);
	/* What is on its way cannot be withdrawn: told now, forgotten when its outcome is known. */
	for (struct batch *b = part->sent.head; b && io->now_ns >= b->deadline_ns; b = b->next) {
		b->given_up = true;
		batch_tell(io, b, KIRA_E_REQUEST_TIMED_OUT, -1);
	}
}

void
batches_expire(struct io *io)
{
	if (io->alive == 0 || io->now_ns < io->expire_at_ns)
		return;
	io->expire_at_ns = io->now_ns + EXPIRE_EVERY_NS;
	for (unsigned i = 0; i < io->p->routed; i++)
		for (int32_t k = 0; k < io->p->topic[i]->partitions; k++)
			expire_partition(io, &io->p->topic[i]->part[k], io->p->fatal);
}

void
batches_fail_all(struct io *io)
{
	for (unsigned i = 0; i < io->p->routed; i++) {
		for (int32_t k = 0; k < io->p->topic[i]->partitions; k++) {
			struct partition *part = &io->p->topic[i]->part[k];

			while (part->ready.head)
				fail_ready(io, part->ready.head, KIRA_E_REQUEST_TIMED_OUT);
		}
	}
}
