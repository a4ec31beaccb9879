/* SPDX-License-Identifier: MIT
 * session_ut.c - OpenSession and the grants behind it: who may, anchors, leases, handles. */
#include "tests/unit/control/world.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world w;

struct session {
	int16_t error;
	uint32_t id;
	uint64_t secret;
	int32_t topics;
	int16_t topic_error;
	uint16_t handle;
};

struct ask {
	uint32_t id;
	uint64_t secret;
	const char *address; /* IPv4; NULL: the peer's own */
	const char *topic;
	bool create;
};

static void
build(struct ask a)
{
	struct writer *q = world_request(&w, API_OPEN_SESSION, 0);
	struct in_addr v4;

	kw_i32(q, (int32_t)a.id);
	kw_i64(q, (int64_t)a.secret);
	if (a.address)
		CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET, a.address, &v4), 1);
	kw_bytes(q, &v4, a.address ? 4 : 0);
	kw_i16(q, 5000);
	kw_i16(q, 1472);
	kw_i16(q, 64);
	kw_i32(q, 1);
	kw_array(q, a.topic ? 1 : 0);
	if (a.topic) {
		kw_string(q, a.topic);
		kw_bool(q, a.create);
		kw_tags(q);
	}
	kw_tags(q);
}

static struct session
read_answer(struct reader r)
{
	struct session s = {0};

	(void)kr_i32(&r);
	s.error = kr_i16(&r);
	CU_ASSERT_EQUAL(kr_string(&r).p != NULL, s.error != 0);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	s.id = (uint32_t)kr_i32(&r);
	s.secret = (uint64_t)kr_i64(&r);
	(void)kr_i64(&r);
	(void)kr_string(&r);
	(void)kr_take(&r, 2 + 2 + 2 + 4 + 4 + 2 + 4 + 4 + 4 + 2);
	s.topics = kr_array(&r, 64, 1);
	if (s.topics > 0) {
		s.topic_error = kr_i16(&r);
		(void)kr_string(&r);
		(void)kr_take(&r, 16);
		s.handle = (uint16_t)kr_i16(&r);
	}
	CU_ASSERT_FALSE(r.bad);
	return s;
}

static struct session
ask(int fd, struct ask a)
{
	build(a);
	return read_answer(world_ask(&w, fd));
}

static void
a_session_is_answered_only_when_its_lcore_has_installed_it(void)
{
	struct reader r;
	bool closed;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	w.lazy = true;
	fd = world_connect(&w);
	build((struct ask){.topic = "t"});
	world_send(&w, fd);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NULL(r.p);
	CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 1);
	CU_ASSERT_EQUAL(lcores.rx[0]->kind, RX_GRANT);
	CU_ASSERT_EQUAL(lcores.rx[0]->handles, 1);
	(void)lcores_rx_turn();
	world_run(&w);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(read_answer(r).error, 0);
	CU_ASSERT_EQUAL(w.ctl->conns->sessions, 1);
	(void)close(fd);
	world_close(&w);
}

