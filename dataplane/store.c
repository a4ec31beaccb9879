/* SPDX-License-Identifier: MIT
 * store.c - store_turn: rings -> append, in runs per partition -> completions.
 * Thread: one pinned storage lcore, or merged behind rx_turn. Owns: its partitions' append side, the
 * hold, the wait queues. Never: in its turn allocates, locks, logs, makes a system call, waits for
 * a disk. */
#include "dataplane/store.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/clock.h"
#include "dataplane/drop.h"
#include "dataplane/store_done.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <rte_prefetch.h>
#include <rte_ring_elem.h>
#include <stdlib.h>

bool
store_open(struct store_lcore *st, unsigned partitions_max, unsigned capacity)
{
	st->lanes = partitions_max;
	st->lane = calloc(partitions_max, sizeof(*st->lane));
	st->waiting = calloc(partitions_max, sizeof(struct store_lane *));
	st->dirty = calloc(partitions_max, sizeof(struct store_lane *));
	if (!st->lane || !st->waiting || !st->dirty || !moved_open(&st->moved, partitions_max) ||
		!hold_open(&st->hold, capacity)) {
		moved_close(&st->moved);
		free(st->lane);
		free(st->waiting);
		free(st->dirty);
		st->lane = NULL;
		return false;
	}
	st->failures = storage_failures(st->storage);
	return true;
}

/* ---- WAIT: no room faulted in ------------------------------------------------------------- */

static bool
session_ended(const struct store_lcore *st, const struct store_msg *msg)
{
	/* Q2: pairs with Q1 in session.c. */
	return atomic_load_explicit(&st->ended[msg->session_id >> 24][msg->session_id & 0xffffff],
		memory_order_acquire);
}

static void
wait_push(struct store_lcore *st, struct store_lane *lane, struct store_msg *msg, uint64_t now_ns)
{
	msg->next = NULL;
	msg->commit = now_ns; /* since when; an out field until then unused */
	lane->part = msg->part;
	if (lane->wait_tail)
		lane->wait_tail->next = msg;
	else
		lane->wait_head = msg;
	lane->wait_tail = msg;
	if (!lane->waiting_at) {
		st->waiting[st->waiting_n++] = lane;
		lane->waiting_at = st->waiting_n;
		counter_set(&st->count->waiting_partitions, st->waiting_n);
	}
}

/* A batch of the hold that found no room: before those that came after it. */
static void
wait_push_front(struct store_lcore *st, struct store_lane *lane, struct store_msg *msg,
	uint64_t now_ns)
{
	if (!lane->wait_head) {
		wait_push(st, lane, msg, now_ns);
		return;
	}
	msg->commit = now_ns;
	msg->next = lane->wait_head;
	lane->wait_head = msg;
}

/* Take `msg`, which follows `prev` (NULL: it is the head). */
static void
wait_take(struct store_lcore *st, struct store_lane *lane, struct store_msg *prev,
	struct store_msg *msg)
{
	if (prev)
		prev->next = msg->next;
	else
		lane->wait_head = msg->next;
	if (!prev)
		lane->asked = false; /* by the one that leaves */
	if (lane->wait_tail == msg)
		lane->wait_tail = prev;
	if (st->look_lane == lane && st->look_prev == msg)
		st->look_prev = prev;
	if (lane->wait_head)
		return;
	/* The last one left: the place in waiting[] goes to the last of that list. */
	st->waiting_n--;
	st->waiting[lane->waiting_at - 1] = st->waiting[st->waiting_n];
	st->waiting[lane->waiting_at - 1]->waiting_at = lane->waiting_at;
	lane->waiting_at = 0;
	if (st->look_lane == lane)
		st->look_lane = NULL;
	counter_set(&st->count->waiting_partitions, st->waiting_n);
}

/* ---- One batch ---------------------------------------------------------------------------- */

static void
count_stored(struct store_counters *count, const struct store_msg *msg)
{
	const uint32_t records = (uint32_t)rb_count(msg->batch);

	if (msg->kind == STORE_UDP) {
		counter_add(&count->udp_batches, 1);
		counter_add(&count->udp_records, records);
		counter_add(&count->udp_bytes, msg->length);
	} else {
		counter_add(&count->tcp_batches, 1);
		counter_add(&count->tcp_records, records);
		counter_add(&count->tcp_bytes, msg->length);
	}
}

