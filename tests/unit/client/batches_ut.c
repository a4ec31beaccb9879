/* SPDX-License-Identifier: MIT
 * batches_ut.c - dataplane/client/producer_batches.c: order, numbers and what follows from a failure,
 * over UDP to a broker that is played by the test. */
#include "dataplane/client/producer_batches.c"

#include "tests/unit/ut.h"

#include <stdlib.h>

static struct kira_producer producer;
static struct io io;
static struct kira_topic *topic;
static struct partition *part;
static unsigned told;
static int16_t told_error;
static struct batch *made[32]; /* nobody else frees them here */
static unsigned mades;

static void
on_batch(void *arg, const struct kira_delivery *d)
{
	(void)arg;
	told++;
	told_error = d->error;
}

static void
fresh(void)
{
	while (mades) {
		free(made[--mades]->memory);
		free(made[mades]);
	}
	memset(&io, 0, sizeof(io));
	memset(&producer, 0, sizeof(producer));
	free(topic);
	topic = calloc(1, sizeof(*topic) + sizeof(struct partition));
	topic->producer = &producer;
	topic->partitions = 1;
	topic->handle = 1;
	part = &topic->part[0];
	part->topic = topic;
	part->producer_id = producer.producer_id = 9;
	producer.topic[0] = topic;
	producer.topics = producer.routed = 1;
	producer.o.acks = KIRA_ACKS_LOG;
	producer.o.on_batch = on_batch;
	(void)pthread_mutex_init(&producer.lock, NULL);
	io.p = &producer;
	io.state = IO_UDP;
	io.path = 1472;
	io.now_ns = NS_PER_S;
	told = 0;
}

/* A batch of two records that is ready to go. */
static struct batch *
make(uint64_t order)
{
	struct batch *b = calloc(1, sizeof(*b));

	b->memory_bytes = 1024;
	b->memory = calloc(1, b->memory_bytes);
	b->part = part;
	b->order = order;
	b->deadline_ns = io.now_ns + 100 * NS_PER_S;
	cbatch_open(&b->build, b->memory, 1024);
	(void)cbatch_add(&b->build, 1, NULL, 0, "a", 1);
	(void)cbatch_add(&b->build, 1, NULL, 0, "b", 1);
	b->length = cbatch_close(&b->build, NULL, false);
	batch_ready(&io, b);
	CU_ASSERT_FATAL(mades < ARRAY_LENGTH(made));
	made[mades++] = b;
	return b;
}

/* NULL: none may go. */
static struct batch *
send_next(void)
{
	struct batch *b = batch_next(&io, false);

	if (b)
		batch_sending(&io, b, BATCH_UDP);
	return b;
}

static void
refused(struct batch *b, int16_t error)
{
	part->outstanding--;
	batch_failed(&io, b, error);
	partition_queue(&io, part);
}

static void
succeeded(struct batch *b)
{
	part->outstanding--;
	batch_stored(&io, b, 0);
	partition_queue(&io, part);
}

static void
no_outcome(struct batch *b)
{
	part->outstanding--;
	batch_back(&io, b);
}

static void
batches_go_in_order_with_numbers_without_gaps(void)
{
	struct batch *b[3];

	fresh();
	for (unsigned i = 0; i < 3; i++)
		b[i] = make(i);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_PTR_EQUAL(send_next(), b[i]);
		CU_ASSERT_EQUAL(b[i]->base_sequence, 2 * (int32_t)i);
	}
	CU_ASSERT_PTR_NULL(send_next());
	/* Lost with the session: the same numbers, in the same order. */
	for (unsigned i = 3; i-- > 0;)
		no_outcome(b[i]);
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_PTR_EQUAL(send_next(), b[i]);
		CU_ASSERT_EQUAL(b[i]->base_sequence, 2 * (int32_t)i);
	}
}