static void
a_repeat_needs_the_secret_and_keeps_the_handles(void)
{
	struct session first, again;
	int fd;

	world_open(&w, NULL);
	(void)world_topic(&w, "t", 1);
	(void)world_topic(&w, "u", 1);
	fd = world_connect(&w);
	first = ask(fd, (struct ask){.topic = "t"});
	CU_ASSERT_EQUAL(first.handle, 1);
	again = ask(fd, (struct ask){first.id, first.secret ^ 1, NULL, "u", false});
	CU_ASSERT_EQUAL(again.error, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	again = ask(fd, (struct ask){first.id, first.secret, NULL, "u", false});
	CU_ASSERT_EQUAL(again.error, 0);
	CU_ASSERT_EQUAL(again.id, first.id);
	CU_ASSERT_EQUAL(again.handle, 2);
	again = ask(fd, (struct ask){first.id, first.secret, NULL, "t", false});
	CU_ASSERT_EQUAL(again.handle, 1);
	CU_ASSERT_EQUAL(w.ctl->conns->sessions, 1);
	(void)close(fd);
	world_close(&w);
}

static void
a_topic_is_made_if_asked_for_and_an_unknown_one_is_an_error_of_its_own(void)
{
	struct session s;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	s = ask(fd, (struct ask){.topic = "t"});
	CU_ASSERT_EQUAL(s.error, 0);
	CU_ASSERT_EQUAL(s.topic_error, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(s.handle, 0);
	s = ask(fd, (struct ask){.topic = "t", .create = true});
	CU_ASSERT_EQUAL(s.topic_error, 0);
	CU_ASSERT_EQUAL(s.handle, 1);
	(void)close(fd);
	world_close(&w);
}

static void
a_topic_whose_records_are_to_be_looked_at_is_for_tcp(void)
{
	struct session s;
	int fd;

	world_open(&w, NULL);
	world_topic(&w, "deep", 1)->cfg.validate = VALIDATE_DEEP;
	fd = world_connect(&w);
	s = ask(fd, (struct ask){.topic = "deep"});
	CU_ASSERT_EQUAL(s.error, 0);
	CU_ASSERT_EQUAL(s.topic_error, KIRA_E_POLICY_VIOLATION);
	CU_ASSERT_EQUAL(s.handle, 0);
	(void)close(fd);
	world_close(&w);
}

/* What is appended there, control believes: it comes from control alone, as over TCP. */
static void
a_topic_of_the_brokers_own_is_written_by_none(void)
{
	struct session s;
	int fd;

	world_open(&w, NULL);
	world_topic(&w, "own", 1)->internal = true;
	fd = world_connect(&w);
	s = ask(fd, (struct ask){.topic = "own"});
	CU_ASSERT_EQUAL(s.error, 0);
	CU_ASSERT_EQUAL(s.topic_error, KIRA_E_INVALID_TOPIC_EXCEPTION);
	CU_ASSERT_EQUAL(s.handle, 0);
	(void)close(fd);
	world_close(&w);
}

static void
the_anchor_of_a_session_may_be_idle_for_ever(void)
{
	static const char *const options[] = {"--connections-max-idle-ms", "60000", NULL};
	int anchor, idle;

	world_open(&w, options);
	(void)world_topic(&w, "t", 1);
	anchor = world_connect(&w);
	idle = world_connect(&w);
	CU_ASSERT_EQUAL(ask(anchor, (struct ask){.topic = "t"}).error, 0);
	world_pass(&w, 70 * NS_PER_S);
	world_pass(&w, 70 * NS_PER_S);
	CU_ASSERT_EQUAL_FATAL(w.ctl->conn_count, 1);
	CU_ASSERT_EQUAL(w.ctl->conns->sessions, 1);
	(void)close(anchor);
	(void)close(idle);
	world_close(&w);
}

static void
the_anchor_of_nothing_but_ended_sessions_is_idle_like_any_other(void)
{
	static const char *const options[] = {"--connections-max-idle-ms", "60000", NULL};
	int fd;

	world_open(&w, options);
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, 0);
	world_pass(&w, 70 * NS_PER_S);
	world_pass(&w, 70 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 1);
	lcores.rx_error = KIRA_E_FETCH_SESSION_ID_NOT_FOUND; /* it fell silent, or was reset */
	world_pass(&w, 70 * NS_PER_S);
	world_pass(&w, 70 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	CU_ASSERT_EQUAL(w.ctl->grants.n, 0);
	lcores.rx_error = 0;
	(void)close(fd);
	world_close(&w);
}

static void
a_foreign_address_is_granted_only_inside_produce_from(void)
{
	static const char *const options[] = {"--produce-from", "10.1.0.0/16", NULL};
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	/* By default the data port's subnet. */
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.address = "127.18.0.9"}).error, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.address = "10.1.2.3"}).error, KIRA_E_POLICY_VIOLATION);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.address = NULL}).error, 0);
	(void)close(fd);
	world_close(&w);
	world_open(&w, options);
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.address = "10.1.2.3"}).error, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.address = "10.2.0.1"}).error, KIRA_E_POLICY_VIOLATION);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.address = "127.18.0.9"}).error, KIRA_E_POLICY_VIOLATION);
	lcores.unreachable = true;
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.address = "10.1.2.3"}).error, KIRA_E_POLICY_VIOLATION);
	(void)close(fd);
	world_close(&w);
}

