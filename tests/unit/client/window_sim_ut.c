/* SPDX-License-Identifier: MIT
 * window_sim_ut.c - a client window against a small model of the broker, over a wire that loses,
 * doubles and delays in both directions. One seed is one run; every packet must get exactly one
 * outcome, the right one, and the disk mark must reach the end. Of two seeds of three the path swallows what
 * leaves as a burst, all of it or all but the first: after two such bursts there is none. Time is simulated. */
#include "dataplane/client/client_window.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "tests/unit/ut.h"

#include <stdio.h>
#include <string.h>

#define SEEDS      2000
#define PACKETS    600
#define FLYING_MAX 4096
#define TIME_MAX   (600 * NS_PER_S)

static uint64_t rng;

static uint32_t
draw(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % n);
}

/* ---- The wire: datagrams in the air, unordered ------------------------------------------- */

struct flying {
	uint64_t at_ns;
	bool to_broker;
	uint16_t length;
	uint8_t bytes[KUP_ACK_MAX];
};

static struct flying air[FLYING_MAX];
static unsigned n_air;
static uint32_t loss_permille, double_permille, jitter_us;
static uint64_t faults;

static void
fly(uint64_t now_ns, bool to_broker, const uint8_t *p, uint16_t length)
{
	unsigned copies = 1;

	if (draw(1000) < loss_permille) {
		faults++;
		copies = 0;
	} else if (draw(1000) < double_permille) {
		faults++;
		copies = 2;
	}
	for (; copies > 0 && n_air < FLYING_MAX; copies--) {
		struct flying *f = &air[n_air++];

		f->at_ns = now_ns + (50 + draw(jitter_us)) * NS_PER_US;
		f->to_broker = to_broker;
		f->length = length;
		memcpy(f->bytes, p, length);
	}
}

/* ---- The broker: finals in order of arrival after a delay, disk later --------------------- */

enum { NOT_RECEIVED, RECEIVED, FINAL, REPORTED };

static struct {
	uint8_t state[PACKETS + 1];   /* index: pkt_seq - first + 1 */
	uint64_t final_at[PACKETS + 1];
	uint32_t n_received, log, disk, max, err_total, ack_num, unreported;
	uint32_t ts_echo;
	uint64_t echo_ns, disk_at;
	bool ack_due;
} b;

static const struct cwire_session session = {.id = 0x01000002, .secret = 0x1122334455667788};
static uint32_t first_seq;
static uint8_t fails[PACKETS + 1];

static uint32_t
to_seq(uint32_t i)
{
	return first_seq + i - 1;
}

static void
broker_data(const uint8_t *p, uint64_t now_ns)
{
	const uint32_t i = get_be32(p + KUP_DATA_SEQ) - first_seq + 1;

	if (i <= b.log || b.state[i] != NOT_RECEIVED) {
		b.ack_due = true;
		return;
	}
	if (draw(200) == 0) {
		faults++;
		return; /* its ring was full: as if lost */
	}
	b.state[i] = RECEIVED;
	b.final_at[i] = now_ns + draw(300) * NS_PER_US;
	b.ts_echo = get_be32(p + KUP_DATA_TX_TS);
	b.echo_ns = now_ns;
	b.max = MAX(b.max, i);
	b.n_received++;
	b.ack_due |= i != b.log + 1 || (p[KUP_OFF_FLAGS] & KUP_FLAG_ACK_NOW);
}

static void
put_result(uint8_t *p, uint32_t i)
{
	memset(p, 0, KUP_RESULT);
	put_be32(p + KUP_RESULT_SEQ, to_seq(i));
	put_be16(p + KUP_RESULT_COUNT, 1);
	put_be16(p + KUP_RESULT_ERROR, fails[i]);
	put_be32(p + KUP_RESULT_PART, 3);
	put_be16(p + KUP_RESULT_HANDLE, 1);
	put_be64(p + KUP_RESULT_OFFSET, fails[i] ? UINT64_MAX : 1000 + i * 10);
}

