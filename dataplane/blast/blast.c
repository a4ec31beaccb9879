/* SPDX-License-Identifier: MIT
 * blast.c - kira-blast: load generator and ack-latency meter that speaks Kira's produce protocol
 * from one DPDK lcore, then reads the topic back as an ordinary consumer.
 * Thread: main. Owns: the order of things: topic, where it ends, run, read back, report. */
#include "dataplane/blast/blast_lcore.h"
#include "dataplane/blast/blast_options.h"
#include "dataplane/blast/blast_port.h"
#include "dataplane/blast/blast_report.h"
#include "dataplane/blast/blast_verify.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_BAD    1  /* lost, doubled, out of order, or no acks */
#define EXIT_CANNOT 2  /* usage, device, broker */
#define PARTITIONS_NEW 8
#define CPU_SHARE_OWN 0.9 /* below it the CPU was not the generator's own */
/* The kernel's own ports begin at 32768; sessions take one each from here. */
#define FROM_PORT   20000

struct topic {
	int32_t partitions;
	int64_t *from;  /* where each partition ended before the run */
	int64_t *to;
};

static void
say(const struct blast_options *o, const char *text)
{
	if (o->progress)
		fprintf(stderr, "%s\n", text);
}

/* Make the topic if need be, and note where it ends: what follows is this run's. */
static int
topic_before(const struct blast_options *o, struct topic *t, struct err *err)
{
	const int32_t create = o->verify_only ? 0 :
		o->partitions ? (int32_t)o->partitions : PARTITIONS_NEW;
	struct verify *v;
	int32_t have = 0;
	int rc;

	rc = verify_open(&v, o->bootstrap, o->topic, err);
	if (rc < 0)
		return rc;
	rc = verify_partitions(v, create, &have, err);
	if (rc == 0 && o->partitions > (uint64_t)have) {
		err_set(err, "topic %s has %d partitions: --partitions %d at most", o->topic, have, have);
		rc = -EINVAL;
	}
	if (rc == 0) {
		t->partitions = o->partitions ? (int32_t)o->partitions : have;
		t->from = calloc((size_t)t->partitions, sizeof(*t->from));
		t->to = calloc((size_t)t->partitions, sizeof(*t->to));
		rc = t->from && t->to ? verify_offsets(v, t->partitions, o->verify_only, t->from, err)
				      : err_sys(err, -ENOMEM, "topic %s", o->topic);
	}
	verify_close(v);
	return rc;
}

struct missing {
	const struct tally *tally;
	uint64_t records; /* of unfinished batches and not there: nobody promised them */
	uint32_t per_batch;
};

static void
missing_unfinished(void *arg, const struct blast_session *s, const struct session_batch *b)
{
	struct missing *m = arg;

	m->records += tally_missing(m->tally, (uint32_t)s->producer_id & 0xffffffu, b->partition,
		b->number, b->number + m->per_batch);
}

/* Acked and not there: all that was sent, less what is there, less what was never acked. */
static uint64_t
count_lost(const struct blast *b, const struct tally *tally)
{
	struct missing m = {.tally = tally, .per_batch = b->frame.records};
	uint64_t lost = 0;

	for (unsigned i = 0; i < b->sessions; i++) {
		const struct blast_session *s = &b->session[i];

		for (int32_t p = 0; p < b->run.partitions; p++)
			if (s->next_number[p])
				lost += tally_missing(tally, (uint32_t)s->producer_id & 0xffffffu, p, 0,
					s->next_number[p]);
		(void)session_unfinished(s, missing_unfinished, &m);
	}
	return lost - m.records;
}

/* `b` NULL: only the topic is known, and a hole below its highest number is a loss. */
static int
read_back(const struct blast_options *o, struct topic *t, const struct blast *b,
	struct blast_report *r, struct err *err)
{
	struct verify_result got = {0};
	struct verify *v = NULL;
	struct tally tally;
	int rc;

