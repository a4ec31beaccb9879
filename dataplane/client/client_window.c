/* SPDX-License-Identifier: MIT
 * client_window.c - what one session has sent and what became of it. Reno's shape in packets after
 * RFC 9002, SACK, transmissions counted so that copies can be told apart.
 * Thread: the session's only caller. Owns: the slots between oldest_unknown and next_seq.
 * Never: reads a clock, allocates, sends. */
#include "dataplane/client/client_window.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bug.h"
#include "base/clock.h"

#include <string.h>

#define NIL            0xffff
#define REORDER_START  3                /* RFC 9002's kPacketThreshold */
#define PING_MIN_NS    (1 * NS_PER_S)

static struct cw_slot *
slot_of(struct client_window *w, uint32_t seq)
{
	return &w->slots[seq & w->mask];
}

/* Sent and without a known outcome yet, or known and waiting for an older one. */
static bool
is_open(const struct client_window *w, uint32_t seq)
{
	return seq - w->oldest_unknown < w->next_seq - w->oldest_unknown;
}

/* ---- Signs of life ----------------------------------------------------------------------- */

/* Any valid datagram: the peer lives. */
static void
heard(struct client_window *w, uint64_t now_ns)
{
	w->heard_ns = now_ns;
	rtt_heard(&w->rtt);
}

/* The same question again, with nothing heard since: as a probe. A session that ended unheard answers
 * nothing any more; would only packets count, one whose packets are all received were asked for ever. */
static void
unanswered(struct client_window *w, uint64_t asked_ns)
{
	if (w->heard_ns < asked_ns)
		rtt_probe(&w->rtt);
}

/* ---- The list of packets in flight, oldest last transmission first ----------------------- */

static void
list_append(struct client_window *w, struct cw_slot *slot)
{
	const uint16_t i = (uint16_t)(slot - w->slots);

	slot->prev = w->tail;
	slot->next = NIL;
	if (w->tail != NIL)
		w->slots[w->tail].next = i;
	else
		w->head = i;
	w->tail = i;
}

static void
list_remove(struct client_window *w, struct cw_slot *slot)
{
	if (slot->prev != NIL)
		w->slots[slot->prev].next = slot->next;
	else
		w->head = slot->next;
	if (slot->next != NIL)
		w->slots[slot->next].prev = slot->prev;
	else
		w->tail = slot->prev;
}

static void
lost_bit(struct client_window *w, const struct cw_slot *slot, bool on)
{
	const uint32_t i = (uint32_t)(slot - w->slots);

	if (on)
		w->lost_map[i / 64] |= UINT64_C(1) << (i % 64);
	else
		w->lost_map[i / 64] &= ~(UINT64_C(1) << (i % 64));
	w->lost += on ? 1 : -1u;
}

/* The lowest pkt_seq that waits to be sent again; w->lost > 0. */
static struct cw_slot *
lowest_lost(struct client_window *w)
{
	const uint32_t slots = w->mask + 1, from = w->oldest_unknown & w->mask;

	for (uint32_t done = 0; done < slots;) {
		const uint32_t i = (from + done) & w->mask;
		const uint64_t bits = w->lost_map[i / 64] >> (i % 64);
		const uint32_t there = slots < 64 ? slots - i : 64 - i % 64;

		if (bits)
			return &w->slots[i + (uint32_t)__builtin_ctzll(bits)];
		done += there;
	}
	return NULL;
}

/* ---- Sending ----------------------------------------------------------------------------- */

static void
transmit(struct client_window *w, struct cw_slot *slot, uint64_t now_ns)
{
	if (slot->state == CW_IN_FLIGHT) {
		list_remove(w, slot); /* a probe of a packet not declared lost */
		gso_gone(&w->gso, slot->last_tx);
	} else {
		if (slot->state == CW_LOST)
			lost_bit(w, slot, false);
		w->in_flight++;
	}
	slot->state = CW_IN_FLIGHT;
	list_append(w, slot);
	slot->last_tx = ++w->tx;
	slot->sent_ns = now_ns;
	slot->tx_ts = cw_tx_ts(now_ns);
	slot->copies++;
	slot->behind = false;
	w->sent_ns = now_ns;
	w->stats.sent++;
	cc_sent(&w->cc, w->in_flight);
}

