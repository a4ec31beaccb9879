/* SPDX-License-Identifier: MIT
 * blast_session.c - generate, number, retransmit and complete the batches of one session.
 * Thread: the generator's lcore. Owns: the session's window, numbers and batches.
 * Never: keeps the bytes of a batch; counts an ack twice; gives a number to two batches. */
#include "dataplane/blast/blast_session.h"

#include "base/assert.h"

#include <kira/errors.h>

#include <errno.h>
#include <stdlib.h>

/* At `log` a batch is done when its outcome is known, which the window bounds to 1,024. At `disk`
 * it waits for a sync as well: 16,384 batches of 1,408 B are 23 MB between two of them. */
#define BATCHES_LOG  2048
#define BATCHES_DISK 16384
#define REFUSALS_MAX 20
#define RETRY_FIRST_NS (100 * NS_PER_MS)
#define RETRY_MAX_NS   (2 * NS_PER_S)

int
session_init(struct blast_session *s, struct blast_run *run, uint16_t from_port, struct err *err)
{
	memset(s, 0, sizeof(*s));
	s->run = run;
	s->from_port = from_port;
	s->batches = run->acks == BLAST_ACKS_DISK ? BATCHES_DISK : BATCHES_LOG;
	s->oldest = 1;
	s->slots = calloc(KUP_WINDOW_MAX, sizeof(*s->slots));
	s->batch = calloc(s->batches, sizeof(*s->batch));
	s->again = calloc(s->batches, sizeof(*s->again));
	s->next_number = calloc((size_t)run->partitions, sizeof(*s->next_number));
	if (!s->slots || !s->batch || !s->again || !s->next_number)
		return err_sys(err, -ENOMEM, "memory for a session");
	/* Sessions begin at different partitions, so that few sessions still spread. */
	s->first_partition = from_port * run->session_partitions % run->partitions;
	s->next_partition = from_port % run->session_partitions;
	return 0;
}

void
session_free(struct blast_session *s)
{
	free(s->slots);
	free(s->batch);
	free(s->again);
	free(s->next_number);
}

static struct session_batch *
batch_of(const struct blast_session *s, uint32_t seq)
{
	return &s->batch[seq & (s->batches - 1)];
}

/* ---- Sending again ----------------------------------------------------------------------- */

static int
by_sequence(const void *a, const void *b)
{
	const struct session_batch *x = a, *y = b;

	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* Lowest sequence of each partition first: a later one would only wait in the broker's hold. */
static void
again_sort(struct blast_session *s)
{
	memmove(s->again, s->again + s->again_at, (s->again_n - s->again_at) * sizeof(*s->again));
	s->again_n -= s->again_at;
	s->again_at = 0;
	qsort(s->again, s->again_n, sizeof(*s->again), by_sequence);
}

/* What is in `batch` and `again` together never exceeds `batches`: see may_begin(). */
static void
again_add(struct blast_session *s, const struct session_batch *b)
{
	if (s->again_n == s->batches)
		again_sort(s);
	ASSERT(s->again_n < s->batches);
	s->again[s->again_n++] = *b;
}

void
session_granted(struct blast_session *s, const struct ckafka_session *grant, uint16_t handle,
	uint64_t now_ns)
{
	const struct cw_options o = {
		.slots = s->slots,
		.slot_count = KUP_WINDOW_MAX,
		.window = grant->window,
		.credit_limit = grant->credit_limit,
		.ack_delay_us = grant->ack_delay_us,
		.credit_lease_ms = grant->credit_lease_ms,
		.keepalive_s = grant->keepalive_s,
		.want_disk = s->run->acks == BLAST_ACKS_DISK,
		.cc = CW_RENO,
		.first_seq = 1,
	};
	const bool first = s->wire.id == 0;

	for (uint32_t seq = s->oldest; !first && seq != s->window.next_seq; seq++) {
		struct session_batch *b = batch_of(s, seq);

		if (b->state == BATCH_DONE)
			continue;
		again_add(s, b);
		s->run->count.sent_again++;
		b->state = BATCH_DONE;
	}
	again_sort(s);
	s->wire = grant->wire;
	s->to_port = grant->udp_port;
	s->handle = handle;
	s->oldest = 1;
	s->wait_idle = s->lost = false;
	s->retry_ns = s->retry_wait_ns = 0;
	memset(s->slots, 0, KUP_WINDOW_MAX * sizeof(*s->slots));
	cw_init(&s->window, &o, now_ns);
}

/* ---- Outcomes ---------------------------------------------------------------------------- */

static void
recent_add(struct blast_run *run, uint64_t now_ns)
{
	const uint64_t slice = now_ns / RECENT_SLICE_NS;

	if (slice - run->recent_slice >= RECENT_SLICES)
		memset(run->recent, 0, sizeof(run->recent));
	else
		for (uint64_t i = run->recent_slice + 1; i <= slice; i++)
			run->recent[i % RECENT_SLICES] = 0;
	run->recent_slice = slice;
	run->recent[slice % RECENT_SLICES]++;
}

uint64_t
run_recent(const struct blast_run *run, uint64_t now_ns)
{
	const uint64_t slice = now_ns / RECENT_SLICE_NS;
	uint64_t n = 0;

	for (uint64_t i = slice - RECENT_SLICES + 1; i <= MIN(slice, run->recent_slice); i++)
		if (run->recent_slice - i < RECENT_SLICES)
			n += run->recent[i % RECENT_SLICES];
	return n;
}

struct arrival {
	struct blast_session *s;
	uint64_t now_ns;
};

static void
completed(struct blast_session *s, struct session_batch *b, uint64_t now_ns)
{
	struct blast_run *run = s->run;

	b->state = BATCH_DONE;
	s->batches_done++;
	run->count.last_acked_ns = now_ns;
	recent_add(run, now_ns);
	if (run->acks == BLAST_ACKS_NONE)
		return; /* it was counted when it was sent */
	run->count.batches_acked++;
	run->count.records_acked += run->frame->records;
	run->count.bytes_acked += run->frame->batch_bytes;
	hist_add(&run->ack_ns, now_ns - MIN(now_ns, b->sched_ns));
}

static void
advance(struct blast_session *s)
{
	while (s->oldest != s->window.next_seq && batch_of(s, s->oldest)->state == BATCH_DONE)
		s->oldest++;
}

static void
refused(struct blast_session *s, struct session_batch *b, int16_t error, uint64_t now_ns)
{
	struct blast_run *run = s->run;

	run->count.refused++;
	run->refusal = error;
	if (error == KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER) {
		s->wait_idle = true;
	} else if (error == KIRA_E_KAFKA_STORAGE_ERROR || error == KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND) {
		s->retry_wait_ns = CLAMP(s->retry_wait_ns * 2, RETRY_FIRST_NS, RETRY_MAX_NS);
		s->retry_ns = now_ns + s->retry_wait_ns;
	} else if (error != KIRA_E_CORRUPT_MESSAGE) {
		run->fatal = error;
	}
	if (++b->refusals > REFUSALS_MAX)
		run->fatal = error;
	again_add(s, b);
	b->state = BATCH_DONE;
}

static void
outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
	const struct arrival *a = arg;
	struct session_batch *b = batch_of(a->s, slot->seq);

	if (b->state != BATCH_FLYING)
		return;
	if (error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER)
		a->s->run->count.known_already++;
	else if (error != 0) {
		refused(a->s, b, error, a->now_ns);
		return;
	}
	/* An outcome learned late (QUERY) may lie below a disk mark that was told before. */
	if (a->s->run->acks == BLAST_ACKS_DISK && serial_newer(slot->seq, a->s->window.disk_seq))
		b->state = BATCH_LOGGED;
	else
		completed(a->s, b, a->now_ns);
}

