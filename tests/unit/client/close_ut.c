/* SPDX-License-Identifier: MIT
 * close_ut.c - dataplane/client/producer_io.c: the end of a producer whose set-up thread is still busy.
 * The broker is a socket of the test; set-up thread, routes and sockets are libkira's own. */
#include "dataplane/client/producer_io.c"

#include "tests/unit/ut.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

static struct kira_producer producer;
static struct io io;
static struct kira_topic topic = {.name = "t", .producer = &producer};

static int
listen_on(int type, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(at);
	const int fd = socket(AF_INET, type, 0);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	CU_ASSERT_FATAL(type == SOCK_DGRAM || listen(fd, 8) == 0);
	CU_ASSERT_FATAL(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static void
fresh(uint16_t port)
{
	memset(&io, 0, sizeof(io));
	memset(&producer, 0, sizeof(producer));
	(void)pthread_mutex_init(&producer.lock, NULL);
	(void)pthread_cond_init(&producer.job_posted, NULL);
	(void)pthread_cond_init(&producer.room, NULL);
	(void)snprintf(producer.bootstrap, sizeof(producer.bootstrap), "127.0.0.1:%u", port);
	producer.event_fd = eventfd(0, EFD_NONBLOCK);
	producer.stop_fd = eventfd(0, 0);
	producer.topic[0] = &topic;
	producer.topics = producer.routed = 1;
	producer.o.window = 16;
	io.p = &producer;
	io.repeat_at_ns = io.udp_again_ns = CW_NEVER;
	io.now_ns = clock_now_ns();
}

static void
let_go(void)
{
	(void)close(producer.event_fd);
	(void)close(producer.stop_fd);
}

static void
a_broker_that_does_not_answer_holds_a_close_no_longer_than_its_time(void)
{
	const uint64_t begun_ns = clock_now_ns();
	uint16_t port;
	const int fd = listen_on(SOCK_STREAM, &port); /* the kernel takes connections; no more happens */

	fresh(port);
	CU_ASSERT_FATAL(pthread_create(&producer.setup_thread_id, NULL, setup_thread, &producer) == 0);
	route_turn(&io);
	CU_ASSERT_TRUE(io.job_running && producer.job.kind == JOB_OPEN);
	producer.stop_by_ns = begun_ns + 50 * NS_PER_MS;
	finish(&io);
	CU_ASSERT_TRUE(clock_now_ns() >= producer.stop_by_ns);
	CU_ASSERT_TRUE(clock_now_ns() - begun_ns < CONNECT_MS * NS_PER_MS / 2);
	CU_ASSERT_FALSE(io.job_running);
	pthread_mutex_lock(&producer.lock);
	producer.setup_stopping = true;
	pthread_cond_signal(&producer.job_posted);
	pthread_mutex_unlock(&producer.lock);
	(void)pthread_join(producer.setup_thread_id, NULL);
	(void)close(fd);
	let_go();
}

/* How often a broker that says nothing is told CLOSE, the set-up thread having just opened the session. */
static unsigned
closes_within(uint64_t ns)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_storage local = {0}, peer = {0};
	uint8_t got[KUP_DGRAM_MAX];
	unsigned closes = 0;
	struct job *job = &producer.job;
	struct err err;
	uint16_t tcp, udp;
	const int listener = listen_on(SOCK_STREAM, &tcp), broker = listen_on(SOCK_DGRAM, &udp);
	struct sockaddr_in to = any;

	fresh(tcp);
	to.sin_port = htons(udp);
	memcpy(&local, &any, sizeof(any));
	memcpy(&peer, &to, sizeof(to));
	job->kind = JOB_OPEN;
	job->verdict = OPEN_OK;
	job->session = (struct ckafka_session){.wire = {.id = 7, .secret = 9, .incarnation = 5},
		.max_dgram = 1472, .window = 16};
	CU_ASSERT_FATAL(cudp_open(&job->udp, &local, sizeof(any), &err) == 0);
	CU_ASSERT_FATAL(cudp_connect(job->udp, &peer, sizeof(to), &err) == 0);
	CU_ASSERT_FATAL(ckafka_connect(&job->anchor, producer.bootstrap, "t",
		clock_now_ns() + NS_PER_S, -1, &err) == 0);
	job->done = true;
	io.state = IO_OPENING;
	io.job_running = true;
	producer.stop_by_ns = clock_now_ns() + ns;
	finish(&io);
	for (ssize_t n; (n = recv(broker, got, sizeof(got), MSG_DONTWAIT)) > 0;)
		closes += n > KUP_OFF_TYPE && (got[KUP_OFF_TYPE] & 15) == KUP_CLOSE;
	(void)close(listener);
	(void)close(broker);
	let_go();
	return closes;
}

static void
a_session_that_was_opened_meanwhile_is_closed(void)
{
	CU_ASSERT_EQUAL(closes_within(60 * NS_PER_S), CLOSE_TRIES);
}

static void
without_time_left_the_broker_is_told_once_and_nobody_waits(void)
{
	CU_ASSERT_EQUAL(closes_within(0), 1);
}

static const struct ut_test tests[] = {
	UT("close", a_broker_that_does_not_answer_holds_a_close_no_longer_than_its_time),
	UT("close", a_session_that_was_opened_meanwhile_is_closed),
	UT("close", without_time_left_the_broker_is_told_once_and_nobody_waits),
};

UT_MAIN(tests)
