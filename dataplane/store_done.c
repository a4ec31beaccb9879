/* SPDX-License-Identifier: MIT
 * store_done.c - what a storage lcore has finished: published, then completed.
 * Thread: the storage lcore, in its turn. Owns: staged[] and dirty[]. Never: completes a message
 * before its partition's end is published. */
#include "dataplane/store_done.h"

#include "base/assert.h"
#include "dataplane/drop.h"

#include <kira/errors.h>

#include <rte_ring_elem.h>

/* Completions and mbufs of packets, gathered and sent in runs of one rx lcore. */
struct outbox {
	unsigned n, rx;
	struct store_done done[STORE_BURST];
	struct store_msg *msg[STORE_BURST];
};

static void
outbox_send(struct store_lcore *st, struct outbox *out)
{
	unsigned took;

	if (out->n == 0)
		return;
	/* The ring holds the queue's whole credit, and each packet out has its own: it fits. */
	took = rte_ring_sp_enqueue_bulk_elem(st->done[out->rx], out->done, sizeof(out->done[0]),
		out->n, NULL);
	ASSERT(took == out->n);
	drop_stored(out->msg, out->n);
	st->gifts->rx |= 1u << out->rx;
	out->n = 0;
}

static void
outbox_add(struct store_lcore *st, struct outbox *out, struct store_msg *msg)
{
	const unsigned rx = msg->session_id >> 24;

	if (out->n == STORE_BURST || (out->n > 0 && out->rx != rx))
		outbox_send(st, out);
	out->rx = rx;
	out->msg[out->n] = msg;
	out->done[out->n++] = (struct store_done){
		.session_id = msg->session_id,
		.pkt_seq = msg->pkt_seq,
		.base_offset = msg->base_offset,
		.commit = msg->commit,
		.error = msg->error,
	};
}

/* End the run: publish every partition touched (E1, T1, K2), then complete what was staged. The
 * other way round an ack could name bytes that no reader can see and no commit covers. */
void
store_publish(struct store_lcore *st)
{
	struct outbox out;

	for (unsigned i = 0; i < st->dirty_n; i++) {
		struct store_lane *lane = st->dirty[i];

		lane->commit = storage_publish(lane->part);
		lane->dirty = false;
		moved_mark(&st->moved, (unsigned)(lane - st->lane));
	}
	if (st->dirty_n > 0) {
		atomic_store_explicit(st->new_data, true, memory_order_release);
		st->gifts->data = true;
		st->gifts->flush = true;
	}
	st->dirty_n = 0;
	out.n = 0;
	for (unsigned i = 0; i < st->staged_n; i++) {
		struct store_msg *msg = st->staged[i];

		if (msg->commit) {
			msg->commit = store_lane(st, msg)->commit;
			if (msg->commit == 0) { /* failed under the run: it may be found at the next start */
				msg->error = KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
				msg->base_offset = -1;
			}
		}
		if (msg->kind == STORE_UDP) {
			outbox_add(st, &out, msg);
		} else {
			const int rc = rte_ring_sp_enqueue(st->cmd_done, msg);

			ASSERT(rc == 0); /* as large as what control may have outstanding */
			st->gifts->control = true;
		}
	}
	outbox_send(st, &out);
	st->staged_n = 0;
}

void
store_stage(struct store_lcore *st, struct store_msg *msg, int16_t error, int64_t base_offset,
	bool covered)
{
	if (st->staged_n == STORE_STAGED)
		store_publish(st);
	msg->error = error;
	msg->base_offset = base_offset;
	msg->commit = covered; /* store_publish() puts the number */
	st->staged[st->staged_n++] = msg;
}
