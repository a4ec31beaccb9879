/* SPDX-License-Identifier: MIT
 * pace_ut.c - dataplane/client/client_cc.c: how fast packets follow each other; and what the default
 * controller makes of a link with a short queue, paced and not. Time is made up. */
#include "dataplane/client/client_cc.c"

#include "tests/unit/client/window_ut.h"

#include <stdio.h>

/* ---- The bucket ---------------------------------------------------------------------------- */

static struct client_cc cc;

/* How many go at once at that time. */
static unsigned
burst(uint64_t at_ns)
{
	unsigned n = 0;

	for (; n < 1000 && cc_may(&cc, at_ns); n++)
		cc_sent(&cc, 0);
	return n;
}

static void
begin(uint32_t cwnd, uint64_t srtt_ns)
{
	cc_init(&cc, CW_RENO, 1024);
	cc.cwnd = cwnd;
	cc_pace(&cc, srtt_ns);
}

static void
a_window_is_spread_over_most_of_a_round_trip(void)
{
	uint64_t at = NS_PER_S;
	unsigned n;

	begin(40, 10 * MS); /* one each 200 us */
	n = burst(at);
	CU_ASSERT_EQUAL(n, PACE_BURST + 1);
	while (n < 40) {
		CU_ASSERT_TRUE(cc.paid_ns > at);
		at = cc.paid_ns;
		CU_ASSERT_EQUAL(burst(at), 1);
		n++;
	}
	CU_ASSERT_TRUE(at - NS_PER_S >= 6 * MS && at - NS_PER_S <= 8 * MS);
}

static void
a_late_timer_is_made_up_for_and_a_silence_is_not(void)
{
	uint64_t at = NS_PER_S;

	begin(40, 10 * MS);
	(void)burst(at);
	at = cc.paid_ns + MS; /* asked to be woken 1 ms earlier */
	CU_ASSERT_EQUAL(burst(at), 1 + 5);
	cc.waits = false;     /* there was nothing to send */
	CU_ASSERT_EQUAL(burst(at + NS_PER_S), PACE_BURST + 1);
}

static void
on_a_lan_nothing_waits(void)
{
	begin(256, 150 * US);
	CU_ASSERT_TRUE(burst(NS_PER_S) > 256);
	cc_init(&cc, CW_CREDIT_ONLY, 1024);
	cc_pace(&cc, 10 * MS);
	CU_ASSERT_EQUAL(burst(NS_PER_S), 1000);
}

/* A host that stood still for half a minute with a packet out, and was probed meanwhile. */
static void
what_was_owed_at_a_slower_rate_is_not_waited_for(void)
{
	uint64_t at = NS_PER_S;

	begin(10, 30 * NS_PER_S); /* one each 2.4 s */
	CU_ASSERT_EQUAL(burst(at), 1);
	cc_sent(&cc, 1);
	at += MS;
	CU_ASSERT_FALSE(cc_may(&cc, at));
	cc_pace(&cc, 10 * MS); /* one each 800 us */
	CU_ASSERT_TRUE(cc.paid_ns <= at + 800 * US);
	CU_ASSERT_TRUE(burst(at + 800 * US) >= 1);
}

/* ---- A link -------------------------------------------------------------------------------- */

#define PACKETS    20000
#define PER_PACKET (100 * US) /* 10,000 a second */
#define TURN_NS    MS           /* of the broker */
#define ROOM       4096

struct arrival {
	uint64_t at_ns;
	uint32_t seq, tx_ts;
};

static struct {
	struct arrival line[ROOM];
	struct told_ack ack[ROOM];
	uint64_t ack_at[ROOM];
	uint32_t line_head, line_tail, ack_head, ack_tail;
	uint64_t free_ns, delay_ns;
	uint32_t queue, dropped, log;
	bool got[PACKETS + 2];
} net;

static void
to_link(const struct cw_slot *slot)
{
	if (net.free_ns > now && (net.free_ns - now) / PER_PACKET >= net.queue) {
		net.dropped++;
		return;
	}
	net.free_ns = MAX(net.free_ns, now) + PER_PACKET;
	CU_ASSERT_FATAL(net.line_tail - net.line_head < ROOM);
	net.line[net.line_tail++ % ROOM] = (struct arrival){net.free_ns + net.delay_ns, slot->seq, slot->tx_ts};
}