static void
what_was_overtaken_goes_alone_under_its_old_number(void)
{
	struct batch *a, *b, *c;

	fresh();
	a = make(0);
	b = make(1);
	c = make(2);
	(void)send_next();
	(void)send_next();
	refused(b, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_FALSE(part->raising);
	CU_ASSERT_PTR_NULL(send_next()); /* not while a is outstanding, nor c before b */
	succeeded(a);
	CU_ASSERT_PTR_EQUAL(send_next(), b);
	CU_ASSERT_EQUAL(b->base_sequence, 2);
	CU_ASSERT_PTR_EQUAL(send_next(), c);
}

static void
a_failure_for_good_renumbers_the_later_ones_in_a_newer_epoch(void)
{
	struct batch *a, *b;

	fresh();
	a = make(0);
	b = make(1);
	(void)send_next();
	(void)send_next();
	refused(a, KIRA_E_INVALID_TIMESTAMP);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_error, KIRA_E_INVALID_TIMESTAMP);
	refused(b, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_PTR_NULL(send_next());
	CU_ASSERT_TRUE(io.want_raise);
	producer.epoch = 1;
	CU_ASSERT_PTR_EQUAL(send_next(), b);
	CU_ASSERT_EQUAL(b->base_sequence, 0);
	CU_ASSERT_EQUAL(part->epoch, 1);
	CU_ASSERT_EQUAL(rb_base_sequence(b->build.p), 0);
	CU_ASSERT_EQUAL(rb_producer_epoch(b->build.p), 1);
}

static void
a_number_that_may_be_stored_is_not_replaced(void)
{
	struct batch *a, *b, *c;

	fresh();
	a = make(0);
	b = make(1);
	c = make(2);
	a->deadline_ns = io.now_ns + 1;
	(void)send_next();
	(void)send_next();
	no_outcome(b);
	no_outcome(a);
	/* a is given up while nobody knows whether a and b are stored. */
	io.now_ns += NS_PER_S;
	batches_expire(&io);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_error, KIRA_E_REQUEST_TIMED_OUT);
	producer.epoch = 1;
	CU_ASSERT_PTR_EQUAL(send_next(), b);
	CU_ASSERT_EQUAL(b->base_sequence, 2);
	CU_ASSERT_EQUAL(rb_producer_epoch(b->build.p), 0);
	CU_ASSERT_PTR_NULL(send_next());
	/* Not stored after all: from here on the new epoch. */
	refused(b, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_PTR_EQUAL(send_next(), b);
	CU_ASSERT_EQUAL(b->base_sequence, 0);
	CU_ASSERT_EQUAL(rb_producer_epoch(b->build.p), 1);
	CU_ASSERT_PTR_EQUAL(send_next(), c);
	CU_ASSERT_EQUAL(c->base_sequence, 2);
}

static void
a_refusal_that_judged_no_number_settles_no_earlier_sending(void)
{
	struct batch *a, *b;

	fresh();
	a = make(0);
	b = make(1);
	a->deadline_ns = io.now_ns + 1;
	(void)send_next();
	(void)send_next();
	no_outcome(b);
	no_outcome(a);
	/* a is given up; the session after finds the partition failed, which says nothing of b. */
	io.now_ns += NS_PER_S;
	batches_expire(&io);
	producer.epoch = 1;
	CU_ASSERT_PTR_EQUAL(send_next(), b);
	refused(b, KIRA_E_KAFKA_STORAGE_ERROR);
	io.now_ns += NS_PER_S;
	CU_ASSERT_PTR_EQUAL(send_next(), b);
	CU_ASSERT_EQUAL(b->base_sequence, 2);
	CU_ASSERT_EQUAL(rb_producer_epoch(b->build.p), 0);
	refused(b, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_PTR_EQUAL(send_next(), b);
	CU_ASSERT_EQUAL(b->base_sequence, 0);
	CU_ASSERT_EQUAL(rb_producer_epoch(b->build.p), 1);
	/* Sent once and refused: surely not stored. */
	refused(b, KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_FALSE(b->unknown);
}

static void
a_fenced_producer_sends_nothing_more(void)
{
	struct batch *a;

	fresh();
	a = make(0);
	(void)make(1);
	(void)send_next();
	refused(a, KIRA_E_INVALID_PRODUCER_EPOCH);
	CU_ASSERT_EQUAL(producer.fatal, KIRA_E_INVALID_PRODUCER_EPOCH);
	CU_ASSERT_PTR_NULL(send_next());
	batches_expire(&io);
	CU_ASSERT_EQUAL(told, 2);
	CU_ASSERT_EQUAL(told_error, KIRA_E_INVALID_PRODUCER_EPOCH);
}

/* "Any other than 7: not stored" is a promise: who is told so may produce the record once more. */
static void
what_may_be_stored_is_never_told_as_not_stored(void)
{
	struct batch *a, *b;

	/* Sent, the session lost; while it waits another one is fenced. */
	fresh();
	a = make(0);
	b = make(1);
	(void)send_next();
	(void)send_next();
	no_outcome(a);
	refused(b, KIRA_E_INVALID_PRODUCER_EPOCH);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_error, KIRA_E_INVALID_PRODUCER_EPOCH);
	batches_expire(&io);
	CU_ASSERT_EQUAL(told, 2);
	CU_ASSERT_EQUAL(told_error, KIRA_E_REQUEST_TIMED_OUT);
	/* Sent again, and refused for something else than its number. */
	fresh();
	a = make(0);
	(void)send_next();
	no_outcome(a);
	CU_ASSERT_PTR_EQUAL(send_next(), a);
	refused(a, KIRA_E_INVALID_PRODUCER_EPOCH);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_error, KIRA_E_REQUEST_TIMED_OUT);
	/* The same, after its number was judged: it is not stored, and the code stays. */
	fresh();
	a = make(0);
	(void)send_next();
	no_outcome(a);
	CU_ASSERT_PTR_EQUAL(send_next(), a);
	refused(a, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CU_ASSERT_EQUAL(told, 0);
	producer_fence(&io);
	io.expire_at_ns = 0;
	batches_expire(&io);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_error, KIRA_E_INVALID_PRODUCER_EPOCH);
}

static void
what_is_on_its_way_at_its_deadline_is_told_once(void)
{
	struct batch *a;

	fresh();
	a = make(0);
	a->deadline_ns = io.now_ns + 1;
	(void)send_next();
	io.now_ns += NS_PER_S;
	batches_expire(&io);
	CU_ASSERT_EQUAL(told, 1);
	succeeded(a);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_error, KIRA_E_REQUEST_TIMED_OUT);
	CU_ASSERT_EQUAL(io.alive, 0);
}

