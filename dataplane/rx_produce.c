/* SPDX-License-Identifier: MIT
 * rx_produce.c - one produce datagram: bytes in, verdict out. See rx_produce.h.
 * Thread: any. Owns: nothing. Never: reads past `len`, believes a length, looks into records. */
#include "dataplane/rx_produce.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <kira/wire.h>

/* A header can be read from every datagram that is long enough to be one. */
BUILD_ASSERT(KUP_DATA_BATCH + RB_HEADER <= KUP_FLOOR);

enum produce_verdict
produce_head(const uint8_t *p, uint32_t len, struct produce_head *ret)
{
	uint8_t type;

	if (len < KUP_FLOOR)
		return PRODUCE_SHORT;
	if (p[KUP_OFF_MAGIC] != KUP_MAGIC || p[KUP_OFF_TYPE] >> 4 != KUP_VERSION)
		return PRODUCE_MAGIC;
	type = p[KUP_OFF_TYPE] & 0x0f;
	if (type != KUP_DATA && type != KUP_PING && type != KUP_QUERY && type != KUP_CLOSE)
		return PRODUCE_TYPE;
	ret->type = type;
	ret->flags = p[KUP_OFF_FLAGS];
	ret->aux = p[KUP_OFF_AUX];
	ret->session_id = get_be32(p + KUP_OFF_SESSION);
	ret->auth = get_be64(p + KUP_OFF_AUTH);
	ret->word = get_be32(p + KUP_DATA_SEQ);
	ret->word2 = get_be32(p + KUP_DATA_TX_TS);
	return PRODUCE_OK;
}

void
produce_data(const uint8_t *p, uint32_t len, struct produce_data *ret)
{
	const uint8_t *batch = p + KUP_DATA_BATCH;
	const int64_t total = rb_total(batch);

	ret->handle = get_be16(p + KUP_DATA_HANDLE);
	ret->partition = (int32_t)get_be32(p + KUP_DATA_PARTITION);
	ret->records = 0;
	ret->length = 0;
	/* D3. Fragments are reserved; a broker that chose the partition would break the sequence. */
	if (p[KUP_DATA_FRAG_IDX] != 0 || p[KUP_DATA_FRAG_CNT] != 1 ||
		(ret->partition == -1 && rb_producer_id(batch) != -1)) {
		ret->error = KIRA_E_INVALID_REQUEST;
		return;
	}
	/* D4. What follows the batch is padding. */
	if (total < RB_HEADER || total > (int64_t)len - KUP_DATA_BATCH) {
		ret->error = KIRA_E_CORRUPT_MESSAGE;
		return;
	}
	ret->error = 0;
	ret->length = (uint32_t)total;
	ret->records = (uint32_t)rb_count(batch);
}
