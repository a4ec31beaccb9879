/* SPDX-License-Identifier: MIT
 * producer_sim_broker.c - kirad: storage.h in memory with storage's producer table, a disk that syncs when
 * it likes, the set-up thread's side of sessions, kills and what is left after them. See producer_sim.h. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/sim/producer_sim.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/producer_state.h"
#include "tests/unit/dataplane/world.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <rte_ring_elem.h>
#include <string.h>

#define FAIL_IN_RACE 3000 /* looks at the words of commits */
#define PRODUCERS 256 /* more than there are: none is forgotten */

/* What the log keeps of each batch beside struct fake_batch. */
static struct {
	int64_t tag;
	int16_t epoch;
} entry[SIM_PARTITIONS][FAKE_LOG];

static struct producers *producers;
static uint64_t commits;               /* begun */
static unsigned syncing[SIM_PARTITIONS]; /* published when the one that runs began */
static bool sync_runs, serves;

int64_t
sim_broker_tag(unsigned partition, unsigned batch)
{
	return entry[partition][batch].tag;
}

int16_t
sim_broker_epoch(unsigned partition, unsigned batch)
{
	return entry[partition][batch].epoch;
}

static int32_t
last_sequence(int32_t first, int32_t records)
{
	return rb_sequence_add(first, records - 1);
}

/* ---- storage.h ----------------------------------------------------------------------------- */

void
fake_partition(struct partition *ret, struct storage *s, unsigned slot, unsigned lcore)
{
	memset(ret, 0, sizeof(*ret));
	ret->storage = s;
	s->part[slot] = ret;
	ret->slot = slot;
	ret->lcore = lcore;
	ret->room = SIM_MANY;
}

static bool
damaged(const uint8_t *b, uint32_t length)
{
	return length != (uint64_t)rb_total(b)
		|| rb_crc(b) != crc32c(b + RB_ATTRIBUTES, length - RB_ATTRIBUTES);
}

/* What its number says; STORED: it may be. */
static enum append_verdict
judge_number(struct partition *part, const uint8_t *b, unsigned flags, uint64_t now_ns,
	struct append_result *res)
{
	const int32_t first = rb_base_sequence(b);

	if (rb_producer_id(b) < 0)
		return APPEND_STORED;
	switch (producers_judge(producers, part->slot, rb_producer_id(b), rb_producer_epoch(b), first,
		last_sequence(first, rb_count(b)), flags & APPEND_UDP, now_ns, &res->base_offset)) {
	case PRODUCER_NEXT:
		return APPEND_STORED;
	case PRODUCER_DUPLICATE:
		return APPEND_DUPLICATE;
	case PRODUCER_LONG_AGO:
		res->error = KIRA_E_DUPLICATE_SEQUENCE_NUMBER;
		return APPEND_DUPLICATE;
	case PRODUCER_FENCED:
		res->error = KIRA_E_INVALID_PRODUCER_EPOCH;
		return APPEND_REFUSED;
	case PRODUCER_AHEAD:
		if (flags & APPEND_UDP)
			return APPEND_EARLY;
		/* fall through */
	case PRODUCER_UNPROVEN:
	default:
		res->error = KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER;
		return APPEND_REFUSED;
	}
}

static void
store(struct partition *part, const uint8_t *b, uint64_t now_ns, struct append_result *res)
{
	const int32_t first = rb_base_sequence(b), n = rb_count(b);

	ASSERT(part->appended < FAKE_LOG);
	part->room--;
	entry[part->slot][part->appended].tag = rb_base_timestamp(b);
	entry[part->slot][part->appended].epoch = rb_producer_epoch(b);
	part->log[part->appended++] = (struct fake_batch){.producer = rb_producer_id(b),
		.base_offset = part->end, .sequence = first, .records = n};
	res->base_offset = part->end;
	part->end += n;
	if (last_sequence(first, n) < first)
		sim_fired(FAULT_WRAPPED);
	if (rb_producer_id(b) >= 0)
		producers_stored(producers, part->slot, rb_producer_id(b), rb_producer_epoch(b), first,
			last_sequence(first, n), res->base_offset, 0, now_ns);
}