static void
hold_leave(struct store_lcore *st, struct packet *pkt)
{
	hold_remove(&st->hold, &pkt->held);
	store_lane(st, &pkt->msg)->held--;
	counter_set(&st->count->held_now, st->hold.n);
}

static void
hold_refuse(struct store_lcore *st, struct packet *pkt, int16_t error)
{
	hold_leave(st, pkt);
	counter_add(&st->count->hold_refused, 1);
	store_stage(st, &pkt->msg, error, -1, false);
}

/* Take an early batch into the hold, or end it; those that leave for it end too. */
static void
hold_enter(struct store_lcore *st, struct store_lane *lane, struct store_msg *msg, uint64_t now_ns)
{
	struct packet *pkt = (struct packet *)msg;
	struct held *evicted;
	int16_t evicted_error, error;

	error = hold_insert(&st->hold, &pkt->held, (uint32_t)(lane - st->lane),
		rb_producer_id(msg->batch), rb_producer_epoch(msg->batch),
		rb_base_sequence(msg->batch), now_ns, &evicted, &evicted_error);
	while (evicted) {
		struct packet *out = packet_of_held(evicted);

		evicted = evicted->newer;
		lane->held--;
		counter_add(&st->count->hold_refused, 1);
		if (!BUG(38))
			store_stage(st, &out->msg, evicted_error, -1, false);
	}
	if (error) {
		counter_add(&st->count->hold_refused, 1);
		store_stage(st, msg, error, -1, false);
		return;
	}
	lane->held++;
	counter_add(&st->count->held, 1);
	counter_set(&st->count->held_now, st->hold.n);
}

/* A verdict that ends the message: stored, duplicate or refused. */
static void
finish(struct store_lcore *st, struct store_lane *lane, struct store_msg *msg,
	enum append_verdict verdict, const struct append_result *result)
{
	if (verdict == APPEND_REFUSED) {
		counter_add(&st->count->refused, 1);
		store_stage(st, msg, result->error, -1, false);
		return;
	}
	if (verdict == APPEND_STORED)
		count_stored(st->count, msg);
	else
		counter_add(&st->count->duplicates, 1);
	if (msg->kind != STORE_UDP)
		msg->append_ms = result->append_ms;
	store_touch(st, lane, msg->part);
	store_stage(st, msg, result->error, result->base_offset, verdict == APPEND_STORED || !BUG(40));
}

/* H3: the gap before a held batch may have closed. From the head, each by the table; what is too much for
 * this turn in the next ones, a batch that comes first meanwhile is judged by the table just so. */
static void
drain_hold(struct store_lcore *st, struct store_lane *lane, int64_t producer, uint64_t now_ns,
	int64_t wall_ms)
{
	struct hold_list *list;

	while (lane->held > 0 &&
		(list = hold_find(&st->hold, (uint32_t)(lane - st->lane), producer)) != NULL) {
		struct packet *pkt = packet_of_held(list->head);
		struct append_result result;
		enum append_verdict verdict;

		if (st->drain_left == 0) {
			hold_owe(&st->hold, list);
			return;
		}
		st->drain_left--;
		verdict = storage_append(pkt->msg.part, pkt->msg.batch, pkt->msg.length,
			pkt->msg.append_flags, now_ns, wall_ms, &result);
		if (verdict == APPEND_EARLY)
			return; /* it keeps its place and its clock */
		hold_leave(st, pkt);
		if (verdict == APPEND_WAIT) {
			st->gifts->flush = true;
			lane->asked = true;
			wait_push_front(st, lane, &pkt->msg, now_ns);
			return;
		}
		finish(st, lane, &pkt->msg, verdict, &result);
	}
}

static unsigned
drain_owed(struct store_lcore *st, uint64_t now_ns, int64_t wall_ms)
{
	struct hold_list *list;
	unsigned lists = 0;

	while (st->drain_left > 0 && (list = hold_owed(&st->hold)) != NULL) {
		drain_hold(st, &st->lane[list->lane], list->producer, now_ns, wall_ms);
		lists++;
	}
	return lists;
}

