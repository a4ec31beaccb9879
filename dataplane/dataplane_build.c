/* SPDX-License-Identifier: MIT
 * dataplane_build.c - builds port, rings and lcores, launches them, takes all down again.
 * Thread: control (EAL's main lcore). Owns: everything, before the lcores start and after they ended.
 * Never: touches any of it in between. */
#include "dataplane/dataplane_private.h"

#include "base/assert.h"
#include "base/bits.h"
#include "dataplane/eal.h"
#include "dataplane/rx_parse.h"

#include <errno.h>
#include <rte_launch.h>
#include <rte_ring_elem.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* ---- Parts --------------------------------------------------------------------------------- */

static void *
zeroed(size_t n, size_t size)
{
	void *p = aligned_alloc(CACHE_LINE, round_up(n * size, CACHE_LINE));

	if (p)
		memset(p, 0, round_up(n * size, CACHE_LINE)); /* touched now, not by an lcore */
	return p;
}

static counter *
counters(struct dataplane *dp, const struct dataplane_options *o, const char *kind, unsigned i,
	const char *const *name, unsigned n)
{
	char group[32];
	counter *c;

	(void)snprintf(group, sizeof(group), "%s%u", kind, i);
	if (o->counters)
		return o->counters(o->counters_arg, group, name, n);
	c = zeroed(n, sizeof(*c));
	if (c)
		dp->own_counters[dp->own_counters_n++] = c;
	return c;
}

static struct stall_counters *
stall_counters(struct dataplane *dp, const struct dataplane_options *o, const char *kind, unsigned i)
{
	static const char *const name[] = {
#define COUNTER(counter_name, help) #counter_name,
#include "dataplane/stall_counters.def"
#undef COUNTER
	};

	BUILD_ASSERT(ARRAY_LENGTH(name) * sizeof(counter) == sizeof(struct stall_counters));
	return (struct stall_counters *)(void *)counters(dp, o, kind, i, name, ARRAY_LENGTH(name));
}

static struct rte_ring *
ring(const char *kind, unsigned i, unsigned j, unsigned size, unsigned element, int node)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "kira_%s_%u_%u", kind, i, j);
	return rte_ring_create_elem(name, element, size, node,
		RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
}

static int
make_rx(struct dataplane *dp, unsigned i, const struct dataplane_options *o, struct err *err)
{
	static const char *const name[] = {
#define COUNTER(counter_name, help) #counter_name,
#include "dataplane/rx_counters.def"
#undef COUNTER
	};
	static const char *const drop_name[] = {
#define DROP(reason, counter_name, meaning) counter_name,
#include "dataplane/drop.def"
#undef DROP
	};
	struct rx_lcore *rx = zeroed(1, sizeof(*rx));
	const int node = dp->nic.numa_node;

	BUILD_ASSERT(ARRAY_LENGTH(name) * sizeof(counter) == sizeof(struct rx_counters));
	BUILD_ASSERT(ARRAY_LENGTH(drop_name) == DROPS);
	dp->rx[i] = rx;
	if (!rx)
		goto fail;
	rx->index = i;
	rx->store_lcores = dp->layout.store;
	rx->port = dp->nic.port;
	rx->queue = (uint16_t)i;
	rx->rx_lcores = dp->layout.rx;
	rx->udp_port = dp->udp_port;
	/* The kernel sees every packet of an afpacket port too, and answers for itself. */
	rx->answers = dp->dev.kind != NIC_AFPACKET;
	rx->sums = (dp->nic.sum_ip ? PARSE_SUM_IP : 0) | (dp->nic.sum_udp ? PARSE_SUM_UDP : 0);
	rx->guard = nic_guard_add();
	rx->neigh = dp->neigh;
	rx->storage = dp->storage;
	rx->draining = &dp->draining;
	rx->count = (struct rx_counters *)(void *)counters(dp, o, "rx", i, name,
		ARRAY_LENGTH(name));
	rx->drop = counters(dp, o, "drop", i, drop_name, ARRAY_LENGTH(drop_name));
	rx->cmd = ring("rxcmd", i, 0, RX_CMD_OUT_MAX, sizeof(void *), node);
	rx->cmd_done = ring("rxcmdd", i, 0, RX_CMD_OUT_MAX, sizeof(void *), node);
	if (!rx->count || !rx->drop || !rx->cmd || !rx->cmd_done)
		goto fail;
	for (unsigned s = 0; s < dp->layout.store; s++) {
		/* All the credit of the queue fits into each: whatever storage lcore it goes to. */
		rx->to_store[s] = ring("pkt", i, s, dp->credit, sizeof(void *), node);
		rx->done[s] = ring("done", i, s, dp->credit, sizeof(struct store_done), node);
		if (!rx->to_store[s] || !rx->done[s])
			goto fail;
	}
	for (unsigned r = 0; r < dp->layout.rx; r++) {
		if (r == i)
			continue;
		rx->to_rx[r] = ring("over", i, r, RX_MISROUTED, sizeof(void *), node);
		if (!rx->to_rx[r])
			goto fail;
	}
	if (!rx_open(rx, dp->credit, dp->nic.pool[i]))
		goto fail;
	return 0;
fail:
	err_set(err, "no memory for rx lcore %u: raise `memory`", i);
	return -ENOMEM;
}