bool
sim_broker_had(unsigned partition, int64_t producer, int32_t sequence)
{
	struct partition *part = &world.part[partition];

	if (part->state == PART_FAILED)
		return false;
	entry[partition][part->appended].tag = SIM_EARLIER;
	entry[partition][part->appended].epoch = 0;
	part->log[part->appended++] = (struct fake_batch){.producer = producer, .base_offset = part->end,
		.sequence = sequence, .records = 1};
	producers_stored(producers, partition, producer, 0, sequence, sequence, part->end, 0, sim_kirad_now());
	part->end++;
	part->published = part->durable = part->appended;
	return true;
}

enum append_verdict
storage_append(struct partition *part, uint8_t *batch, uint32_t length, unsigned flags,
	uint64_t now_ns, int64_t wall_ms, struct append_result *res)
{
	enum append_verdict v;

	(void)wall_ms;
	*res = (struct append_result){.base_offset = -1, .append_ms = -1};
	if (part->state == PART_FAILED) {
		res->error = KIRA_E_KAFKA_STORAGE_ERROR;
		v = APPEND_REFUSED;
	} else if (!(flags & APPEND_CHECKED) && damaged(batch, length)) {
		res->error = KIRA_E_CORRUPT_MESSAGE;
		v = APPEND_REFUSED;
	} else {
		v = judge_number(part, batch, flags, now_ns, res);
		if (v == APPEND_STORED && part->room == 0)
			v = APPEND_WAIT;
		else if (v == APPEND_STORED)
			store(part, batch, now_ns, res);
	}
	sim_note("append %u batch %lld epoch %d seq %d udp %u: %d error %d", part->slot,
		(long long)rb_base_timestamp(batch), rb_producer_epoch(batch), rb_base_sequence(batch),
		!!(flags & APPEND_UDP), v, res->error);
	return v;
}

void
storage_give_up(struct partition *part, const uint8_t *batch, uint32_t length, unsigned flags, uint64_t now_ns)
{
	if (rb_producer_id(batch) >= 0 && ((flags & APPEND_CHECKED) || !damaged(batch, length)))
		producers_given_up(producers, part->slot, rb_producer_id(batch), rb_producer_epoch(batch),
			rb_base_sequence(batch), now_ns);
}

uint64_t
storage_publish(struct partition *part)
{
	part->published = part->appended;
	return commits + 1; /* one that runs took what was published before */
}

bool storage_has_room(const struct partition *part) { return part->room > 0; }
void storage_roll(struct partition *part, uint64_t now_ns) {}
void storage_configure(struct partition *part, const struct partition_config *config) {}
unsigned
storage_producers(const struct partition *part, struct storage_producer *to, unsigned n, uint64_t now_ns)
{
	return 0; /* nobody asks here */
}
void storage_detach_lcore(struct partition *part) {}
bool storage_flush_sleeps(const struct storage *s) { return false; }
void storage_wake_flush(struct storage *s) {}
enum partition_state storage_state(const struct partition *part) { return part->state; }
unsigned storage_lcore(const struct partition *part) { return part->lcore; }
unsigned storage_slot(const struct partition *part) { return part->slot; }
void storage_want_disk(struct storage *s, unsigned lcore, uint64_t commit) {}

/* A step of the flush daemon: begin a commit, or end the one that runs. */
static void
flush_step(void)
{
	if (!sync_runs) {
		commits++;
		for (unsigned i = 0; i < SIM_PARTITIONS; i++)
			syncing[i] = world.part[i].published;
		sync_runs = true;
		return;
	}
	for (unsigned i = 0; i < SIM_PARTITIONS; i++)
		if (world.part[i].state != PART_FAILED)
			world.part[i].durable = MAX(world.part[i].durable, syncing[i]);
	world.storage.commit_done = commits;
	sync_runs = false;
}

/* The flush daemon is another thread: whatever it does may come between two loads of an rx lcore. */
static void
race(void)
{
	if (serves && sim.plan.failing && !sim.calm && !sim.away && !sim_broker_failed()
		&& sim_once_in(FAIL_IN_RACE)) {
		sim_broker_fail(sim_draw(SIM_PARTITIONS));
		if (!sync_runs)
			flush_step();
		flush_step();
		sim_fired(FAULT_RACED);
	}
}

