/* SPDX-License-Identifier: MIT
 * session.c - the live half of the session table. See session.h.
 * Thread: one pinned rx lcore; open and close: main, while it does not run. Owns: the table.
 * Never: allocates after sessions_open(), reads a clock, frees a slot of which a packet is still
 * outside the rx lcore. */
#include "dataplane/session.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bug.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SESSIONS_PER_CREDIT 4     /* C/4: each keeps KUP_IDLE_CREDIT, and half of C is left to share */
#define FIRST_CREDIT        16    /* a client begins with 10 in flight */
#define RETRY_MS            500   /* with 89: by then silent clients' credit has come back */
#define SILENT_KEEPALIVES   3
#define LARGE_PAGE          ((size_t)2 << 20)
#define SWEEP_AHEAD         8
#define ACTIVE_MIN_SWEEPS   2     /* 10 ms at least */
#define ACTIVE_MAX_SWEEPS   10

/* Touched at start: an lcore takes no page fault. Large tables in large pages, where the kernel has some to
 * give: of hundreds of sessions each packet is one of another, and every small page would be looked up anew. */
static void *
touched(size_t n, size_t size)
{
	const size_t align = n * size < LARGE_PAGE ? CACHE_LINE : LARGE_PAGE;
	const size_t bytes = round_up(n * size, align);
	void *p = aligned_alloc(align, bytes);

	if (p && align == LARGE_PAGE)
		(void)madvise(p, bytes, MADV_HUGEPAGE);
	return p ? memset(p, 0, bytes) : NULL;
}

bool
sessions_open(struct sessions *ss, unsigned owner, uint32_t credit, struct rx_counters *count)
{
	const uint32_t slots = MAX(credit / SESSIONS_PER_CREDIT, 1u);

	*ss = (struct sessions){.slots = slots, .owner = owner, .credit = credit, .count = count};
	ss->session = touched(slots + 1, sizeof(*ss->session));
	ss->outcome = touched((slots + 1) * (size_t)KUP_RESULTS_KEPT, sizeof(*ss->outcome));
	ss->ended = touched(slots + 1, sizeof(*ss->ended));
	ss->unused = touched(slots, sizeof(*ss->unused));
	ss->live = touched(slots, sizeof(*ss->live));
	ss->pending = touched(slots, sizeof(*ss->pending));
	if (!ss->session || !ss->outcome || !ss->ended || !ss->unused || !ss->live ||
		!ss->pending) {
		sessions_close(ss);
		return false;
	}
	for (uint32_t i = 0; i < slots; i++)
		ss->unused[i] = i + 1;
	ss->unused_n = slots;
	counter_set(&count->credit_limit, credit);
	return true;
}

void
sessions_close(struct sessions *ss)
{
	free(ss->session);
	free(ss->outcome);
	free((void *)ss->ended);
	free(ss->unused);
	free(ss->live);
	free(ss->pending);
	*ss = (struct sessions){0};
}

static uint32_t
slot_of(const struct sessions *ss, const struct session *s)
{
	return (uint32_t)(s - ss->session);
}

static void
gauges(const struct sessions *ss)
{
	counter_set(&ss->count->sessions, ss->alive);
	counter_set(&ss->count->sessions_ended, ss->quarantined);
	counter_set(&ss->count->credit_out, ss->credit_out);
}

/* ---- ACKs owed ---------------------------------------------------------------------------- */

void
session_ack_due(struct sessions *ss, struct session *s, bool now, uint64_t now_ns)
{
	s->ack_now |= now;
	if (s->pending_at != SESSION_NOT_PENDING)
		return;
	s->ack_at_ns = now_ns + s->ack_delay_ns;
	s->pending_at = ss->pending_n;
	ss->pending[ss->pending_n++] = slot_of(ss, s);
}

void
session_ack_done(struct sessions *ss, struct session *s)
{
	const uint32_t last = ss->pending[ss->pending_n - 1];

	ASSERT(s->pending_at < ss->pending_n);
	s->ack_now = false;
	ss->pending[s->pending_at] = last;
	ss->session[last].pending_at = s->pending_at;
	s->pending_at = SESSION_NOT_PENDING;
	ss->pending_n--;
}

