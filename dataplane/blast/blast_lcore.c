/* SPDX-License-Identifier: MIT
 * blast_lcore.c - the loop: receive, retransmit, generate, send; once in a while look after the
 * broker. Thread: main, pinned, the only lcore. Owns: the order of a turn, what limited the run.
 * Never: allocates per packet; spins while the port is full or the schedule is ahead: on two CPUs
 * kirad's control and flush threads share this one, and the source yields. */
#include "dataplane/blast/blast_lcore.h"

#include "base/clock.h"
#include "dataplane/blast/blast_port.h"
#include "dataplane/blast/blast_reach.h"
#include "dataplane/eal.h"

#include <kira/errors.h>

#include <errno.h>
#include <inttypes.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define PER_SESSION     16    /* frames of one session before the next one's turn */
#define GOODBYE_NS      (200 * NS_PER_MS) /* for CLOSE and the RESETs that answer it */
#define LOOK_NS         (10 * NS_PER_MS) /* between looks at link, anchors and probes */
/* A round trip on an idle host takes some 20 us: who waits ten times that waits for a disk or for its
 * schedule, and a nap (which makes an ack look this much later at most) costs nothing. */
#define PATIENT_NS      (200 * NS_PER_US)
#define NAP_NS          20000 /* and the 1 us of timer slack asked for */

static _Atomic int stop_asked; /* lock-free, so a signal handler may write it */

static void
on_signal(int sig)
{
	(void)sig;
	stop_asked = 1;
}

bool
blast_stop_asked(void)
{
	return stop_asked != 0;
}

/* ---- Out --------------------------------------------------------------------------------- */

/* Those that are due with the honest frame just sent; a full port puts them off. */
static void
send_hostile(struct blast *b, uint64_t now_ns)
{
	while (hostile_due(&b->hostile) && !port_full(b) && port_spares(b))
		port_plain_surely(b, hostile_frame(&b->hostile, now_ns,
			rte_pktmbuf_mtod(b->spare_plain, uint8_t *)));
}

/* One session's share of a turn; false: it has nothing more to send now. */
static bool
send_some(struct blast *b, struct blast_session *s, uint64_t now_ns)
{
	for (unsigned i = 0; i < PER_SESSION; i++) {
		enum session_step step;
		uint32_t bytes;

		if (b->hostile.per_honest > 0)
			send_hostile(b, now_ns);
		if (port_full(b) || !port_spares(b))
			return true;
		step = session_step(s, now_ns, rte_pktmbuf_mtod(b->spare_data, uint8_t *),
			rte_pktmbuf_mtod(b->spare_plain, uint8_t *), &bytes);
		if (step == SESSION_NOTHING)
			return false;
		if (step == SESSION_PLAIN) {
			port_plain(b, bytes, now_ns);
			continue;
		}
		if (b->hostile.per_honest > 0)
			hostile_honest(&b->hostile, rte_pktmbuf_mtod(b->spare_data, uint8_t *), bytes);
		port_data(b, bytes, now_ns);
	}
	return true;
}

static void
send_all(struct blast *b, uint64_t now_ns)
{
	unsigned idle = 0;

	while (!port_full(b) && port_spares(b) && idle < b->sessions) {
		struct blast_session *s = &b->session[b->next_session];

		idle = send_some(b, s, now_ns) ? 0 : idle + 1;
		/* Cut short by a full port: it goes on with the same session. */
		if (!port_full(b))
			b->next_session = b->next_session + 1 == b->sessions ? 0 : b->next_session + 1;
	}
}

/* ---- The turn ---------------------------------------------------------------------------- */

static enum blast_limit
what_limits(const struct blast *b)
{
	unsigned n[3] = {0};

	for (unsigned i = 0; i < b->sessions; i++)
		n[session_why(&b->session[i])]++;
	/* Without a rate the schedule holds nothing back: what looks like it waits for outcomes. */
	if (b->o->rate && n[WAIT_SCHEDULE] > 0)
		return LIMIT_SCHEDULE;
	return n[WAIT_CREDIT] >= n[WAIT_WINDOW] ? LIMIT_CREDIT : LIMIT_WINDOW;
}

