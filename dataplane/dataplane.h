/* SPDX-License-Identifier: MIT
 * dataplane.h - the door of dataplane/: ports, pinned lcores, sessions, and the rings to the
 * storage lcores. Called by the control thread (EAL's main lcore) unless a line says otherwise. */
#ifndef KIRA_DATAPLANE_H
#define KIRA_DATAPLANE_H

#include "base/counter.h"
#include "base/err.h"
#include "storage/storage.h"

#include <kira/wire.h>

#include <netinet/in.h>

#define RX_LCORES_MAX KUP_PORTS

struct dataplane;

struct cpu_list {
	unsigned n;
	int cpu[64];
};

struct dataplane_options {
	const char *device;        /* memif:PATH, afpacket:IF, afxdp:IF, tap:NAME, pcap:FILE, null, BDF */
	const char *run_dir;       /* for sockets, and XDG_RUNTIME_DIR of EAL */
	const char *eal_extra;     /* appended to the EAL line; NULL none */
	struct cpu_list cpus;      /* first: control, flush; the rest: lcores; one CPU alone serves all */
	const char *address;       /* "A/LEN" of the data port, IPv4 or IPv6; several by comma */
	uint16_t udp_port;         /* P, a multiple of 16 */
	uint16_t mtu;              /* 1500; jumbo up to 9000 */
	bool idle_spin;            /* never sleep when idle */
	unsigned memory_mib;       /* 0: computed from the pools */
	struct storage *storage;
	unsigned partitions_max;
	/* Counters come as named groups of a mapped file; returns `n` zeroed counters. */
	counter *(*counters)(void *arg, const char *group, const char *const *name, unsigned n);
	void *counters_arg;
	/* EAL's log, a line at a time, and findings worth a log line; called on the control thread. */
	void (*log)(void *arg, bool warn, const char *line);
	void *log_arg;
};

/* How many lcores of each kind these CPUs give; known before the storage is opened. */
struct dataplane_layout {
	unsigned rx, store;        /* merged: 1 and 1, on one lcore */
	bool merged;
	int control_cpu, flush_cpu;
	int rx_cpu[RX_LCORES_MAX], store_cpu[STORE_LCORES_MAX];
};
int dataplane_layout(const struct cpu_list *cpus, struct dataplane_layout *ret, struct err *err);

/* EAL, once per process: looks for drivers and takes memory, which is a good part of a start. Nothing is asked of the
 * storage yet: it may be recovered meanwhile, by another thread. Of `o`, all but `storage` is set. */
int dataplane_open(struct dataplane **ret, const struct dataplane_options *o, struct err *err);
/* Port, pools, rings; then the lcores run. `o`: the same, with the recovered storage. After a failure dataplane_stop()
 * is left to do. */
int dataplane_start(struct dataplane *dp, const struct dataplane_options *o, struct err *err);

/* Every ACK carries DRAIN and no new packet is taken; what was taken is finished. */
void dataplane_drain(struct dataplane *dp);
bool dataplane_drained(const struct dataplane *dp); /* nothing is left in a ring or a queue */

/* Joins the lcores, stops the port, frees; NULL: nothing to do. No command may be outstanding. */
void dataplane_stop(struct dataplane *dp);

unsigned dataplane_store_lcores(const struct dataplane *dp);
/* The thread of storage lcore `i`, as /proc/self/task names it; 0: it does not run yet. */
int dataplane_store_thread(const struct dataplane *dp, unsigned i);

/* ---- Control's doorbell ------------------------------------------------------------------ */

/* An eventfd, readable after a completion, after new data while dataplane_watch_data() is on, and
 * after dataplane_ring_control() (which the flush daemon's `granted` calls). */
int dataplane_event_fd(const struct dataplane *dp);
/* Z1: say that control is about to sleep. Returns false if something is there already: do not. */
bool dataplane_control_sleeps(struct dataplane *dp);
/* Returns true if an end has moved since the last call: the eventfd need not have rung for it, since
 * nobody rings for a thread that is awake. */
bool dataplane_control_wakes(struct dataplane *dp);
/* Up to `n` (at least DATAPLANE_MOVED) partitions, by storage_slot(), whose published end moved since they were
 * named last; named before control looks: what moves after that is named again. Fewer than `n` -
 * DATAPLANE_MOVED + 1: no more now. */
#define DATAPLANE_MOVED 64
unsigned dataplane_moved(struct dataplane *dp, uint32_t *slot, unsigned n);
void dataplane_watch_data(struct dataplane *dp, bool on); /* a fetch is parked: ring when ends move */
/* Any thread: wake control and every idle lcore that sleeps (for storage_options.granted). */
void dataplane_ring(struct dataplane *dp);

/* ---- Commands to storage lcores ---------------------------------------------------------- */