uint64_t
storage_commit_done(const struct storage *s)
{
	const uint64_t done = s->commit_done;

	race();
	return done;
}

uint64_t
storage_failures(const struct storage *s)
{
	const uint64_t failures = s->failures;

	race();
	return failures;
}

/* ---- Sessions ------------------------------------------------------------------------------ */

/* Anchors that went while kirad stood still. */
#define LATER_MAX 64
static struct {
	uint32_t id;
	uint64_t secret;
} later[LATER_MAX];
static unsigned later_n;

static void
command(struct rx_cmd *cmd)
{
	struct rx_cmd *back;

	ASSERT(rte_ring_sp_enqueue(world.rx.cmd, cmd) == 0);
	world_rx();
	ASSERT(rte_ring_sc_dequeue(world.rx.cmd_done, (void **)&back) == 0);
	sim_wire_answers();
}

void
sim_broker_open(struct sim_open *o)
{
	struct rx_cmd cmd = world_grant_cmd(o->window,
		KUP_CAP_WANT_OFFSETS | (o->want_disk ? KUP_CAP_WANT_DISK : 0));

	cmd.incarnation = sim.incarnation;
	cmd.secret = o->secret;
	cmd.lease_ms = sim.plan.lease_ms;
	cmd.ack_every = sim.plan.ack_every;
	cmd.ack_delay_us = sim.plan.ack_delay_us;
	cmd.keepalive_s = sim.plan.keepalive_s;
	if (o->repeat) {
		cmd.kind = RX_REPEAT;
		cmd.session_id = o->id;
		cmd.topic[0] = NULL; /* named before */
	}
	command(&cmd);
	o->id = cmd.session_id;
	o->window = cmd.window;
	o->credit_limit = cmd.credit_limit;
	o->error = cmd.error;
}

void
sim_broker_anchor_gone(uint32_t id, uint64_t secret)
{
	struct rx_cmd cmd = {.kind = RX_ANCHOR_GONE, .session_id = id, .secret = secret};

	if (sim.away)
		return;
	if (!sim.stopped) {
		command(&cmd);
	} else if (later_n < LATER_MAX) {
		later[later_n].id = id;
		later[later_n++].secret = secret;
	}
}

void
sim_broker_moves(void)
{
	sim.stopped = false;
	while (later_n > 0) {
		later_n--;
		sim_broker_anchor_gone(later[later_n].id, later[later_n].secret);
	}
}

void
sim_broker_withdraw(uint32_t id, uint64_t secret)
{
	struct rx_cmd cmd = {.kind = RX_END, .session_id = id, .secret = secret, .reason = 4};

	command(&cmd);
}

/* ---- Its life ------------------------------------------------------------------------------ */

void
sim_broker_begin(void)
{
	world_begin(sim.plan.credit, sim.plan.ring);
	world.now = sim_kirad_now();
	sim.produced = 0;
	later_n = 0;
	sim.stopped = false;
	commits = 0;
	sync_runs = false;
	ASSERT(producers_open(&producers, PRODUCERS, SIM_PARTITIONS));
	serves = true;
}

static void
take_counters(void)
{
	sim.fired[FAULT_LEASE_OVER] += counter_read(&world.rx_count.ended_lease);
	sim.fired[FAULT_ENDED_DISK] += counter_read(&world.rx_count.ended_disk);
	sim.fired[FAULT_SILENT] += counter_read(&world.rx_count.ended_silence);
	sim.fired[FAULT_RESET] += counter_read(&world.rx_count.resets);
	sim.fired[FAULT_OVER_CREDIT] += counter_read(&world.drop[DROP_OVER_CREDIT]);
	sim.fired[FAULT_RING_FULL] += counter_read(&world.drop[DROP_RING_FULL]);
	sim.fired[FAULT_ACK_WAITS] += counter_read(&world.rx_count.ack_waits);
	sim.fired[FAULT_QUERIED] += counter_read(&world.rx_count.queries);
	sim.fired[FAULT_HELD] += counter_read(&world.store_count.held);
	sim.fired[FAULT_DUPLICATE] += counter_read(&world.store_count.duplicates);
	sim.fired[FAULT_WAIT_EXPIRED] += counter_read(&world.store_count.wait_expired);
}