static void
sessions_beyond_a_limit_or_without_a_slot_are_told_to_come_back(void)
{
	static const char *const options[] = {"--sessions-per-connection", "2", NULL};
	int fd;

	world_open(&w, options);
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	(void)close(fd);
	world_run(&w);
	fd = world_connect(&w);
	lcores.rx_error = KIRA_E_THROTTLING_QUOTA_EXCEEDED;
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	CU_ASSERT_EQUAL(w.ctl->conns->sessions, 0);
	(void)close(fd);
	world_close(&w);
}

static void
a_lost_anchor_starts_the_lease_and_the_entry_goes_after_it(void)
{
	struct session s;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	s = ask(fd, (struct ask){0});
	/* An anchor may stay silent for ever. */
	world_pass(&w, 3600 * NS_PER_S);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 1);
	w.lazy = true;
	(void)close(fd);
	world_run(&w);
	CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 1);
	CU_ASSERT_EQUAL(lcores.rx[0]->kind, RX_ANCHOR_GONE);
	CU_ASSERT_EQUAL(lcores.rx[0]->session_id, s.id);
	w.lazy = false;
	world_run(&w);
	/* Within the lease another connection takes it over. */
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.id = s.id, .secret = s.secret}).error, 0);
	(void)close(fd);
	world_run(&w);
	CU_ASSERT_EQUAL(w.ctl->grants.n, 1);
	world_pass(&w, 5 * KUP_LEASE_MS * NS_PER_MS);
	CU_ASSERT_EQUAL(w.ctl->grants.n, 0);
	world_close(&w);
}

static void
sessions_without_an_anchor_do_not_count_against_their_address(void)
{
	static const char *const options[] = {"--sessions-per-address", "2", NULL};
	int fd;

	world_open(&w, options);
	for (unsigned i = 0; i < 5; i++) {
		fd = world_connect(&w);
		CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, 0);
		(void)close(fd);
		world_run(&w);
	}
	fd = world_connect(&w);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	(void)close(fd);
	world_close(&w);
}

/* It opens them one after the other on one connection, as a client may whose sessions were reset. */
static void
sessions_that_ended_do_not_count_once_a_limit_was_met(void)
{
	static const char *const options[] = {"--sessions-per-connection", "2", NULL};
	struct session s;
	int fd;

	world_open(&w, options);
	fd = world_connect(&w);
	(void)ask(fd, (struct ask){0});
	s = ask(fd, (struct ask){0});
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED); /* both live */
	CU_ASSERT_EQUAL(w.ctl->grants.n, 2);
	lcores.rx_error = KIRA_E_FETCH_SESSION_ID_NOT_FOUND; /* they ended: the client closed them */
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	CU_ASSERT_EQUAL(w.ctl->grants.n, 2); /* asked in this second already */
	world_pass(&w, NS_PER_S);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	lcores.rx_error = 0;
	CU_ASSERT_EQUAL(w.ctl->conns->sessions, 0);
	CU_ASSERT_EQUAL(w.ctl->grants.n, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){0}).error, 0);
	CU_ASSERT_EQUAL(ask(fd, (struct ask){.id = s.id, .secret = s.secret}).error,
		KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	(void)close(fd);
	world_run(&w);
	world_close(&w);
}

