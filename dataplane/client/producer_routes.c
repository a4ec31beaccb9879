/* SPDX-License-Identifier: MIT
 * producer_routes.c - how records travel: the state of the producer, routes of topics, jobs posted to
 * the set-up thread and what their results mean.
 * Thread: the I/O thread. Owns: io->state, and the job while it is not posted. Never: blocks. */
#include "dataplane/client/producer_io.h"

#define ASK_AGAIN_NS NS_PER_S /* for a topic that is missing */

/* ---- Routes -------------------------------------------------------------------------------- */

void
route_set(struct io *io, struct kira_topic *t, enum topic_route route, const char *why)
{
	pthread_mutex_lock(&io->p->lock);
	t->route = route;
	(void)snprintf(t->why, sizeof(t->why), "%.255s", why);
	if (route != ROUTE_UDP)
		(void)snprintf(io->p->why, sizeof(io->p->why), "%.255s", why);
	pthread_mutex_unlock(&io->p->lock);
	io->news = true;
}

void
route_set_rooms(struct io *io)
{
	struct kira_producer *p = io->p;
	const uint32_t asked = p->o.batch_bytes ? p->o.batch_bytes : BATCH_TCP_BYTES;
	const uint32_t dgram = io->path - KUP_DATA_BATCH;

	pthread_mutex_lock(&p->lock);
	p->batch_room = io->state == IO_TCP ? asked : MIN(asked, dgram);
	p->single_max = p->o.transport == KIRA_TRANSPORT_UDP ? dgram : BATCH_MAX_BYTES;
	pthread_mutex_unlock(&p->lock);
}

static void
route_tcp(struct io *io, const char *why)
{
	udp_recall(io);
	udp_drop(io);
	io->state = IO_TCP;
	io->udp_again_ns = CW_NEVER;
	route_set_rooms(io);
	for (unsigned i = 0; i < io->p->routed; i++)
		route_set(io, io->p->topic[i], ROUTE_TCP, why);
}

/* No UDP: TCP where that is allowed; else new topics fail, those that had UDP go on trying. */
void
route_no_udp(struct io *io, const char *why)
{
	struct kira_producer *p = io->p;

	if (p->o.transport == KIRA_TRANSPORT_AUTO) {
		route_tcp(io, why);
		return;
	}
	udp_lost(io, NS_PER_S);
	for (unsigned i = 0; i < p->routed; i++)
		if (p->topic[i]->route == ROUTE_PENDING)
			route_set(io, p->topic[i], ROUTE_FAILED, why);
}

/* Handles for the topics that a session named; a route is told once the path is known as well. */
static void
route_named(struct io *io, const struct job *job)
{
	bool missing = false;

	for (unsigned i = 0; i < job->topic_count; i++) {
		const struct ckafka_open_topic *named = &job->topics[i];
		struct kira_topic *t = job->topic[i];
		char why[256];

		t->handle = 0;
		if (named->error == KIRA_E_UNKNOWN_TOPIC_OR_PARTITION) {
			topic_missing(io, t);
			missing = true;
		}
		if (named->error == 0 && named->ack_min <= (io->p->o.acks == KIRA_ACKS_DISK ? 2 : 1)) {
			t->handle = named->handle;
			t->missing_ns = 0;
			if (io->state == IO_UDP && t->route != ROUTE_UDP)
				route_set(io, t, ROUTE_UDP, "");
			continue;
		}
		(void)snprintf(why, sizeof(why), "%s", named->error
			? kira_error_meaning(named->error)
			: "the topic's kira.ack.min is above the level asked for");
		if (io->p->o.transport == KIRA_TRANSPORT_AUTO)
			route_set(io, t, ROUTE_TCP, why);
		else if (t->route == ROUTE_PENDING)
			route_set(io, t, ROUTE_FAILED, why);
	}
	io->named += job->topic_count;
	io->repeat_at_ns = CW_NEVER;
	if (missing) {
		io->named = 0;
		io->repeat_at_ns = io->now_ns + ASK_AGAIN_NS;
	}
}

/* ---- Jobs of the set-up thread ------------------------------------------------------------- */

static void
post(struct io *io, enum job_kind kind)
{
	struct kira_producer *p = io->p;
	struct job *job = &p->job;

	memset(job, 0, sizeof(*job));
	job->kind = kind;
	job->was_kira = io->was_kira;
	job->id = (struct ckafka_producer_id){.producer_id = io->fresh_id ? -1 : p->producer_id,
		.epoch = io->fresh_id ? -1 : p->epoch};
	if (kind == JOB_OPEN) {
		unsigned from = 0;

		job->repeat = io->state == IO_UDP || io->state == IO_PROBING;
		if (job->repeat) {
			from = io->named;
			job->anchor = io->anchor;
			io->anchor = NULL;
			job->udp = io->udp;
			job->session_id = io->session.wire.id;
			job->secret = io->session.wire.secret;
		}
		for (unsigned i = from; i < p->routed; i++) {
			job->topic[job->topic_count] = p->topic[i];
			job->topics[job->topic_count++].name = p->topic[i]->name;
		}
	}
	io->job_running = true;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->job_posted);
	pthread_mutex_unlock(&p->lock);
}