/* ---- Credit ------------------------------------------------------------------------------- */

/* At most twice what it was at the last ACK: where hundreds begin at once the first to be heard is alone for an
 * instant, and would take all that is left. */
static uint32_t
share(const struct sessions *ss, const struct session *s)
{
	return CLAMP(MIN(ss->credit / MAX(ss->active, 1u), 2 * s->share), (uint32_t)KUP_IDLE_CREDIT,
		(uint32_t)s->window.size);
}

bool
session_credit_can_rise(const struct sessions *ss, const struct session *s)
{
	const struct window *w = &s->window;

	return (ss->credit_out < ss->credit || window_outstanding(w) < s->weight) &&
		serial_newer(w->final_seq + w->size, w->credit_limit) &&
		serial_newer(w->first + w->final_n + share(ss, s), w->credit_limit);
}

void
session_raise_credit(struct sessions *ss, struct session *s)
{
	const uint32_t more = window_credit_wanted(&s->window, share(ss, s)) -
		s->window.credit_limit;
	/* The sum over all sessions stays below C: then neither NIC ring, storage ring nor pool
	 * overflows through honest clients, however long storage stalls. */
	const uint32_t room = ss->credit - ss->credit_out + s->weight -
		window_outstanding(&s->window);

	s->share = share(ss, s);
	s->window.credit_limit += MIN(more, room);
	sessions_weigh(ss, s);
}

/* ---- States ------------------------------------------------------------------------------- */

static void
rx_grant(struct sessions *ss, struct rx_cmd *cmd, uint64_t now_ns)
{
	struct session *s;
	uint32_t slot, first;

	if (ss->unused_n == 0 || ss->credit_out + KUP_IDLE_CREDIT > ss->credit) {
		cmd->error = KIRA_E_THROTTLING_QUOTA_EXCEEDED;
		cmd->retry_ms = RETRY_MS;
		return;
	}
	slot = ss->unused[ss->unused_at];
	ss->unused_at = (ss->unused_at + 1) % ss->slots;
	ss->unused_n--;
	s = &ss->session[slot];
	/* The second half of C is for those that send. */
	first = ss->credit_out + FIRST_CREDIT <= ss->credit / 2 ?
		MIN((uint32_t)FIRST_CREDIT, (uint32_t)cmd->window) : KUP_IDLE_CREDIT;
	*s = (struct session){
		.who = {.session_id = ss->owner << 24 | slot, .secret = cmd->secret},
		.state = SESSION_LIVE,
		.heard_ns = now_ns,
		.lease_ns = cmd->lease_ms * NS_PER_MS,
		.silence_ns = SILENT_KEEPALIVES * (uint64_t)cmd->keepalive_s * NS_PER_S,
		.ack_delay_ns = cmd->ack_delay_us * NS_PER_US,
		.incarnation = cmd->incarnation,
		.peer = cmd->peer,
		.peer_port = cmd->peer_port,
		.pending_at = SESSION_NOT_PENDING,
		.max_dgram = cmd->max_dgram,
		.ack_every = cmd->ack_every,
		.handles = cmd->handles,
		.want_disk = cmd->capabilities & KUP_CAP_WANT_DISK,
		.live_at = ss->live_n,
		.share = first,
	};
	window_open(&s->window, cmd->window, first, cmd->capabilities & KUP_CAP_WANT_OFFSETS, 0,
		ss->outcome + slot * (size_t)KUP_RESULTS_KEPT);
	memcpy(s->topic, cmd->topic, cmd->handles * sizeof(s->topic[0]));
	/* Relaxed: no packet of the slot is out, nobody looks at it. */
	atomic_store_explicit(&ss->ended[slot], 0, memory_order_relaxed);
	ss->live[ss->live_n++] = slot;
	sessions_weigh(ss, s);
	ss->alive++;
	counter_add(&ss->count->granted, 1);
	cmd->session_id = s->who.session_id;
	cmd->credit_limit = s->window.credit_limit;
}