/* A repeat, or the end of the connection, behind the question. */
static void
a_session_may_be_asked_for_whatever_comes_meanwhile(void)
{
	static const char *const options[] = {"--sessions-per-connection", "1", NULL};
	struct session s;
	bool closed;
	int fd, other;

	for (int repeat = 0; repeat < 2; repeat++) {
		world_open(&w, options);
		fd = world_connect(&w);
		other = world_connect(&w);
		s = ask(fd, (struct ask){0});
		w.lazy = true;
		build((struct ask){0});
		world_send(&w, fd);
		CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 1);
		CU_ASSERT_EQUAL(lcores.rx[0]->kind, RX_ASK);
		CU_ASSERT_EQUAL(read_answer(world_answer(&w, fd, &closed)).error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
		if (repeat) {
			build((struct ask){.id = s.id, .secret = s.secret});
			world_send(&w, other);
		} else {
			world_reset(&w, fd);
		}
		lcores.rx_error = KIRA_E_FETCH_SESSION_ID_NOT_FOUND;
		(void)lcores_rx_turn();
		world_run(&w);
		if (repeat) {
			CU_ASSERT_EQUAL(read_answer(world_answer(&w, other, &closed)).error,
				KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
			(void)close(fd);
		}
		lcores.rx_error = 0;
		w.lazy = false;
		CU_ASSERT_EQUAL(w.ctl->grants.n, 0);
		(void)close(other);
		world_run(&w);
		world_close(&w);
	}
}

static void
a_client_that_goes_before_the_answer_leaves_a_lease_not_an_anchor(void)
{
	int fd;

	world_open(&w, NULL);
	w.lazy = true;
	fd = world_connect(&w);
	build((struct ask){0});
	world_send(&w, fd);
	CU_ASSERT_EQUAL(lcores.rx_queued, 1);
	world_reset(&w, fd);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	(void)lcores_rx_turn();
	world_run(&w);
	CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 1);
	CU_ASSERT_EQUAL(lcores.rx[0]->kind, RX_ANCHOR_GONE);
	world_close(&w);
}

static void
an_old_anchor_that_closes_during_a_repeat_starts_no_lease(void)
{
	struct session s;
	bool closed;
	int old, fd;

	world_open(&w, NULL);
	old = world_connect(&w);
	s = ask(old, (struct ask){0});
	w.lazy = true;
	fd = world_connect(&w);
	build((struct ask){.id = s.id, .secret = s.secret});
	world_send(&w, fd);
	CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 1);
	CU_ASSERT_EQUAL(lcores.rx[0]->kind, RX_REPEAT);
	(void)close(old);
	world_run(&w);
	CU_ASSERT_EQUAL(lcores.rx_queued, 1);
	(void)lcores_rx_turn();
	world_run(&w);
	CU_ASSERT_PTR_NOT_NULL(world_answer(&w, fd, &closed).p);
	CU_ASSERT_EQUAL(lcores.rx_queued, 0);
	CU_ASSERT_EQUAL(w.ctl->conns->sessions, 1);
	/* One that closes before its own repeat is answered starts it, once. */
	build((struct ask){.id = s.id, .secret = s.secret});
	world_send(&w, fd);
	world_reset(&w, fd);
	CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 2);
	CU_ASSERT_EQUAL(lcores.rx[1]->kind, RX_ANCHOR_GONE);
	(void)lcores_rx_turn();
	world_run(&w);
	CU_ASSERT_EQUAL(lcores.rx_queued, 0);
	world_close(&w);
}

/* Room appears, wherever in a turn, and another connection asks before what was kept is given. */
static void
one_comes_while_a_full_ring_keeps_another(unsigned late)
{
	int first, second;

	world_open(&w, NULL);
	w.lazy = true;
	lcores.room = 0;
	first = world_connect(&w);
	second = world_connect(&w);
	build((struct ask){0});
	world_send(&w, first);
	CU_ASSERT_EQUAL(lcores.rx_queued, 0);
	lcores.room = 64;
	lcores.late = late;
	build((struct ask){.address = "127.18.0.77"});
	world_send(&w, second);
	for (unsigned i = 0; i < late; i++)
		world_pass(&w, NS_PER_MS);
	CU_ASSERT_EQUAL_FATAL(lcores.rx_queued, 2);
	CU_ASSERT_EQUAL(lcores.rx[0]->peer.s6_addr[15], 1); /* 127.0.0.1, the first one's own */
	CU_ASSERT_EQUAL(lcores.rx[1]->peer.s6_addr[15], 77);
	(void)lcores_rx_turn();
	world_run(&w);
	(void)close(first);
	(void)close(second);
	world_close(&w);
}

static void
no_command_overtakes_those_that_a_full_ring_keeps(void)
{
	for (unsigned late = 0; late < 6; late++)
		one_comes_while_a_full_ring_keeps_another(late);
}