static void
took_open(struct io *io, struct job *job)
{
	switch (job->verdict) {
	case OPEN_OK:
		io->was_kira = true;
		io->anchor = job->anchor;
		if (job->repeat) {
			route_named(io, job);
			return;
		}
		io->udp = job->udp;
		io->session = job->session;
		io->named = 0;
		io->reset = false;
		io->state = IO_PROBING;
		route_named(io, job);
		udp_probe_from(io, 0);
		return;
	case OPEN_NO_SESSION:
		ckafka_close(job->anchor);
		if (job->repeat)
			udp_lost(io, 0);
		else
			io->open_at_ns = io->now_ns + NS_PER_S;
		return;
	case OPEN_REFUSED:
		ckafka_close(job->anchor);
		if (job->repeat) {
			io->repeat_at_ns = io->now_ns + NS_PER_S;
			return;
		}
		cudp_close(job->udp);
		route_no_udp(io, job->err.text);
		return;
	case OPEN_BUSY:
		/* Others hold all sessions, perhaps for long: rather TCP now than UDP some time. */
		if (!job->repeat && io->p->o.transport == KIRA_TRANSPORT_AUTO) {
			ckafka_close(job->anchor);
			cudp_close(job->udp);
			route_tcp(io, job->err.text);
			io->udp_again_ns = io->now_ns + UDP_AGAIN_NS;
			return;
		}
		/* fall through */
	case OPEN_AGAIN:
	default:
		ckafka_close(job->anchor);
		producer_trouble(io, job->err.text);
		if (job->repeat) {
			io->repeat_at_ns = io->now_ns + job->retry_ms * NS_PER_MS;
		} else {
			cudp_close(job->udp);
			io->open_at_ns = io->now_ns + job->retry_ms * NS_PER_MS;
		}
	}
}

static void
took_raise(struct io *io, const struct job *job)
{
	io->raise_at_ns = io->now_ns + RETRY_MIN_NS;
	if (job->rc < 0)
		return;
	if (job->id.error == KIRA_E_INVALID_PRODUCER_EPOCH) {
		producer_fence(io);
	} else if (job->id.error == 0) {
		io->p->producer_id = job->id.producer_id;
		io->p->epoch = job->id.epoch;
		io->want_raise = io->fresh_id = false;
		io->add.epochs_raised++;
	} else if (job->id.error == KIRA_E_INVALID_REQUEST) {
		io->fresh_id = true; /* kirad on another data directory: our id was never given there */
	}
}

static void
took_tcp(struct io *io, const struct job *job)
{
	if (job->rc == 0)
		io->tcp = ctcp_open(job->fd, io->p->client_id);
	else
		producer_trouble(io, job->err.text);
	if (!io->tcp)
		io->tcp_at_ns = io->now_ns + 2 * RETRY_MIN_NS;
}

void
route_take_job(struct io *io)
{
	struct job *job = &io->p->job;
	bool done;

	if (!io->job_running)
		return;
	pthread_mutex_lock(&io->p->lock);
	done = job->done;
	pthread_mutex_unlock(&io->p->lock);
	if (!done)
		return;
	io->job_running = false;
	if (job->kind == JOB_OPEN)
		took_open(io, job);
	else if (job->kind == JOB_RAISE)
		took_raise(io, job);
	else if (job->kind == JOB_TCP)
		took_tcp(io, job);
}

static bool
repeat_due(struct io *io)
{
	if (io->state != IO_UDP && io->state != IO_PROBING)
		return false;
	if (io->named < io->p->routed && (io->repeat_at_ns == CW_NEVER || io->now_ns >= io->repeat_at_ns))
		return true;
	if (!io->anchor && io->repeat_at_ns == CW_NEVER)
		io->repeat_at_ns = io->now_ns;
	/* "Do you live?", each second while probes go unanswered. */
	if (io->state == IO_UDP && io->window.rtt.probes >= KUP_PROBES && io->repeat_at_ns == CW_NEVER)
		io->repeat_at_ns = io->now_ns + NS_PER_S;
	return io->now_ns >= io->repeat_at_ns;
}

void
route_turn(struct io *io)
{
	struct kira_producer *p = io->p;

	route_take_job(io);
	if (io->state == IO_START && p->routed > 0) {
		if (p->o.transport == KIRA_TRANSPORT_TCP) {
			io->state = IO_TCP;
			route_set_rooms(io);
			io->udp_again_ns = CW_NEVER;
		} else {
			io->state = IO_OPENING;
			io->open_at_ns = io->now_ns;
		}
	}
	if (io->state == IO_TCP) {
		char why[sizeof(p->why)];

		memcpy(why, p->why, sizeof(why)); /* only this thread writes it */
		for (unsigned i = 0; i < p->routed; i++)
			if (p->topic[i]->route == ROUTE_PENDING)
				route_set(io, p->topic[i], ROUTE_TCP, why);
		if (io->now_ns >= io->udp_again_ns && (!io->tcp || ctcp_in_flight(io->tcp) == 0)) {
			io->state = IO_OPENING;
			io->open_at_ns = io->now_ns;
		}
	}
	if (io->job_running)
		return;
	if (io->state == IO_OPENING && io->now_ns >= io->open_at_ns && p->routed > 0)
		post(io, JOB_OPEN);
	else if (repeat_due(io))
		post(io, JOB_OPEN);
	else if (io->want_tcp && !io->tcp && io->now_ns >= io->tcp_at_ns)
		post(io, JOB_TCP);
	else if (io->want_raise && io->now_ns >= io->raise_at_ns)
		post(io, JOB_RAISE);
}
