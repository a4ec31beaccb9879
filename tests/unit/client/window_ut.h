/* SPDX-License-Identifier: MIT
 * window_ut.h - a client window between made-up ACKs; includes dataplane/client/client_window.c. */
#ifndef KIRA_TESTS_WINDOW_UT_H
#define KIRA_TESTS_WINDOW_UT_H

#include "dataplane/client/client_window.c"

#include "base/bytes.h"
#include "tests/unit/ut.h"

#define MS NS_PER_MS
#define US NS_PER_US

static struct cw_slot slots[KUP_WINDOW_MAX];
static struct client_window w;
static uint64_t now;
static uint32_t outcomes, last_outcome_seq, disk_mark;
static int16_t error_of[KUP_WINDOW_MAX];
static int64_t offset_of[KUP_WINDOW_MAX];
static bool told[KUP_WINDOW_MAX];

static inline void
on_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
	const uint32_t i = slot->seq & (KUP_WINDOW_MAX - 1);

	CU_ASSERT_FALSE(told[i]);
	told[i] = true;
	error_of[i] = error;
	offset_of[i] = base_offset;
	outcomes++;
	last_outcome_seq = slot->seq;
}

static inline void
on_disk(void *arg, uint32_t seq)
{
	disk_mark = seq;
}

static const struct cw_events events = {.outcome = on_outcome, .disk = on_disk};

static inline struct cw_options
options(void)
{
	return (struct cw_options){.slots = slots, .slot_count = KUP_WINDOW_MAX, .window = 256,
		.credit_limit = 256, .ack_delay_us = 50, .credit_lease_ms = 200, .keepalive_s = 10,
		.first_seq = 1};
}

static inline void
start(const struct cw_options *o)
{
	now = 1000 * NS_PER_S;
	cw_init(&w, o, now);
	outcomes = disk_mark = 0;
	memset(told, 0, sizeof(told));
}

/* Send new packets while the window lets them, at most n; how many went. */
static inline uint32_t
send_new(uint32_t n)
{
	uint32_t sent = 0;
	struct cw_step step;

	while (sent < n && cw_next(&w, now, &step) == CW_NEW) {
		(void)cw_new(&w, now, NULL, 0, 1, 0, 10);
		sent++;
	}
	return sent;
}

/* An ACK under construction: fields, SACK bits and results. */
struct told_ack {
	struct cwire_ack a;
	uint8_t sack[KUP_SACK_WORDS_MAX * KUP_SACK_WORD];
	uint8_t result[KUP_RESULTS_MAX * KUP_RESULT];
};

static uint32_t ack_num;

static inline struct told_ack
make_ack(uint32_t log_seq, uint32_t max_seq)
{
	struct told_ack t = {.a = {.log_seq = log_seq, .disk_seq = 0, .credit_limit = log_seq + 256,
		.max_seq = max_seq, .ack_num = ++ack_num, .ts_echo = cw_tx_ts(now) - 100}};

	return t;
}

static inline void
sack(struct told_ack *t, uint32_t seq)
{
	const uint32_t bit = seq - t->a.log_seq - 1;
	uint8_t *p = t->sack + bit / 64 * 8;

	put_be64(p, get_be64(p) | UINT64_C(1) << (bit % 64));
	if (t->a.words < bit / 64 + 1)
		t->a.words = (uint8_t)(bit / 64 + 1);
}

static inline void
result(struct told_ack *t, uint32_t first, uint16_t count, int16_t error, int64_t offset)
{
	uint8_t *p = t->result + t->a.results++ * KUP_RESULT;

	put_be32(p + KUP_RESULT_SEQ, first);
	put_be16(p + KUP_RESULT_COUNT, count);
	put_be16(p + KUP_RESULT_ERROR, (uint16_t)error);
	put_be32(p + KUP_RESULT_PART, 0);
	put_be16(p + KUP_RESULT_HANDLE, 1);
	put_be64(p + KUP_RESULT_OFFSET, (uint64_t)offset);
}

static inline bool
take(struct told_ack *t)
{
	t->a.sack = t->sack;
	t->a.result = t->result;
	return cw_ack(&w, &t->a, now, &events);
}

static inline bool
take_plain(uint32_t log_seq)
{
	struct told_ack t = make_ack(log_seq, log_seq);

	return take(&t);
}

static inline struct cw_slot *
expect(enum cw_what what)
{
	struct cw_step step = {0};

	CU_ASSERT_EQUAL(cw_next(&w, now, &step), what);
	return step.slot;
}

#endif
