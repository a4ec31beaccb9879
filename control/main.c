/* SPDX-License-Identifier: MIT
 * main.c - kirad: read options, wire the parts up, run the control loop, drain, stop.
 * Thread: main becomes the control thread (EAL's main lcore). Owns: struct control.
 * Exit codes: 0 clean stop; 1 could not start, or a failure at stop; 2 wrong options. */
#include "control/conn.h"
#include "control/control.h"
#include "control/cores.h"
#include "control/groups/group_serve.h"
#include "control/groups/group_topic.h"
#include "control/kafka/serve.h"
#include "control/log.h"
#include "control/preflight.h"
#include "control/stop_watch.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"

#include <kira_version.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_JOBS    5               /* one of them for room ahead of tails, four for syncs */
#define DRAIN_NS      (15 * NS_PER_S) /* a stop that takes longer is cut short, with a line */

#define PORT_PATIENCE_NS (2 * NS_PER_S)

#define EXIT_OPTIONS 2

/* The flush daemon rings from its own thread, outside its turn; the lock keeps the data plane there
 * while it does. */
struct bell {
	pthread_mutex_t lock;
	struct dataplane *dp;
	/* Something was granted. The eventfd does not ring for a thread that is awake, and the data
	 * plane does not know what the flush daemon gives: without this word, control would sleep over
	 * a grant that came between its turn and its sleep. */
	_Atomic bool rung;
};

static struct bell bell = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
granted(void *arg)
{
	struct bell *b = arg;

	atomic_store_explicit(&b->rung, true, memory_order_seq_cst); /* before Z2 */
	(void)pthread_mutex_lock(&b->lock);
	if (b->dp)
		dataplane_ring(b->dp);
	(void)pthread_mutex_unlock(&b->lock);
}

static void
daemon_ended(void)
{
	log_error("the flush daemon ended, which is a bug: nothing becomes durable without it; kirad ends, to be "
		"started again");
	_exit(1);
}