struct cw_slot *
cw_new(struct client_window *w, uint64_t now_ns, void *batch, uint64_t user, uint16_t handle,
	int32_t partition, uint32_t records)
{
	struct cw_slot *slot = slot_of(w, w->next_seq);

	DASSERT(slot->state == CW_FREE);
	*slot = (struct cw_slot){
		.batch = batch,
		.user = user,
		.first_ns = now_ns,
		.seq = w->next_seq,
		.records = records,
		.partition = partition,
		.handle = handle,
		.first_tx = w->tx + 1,
	};
	w->next_seq++;
	w->missing++;
	transmit(w, slot, now_ns);
	return slot;
}

void
cw_burst(struct client_window *w, uint32_t first_tx, uint32_t count)
{
	const uint32_t last_tx = first_tx + count - 1;

	w->stats.bursts++;
	gso_sent(&w->gso, first_tx, count);
	for (uint16_t i = w->tail; i != NIL && serial_newer(w->slots[i].last_tx, first_tx);
		i = w->slots[i].prev)
		w->slots[i].behind |= !serial_newer(w->slots[i].last_tx, last_tx);
}

static bool
may_send_new(const struct client_window *w, uint64_t now_ns)
{
	if (w->drain || now_ns < w->throttle_until_ns || serial_newer(w->next_seq, w->credit_limit)
			|| w->in_flight >= w->cc.cwnd || w->next_seq - w->oldest_unknown >= w->window)
		return false;
	/* Lapse: credit unused for credit_lease_ms may have been taken back. */
	return now_ns - w->acked_ns <= w->credit_lease_ns || w->missing < KUP_IDLE_CREDIT;
}

static uint64_t
probe_at(const struct client_window *w)
{
	return w->missing == 0 || BUG(49) ? CW_NEVER : MAX(w->sent_ns, w->heard_ns) + w->rtt.pto_ns;
}

/* A level is still due for something the broker has received: it is asked now and then. */
static bool
level_due(const struct client_window *w)
{
	return w->oldest_unknown != w->next_seq
		|| (w->want_disk && w->disk_told != w->next_seq - 1);
}

static uint64_t
ping_at(const struct client_window *w)
{
	uint64_t at = w->sent_ns + w->keepalive_ns;

	if (w->missing == 0 && level_due(w)) {
		const uint64_t last = MAX(MAX(w->ping_ns, w->sent_ns), w->heard_ns);

		at = MIN(at, last + MAX(w->rtt.pto_ns, PING_MIN_NS));
	}
	return at;
}

static bool
query_due(const struct client_window *w)
{
	return w->err_known != w->err_total && !serial_newer(w->oldest_unknown, w->log_seq) && !BUG(37);
}

static struct cw_slot *
lowest_missing(struct client_window *w)
{
	for (uint32_t seq = w->oldest_unknown; seq != w->next_seq; seq++) {
		struct cw_slot *slot = slot_of(w, seq);

		if (slot->state == CW_IN_FLIGHT || slot->state == CW_LOST)
			return slot;
	}
	return NULL;
}

/* ---- Losses ------------------------------------------------------------------------------ */

static void
cut(struct client_window *w)
{
	w->recovery_end = w->next_seq - 1;
	w->stats.cuts += w->cc.reno;
	cc_cut(&w->cc);
}

/* What is overtaken may be late by time as well as by count: both grow together, to two round trips. */
static uint64_t
loss_after_ns(const struct client_window *w)
{
	return rtt_loss_after_ns(&w->rtt, MIN(w->reorder / REORDER_START, 8u));
}

/* Transmissions are numbered, so the list is in the order of both criteria: stop at the first
 * packet that is not lost. */
static void
detect_losses(struct client_window *w, uint64_t now_ns)
{
	const uint64_t after = loss_after_ns(w);
	bool beyond = false;

	while (w->evidence && w->head != NIL) {
		struct cw_slot *slot = &w->slots[w->head];
		const int32_t behind = (int32_t)(w->evidence_tx - slot->last_tx);

		if (behind <= 0 || (behind < (int32_t)w->reorder && now_ns - slot->sent_ns <= after))
			break;
		list_remove(w, slot);
		gso_gone(&w->gso, slot->last_tx);
		w->in_flight--;
		slot->state = CW_LOST;
		slot->was_lost = true;
		lost_bit(w, slot, true);
		w->stats.lost++;
		beyond |= serial_newer(slot->seq, w->recovery_end);
	}
	if (beyond)
		cut(w);
	if (gso_judge(&w->gso)) {
		w->stats.gso_off++;
		cc_restart(&w->cc);
	}
}