static void
on_disk(void *arg, uint32_t disk_seq)
{
	const struct arrival *a = arg;
	struct blast_session *s = a->s;

	for (uint32_t seq = s->oldest; seq != s->window.next_seq && !serial_newer(seq, disk_seq); seq++)
		if (batch_of(s, seq)->state == BATCH_LOGGED)
			completed(s, batch_of(s, seq), a->now_ns);
}

bool
session_datagram(struct blast_session *s, const uint8_t *p, uint32_t bytes, uint64_t now_ns)
{
	struct arrival a = {s, now_ns};
	const struct cw_events ev = {.outcome = outcome, .disk = on_disk, .arg = &a};
	struct cwire_in in;

	switch (cwire_parse(p, bytes, &s->wire, &in)) {
	case CWIRE_ACK:
		if (!cw_ack(&s->window, &in.ack, now_ns, &ev))
			return false;
		s->run->count.heard_ns = now_ns;
		advance(s);
		return true;
	case CWIRE_PONG:
		s->run->count.heard_ns = now_ns;
		cw_pong(&s->window, in.pong.ts_echo, now_ns);
		if (in.pong.received_length >= s->run->frame->datagram_bytes)
			s->probe_answered = true;
		return true;
	case CWIRE_RESET:
		if (in.reset.incarnation != s->wire.incarnation)
			return false;
		s->lost = true;
		return true;
	default:
		return false;
	}
}

/* ---- Sending ----------------------------------------------------------------------------- */

static void
data_frame(struct blast_session *s, const struct cw_slot *slot, uint8_t *frame)
{
	const struct blast_run *run = s->run;
	const struct session_batch *b = batch_of(s, slot->seq);
	const struct frame_batch fb = {
		.producer_id = s->producer_id,
		.epoch = s->epoch,
		.partition = b->partition,
		.number = b->number,
		.sched_ns = b->sched_ns,
		/* From the schedule, so that sending again makes the same bytes. */
		.wall_ms = run->wall_ms
			+ ((int64_t)b->sched_ns - (int64_t)run->schedule.start_ns) / (int64_t)NS_PER_MS,
	};

	frame_patch(run->frame, frame, &fb);
	cwire_data(frame + FRAME_LINK, &s->wire, slot->seq, slot->tx_ts, s->handle, b->partition,
		slot->ack_now ? KUP_FLAG_ACK_NOW : 0, slot->copies - 1);
	frame_seal(frame, run->frame->datagram_bytes, &s->link);
}