static int
make_store(struct dataplane *dp, unsigned i, const struct dataplane_options *o, struct err *err)
{
	static const char *const name[] = {
#define COUNTER(counter_name, help) #counter_name,
#include "dataplane/store_counters.def"
#undef COUNTER
	};
	struct store_lcore *st = zeroed(1, sizeof(*st));
	const int node = dp->nic.numa_node;

	BUILD_ASSERT(ARRAY_LENGTH(name) * sizeof(counter) == sizeof(struct store_counters));
	dp->store[i] = st;
	if (!st)
		goto fail;
	st->index = i;
	st->rx_lcores = dp->layout.rx;
	st->storage = dp->storage;
	st->draining = &dp->draining;
	st->new_data = &dp->new_data[i].set;
	st->count = (struct store_counters *)(void *)counters(dp, o, "store", i, name,
		ARRAY_LENGTH(name));
	st->wait_count = stall_counters(dp, o, "wait", i);
	st->cmd = ring("cmd", i, 0, CMD_OUT_MAX, sizeof(void *), node);
	st->cmd_done = ring("cmdd", i, 0, CMD_OUT_MAX, sizeof(void *), node);
	if (!st->count || !st->wait_count || !st->cmd || !st->cmd_done)
		goto fail;
	for (unsigned r = 0; r < dp->layout.rx; r++) {
		st->from_rx[r] = dp->rx[r]->to_store[i];
		st->done[r] = dp->rx[r]->done[i];
		st->ended[r] = dp->rx[r]->sessions.ended;
	}
	if (!store_open(st, o->partitions_max, dp->credit * dp->layout.rx))
		goto fail;
	return 0;
fail:
	err_set(err, "no memory for storage lcore %u", i);
	return -ENOMEM;
}

static int
make_bell(struct bell *bell, struct err *err)
{
	bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell->fd < 0)
		return err_sys(err, -errno, "make an eventfd");
	return 0;
}

/* On a host with few CPUs something else always wants ours. */
static bool
cpu_is_shared(const struct dataplane *dp, int cpu)
{
	return sysconf(_SC_NPROCESSORS_ONLN) <= 4 || cpu == dp->layout.control_cpu ||
		cpu == dp->layout.flush_cpu;
}

static int
make_lcore(struct dataplane *dp, unsigned i, struct rx_lcore *rx, struct store_lcore *store,
	int cpu, const struct dataplane_options *o, struct err *err)
{
	static const char *const name[] = {
#define COUNTER(counter_name, help) #counter_name,
#include "dataplane/lcore_counters.def"
#undef COUNTER
	};
	struct lcore *lc = zeroed(1, sizeof(*lc));

	BUILD_ASSERT(ARRAY_LENGTH(name) * sizeof(counter) == sizeof(struct lcore_counters));
	dp->lcore[i] = lc;
	if (!lc)
		return -ENOMEM;
	lc->bell.fd = -1;
	lc->rx = rx;
	lc->store = store;
	lc->storage = dp->storage;
	lc->stop = &dp->stop;
	lc->control = dp->control;
	lc->watch_data = &dp->watch_data;
	lc->gifts = &dp->gifts[i];
	lc->spin = o->idle_spin && o->cpus.n > 1;
	lc->shared = cpu_is_shared(dp, cpu);
	lc->count = (struct lcore_counters *)(void *)counters(dp, o, "lcore", i, name,
		ARRAY_LENGTH(name));
	if (store)
		lc->turn_count = stall_counters(dp, o, "turn", store->index);
	if (!lc->count || (store && !lc->turn_count))
		return -ENOMEM;
	if (rx)
		rx->gifts = lc->gifts;
	if (store)
		store->gifts = lc->gifts;
	return make_bell(&lc->bell, err);
}

