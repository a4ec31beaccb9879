/* SPDX-License-Identifier: MIT
 * turn_ut.h - what the tests of the turns share. */
#ifndef KIRA_TESTS_TURN_UT_H
#define KIRA_TESTS_TURN_UT_H

#include "dataplane/kira_dpdk_compat.h"

#include "tests/unit/dataplane/world.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "dataplane/client/client_wire.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <rte_ring.h>

#define PRODUCER 4711

static inline uint32_t
log_seq(void)
{
	const uint8_t *ack = world_answer(KUP_ACK);

	return ack ? get_be32(ack + KUP_ACK_LOG_SEQ) : UINT32_MAX;
}

static inline void
end(void)
{
	CU_ASSERT_TRUE(world_adds_up());
	CU_ASSERT_EQUAL(world.bad_answers, 0);
	CU_ASSERT_EQUAL(world_end(), 0);
}

/* Turns until nothing is due any more. */
static inline void
settle(void)
{
	for (unsigned i = 0; i < 8; i++) {
		world_both();
		world_later(100 * NS_PER_US);
	}
}

#endif