/* How many leases begin when it closes. */
static unsigned
leases_begun_by_closing(int fd)
{
	unsigned n = 0;

	w.lazy = true;
	(void)close(fd);
	world_run(&w);
	for (unsigned i = 0; i < lcores.rx_queued; i++)
		n += lcores.rx[i]->kind == RX_ANCHOR_GONE;
	w.lazy = false;
	world_run(&w);
	return n;
}

/* Both ways; a loop in one would not end. */
static void
look_at_lists(void)
{
	for (const struct conn *c = w.ctl->conns; c; c = c->next) {
		const struct grant *before = NULL;
		unsigned n = 0;

		for (const struct grant *g = c->anchored; g; before = g, g = g->anchored_next) {
			CU_ASSERT_PTR_EQUAL_FATAL(g->anchored_prev, before);
			n++;
		}
		CU_ASSERT_EQUAL(n, c->sessions);
	}
}

/* The anchor's list holds at every place of it: taken out of the middle, of the end, of the front. */
static void
a_session_that_moved_is_no_longer_its_old_anchors_and_the_others_are(void)
{
	struct session s[4];
	int old, fd;

	for (unsigned leaves = 0; leaves < 4; leaves++) {
		world_open(&w, NULL);
		old = world_connect(&w);
		fd = world_connect(&w);
		for (unsigned i = 0; i < 4; i++)
			s[i] = ask(old, (struct ask){0});
		look_at_lists();
		/* Two neighbours: the second meets the link that the first has left. */
		for (unsigned i = leaves; i < leaves + 2; i++) {
			const struct session *moves = &s[3 - i % 4];

			CU_ASSERT_EQUAL(ask(fd, (struct ask){.id = moves->id, .secret = moves->secret}).error, 0);
			look_at_lists();
		}
		look_at_lists();
		CU_ASSERT_EQUAL(leases_begun_by_closing(old), 2);
		CU_ASSERT_EQUAL(leases_begun_by_closing(fd), 2);
		world_close(&w);
	}
}

static void
another_version_is_answered_35_in_version_0(void)
{
	struct writer *q;
	struct reader r;
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	q = world_request(&w, API_OPEN_SESSION, 1);
	kw_i32(q, 0);
	r = world_ask(&w, fd);
	CU_ASSERT_EQUAL(read_answer(r).error, KIRA_E_UNSUPPORTED_VERSION);
	(void)close(fd);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("open", a_session_is_answered_only_when_its_lcore_has_installed_it),
	UT("open", a_repeat_needs_the_secret_and_keeps_the_handles),
	UT("open", a_topic_is_made_if_asked_for_and_an_unknown_one_is_an_error_of_its_own),
	UT("open", another_version_is_answered_35_in_version_0),
	UT("rights", a_topic_whose_records_are_to_be_looked_at_is_for_tcp),
	UT("rights", a_topic_of_the_brokers_own_is_written_by_none),
	UT("rights", the_anchor_of_a_session_may_be_idle_for_ever),
	UT("rights", the_anchor_of_nothing_but_ended_sessions_is_idle_like_any_other),
	UT("rights", a_foreign_address_is_granted_only_inside_produce_from),
	UT("rights", sessions_beyond_a_limit_or_without_a_slot_are_told_to_come_back),
	UT("anchor", a_lost_anchor_starts_the_lease_and_the_entry_goes_after_it),
	UT("rights", sessions_without_an_anchor_do_not_count_against_their_address),
	UT("rights", sessions_that_ended_do_not_count_once_a_limit_was_met),
	UT("anchor", a_session_may_be_asked_for_whatever_comes_meanwhile),
	UT("anchor", a_client_that_goes_before_the_answer_leaves_a_lease_not_an_anchor),
	UT("anchor", an_old_anchor_that_closes_during_a_repeat_starts_no_lease),
	UT("anchor", a_session_that_moved_is_no_longer_its_old_anchors_and_the_others_are),
	UT("order", no_command_overtakes_those_that_a_full_ring_keeps),
};

UT_MAIN(tests)
