/* SPDX-License-Identifier: MIT
 * producer_sim_judge.c - what must be true: of each delivery when it is told, of sessions and credit at
 * every turn, of the whole log at the end. Sees all, changes nothing. See producer_sim.h. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/sim/producer_sim.h"

#include "tests/unit/dataplane/world.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

/* How often the batch lies in the first `upto` of its partition's log, and where first. */
static unsigned
count(unsigned client, unsigned batch, bool durable, int64_t *offset)
{
	const unsigned slot = (unsigned)sim.client[client].batch[batch].partition;
	const struct partition *part = &world.part[slot];
	const unsigned upto = durable ? part->durable : part->published;
	unsigned n = 0;

	for (unsigned i = 0; i < upto; i++) {
		if (sim_broker_tag(slot, i) != sim_tag(client, batch))
			continue;
		if (n++ == 0)
			*offset = part->log[i].base_offset;
	}
	return n;
}

void
sim_judge_told(unsigned client, unsigned batch, int16_t error, int64_t offset)
{
	struct sim_batch *b = &sim.client[client].batch[batch];
	int64_t lies_at = -1;
	unsigned n;

	sim_note("told %u/%u %d", client, batch, error);
	if (b->told++ > 0)
		sim_wrong("told twice");
	sim.client[client].told++;
	if (error == KIRA_E_REQUEST_TIMED_OUT) { /* perhaps stored, so it says */
		b->failed = true;
		sim.client[client].failed++;
		sim_fired(FAULT_TIMED_OUT);
		return;
	}
	if (error != 0) {
		sim_wrong("failed for good, and nothing here is");
		return;
	}
	if (sim.client[client].acks == KIRA_ACKS_NONE) {
		b->handed = true;
		sim_fired(FAULT_HANDED);
		return;
	}
	b->stored = true;
	n = count(client, batch, sim.client[client].acks == KIRA_ACKS_DISK, &lies_at);
	if (n == 0)
		sim_wrong("told stored, and is not");
	else if (n > 1 && !sim.plan.no_idempotence)
		sim_wrong("told stored, and is so twice");
	else if (n == 1 && offset >= 0 && offset != lies_at)
		sim_wrong("told another offset than it lies at");
}

/* What storage was given, and has given back, ended in one way that is counted. */
static void
judge_sums(void)
{
	const struct store_counters *st = &world.store_count;

	if (counter_read(&world.rx_count.data) + sim.produced !=
			counter_read(&st->udp_batches) + counter_read(&st->tcp_batches) + counter_read(&st->duplicates) +
			counter_read(&st->refused) + counter_read(&st->hold_refused) +
			counter_read(&st->freed_with_session) + counter_read(&st->wait_expired))
		sim_wrong("a batch came to an end that is counted nowhere, or twice");
}

void
sim_judge_turn(void)
{
	const struct sessions *ss = &world.rx.sessions;
	uint32_t weights = 0, in_store = 0;

	for (uint32_t i = 0; i < ss->live_n; i++) {
		const struct session *s = &ss->session[ss->live[i]];

		weights += s->weight;
		in_store += s->in_store;
		if (s->bytes_out > s->bytes_in)
			sim_wrong("answers outweigh what came in");
	}
	if (weights != ss->credit_out || weights > ss->credit)
		sim_wrong("credit does not add up");
	if (in_store != world.rx.in_store)
		sim_wrong("packets in storage do not add up");
	if (world.rx.in_store == 0 && sim_tcp_idle())
		judge_sums();
}

void
sim_judge_drained(void)
{
	const struct sessions *ss = &world.rx.sessions;

	for (uint32_t i = 0; i < ss->live_n; i++) {
		const struct session *s = &ss->session[ss->live[i]];

		if (s->in_store > 0 || (s->state != SESSION_ENDED && window_out(&s->window) > 0))
			sim_wrong("drained, with packets received and not final");
	}
}

/* A client that lost a batch to its time may store what came after it before an earlier one: the order
 * is promised while nothing fails. At level none it was told before. */
static bool
may_reorder(unsigned client)
{
	return sim.client[client].failed > 0
		|| (sim.client[client].acks == KIRA_ACKS_NONE && sim.plan.short_timeouts);
}

/* To one process; another one has another producer id or epoch. */
static void
judge_order(unsigned slot)
{
	int64_t last[SIM_CLIENTS];
	unsigned life[SIM_CLIENTS] = {0};

	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		last[i] = -1;
	for (unsigned i = 0; i < world.part[slot].published; i++) {
		const int64_t tag = sim_broker_tag(slot, i);
		const unsigned client = (unsigned)(tag / sim_tag(1, 0));
		unsigned of;

		if (tag == SIM_EARLIER)
			continue;
		of = sim.client[client].batch[tag % sim_tag(1, 0)].life;
		if (of != life[client]) {
			life[client] = of;
			last[client] = -1;
		}
		if (tag <= last[client] && !may_reorder(client)) {
			sim_note("partition %u at %u: batch %lld behind %lld", slot, i, (long long)tag,
				(long long)last[client]);
			sim_wrong("stored out of order");
		}
		last[client] = MAX(last[client], tag);
	}
}

/* Of a producer no batch lies behind one of a newer epoch, and within an epoch each begins where the
 * one before it ended; but over TCP a producer silent for a day goes on anywhere. */
static void
judge_numbers(unsigned slot)
{
	const struct partition *part = &world.part[slot];

	for (unsigned i = 1; i < part->published; i++) {
		const struct fake_batch *b = &part->log[i];
		unsigned k = i;

		if (b->producer < 0)
			continue;
		while (k > 0 && part->log[k - 1].producer != b->producer)
			k--;
		if (k == 0)
			continue;
		if (sim_broker_epoch(slot, i) < sim_broker_epoch(slot, k - 1))
			sim_wrong("stored behind a batch of a newer epoch");
		else if (sim_broker_epoch(slot, i) == sim_broker_epoch(slot, k - 1) && !sim.day_passed
				&& b->sequence != rb_sequence_add(part->log[k - 1].sequence, part->log[k - 1].records))
			sim_wrong("stored behind a gap, or twice");
	}
}

void
sim_judge_end(void)
{
	int64_t at;

	for (unsigned c = 0; c < SIM_CLIENTS; c++) {
		for (unsigned k = 0; k < sim.client[c].made; k++) {
			const unsigned n = count(c, k, false, &at);

			if (n > 1 && !sim.plan.no_idempotence) {
				sim_note("client %u batch %u: %u times", c, k, n);
				sim_wrong("stored twice");
			}
			if (n == 0 && sim.client[c].batch[k].stored)
				sim_wrong("told stored, and lost");
			/* Told or not, it is owed to kirad while its process lives and has time. */
			if (n == 0 && sim.client[c].batch[k].handed && !sim.plan.short_timeouts
					&& sim.client[c].batch[k].life == sim.client[c].life)
				sim_wrong("sent at level none, and forgotten");
		}
	}
	for (unsigned i = 0; i < SIM_PARTITIONS && !sim.plan.no_idempotence; i++) {
		judge_order(i);
		judge_numbers(i);
	}
}
