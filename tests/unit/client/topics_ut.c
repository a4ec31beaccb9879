/* SPDX-License-Identifier: MIT
 * topics_ut.c - dataplane/client/producer_topics.c: what a new topic takes of the producer. */
#include "dataplane/client/producer_topics.c"

#include "tests/unit/ut.h"

/* What making a topic has no need of. */
void io_wake(struct kira_producer *p) {}
bool wait_room(struct kira_producer *p, uint64_t deadline_ns) { return false; }
void say_error(const struct err *err, char *error, size_t error_size) {}

/* The pair is the I/O thread's, which may raise it just then. */
static void
a_new_topic_reads_no_producer_id_and_no_epoch(void)
{
	struct kira_producer p = {.producer_id = 9, .epoch = 3};
	struct kira_topic *t = new_topic(&p, "t", 2);

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	for (int32_t i = 0; i < t->partitions; i++) {
		CU_ASSERT_EQUAL(t->part[i].producer_id, -1);
		CU_ASSERT_EQUAL(t->part[i].epoch, -1);
	}
	free(t);
}

static const struct ut_test tests[] = {
	UT("topics", a_new_topic_reads_no_producer_id_and_no_epoch),
};

UT_MAIN(tests)