static void
a_topic_that_is_gone_fails_all_its_batches_after_two_seconds(void)
{
	struct batch *a;

	fresh();
	a = make(0);
	(void)make(1);
	(void)send_next();
	refused(a, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(told, 0);
	CU_ASSERT_EQUAL(io.repeat_at_ns, io.now_ns); /* ask for its new handle */
	io.now_ns += 3 * NS_PER_S;
	CU_ASSERT_PTR_EQUAL(send_next(), a);
	refused(a, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(told, 2);
	CU_ASSERT_EQUAL(told_error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(io.alive, 0);
	/* Back again: it starts over. */
	topic->missing_ns = 0;
	producer.epoch = 1;
	io.now_ns += NS_PER_S;
	a = make(2);
	CU_ASSERT_PTR_EQUAL(send_next(), a);
	refused(a, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(told, 2);
}

static void
with_transport_udp_nothing_goes_over_tcp(void)
{
	fresh();
	(void)make(0);
	topic->handle = 0;
	CU_ASSERT_PTR_NOT_NULL(batch_next(&io, true));
	producer.o.transport = KIRA_TRANSPORT_UDP;
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
}

static void
beside_udp_a_tcp_batch_waits_for_the_disk_of_those_before_it(void)
{
	struct batch *a, *b;

	fresh();
	producer.o.acks = KIRA_ACKS_DISK;
	a = make(0);
	b = make(1);
	CU_ASSERT_PTR_EQUAL(send_next(), a);
	part->outstanding--;
	batch_logged(&io, a, 0);
	io.path = b->length + KUP_DATA_BATCH - 1; /* fits no datagram any more */
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
	batch_unlogged(&io, a);
	batch_stored(&io, a, 0);
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), b);
}

/* The broker knows nothing of us: over TCP it would take the second as the first. */
static void
over_tcp_the_first_batch_of_a_producer_goes_alone(void)
{
	struct batch *a, *b, *c;

	fresh();
	io.state = IO_TCP;
	a = make(0);
	b = make(1);
	c = make(2);
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), a);
	batch_sending(&io, a, BATCH_TCP);
	part->outstanding_tcp++;
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
	part->outstanding_tcp--;
	refused(a, KIRA_E_KAFKA_STORAGE_ERROR);
	io.now_ns += NS_PER_S;
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), a);
	batch_sending(&io, a, BATCH_TCP);
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
	succeeded(a);
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), b);
	batch_sending(&io, b, BATCH_TCP);
	part->outstanding_tcp++;
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), c);
	/* Another connection: perhaps another life of the broker. */
	batches_forgotten(&io);
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
}