/* When the oldest packet in flight, overtaken already, is lost by time. */
static uint64_t
loss_at(const struct client_window *w)
{
	if (!w->evidence || w->head == NIL || (int32_t)(w->evidence_tx - w->slots[w->head].last_tx) <= 0)
		return CW_NEVER;
	return w->slots[w->head].sent_ns + loss_after_ns(w) + 1;
}

/* ---- Next -------------------------------------------------------------------------------- */

enum cw_what
cw_next(struct client_window *w, uint64_t now_ns, struct cw_step *ret)
{
	if (now_ns >= loss_at(w))
		detect_losses(w, now_ns);
	if (query_due(w) && (!w->querying || now_ns >= w->query_ns + w->rtt.pto_ns)) {
		if (w->querying)
			unanswered(w, w->query_ns);
		w->querying = true;
		w->query_ns = w->sent_ns = now_ns;
		w->stats.queries++;
		ret->query_first = w->oldest_unknown;
		ret->query_count = (uint16_t)(w->log_seq - w->oldest_unknown + 1);
		return CW_QUERY;
	}
	if (now_ns >= probe_at(w)) {
		ret->slot = lowest_missing(w);
		if (w->rtt.probes >= 3)
			cc_collapse(&w->cc);
		rtt_probe(&w->rtt);
		w->stats.probes++;
		w->stats.again++;
		transmit(w, ret->slot, now_ns);
		ret->slot->ack_now = true;
		return CW_AGAIN;
	}
	if (w->lost > 0 && w->in_flight < w->cc.cwnd && cc_may(&w->cc, now_ns)) {
		struct cw_slot *slot = lowest_lost(w);

		if (!serial_newer(slot->seq, w->credit_limit)) {
			w->stats.again++;
			transmit(w, slot, now_ns);
			slot->ack_now = false;
			ret->slot = slot;
			return CW_AGAIN;
		}
	}
	if (now_ns >= ping_at(w)) {
		unanswered(w, w->ping_ns);
		ret->ack_now = level_due(w);
		w->ping_ns = w->sent_ns = now_ns;
		return CW_PING;
	}
	return may_send_new(w, now_ns) && cc_may(&w->cc, now_ns) ? CW_NEW : CW_NOTHING;
}

uint64_t
cw_deadline(const struct client_window *w, uint64_t now_ns)
{
	uint64_t at = MIN(MIN(probe_at(w), ping_at(w)), loss_at(w));

	if (query_due(w))
		at = MIN(at, w->querying ? w->query_ns + w->rtt.pto_ns : now_ns);
	if (now_ns < w->throttle_until_ns)
		at = MIN(at, w->throttle_until_ns);
	return w->cc.waits && w->cc.paid_ns > now_ns ? MIN(at, w->cc.paid_ns) : at;
}

/* ---- ACKs -------------------------------------------------------------------------------- */

struct ack_pass {
	const struct cw_events *ev;
	uint32_t ts_echo;
	uint32_t fresh;  /* newly received with pkt_seq > recovery_end */
	bool newest;     /* its ts_echo and watermarks count */
	bool spurious;
	bool resolved_low; /* a result settled a packet <= log_seq: a QUERY was answered */
};

static void
receive(struct client_window *w, struct cw_slot *slot, struct ack_pass *pass)
{
	/* The echo tells which copy came: the last one is evidence by its own number. */
	const bool last = slot->copies == 1 || (pass->newest && pass->ts_echo == slot->tx_ts);
	const uint32_t arrived = last ? slot->last_tx : slot->first_tx;

	if (slot->state == CW_RECEIVED)
		return;
	if (last)
		gso_came(&w->gso, slot->last_tx, slot->behind);
	if (slot->state == CW_LOST) {
		lost_bit(w, slot, false);
		pass->spurious = true; /* not even sent again: only late */
	} else {
		list_remove(w, slot);
		w->in_flight--;
		if (!last) {
			gso_gone(&w->gso, slot->last_tx);
			pass->spurious |= pass->newest && slot->was_lost
				&& serial_newer(slot->tx_ts, pass->ts_echo);
		}
	}
	slot->state = CW_RECEIVED;
	w->missing--;
	if (!w->evidence || serial_newer(arrived, w->evidence_tx))
		w->evidence_tx = arrived;
	w->evidence = true;
	if (serial_newer(slot->seq, w->recovery_end))
		pass->fresh++;
}

