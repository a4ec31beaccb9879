/* SPDX-License-Identifier: MIT
 * start.c - from options to a kirad that serves, and back: what is opened in which order, and why.
 * Thread: main; for a while one that recovers beside it. Owns: struct parts. */
#include "control/start.h"

#include "control/conn.h"
#include "control/cores.h"
#include "control/flush_bell.h"
#include "control/groups/group_serve.h"
#include "control/groups/group_topic.h"
#include "control/kafka/serve.h"
#include "control/log.h"
#include "control/stop_watch.h"

#include "base/bits.h"
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_JOBS       5 /* one of them for room ahead of tails, four for syncs */
#define PORT_PATIENCE_NS (2 * NS_PER_S)

/* ---- Who calls back ------------------------------------------------------------------------ */

static void
daemon_ended(void)
{
	log_error("the flush daemon ended, which is a bug: nothing becomes durable without it; kirad ends, to be "
		"started again");
	_exit(1);
}

static void
dataplane_line(void *arg, bool warn, const char *line)
{
	if (warn)
		log_warn("%s", line);
	else
		log_info("%s", line);
}

static void
doorbell_ready(struct source *src, uint32_t events, uint64_t now_ns)
{
	uint64_t n;

	(void)!read(src->fd, &n, sizeof(n));
}

