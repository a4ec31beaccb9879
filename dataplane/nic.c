/* SPDX-License-Identifier: MIT
 * nic.c - from "memif:/run/kira/data.sock" to a running port with pools and queues.
 * Thread: main, before the lcores run or after they ended. Owns: the port and its pools.
 * Never: changes the kernel's interface (no set_mtu on afpacket or tap). */
#include "dataplane/nic.h"

#include "dataplane/kira_dpdk_compat.h"

#include "base/assert.h"
#include "base/bits.h"

#include <errno.h>
#include <net/if.h>
#include <rte_alarm.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RX_DESC_MAX  4096
#define TX_DESC      1024
#define MEMIF_RSIZE  12 /* 2^12 slots; both sides must say the same */
#define FRAME_EXTRA  (14 + 8 + 4) /* Ethernet, two tags, checksum */
#define LINK_TRIES   100

/* ---- What the user wrote ----------------------------------------------------------------- */

/* "memif:" and the like: the text behind it, or NULL. */
static const char *
behind(const char *text, const char *prefix)
{
	const size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static bool
is_pci_address(const char *s)
{
	unsigned domain, bus, dev, fn;
	int n = 0;

	if (sscanf(s, "%x:%x:%x.%x%n", &domain, &bus, &dev, &fn, &n) == 4 && s[n] == '\0')
		return true;
	n = 0;
	return sscanf(s, "%x:%x.%x%n", &bus, &dev, &fn, &n) == 3 && s[n] == '\0';
}

static int
parse_memif(struct nic_device *d, const char *spec, bool client, uint16_t mtu, struct err *err)
{
	char text[512], *rest = text, *option;
	unsigned long id = 0;

	if (strlen(spec) >= sizeof(text)) {
		err_set(err, "memif path too long: at most %d bytes", NIC_MEMIF_PATH);
		return -EINVAL;
	}
	memcpy(text, spec, strlen(spec) + 1);
	(void)strsep(&rest, ",");
	while ((option = strsep(&rest, ",")) != NULL) {
		char *end;

		if (strcmp(option, "client") == 0) {
			client = true;
		} else if (strncmp(option, "id=", 3) == 0) {
			id = strtoul(option + 3, &end, 10);
			if (*end != '\0' || id > 255) {
				err_set(err, "memif id is a number of 0..255: %s", option);
				return -EINVAL;
			}
		} else {
			err_set(err, "memif knows id=N and client, not '%s'", option);
			return -EINVAL;
		}
	}
	if (text[0] == '\0' || strlen(text) > NIC_MEMIF_PATH) {
		err_set(err, "a memif path has 1..%d bytes: '%s'", NIC_MEMIF_PATH, text);
		return -EINVAL;
	}
	memcpy(d->path, text, strlen(text) + 1);
	d->kind = NIC_MEMIF;
	d->client = client;
	d->frame_max = mtu <= 1500 ? 2048 : 10240; /* = bsize: never less than a frame */
	(void)snprintf(d->name, sizeof(d->name), "net_memif0");
	(void)snprintf(d->devargs, sizeof(d->devargs),
		"net_memif0,role=%s,id=%lu,socket=%s,socket-abstract=no,rsize=%d,bsize=%u",
		client ? "client" : "server", id, d->path, MEMIF_RSIZE, d->frame_max);
	return 0;
}

static int
parse_netdev(struct nic_device *d, const char *netdev, struct err *err)
{
	if (netdev[0] == '\0' || strlen(netdev) >= sizeof(d->netdev) || strchr(netdev, ',')) {
		err_set(err, "'%s' is not the name of an interface", netdev);
		return -EINVAL;
	}
	memcpy(d->netdev, netdev, strlen(netdev) + 1);
	if (d->kind != NIC_TAP && if_nametoindex(netdev) == 0)
		return err_sys(err, -errno, "no interface %s here (ip -br link)", netdev);
	return 0;
}

static int
parse_afpacket(struct nic_device *d, const char *netdev, uint16_t queues, struct err *err)
{
	d->kind = NIC_AFPACKET;
	d->frame_max = 2048;
	(void)snprintf(d->name, sizeof(d->name), "net_af_packet0");
	(void)snprintf(d->devargs, sizeof(d->devargs),
		"net_af_packet0,iface=%s,qpairs=%u,framecnt=%u", netdev, queues, RX_DESC_MAX);
	return parse_netdev(d, netdev, err);
}

static int
parse_afxdp(struct nic_device *d, const char *netdev, uint16_t queues, struct err *err)
{
	static const char objects[] = "/usr/lib/x86_64-linux-gnu/bpf";

	d->kind = NIC_AFXDP;
	d->frame_max = 1792; /* data room less headroom and XDP's own */
	(void)snprintf(d->name, sizeof(d->name), "net_af_xdp0");
	(void)snprintf(d->devargs, sizeof(d->devargs), "net_af_xdp0,iface=%s,queue_count=%u", netdev,
		queues);
	/* Debian's libxdp looks in /usr/lib/bpf; the package puts its objects elsewhere. */
	if (!getenv("LIBXDP_OBJECT_PATH") && access(objects, R_OK) == 0)
		(void)setenv("LIBXDP_OBJECT_PATH", objects, 1);
	return parse_netdev(d, netdev, err);
}

static int
parse_tap(struct nic_device *d, const char *netdev, struct err *err)
{
	d->kind = NIC_TAP;
	d->frame_max = 1522;
	(void)snprintf(d->name, sizeof(d->name), "net_tap0");
	(void)snprintf(d->devargs, sizeof(d->devargs), "net_tap0,iface=%s", netdev);
	return parse_netdev(d, netdev, err);
}

static int
parse_pcap(struct nic_device *d, const char *file, struct err *err)
{
	const char *comma = strchr(file, ',');
	const int n = comma ? (int)(comma - file) : (int)strlen(file);

	if (n == 0 || n > 400 || (comma && strcmp(comma, ",loop") != 0)) {
		err_set(err, "pcap takes FILE or FILE,loop: '%s'", file);
		return -EINVAL;
	}
	d->kind = NIC_PCAP;
	d->frame_max = 2048;
	(void)snprintf(d->name, sizeof(d->name), "net_pcap0");
	(void)snprintf(d->devargs, sizeof(d->devargs), "net_pcap0,rx_pcap=%.*s%s", n, file,
		comma ? ",infinite_rx=1" : "");
	return 0;
}

static int
parse_null(struct nic_device *d, const char *size, struct err *err)
{
	char *end;
	const unsigned long bytes = *size ? strtoul(size, &end, 10) : 64;

	if (*size && (*end != '\0' || bytes < 60 || bytes > 1518)) {
		err_set(err, "null takes a frame size of 60..1518: '%s'", size);
		return -EINVAL;
	}
	d->kind = NIC_NULL;
	d->frame_max = 2048;
	(void)snprintf(d->name, sizeof(d->name), "net_null0");
	/* Without a size it offers no packets: kirad serves TCP alone. */
	(void)snprintf(d->devargs, sizeof(d->devargs), "net_null0,size=%lu%s", bytes,
		*size ? "" : ",no-rx=1");
	return 0;
}

int
nic_parse(struct nic_device *ret, const char *text, bool client, uint16_t queues, uint16_t mtu,
	struct err *err)
{
	struct nic_device d = {0};
	const char *rest;
	int rc;

	if ((rest = behind(text, "memif:")) != NULL) {
		rc = parse_memif(&d, rest, client, mtu, err);
	} else if ((rest = behind(text, "afpacket:")) != NULL) {
		rc = parse_afpacket(&d, rest, queues, err);
	} else if ((rest = behind(text, "afxdp:")) != NULL) {
		rc = parse_afxdp(&d, rest, queues, err);
	} else if ((rest = behind(text, "tap:")) != NULL) {
		rc = parse_tap(&d, rest, err);
	} else if ((rest = behind(text, "pcap:")) != NULL) {
		rc = parse_pcap(&d, rest, err);
	} else if (strcmp(text, "null") == 0 || strncmp(text, "null:", 5) == 0) {
		rc = parse_null(&d, text[4] ? text + 5 : "", err);
	} else if (is_pci_address(text)) {
		d.kind = NIC_PCI;
		d.frame_max = (uint16_t)(mtu + FRAME_EXTRA);
		(void)snprintf(d.devargs, sizeof(d.devargs), "%s", text);
		(void)snprintf(d.name, sizeof(d.name), "%s%s",
			strlen(text) < 12 ? "0000:" : "", text);
		rc = 0;
	} else {
		err_set(err, "device '%s' is none of memif:PATH afpacket:IF afxdp:IF tap:NAME "
			"pcap:FILE null 0000:3b:00.0", text);
		rc = -EINVAL;
	}
	if (rc == 0)
		*ret = d;
	else
		err_prefix(err, "device %s: ", text);
	return rc;
}

int
nic_clear_stale(const struct nic_device *dev, struct err *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc = 0;

	if (dev->kind != NIC_MEMIF || dev->client || lstat(dev->path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		err_set(err, "%s exists and is not a socket: name another path", dev->path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0); /* memif's socket type */
	if (fd < 0)
		return err_sys(err, -errno, "probe %s", dev->path);
	memcpy(to.sun_path, dev->path, strlen(dev->path) + 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
		err_set(err, "%s: another process serves this memif socket", dev->path);
		rc = -EADDRINUSE;
	} else if (errno == ECONNREFUSED) {
		if (unlink(dev->path) < 0)
			rc = err_sys(err, -errno, "remove the stale socket %s", dev->path);
	} else {
		rc = err_sys(err, -errno, "probe %s", dev->path);
	}
	(void)close(fd);
	return rc;
}

/* ---- The port ----------------------------------------------------------------------------- */

static unsigned
data_room(uint16_t mtu)
{
	return (unsigned)round_up(mtu + FRAME_EXTRA, 1024) + RTE_PKTMBUF_HEADROOM;
}

/* n = rx ring + tx ring + what credit lets stand in rings and holds (3/4 rx) + the threads' caches,
 * rounded up to 2^k - 1, which a mempool stores best. */
static unsigned
pool_mbufs(unsigned rx_desc, unsigned tx_desc, unsigned threads)
{
	const unsigned need = rx_desc + tx_desc + rx_desc * 3 / 4 + threads * NIC_CACHE * 3 / 2;
	unsigned n = 1;

	while (n - 1 < need)
		n *= 2;
	return n - 1;
}

unsigned
nic_memory_mib(const struct nic_device *dev, uint16_t queues, uint16_t mtu, unsigned threads)
{
	const unsigned n = pool_mbufs(RX_DESC_MAX, TX_DESC, threads);
	const uint64_t object = 64 + sizeof(struct rte_mbuf) + NIC_PRIVATE_BYTES + data_room(mtu);
	uint64_t bytes = object * n * queues;

	(void)dev;
	return (unsigned)((bytes + bytes / 10) / MIB + 64);
}

/* A pool whose objects lie end to end. rte_pktmbuf_pool_create() starts a new page where an object
 * would cross one, since hardware wants it; on 4 KiB pages (--no-huge) that leaves holes of 40 %. The
 * AF_XDP driver (22.11) reckons without them: it registers n x object bytes as its umem, the upper
 * buffers lay outside, the kernel threw them away one by one, and after some 10,000 frames the port
 * was deaf. */
static struct rte_mempool *
pool_without_holes(const struct nic *nic, const char *name)
{
	struct rte_pktmbuf_pool_private room = {.mbuf_data_room_size = (uint16_t)data_room(nic->mtu),
		.mbuf_priv_size = NIC_PRIVATE_BYTES};
	struct rte_mempool *mp = rte_mempool_create_empty(name, nic->pool_n,
		sizeof(struct rte_mbuf) + NIC_PRIVATE_BYTES + data_room(nic->mtu), NIC_CACHE,
		sizeof(room), nic->numa_node, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	int rc;

	if (!mp)
		return NULL;
	rc = rte_mempool_set_ops_byname(mp, rte_mbuf_best_mempool_ops(), NULL);
	if (rc == 0) {
		rte_pktmbuf_pool_init(mp, &room);
		rc = rte_mempool_populate_default(mp);
	}
	if (rc < 0) {
		rte_mempool_free(mp);
		rte_errno = -rc;
		return NULL;
	}
	(void)rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

static int
make_pools(struct nic *nic, unsigned threads, struct err *err)
{
	nic->pool_n = pool_mbufs(nic->rx_desc, nic->tx_desc, threads);
	for (uint16_t q = 0; q < nic->queues; q++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "kira_q%u", q);
		nic->pool[q] = nic->dev->kind == NIC_PCI ?
			rte_pktmbuf_pool_create(name, nic->pool_n, NIC_CACHE, NIC_PRIVATE_BYTES,
				(uint16_t)data_room(nic->mtu), nic->numa_node) :
			pool_without_holes(nic, name);
		if (!nic->pool[q]) {
			const int rc = rte_errno > 0 ? -rte_errno : -ENOMEM;

			return err_sys(err, rc, "pool of queue %u: %u mbufs of %u B on node %d "
				"(more memory; EINVAL: apt-get install librte-mempool-ring23)",
				q, nic->pool_n, data_room(nic->mtu), nic->numa_node);
		}
	}
	return 0;
}

static int
configure(struct nic *nic, struct err *err)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	int rc = rte_eth_dev_info_get(nic->port, &info);

	if (rc < 0)
		return err_sys(err, rc, "ask %s what it can do", nic->dev->name);
	if (nic->queues > info.max_rx_queues || nic->queues > info.max_tx_queues) {
		err_set(err, "%s has %u rx and %u tx queues, %u wanted", nic->dev->name,
			info.max_rx_queues, info.max_tx_queues, nic->queues);
		return -EINVAL;
	}
	/* The virtual ports advertise 1518 and refuse more, whatever they carry: left alone. */
	if (nic->dev->kind == NIC_PCI)
		conf.rxmode.mtu = nic->mtu;
	conf.rxmode.offloads = info.rx_offload_capa &
		(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
	/* Where the device never judges, the mbuf's flags say "unknown" and software does it. */
	nic->sum_ip = true;
	nic->sum_udp = true;
	rc = rte_eth_dev_configure(nic->port, nic->queues, nic->queues, &conf);
	if (rc < 0)
		return err_sys(err, rc, "configure %s", nic->dev->name);
	nic->rx_desc = RX_DESC_MAX;
	nic->tx_desc = TX_DESC;
	if (nic->dev->kind == NIC_MEMIF)
		nic->tx_desc = 1 << MEMIF_RSIZE;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(nic->port, &nic->rx_desc, &nic->tx_desc);
	if (rc < 0)
		return err_sys(err, rc, "adjust %s's rings", nic->dev->name);
	return 0;
}

static int
set_up_queues(struct nic *nic, struct err *err)
{
	int rc;

	for (uint16_t q = 0; q < nic->queues; q++) {
		rc = rte_eth_rx_queue_setup(nic->port, q, nic->rx_desc, (unsigned)nic->numa_node,
			NULL, nic->pool[q]);
		if (rc < 0)
			return err_sys(err, rc, "rx queue %u of %s", q, nic->dev->name);
		rc = rte_eth_tx_queue_setup(nic->port, q, nic->tx_desc, (unsigned)nic->numa_node,
			NULL);
		if (rc < 0)
			return err_sys(err, rc, "tx queue %u of %s", q, nic->dev->name);
	}
	return 0;
}

/* A veth, tun or bridge has no device behind it in sysfs: its senders leave checksums partial. */
static bool
netdev_is_virtual(const char *netdev)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/device", netdev);
	return access(path, F_OK) != 0;
}

bool
nic_link(const struct nic *nic)
{
	struct rte_eth_link link = {0};

	return rte_eth_link_get_nowait(nic->port, &link) == 0 &&
		link.link_status == RTE_ETH_LINK_UP;
}

int
nic_open(struct nic *ret, const struct nic_device *dev, uint16_t queues, uint16_t mtu,
	unsigned threads, struct err *err)
{
	struct nic nic = {.dev = dev, .queues = queues, .mtu = mtu};
	struct rte_ether_addr mac;
	int rc;

	ASSERT(queues >= 1 && queues <= NIC_QUEUES_MAX);
	if (rte_eth_dev_get_port_by_name(dev->name, &nic.port) < 0) {
		err_set(err, "DPDK found no device %s (bound to vfio-pci? dpdk-devbind.py -s)",
			dev->name);
		return -ENODEV;
	}
	nic.numa_node = MAX(rte_eth_dev_socket_id(nic.port), 0);
	rc = configure(&nic, err);
	if (rc == 0)
		rc = make_pools(&nic, threads, err);
	if (rc == 0)
		rc = set_up_queues(&nic, err);
	if (rc < 0)
		goto fail_pools;
	if ((dev->kind == NIC_AFPACKET || dev->kind == NIC_AFXDP) &&
		netdev_is_virtual(dev->netdev)) {
		nic.partial_sums = true;
		nic.sum_udp = false;
	}
	rc = rte_eth_dev_start(nic.port);
	if (rc < 0) {
		(void)err_sys(err, rc, "start %s", dev->name);
		goto fail_pools;
	}
	/* A frame for the configured address but another MAC is not for us; neigh.c answers ARP
	 * with this MAC. */
	rc = rte_eth_macaddr_get(nic.port, &mac);
	if (rc < 0) {
		(void)err_sys(err, rc, "read %s's MAC", dev->name);
		goto fail_stop;
	}
	memcpy(nic.mac, mac.addr_bytes, sizeof(nic.mac));
	/* Link down is never an error: a memif peer comes when it comes. */
	for (unsigned i = 0; dev->kind == NIC_PCI && i < LINK_TRIES && !nic_link(&nic); i++)
		(void)usleep(100000);
	*ret = nic;
	return 0;
fail_stop:
	(void)rte_eth_dev_stop(nic.port);
fail_pools:
	(void)rte_eth_dev_close(nic.port);
	for (uint16_t q = 0; q < queues; q++)
		rte_mempool_free(nic.pool[q]);
	return rc;
}

struct reattach {
	uint16_t port;
	int rc;
	_Atomic bool done;     /* R1, release: rc is there; pairs with R2 */
};

static void
stop_and_start(void *arg)
{
	struct reattach *r = arg;

	(void)rte_eth_dev_stop(r->port);
	r->rc = rte_eth_dev_start(r->port);
	atomic_store_explicit(&r->done, true, memory_order_release);
}

/* On DPDK's interrupt thread, where alarms run: a driver that has just said "link down" may still be
 * at work there taking its side of the connection down, and to do the same from here frees it twice
 * (memif_disconnect() has no lock: that was a SIGSEGV once in a few kills of the broker). */
int
nic_reattach(struct nic *nic)
{
	struct reattach r = {.port = nic->port};
	const int rc = rte_eal_alarm_set(1, stop_and_start, &r);

	if (rc < 0)
		return rc;
	while (!atomic_load_explicit(&r.done, memory_order_acquire)) /* R2 */
		(void)usleep(50);
	return r.rc;
}

static bool
steer_one(uint16_t port_id, bool v6, uint16_t udp_port, uint16_t queue)
{
	const struct rte_flow_attr attr = {.ingress = 1};
	const struct rte_flow_item_udp udp = {.hdr.dst_port = rte_cpu_to_be_16(udp_port)};
	const struct rte_flow_item_udp mask = {.hdr.dst_port = 0xffff};
	const struct rte_flow_item item[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4},
		{.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &udp, .mask = &mask},
		{.type = RTE_FLOW_ITEM_TYPE_END},
	};
	const struct rte_flow_action_queue to = {.index = queue};
	const struct rte_flow_action action[] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error why;

	return rte_flow_create(port_id, &attr, item, action, &why) != NULL;
}

bool
nic_steer(const struct nic *nic, uint16_t first)
{
	if (nic->dev->kind != NIC_PCI)
		return false;
	for (uint16_t q = 0; q < nic->queues; q++)
		if (!steer_one(nic->port, false, (uint16_t)(first + q), q) ||
			!steer_one(nic->port, true, (uint16_t)(first + q), q))
			return false;
	return true;
}

/* What lies in the kernel's fill and completion rings when an AF_XDP socket goes, its driver does not
 * give back (DPDK 22.11; seen: 2,048 of the one, a few of the other). */
#define AFXDP_KEPT 4096u

unsigned
nic_close(struct nic *nic)
{
	unsigned out = 0;

	(void)rte_eth_dev_stop(nic->port);
	(void)rte_eth_dev_close(nic->port);
	for (uint16_t q = 0; q < nic->queues; q++) {
		out += rte_mempool_in_use_count(nic->pool[q]);
		rte_mempool_free(nic->pool[q]);
		nic->pool[q] = NULL;
	}
	if (nic->dev->kind == NIC_AFXDP && out <= AFXDP_KEPT * nic->queues)
		return 0;
	return out;
}
