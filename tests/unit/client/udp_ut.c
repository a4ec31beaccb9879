/* SPDX-License-Identifier: MIT
 * udp_ut.c - dataplane/client/producer_udp.c: which answers make a path; the socket is the test's. */
#include "dataplane/client/producer_udp.c"

#include "base/bytes.h"
#include "tests/unit/ut.h"

struct cudp {
	uint32_t sent[32], tx_ts[32]; /* sizes */
	unsigned n;
	bool answer;
	uint8_t pong[KUP_PONG_BYTES];
};

static struct cudp udp;
static struct io io;
static struct kira_producer producer;
static unsigned refused;

void
cudp_send(struct cudp *u, const void *p, uint32_t length)
{
	CU_ASSERT_FATAL(u->n < ARRAY_LENGTH(u->sent));
	u->tx_ts[u->n] = get_be32((const uint8_t *)p + KUP_PING_TX_TS);
	u->sent[u->n++] = length;
}

unsigned
cudp_receive(struct cudp *u, const uint8_t **p, uint32_t *length)
{
	if (!u->answer)
		return 0;
	u->answer = false;
	p[0] = u->pong;
	length[0] = sizeof(u->pong);
	return 1;
}

uint32_t
cudp_payload_max(const struct cudp *u)
{
	return 1472;
}

void
route_no_udp(struct io *unused, const char *why)
{
	refused++;
	io.state = IO_TCP;
}

/* What a path probe has no need of. */
void cudp_send_data(struct cudp *u, const void *p, uint32_t length, uint32_t tx, unsigned bursts) {}
void cudp_on_burst(struct cudp *u, void (*sent)(void *arg, uint32_t first_tx, uint32_t n), void *arg) {}
void cudp_flush(struct cudp *u) {}
void cudp_close(struct cudp *u) {}
int cudp_fd(const struct cudp *u) { return -1; }
void route_set(struct io *x, struct kira_topic *t, enum topic_route r, const char *why) {}
void route_set_rooms(struct io *x) {}
void partition_queue(struct io *x, struct partition *part) {}
struct batch *batch_next(struct io *x, bool tcp) { return NULL; }
void batch_sending(struct io *x, struct batch *b, enum batch_state state) {}
void batch_failed(struct io *x, struct batch *b, int16_t error) {}
void batch_stored(struct io *x, struct batch *b, int64_t base_offset) {}
void batch_logged(struct io *x, struct batch *b, int64_t base_offset) {}
void batch_unlogged(struct io *x, struct batch *b) {}
void batch_back(struct io *x, struct batch *b) {}
void batches_forgotten(struct io *x) {}

static void
fresh(void)
{
	memset(&io, 0, sizeof(io));
	memset(&udp, 0, sizeof(udp));
	refused = 0;
	io.p = &producer;
	io.udp = &udp;
	io.state = IO_PROBING;
	io.now_ns = NS_PER_S;
	io.session = (struct ckafka_session){.wire = {.id = 1, .secret = 2}, .max_dgram = 8972,
		.window = 64, .credit_limit = 16, .keepalive_s = 10};
	udp_probe_from(&io, 0);
}

/* The broker's answer to the i-th datagram sent. */
static void
answer(unsigned i)
{
	const struct cwire_session *s = &io.session.wire;

	memset(udp.pong, 0, sizeof(udp.pong));
	udp.pong[KUP_OFF_MAGIC] = KUP_MAGIC;
	udp.pong[KUP_OFF_TYPE] = KUP_VERSION << 4 | KUP_PONG;
	put_be32(udp.pong + KUP_OFF_SESSION, s->id);
	put_be64(udp.pong + KUP_OFF_AUTH, s->secret);
	put_be32(udp.pong + KUP_PONG_ID, udp.sent[i]);
	put_be32(udp.pong + KUP_PONG_TS_ECHO, udp.tx_ts[i]);
	udp.answer = true;
}

static void
the_largest_size_that_is_answered_is_the_path(void)
{
	fresh();
	udp_turn(&io);
	CU_ASSERT_EQUAL(udp.sent[0], 1472); /* what our own interface takes */
	while (udp.sent[udp.n - 1] == 1472) {
		io.now_ns += PROBE_FIRST_NS;
		udp_turn(&io);
	}
	CU_ASSERT_EQUAL(udp.n, PROBE_TRIES + 1);
	answer(udp.n - 1);
	udp_turn(&io);
	CU_ASSERT_EQUAL(io.state, IO_UDP);
	CU_ASSERT_EQUAL(io.path, 1452);
}

static void
a_path_longer_than_all_tries_of_a_size_is_found_too(void)
{
	const uint64_t round_trip_ns = (PROBE_TRIES + 1) * PROBE_FIRST_NS;
	uint64_t begun_ns;

	fresh();
	begun_ns = io.now_ns;
	while (io.state == IO_PROBING) {
		if (io.now_ns == begun_ns + round_trip_ns)
			answer(0);
		udp_turn(&io);
		io.now_ns += PROBE_FIRST_NS;
	}
	CU_ASSERT_EQUAL(io.state, IO_UDP);
	CU_ASSERT_EQUAL(io.path, 1472);
	CU_ASSERT_EQUAL(io.window.rtt.srtt_ns, round_trip_ns);
	CU_ASSERT_EQUAL(refused, 0);
}

static void
a_path_without_an_answer_is_given_up(void)
{
	uint64_t begun_ns;

	fresh();
	begun_ns = io.now_ns;
	for (unsigned i = 0; i < 320 && io.state == IO_PROBING; i++) {
		udp_turn(&io);
		io.now_ns += PROBE_FIRST_NS;
	}
	CU_ASSERT_EQUAL(refused, 1);
	CU_ASSERT_EQUAL(udp.n, 3 * PROBE_TRIES + PROBE_LAST); /* 1472, 1452, 1392; 1200 */
	/* An ARP request that was lost is repeated after 1 s. */
	CU_ASSERT_TRUE(io.now_ns - begun_ns > 3 * NS_PER_S && io.now_ns - begun_ns < 6 * NS_PER_S);
}

static const struct ut_test tests[] = {
	UT("path", the_largest_size_that_is_answered_is_the_path),
	UT("path", a_path_longer_than_all_tries_of_a_size_is_found_too),
	UT("path", a_path_without_an_answer_is_given_up),
};

UT_MAIN(tests)