/* query_first 0: an ordinary ACK. */
static void
broker_ack(uint64_t now_ns, uint32_t query_first, uint32_t query_count)
{
	uint8_t p[KUP_ACK_MAX] = {0}, *r;
	uint32_t words, results = 0;
	const uint64_t delay_us = (now_ns - b.echo_ns) / NS_PER_US;

	/* New failures are reported before log passes them. */
	while (b.log < PACKETS && b.state[b.log + 1] >= FINAL)
		b.log++;
	if (draw(3) == 0 && b.disk < b.log && now_ns >= b.disk_at) {
		b.disk = b.log;
		b.disk_at = now_ns + draw(5) * NS_PER_MS;
	}
	words = b.max > b.log ? (b.max - b.log + 63) / 64 : 0;
	r = p + KUP_ACK_FIXED + words * 8;
	for (uint32_t i = 1; i <= b.max && results < 30; i++)
		if (b.state[i] == FINAL && fails[i]) {
			b.state[i] = REPORTED;
			b.err_total++;
			put_result(r + KUP_RESULT * results++, i);
		}
	for (uint32_t i = 1; i <= b.log; i++)
		if (b.state[i] == FINAL && fails[i])
			b.log = i - 1; /* no room to report it yet */
	for (uint32_t i = query_first; query_first && i < query_first + query_count && results < 30; i++)
		if (i <= PACKETS && b.state[i] >= FINAL && !(fails[i] && b.state[i] == FINAL))
			put_result(r + KUP_RESULT * results++, i);
	for (uint32_t i = b.log + 1; i <= b.max; i++)
		if (b.state[i] != NOT_RECEIVED) {
			uint8_t *word = p + KUP_ACK_FIXED + (i - b.log - 1) / 64 * 8;

			put_be64(word, get_be64(word) | UINT64_C(1) << ((i - b.log - 1) % 64));
		}
	words = b.max > b.log ? (b.max - b.log + 63) / 64 : 0;
	if (p + KUP_ACK_FIXED + words * 8 != r)
		memmove(p + KUP_ACK_FIXED + words * 8, r, results * KUP_RESULT);
	p[KUP_OFF_MAGIC] = KUP_MAGIC;
	p[KUP_OFF_TYPE] = KUP_VERSION << 4 | KUP_ACK;
	put_be32(p + KUP_OFF_SESSION, session.id);
	put_be64(p + KUP_OFF_AUTH, session.secret);
	put_be32(p + KUP_ACK_LOG_SEQ, to_seq(b.log));
	put_be32(p + KUP_ACK_DISK_SEQ, to_seq(MIN(b.disk, b.log)));
	put_be32(p + KUP_ACK_CREDIT, to_seq(b.log + 2 + draw(120)));
	put_be32(p + KUP_ACK_MAX_SEQ, to_seq(b.max));
	put_be32(p + KUP_ACK_ERR_TOTAL, b.err_total);
	put_be32(p + KUP_ACK_TS_ECHO, b.ts_echo);
	put_be16(p + KUP_ACK_ECHO_DELAY, (uint16_t)MIN(delay_us, (uint64_t)65535));
	p[KUP_ACK_N] = (uint8_t)words;
	p[KUP_ACK_R] = (uint8_t)results;
	put_be32(p + KUP_ACK_NUM, ++b.ack_num);
	b.ack_due = false;
	b.unreported = 0;
	fly(now_ns, false, p, (uint16_t)(KUP_ACK_FIXED + words * 8 + results * KUP_RESULT));
}

static void
broker_turn(uint64_t now_ns)
{
	for (uint32_t i = b.log + 1; i <= b.max; i++)
		if (b.state[i] == RECEIVED && now_ns >= b.final_at[i]) {
			b.state[i] = FINAL;
			b.unreported++;
			b.ack_due |= fails[i] != 0;
		}
	if (b.ack_due || b.unreported >= 16 || (b.unreported > 0 && draw(4) == 0))
		broker_ack(now_ns, 0, 0);
}

/* ---- The client -------------------------------------------------------------------------- */

static uint8_t outcomes[PACKETS + 1];
static uint32_t settled, disk_mark, wrong;