static void
signal_ready(struct source *src, uint32_t events, uint64_t now_ns)
{
	struct signals *sig = (struct signals *)((char *)src - offsetof(struct signals, src));
	struct signalfd_siginfo info;

	if (read(src->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		log_info("%s: stopping", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
		sig->stop = true;
	}
}

static int
signals_open(struct signals *sig, struct loop *loop, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* Blocked before any thread is made, so that all inherit it. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return err_sys(err, -errno, "block signals");
	*sig = (struct signals){.src = {.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
		.ready = signal_ready}};
	if (sig->src.fd < 0)
		return err_sys(err, -errno, "signalfd");
	return loop_watch(loop, &sig->src, EPOLLIN);
}

/* ---- Start --------------------------------------------------------------------------------- */

static int
open_storage(struct parts *p, struct err *err)
{
	static const char *const name[] = {
#define COUNTER(name, help) #name,
#include "storage/counters.def"
#undef COUNTER
	};
	struct control *ctl = p->ctl;
	char link[4200];
	struct storage_options o = {
		.dir = p->pf.data_dir,
		.volatile_ok = ctl->cfg->volatile_ok,
		.store_lcores = p->layout.store,
		.partitions_max = (unsigned)ctl->cfg->max_partitions,
		.job_threads = FLUSH_JOBS,
		.flush_ms = (uint64_t)ctl->cfg->flush_ms,
		.dirty_budget = (uint64_t)ctl->cfg->dirty_budget,
		.rewrite_after_ms = ctl->cfg->rewrite_after_ms,
		.disk_cap = ctl->cfg->disk_cap,
		.granted = flush_bell_ring,
		.daemon_ended = daemon_ended,
	};
	const int64_t wall_ms = clock_wall_ms();
	int rc = counters_open(&ctl->counters, "/dev/shm", wall_ms, err);

	if (rc < 0)
		return rc;
	ctl->count = counters_control(ctl->counters);
	ctl->storage_count = (struct storage_counters *)(void *)counters_group(ctl->counters, "storage",
		name, ARRAY_LENGTH(name));
	o.count = ctl->storage_count;
	rc = storage_open(&ctl->storage, &o, wall_ms, err);
	if (rc < 0)
		return rc;
	p->storage_open = true;
	rc = preflight_run_dir(&p->pf, err);
	if (rc < 0)
		return rc;
	(void)snprintf(link, sizeof(link), "%s/counters", p->pf.run_dir);
	return counters_link(ctl->counters, link, err);
}

static struct dataplane_options
dataplane_wants(const struct parts *p)
{
	const struct control *ctl = p->ctl;
	const struct config *cfg = ctl->cfg;

	return (struct dataplane_options){
		.device = p->pf.device,
		.run_dir = p->pf.run_dir,
		.eal_extra = *cfg->eal_extra ? cfg->eal_extra : NULL,
		.cpus = p->cpus,
		.address = p->pf.address,
		.udp_port = (uint16_t)cfg->udp_port,
		.mtu = (uint16_t)cfg->mtu,
		.idle_spin = cfg->idle == 1,
		.memory_mib = (unsigned)cfg->memory_mib,
		.storage = ctl->storage,
		.partitions_max = (unsigned)cfg->max_partitions,
		.counters = counters_group,
		.counters_arg = ctl->counters,
		.log = dataplane_line,
	};
}

/* The recovery of all partitions, on a thread of its own. */
struct recovering {
	pthread_t thread;
	struct parts *p;
	struct err err;
	int rc;
};

static void *
recover_run(void *arg)
{
	struct recovering *r = arg;

	/* No lcore runs yet: the threads that recover may have their CPUs. */
	r->rc = cores_share(&r->p->cpus, &r->err);
	if (r->rc == 0)
		r->rc = topics_open(r->p->ctl, &r->err);
	return NULL;
}

/* Recovery waits for the disk, EAL for its drivers to load and for a clock to be measured: 0.2 s and more of a start,
 * which 10,000 idle partitions take 0.7 s of. They know nothing of each other. */
static int
recover_beside_eal(struct parts *p, struct err *err)
{
	const struct dataplane_options o = dataplane_wants(p);
	struct recovering r = {.p = p, .err = {""}};
	int rc = pthread_create(&r.thread, NULL, recover_run, &r);

	if (rc != 0)
		return err_sys(err, -rc, "make a thread that recovers");
	rc = dataplane_open(&p->ctl->dp, &o, err);
	(void)pthread_join(r.thread, NULL);
	if (r.rc == 0)
		return rc;
	*err = r.err;
	return r.rc == -EINVAL ? -EIO : r.rc; /* as in parts_start() */
}

static int
start_dataplane(struct parts *p, struct err *err)
{
	struct control *ctl = p->ctl;
	const struct dataplane_options o = dataplane_wants(p);
	int rc = dataplane_start(ctl->dp, &o, err);

	if (rc < 0)
		return rc;
	flush_bell_hang(ctl->dp);
	ctl->doorbell = (struct source){.fd = dataplane_event_fd(ctl->dp), .ready = doorbell_ready};
	rc = loop_watch(&ctl->loop, &ctl->doorbell, EPOLLIN);
	return rc < 0 ? err_sys(err, rc, "watch the doorbell") : 0;
}

/* A kirad that was killed holds its port until the kernel has taken its memory apart; who starts the
 * next one at once should not have to know. */
static int
open_listeners(struct control *ctl, struct err *err)
{
	const uint64_t until_ns = clock_now_ns() + PORT_PATIENCE_NS;
	const struct timespec pause = {.tv_nsec = 50 * NS_PER_MS};
	int rc;

	while ((rc = listeners_open(ctl, err)) == -EADDRINUSE && clock_now_ns() < until_ns)
		(void)nanosleep(&pause, NULL);
	return rc;
}

int
parts_start(struct parts *p, struct err *err)
{
	struct control *ctl = p->ctl;
	int rc;

	rc = preflight(&p->pf, ctl->cfg, err);
	if (rc == 0)
		rc = cores_read(ctl->cfg->cpus, &p->cpus, err);
	if (rc == 0)
		rc = dataplane_layout(&p->cpus, &p->layout, err);
	if (rc == 0)
		rc = topics_defaults(ctl, err);
	if (rc == 0)
		rc = grants_open(ctl, err);
	if (rc < 0)
		return rc;
	(void)snprintf(ctl->advertised_host, sizeof(ctl->advertised_host), "%s",
		p->pf.advertised_host);
	ctl->advertised_port = p->pf.advertised_port;
	rc = loop_open(&ctl->loop, err);
	if (rc == 0)
		rc = signals_open(&p->signals, &ctl->loop, err);
	/* Before anything else is made: a taken port is the likeliest mistake. */
	if (rc == 0)
		rc = open_listeners(ctl, err);
	if (rc == 0)
		rc = cores_pin(p->layout.control_cpu, err);
	if (rc < 0)
		return rc;
	rc = open_storage(p, err);
	if (rc < 0)
		return rc == -EINVAL ? -EIO : rc; /* of files, not of an option: exit code 1 */
	rc = recover_beside_eal(p, err);
	if (rc < 0)
		return rc;
	group_serve_open(ctl);
	ctl->group_log = group_log_open(ctl, &ctl->groups, clock_now_ns());
	producer_ids_open(ctl);
	rc = start_dataplane(p, err);
	if (rc == 0)
		rc = storage_start(ctl->storage, p->layout.flush_cpu, err);
	if (rc < 0)
		return rc;
	ctl->now_ns = clock_now_ns();
	producer_ids_start(ctl);
	disk_watch_start(ctl);
	if (storage_is_volatile(ctl->storage)) {
		counter_set(&ctl->count->in_memory, 1);
		log_warn("%s is in memory: a power cut takes all records, whatever was acknowledged",
			p->pf.data_dir);
	}
	fault_watch_start(ctl);
	rolls_start(ctl);
	cores_print(&p->layout, p->pf.device, p->pf.data_dir);
	return listeners_start(ctl, err);
}

/* ---- Stop ---------------------------------------------------------------------------------- */

int
parts_stop(struct parts *p, int code)
{
	struct control *ctl = p->ctl;
	struct err err = {""};
	struct stop_watch sw;

	flush_bell_hang(NULL);
	if (ctl->doorbell.ready)
		(void)loop_watch(&ctl->loop, &ctl->doorbell, 0);
	dataplane_stop(ctl->dp);
	stop_watch_begin(&sw, p->pf.data_dir);
	if (p->storage_open && storage_close(ctl->storage, clock_wall_ms(), &err) < 0) {
		log_error("stop: %s", err.text);
		code = 1;
	}
	stop_watch_end(&sw);
	topics_close(ctl);
	read_ahead_close(ctl);
	fetch_sessions_close(ctl);
	group_log_close(ctl->group_log);
	groups_close(&ctl->groups);
	grants_close(ctl);
	counters_close(ctl->counters);
	listeners_close(ctl);
	records_close(ctl);
	if (p->signals.src.fd > 0)
		(void)close(p->signals.src.fd);
	loop_close(&ctl->loop);
	return code;
}