	say(o, "reading the topic back ..");
	rc = tally_init(&tally);
	if (rc == 0)
		rc = verify_open(&v, o->bootstrap, o->topic, err);
	if (rc == 0)
		rc = verify_offsets(v, t->partitions, false, t->to, err);
	if (rc == 0)
		rc = verify_read(v, t->partitions, t->from, t->to, &tally, o->progress, &got, err);
	verify_close(v);
	r->crc_errors = got.crc_errors;
	if (rc == 0) {
		r->verified = true;
		r->records_read = got.records;
		r->read_seconds = got.seconds;
		r->offset_gaps = got.gaps;
		r->records_duplicated = tally.doubled;
		r->records_reordered = tally.reordered;
		r->records_lost = b ? count_lost(b, &tally) : tally_holes(&tally);
	}
	tally_free(&tally);
	return rc;
}

static const char *
limit_text(const struct blast *b)
{
	static char shared[160];
	static const char *const text[LIMITS] = {
		[LIMIT_GENERATOR] = "the generator: it sent whatever was allowed, all the time",
		[LIMIT_PORT] = "the port: the broker's rx lcore does not empty it faster",
		[LIMIT_CREDIT] = "the broker's credit: its storage lcore, or the disk behind it",
		[LIMIT_WINDOW] = "the acks: what the sessions' windows allow was in flight",
		[LIMIT_SCHEDULE] = "the schedule: --rate, or a limit of records or bytes",
	};
	unsigned most = 0;

	for (unsigned i = 1; i < LIMITS; i++)
		if (b->limit_ns[i] > b->limit_ns[most])
			most = i;
	/* It yields whenever there is nothing to do, so a low share alone says nothing. */
	if (most == LIMIT_GENERATOR && b->cpu_share < CPU_SHARE_OWN) {
		(void)snprintf(shared, sizeof(shared), "the generator's CPU: others run on it too "
			"(on 2 CPUs kirad's control and flush), it got %.0f %% of the time",
			b->cpu_share * 100);
		return shared;
	}
	return text[most];
}

static void
report_run(const struct blast *b, struct blast_report *r)
{
	const struct blast_run *run = &b->run;
	const struct blast_count *c = &run->count;

	r->records_sent = c->records_sent;
	r->records_acked = c->records_acked;
	r->bytes = c->bytes_acked;
	r->seconds = c->last_acked_ns > c->first_sent_ns
		? (double)(c->last_acked_ns - c->first_sent_ns) / 1e9 : 0;
	r->injected_lost = b->out.lost + b->in.lost;
	r->injected_duplicated = b->out.doubled + b->in.doubled;
	r->injected_reordered = b->out.reordered + b->in.reordered;
	r->latency = run->ack_ns.n > 0;
	r->ack_p50_us = (double)hist_quantile(&run->ack_ns, 0.5) / 1e3;
	r->ack_p99_us = (double)hist_quantile(&run->ack_ns, 0.99) / 1e3;
	r->ack_p999_us = (double)hist_quantile(&run->ack_ns, 0.999) / 1e3;
	r->ack_max_us = (double)run->ack_ns.max / 1e3;
	r->limited_by = limit_text(b);
	r->broker_losses = c->broker_losses;
	r->losses_under_load = c->losses_under_load;
	r->in_flight_at_loss = c->in_flight_at_loss;
	r->acked_shortly_before_loss = c->acked_shortly_before_loss;
	r->sent_again = c->sent_again;
	r->known_already = c->known_already;
	r->refused = c->refused;
	r->cpu_share = b->cpu_share;
	r->gap_max_us = (double)b->gap_max_ns / 1e3;
	r->out_frames = b->out_frames;
	r->answer_bytes = b->answer_bytes;
	r->arp_bytes = b->arp_bytes;
	r->unclaimed_bytes = b->unclaimed_bytes;
	r->ignored = b->ignored;
	r->hostile = b->o->hostile > 0 ? &b->hostile : NULL;
	r->greedy_sessions = b->broker.greedy_sessions;
	r->exhausted = b->broker.exhausted;
	r->session_records_min = UINT64_MAX;
	for (unsigned i = 0; i < b->sessions; i++) {
		const uint64_t acked = b->session[i].batches_done * b->frame.records;

		r->session_records_min = MIN(r->session_records_min, acked);
		r->session_records_max = MAX(r->session_records_max, acked);
	}
}

