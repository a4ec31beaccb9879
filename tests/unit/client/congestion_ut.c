/* SPDX-License-Identifier: MIT
 * congestion_ut.c - the client's window sends what the traces of tests/golden/wire/congestion.txt say, and
 * thinks the same of the network. Another program made them from PROTOCOL.md. */
#include "dataplane/client/client_window.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "tests/unit/ut.h"
#include "tests/unit/vectors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_NS NS_PER_S

static struct vector v;
static struct cw_slot slots[64];
static struct client_window w;
static uint8_t batch;

static void
differs(unsigned event, const char *what, int64_t got)
{
	fprintf(stderr, "%s, event %u (%s): %s %" PRId64 "\n", v.name, event,
		vector_text(&v, "event", event), what, got);
	CU_FAIL("the window does something else");
}

static void
on_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
}

static void
on_disk(void *arg, uint32_t disk_seq)
{
}

static void
begin(void)
{
	struct cw_options o = {.slots = slots, .slot_count = 64, .credit_lease_ms = 200,
		.ack_delay_us = 50, .keepalive_s = 10, .cc = CW_RENO, .first_seq = 1};

	o.window = vector_u16(&v, "window");
	o.credit_limit = vector_u32(&v, "credit");
	cw_init(&w, &o, BEGIN_NS);
}

/* All that may go now, in its order. */
static void
send_all(unsigned event, const char *want, uint64_t now_ns)
{
	struct cw_step step;

	for (;;) {
		struct cw_slot *slot = NULL;
		int used = 0;
		uint32_t seq = 0;

		switch (cw_next(&w, now_ns, &step)) {
		case CW_AGAIN:
			slot = step.slot;
			break;
		case CW_NEW:
			slot = cw_new(&w, now_ns, &batch, 0, 1, 0, 1);
			break;
		default:
			break;
		}
		if (sscanf(want, "%" SCNu32 "%n", &seq, &used) < 1)
			seq = 0;
		if ((slot ? slot->seq : 0) != seq)
			differs(event, "sends", slot ? slot->seq : 0);
		if (!slot || seq == 0)
			return;
		want += used;
	}
}

static void
take_ack(const char *text, uint32_t ack_num, uint64_t now_ns)
{
	const struct cw_events ev = {.outcome = on_outcome, .disk = on_disk};
	struct cwire_ack a = {.credit_limit = vector_u32(&v, "credit"), .ack_num = ack_num};
	uint8_t sack[KUP_SACK_WORDS_MAX * KUP_SACK_WORD];
	int used = 0;

	CU_ASSERT_EQUAL_FATAL(sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu16 "%n",
		&a.log_seq, &a.max_seq, &a.ts_echo, &a.echo_delay_us, &used), 4);
	for (char *at = (char *)(uintptr_t)text + used; *at == ' ' && at[1] != '\0';)
		put_be64(sack + KUP_SACK_WORD * a.words++, strtoull(at, &at, 0));
	a.sack = sack;
	CU_ASSERT_TRUE(cw_ack(&w, &a, now_ns, &ev));
}

static bool
near(uint64_t ns, uint32_t us)
{
	return ns + 2 * NS_PER_US >= us * NS_PER_US && ns <= (us + 2) * NS_PER_US;
}

static void
compare(unsigned event, const char *after)
{
	uint32_t cwnd, ssthresh, reorder, in_flight, lost, srtt, var, pto;

	CU_ASSERT_EQUAL_FATAL(sscanf(after, "%u %u %u %u %u %u %u %u", &cwnd, &ssthresh, &reorder,
		&in_flight, &lost, &srtt, &var, &pto), 8);
	if (w.cc.cwnd != cwnd)
		differs(event, "cwnd", w.cc.cwnd);
	if (w.cc.ssthresh != ssthresh)
		differs(event, "ssthresh", w.cc.ssthresh);
	if (w.reorder != reorder)
		differs(event, "reorder", w.reorder);
	if (w.in_flight != in_flight)
		differs(event, "in flight", w.in_flight);
	if (w.lost != lost)
		differs(event, "lost", w.lost);
	if (!near(w.rtt.srtt_ns, srtt))
		differs(event, "srtt ns", (int64_t)w.rtt.srtt_ns);
	if (!near(w.rtt.var_ns, var))
		differs(event, "var ns", (int64_t)w.rtt.var_ns);
	if (!near(w.rtt.pto_ns, pto))
		differs(event, "pto ns", (int64_t)w.rtt.pto_ns);
}

static void
the_window_follows_every_trace(void)
{
	FILE *f = vectors_open("congestion.txt");
	unsigned traces = 0, losses = 0;

	for (; vectors_next(f, &v); traces++) {
		const char *text;
		unsigned sends = 0, acks = 0;

		begin();
		for (unsigned i = 0; (text = vector_text(&v, "event", i)) != NULL; i++) {
			uint64_t us;
			int used = 0;

			CU_ASSERT_EQUAL_FATAL(sscanf(text, "%" SCNu64 " %n", &us, &used), 1);
			text += used;
			if (strcmp(text, "send") == 0)
				send_all(i, vector_text(&v, "sent", sends++), BEGIN_NS + us * NS_PER_US);
			else
				take_ack(text + strlen("ack"), ++acks, BEGIN_NS + us * NS_PER_US);
			compare(i, vector_text(&v, "after", i));
		}
		losses += w.stats.lost > 0;
	}
	CU_ASSERT(traces >= 5 && losses >= 3);
	(void)fclose(f);
}

static const struct ut_test tests[] = {
	UT("congestion", the_window_follows_every_trace),
};
UT_MAIN(tests)
