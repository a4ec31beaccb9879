/* SPDX-License-Identifier: MIT
 * store.h - a storage lcore: what it owns, and its turn. */
#ifndef KIRA_DATAPLANE_STORE_H
#define KIRA_DATAPLANE_STORE_H

#include "dataplane/bell.h"
#include "dataplane/dataplane.h"
#include "dataplane/handoff.h"
#include "dataplane/hold.h"
#include "dataplane/moved.h"

#include "base/stall.h"

#define STORE_STAGED   128           /* finished messages of one turn before a publish */
#define STORE_WAIT_LOOK 32           /* waiting messages looked at for what has expired, so often: */
#define STORE_LOOK_NS  (100 * NS_PER_US) /* in each turn it was a seventh of a waiting lcore's time */
#define STORE_TCP_WAIT_NS NS_PER_S   /* a TCP batch without room for so long is refused, 56 */

struct store_counters {
#define COUNTER(name, help) counter name;
#include "dataplane/store_counters.def"
#undef COUNTER
};

/* What the lcore keeps per partition beside storage's own; indexed by storage_slot(). */
struct store_lane {
	struct partition *part;                  /* of the last message */
	struct store_msg *wait_head, *wait_tail; /* in WAIT: a FIFO, nothing overtakes it */
	uint64_t commit;                         /* of the run published last */
	uint32_t held;                           /* its batches in the hold */
	uint32_t waiting_at;                     /* 1 + its place in waiting[]; 0: not in WAIT */
	bool asked;                              /* the head was tried and told WAIT: storage knows
						  * what it needs. Else its answer would be about
						  * a batch that is long stored */
	bool dirty;                              /* appended to, or a duplicate judged, since the
						  * last publish */
};

struct store_lcore {
	/* Set before the thread starts. */
	unsigned index, rx_lcores;
	struct storage *storage;
	struct rte_ring *cmd, *cmd_done;                    /* struct store_msg *, from and to control */
	struct rte_ring *from_rx[RX_LCORES_MAX];            /* struct store_msg * of packets */
	struct rte_ring *done[RX_LCORES_MAX];               /* struct store_done */
	const _Atomic uint8_t *ended[RX_LCORES_MAX];        /* Q2: per session slot, written by its rx */
	const _Atomic bool *draining;
	_Atomic bool *new_data;                             /* an end moved; control clears it */
	struct moved moved;                                 /* whose: marks that control takes */
	struct gifts *gifts;                                /* the loop's */
	struct store_counters *count;
	struct stall_counters *wait_count;                  /* how long batches without room waited */
	struct store_lane *lane;
	unsigned lanes;
	/* This lcore's alone. */
	struct hold hold;
	unsigned drain_left;                                /* held batches this turn may still append */
	struct store_lane **waiting, **dirty;               /* [lanes] */
	unsigned waiting_n, dirty_n;
	unsigned waiting_next;                              /* where the next turn begins */
	unsigned staged_n;
	struct store_msg *staged[STORE_STAGED];
	struct store_msg *look_prev;                        /* cursor of the look through a FIFO: */
	struct store_lane *look_lane;                       /* the next one looked at follows it */
	uint64_t looked_ns;
	unsigned look_at;                                   /* waiting[] index after look_lane */
	uint64_t failures;                                  /* storage_failures() seen */
	_Atomic uint32_t left;                              /* taken, not finished: waiting or held; the
							     * control thread reads it when draining */
};

static inline struct store_lane *
store_lane(struct store_lcore *st, const struct store_msg *msg)
{
	return &st->lane[storage_slot(msg->part)];
}

/* False: no memory. `capacity`: the credit of all rx queues. */
bool store_open(struct store_lcore *st, unsigned partitions_max, unsigned capacity);
/* After its thread ended: gives back what waits or is held. */
void store_close(struct store_lcore *st);

/* One bounded pass: a burst of each ring, what waits, what expired. Returns how much it did. */
unsigned store_turn(struct store_lcore *st, uint64_t now_ns, int64_t wall_ms);

/* True while something can only go on when the flush daemon gives room. */
static inline bool
store_waits(const struct store_lcore *st)
{
	return st->waiting_n > 0;
}

/* Is there something in a ring? For the last look before sleeping. */
bool store_has_work(const struct store_lcore *st);

#endif
