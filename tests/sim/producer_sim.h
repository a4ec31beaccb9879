/* SPDX-License-Identifier: MIT
 * producer_sim.h - what the files of producer_sim share. One run: two clients, each libkira's own I/O
 * thread files, against the real rx_turn and store_turn with storage's producer table, over a wire, a disk
 * and a broker that misbehave as the run's seed says. One thread; time and chance are the simulator's, so
 * the same seed is the same run. Included by both sides: it names neither side's struct partition. */
#ifndef KIRA_TESTS_PRODUCER_SIM_H
#define KIRA_TESTS_PRODUCER_SIM_H

#include "base/bits.h"
#include "base/clock.h"

#include <kira/producer.h>
#include <stdbool.h>
#include <stdint.h>

#define SIM_CLIENTS    2
#define SIM_BATCHES    1200 /* of each client at most; mostly a quarter of it */
#define SIM_PARTITIONS 3
#define SIM_MANY       10000 /* batches of room: never full */

enum sim_fault {
#define FAULT(name, text) FAULT_##name,
#include "tests/sim/producer_sim_faults.def"
#undef FAULT
	FAULTS
};

/* What becomes of a burst that a client hands over uncut: on veth nothing of it may arrive, or its first. */
enum sim_bursts { SIM_CARRIES, SIM_SHORTENS, SIM_SWALLOWS };

/* What may happen in a run; drawn before it begins. */
struct sim_plan {
	uint32_t loss, doubling, damage, marks; /* permille of the datagrams, each way; marks: to kirad */
	uint32_t distance_us, jitter_us, late_in;
	enum sim_bursts bursts;
	unsigned chaos;                  /* 0: the wire alone misbehaves .. 3 */
	unsigned credit;
	unsigned ring;                   /* packets between the lcores; 0: the credit, as in kirad */
	uint16_t ack_every, keepalive_s;
	uint32_t ack_delay_us;
	unsigned batches;                /* of each client */
	unsigned alive;                  /* at a time */
	uint16_t window;                 /* asked for at most */
	unsigned large_in;               /* one batch of so many fits no datagram */
	unsigned pace;                   /* a batch in about so many turns, until it is calm */
	unsigned sync_in;                /* turns, about, of a sync */
	uint32_t lease_ms;
	bool power_cuts;                 /* kills lose what is not synced; level disk only */
	bool power_loop;                 /* of these: it fails every now and then, chaos or not */
	bool short_timeouts, failing, draining;
	bool snapshots;                  /* each start is from a snapshot and the log behind it */
	bool tcp_only;                   /* on a disk that is full for the first second, and after a day for one more */
	bool as_kafka;                   /* of these: without libkira's guard for an unknown producer */
	bool no_idempotence;             /* at least once is all that is promised */
	bool wrap;                       /* sequence numbers begin again in the run */
	bool restarts, crash_loop, leaps; /* crash_loop: clients die every now and then, chaos or not */
	uint64_t full_until_ns;          /* of tcp_only */
	uint64_t day_ns;                 /* then a day passes, once nothing is alive; UINT64_MAX: none */
	uint64_t calm_ns;                /* from then on nothing new happens, and all must end well */
};

struct sim_batch {
	int32_t partition;
	unsigned told;
	unsigned life;                   /* of the process that made it */
	bool stored, failed;             /* as told */
	bool handed;                     /* told at level none, when it was sent */
	bool gone;                       /* never told: its process died */
};

struct sim {
	uint64_t seed, now_ns, begun_ns;
	struct sim_plan plan;
	bool calm;
	bool dark_out, dark_back;        /* no datagram gets to kirad; none comes from it */
	bool away, stopped, cut_off;     /* no kirad runs; it does not move; no new connection */
	bool pausing, day_passed;        /* nothing is made, until a day has passed */
	uint64_t dark_until_ns, away_until_ns, stopped_until_ns, cut_off_until_ns;
	uint64_t drain_until_ns;         /* 0: none */
	uint64_t ahead_ns;               /* kirad's clock, of now_ns */
	uint64_t incarnation;
	uint64_t produced;               /* Produce requests that this incarnation's storage was given */
	struct {
		enum kira_acks acks;
		bool floods;             /* no congestion control */
		unsigned made, told, failed, gone, life;
		uint64_t ahead_ns;       /* its clock, of now_ns */
		uint64_t asleep_until_ns; /* it takes no turn */
		struct sim_batch batch[SIM_BATCHES];
	} client[SIM_CLIENTS];
	const char *wrong;               /* the first thing that was; NULL: none */
	uint64_t trace;                  /* of every line noted */
	uint64_t fired[FAULTS];          /* over all runs */
	uint64_t slowest_ns, slowest;    /* of all runs, from calm to the end; its seed */
	bool print;
};
extern struct sim sim;