/* The session that a command names, if it lives and the secret fits. */
static struct session *
named(struct sessions *ss, const struct rx_cmd *cmd)
{
	struct session *s = sessions_find(ss, cmd->session_id);

	return s && s->state != SESSION_ENDED && s->who.secret == cmd->secret ? s : NULL;
}

static void
rx_repeat(struct sessions *ss, struct rx_cmd *cmd)
{
	struct session *s = named(ss, cmd);

	if (!s) {
		cmd->error = KIRA_E_FETCH_SESSION_ID_NOT_FOUND;
		return;
	}
	s->state = SESSION_LIVE;
	if (!IN6_ARE_ADDR_EQUAL(&s->peer, &cmd->peer) || s->peer_port != cmd->peer_port) {
		s->peer = cmd->peer;
		s->peer_port = cmd->peer_port;
		s->reply.l4 = 0; /* nothing goes to the old place any more */
	}
	for (uint16_t h = 0; h < cmd->handles; h++)
		if (cmd->topic[h])
			s->topic[h] = cmd->topic[h];
	s->handles = MAX(s->handles, cmd->handles);
	cmd->credit_limit = s->window.credit_limit;
}

/* NULL: the handles die. */
static void
swap_topic(struct sessions *ss, const struct dataplane_topic *topic, const struct dataplane_topic *now)
{
	for (uint32_t i = 0; i < ss->live_n; i++) {
		struct session *s = &ss->session[ss->live[i]];

		for (uint16_t h = 0; h < s->handles; h++)
			if (s->topic[h] == topic)
				s->topic[h] = now;
	}
}

void
sessions_command(struct sessions *ss, struct rx_cmd *cmd, uint64_t now_ns)
{
	struct session *s;

	cmd->error = 0;
	switch (cmd->kind) {
	case RX_GRANT:
		rx_grant(ss, cmd, now_ns);
		break;
	case RX_REPEAT:
		rx_repeat(ss, cmd);
		break;
	case RX_ANCHOR_GONE:
		s = named(ss, cmd);
		if (s) {
			s->state = SESSION_ORPHAN;
			s->until_ns = now_ns + s->lease_ns;
		}
		break;
	case RX_END:
		s = named(ss, cmd);
		if (s)
			session_end(ss, s, cmd->reason, now_ns);
		break;
	case RX_ASK:
		if (!named(ss, cmd))
			cmd->error = KIRA_E_FETCH_SESSION_ID_NOT_FOUND;
		break;
	case RX_FORGET_TOPIC:
		swap_topic(ss, cmd->topic[0], NULL);
		break;
	case RX_SWAP_TOPIC:
		swap_topic(ss, cmd->topic[0], cmd->topic[1]);
		break;
	}
	gauges(ss);
}

static void
count_end(struct rx_counters *count, uint16_t reason)
{
	switch (reason) {
	case KUP_RESET_CLOSED:
		counter_add(&count->ended_closed, 1);
		break;
	case KUP_RESET_LEASE:
		counter_add(&count->ended_lease, 1);
		break;
	case KUP_RESET_SILENCE:
		counter_add(&count->ended_silence, 1);
		break;
	case KUP_RESET_DISK:
		counter_add(&count->ended_disk, 1);
		break;
	default:
		counter_add(&count->ended_withdrawn, 1);
	}
}

void
session_end(struct sessions *ss, struct session *s, uint16_t reason, uint64_t now_ns)
{
	if (s->state == SESSION_ENDED)
		return;
	s->state = SESSION_ENDED;
	s->reason = reason;
	s->until_ns = now_ns + 2 * s->lease_ns;
	/* From now on it counts with what storage has of it. */
	sessions_weigh(ss, s);
	ss->active -= s->active;
	s->active = false;
	if (s->pending_at != SESSION_NOT_PENDING)
		session_ack_done(ss, s);
	ss->alive--;
	ss->quarantined++;
	/* Q1, release: a storage lcore that sees it (Q2) may free what waits of this session. */
	atomic_store_explicit(&ss->ended[slot_of(ss, s)], 1, memory_order_release);
	count_end(ss->count, reason);
	gauges(ss);
}

