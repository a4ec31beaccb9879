/* SPDX-License-Identifier: MIT
 * tcp_ut.c - dataplane/client/producer_tcp.c: when a Produce request is begun; routes and connection
 * are the test's. */
#include "dataplane/client/producer_tcp.c"

#include "tests/unit/ut.h"

struct ctcp {
	unsigned in_flight;
};

static struct ctcp tcp;
static struct kira_producer producer;
static struct kira_topic topic = {.name = "t"};
static struct partition part = {.topic = &topic};
static struct batch batch = {.part = &part};
static struct io io;

/* There is always one more to send. */
struct batch *
batch_next(struct io *x, bool over_tcp)
{
	return &batch;
}

bool
ctcp_send(struct ctcp *t, void *user, const char *name, int32_t partition, int16_t acks,
	int32_t timeout_ms, const void *p, uint32_t length, uint64_t now_ns)
{
	t->in_flight++;
	return true;
}

unsigned
ctcp_in_flight(const struct ctcp *t)
{
	return t->in_flight;
}

uint64_t
ctcp_oldest_ns(const struct ctcp *t)
{
	return t->in_flight ? io.now_ns : UINT64_MAX;
}

int
ctcp_turn(struct ctcp *t, void (*answer)(void *, void *, const struct ckafka_produced *), void *arg,
	struct err *err)
{
	return 0;
}

/* What beginning a request has no need of. */
void batch_sending(struct io *x, struct batch *b, enum batch_state state) {}
void batch_back(struct io *x, struct batch *b) {}
void batch_failed(struct io *x, struct batch *b, int16_t error) {}
void batch_stored(struct io *x, struct batch *b, int64_t base_offset) {}
void batches_forgotten(struct io *x) {}
void partition_queue(struct io *x, struct partition *p) {}
void producer_trouble(struct io *x, const char *text) {}
void ctcp_close(struct ctcp *t) {}
void *ctcp_recall(struct ctcp *t) { return NULL; }

static void
nothing_new_begins_once_udp_is_to_be_tried_again(void)
{
	io = (struct io){.p = &producer, .tcp = &tcp, .state = IO_TCP, .queue_length = 1,
		.now_ns = 100 * NS_PER_S, .udp_again_ns = 101 * NS_PER_S};
	tcp.in_flight = 0;
	tcp_turn(&io);
	CU_ASSERT_EQUAL(tcp.in_flight, CTCP_IN_FLIGHT);
	/* One is answered in each turn: the load is steady. */
	io.now_ns = io.udp_again_ns;
	for (unsigned left = CTCP_IN_FLIGHT; left-- > 0;) {
		tcp.in_flight--;
		tcp_turn(&io);
		CU_ASSERT_EQUAL(tcp.in_flight, left);
	}
	/* With UDP begun anew what fits no datagram still goes. */
	io.state = IO_UDP;
	tcp_turn(&io);
	CU_ASSERT_EQUAL(tcp.in_flight, CTCP_IN_FLIGHT);
}

static const struct ut_test tests[] = {
	UT("tcp", nothing_new_begins_once_udp_is_to_be_tried_again),
};

UT_MAIN(tests)
