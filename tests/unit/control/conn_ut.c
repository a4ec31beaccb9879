/* SPDX-License-Identifier: MIT
 * conn_ut.c - frames put together, one request at a time, limits of time, memory and number. */
#include "tests/unit/control/world.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/record_batch.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world w;

static void
api_versions(void)
{
	(void)world_request(&w, API_API_VERSIONS, 0);
}

/* A Produce request with one batch of `bytes`, to partition 0 of `topic`. */
static void
produce(uint8_t *frame, uint32_t *length, const char *topic, uint32_t bytes)
{
	struct writer f = kw_open(frame, *length, false);
	uint8_t *batch;

	kw_i32(&f, 0);
	kw_i16(&f, API_PRODUCE);
	kw_i16(&f, 3);
	kw_i32(&f, 42);
	kw_string(&f, "test");
	kw_string(&f, NULL);
	kw_i16(&f, 1);
	kw_i32(&f, 30000);
	kw_array(&f, 1);
	kw_string(&f, topic);
	kw_array(&f, 1);
	kw_i32(&f, 0);
	kw_i32(&f, (int32_t)bytes);
	batch = f.p;
	CU_ASSERT_FATAL((size_t)(f.end - f.p) >= bytes);
	memset(batch, 0, bytes);
	put_be32(batch + RB_LENGTH, bytes - RB_LENGTH_FROM);
	put_be32(batch + RB_COUNT, 1);
	*length = (uint32_t)(kw_length(&f) + bytes);
	put_be32(frame, *length - 4);
}

static void
send_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		const ssize_t sent = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
		world_run(&w);
	}
}

static bool
is_closed(int fd)
{
	uint8_t byte;
	ssize_t n;

	world_run(&w);
	n = recv(fd, &byte, 1, MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void
a_request_that_comes_byte_by_byte_is_answered_once(void)
{
	struct reader r;
	bool closed;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	api_versions();
	put_be32(w.request, (uint32_t)kw_length(&w.w) - 4);
	for (size_t i = 0; i < kw_length(&w.w); i++) {
		r = world_answer(&w, fd, &closed);
		CU_ASSERT_PTR_NULL(r.p);
		CU_ASSERT_FALSE(closed);
		send_all(fd, w.request + i, 1);
	}
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL(r.p);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NULL(r.p);
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 1);
	(void)close(fd);
	world_close(&w);
}

static void
requests_sent_in_one_piece_are_all_answered(void)
{
	uint8_t three[256];
	struct reader r;
	bool closed;
	size_t n;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	api_versions();
	n = kw_length(&w.w);
	put_be32(w.request, (uint32_t)n - 4);
	for (unsigned i = 0; i < 3; i++)
		memcpy(three + i * n, w.request, n);
	/* Two and a half, then the rest. */
	send_all(fd, three, 2 * n + n / 2);
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 2);
	send_all(fd, three + 2 * n + n / 2, n - n / 2);
	for (unsigned i = 0; i < 3; i++) {
		r = world_answer(&w, fd, &closed);
		CU_ASSERT_PTR_NOT_NULL(r.p);
	}
	(void)close(fd);
	world_close(&w);
}

static void
a_frame_above_its_cap_is_closed_after_eight_bytes(void)
{
	static const uint8_t metadata[8] = {0, 16, 0, 1, 0, API_METADATA, 0, 1}; /* 1 MiB + 1 */
	static const uint8_t at_the_cap[8] = {0, 16, 0, 0, 0, API_METADATA, 0, 1};
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	send_all(fd, metadata, 7);
	CU_ASSERT_FALSE(is_closed(fd));
	send_all(fd, metadata + 7, 1);
	CU_ASSERT_TRUE(is_closed(fd));
	CU_ASSERT_EQUAL(counter_read(&w.count.connections_malformed), 1);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	(void)close(fd);
	fd = world_connect(&w);
	send_all(fd, at_the_cap, 8);
	CU_ASSERT_FALSE(is_closed(fd));
	CU_ASSERT_EQUAL(w.ctl->memory_used, MIB + 4);
	(void)close(fd);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	world_close(&w);
}

static void
a_body_that_ends_too_early_closes_the_connection(void)
{
	struct writer *q;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	q = world_request(&w, API_METADATA, 1);
	kw_array(q, 1000); /* of which none follows */
	world_send(&w, fd);
	CU_ASSERT_TRUE(is_closed(fd));
	CU_ASSERT_EQUAL(counter_read(&w.count.connections_malformed), 1);
	(void)close(fd);
	world_close(&w);
}