/* -> FREE; the caller saw that nothing of it is out. */
static void
wipe(struct sessions *ss, struct session *s)
{
	const uint32_t last = ss->live[ss->live_n - 1], slot = slot_of(ss, s);

	ss->live[s->live_at] = last;
	ss->session[last].live_at = s->live_at;
	ss->live_n--;
	ss->quarantined--;
	memset(s, 0, sizeof(*s)); /* the secret with it */
	ss->unused[(ss->unused_at + ss->unused_n) % ss->slots] = slot;
	ss->unused_n++;
}

/* It sends no more: nothing came of it while the queue took all of its credit twice. By time alone a session
 * that waits for its turn among hundreds, or the whole queue of an lcore that was put aside, would be taken
 * for idle; the first to be heard would get the others' part, and these were left with KUP_IDLE_CREDIT
 * for as long as it uses that. Where little comes in, time decides, by sweeps: one however long it was, and none
 * while nothing comes at all. Nobody misses the credit then, and if it is the senders that were put aside, all of
 * them at once, the first to come back would get the others' part. */
static bool
silent(const struct sessions *ss, const struct session *s)
{
	const uint32_t sweeps = ss->sweeps - s->data_sweep;

	return sweeps > ACTIVE_MAX_SWEEPS ||
		(sweeps >= ACTIVE_MIN_SWEEPS && ss->data_n - s->data_at > 2 * ss->credit);
}

static bool
sweep_one(struct sessions *ss, struct session *s, uint64_t now_ns)
{
	if (s->state == SESSION_ENDED) {
		if (now_ns < s->until_ns || (s->in_store > 0 && !BUG(47)))
			return false;
		wipe(ss, s);
		return true;
	}
	if (s->active && silent(ss, s)) {
		s->active = false;
		ss->active--;
	}
	if (s->state == SESSION_ORPHAN && now_ns >= s->until_ns) {
		session_end(ss, s, KUP_RESET_LEASE, now_ns);
		return true;
	}
	if (now_ns - s->heard_ns >= s->silence_ns) {
		session_end(ss, s, KUP_RESET_SILENCE, now_ns);
		return true;
	}
	if (now_ns - s->heard_ns < 2 * KUP_CREDIT_LEASE_MS * NS_PER_MS)
		return false;
	if (window_lapse(&s->window) == 0)
		return false;
	sessions_weigh(ss, s);
	return true;
}

unsigned
sessions_sweep(struct sessions *ss, uint64_t now_ns)
{
	unsigned changed = 0;

	if (now_ns - ss->swept_ns < SESSION_SWEEP_NS)
		return 0;
	ss->sweeps += ss->data_n != ss->swept_data_n;
	ss->swept_data_n = ss->data_n;
	ss->swept_ns = now_ns;
	for (uint32_t i = ss->live_n; i-- > 0;) {
		if (i >= SWEEP_AHEAD)
			sessions_fetch(ss, ss->live[i - SWEEP_AHEAD], 0);
		changed += sweep_one(ss, &ss->session[ss->live[i]], now_ns);
	}
	gauges(ss);
	return changed;
}

static bool
topic_failed(const struct dataplane_topic *topic)
{
	for (int32_t i = 0; i < topic->partitions; i++)
		if (storage_state(topic->part[i]) == PART_FAILED)
			return true;
	return false;
}

void
sessions_disk_failed(struct sessions *ss, uint64_t now_ns)
{
	for (uint32_t i = 0; i < ss->live_n; i++) {
		struct session *s = &ss->session[ss->live[i]];

		if (!s->want_disk || s->state == SESSION_ENDED)
			continue;
		for (uint16_t h = 0; h < s->handles; h++) {
			if (s->topic[h] && topic_failed(s->topic[h])) {
				session_end(ss, s, KUP_RESET_DISK, now_ns);
				break;
			}
		}
	}
}
