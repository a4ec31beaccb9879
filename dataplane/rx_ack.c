/* SPDX-License-Identifier: MIT
 * rx_ack.c - what goes back to the producers: an ACK per session and turn, PONG, RESET.
 * Thread: the rx lcore. Owns: nothing. Never: sends a session more bytes than came from it; names
 * in an ACK what is not final, or what a publish has not made visible (store_done.c completes after it). */
#include "dataplane/kira_dpdk_compat.h"

#include "dataplane/rx.h"

#include "base/bits.h"

/* Bytes that may go out: answers never outweigh questions. */
static uint32_t
room(const struct session *s)
{
	return (uint32_t)MIN(s->bytes_in - s->bytes_out, (uint64_t)KUP_ACK_MAX);
}

static bool
can_send(struct rx_lcore *rx, const struct session *s, uint32_t bytes)
{
	if (s->reply.l4 != 0 && room(s) >= bytes)
		return true;
	counter_add(&rx->count->ack_waits, 1);
	return false;
}

/* Outcomes into rx->ack.result: what a QUERY asked for, then what is not reported yet. */
static unsigned
gather_results(struct rx_lcore *rx, struct session *s, unsigned max)
{
	struct window_result *r = rx->ack.result;
	unsigned n = 0;

	if (s->query_count > 0) {
		n = window_query(&s->window, s->query_first, s->query_count, r, max);
		s->query_count = 0;
		counter_add(&rx->count->queries, 1);
	}
	return n + window_report(&s->window, r + n, max - n);
}

static void
fill(struct rx_lcore *rx, struct session *s, uint32_t bytes, uint64_t now_ns)
{
	const uint64_t delay_us = (now_ns - s->echo_ns) / NS_PER_US;
	struct window *w = &s->window;
	struct ack *a = &rx->ack;
	unsigned words = (w->max_seq - w->log_seq + 63) / 64, fit;

	/* Results go first where bytes are short, then words: both come again. */
	fit = ack_results_fit(bytes, words);
	a->results = (uint8_t)gather_results(rx, s, fit);
	words = window_sack(w, a->sack); /* log_seq may have moved: fewer, never more */
	a->words = (uint8_t)MIN(words, (bytes - ack_length(0, a->results)) / KUP_SACK_WORD);
	if (fit < KUP_RESULTS_MAX && (w->more || a->words < words))
		counter_add(&rx->count->ack_waits, 1);
	/* Draining: limits stand still. */
	a->flags = rx->drain_said ? KUP_FLAG_DRAIN : 0;
	if (!rx->drain_said)
		session_raise_credit(&rx->sessions, s);
	(void)rx_on_disk(rx, s);
	a->log_seq = w->log_seq;
	a->disk_seq = w->disk_seq;
	a->credit_limit = w->credit_limit;
	a->max_seq = w->max_seq;
	a->err_total = w->err_total;
	a->ts_echo = s->ts_echo;
	a->echo_delay_us = (uint16_t)MIN(delay_us, (uint64_t)UINT16_MAX);
	a->ce_count = s->ce_count;
	a->throttle_ms = 0;
	a->ack_num = ++s->ack_num;
}

/* False: no buffer; it stays due. */
static bool
send_ack(struct rx_lcore *rx, struct session *s, uint64_t now_ns)
{
	uint32_t bytes = room(s), len;
	struct rte_mbuf *m;
	uint8_t *p;

	if (s->query_count > 0)
		bytes = MIN(bytes, (uint32_t)s->query_len);
	if (!can_send(rx, s, KUP_ACK_FIXED)) {
		/* The next valid datagram brings the right to it. */
		s->ack_owed = true;
		session_ack_done(&rx->sessions, s);
		return true;
	}
	m = tx_begin(&rx->tx, &s->reply, &p);
	if (!m)
		return false;
	fill(rx, s, bytes, now_ns);
	len = ack_write(p, &s->who, &rx->ack);
	s->bytes_out += len;
	tx_end(&rx->tx, &s->reply, m, len);
	counter_add(&rx->count->acks, 1);
	session_ack_done(&rx->sessions, s);
	if (s->window.more)
		session_ack_due(&rx->sessions, s, true, now_ns);
	return true;
}

unsigned
rx_send_acks(struct rx_lcore *rx, uint64_t now_ns)
{
	struct sessions *ss = &rx->sessions;
	unsigned work = 0;

	/* From the end: what is sent leaves the list, and one that stays due waits for the next
	 * turn. */
	for (uint32_t i = ss->pending_n; i-- > 0;) {
		struct session *s = &ss->session[ss->pending[i]];

		if (!s->ack_now && s->window.unreported_n < s->ack_every && now_ns < s->ack_at_ns)
			continue;
		work += send_ack(rx, s, now_ns);
	}
	return work;
}

void
rx_send_pong(struct rx_lcore *rx, struct session *s, const struct produce_head *h, uint16_t len)
{
	struct rte_mbuf *m;
	uint8_t *p;

	if (!can_send(rx, s, KUP_PONG_BYTES))
		return;
	m = tx_begin(&rx->tx, &s->reply, &p);
	if (!m)
		return;
	s->bytes_out += KUP_PONG_BYTES;
	tx_end(&rx->tx, &s->reply, m, pong_write(p, &s->who, h->word, h->word2, len));
	counter_add(&rx->count->pongs, 1);
}

void
rx_send_reset(struct rx_lcore *rx, struct session *s, uint32_t echo)
{
	struct rte_mbuf *m;
	uint8_t *p;

	if (!can_send(rx, s, KUP_RESET_BYTES))
		return;
	m = tx_begin(&rx->tx, &s->reply, &p);
	if (!m)
		return;
	s->bytes_out += KUP_RESET_BYTES;
	tx_end(&rx->tx, &s->reply, m, reset_write(p, &s->who, echo, s->reason, s->incarnation));
	counter_add(&rx->count->resets, 1);
}