static void
on_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
	const uint32_t i = slot->seq - first_seq + 1;

	if (i < 1 || i > PACKETS || outcomes[i]++ > 0 || error != fails[i] || b.state[i] < FINAL
			|| (base_offset != -1 && base_offset != 1000 + i * 10))
		wrong++;
	settled++;
}

static void
on_disk(void *arg, uint32_t seq)
{
	const uint32_t i = seq - first_seq + 1;

	if (i > b.disk || i < disk_mark)
		wrong++;
	disk_mark = i;
}

static const struct cw_events events = {.outcome = on_outcome, .disk = on_disk};

static void
client_datagram(struct client_window *w, const struct flying *f, uint64_t now_ns)
{
	struct cwire_in in;

	switch (cwire_parse(f->bytes, f->length, &session, &in)) {
	case CWIRE_ACK:
		if (!cw_ack(w, &in.ack, now_ns, &events))
			wrong++;
		break;
	case CWIRE_PONG:
		cw_pong(w, in.pong.ts_echo, now_ns);
		break;
	default:
		wrong++;
	}
}

enum path { CARRIES, SWALLOWS, SHORTENS };

static enum path path;
static unsigned n_queue;
static struct {
	uint8_t p[KUP_FLOOR];
	uint32_t tx;
} queue[32];

/* As client_udp.c: what was queued leaves, as a burst if it may. */
static void
flush(struct client_window *w, uint64_t now_ns)
{
	const bool burst = n_queue >= GSO_BURST_MIN && gso_wanted(&w->gso);

	for (unsigned i = 0; i < n_queue; i++)
		if (!burst || path == CARRIES || (path == SHORTENS && i == 0))
			fly(now_ns, true, queue[i].p, KUP_FLOOR);
	if (burst)
		cw_burst(w, queue[0].tx, n_queue);
	n_queue = 0;
}

/* True: more may go. */
static bool
client_step(struct client_window *w, uint64_t now_ns)
{
	uint8_t p[CWIRE_QUERY_BYTES] = {0};
	struct cw_step step;
	struct cw_slot *slot;

	switch (cw_next(w, now_ns, &step)) {
	case CW_NOTHING:
		return false;
	case CW_QUERY:
		flush(w, now_ns);
		(void)cwire_query(p, &session, step.query_first, step.query_count);
		fly(now_ns, true, p, KUP_FLOOR);
		return true;
	case CW_PING:
		(void)cwire_ping(p, KUP_FLOOR, &session, 1, cw_tx_ts(now_ns),
			step.ack_now ? KUP_FLAG_ACK_NOW : 0);
		fly(now_ns, true, p, KUP_FLOOR);
		return true;
	case CW_NEW:
		if (w->next_seq == first_seq + PACKETS)
			return false;
		slot = cw_new(w, now_ns, NULL, 0, 1, 3, 10);
		break;
	case CW_AGAIN:
	default:
		slot = step.slot;
	}
	memset(queue[n_queue].p, 0, sizeof(queue[n_queue].p));
	cwire_data(queue[n_queue].p, &session, slot->seq, slot->tx_ts, slot->handle, slot->partition,
		slot->ack_now ? KUP_FLAG_ACK_NOW : 0, slot->copies - 1);
	queue[n_queue++].tx = slot->last_tx;
	return true;
}

static void
client_turn(struct client_window *w, uint64_t now_ns)
{
	for (unsigned n = 0; n < ARRAY_LENGTH(queue) && client_step(w, now_ns); n++)
		;
	flush(w, now_ns);
}

static void
deliver(struct client_window *w, uint64_t now_ns)
{
	for (unsigned i = 0; i < n_air;) {
		const struct flying f = air[i];

		if (f.at_ns > now_ns) {
			i++;
			continue;
		}
		air[i] = air[--n_air];
		if (!f.to_broker)
			client_datagram(w, &f, now_ns);
		else if ((f.bytes[KUP_OFF_TYPE] & 15) == KUP_DATA)
			broker_data(f.bytes, now_ns);
		else if ((f.bytes[KUP_OFF_TYPE] & 15) == KUP_QUERY)
			broker_ack(now_ns, get_be32(f.bytes + KUP_QUERY_FIRST) - first_seq + 1,
				get_be16(f.bytes + KUP_QUERY_COUNT));
		else
			b.ack_due |= (f.bytes[KUP_OFF_FLAGS] & KUP_FLAG_ACK_NOW) != 0;
	}
}