static void
bell_hang(struct dataplane *dp)
{
	(void)pthread_mutex_lock(&bell.lock);
	bell.dp = dp;
	(void)pthread_mutex_unlock(&bell.lock);
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
print_line(void *arg, const char *text)
{
	puts(text);
}

static int
help(void)
{
	puts("kirad " KIRA_VERSION " - log appliance: DPDK in, Kafka out\n"
		"usage: kirad --data-dir DIR [--KEY VALUE ..]\n"
		"       kirad --config FILE [--KEY VALUE ..]\n\n"
		"Each KEY is also a line `KEY = VALUE` of the file; flags win over it.\n");
	config_print(print_line, NULL);
	puts("  --help                           this text\n"
		"  --version                        the version\n\n"
		"Runs in the foreground. SIGTERM or SIGINT: drain, flush, clean stop.\n"
		"Prints `ready kafka=HOST:PORT data=DEVICE` to stdout when it serves; log lines go to "
		"stderr.");
	return fflush(stdout) == 0 ? 0 : 1;
}

static void
doorbell_ready(struct source *src, uint32_t events, uint64_t now_ns)
{
	uint64_t n;

	(void)!read(src->fd, &n, sizeof(n));
}

struct signals {
	struct source src;
	bool stop;
};

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

/* Has the flush daemon granted something since the last look? Then ends and commits may have moved. */
static bool
rung(struct control *ctl)
{
	const bool yes = atomic_exchange_explicit(&bell.rung, false, memory_order_seq_cst);

	ctl->moved |= yes;
	return yes;
}

/* One pass: work, then sleep until something rings. */
static void
control_pass(struct control *ctl, uint64_t wake_ns)
{
	const uint64_t now_ns = clock_now_ns();
	const unsigned work = control_turn(ctl, now_ns);
	const uint64_t due_ns = MIN(MIN(loop_next_ns(&ctl->loop), fetch_due_ns(ctl)), wake_ns);
	uint64_t timeout_ns = UINT64_MAX;

	if (work > 0 || due_ns <= now_ns)
		timeout_ns = 0;
	else if (ctl->produces.give_first || ctl->grants.gives > 0)
		timeout_ns = NS_PER_MS; /* a ring was full: its reader does not ring for room */
	else if (due_ns != UINT64_MAX)
		timeout_ns = due_ns - now_ns;
	/* Z1: who has something for us after this rings the doorbell. */
	if (timeout_ns != 0 && (!dataplane_control_sleeps(ctl->dp) || rung(ctl)))
		timeout_ns = 0;
	(void)loop_poll(&ctl->loop, timeout_ns, clock_now_ns);
	ctl->moved |= dataplane_control_wakes(ctl->dp);
	(void)rung(ctl);
}

static void
run(struct control *ctl, const struct signals *sig)
{
	while (!sig->stop)
		control_pass(ctl, UINT64_MAX);
}

/* Nothing new is taken; what was taken is finished, flushed and answered. */
static void
drain(struct control *ctl)
{
	const uint64_t until_ns = clock_now_ns() + DRAIN_NS;

	ctl->stopping = true;
	listeners_close(ctl);
	dataplane_drain(ctl->dp);
	while (!(dataplane_drained(ctl->dp) && produce_idle(ctl) && grants_idle(ctl) &&
		topics_idle(ctl) && rolls_idle(ctl) && group_log_idle(ctl->group_log))) {
		const uint64_t now_ns = clock_now_ns();

		if (now_ns >= until_ns) {
			log_warn("not all work was finished within %d s; stopping all the same",
				(int)(DRAIN_NS / NS_PER_S));
			break;
		}
		control_pass(ctl, now_ns + 10 * NS_PER_MS);
	}
	while (ctl->conns)
		conn_close(ctl->conns);
	/* Closing anchors gives the rx lcores their last commands. */
	while (!grants_idle(ctl) && clock_now_ns() < until_ns)
		control_pass(ctl, clock_now_ns() + NS_PER_MS);
}

/* ---- Wiring ---- */

struct parts {
	struct control *ctl;
	struct preflight pf;
	struct cpu_list cpus;
	struct dataplane_layout layout;
	struct signals signals;
	bool storage_open;
};

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
		.granted = granted,
		.granted_arg = &bell,
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
	return r.rc == -EINVAL ? -EIO : r.rc; /* as in start() */
}

static int
start_dataplane(struct parts *p, struct err *err)
{
	struct control *ctl = p->ctl;
	const struct dataplane_options o = dataplane_wants(p);
	int rc = dataplane_start(ctl->dp, &o, err);

	if (rc < 0)
		return rc;
	bell_hang(ctl->dp);
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

static int
start(struct parts *p, struct err *err)
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

static int
stop(struct parts *p, int code)
{
	struct control *ctl = p->ctl;
	struct err err = {""};
	struct stop_watch sw;

	bell_hang(NULL);
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

int
main(int argc, char **argv)
{
	struct err err = {""};
	struct parts *p = calloc(1, sizeof(*p));
	struct config cfg;
	int code = 0;

	ASSERT(p);
	switch (config_read(&cfg, argc, argv, &err)) {
	case CONFIG_HELP:
		code = help();
		goto out;
	case CONFIG_VERSION:
		puts("kirad " KIRA_VERSION);
		goto out;
	case CONFIG_BAD:
		fprintf(stderr, "kirad: %s\n", err.text);
		code = EXIT_OPTIONS;
		goto out;
	case CONFIG_OK:
		break;
	}
	log_set_level((enum log_level)cfg.log_level);
	log_info("kirad " KIRA_VERSION);
	p->ctl = control_make(&cfg);
	code = start(p, &err);
	if (code < 0) {
		fprintf(stderr, "kirad: %s\n", err.text);
		code = stop(p, code == -EINVAL ? EXIT_OPTIONS : 1);
	} else {
		printf("ready kafka=%s data=%s\n", p->ctl->listeners.one[0].name, p->pf.device);
		(void)fflush(stdout);
		run(p->ctl, &p->signals);
		drain(p->ctl);
		code = stop(p, 0);
		log_info("stopped");
	}
	control_free(p->ctl);
out:
	config_free(&cfg);
	free(p);
	return code;
}
