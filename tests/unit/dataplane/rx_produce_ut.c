/* SPDX-License-Identifier: MIT
 * rx_produce_ut.c - one datagram, each fault on its own: V2, D3, D4. The datagrams are the client's. */
#include "dataplane/rx_produce.h"

#include "base/bytes.h"
#include "dataplane/client/client_wire.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <string.h>

static const struct cwire_session client = {.id = 0x02000003, .secret = 0xaabbccddeeff0011};
static uint8_t dgram[1472];

/* DATA with a batch of `total` bytes that says so. */
static uint32_t
data(uint32_t total)
{
	uint8_t *b = dgram + KUP_DATA_BATCH;

	memset(dgram, 0, sizeof(dgram));
	cwire_data(dgram, &client, 41, 1234567, 9, 3, KUP_FLAG_ACK_NOW, 2);
	put_be32(b + RB_LENGTH, total - RB_LENGTH_FROM);
	put_be64(b + RB_PRODUCER_ID, 4711);
	put_be32(b + RB_COUNT, 12);
	return cwire_data_length(total);
}

static void
a_client_datagram_is_read_field_by_field(void)
{
	const uint32_t len = data(400);
	struct produce_head h;
	struct produce_data d;

	CU_ASSERT_EQUAL(len, 432);
	CU_ASSERT_EQUAL_FATAL(produce_head(dgram, len, &h), PRODUCE_OK);
	CU_ASSERT_EQUAL(h.type, KUP_DATA);
	CU_ASSERT_EQUAL(h.session_id, client.id);
	CU_ASSERT_EQUAL(h.auth, client.secret);
	CU_ASSERT_EQUAL(h.word, 41);
	CU_ASSERT_EQUAL(h.word2, 1234567);
	CU_ASSERT_EQUAL(h.flags, KUP_FLAG_ACK_NOW);
	CU_ASSERT_EQUAL(h.aux, 2);
	produce_data(dgram, len, &d);
	CU_ASSERT_EQUAL(d.error, 0);
	CU_ASSERT_EQUAL(d.handle, 9);
	CU_ASSERT_EQUAL(d.partition, 3);
	CU_ASSERT_EQUAL(d.length, 400);
	CU_ASSERT_EQUAL(d.records, 12);
}

static void
ping_query_and_close_are_let_in_and_the_brokers_types_are_not(void)
{
	struct produce_head h;
	uint8_t p[CWIRE_QUERY_BYTES];

	CU_ASSERT_EQUAL(produce_head(p, cwire_ping(p, 300, &client, 7, 8, 0), &h), PRODUCE_OK);
	CU_ASSERT(h.type == KUP_PING && h.word == 7 && h.word2 == 8);
	CU_ASSERT_EQUAL(produce_head(p, cwire_query(p, &client, 100, 50), &h), PRODUCE_OK);
	CU_ASSERT(h.type == KUP_QUERY && h.word == 100 && h.word2 >> 16 == 50);
	CU_ASSERT_EQUAL(produce_head(p, cwire_close(p, &client, 3), &h), PRODUCE_OK);
	CU_ASSERT(h.type == KUP_CLOSE && h.word == 3);
	for (unsigned type = 0; type < 16; type++) {
		p[KUP_OFF_TYPE] = (uint8_t)(KUP_VERSION << 4 | type);
		CU_ASSERT_EQUAL(produce_head(p, KUP_FLOOR, &h),
			type == 1 || type == 3 || type == 5 || type == 7 ? PRODUCE_OK : PRODUCE_TYPE);
	}
}

static void
what_is_short_or_of_another_protocol_is_told_apart(void)
{
	struct produce_head h;

	(void)data(400);
	CU_ASSERT_EQUAL(produce_head(dgram, KUP_FLOOR - 1, &h), PRODUCE_SHORT);
	CU_ASSERT_EQUAL(produce_head(dgram, KUP_FLOOR, &h), PRODUCE_OK);
	dgram[KUP_OFF_TYPE] = 2 << 4 | KUP_DATA;
	CU_ASSERT_EQUAL(produce_head(dgram, 432, &h), PRODUCE_MAGIC);
	(void)data(400);
	dgram[KUP_OFF_MAGIC] = 0;
	CU_ASSERT_EQUAL(produce_head(dgram, 432, &h), PRODUCE_MAGIC);
}

static void
a_batch_that_does_not_fit_its_datagram_is_corrupt(void)
{
	struct produce_data d;

	(void)data(400);
	produce_data(dgram, 431, &d);
	CU_ASSERT_EQUAL(d.error, KIRA_E_CORRUPT_MESSAGE);
	produce_data(dgram, 432, &d);
	CU_ASSERT_EQUAL(d.error, 0);
	produce_data(dgram, 1472, &d); /* padded */
	CU_ASSERT_EQUAL(d.error, 0);
	CU_ASSERT_EQUAL(d.length, 400);
	produce_data(dgram, data(RB_HEADER), &d);
	CU_ASSERT_EQUAL(d.error, 0);
	produce_data(dgram, data(RB_HEADER - 1), &d);
	CU_ASSERT_EQUAL(d.error, KIRA_E_CORRUPT_MESSAGE);
	(void)data(400);
	put_be32(dgram + KUP_DATA_BATCH + RB_LENGTH, 0xffffffff);
	produce_data(dgram, 432, &d);
	CU_ASSERT_EQUAL(d.error, KIRA_E_CORRUPT_MESSAGE);
	put_be32(dgram + KUP_DATA_BATCH + RB_LENGTH, 0x7fffffff);
	produce_data(dgram, 432, &d);
	CU_ASSERT_EQUAL(d.error, KIRA_E_CORRUPT_MESSAGE);
}

static void
fragments_and_a_free_choice_with_a_producer_id_are_invalid(void)
{
	struct produce_data d;
	const uint32_t len = data(400);

	dgram[KUP_DATA_FRAG_CNT] = 2;
	produce_data(dgram, len, &d);
	CU_ASSERT_EQUAL(d.error, KIRA_E_INVALID_REQUEST);
	dgram[KUP_DATA_FRAG_CNT] = 1;
	dgram[KUP_DATA_FRAG_IDX] = 1;
	produce_data(dgram, len, &d);
	CU_ASSERT_EQUAL(d.error, KIRA_E_INVALID_REQUEST);
	dgram[KUP_DATA_FRAG_IDX] = 0;
	put_be32(dgram + KUP_DATA_PARTITION, UINT32_MAX);
	produce_data(dgram, len, &d);
	CU_ASSERT_EQUAL(d.error, KIRA_E_INVALID_REQUEST);
	put_be64(dgram + KUP_DATA_BATCH + RB_PRODUCER_ID, UINT64_MAX);
	produce_data(dgram, len, &d);
	CU_ASSERT_EQUAL(d.error, 0);
	CU_ASSERT_EQUAL(d.partition, -1);
}

static const struct ut_test tests[] = {
	UT("produce", a_client_datagram_is_read_field_by_field),
	UT("produce", ping_query_and_close_are_let_in_and_the_brokers_types_are_not),
	UT("produce", what_is_short_or_of_another_protocol_is_told_apart),
	UT("produce", a_batch_that_does_not_fit_its_datagram_is_corrupt),
	UT("produce", fragments_and_a_free_choice_with_a_producer_id_are_invalid),
};
UT_MAIN(tests)