/* The next moment at which anything can happen. */
static uint64_t
next_moment(const struct client_window *w, uint64_t now_ns)
{
	uint64_t at = cw_deadline(w, now_ns);

	for (unsigned i = 0; i < n_air; i++)
		at = MIN(at, air[i].at_ns);
	for (uint32_t i = b.log + 1; i <= b.max; i++)
		if (b.state[i] == RECEIVED)
			at = MIN(at, b.final_at[i]);
	return MAX(at, now_ns + 20 * NS_PER_US);
}

static unsigned bursts, off_for_nothing;

/* Where none gets through, two were sent and no more; that none did is not held against a path which only
 * loses, but now and then. */
static void
judge_bursts(const struct client_window *w)
{
	bursts += w->stats.bursts > 0;
	if (path == CARRIES)
		off_for_nothing += w->gso.state == GSO_OFF;
	else
		wrong += w->gso.state == GSO_WORKS || w->stats.bursts > 2
			|| (w->stats.bursts == 2) != (w->gso.state == GSO_OFF)
			|| w->stats.gso_off != (w->gso.state == GSO_OFF);
}

static bool
run(uint64_t seed)
{
	static struct cw_slot slots[256];
	static struct client_window w;
	uint64_t now_ns = 5 * NS_PER_S;
	struct cw_options o = {.slots = slots, .slot_count = 256, .window = 128, .ack_delay_us = 50,
		.credit_lease_ms = 200, .keepalive_s = 10, .want_disk = true};

	rng = seed * 0x9e3779b97f4a7c15 + 1;
	memset(&b, 0, sizeof(b));
	memset(outcomes, 0, sizeof(outcomes));
	memset(fails, 0, sizeof(fails));
	settled = disk_mark = wrong = n_air = 0;
	first_seq = seed % 3 == 0 ? 1 : UINT32_MAX - draw(PACKETS);
	loss_permille = draw(4) * 30;
	double_permille = draw(3) * 20;
	jitter_us = 1 + draw(4) * 100;
	for (uint32_t i = 1; i <= PACKETS; i++)
		fails[i] = draw(40) == 0 ? 2 : 0;
	path = seed / 2 % 3;
	o.paced = seed / 6 % 2;
	n_queue = 0;
	o.first_seq = first_seq;
	o.credit_limit = first_seq + 63;
	o.cc = seed % 5 == 0 ? CW_CREDIT_ONLY : CW_RENO;
	cw_init(&w, &o, now_ns);
	while (disk_mark != PACKETS && now_ns < TIME_MAX && wrong == 0) {
		client_turn(&w, now_ns);
		now_ns = next_moment(&w, now_ns);
		deliver(&w, now_ns);
		broker_turn(now_ns);
	}
	judge_bursts(&w);
	if (settled == PACKETS && disk_mark == PACKETS && wrong == 0)
		return true;
	printf("seed %llu: path %d, bursts %llu, state %d: settled %u, disk %u of %u, wrong %u, after %llu ms\n",
		(unsigned long long)seed, path, (unsigned long long)w.stats.bursts, w.gso.state, settled, disk_mark, PACKETS, wrong,
		(unsigned long long)(now_ns / NS_PER_MS));
	return false;
}

static void
every_packet_gets_its_one_outcome_on_a_bad_wire(void)
{
	unsigned failed = 0;

	faults = bursts = off_for_nothing = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		failed += !run(seed);
	CU_ASSERT_EQUAL(failed, 0);
	CU_ASSERT_TRUE(bursts > SEEDS * 9 / 10);
	CU_ASSERT_TRUE(off_for_nothing < SEEDS / 3 / 50);
	CU_ASSERT_TRUE(faults > SEEDS); /* a run in which nothing happened proves nothing */
}

static const struct ut_test tests[] = {
	UT("sim", every_packet_gets_its_one_outcome_on_a_bad_wire),
};

UT_MAIN(tests)
