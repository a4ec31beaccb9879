/* SPDX-License-Identifier: MIT
 * session_ut.c - the live half of the session table: states, leases, credit, handles. */
#include "dataplane/session.h"

#include "base/bits.h"
#include "base/clock.h"
#include "tests/unit/dataplane/fake_storage.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>
#include <string.h>

#define CREDIT 64 /* 16 sessions */
#define SLOTS  (CREDIT / 4)

static struct sessions ss;
static struct rx_counters count;
static struct storage storage;
static struct partition part[2];
static struct {
	struct dataplane_topic topic;
	struct partition *part[2];
} orders, clicks, more;
static uint64_t now;

static void
begin(void)
{
	memset(&count, 0, sizeof(count));
	memset(&storage, 0, sizeof(storage));
	now = 1000 * NS_PER_S;
	for (unsigned i = 0; i < 2; i++)
		fake_partition(&part[i], &storage, i, 0);
	orders.topic.partitions = 1;
	orders.topic.part[0] = &part[0];
	clicks.topic.partitions = 1;
	clicks.topic.part[0] = &part[1];
	CU_ASSERT_TRUE_FATAL(sessions_open(&ss, 3, CREDIT, &count));
}

static struct rx_cmd
grant_cmd(uint64_t secret)
{
	return (struct rx_cmd){.kind = RX_GRANT, .rx = 3, .secret = secret, .incarnation = 7,
		.peer_port = 5000, .max_dgram = 1472, .window = 32, .ack_every = 16,
		.keepalive_s = 10, .ack_delay_us = 50, .lease_ms = 10000,
		.capabilities = KUP_CAP_WANT_DISK, .handles = 1, .topic = {&orders.topic}};
}

static struct session *
grant(uint64_t secret)
{
	struct rx_cmd cmd = grant_cmd(secret);

	sessions_command(&ss, &cmd, now);
	return cmd.error ? NULL : sessions_find(&ss, cmd.session_id);
}

static int16_t
command(enum rx_cmd_kind kind, const struct session *s, uint64_t secret)
{
	struct rx_cmd cmd = grant_cmd(secret);

	cmd.kind = kind;
	cmd.session_id = s->who.session_id;
	cmd.reason = KUP_RESET_WITHDRAWN;
	sessions_command(&ss, &cmd, now);
	return cmd.error;
}

static void
later(uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i += 10) {
		now += 10 * NS_PER_MS;
		(void)sessions_sweep(&ss, now);
	}
}

/* `n` packets of a session go to storage. */
static void
hand_over(struct session *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		(void)window_receive(&s->window, s->window.max_seq + 1, 1, 0, 1);
	s->in_store += n;
}

static void
an_id_names_its_owner_and_is_never_zero(void)
{
	struct session *s;

	begin();
	s = grant(99);
	CU_ASSERT_EQUAL(s->who.session_id >> 24, 3);
	CU_ASSERT_NOT_EQUAL(s->who.session_id & 0xffffff, 0);
	CU_ASSERT_PTR_NULL(sessions_find(&ss, 3u << 24));
	CU_ASSERT_PTR_NULL(sessions_find(&ss, 3u << 24 | (SLOTS + 1)));
	CU_ASSERT_PTR_NULL(sessions_find(&ss, s->who.session_id + 1));
	CU_ASSERT_EQUAL(counter_read(&count.sessions), 1);
	sessions_close(&ss);
}