enum store_kind {
	STORE_UDP,     /* inside: an mbuf's private area */
	STORE_PRODUCE, /* one batch that came over TCP */
	STORE_ROLL,
	STORE_CONFIGURE, /* `config` holds from the next batch on */
	STORE_PRODUCERS, /* fills `producers`, `length` of them at most; out: base_offset, how many */
	STORE_DETACH,  /* forget the partition: what waits or is held gets error 3 */
};

/* A message to a storage lcore; UDP packets carry the same struct in the mbuf's private area, so
 * one queue per partition keeps the order of both. Owned by the lcore until its completion. */
struct store_msg {
	struct store_msg *next;      /* the partition's wait queue or hold list */
	struct partition *part;
	union {
		uint8_t *batch;      /* whole RecordBatch; pinned until the completion */
		const struct partition_config *config; /* CONFIGURE: control's, until the completion */
		struct storage_producer *producers;    /* PRODUCERS: likewise */
	};
	uint32_t length;
	uint8_t kind;                /* enum store_kind */
	uint8_t append_flags;
	int16_t error;               /* out: Kafka's code */
	int64_t base_offset;         /* out */
	uint64_t commit;             /* out: `disk` once storage_commit_done() >= this (and not failed) */
	union {
		struct {             /* UDP */
			uint32_t session_id, pkt_seq;
			uint64_t arrived_ns;
		};
		struct {             /* from control */
			int64_t append_ms; /* out */
			void *owner;
		};
	};
};
_Static_assert(sizeof(struct store_msg) <= 64, "fits the mbuf's private area");

/* False: the ring is full, try again after the next completions. */
bool dataplane_store(struct dataplane *dp, struct store_msg *msg);
/* Finished messages, at most n. */
unsigned dataplane_stored(struct dataplane *dp, struct store_msg **ret, unsigned n);

/* ---- Sessions ---------------------------------------------------------------------------- */

/* What a session needs to know of a topic. Immutable and control's; freed only after a
 * RX_FORGET_TOPIC or RX_SWAP_TOPIC for it has completed on every rx lcore. */
struct dataplane_topic {
	int32_t partitions;
	struct partition *part[];
};

enum rx_cmd_kind {
	RX_GRANT,        /* install a session: answer the client only when this completes */
	RX_REPEAT,       /* add handles, move the binding, re-anchor */
	RX_ANCHOR_GONE,  /* its TCP connection closed: the lease runs */
	RX_END,          /* withdraw: reason says why */
	RX_ASK,          /* does it live? */
	RX_FORGET_TOPIC, /* its handles die in every session of this lcore */
	RX_SWAP_TOPIC,   /* handles of topic[0] are of topic[1] from now on: it has more partitions */
};

/* A command to one rx lcore. Owned by it until the completion. */
struct rx_cmd {
	enum rx_cmd_kind kind;
	unsigned rx;                 /* which rx lcore */
	uint32_t session_id;         /* owner << 24 | slot; GRANT: out */
	uint64_t secret;
	uint64_t incarnation;
	struct in6_addr peer;        /* IPv4 as ::ffff:a.b.c.d */
	uint16_t peer_port;          /* host order; 0: bound by the first valid datagram */
	uint16_t max_dgram, window, ack_every, keepalive_s;
	uint32_t ack_delay_us, lease_ms, capabilities;
	uint16_t handles;            /* how many of topic[] are filled; handle h is topic[h - 1] */
	const struct dataplane_topic *topic[KUP_HANDLES_MAX]; /* NULL: that handle stays as it is */
	uint16_t reason;             /* END */
	/* out */
	int16_t error;               /* 0; 70 no such session; 89 no slot or no credit free */
	uint32_t credit_limit;
	uint32_t retry_ms;           /* with 89 */
	void *owner;                 /* control's */
};

bool dataplane_rx(struct dataplane *dp, struct rx_cmd *cmd);
unsigned dataplane_rx_done(struct dataplane *dp, struct rx_cmd **ret, unsigned n);

/* The rx lcore for a new session: the least loaded. */
unsigned dataplane_owner(const struct dataplane *dp);
unsigned dataplane_rx_lcores(const struct dataplane *dp);
/* Data address of the family of `peer`, port that leads to rx lcore `rx`, largest payload. False:
 * this port offers no UDP to that peer (no address of its family, or a memif that no kernel socket
 * can reach and `peer` is not in the port's own subnet). */
bool dataplane_endpoint(const struct dataplane *dp, const struct in6_addr *peer, unsigned rx,
	struct in6_addr *address, uint16_t *port, uint16_t *max_dgram);
/* Is `a` inside the data port's subnets? (the default of produce-from) */
bool dataplane_in_subnet(const struct dataplane *dp, const struct in6_addr *a);

#endif
