/* SPDX-License-Identifier: MIT
 * producer_sim_watch.c - stands beside kirad's port: what one ACK of a session says must fit what the one
 * before it said, and the QUERY that it answers. See producer_sim.h. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/sim/producer_sim.h"

#include "base/bytes.h"
#include "dataplane/client/client_wire.h"
#include "tests/unit/dataplane/world.h"

#include <string.h>

#define KEPT  (2 * KUP_WINDOW_MAX)
#define SLOTS 512 /* more than there are sessions: a place by the low bits of the id */

/* Of the session that had the place last. */
static struct watched {
	uint64_t secret;
	uint32_t log_seq, disk_seq, max_seq, err_total, ack_num;
	uint32_t query_first, query_count, query_length; /* count 0: none to answer */
	uint32_t failures, failed[KEPT]; /* packets told with an error so far; their pkt_seq, by its low bits */
} session[SLOTS];

void
sim_watch_begin(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		session[i].secret = 0;
}

static struct watched *
of(const uint8_t *payload)
{
	return &session[get_be32(payload + KUP_OFF_SESSION) % SLOTS];
}

/* Of a session that is no more, or damaged and no QUERY: then no answer to it comes. */
void
sim_watch_arrived(const struct frame *f)
{
	const uint8_t *p = f->bytes + PAYLOAD_AT;
	struct watched *s;

	if ((p[KUP_OFF_TYPE] & 15) != KUP_QUERY)
		return;
	s = of(p);
	if (s->secret != get_be64(p + KUP_OFF_AUTH))
		return;
	s->query_first = get_be32(p + KUP_QUERY_FIRST);
	s->query_count = get_be16(p + KUP_QUERY_COUNT);
	s->query_length = f->len - PAYLOAD_AT;
}

static bool
parsed(const struct frame *f, struct cwire_ack *ret)
{
	const uint8_t *p = f->bytes + f->payload;
	const struct cwire_session who = {.id = get_be32(p + KUP_OFF_SESSION),
		.secret = get_be64(p + KUP_OFF_AUTH)};
	struct cwire_in in;

	if (f->payload == 0 || cwire_parse(p, f->payload_len, &who, &in) != CWIRE_ACK)
		return false;
	*ret = in.ack;
	return true;
}

/* How many of the packets asked for it tells of. */
static unsigned
answered(const struct watched *s, const struct cwire_ack *ack)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ack->results; i++) {
		struct cwire_result r;

		cwire_result(ack, i, &r);
		for (uint32_t seq = r.first_seq; seq != r.first_seq + r.count; seq++)
			n += seq - s->query_first < s->query_count;
	}
	return n;
}

static void
note_failures(struct watched *s, const struct cwire_ack *ack)
{
	for (unsigned i = 0; i < ack->results; i++) {
		struct cwire_result r;

		cwire_result(ack, i, &r);
		for (uint32_t seq = r.first_seq; r.error != 0 && seq != r.first_seq + r.count; seq++) {
			s->failures += s->failed[seq % KEPT] != seq;
			s->failed[seq % KEPT] = seq;
		}
	}
}

static bool
went_back(uint32_t from, uint32_t to)
{
	return (int32_t)(to - from) < 0;
}

void
sim_watch_answer(const struct frame *f)
{
	struct cwire_ack ack;
	struct watched *s;

	if (!parsed(f, &ack))
		return;
	s = of(f->bytes + f->payload);
	if (s->secret != get_be64(f->bytes + f->payload + KUP_OFF_AUTH))
		*s = (struct watched){.secret = get_be64(f->bytes + f->payload + KUP_OFF_AUTH)};
	if (went_back(s->log_seq, ack.log_seq) || went_back(s->disk_seq, ack.disk_seq)
			|| went_back(s->max_seq, ack.max_seq) || went_back(s->err_total, ack.err_total))
		sim_wrong("an ACK takes back what an earlier one said");
	if (ack.ack_num != s->ack_num + 1)
		sim_wrong("an ACK out of its number");
	if (went_back(ack.disk_seq, ack.log_seq) || went_back(ack.log_seq, ack.max_seq))
		sim_wrong("an ACK that contradicts itself");
	note_failures(s, &ack);
	if (ack.err_total != s->failures)
		sim_wrong("err_total is not what was told of failures, each once");
	if (s->query_count > 0) {
		if (f->payload_len > s->query_length)
			sim_wrong("an answer longer than its QUERY");
		if (answered(s, &ack) < s->query_count)
			sim_fired(FAULT_QUERIED_PART);
		s->query_count = 0;
	}
	s->log_seq = ack.log_seq;
	s->disk_seq = ack.disk_seq;
	s->max_seq = ack.max_seq;
	s->err_total = ack.err_total;
	s->ack_num = ack.ack_num;
}

void
sim_watch_lost(const struct frame *f)
{
	struct cwire_ack ack;

	if (!parsed(f, &ack))
		return;
	for (unsigned i = 0; i < ack.results; i++) {
		struct cwire_result r;

		cwire_result(&ack, i, &r);
		if (r.error != 0) {
			sim_fired(FAULT_RESULTS_LOST);
			return;
		}
	}
}