static int
make_lcores(struct dataplane *dp, const struct dataplane_options *o, struct err *err)
{
	const struct dataplane_layout *l = &dp->layout;
	const unsigned n = l->merged ? 1 : l->rx + l->store;
	int rc;

	for (unsigned i = 0; i < n; i++) {
		struct rx_lcore *rx = i < l->rx ? dp->rx[i] : NULL;
		struct store_lcore *st = l->merged ? dp->store[0] :
			i >= l->rx		   ? dp->store[i - l->rx] :
						     NULL;

		rc = make_lcore(dp, i, rx, st, rx ? l->rx_cpu[i] : l->store_cpu[i - l->rx], o,
			err);
		if (rc < 0)
			return rc;
	}
	for (unsigned i = 0; i < n; i++) {
		for (unsigned r = 0; r < l->rx; r++)
			dp->lcore[i]->rx_bell[r] = &dp->lcore[r]->bell;
		for (unsigned s = 0; s < l->store; s++)
			dp->lcore[i]->store_bell[s] =
				&dp->lcore[l->merged ? 0 : l->rx + s]->bell;
	}
	dp->lcores = n;
	return 0;
}

static void
say(struct dataplane *dp, bool warn, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void
say(struct dataplane *dp, bool warn, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (dp->log)
		dp->log(dp->log_arg, warn, line);
}

static uint16_t
mtu_of(const struct dataplane_options *o)
{
	return o->mtu ? o->mtu : 1500;
}

/* How many threads take packet buffers: control, and the lcores. */
static unsigned
threads_of(const struct dataplane_layout *l)
{
	return 1 + l->rx + l->store;
}

static int
start_eal(struct dataplane *dp, const struct dataplane_options *o, struct err *err)
{
	const struct dataplane_layout *l = &dp->layout;
	const uint16_t mtu = mtu_of(o), queues = (uint16_t)l->rx;
	struct eal_options eal = {.dev = &dp->dev, .run_dir = o->run_dir, .extra = o->eal_extra,
		.log = o->log, .log_arg = o->log_arg};
	int rc = nic_parse(&dp->dev, o->device, false, queues, mtu, err);

	if (rc == 0)
		rc = nic_clear_stale(&dp->dev, err);
	if (rc < 0)
		return rc;
	eal.cpu[eal.lcores++] = l->control_cpu;
	for (unsigned i = 0; i < l->rx; i++)
		eal.cpu[eal.lcores++] = l->rx_cpu[i];
	for (unsigned i = 0; i < l->store && !l->merged; i++)
		eal.cpu[eal.lcores++] = l->store_cpu[i];
	eal.memory_mib = o->memory_mib ? o->memory_mib :
					 nic_memory_mib(&dp->dev, queues, mtu, threads_of(l));
	return eal_start(&eal, err);
}

/* The port and what belongs to it. */
static int
start_port(struct dataplane *dp, const struct dataplane_options *o, struct err *err)
{
	const uint16_t mtu = mtu_of(o), queues = (uint16_t)dp->layout.rx;
	const int rc = nic_open(&dp->nic, &dp->dev, queues, mtu, threads_of(&dp->layout), err);

	if (rc < 0)
		return rc;
	dp->nic_open = true;
	dp->max_frame_payload = (uint16_t)MIN((unsigned)mtu, dp->dev.frame_max - 22u);
	memcpy(dp->neigh.mac, dp->nic.mac, sizeof(dp->neigh.mac));
	/* C: three quarters, so that honest clients never overrun the NIC ring. */
	dp->credit = dp->nic.rx_desc * 3u / 4;
	if (dp->nic.partial_sums)
		say(dp, false, "%s is a virtual interface: UDP checksums are not verified, its "
			"senders may leave them unfinished (cure: ethtool -K PEER tx off)",
			dp->dev.netdev);
	if (queues > 1 && !nic_steer(&dp->nic, dp->udp_port))
		say(dp, dp->dev.kind == NIC_PCI, "no flow rules on %s: datagrams reach their "
			"lcore by way of others", dp->dev.name);
	if (dp->dev.kind == NIC_AFPACKET)
		return nic_hush_open(&dp->hush, &dp->neigh, dp->udp_port, queues, err);
	return 0;
}

/* ---- The whole ----------------------------------------------------------------------------- */

static void
destroy(struct dataplane *dp)
{
	for (unsigned i = 0; i < STORE_LCORES_MAX && dp->store[i]; i++)
		store_close(dp->store[i]);
	for (unsigned i = 0; i < RX_LCORES_MAX && dp->rx[i]; i++)
		rx_close(dp->rx[i]);
	nic_hush_close(&dp->hush);
	if (dp->nic_open) {
		const unsigned leaked = nic_close(&dp->nic);

		if (leaked > 0)
			say(dp, true, "%u packet buffers were not given back: a bug", leaked);
		DASSERT(leaked == 0);
	}
	for (unsigned i = 0; i < RX_LCORES_MAX && dp->rx[i]; i++) {
		for (unsigned s = 0; s < STORE_LCORES_MAX; s++) {
			rte_ring_free(dp->rx[i]->to_store[s]);
			rte_ring_free(dp->rx[i]->done[s]);
		}
		for (unsigned r = 0; r < RX_LCORES_MAX; r++)
			rte_ring_free(dp->rx[i]->to_rx[r]);
		rte_ring_free(dp->rx[i]->cmd);
		rte_ring_free(dp->rx[i]->cmd_done);
		free(dp->rx[i]);
	}
	for (unsigned i = 0; i < STORE_LCORES_MAX && dp->store[i]; i++) {
		rte_ring_free(dp->store[i]->cmd);
		rte_ring_free(dp->store[i]->cmd_done);
		free(dp->store[i]);
	}
	for (unsigned i = 0; i < LCORES_MAX && dp->lcore[i]; i++) {
		if (dp->lcore[i]->bell.fd >= 0)
			(void)close(dp->lcore[i]->bell.fd);
		free(dp->lcore[i]);
	}
	for (unsigned i = 0; i < dp->own_counters_n; i++)
		free(dp->own_counters[i]);
	if (dp->control && dp->control->fd >= 0)
		(void)close(dp->control->fd);
	free(dp->control);
	free(dp->gifts);
	free(dp->new_data);
	free(dp);
}

int
dataplane_open(struct dataplane **ret, const struct dataplane_options *o, struct err *err)
{
	struct dataplane *dp = zeroed(1, sizeof(*dp));
	int rc;

	if (!dp)
		return err_sys(err, -ENOMEM, "start the data plane");
	dp->udp_port = o->udp_port ? o->udp_port : KUP_PORT_DEFAULT;
	dp->log = o->log;
	dp->log_arg = o->log_arg;
	dp->control = zeroed(1, sizeof(*dp->control));
	dp->gifts = zeroed(LCORES_MAX, sizeof(*dp->gifts));
	dp->new_data = zeroed(STORE_LCORES_MAX, sizeof(*dp->new_data));
	if (!dp->control || !dp->gifts || !dp->new_data) {
		rc = err_sys(err, -ENOMEM, "start the data plane");
		goto fail;
	}
	dp->control->fd = -1;
	rc = make_bell(dp->control, err);
	if (rc == 0)
		rc = dataplane_layout(&o->cpus, &dp->layout, err);
	if (rc == 0 && o->address)
		rc = neigh_parse(&dp->neigh, o->address, err);
	if (rc == 0)
		rc = start_eal(dp, o, err);
	if (rc < 0)
		goto fail;
	*ret = dp;
	return 0;
fail:
	destroy(dp);
	return rc;
}

int
dataplane_start(struct dataplane *dp, const struct dataplane_options *o, struct err *err)
{
	int rc = start_port(dp, o, err);

	dp->storage = o->storage;
	for (unsigned i = 0; rc == 0 && i < dp->layout.rx; i++)
		rc = make_rx(dp, i, o, err);
	for (unsigned i = 0; rc == 0 && i < dp->layout.rx; i++)
		for (unsigned r = 0; r < dp->layout.rx; r++)
			dp->rx[i]->from_rx[r] = dp->rx[r]->to_rx[i];
	for (unsigned i = 0; rc == 0 && i < dp->layout.store; i++)
		rc = make_store(dp, i, o, err);
	if (rc == 0)
		rc = make_lcores(dp, o, err);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < dp->lcores; i++)
		(void)rte_eal_remote_launch(lcore_run, dp->lcore[i], i + 1);
	return 0;
}

void
dataplane_stop(struct dataplane *dp)
{
	if (!dp)
		return;
	atomic_store_explicit(&dp->stop, true, memory_order_seq_cst);
	dataplane_ring(dp);
	rte_eal_mp_wait_lcore();
	eal_log_drain();
	destroy(dp);
	eal_stop();
}
