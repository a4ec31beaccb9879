/* SPDX-License-Identifier: MIT
 * routes_ut.c - dataplane/client/producer_routes.c: what the answers of the set-up thread change. */
#include "dataplane/client/producer_routes.c"

#include "tests/unit/ut.h"

static struct io io;
static struct kira_producer producer;
static unsigned fenced;

void
producer_fence(struct io *x)
{
	fenced++;
}

/* What raising an epoch has no need of. */
void producer_trouble(struct io *x, const char *text) {}
void topic_missing(struct io *x, struct kira_topic *t) {}
void cudp_close(struct cudp *u) {}
void udp_recall(struct io *x) {}
void udp_drop(struct io *x) {}
void udp_lost(struct io *x, uint64_t pause_ns) {}
void udp_probe_from(struct io *x, unsigned index) {}
struct ctcp *ctcp_open(int fd, const char *client_id) { return NULL; }
unsigned ctcp_in_flight(const struct ctcp *t) { return 0; }

static void
fresh(void)
{
	memset(&io, 0, sizeof(io));
	memset(&producer, 0, sizeof(producer));
	(void)pthread_mutex_init(&producer.lock, NULL);
	(void)pthread_cond_init(&producer.job_posted, NULL);
	io.p = &producer;
	io.now_ns = NS_PER_S;
	io.want_raise = true;
	producer.producer_id = 9;
	producer.epoch = 3;
	fenced = 0;
}

/* The next request of a newer epoch is answered. */
static struct ckafka_producer_id
answered(struct ckafka_producer_id answer)
{
	struct ckafka_producer_id asked;

	io.now_ns += NS_PER_S;
	io.want_raise = true;
	route_turn(&io);
	CU_ASSERT_TRUE_FATAL(io.job_running && producer.job.kind == JOB_RAISE);
	asked = producer.job.id;
	producer.job.id = answer;
	producer.job.done = true;
	route_take_job(&io);
	return asked;
}

static void
an_id_that_the_broker_never_gave_is_replaced_by_a_fresh_one(void)
{
	struct ckafka_producer_id asked;

	fresh();
	asked = answered((struct ckafka_producer_id){.error = KIRA_E_INVALID_REQUEST});
	CU_ASSERT_EQUAL(asked.producer_id, 9);
	CU_ASSERT_EQUAL(asked.epoch, 3);
	CU_ASSERT_TRUE(io.want_raise);
	/* A disk that is slow just then: still a fresh one, later. */
	asked = answered((struct ckafka_producer_id){.error = KIRA_E_KAFKA_STORAGE_ERROR});
	CU_ASSERT_EQUAL(asked.producer_id, -1);
	asked = answered((struct ckafka_producer_id){.producer_id = 4, .epoch = 0});
	CU_ASSERT_EQUAL(asked.producer_id, -1);
	CU_ASSERT_EQUAL(asked.epoch, -1);
	CU_ASSERT_FALSE(io.want_raise);
	CU_ASSERT_EQUAL(producer.producer_id, 4);
	CU_ASSERT_EQUAL(producer.epoch, 0);
	/* From then on that one is raised. */
	asked = answered((struct ckafka_producer_id){.error = KIRA_E_INVALID_PRODUCER_EPOCH});
	CU_ASSERT_EQUAL(asked.producer_id, 4);
	CU_ASSERT_EQUAL(fenced, 1);
}

static const struct ut_test tests[] = {
	UT("epoch", an_id_that_the_broker_never_gave_is_replaced_by_a_fresh_one),
};

UT_MAIN(tests)