/* producer_sim.c */
uint32_t sim_draw(uint32_t n);           /* 0..n-1, the run's only chance */
static inline bool
sim_once_in(uint32_t n)
{
	return sim_draw(n) == 0;
}
void sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_wrong(const char *what);
static inline void
sim_fired(enum sim_fault f)
{
	sim.fired[f]++;
}
/* Clocks leap, each host's for itself; they never go back. */
static inline uint64_t
sim_kirad_now(void)
{
	return sim.now_ns + sim.ahead_ns;
}
static inline uint64_t
sim_client_now(unsigned client)
{
	return sim.now_ns + sim.client[client].ahead_ns;
}
/* A batch is known by the timestamp of its records; SIM_EARLIER: it was there before the run. */
#define SIM_EARLIER (-1)
static inline int64_t
sim_tag(unsigned client, unsigned batch)
{
	return (int64_t)client * 1000000 + batch;
}

/* producer_sim_plan.c: what goes wrong, and when */
void sim_plan_draw(void);
void sim_plan_turn(void);

/* producer_sim_wire.c: datagrams on their way, and client_udp.h over them */
void sim_wire_begin(void);
void sim_wire_clear(void);               /* nothing is on its way any more */
void sim_wire_turn(void);                /* what is due arrives */
void sim_wire_answers(void);             /* what the turns sent goes out */
uint64_t sim_wire_next_ns(void);

/* producer_sim_watch.c: what kirad's answers say, one after the other */
struct frame;
void sim_watch_begin(void);
void sim_watch_arrived(const struct frame *f);
void sim_watch_answer(const struct frame *f);
void sim_watch_lost(const struct frame *f);

/* producer_sim_tcp.c: client_tcp.h, and kirad's half of a Produce connection */
void sim_tcp_turn(void);
bool sim_tcp_idle(void);                 /* kirad has nothing left to do of what was sent, by dead processes too */
void sim_tcp_die(void);                  /* every connection is cut; kirad lives */
void sim_tcp_killed(void);               /* after the turns ended: what they had is gone */

/* producer_sim_broker.c: storage.h in memory with the producer table, sessions, kills */
struct sim_open {
	bool repeat, want_disk;
	uint32_t id;                     /* in and out */
	uint64_t secret;
	uint16_t window;
	uint32_t credit_limit;
	int16_t error;
};

void sim_broker_begin(void);
unsigned sim_broker_end(void);           /* packet buffers missing */
void sim_broker_turn(void);
void sim_broker_open(struct sim_open *o);
void sim_broker_anchor_gone(uint32_t id, uint64_t secret);
void sim_broker_withdraw(uint32_t id, uint64_t secret);
/* Of an earlier day: the last batch of a producer in a partition. */
bool sim_broker_had(unsigned partition, int64_t producer, int32_t sequence);
void sim_broker_kill(bool power);
void sim_broker_moves(void);             /* after it was stopped */
void sim_broker_fail(unsigned partition);
bool sim_broker_failed(void);            /* is a partition? */
void sim_broker_room(unsigned partition, unsigned batches);
int64_t sim_broker_tag(unsigned partition, unsigned batch); /* of the log */
int16_t sim_broker_epoch(unsigned partition, unsigned batch);

/* producer_sim_client.c: libkira's I/O thread, with a set-up thread that is played */
void sim_client_begin(unsigned client);
void sim_client_end(unsigned client);
void sim_client_turn(unsigned client);
bool sim_client_done(unsigned client);   /* nothing is alive in it, and nothing left to make */
bool sim_client_idle(unsigned client);   /* nothing is alive in it */
void sim_client_die(unsigned client, bool same_id); /* its process, and another one takes over */
uint64_t sim_client_next_ns(unsigned client);
bool sim_client_session(unsigned client, uint32_t *id, uint64_t *secret);
void sim_client_near_wrap(unsigned client); /* idle, and its producer forgotten: its numbers are nearly at their end */
void sim_client_lose_anchor(unsigned client);
void sim_client_kirad_died(unsigned client);
void sim_client_udp_again(unsigned client);
struct cudp;
void sim_client_burst(struct cudp *u, uint32_t first_tx, uint32_t count);
void sim_client_datagram(unsigned client, const uint8_t *p, uint32_t length);
const char *sim_client_text(unsigned client); /* for the report of a failure */

/* producer_sim_judge.c: what must be true */
void sim_judge_told(unsigned client, unsigned batch, int16_t error, int64_t offset);
void sim_judge_turn(void);               /* sessions and credit */
void sim_judge_drained(void);
void sim_judge_end(void);

#endif