static int
set_up(struct blast *b, const struct blast_options *o, const struct topic *t, struct err *err)
{
	uint64_t batches = 0;
	int rc;

	b->o = o;
	rc = frame_template_build(&b->frame, (uint32_t)o->record_bytes, (uint32_t)o->batch_bytes, err);
	if (rc < 0)
		return rc;
	if (o->max_records)
		batches = MAX(o->max_records / b->frame.records, (uint64_t)1);
	if (o->max_bytes && (!batches || o->max_bytes / b->frame.batch_bytes < batches))
		batches = MAX(o->max_bytes / b->frame.batch_bytes, (uint64_t)1);
	b->run.frame = &b->frame;
	b->run.acks = o->acks;
	b->run.partitions = t->partitions;
	b->run.session_partitions = o->session_partitions && o->session_partitions < (uint64_t)t->partitions
		? (int32_t)o->session_partitions : t->partitions;
	b->run.schedule.rate = o->rate;
	b->run.schedule.batch_records = b->frame.records;
	b->run.schedule.batches_max = batches;
	b->sessions = (unsigned)o->sessions;
	b->broker.sessions = b->sessions + (o->hostile > 0);
	b->session = calloc(b->sessions + 1, sizeof(*b->session));
	if (!b->session)
		return err_sys(err, -ENOMEM, "memory for the sessions");
	for (unsigned i = 0; i < b->broker.sessions; i++) {
		rc = session_init(&b->session[i], &b->run, (uint16_t)(FROM_PORT + i), err);
		if (rc < 0)
			return rc;
	}
	b->broker.bootstrap = o->bootstrap;
	b->broker.topic = o->topic;
	b->broker.session = b->session;
	return hostile_init(&b->hostile, o->hostile, b->session, b->sessions, &b->frame, o->seed + 2, err);
}

/* Returns the exit status; *err is filled where it is not 0 for a reason beyond the counts. */
static int
blast(const struct blast_options *o, struct topic *t, struct blast_report *r, struct err *err)
{
	struct blast *b = calloc(1, sizeof(*b));
	struct err late = {""};
	cpu_set_t cpus;
	int rc, status = 0;

	if (!b || set_up(b, o, t, err) < 0)
		return EXIT_CANNOT;
	(void)sched_getaffinity(0, sizeof(cpus), &cpus);
	say(o, "starting DPDK ..");
	if (blast_port_open(b, err) < 0)
		return EXIT_CANNOT;
	rc = blast_run(b, err);
	if (rc < 0)
		status = b->run.count.records_sent == 0 && b->broker.error == 0 ? EXIT_CANNOT : EXIT_BAD;
	blast_port_close(b);
	/* EAL pinned this thread; the consumer below may use every CPU again. */
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
	report_run(b, r);
	/* A broker that does not answer would not give the topic either. */
	if (o->verify && rc != -ETIMEDOUT && b->run.count.records_sent > 0
			&& read_back(o, t, b, r, &late) < 0) {
		if (status == 0)
			*err = late;
		status = EXIT_BAD;
	}
	for (unsigned i = 0; i < b->broker.sessions; i++)
		session_free(&b->session[i]);
	hostile_free(&b->hostile);
	free(b->session);
	free(b);
	return status;
}

int
main(int argc, char **argv)
{
	struct blast_options o;
	struct err err = {""};
	struct topic topic = {0};
	struct blast_report report = {.acks = NULL};
	int status;

	switch (blast_options_parse(&o, argc, argv, &err)) {
	case BLAST_DONE:
		return 0;
	case BLAST_USAGE:
		fprintf(stderr, "kira-blast: %s\n", err.text);
		return EXIT_CANNOT;
	case BLAST_GO:
		break;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	o.progress |= isatty(STDERR_FILENO) == 1;
	report.acks = o.acks_name;
	if (topic_before(&o, &topic, &err) < 0) {
		fprintf(stderr, "kira-blast: %s\n", err.text);
		return EXIT_CANNOT;
	}
	if (o.verify_only)
		status = read_back(&o, &topic, NULL, &report, &err) < 0 ? EXIT_BAD : 0;
	else
		status = blast(&o, &topic, &report, &err);
	if (err.text[0]) {
		fprintf(stderr, "kira-blast: %s\n", err.text);
		report.error = err.text;
	}
	if (status == 0 && !report_good(&report))
		status = EXIT_BAD;
	if (o.json)
		report_json(stdout, &report);
	else
		report_text(stdout, &report);
	free(topic.from);
	free(topic.to);
	return status;
}
