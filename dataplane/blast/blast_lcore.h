/* SPDX-License-Identifier: MIT
 * blast_lcore.h - the generator: one port, one queue, all sessions, on the main thread, which is
 * the only lcore. Everything of a run hangs below struct blast. */
#ifndef KIRA_BLAST_LCORE_H
#define KIRA_BLAST_LCORE_H

#include "dataplane/kira_dpdk_compat.h"

#include "dataplane/blast/blast_broker.h"
#include "dataplane/blast/blast_hostile.h"
#include "dataplane/blast/blast_inject.h"
#include "dataplane/nic.h"
#include "dataplane/nic_guard.h"

struct rte_mbuf;
struct rte_mempool;

#define BLAST_BURST 64
/* Frames ready for the port; a doubled one and those held back come on top of a burst. */
#define BLAST_STAGE (2 * BLAST_BURST + INJECT_DEPTH_MAX)

enum blast_limit { LIMIT_GENERATOR, LIMIT_PORT, LIMIT_CREDIT, LIMIT_WINDOW, LIMIT_SCHEDULE, LIMITS };

struct blast {
	const struct blast_options *o;
	struct frame_template frame;
	struct blast_run run;
	struct broker broker;
	unsigned sessions;              /* that load; broker.sessions: with a hostile insider behind them */
	struct blast_session *session;

	struct nic_device device;
	struct nic nic;
	struct nic_guard *guard;
	struct rte_mempool *data;       /* its packets hold the template */
	uint8_t address[4], mask[4], gateway[4];
	uint8_t peer_mac[6];
	bool peer_known;

	struct rte_mbuf *stage[BLAST_STAGE];
	struct rte_mbuf *spare_data, *spare_plain;
	unsigned staged, next_session;
	struct inject out, in;
	struct hostile hostile;

	uint64_t limit_ns[LIMITS];      /* time by what held the run back */
	double cpu_share;               /* of the run, that this thread had a CPU */
	uint64_t gap_max_ns;            /* longest time from one turn to the next */
	uint64_t out_frames, in_frames;
	/* Frame bytes that came in: answers that a session took, ARP, and others. On a memif the latter
	 * are what the broker said to nobody it granted. */
	uint64_t answer_bytes, arp_bytes, unclaimed_bytes;
	uint64_t ignored;               /* datagrams that no session believed, forged ones too */
	struct err reason;              /* why the broker could not be used, so far as known */
};

static inline uint64_t
blast_give_up_ns(const struct blast *b)
{
	return (uint64_t)(b->o->give_up_after * 1e9);
}

/* SIGINT or SIGTERM came: no new batches. */
bool blast_stop_asked(void);

/* Send until the schedule is over, then until all is at its level. 0; -ETIMEDOUT after
 * --give-up-after without an ack, -EIO where the broker refused for good: `err` has the reason. */
int blast_run(struct blast *b, struct err *err);

#endif