/* One bounded pass. Returns the work done; *limit says what kept it from doing more. */
static unsigned
turn(struct blast *b, uint64_t now_ns, enum blast_limit *limit)
{
	unsigned work = port_receive(b, now_ns);
	const uint64_t frames = b->out_frames;

	if (inject_active(&b->out))
		port_release_late(b, now_ns);
	send_all(b, now_ns);
	*limit = port_full(b) ? LIMIT_GENERATOR : what_limits(b);
	if (!port_flush(b))
		*limit = LIMIT_PORT;
	work += (unsigned)(b->out_frames - frames);
	return work;
}

static bool
all_idle(const struct blast *b)
{
	for (unsigned i = 0; i < b->sessions; i++)
		if (!session_idle(&b->session[i]))
			return false;
	return true;
}

/* Nothing was acked for --give-up-after: the likeliest reason, in the broker's words if it has any. */
static void
why_silent(const struct blast *b, struct err *err)
{
	const struct blast_run *run = &b->run;
	bool credit = false;

	for (unsigned i = 0; i < b->sessions; i++)
		credit |= session_why(&b->session[i]) == WAIT_CREDIT;
	if (b->reason.text[0])
		err_set(err, "%s", b->reason.text);
	else if (run->refusal)
		err_set(err, "the broker answers %d %s: %s", run->refusal,
			kira_error_name(run->refusal), kira_error_meaning(run->refusal));
	else if (b->nic.dev && !nic_link(&b->nic))
		err_set(err, "no link on %s: kirad is gone", b->o->device);
	else if (clock_now_ns() - run->count.heard_ns < NS_PER_S && credit)
		err_set(err, "the broker answers but grants no credit: its storage waits (disk full or "
			"stalled? `kira stat`, df)");
	else if (clock_now_ns() - run->count.heard_ns < NS_PER_S)
		err_set(err, "the broker answers but acks nothing: see `kira stat`");
	else
		err_set(err, "datagrams go out, nothing comes back: `kira stat` names what it drops");
	err_prefix(err, "no ack for %.1f s: ", b->o->give_up_after);
}

static void
progress(const struct blast *b, uint64_t now_ns, uint64_t *was_acked, uint64_t *was_bytes)
{
	const struct blast_count *c = &b->run.count;
	const double s = (double)(now_ns - b->run.schedule.start_ns) / 1e9;

	fprintf(stderr, "  %5.1f s  %9" PRIu64 " records/s  %7.1f MB/s  acked %" PRIu64 "%s\n", s,
		c->records_acked - *was_acked, (double)(c->bytes_acked - *was_bytes) / 1e6,
		c->records_acked, nic_link(&b->nic) ? "" : "  no link");
	*was_acked = c->records_acked;
	*was_bytes = c->bytes_acked;
}

/* What no datagram tells: link, anchors, sessions that were ended. 1: the broker was away. */
static int
look_after(struct blast *b, uint64_t now_ns, uint64_t heard_ns, uint64_t *asked_ns, struct err *err)
{
	int rc;

	eal_log_drain();
	if (nic_link(&b->nic) && !broker_gone(&b->broker) && reach_sessions(b, now_ns, asked_ns))
		return 0;
	rc = reach_again(b, heard_ns);
	if (rc == -ETIMEDOUT)
		why_silent(b, err);
	return rc < 0 ? rc : 1;
}

/* Nothing came and nothing may go: kirad's flush thread may want this very CPU to make room. Yielding
 * alone would still take half of it. */
