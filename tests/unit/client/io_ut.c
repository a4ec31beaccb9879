/* SPDX-License-Identifier: MIT
 * io_ut.c - dataplane/client/producer_io.c: when open batches go to the I/O thread, and what that does
 * to its sleep; what is forgotten with a session or a connection. The application's
 * calls are libkira's own; there is no broker, no thread. */
#include "dataplane/client/producer_io.c"

#include "tests/unit/ut.h"

#include <errno.h>
#include <sys/eventfd.h>

static struct kira_producer producer;
static struct io io;
static struct kira_topic *topic;

static void
free_list(struct batch *b)
{
	while (b) {
		struct batch *next = b->next;

		free(b->memory);
		free(b);
		b = next;
	}
}

/* Nobody else frees what was produced here. */
static void
let_go(void)
{
	for (int32_t i = 0; i < topic->partitions; i++) {
		free_list(topic->part[i].ready.head);
		free_list(topic->part[i].sent.head);
		if (topic->part[i].open)
			topic->part[i].open->next = NULL;
		free_list(topic->part[i].open);
	}
	free_list(producer.spare);
	free(topic);
}

static void
fresh(void)
{
	pthread_condattr_t monotonic;

	memset(&io, 0, sizeof(io));
	memset(&producer, 0, sizeof(producer));
	topic = calloc(1, sizeof(*topic) + 2 * sizeof(struct partition));
	CU_ASSERT_FATAL(topic != NULL);
	topic->producer = &producer;
	topic->partitions = 2;
	for (int32_t i = 0; i < 2; i++) {
		topic->part[i].topic = topic;
		topic->part[i].index = i;
		topic->part[i].producer_id = producer.producer_id = 9;
	}
	kira_producer_options_init(&producer.o);
	(void)pthread_mutex_init(&producer.lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&producer.room, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	producer.topic[0] = topic;
	producer.topics = producer.routed = 1;
	producer.batch_room = producer.single_max = 4096;
	producer.event_fd = -1;
	io.p = &producer;
	io.state = IO_TCP;
	io.linger_at_ns = io.next_wait_ns = io.expire_at_ns = io.udp_again_ns = CW_NEVER;
}

static void
produce(int32_t partition, unsigned n)
{
	const struct kira_record rec = {.value = "x", .value_length = 1, .partition = partition,
		.timestamp_ms = 1};

	for (; n > 0; n--)
		CU_ASSERT_EQUAL(kira_produce(topic, &rec), 0);
}

/* So much later that every linger is over. */
static void
admit_later(void)
{
	io.now_ns = clock_now_ns() + NS_PER_S;
	admit(&io);
}

static unsigned
ready(int32_t partition)
{
	unsigned n = 0;

	for (const struct batch *b = topic->part[partition].ready.head; b; b = b->next)
		n++;
	return n;
}

static void
records_behind_a_batch_that_is_not_sent_share_one(void)
{
	struct batch *first, *second;

	fresh();
	produce(0, 2);
	admit_later();
	CU_ASSERT_EQUAL(ready(0), 1);
	CU_ASSERT_EQUAL(io.linger_at_ns, CW_NEVER);
	for (unsigned i = 0; i < 100; i++) {
		produce(0, 1);
		admit_later();
		CU_ASSERT_EQUAL(ready(0), 1);
	}
	produce(1, 1); /* another partition does not wait for this one */
	admit_later();
	CU_ASSERT_EQUAL(ready(1), 1);
	first = batch_next(&io, true);
	CU_ASSERT_PTR_EQUAL_FATAL(first, topic->part[0].ready.head);
	CU_ASSERT_EQUAL(first->build.count, 2);
	CU_ASSERT_EQUAL(io.linger_at_ns, CW_NEVER);
	batch_sending(&io, first, BATCH_TCP);
	CU_ASSERT_EQUAL(wake_at(&io), io.now_ns); /* no sleep before it was looked at */
	admit_later();
	CU_ASSERT_EQUAL(ready(0), 1);
	second = topic->part[0].ready.head;
	CU_ASSERT_EQUAL(second->build.count, 100);
	CU_ASSERT_FALSE(io.held_open);
	let_go();
}

static void
a_full_one_goes_all_the_same_and_so_does_one_that_is_flushed_for(void)
{
	fresh();
	produce(0, 1);
	admit_later();
	produce(0, 1000); /* 8 bytes each: more than 4096 hold */
	admit_later();
	CU_ASSERT_TRUE(ready(0) >= 2);
	CU_ASSERT_PTR_NOT_NULL(topic->part[0].open);
	CU_ASSERT_EQUAL(kira_flush(&producer, 0), -ETIMEDOUT);
	CU_ASSERT_PTR_NULL(topic->part[0].open);
	admit_later();
	CU_ASSERT_PTR_NULL(producer.open_head);
	let_go();
}

static void *
flush_thread(void *ret)
{
	*(int *)ret = kira_flush(&producer, 5000);
	return NULL;
}

/* Others go on producing: a flush that awaited their records, too, might never end. */
static void
a_flush_waits_for_what_was_accepted_before_it_and_for_nothing_else(void)
{
	struct batch *first, *second;
	pthread_t thread;
	bool begun = false;
	int rc = 1;

	fresh();
	produce(0, 1);
	produce(1, 1);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, flush_thread, &rc) == 0);
	while (!begun) { /* it has closed both */
		pthread_mutex_lock(&producer.lock);
		begun = producer.closed_head && !producer.open_head;
		pthread_mutex_unlock(&producer.lock);
	}
	produce(0, 1); /* another thread's, later */
	admit(&io);
	CU_ASSERT_PTR_NOT_NULL(topic->part[0].open);
	first = topic->part[0].ready.head;
	second = topic->part[1].ready.head;
	batch_sending(&io, first, BATCH_TCP);
	batch_sending(&io, second, BATCH_TCP);
	batch_stored(&io, second, 0); /* out of order */
	settle(&io);
	CU_ASSERT_PTR_EQUAL(producer.untold_head, first);
	batch_stored(&io, first, 0);
	settle(&io);
	(void)pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_PTR_EQUAL(producer.untold_head, topic->part[0].open);
	CU_ASSERT_PTR_EQUAL(producer.untold_tail, topic->part[0].open);
	CU_ASSERT_EQUAL(kira_flush(&producer, 0), -ETIMEDOUT); /* that one now */
	topic->part[0].open = producer.closed_head;
	let_go();
}

