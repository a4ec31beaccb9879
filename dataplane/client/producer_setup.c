/* SPDX-License-Identifier: MIT
 * producer_setup.c - the requests that may block: open or repeat a session, connect for Produce,
 * raise the epoch. Thread: the set-up thread, one job at a time, so that the I/O thread never waits
 * for a broker that does not answer. Owns: the job between posted and done. Never: touches a batch. */
#include "dataplane/client/producer_private.h"

#include "base/clock.h"
#include "dataplane/client/client_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#define RETRY_MS 200 /* between attempts to reach a broker that is away */

static void
address_bytes(const struct sockaddr_storage *a, struct ckafka_open *o)
{
	if (a->ss_family == AF_INET6) {
		memcpy(o->udp_address, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
		o->udp_address_length = 16;
	} else {
		memcpy(o->udp_address, &((const struct sockaddr_in *)a)->sin_addr, 4);
		o->udp_address_length = 4;
	}
}

static bool
same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
			       &((const struct sockaddr_in6 *)b)->sin6_addr, 16) == 0;
	return ((const struct sockaddr_in *)a)->sin_addr.s_addr
		== ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

static int
reach(struct kira_producer *p, struct job *job)
{
	return ckafka_connect(&job->anchor, p->bootstrap, p->client_id,
		clock_now_ns() + CONNECT_MS * NS_PER_MS, p->stop_fd, &job->err);
}

/* One OpenSession on the anchor. True: answered, whatever the answer. */
static bool
ask(struct kira_producer *p, struct job *job, struct ckafka_open *o)
{
	job->rc = ckafka_open_session(job->anchor, o, &job->session,
		clock_now_ns() + CONNECT_MS * NS_PER_MS, &job->err);
	if (job->rc < 0) {
		ckafka_close(job->anchor);
		job->anchor = NULL;
	}
	return job->rc == 0;
}

static void
judge(struct job *job)
{
	const struct ckafka_session *s = &job->session;

	switch (s->error) {
	case 0:
		job->verdict = OPEN_OK;
		break;
	case KIRA_E_FETCH_SESSION_ID_NOT_FOUND:
		job->verdict = OPEN_NO_SESSION;
		break;
	case KIRA_E_THROTTLING_QUOTA_EXCEEDED:
		job->verdict = OPEN_BUSY;
		job->retry_ms = CLAMP(s->throttle_ms, 10u, 10000u);
		err_set(&job->err, "the broker has no session free now");
		break;
	default:
		job->verdict = OPEN_REFUSED;
		err_set(&job->err, "the broker refuses a UDP session: %s: %s",
			kira_error_name(s->error),
			s->message[0] ? s->message : kira_error_meaning(s->error));
	}
}

static void
unreachable(struct job *job)
{
	job->verdict = OPEN_AGAIN;
	job->retry_ms = RETRY_MS;
}

/* The session is there: connect the socket; where the kernel would send from another address than
 * the one granted, move the session there. */
static void
settle_address(struct kira_producer *p, struct job *job, struct ckafka_open *o,
	const struct sockaddr_storage *local)
{
	struct sockaddr_storage peer, source;
	socklen_t length;
	char text[300];

	(void)snprintf(text, sizeof(text), strchr(job->session.udp_host, ':') ? "[%s]:%u" : "%s:%u",
		job->session.udp_host, job->session.udp_port);
	job->rc = client_resolve(text, job->session.udp_port, clock_now_ns() + CONNECT_MS * NS_PER_MS,
		p->stop_fd, &peer, &length, &job->err);
	if (job->rc < 0)
		goto refused;
	if (p->udp_address[0] == '\0' && cudp_source(&peer, length, &source) == 0
			&& !same_address(&source, local)) {
		socklen_t n = source.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
							   : sizeof(struct sockaddr_in);

		cudp_close(job->udp);
		job->udp = NULL;
		job->rc = cudp_open(&job->udp, &source, n, &job->err);
		if (job->rc < 0)
			goto refused;
		address_bytes(&source, o);
		o->udp_port = cudp_port(job->udp);
		o->session_id = job->session.wire.id;
		o->secret = job->session.wire.secret;
		if (!ask(p, job, o)) {
			unreachable(job);
			return;
		}
		judge(job);
		if (job->verdict != OPEN_OK) {
			err_prefix(&job->err, "datagrams would leave from another address than this "
					      "connection's; --udp-address? ");
			job->verdict = OPEN_REFUSED;
			return;
		}
	}
	job->rc = cudp_connect(job->udp, &peer, length, &job->err);
	if (job->rc == 0)
		return;
refused:
	job->verdict = OPEN_REFUSED;
}

static int
local_address(struct kira_producer *p, struct job *job, struct sockaddr_storage *ret, socklen_t *n)
{
	if (p->udp_address[0] != '\0')
		return client_resolve(p->udp_address, 0, clock_now_ns() + CONNECT_MS * NS_PER_MS,
			p->stop_fd, ret, n, &job->err);
	*n = sizeof(*ret);
	if (getsockname(ckafka_fd(job->anchor), (struct sockaddr *)ret, n) < 0)
		return err_sys(&job->err, -errno, "our own address");
	return 0;
}