static void
give_way(const struct blast *b, uint64_t now_ns, uint64_t worked_ns)
{
	const struct schedule *s = &b->run.schedule;

	/* A batch that falls due soon is not slept over. */
	if (now_ns - worked_ns < PATIENT_NS || (s->rate && !schedule_over(s, now_ns)
			&& schedule_due(s) < now_ns + PATIENT_NS && schedule_due(s) > now_ns))
		(void)sched_yield();
	else
		(void)nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

/* Until all is sent and at its level (0), or the reason why it never will be. */
static int
loop(struct blast *b, struct err *err)
{
	struct blast_run *run = &b->run;
	uint64_t last = clock_now_ns(), heard = last, looked = last, asked = last, told = last;
	uint64_t was_acked = 0, was_bytes = 0, acked_at = 0, worked = last;
	int rc;

	for (;;) {
		const uint64_t now = clock_now_ns();
		enum blast_limit limit;
		unsigned work;

		b->gap_max_ns = MAX(b->gap_max_ns, now - last);
		if (blast_stop_asked())
			run->schedule.stop_ns = MIN(run->schedule.stop_ns, now);
		work = turn(b, now, &limit);
		if (!schedule_over(&run->schedule, now))
			b->limit_ns[limit] += now - last;
		last = now;
		if (run->count.last_acked_ns != acked_at || (limit == LIMIT_SCHEDULE && all_idle(b))) {
			acked_at = run->count.last_acked_ns;
			heard = now;
		}
		if (run->fatal) {
			err_set(err, "the broker refuses for good, %d %s: %s", run->fatal,
				kira_error_name(run->fatal), kira_error_meaning(run->fatal));
			return -EIO;
		}
		if (schedule_over(&run->schedule, now) && all_idle(b))
			return 0;
		if (now - heard > blast_give_up_ns(b)) {
			why_silent(b, err);
			return -ETIMEDOUT;
		}
		if (b->o->progress && now - told >= NS_PER_S) {
			told = now;
			progress(b, now, &was_acked, &was_bytes);
		}
		if (now - looked >= LOOK_NS) {
			looked = now;
			rc = look_after(b, now, heard, &asked, err);
			if (rc < 0)
				return rc == -EINTR ? 0 : rc;
			if (rc > 0)
				last = looked = clock_now_ns();
		}
		if (work > 0)
			worked = now;
		if (work == 0 || limit == LIMIT_PORT)
			give_way(b, now, worked);
	}
}

static bool
all_closed(const struct blast *b)
{
	for (unsigned i = 0; i < b->broker.sessions; i++)
		if (!b->session[i].lost)
			return false;
	return true;
}

static void
say_goodbye(struct blast *b)
{
	const uint64_t now = clock_now_ns();
	unsigned said = 0;

	/* Until the last answer is here, so that what the broker said and what was heard are the same. */
	while (nic_link(&b->nic) && clock_now_ns() - now < GOODBYE_NS) {
		for (; said < b->broker.sessions && !port_full(b) && port_spares(b); said++)
			port_plain_surely(b, session_close_frame(&b->session[said],
				rte_pktmbuf_mtod(b->spare_plain, uint8_t *)));
		if (port_flush(b) && all_closed(b))
			break;
		if (port_receive(b, now) == 0)
			(void)sched_yield();
	}
	broker_disconnect(&b->broker);
}

static uint64_t
cpu_ns(void)
{
	struct rusage use;

	(void)getrusage(RUSAGE_THREAD, &use);
	return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * NS_PER_S
		+ (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * NS_PER_US;
}

int
blast_run(struct blast *b, struct err *err)
{
	struct sigaction sa = {.sa_handler = on_signal};
	uint64_t cpu;
	int rc;

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
	rc = reach_first(b, err);
	if (rc < 0)
		return rc;
	b->run.wall_ms = clock_wall_ms();
	b->run.schedule.start_ns = clock_now_ns();
	b->run.schedule.stop_ns = b->run.schedule.start_ns + (uint64_t)(b->o->seconds * 1e9);
	cpu = cpu_ns();
	rc = loop(b, err);
	b->cpu_share = (double)(cpu_ns() - cpu)
		/ (double)MAX(clock_now_ns() - b->run.schedule.start_ns, (uint64_t)1);
	say_goodbye(b);
	return rc;
}