static void
settle(struct cw_slot *slot, int16_t error, int64_t base_offset, const struct ack_pass *pass)
{
	slot->known = true;
	pass->ev->outcome(pass->ev->arg, slot, error, base_offset);
}

static void
take_sack(struct client_window *w, const struct cwire_ack *ack, struct ack_pass *pass)
{
	for (unsigned word = 0; word < ack->words; word++) {
		uint64_t bits = cwire_sack_word(ack, word);

		while (bits) {
			const uint32_t seq =
				ack->log_seq + !BUG(34) + 64 * word + (uint32_t)__builtin_ctzll(bits);

			bits &= bits - 1;
			if (is_open(w, seq))
				receive(w, slot_of(w, seq), pass);
		}
	}
}

static void
take_results(struct client_window *w, const struct cwire_ack *ack, struct ack_pass *pass)
{
	for (unsigned i = 0; i < ack->results; i++) {
		struct cwire_result res;
		int64_t offset;

		cwire_result(ack, i, &res);
		if (res.count > KUP_RESULTS_KEPT)
			continue;
		offset = res.error == 0 && res.base_offset >= 0 ? res.base_offset : -1;
		for (uint32_t seq = res.first_seq; seq != res.first_seq + res.count; seq++) {
			struct cw_slot *slot = slot_of(w, seq);

			if (!is_open(w, seq)) {
				offset = -1; /* its records are forgotten: later offsets cannot be told */
				continue;
			}
			if (slot->handle != res.handle
					|| (slot->partition != -1 && slot->partition != res.partition))
				break; /* speaks of something we did not send */
			receive(w, slot, pass);
			if (!slot->known) {
				if (res.error != 0)
					w->err_known++;
				pass->resolved_low |= !serial_newer(seq, w->log_seq);
				settle(slot, res.error, offset, pass);
			}
			if (offset >= 0) /* where no log can go on, none is known */
				offset = offset > INT64_MAX - slot->records ? -1 : offset + slot->records;
		}
	}
}

/* Move oldest_unknown over settled packets; their slots are free. */
static void
retire(struct client_window *w)
{
	while (w->oldest_unknown != w->next_seq && slot_of(w, w->oldest_unknown)->known) {
		slot_of(w, w->oldest_unknown)->state = CW_FREE;
		slot_of(w, w->oldest_unknown)->known = false;
		w->oldest_unknown++;
	}
	/* Results may have settled packets above log_seq; below oldest_unknown nothing is open. */
	if (serial_newer(w->oldest_unknown - 1, w->log_seq))
		w->log_seq = w->oldest_unknown - 1;
	/* Serial numbers reach half way round: an old mark is pulled along. */
	if ((int32_t)(w->oldest_unknown - w->recovery_end) > INT32_MAX / 4)
		w->recovery_end = w->oldest_unknown - INT32_MAX / 4;
}

/* Watermarks, credit and the rest, which count from the newest ACK only. */
static void
take_newest(struct client_window *w, const struct cwire_ack *ack, uint64_t now_ns)
{
	if (!w->heard_ack || ack->ts_echo != w->last_echo) {
		const uint32_t us = cw_tx_ts(now_ns) - ack->ts_echo;

		/* Until the first DATA has arrived there is nothing to echo. */
		if (ack->echo_delay_us < UINT16_MAX && us >= ack->echo_delay_us
				&& (w->evidence || ack->max_seq != w->max_seq))
			rtt_take(&w->rtt, (uint64_t)(us - ack->echo_delay_us) * NS_PER_US);
		w->last_echo = ack->ts_echo;
	}
	w->heard_ack = true;
	w->ack_num = ack->ack_num;
	w->err_total = ack->err_total;
	w->credit_limit = ack->credit_limit;
	w->drain = ack->flags & KUP_FLAG_DRAIN;
	w->throttle_until_ns = ack->throttle_ms ? now_ns + ack->throttle_ms * NS_PER_MS : 0;
	if (serial_newer(ack->max_seq, w->max_seq))
		w->max_seq = ack->max_seq;
	if (w->want_disk && serial_newer(ack->disk_seq, w->disk_seq))
		w->disk_seq = ack->disk_seq;
}