/* Room for one more batch, whatever becomes of those under way. */
static bool
may_begin(const struct blast_session *s, uint64_t now_ns)
{
	if (s->window.next_seq - s->oldest + (s->again_n - s->again_at) >= s->batches)
		return s->again_n > s->again_at && s->window.next_seq - s->oldest < s->batches;
	if (s->wait_idle && s->window.oldest_unknown != s->window.next_seq)
		return false;
	return now_ns >= s->retry_ns;
}

static bool
next_batch(struct blast_session *s, uint64_t now_ns, struct session_batch *ret)
{
	struct blast_run *run = s->run;

	if (s->wait_idle) {
		again_sort(s);
		s->wait_idle = false;
	}
	if (s->again_at < s->again_n) {
		*ret = s->again[s->again_at++];
		ret->state = BATCH_FLYING;
		if (s->again_at == s->again_n)
			s->again_at = s->again_n = 0;
		return true;
	}
	if (!schedule_take(&run->schedule, now_ns, &ret->sched_ns))
		return false;
	ret->partition = (s->first_partition + s->next_partition) % run->partitions;
	s->next_partition = s->next_partition + 1 == run->session_partitions ? 0 : s->next_partition + 1;
	ret->number = s->next_number[ret->partition];
	s->next_number[ret->partition] += run->frame->records;
	ret->refusals = 0;
	ret->state = BATCH_FLYING;
	if (run->count.records_sent == 0)
		run->count.first_sent_ns = now_ns;
	run->count.records_sent += run->frame->records;
	if (run->acks == BLAST_ACKS_NONE) {
		run->count.records_acked += run->frame->records;
		run->count.batches_acked++;
		run->count.bytes_acked += run->frame->batch_bytes;
	}
	return true;
}

static uint32_t
plain_frame(struct blast_session *s, uint8_t *plain, uint32_t datagram_bytes)
{
	frame_seal(plain, datagram_bytes, &s->link);
	return FRAME_LINK + datagram_bytes;
}

enum session_step
session_step(struct blast_session *s, uint64_t now_ns, uint8_t *data, uint8_t *plain,
	uint32_t *frame_bytes)
{
	struct session_batch b;
	struct cw_step step;
	struct cw_slot *slot;

	switch (cw_next(&s->window, now_ns, &step)) {
	case CW_AGAIN:
		slot = step.slot;
		break;
	case CW_NEW:
		if (!may_begin(s, now_ns) || !next_batch(s, now_ns, &b))
			return SESSION_NOTHING;
		slot = cw_new(&s->window, now_ns, NULL, 0, s->handle, b.partition,
			s->run->frame->records);
		*batch_of(s, slot->seq) = b;
		break;
	case CW_QUERY:
		*frame_bytes = plain_frame(s, plain, cwire_query(plain + FRAME_LINK, &s->wire,
			step.query_first, step.query_count));
		return SESSION_PLAIN;
	case CW_PING:
		*frame_bytes = plain_frame(s, plain, cwire_ping(plain + FRAME_LINK, KUP_FLOOR, &s->wire,
			++s->ping_id, cw_tx_ts(now_ns), step.ack_now ? KUP_FLAG_ACK_NOW : 0));
		return SESSION_PLAIN;
	default:
		return SESSION_NOTHING;
	}
	data_frame(s, slot, data);
	*frame_bytes = s->run->frame->frame_bytes;
	return SESSION_DATA;
}

uint32_t
session_probe(struct blast_session *s, uint64_t now_ns, uint8_t *plain)
{
	return plain_frame(s, plain, cwire_ping(plain + FRAME_LINK, s->run->frame->datagram_bytes,
		&s->wire, ++s->ping_id, cw_tx_ts(now_ns), 0));
}

uint32_t
session_close_frame(struct blast_session *s, uint8_t *plain)
{
	return plain_frame(s, plain, cwire_close(plain + FRAME_LINK, &s->wire, ++s->ping_id));
}

bool
session_idle(const struct blast_session *s)
{
	return s->oldest == s->window.next_seq && s->again_at == s->again_n;
}

enum session_wait
session_why(const struct blast_session *s)
{
	const struct client_window *w = &s->window;

	if (serial_newer(w->next_seq, w->credit_limit))
		return WAIT_CREDIT;
	if (w->in_flight >= w->cc.cwnd || w->next_seq - w->oldest_unknown >= w->window)
		return WAIT_WINDOW;
	return WAIT_SCHEDULE;
}

uint64_t
session_unfinished(const struct blast_session *s,
	void (*visit)(void *arg, const struct blast_session *s, const struct session_batch *b),
	void *arg)
{
	uint64_t n = 0;

	for (uint32_t seq = s->oldest; seq != s->window.next_seq; seq++) {
		if (batch_of(s, seq)->state == BATCH_DONE)
			continue;
		n++;
		if (visit)
			visit(arg, s, batch_of(s, seq));
	}
	for (uint32_t i = s->again_at; i < s->again_n; i++, n++)
		if (visit)
			visit(arg, s, &s->again[i]);
	return n;
}