static void
what_stays_open_keeps_nobody_awake_and_what_is_new_does(void)
{
	fresh();
	produce(0, 1);
	admit_later();
	produce(0, 1);
	admit_later();
	CU_ASSERT_TRUE(io.held_open);
	CU_ASSERT_TRUE(announce_sleep(&io));
	producer.io_sleeps = false;
	produce(0, 1); /* into the one that is open */
	CU_ASSERT_TRUE(announce_sleep(&io));
	producer.io_sleeps = false;
	produce(1, 1); /* opens one, whose linger nobody has taken note of */
	CU_ASSERT_FALSE(announce_sleep(&io));
	io.now_ns = clock_now_ns();
	admit(&io);
	CU_ASSERT_NOT_EQUAL(io.linger_at_ns, CW_NEVER);
	CU_ASSERT_TRUE(announce_sleep(&io));
	let_go();
}

/* With hundreds of partitions each turn would look at each of them, under the lock. */
static void
what_stays_open_is_looked_at_when_something_may_be_due(void)
{
	struct batch *open;

	fresh();
	produce(0, 1);
	admit_later();
	produce(0, 1);
	admit_later();
	CU_ASSERT_TRUE(io.held_open);
	open = producer.open_head;
	producer.open_head = NULL; /* a look would find none */
	admit(&io);
	CU_ASSERT_TRUE(io.held_open);
	io.now_ns = io.open_until_ns;
	admit(&io);
	CU_ASSERT_FALSE(io.held_open);
	producer.open_head = open;
	produce(1, 1);
	admit_later();
	CU_ASSERT_EQUAL(ready(1), 1);
	let_go();
}

/* A batch's time to be delivered is that of its oldest record: a younger one must not lose most of its own. */
static void
a_batch_stays_open_for_an_eighth_of_the_delivery_timeout(void)
{
	fresh();
	produce(0, 1);
	admit_later();
	produce(0, 1);
	admit_later();
	CU_ASSERT_EQUAL(ready(0), 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(topic->part[0].open);
	CU_ASSERT_EQUAL(wake_at(&io), topic->part[0].open->born_ns + producer.o.linger_us * NS_PER_US
		+ producer.o.delivery_timeout_ms * NS_PER_MS / 8);
	io.now_ns = wake_at(&io) - 1;
	admit(&io);
	CU_ASSERT_EQUAL(ready(0), 1);
	io.now_ns++;
	admit(&io);
	CU_ASSERT_EQUAL(ready(0), 2);
	CU_ASSERT_FALSE(io.held_open);
	let_go();
}

/* What answers next may be another life of the broker, and over TCP it would take a number from the middle. */
static void
with_its_session_or_its_connection_goes_what_the_broker_knows(void)
{
	fresh();
	topic->part[0].known_until_ns = topic->part[1].known_until_ns = CW_NEVER;
	io.state = IO_UDP;
	udp_recall(&io);
	CU_ASSERT_EQUAL(topic->part[0].known_until_ns + topic->part[1].known_until_ns, 0);
	topic->part[0].known_until_ns = topic->part[1].known_until_ns = CW_NEVER;
	io.state = IO_TCP;
	io.tcp = ctcp_open(eventfd(0, EFD_CLOEXEC), "io_ut");
	CU_ASSERT_PTR_NOT_NULL_FATAL(io.tcp);
	tcp_over(&io);
	CU_ASSERT_EQUAL(topic->part[0].known_until_ns + topic->part[1].known_until_ns, 0);
	let_go();
}

static const struct ut_test tests[] = {
	UT("admit", records_behind_a_batch_that_is_not_sent_share_one),
	UT("admit", a_full_one_goes_all_the_same_and_so_does_one_that_is_flushed_for),
	UT("admit", what_stays_open_keeps_nobody_awake_and_what_is_new_does),
	UT("admit", what_stays_open_is_looked_at_when_something_may_be_due),
	UT("admit", a_batch_stays_open_for_an_eighth_of_the_delivery_timeout),
	UT("flush", a_flush_waits_for_what_was_accepted_before_it_and_for_nothing_else),
	UT("loss", with_its_session_or_its_connection_goes_what_the_broker_knows),
};

UT_MAIN(tests)