/* Judge and append one. False: WAIT, the message is still the caller's. */
static bool
append(struct store_lcore *st, struct store_lane *lane, struct store_msg *msg, uint64_t now_ns,
	int64_t wall_ms)
{
	/* Read now: once staged, a publish may have given the packet back. */
	const int64_t producer = lane->held > 0 && msg->length >= RB_HEADER ?
		rb_producer_id(msg->batch) : -1;
	struct append_result result;
	const enum append_verdict verdict = storage_append(msg->part, msg->batch, msg->length,
		msg->append_flags, now_ns, wall_ms, &result);

	if (verdict == APPEND_WAIT || verdict == APPEND_EARLY) {
		msg->append_flags |= APPEND_CHECKED;
		if (verdict == APPEND_WAIT) {
			st->gifts->flush = true; /* it asked for room */
			lane->asked = true;
			return false;
		}
		hold_enter(st, lane, msg, now_ns);
		return true;
	}
	finish(st, lane, msg, verdict, &result);
	if (verdict == APPEND_STORED && producer >= 0)
		drain_hold(st, lane, producer, now_ns, wall_ms);
	return true;
}

static void
store_batch(struct store_lcore *st, struct store_msg *msg, uint64_t now_ns, int64_t wall_ms)
{
	struct store_lane *lane = store_lane(st, msg);

	/* Behind those that wait, unexamined: it must not overtake them into the hold. */
	if (lane->wait_head && !BUG(52)) {
		wait_push(st, lane, msg, now_ns);
	} else if (!append(st, lane, msg, now_ns, wall_ms)) {
		counter_add(&st->count->waits, 1);
		wait_push(st, lane, msg, now_ns);
	}
}

/* A burst: two passes, so that what the append touches is on its way before it is needed. */
static void
store_burst(struct store_lcore *st, struct store_msg *const *msg, unsigned n, uint64_t now_ns,
	int64_t wall_ms)
{
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(msg[i]);
	for (unsigned i = 0; i < n; i++) {
		rte_prefetch0(msg[i]->part);
		rte_prefetch0(msg[i]->batch);
		rte_prefetch0(msg[i]->batch + CACHE_LINE);
	}
	for (unsigned i = 0; i < n; i++)
		store_batch(st, msg[i], now_ns, wall_ms);
}

/* ---- What waits, what is held -------------------------------------------------------------- */

/* The partition failed (56) or goes (3): all that waits or is held for it ends. */
static void
end_all(struct store_lcore *st, struct store_lane *lane, int16_t error)
{
	struct held *next;

	while (lane->wait_head) {
		struct store_msg *msg = lane->wait_head;

		wait_take(st, lane, NULL, msg);
		counter_add(&st->count->refused, 1);
		store_stage(st, msg, error, -1, false);
	}
	for (struct held *b = st->hold.oldest; b && lane->held > 0; b = next) {
		struct packet *pkt = packet_of_held(b);

		next = b->newer;
		if (store_lane(st, &pkt->msg) != lane)
			continue;
		hold_refuse(st, pkt, error);
	}
}

/* H7, after storage_failures() moved (X2): rare, so by looking at everything. */
static void
end_failed(struct store_lcore *st)
{
	struct held *next;

	for (unsigned i = st->waiting_n; i-- > 0;)
		if (i < st->waiting_n && storage_state(st->waiting[i]->part) != PART_OK)
			end_all(st, st->waiting[i], KIRA_E_KAFKA_STORAGE_ERROR);
	for (struct held *b = st->hold.oldest; b; b = next) {
		struct packet *pkt = packet_of_held(b);

		next = b->newer;
		if (storage_state(pkt->msg.part) != PART_OK)
			hold_refuse(st, pkt, KIRA_E_KAFKA_STORAGE_ERROR);
	}
}

/* The head of a wait queue may have got room (R2, N2): work it off, a burst at most. */
static unsigned
work_off(struct store_lcore *st, struct store_lane *lane, uint64_t now_ns, int64_t wall_ms)
{
	unsigned n = 0;

	if (lane->asked && !storage_has_room(lane->part))
		return 0;
	while (lane->wait_head && n < STORE_BURST) {
		struct store_msg *msg = lane->wait_head;
		const uint64_t since_ns = msg->commit;

		wait_take(st, lane, NULL, msg);
		if (!append(st, lane, msg, now_ns, wall_ms)) {
			wait_push_front(st, lane, msg, since_ns);
			break;
		}
		stall_add(st->wait_count, now_ns - since_ns);
		n++;
	}
	return n;
}