static void
fill(struct kira_producer *p, struct job *job, struct ckafka_open *o)
{
	*o = (struct ckafka_open){
		.max_dgram = KUP_DGRAM_MAX,
		.want_window = (uint16_t)p->o.window,
		.capabilities = KUP_CAP_WANT_OFFSETS
			| (p->o.acks == KIRA_ACKS_DISK ? KUP_CAP_WANT_DISK : 0),
		.topics = job->topics,
		.topic_count = job->topic_count,
	};
}

static void
open_new(struct kira_producer *p, struct job *job)
{
	struct sockaddr_storage local;
	struct ckafka_open o;
	socklen_t n;

	if (reach(p, job) < 0) {
		unreachable(job);
		return;
	}
	fill(p, job, &o);
	job->rc = local_address(p, job, &local, &n);
	if (job->rc == 0)
		job->rc = cudp_open(&job->udp, &local, n, &job->err);
	if (job->rc < 0) {
		job->verdict = OPEN_REFUSED;
		return;
	}
	if (p->udp_address[0] != '\0')
		address_bytes(&local, &o);
	o.udp_port = cudp_port(job->udp);
	if (!ask(p, job, &o)) {
		/* A Kafka broker closes on a request it does not know; so does a kirad that is being
		 * killed: ask once more before believing the first. */
		if (job->rc != -ECONNRESET || job->was_kira || reach(p, job) < 0) {
			unreachable(job);
		} else if (!ask(p, job, &o)) {
			job->verdict = job->rc == -ECONNRESET ? OPEN_REFUSED : OPEN_AGAIN;
			job->retry_ms = RETRY_MS;
			if (job->verdict == OPEN_REFUSED)
				err_set(&job->err, "%s closes on OpenSession: it is a Kafka broker "
						   "without Kira's UDP protocol", p->bootstrap);
		} else {
			judge(job);
		}
	} else {
		judge(job);
	}
	if (job->verdict == OPEN_OK)
		settle_address(p, job, &o, &local);
}

/* On the anchor that lives, else on a new one. The socket stays. */
static void
open_repeat(struct kira_producer *p, struct job *job)
{
	struct sockaddr_storage udp, tcp;
	socklen_t n = sizeof(udp), m = sizeof(tcp);
	struct ckafka_open o;

	if (!job->anchor && reach(p, job) < 0) {
		unreachable(job);
		return;
	}
	fill(p, job, &o);
	o.session_id = job->session_id;
	o.secret = job->secret;
	/* The binding stays what the socket is; named only where it is not the connection's, which a
	 * NAT may have changed on the way. */
	if (getsockname(cudp_fd(job->udp), (struct sockaddr *)&udp, &n) == 0
			&& getsockname(ckafka_fd(job->anchor), (struct sockaddr *)&tcp, &m) == 0
			&& !same_address(&udp, &tcp))
		address_bytes(&udp, &o);
	o.udp_port = cudp_port(job->udp);
	if (!ask(p, job, &o))
		unreachable(job);
	else
		judge(job);
}

static void
raise_epoch(struct kira_producer *p, struct job *job)
{
	struct ckafka *k;
	const uint64_t deadline = clock_now_ns() + CONNECT_MS * NS_PER_MS;

	job->rc = ckafka_connect(&k, p->bootstrap, p->client_id, deadline, p->stop_fd, &job->err);
	if (job->rc < 0)
		return;
	job->rc = ckafka_init_producer_id(k, &job->id, deadline, &job->err);
	ckafka_close(k);
}

static void
connect_tcp(struct kira_producer *p, struct job *job)
{
	struct ckafka *k;

	job->fd = -1;
	job->rc = ckafka_connect(&k, p->bootstrap, p->client_id,
		clock_now_ns() + CONNECT_MS * NS_PER_MS, p->stop_fd, &job->err);
	if (job->rc == 0)
		job->fd = ckafka_release(k);
}

void *
setup_thread(void *arg)
{
	struct kira_producer *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct job *job = &p->job;

		while (!p->setup_stopping && (job->kind == JOB_NONE || job->done))
			pthread_cond_wait(&p->job_posted, &p->lock);
		if (p->setup_stopping)
			break;
		pthread_mutex_unlock(&p->lock);
		switch (job->kind) {
		case JOB_OPEN:
			if (job->repeat)
				open_repeat(p, job);
			else
				open_new(p, job);
			break;
		case JOB_TCP:
			connect_tcp(p, job);
			break;
		case JOB_RAISE:
			raise_epoch(p, job);
			break;
		case JOB_NONE:
			break;
		}
		pthread_mutex_lock(&p->lock);
		job->done = true;
		io_wake(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}