static void
an_idle_connection_goes_after_its_time_and_a_begun_frame_sooner(void)
{
	static const char *const options[] = {"--connections-max-idle-ms", "60000", NULL};
	int idle, begun;

	world_open(&w, options);
	idle = world_connect(&w);
	begun = world_connect(&w);
	send_all(begun, (const uint8_t *)"\0\0\0", 3);
	world_pass(&w, 9 * NS_PER_S);
	CU_ASSERT_FALSE(is_closed(begun));
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_TRUE(is_closed(begun));
	CU_ASSERT_FALSE(is_closed(idle));
	/* A request sets the time back. */
	api_versions();
	world_send(&w, idle);
	world_pass(&w, 59 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 1);
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.connections_timed_out), 2);
	(void)close(idle);
	(void)close(begun);
	world_close(&w);
}

static void
a_frame_that_trickles_in_has_ten_seconds_in_all(void)
{
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	api_versions();
	put_be32(w.request, (uint32_t)kw_length(&w.w) - 4);
	for (unsigned i = 0; i < 10; i++) {
		send_all(fd, w.request + i, 1);
		world_pass(&w, 999 * NS_PER_MS);
		CU_ASSERT_FALSE(is_closed(fd));
	}
	world_pass(&w, 20 * NS_PER_MS);
	CU_ASSERT_TRUE(is_closed(fd));
	CU_ASSERT_EQUAL(counter_read(&w.count.connections_timed_out), 1);
	(void)close(fd);
	world_close(&w);
}

/* Announced alone it is worth 30 s, whatever the size it claims. */
static void
a_large_body_has_half_a_minute_and_a_second_for_each_mib_that_came(void)
{
	static const uint8_t head[8] = {6, 64, 0, 0, 0, API_PRODUCE, 0, 7}; /* 100 MiB */
	uint8_t *mib = calloc(1, MIB);
	int idle, busy;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mib);
	world_open(&w, NULL);
	idle = world_connect(&w);
	busy = world_connect(&w);
	send_all(idle, head, sizeof(head));
	send_all(busy, head, sizeof(head));
	CU_ASSERT_EQUAL(w.ctl->memory_used, 2 * (100 * MIB + 4));
	for (unsigned i = 0; i < 3; i++)
		send_all(busy, mib, MIB);
	world_pass(&w, 29900 * NS_PER_MS);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 2);
	world_pass(&w, 200 * NS_PER_MS);
	CU_ASSERT_TRUE(is_closed(idle));
	CU_ASSERT_EQUAL(w.ctl->memory_used, 100 * MIB + 4);
	world_pass(&w, 2800 * NS_PER_MS);
	CU_ASSERT_FALSE(is_closed(busy));
	world_pass(&w, 200 * NS_PER_MS);
	CU_ASSERT_TRUE(is_closed(busy));
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	(void)close(idle);
	(void)close(busy);
	world_close(&w);
	free(mib);
}