static unsigned
work_off_waiting(struct store_lcore *st, uint64_t now_ns, int64_t wall_ms)
{
	const unsigned lanes = MIN(st->waiting_n, (unsigned)STORE_BURST);
	unsigned work = 0;

	for (unsigned i = 0; i < lanes && st->waiting_n > 0; i++) {
		struct store_lane *lane;

		if (st->waiting_next >= st->waiting_n)
			st->waiting_next = 0;
		lane = st->waiting[st->waiting_next];
		work += work_off(st, lane, now_ns, wall_ms);
		if (lane->waiting_at == st->waiting_next + 1)
			st->waiting_next++;
	}
	return work;
}

/* Some of those that wait, in turn: packets of ended sessions are freed, so that a full disk does
 * not keep their credit for ever; a TCP batch waits for a second at most. */
static unsigned
look_at_waiting(struct store_lcore *st, uint64_t now_ns)
{
	unsigned work = 0;

	if (now_ns - st->looked_ns < STORE_LOOK_NS)
		return 0;
	st->looked_ns = now_ns;
	for (unsigned i = 0; i < STORE_WAIT_LOOK && st->waiting_n > 0; i++) {
		struct store_msg *msg;

		if (!st->look_lane) {
			if (st->look_at >= st->waiting_n)
				st->look_at = 0;
			st->look_lane = st->waiting[st->look_at++];
			st->look_prev = NULL;
		}
		msg = st->look_prev ? st->look_prev->next : st->look_lane->wait_head;
		if (!msg) {
			st->look_lane = NULL;
		} else if (msg->kind == STORE_UDP && session_ended(st, msg)) {
			wait_take(st, st->look_lane, st->look_prev, msg);
			counter_add(&st->count->freed_with_session, 1);
			store_stage(st, msg, KIRA_E_UNKNOWN_SERVER_ERROR, -1, false);
			work++;
		} else if (msg->kind != STORE_UDP && now_ns - msg->commit >= STORE_TCP_WAIT_NS) {
			stall_add(st->wait_count, now_ns - msg->commit);
			wait_take(st, st->look_lane, st->look_prev, msg);
			counter_add(&st->count->wait_expired, 1);
			storage_give_up(msg->part, msg->batch, msg->length, msg->append_flags, now_ns);
			store_stage(st, msg, KIRA_E_KAFKA_STORAGE_ERROR, -1, false);
			work++;
		} else {
			st->look_prev = msg;
		}
	}
	return work;
}

/* H4. `all`: kirad stops, no gap will close any more. */
static unsigned
expire_held(struct store_lcore *st, uint64_t now_ns, bool all)
{
	unsigned work = 0;

	while (st->hold.oldest && work < STORE_BURST) {
		struct packet *pkt = packet_of_held(st->hold.oldest);
		const bool waits = store_lane(st, &pkt->msg)->wait_head != NULL;

		if (!all && now_ns - pkt->held.since_ns < (uint64_t)KUP_HOLD_MS * NS_PER_MS)
			break;
		work++;
		if (waits && !session_ended(st, &pkt->msg)) {
			/* The batch that closes its gap may be among those that wait. */
			hold_postpone(&st->hold, &pkt->held, now_ns);
			continue;
		}
		hold_refuse(st, pkt, KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER);
	}
	return work;
}

/* ---- Commands ------------------------------------------------------------------------------ */

static unsigned
take_packets(struct store_lcore *st, unsigned rx, uint64_t now_ns, int64_t wall_ms)
{
	struct store_msg *msg[STORE_BURST];
	const unsigned n = rte_ring_sc_dequeue_burst(st->from_rx[rx], (void **)msg, STORE_BURST,
		NULL);

	store_burst(st, msg, n, now_ns, wall_ms);
	return n;
}

/* The rx lcores have forgotten the topic before this was sent: what they handed over until then is
 * in the rings now. After it nothing on this lcore points to the partition. */