static void
grants_end_with_89_when_slots_or_credit_do(void)
{
	struct rx_cmd cmd;
	unsigned n = 0;

	begin();
	while (grant(1))
		n++;
	CU_ASSERT(n > 1 && n <= SLOTS);
	CU_ASSERT(ss.credit_out <= ss.credit);
	cmd = grant_cmd(2);
	sessions_command(&ss, &cmd, now);
	CU_ASSERT_EQUAL(cmd.error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	CU_ASSERT(cmd.retry_ms > 0);
	/* Silent clients give back; then all slots can be filled. */
	later(2 * KUP_CREDIT_LEASE_MS + 10);
	while (grant(1))
		n++;
	CU_ASSERT_EQUAL(n, SLOTS);
	sessions_close(&ss);
}

static void
credit_is_shared_and_its_sum_stays_below_c(void)
{
	struct session *a, *b;

	begin();
	a = grant(1);
	b = grant(2);
	session_active(&ss, a);
	session_raise_credit(&ss, a);
	CU_ASSERT_EQUAL(window_outstanding(&a->window), 32); /* its window */
	session_active(&ss, b);
	CU_ASSERT_EQUAL(ss.active, 2);
	session_raise_credit(&ss, b);
	CU_ASSERT_EQUAL(ss.credit_out, window_outstanding(&a->window) +
		window_outstanding(&b->window));
	CU_ASSERT(ss.credit_out <= CREDIT);
	while (grant(3))
		;
	for (uint32_t i = 0; i < ss.live_n; i++)
		session_raise_credit(&ss, &ss.session[ss.live[i]]);
	CU_ASSERT_EQUAL(ss.credit_out, CREDIT);
	sessions_close(&ss);
}

/* When hundreds begin at once it is alone for an instant. */
static void
the_first_to_be_heard_takes_twice_its_share_at_a_time(void)
{
	struct session *a, *b;

	begin();
	a = grant(1);
	b = grant(2);
	a->window.size = b->window.size = CREDIT;
	session_active(&ss, a);
	session_raise_credit(&ss, a);
	CU_ASSERT_EQUAL(window_outstanding(&a->window), 32);
	session_active(&ss, b);
	for (unsigned i = 0; i < 3; i++) {
		session_raise_credit(&ss, a);
		session_raise_credit(&ss, b);
	}
	CU_ASSERT_EQUAL(window_outstanding(&a->window), CREDIT / 2);
	CU_ASSERT_EQUAL(window_outstanding(&b->window), CREDIT / 2);
	sessions_close(&ss);
}

static void
who_waits_for_its_turn_among_many_is_not_taken_for_silent(void)
{
	struct session *a, *b;

	begin();
	a = grant(1);
	b = grant(2);
	session_active(&ss, a);
	/* However long the lcore was away: one sweep, and nothing was taken meanwhile. */
	now += NS_PER_S;
	(void)sessions_sweep(&ss, now);
	CU_ASSERT_TRUE(a->active);
	for (unsigned i = 0; i < 2 * CREDIT - 1; i++)
		session_active(&ss, b);
	later(10);
	CU_ASSERT_TRUE(a->active);
	/* Twice the queue's credit went by, and nothing of it: no share. */
	session_active(&ss, b);
	later(10);
	CU_ASSERT_FALSE(a->active);
	CU_ASSERT_EQUAL(ss.active, 1);
	sessions_close(&ss);
}

/* As when the host of all of them is away for a while: who comes back first would get the others' part. */
static void
while_nothing_comes_nobody_is_taken_for_silent(void)
{
	struct session *a, *b;

	begin();
	a = grant(1);
	b = grant(2);
	session_active(&ss, a);
	session_active(&ss, b);
	for (unsigned i = 0; i < 100; i++)
		later(10);
	session_active(&ss, b);
	CU_ASSERT_EQUAL(ss.active, 2);
	session_raise_credit(&ss, b);
	CU_ASSERT_EQUAL(window_outstanding(&b->window), CREDIT / 2);
	for (unsigned i = 0; i < 11; i++) { /* little comes, of one alone */
		later(10);
		session_active(&ss, b);
	}
	later(10);
	CU_ASSERT_FALSE(a->active);
	CU_ASSERT_EQUAL(ss.active, 1);
	sessions_close(&ss);
}

static void
the_last_two_credits_of_a_session_are_its_own(void)
{
	struct session *a, *b;

	begin();
	a = grant(1);
	b = grant(2);
	session_active(&ss, b);
	/* a has used up all it was given. */
	for (uint32_t i = 1; i <= 16; i++) {
		(void)window_receive(&a->window, i, 1, 0, 1);
		window_final(&a->window, i, 0, 0, 0);
		sessions_weigh(&ss, a);
	}
	b->window.size = CREDIT;
	for (unsigned i = 0; i < 2; i++) /* 16, 32, 64 */
		session_raise_credit(&ss, b);
	CU_ASSERT_EQUAL(window_outstanding(&b->window), CREDIT - KUP_IDLE_CREDIT);
	CU_ASSERT_TRUE(session_credit_can_rise(&ss, a));
	session_raise_credit(&ss, a);
	CU_ASSERT_EQUAL(window_outstanding(&a->window), KUP_IDLE_CREDIT);
	CU_ASSERT_EQUAL(ss.credit_out, CREDIT);
	sessions_close(&ss);
}

static void
an_ended_session_counts_with_what_storage_has_of_it(void)
{
	struct session *s;
	uint32_t before;

	begin();
	s = grant(1);
	hand_over(s, 5);
	before = ss.credit_out;
	CU_ASSERT_EQUAL(before, 16);
	session_end(&ss, s, KUP_RESET_CLOSED, now);
	CU_ASSERT_EQUAL(ss.credit_out, 5);
	later(30000); /* the quarantine is over, its packets are not back */
	CU_ASSERT_EQUAL(s->state, SESSION_ENDED);
	s->in_store = 0;
	sessions_weigh(&ss, s);
	later(10);
	CU_ASSERT_EQUAL(s->state, SESSION_FREE);
	CU_ASSERT_EQUAL(s->who.secret, 0);
	CU_ASSERT_EQUAL(ss.credit_out, 0);
	sessions_close(&ss);
}

static void
without_anchor_a_session_ends_after_its_lease(void)
{
	struct session *s;

	begin();
	s = grant(1);
	CU_ASSERT_EQUAL(command(RX_ANCHOR_GONE, s, 1), 0);
	CU_ASSERT_EQUAL(s->state, SESSION_ORPHAN);
	later(9000);
	CU_ASSERT_EQUAL(command(RX_REPEAT, s, 1), 0);
	CU_ASSERT_EQUAL(s->state, SESSION_LIVE);
	CU_ASSERT_EQUAL(command(RX_ANCHOR_GONE, s, 1), 0);
	later(9990);
	CU_ASSERT_EQUAL(s->state, SESSION_ORPHAN);
	later(10);
	CU_ASSERT_EQUAL(s->state, SESSION_ENDED);
	CU_ASSERT_EQUAL(s->reason, KUP_RESET_LEASE);
	CU_ASSERT_EQUAL(atomic_load(&ss.ended[s->who.session_id & 0xffffff]), 1);
	CU_ASSERT_EQUAL(command(RX_REPEAT, s, 1), KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	later(20000);
	CU_ASSERT_EQUAL(s->state, SESSION_FREE);
	CU_ASSERT_EQUAL(counter_read(&count.ended_lease), 1);
	sessions_close(&ss);
}

static void
three_keepalives_of_silence_end_a_session(void)
{
	struct session *s;

	begin();
	s = grant(1);
	later(29000);
	s->heard_ns = now;
	later(29990);
	CU_ASSERT_EQUAL(s->state, SESSION_LIVE);
	later(10);
	CU_ASSERT_EQUAL(s->state, SESSION_ENDED);
	CU_ASSERT_EQUAL(s->reason, KUP_RESET_SILENCE);
	sessions_close(&ss);
}

static void
a_wrong_secret_changes_nothing(void)
{
	struct session *s;

	begin();
	s = grant(1);
	CU_ASSERT_EQUAL(command(RX_REPEAT, s, 2), KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	CU_ASSERT_EQUAL(command(RX_ASK, s, 2), KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	(void)command(RX_END, s, 2);
	(void)command(RX_ANCHOR_GONE, s, 2);
	CU_ASSERT_EQUAL(s->state, SESSION_LIVE);
	CU_ASSERT_EQUAL(command(RX_ASK, s, 1), 0);
	(void)command(RX_END, s, 1);
	CU_ASSERT_EQUAL(command(RX_ASK, s, 1), KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	CU_ASSERT_EQUAL(s->state, SESSION_ENDED);
	CU_ASSERT_EQUAL(s->reason, KUP_RESET_WITHDRAWN);
	sessions_close(&ss);
}

static void
a_repeat_adds_handles_and_moves_the_binding(void)
{
	struct rx_cmd cmd;
	struct session *s;

	begin();
	s = grant(1);
	s->reply.l4 = 34;
	cmd = grant_cmd(1);
	cmd.kind = RX_REPEAT;
	cmd.session_id = s->who.session_id;
	cmd.handles = 2;
	cmd.topic[0] = NULL;
	cmd.topic[1] = &clicks.topic;
	sessions_command(&ss, &cmd, now);
	CU_ASSERT_PTR_EQUAL(s->topic[0], &orders.topic);
	CU_ASSERT_PTR_EQUAL(s->topic[1], &clicks.topic);
	CU_ASSERT_EQUAL(s->reply.l4, 34); /* same place */
	cmd.peer_port = 0;
	sessions_command(&ss, &cmd, now);
	CU_ASSERT_EQUAL(s->peer_port, 0);
	CU_ASSERT_EQUAL(s->reply.l4, 0);
	cmd = (struct rx_cmd){.kind = RX_SWAP_TOPIC, .topic = {&orders.topic, &more.topic}};
	sessions_command(&ss, &cmd, now);
	CU_ASSERT_PTR_EQUAL(s->topic[0], &more.topic);
	CU_ASSERT_PTR_EQUAL(s->topic[1], &clicks.topic);
	cmd = (struct rx_cmd){.kind = RX_FORGET_TOPIC, .topic = {&more.topic}};
	sessions_command(&ss, &cmd, now);
	CU_ASSERT_PTR_NULL(s->topic[0]);
	CU_ASSERT_PTR_EQUAL(s->topic[1], &clicks.topic);
	sessions_close(&ss);
}

static void
a_failed_sync_ends_the_sessions_that_promised_disk_there(void)
{
	struct rx_cmd cmd;
	struct session *a, *b, *c;

	begin();
	a = grant(1);
	cmd = grant_cmd(2);
	cmd.topic[0] = &clicks.topic;
	sessions_command(&ss, &cmd, now);
	b = sessions_find(&ss, cmd.session_id);
	cmd = grant_cmd(3);
	cmd.capabilities = 0;
	sessions_command(&ss, &cmd, now);
	c = sessions_find(&ss, cmd.session_id);
	fake_fail(&part[0]);
	sessions_disk_failed(&ss, now);
	CU_ASSERT_EQUAL(a->state, SESSION_ENDED);
	CU_ASSERT_EQUAL(a->reason, KUP_RESET_DISK);
	CU_ASSERT_EQUAL(b->state, SESSION_LIVE);
	CU_ASSERT_EQUAL(c->state, SESSION_LIVE);
	sessions_close(&ss);
}

static void
the_list_of_those_owed_an_ack_survives_any_order(void)
{
	struct session *s[8];

	begin();
	for (unsigned i = 0; i < 8; i++) {
		s[i] = grant(i + 1);
		if (!s[i]) {
			later(500);
			s[i] = grant(i + 1);
		}
		CU_ASSERT_PTR_NOT_NULL_FATAL(s[i]);
		session_ack_due(&ss, s[i], false, now);
		session_ack_due(&ss, s[i], true, now + 5);
		CU_ASSERT_EQUAL(s[i]->ack_at_ns, now + 50 * NS_PER_US);
	}
	CU_ASSERT_EQUAL(ss.pending_n, 8);
	session_ack_done(&ss, s[3]);
	session_ack_done(&ss, s[7]);
	session_end(&ss, s[0], KUP_RESET_CLOSED, now);
	CU_ASSERT_EQUAL(ss.pending_n, 5);
	for (uint32_t i = 0; i < ss.pending_n; i++)
		CU_ASSERT_EQUAL(ss.session[ss.pending[i]].pending_at, i);
	sessions_close(&ss);
}

static const struct ut_test tests[] = {
	UT("grant", an_id_names_its_owner_and_is_never_zero),
	UT("grant", grants_end_with_89_when_slots_or_credit_do),
	UT("credit", credit_is_shared_and_its_sum_stays_below_c),
	UT("credit", the_first_to_be_heard_takes_twice_its_share_at_a_time),
	UT("credit", who_waits_for_its_turn_among_many_is_not_taken_for_silent),
	UT("credit", while_nothing_comes_nobody_is_taken_for_silent),
	UT("credit", the_last_two_credits_of_a_session_are_its_own),
	UT("credit", an_ended_session_counts_with_what_storage_has_of_it),
	UT("state", without_anchor_a_session_ends_after_its_lease),
	UT("state", three_keepalives_of_silence_end_a_session),
	UT("state", a_wrong_secret_changes_nothing),
	UT("state", a_repeat_adds_handles_and_moves_the_binding),
	UT("state", a_failed_sync_ends_the_sessions_that_promised_disk_there),
	UT("ack", the_list_of_those_owed_an_ack_survives_any_order),
};
UT_MAIN(tests)