static void
a_peer_that_takes_nothing_of_its_answers_goes_after_a_minute(void)
{
	uint8_t many[16000];
	size_t n, all = 0;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	api_versions();
	n = kw_length(&w.w);
	put_be32(w.request, (uint32_t)n - 4);
	for (; all + n <= sizeof(many); all += n)
		memcpy(many + all, w.request, n);
	/* Until the buffers of both kernels' ends are full of answers. */
	for (unsigned i = 0; i < 5000 && w.ctl->conns->state != CONN_SEND; i++)
		if (send(fd, many, all, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno == EAGAIN)
			world_run(&w);
	CU_ASSERT_EQUAL_FATAL(w.ctl->conns->state, CONN_SEND);
	CU_ASSERT_TRUE(w.ctl->memory_used > 0 && w.ctl->memory_used < MIB);
	world_pass(&w, 59 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 1);
	world_pass(&w, 2 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	(void)close(fd);
	world_close(&w);
}

/* Two may be, the third is refused until one of them goes. */
static void
two_and_no_third(const char *option)
{
	const char *const options[] = {option, "2", NULL};
	int fd[3];

	world_open(&w, options);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = world_connect(&w);
	CU_ASSERT_FALSE(is_closed(fd[0]));
	CU_ASSERT_FALSE(is_closed(fd[1]));
	CU_ASSERT_TRUE(is_closed(fd[2]));
	(void)close(fd[0]);
	(void)close(fd[2]);
	world_run(&w);
	fd[0] = world_connect(&w);
	CU_ASSERT_FALSE(is_closed(fd[0]));
	CU_ASSERT_EQUAL(counter_read(&w.count.connections_refused), 1);
	(void)close(fd[0]);
	(void)close(fd[1]);
	world_close(&w);
}

static void
connections_beyond_the_limit_of_all_or_of_an_address_are_refused(void)
{
	two_and_no_third("--max-connections");
	two_and_no_third("--max-connections-per-ip");
}

static void
a_body_waits_for_request_memory_and_the_first_in_line_gets_it(void)
{
	static const char *const options[] = {"--kafka-request-memory", "1048576",
		"--socket-request-max-bytes", "1048576", NULL};
	uint8_t *frame = malloc(MIB);
	uint32_t n = MIB;
	int fd[2];

	CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
	world_open(&w, options);
	(void)world_topic(&w, "t", 1);
	w.lazy = true;
	produce(frame, &n, "t", 700000);
	fd[0] = world_connect(&w);
	fd[1] = world_connect(&w);
	send_all(fd[0], frame, n);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	send_all(fd[1], frame, 100000); /* as much as the kernel takes by itself */
	CU_ASSERT_EQUAL(counter_read(&w.count.memory_waits), 1);
	CU_ASSERT_EQUAL(w.ctl->memory_used, n);
	(void)lcores_store_turn();
	send_all(fd[1], frame + 100000, n - 100000);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	(void)lcores_store_turn();
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 2);
	(void)close(fd[0]);
	(void)close(fd[1]);
	world_close(&w);
	free(frame);
}

static void
nothing_is_read_behind_a_request_that_is_being_served(void)
{
	uint8_t frame[1024];
	uint32_t n = sizeof(frame);
	struct reader r;
	bool closed;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	w.lazy = true;
	fd = world_connect(&w);
	produce(frame, &n, "t", 200);
	send_all(fd, frame, n);
	api_versions();
	world_send(&w, fd);
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 0);
	(void)lcores_store_turn();
	world_run(&w);
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 2);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_EQUAL(kr_i32(&r), 1); /* of Produce: one topic; ApiVersions would have 0 and a count */
	(void)close(fd);
	world_close(&w);
}

static void
a_body_outlives_its_connection_while_a_lcore_reads_it(void)
{
	uint8_t *frame = malloc(MIB);
	uint32_t n = MIB;
	int fd;

	CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	w.lazy = true;
	fd = world_connect(&w);
	produce(frame, &n, "t", 500000);
	send_all(fd, frame, n);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	world_reset(&w, fd);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	CU_ASSERT_EQUAL(w.ctl->memory_used, n); /* still there */
	(void)lcores_store_turn();
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->memory_used, 0);
	world_close(&w);
	free(frame);
}

static void
while_stopping_no_new_request_is_served(void)
{
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	w.ctl->stopping = true;
	api_versions();
	world_send(&w, fd);
	CU_ASSERT_EQUAL(counter_read(&w.count.requests), 0);
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("frames", a_request_that_comes_byte_by_byte_is_answered_once),
	UT("frames", requests_sent_in_one_piece_are_all_answered),
	UT("frames", a_frame_above_its_cap_is_closed_after_eight_bytes),
	UT("frames", a_body_that_ends_too_early_closes_the_connection),
	UT("limits", an_idle_connection_goes_after_its_time_and_a_begun_frame_sooner),
	UT("limits", a_frame_that_trickles_in_has_ten_seconds_in_all),
	UT("limits", a_large_body_has_half_a_minute_and_a_second_for_each_mib_that_came),
	UT("limits", a_peer_that_takes_nothing_of_its_answers_goes_after_a_minute),
	UT("limits", connections_beyond_the_limit_of_all_or_of_an_address_are_refused),
	UT("limits", a_body_waits_for_request_memory_and_the_first_in_line_gets_it),
	UT("requests", nothing_is_read_behind_a_request_that_is_being_served),
	UT("requests", a_body_outlives_its_connection_while_a_lcore_reads_it),
	UT("requests", while_stopping_no_new_request_is_served),
};

UT_MAIN(tests)