/* The broker looks once a millisecond, as one that shares its CPU, and acks what has come till then. */
static void
broker_turn(void)
{
	struct told_ack *t = &net.ack[net.ack_tail % ROOM];
	uint32_t max = 0, ts_echo = 0;

	for (; net.line_head != net.line_tail && net.line[net.line_head % ROOM].at_ns <= now; net.line_head++) {
		net.got[net.line[net.line_head % ROOM].seq] = true;
		ts_echo = net.line[net.line_head % ROOM].tx_ts;
	}
	while (net.log < PACKETS && net.got[net.log + 1])
		net.log++;
	for (uint32_t seq = net.log; seq <= PACKETS && seq < net.log + 1024; seq++)
		if (seq > 0 && net.got[seq])
			max = seq;
	CU_ASSERT_FATAL(net.ack_tail - net.ack_head < ROOM);
	*t = make_ack(net.log, max);
	for (uint32_t seq = net.log + 1; seq <= max; seq++)
		if (net.got[seq])
			sack(t, seq);
	t->a.words = (uint8_t)((max - net.log + 63) / 64);
	t->a.credit_limit = net.log + 1024;
	t->a.ts_echo = ts_echo;
	net.ack_at[net.ack_tail++ % ROOM] = now + net.delay_ns;
}

/* When it sees what is on the line, the earliest. */
static uint64_t
broker_at(void)
{
	return net.line_head == net.line_tail
		? CW_NEVER : (net.line[net.line_head % ROOM].at_ns + TURN_NS - 1) / TURN_NS * TURN_NS;
}

static void
send_all(void)
{
	struct cw_step step;
	enum cw_what what;

	while ((what = cw_next(&w, now, &step)) != CW_NOTHING) {
		if (what == CW_NEW && w.next_seq > PACKETS)
			return;
		if (what == CW_NEW)
			to_link(cw_new(&w, now, NULL, 0, 1, 0, 1));
		else if (what == CW_AGAIN)
			to_link(step.slot);
	}
}

static void
no_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
}

/* The share of the link that was used. */
static double
through(uint32_t queue, uint64_t delay_ns, bool paced)
{
	static const struct cw_events none = {.outcome = no_outcome};
	struct cw_options o = options();
	uint64_t begun_ns;

	memset(&net, 0, sizeof(net));
	net.queue = queue;
	net.delay_ns = delay_ns;
	o.window = 1024;
	o.credit_limit = 1024;
	o.paced = paced;
	start(&o);
	begun_ns = now;
	while (now - begun_ns < 600 * NS_PER_S) {
		uint64_t next;

		if (now >= broker_at())
			broker_turn();
		for (; net.ack_head != net.ack_tail && net.ack_at[net.ack_head % ROOM] <= now; net.ack_head++) {
			struct told_ack *t = &net.ack[net.ack_head % ROOM];

			t->a.sack = t->sack;
			t->a.result = t->result;
			CU_ASSERT_TRUE(cw_ack(&w, &t->a, now, &none));
		}
		if (w.oldest_unknown > PACKETS)
			break;
		send_all();
		next = MIN(cw_deadline(&w, now), broker_at());
		if (net.ack_head != net.ack_tail)
			next = MIN(next, net.ack_at[net.ack_head % ROOM]);
		now = MAX(next, now + 10 * US); /* a sleep is no finer */
	}
	CU_ASSERT_EQUAL(net.log, PACKETS);
	return (double)PACKETS * PER_PACKET / (double)(now - begun_ns);
}

static void
a_short_queue_is_no_obstacle_to_what_is_paced(void)
{
	static const struct {
		uint32_t queue;
		uint64_t delay_ns;
		double least; /* of the link, paced */
	} link[] = {{8, MS, 0.7}, {8, 10 * MS, 0.4}, {40, MS, 0.95}, {40, 10 * MS, 0.7}};

	for (unsigned i = 0; i < ARRAY_LENGTH(link); i++) {
		const double plain = through(link[i].queue, link[i].delay_ns, false);
		const uint32_t plain_dropped = net.dropped;
		const double paced = through(link[i].queue, link[i].delay_ns, true);

		printf("queue %2u, %2llu ms each way: %.2f of the link, %4u dropped; paced %.2f, %4u\n", link[i].queue,
			(unsigned long long)(link[i].delay_ns / MS), plain, plain_dropped, paced, net.dropped);
		CU_ASSERT_TRUE(paced >= link[i].least);
		CU_ASSERT_TRUE(paced >= 0.98 * plain);
		if (link[i].queue == 8) {
			CU_ASSERT_TRUE(10 * net.dropped < plain_dropped);
			CU_ASSERT_TRUE(paced > 2 * plain);
		}
	}
}

static const struct ut_test tests[] = {
	UT("pace", a_window_is_spread_over_most_of_a_round_trip),
	UT("pace", a_late_timer_is_made_up_for_and_a_silence_is_not),
	UT("pace", on_a_lan_nothing_waits),
	UT("pace", what_was_owed_at_a_slower_rate_is_not_waited_for),
	UT("link", a_short_queue_is_no_obstacle_to_what_is_paced),
};

UT_MAIN(tests)