/* Its memory of a producer is over after a day without a batch, though other partitions go on. */
static void
over_tcp_the_first_batch_after_a_long_silence_goes_alone(void)
{
	struct batch *a, *b, *c;

	fresh();
	io.state = IO_TCP;
	a = make(0);
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), a);
	batch_sending(&io, a, BATCH_TCP);
	succeeded(a);
	/* Shortly after it: as many as there are. */
	io.now_ns += KNOWN_NS - 1;
	a = make(1);
	b = make(2);
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), a);
	batch_sending(&io, a, BATCH_TCP);
	part->outstanding_tcp = 1;
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), b);
	/* No outcome all that time: of those that are ready none follows. */
	io.now_ns += 1;
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
	part->outstanding_tcp = 0;
	refused(a, KIRA_E_KAFKA_STORAGE_ERROR);
	io.now_ns += NS_PER_S;
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), a);
	batch_sending(&io, a, BATCH_TCP);
	part->outstanding_tcp = 1;
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
	part->outstanding_tcp = 0;
	succeeded(a);
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), b);
	batch_sending(&io, b, BATCH_TCP);
	part->outstanding_tcp = 1;
	c = make(3);
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), c);
	io.now_ns += KNOWN_NS;
	CU_ASSERT_PTR_NULL(batch_next(&io, true));
	/* Without numbers there is no order to keep. */
	producer.o.no_idempotence = true;
	CU_ASSERT_PTR_EQUAL(batch_next(&io, true), c);
}

/* A broker that has forgotten the producer would take it before what is missing. */
static void
once_round_number_0_goes_when_nothing_before_it_is_out(void)
{
	struct batch *last, *first;

	fresh();
	part->next_sequence = INT32_MAX - 1;
	last = make(1);
	first = make(2);
	(void)make(3);
	CU_ASSERT_PTR_EQUAL_FATAL(send_next(), last);
	CU_ASSERT_EQUAL(last->base_sequence, INT32_MAX - 1);
	CU_ASSERT_PTR_NULL(send_next());
	succeeded(last);
	CU_ASSERT_PTR_EQUAL_FATAL(send_next(), first);
	CU_ASSERT_EQUAL(first->base_sequence, 0);
	CU_ASSERT_PTR_NOT_NULL(send_next()); /* behind it as ever */
	CU_ASSERT_EQUAL(part->next_sequence, 4);
}

static const struct ut_test tests[] = {
	UT("batches", batches_go_in_order_with_numbers_without_gaps),
	UT("batches", what_was_overtaken_goes_alone_under_its_old_number),
	UT("batches", a_failure_for_good_renumbers_the_later_ones_in_a_newer_epoch),
	UT("batches", a_number_that_may_be_stored_is_not_replaced),
	UT("batches", a_refusal_that_judged_no_number_settles_no_earlier_sending),
	UT("batches", once_round_number_0_goes_when_nothing_before_it_is_out),
	UT("batches", a_fenced_producer_sends_nothing_more),
	UT("batches", what_may_be_stored_is_never_told_as_not_stored),
	UT("batches", what_is_on_its_way_at_its_deadline_is_told_once),
	UT("batches", beside_udp_a_tcp_batch_waits_for_the_disk_of_those_before_it),
	UT("batches", over_tcp_the_first_batch_of_a_producer_goes_alone),
	UT("batches", over_tcp_the_first_batch_after_a_long_silence_goes_alone),
	UT("batches", a_topic_that_is_gone_fails_all_its_batches_after_two_seconds),
	UT("batches", with_transport_udp_nothing_goes_over_tcp),
};

UT_MAIN(tests)