unsigned
sim_broker_end(void)
{
	unsigned missing;

	serves = false;
	take_counters();
	world_lose();
	missing = world_end();
	sim_tcp_killed();
	producers_close(producers);
	return missing;
}

/* Recovery of a partition: a snapshot somewhere in the log, if the plan has them, then batch by batch. */
static void
recover(unsigned slot)
{
	static uint8_t snapshot[65536];
	struct partition *part = &world.part[slot];
	const unsigned at = sim.plan.snapshots && part->appended ? sim_draw(part->appended) : 0;

	for (unsigned i = 0; i < part->appended; i++) {
		const struct fake_batch *b = &part->log[i];

		if (i == at && at > 0) {
			const uint32_t n = producers_put(producers, slot, snapshot, sizeof(snapshot));

			producers_seal_snapshot(snapshot, n);
			producers_forget(producers, slot);
			ASSERT(producers_load(producers, slot, snapshot, n, sim_kirad_now()));
			sim_fired(FAULT_SNAPSHOT);
		}
		if (b->producer >= 0)
			producers_stored(producers, slot, b->producer, entry[slot][i].epoch, b->sequence,
				last_sequence(b->sequence, b->records), b->base_offset, 0, sim_kirad_now());
	}
}

void
sim_broker_kill(bool power)
{
	static struct partition was[SIM_PARTITIONS];
	struct store_msg *m;

	sim_note(power ? "power cut" : "kill");
	sim_fired(power ? FAULT_POWER_CUT : FAULT_KILLED);
	memcpy(was, world.part, sizeof(was));
	while (rte_ring_sc_dequeue(world.store.cmd, (void **)&m) == 0)
		;
	if (sim_broker_end() > 0)
		sim_wrong("packet buffers are missing after a kill");
	sim_broker_begin();
	for (unsigned i = 0; i < SIM_PARTITIONS; i++) {
		struct partition *part = &world.part[i];

		memcpy(part->log, was[i].log, sizeof(part->log));
		part->appended = part->published = power ? was[i].durable : was[i].published;
		part->durable = MIN(was[i].durable, part->appended);
		if (part->appended > 0)
			part->end = part->log[part->appended - 1].base_offset
				+ part->log[part->appended - 1].records;
		recover(i);
	}
	sim.incarnation++;
	sim.drain_until_ns = 0;
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		sim_client_kirad_died(i);
}

void
sim_broker_fail(unsigned partition)
{
	sim_note("sync fails: %u", partition);
	sim_fired(FAULT_FAILED);
	world.part[partition].state = PART_FAILED;
	world.storage.failures++;
}

bool
sim_broker_failed(void)
{
	for (unsigned i = 0; i < SIM_PARTITIONS; i++)
		if (world.part[i].state == PART_FAILED)
			return true;
	return false;
}

void
sim_broker_room(unsigned partition, unsigned batches)
{
	world.part[partition].room = batches;
}

static void
drain_turn(void)
{
	bool drained;

	world.draining = true;
	drained = rx_drained(&world.rx) && atomic_load(&world.store.left) == 0
		&& !store_has_work(&world.store);
	if (!drained && sim.now_ns < sim.drain_until_ns)
		return;
	sim_note("drained %d", drained);
	if (drained) {
		sim_fired(FAULT_DRAINED);
		sim_judge_drained();
	}
	sim_broker_kill(false);
}

void
sim_broker_turn(void)
{
	world.now = sim_kirad_now();
	if (!sim.away && !sim.stopped) {
		world_rx();
		sim_wire_answers();
		if (sim.calm || !sim_once_in(3)) /* descheduled now and then */
			world_store();
	}
	if (!sim.stopped)
		sim_tcp_turn();
	if (sim.away || sim.stopped)
		return;
	if (sim.calm || sim_once_in(sim.plan.sync_in))
		flush_step();
	if (sim.drain_until_ns != 0)
		drain_turn();
}