bool
cw_ack(struct client_window *w, const struct cwire_ack *ack, uint64_t now_ns,
	const struct cw_events *ev)
{
	struct ack_pass pass = {.ev = ev, .ts_echo = ack->ts_echo};
	const uint32_t highest = w->next_seq - 1;
	bool ce_grew = false;
	uint32_t disk;

	if (serial_newer(ack->log_seq, highest) || serial_newer(ack->max_seq, highest)
			|| (w->want_disk && serial_newer(ack->disk_seq, ack->log_seq))) {
		w->stats.acks_bad++;
		return false;
	}
	w->stats.acks++;
	heard(w, now_ns);
	w->acked_ns = now_ns;
	pass.newest = !w->heard_ack || serial_newer(ack->ack_num, w->ack_num) || BUG(41);
	if (pass.newest) {
		take_newest(w, ack, now_ns);
		ce_grew = (int16_t)(ack->ce_count - w->ce_count) > 0;
		w->ce_count = ack->ce_count;
		if (serial_newer(ack->log_seq, w->log_seq)) {
			for (uint32_t seq = w->log_seq + 1; seq != ack->log_seq + 1; seq++)
				if (is_open(w, seq))
					receive(w, slot_of(w, seq), &pass);
			w->log_seq = ack->log_seq;
		}
	} else {
		w->stats.acks_old++;
	}
	take_sack(w, ack, &pass);
	take_results(w, ack, &pass);
	if (w->err_known == w->err_total || BUG(36)) {
		/* No failure is unreported to us: all the rest up to log_seq succeeded. */
		for (uint32_t seq = w->oldest_unknown; !serial_newer(seq, w->log_seq); seq++)
			if (!slot_of(w, seq)->known)
				settle(slot_of(w, seq), 0, -1, &pass);
		w->querying = false;
	} else if (pass.resolved_low) {
		w->querying = false; /* an answer, but not all of it: ask again at once */
	}
	retire(w);
	disk = serial_newer(w->disk_seq, w->oldest_unknown - 1) ? w->oldest_unknown - 1 : w->disk_seq;
	if (serial_newer(disk, w->disk_told)) {
		w->disk_told = disk;
		ev->disk(ev->arg, disk);
	}
	if (pass.spurious && !BUG(39)) {
		/* Once per ACK: one burst that came late is one piece of evidence. */
		w->reorder = MIN(2 * w->reorder, (uint32_t)w->window);
		w->stats.spurious++;
	}
	cc_grow(&w->cc, pass.fresh);
	if (ce_grew && serial_newer(w->max_seq, w->recovery_end))
		cut(w);
	detect_losses(w, now_ns);
	if (w->paced && w->rtt.sampled)
		cc_pace(&w->cc, w->rtt.srtt_ns);
	return true;
}

void
cw_pong(struct client_window *w, uint32_t ts_echo, uint64_t now_ns)
{
	heard(w, now_ns);
	rtt_take(&w->rtt, (uint64_t)(cw_tx_ts(now_ns) - ts_echo) * NS_PER_US);
}

struct cw_slot *
cw_unknown(struct client_window *w, uint32_t *seq)
{
	for (; *seq != w->next_seq; (*seq)++) {
		struct cw_slot *slot = slot_of(w, *seq);

		if (!slot->known) {
			(*seq)++;
			return slot;
		}
	}
	return NULL;
}

bool
cw_idle(const struct client_window *w)
{
	return !level_due(w);
}

void
cw_init(struct client_window *w, const struct cw_options *o, uint64_t now_ns)
{
	ASSERT(is_pow2(o->slot_count) && o->slot_count >= o->window
		&& o->slot_count <= KUP_WINDOW_MAX);
	memset(w, 0, sizeof(*w));
	memset(o->slots, 0, o->slot_count * sizeof(*o->slots));
	w->slots = o->slots;
	w->mask = o->slot_count - 1;
	w->window = o->window;
	cc_init(&w->cc, o->cc, o->window);
	w->want_disk = o->want_disk;
	w->paced = o->paced;
	w->next_seq = w->oldest_unknown = o->first_seq;
	w->log_seq = w->disk_seq = w->disk_told = w->max_seq = o->first_seq - 1;
	w->recovery_end = o->first_seq - 1;
	w->credit_limit = o->credit_limit;
	w->head = w->tail = NIL;
	w->reorder = REORDER_START;
	rtt_init(&w->rtt, o->ack_delay_us * NS_PER_US);
	w->credit_lease_ns = o->credit_lease_ms * NS_PER_MS;
	w->keepalive_ns = o->keepalive_s * NS_PER_S;
	w->gso.state = o->gso_off ? GSO_OFF : GSO_UNKNOWN;
	w->heard_ns = w->acked_ns = w->sent_ns = w->ping_ns = now_ns;
}