static void
detach(struct store_lcore *st, struct store_msg *cmd, uint64_t now_ns, int64_t wall_ms)
{
	struct store_lane *lane = store_lane(st, cmd);

	for (unsigned rx = 0; rx < st->rx_lcores; rx++) {
		unsigned left = rte_ring_count(st->from_rx[rx]);

		while (left > 0)
			left -= MIN(left, take_packets(st, rx, now_ns, wall_ms));
	}
	end_all(st, lane, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	store_publish(st);
	storage_detach_lcore(cmd->part);
	lane->part = NULL;
	store_stage(st, cmd, 0, -1, false);
}

static void
command(struct store_lcore *st, struct store_msg *msg, uint64_t now_ns, int64_t wall_ms)
{
	switch ((enum store_kind)msg->kind) {
	case STORE_PRODUCE:
		store_batch(st, msg, now_ns, wall_ms);
		break;
	case STORE_ROLL:
		storage_roll(msg->part, now_ns);
		st->gifts->flush = true; /* a segment left, or asked for */
		store_stage(st, msg, 0, -1, false);
		break;
	case STORE_CONFIGURE:
		storage_configure(msg->part, msg->config);
		store_stage(st, msg, 0, -1, false);
		break;
	case STORE_PRODUCERS:
		store_stage(st, msg, 0, storage_producers(msg->part, msg->producers, msg->length, now_ns), false);
		break;
	case STORE_DETACH:
		detach(st, msg, now_ns, wall_ms);
		break;
	case STORE_UDP:
	default:
		ASSERT(!"a command that control does not send");
	}
}

unsigned
store_turn(struct store_lcore *st, uint64_t now_ns, int64_t wall_ms)
{
	struct store_msg *msg[STORE_BURST];
	const uint64_t failures = storage_failures(st->storage);
	unsigned n, work = 0;

	if (failures != st->failures) {
		st->failures = failures;
		end_failed(st);
	}
	/* As many as the rings may bring: the hold is worked off as fast as it fills. */
	st->drain_left = STORE_BURST * st->rx_lcores;
	work += drain_owed(st, now_ns, wall_ms);
	if (st->waiting_n > 0) {
		work += work_off_waiting(st, now_ns, wall_ms);
		work += look_at_waiting(st, now_ns);
	}
	n = rte_ring_sc_dequeue_burst(st->cmd, (void **)msg, STORE_BURST, NULL);
	for (unsigned i = 0; i < n; i++)
		command(st, msg[i], now_ns, wall_ms);
	work += n;
	for (unsigned rx = 0; rx < st->rx_lcores; rx++)
		work += take_packets(st, rx, now_ns, wall_ms);
	if (st->hold.oldest)
		work += expire_held(st, now_ns, work == 0 && atomic_load_explicit(st->draining,
			memory_order_relaxed));
	if (st->staged_n > 0 || st->dirty_n > 0)
		store_publish(st);
	atomic_store_explicit(&st->left, st->hold.n + st->waiting_n, memory_order_release);
	return work;
}

bool
store_has_work(const struct store_lcore *st)
{
	if (rte_ring_count(st->cmd) > 0)
		return true;
	for (unsigned rx = 0; rx < st->rx_lcores; rx++)
		if (rte_ring_count(st->from_rx[rx]) > 0)
			return true;
	return false;
}

void
store_close(struct store_lcore *st)
{
	struct store_msg *msg;

	if (!st->lane)
		return;
	while (st->waiting_n > 0)
		end_all(st, st->waiting[0], KIRA_E_UNKNOWN_SERVER_ERROR);
	while (st->hold.oldest)
		end_all(st, store_lane(st, &packet_of_held(st->hold.oldest)->msg),
			KIRA_E_UNKNOWN_SERVER_ERROR);
	store_publish(st);
	for (unsigned rx = 0; rx < st->rx_lcores; rx++)
		while (rte_ring_sc_dequeue(st->from_rx[rx], (void **)&msg) == 0)
			drop_stored(&msg, 1);
	hold_close(&st->hold);
	moved_close(&st->moved);
	free(st->lane);
	free(st->waiting);
	free(st->dirty);
	st->lane = NULL;
}
