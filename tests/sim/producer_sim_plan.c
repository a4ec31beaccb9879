/* SPDX-License-Identifier: MIT
 * producer_sim_plan.c - what goes wrong in a run, and when. See producer_sim.h. */
#include "tests/sim/producer_sim.h"

/* Of about so many turns one. */
#define FAILS_IN   400
#define RESTART_IN 1500 /* after a failed sync */
#define CHAOS_IN   300
#define SLOW_SYNC  500

/* Combinations are drawn apart: bugs lay where two of them met. */
void
sim_plan_draw(void)
{
	struct sim_plan *p = &sim.plan;

	*p = (struct sim_plan){
		.loss = sim_draw(4) * 30,
		.doubling = sim_draw(3) * 20,
		.damage = sim_draw(2) * 5,
		.jitter_us = 1 + sim_draw(4) * 100,
		.chaos = sim_draw(4),
		.credit = 24 + sim_draw(400),
		.pace = (const unsigned[]){6, 6, 40, 150}[sim_draw(4)],
		.sync_in = (const unsigned[]){5, 10, SLOW_SYNC}[sim_draw(3)],
		.lease_ms = sim_once_in(2) ? 300 : 10000,
		.power_cuts = sim_once_in(4),
		.short_timeouts = sim_once_in(2),
		.failing = sim_once_in(2),
		.draining = sim_once_in(4),
		.snapshots = sim_once_in(2),
		.tcp_only = sim_once_in(10),
		.no_idempotence = sim_once_in(12),
		.calm_ns = sim.now_ns + (5 + sim_draw(20)) * NS_PER_S,
	};
	if (p->tcp_only)
		p->chaos = 0;
	if (p->sync_in == SLOW_SYNC)
		sim_fired(FAULT_SLOW_SYNC);
}

static void
go_dark(void)
{
	sim.dark = true;
	sim.dark_until_ns = sim.now_ns + sim_draw(15000) * NS_PER_MS;
	sim_note("dark");
	sim_fired(FAULT_DARK);
}

/* Connections that are there live on. */
static void
cut_off(void)
{
	sim.cut_off = true;
	sim.cut_off_until_ns = sim.now_ns + sim_draw(2000) * NS_PER_MS;
	sim_note("cut off");
	sim_fired(FAULT_CUT_OFF);
}

static void
kill_kirad(void)
{
	sim_broker_kill(sim.plan.power_cuts && sim_once_in(2));
	if (sim_once_in(2)) {
		sim.away = true;
		sim.away_until_ns = sim.now_ns + sim_draw(3000) * NS_PER_MS;
		sim_fired(FAULT_AWAY);
	}
}

static void
withdraw(unsigned client)
{
	uint64_t secret;
	uint32_t id;

	if (!sim_client_session(client, &id, &secret))
		return;
	sim_note("withdraw");
	sim_fired(FAULT_WITHDRAWN);
	sim_broker_withdraw(id, secret);
}

static void
fill_disk(void)
{
	sim_note("full");
	sim_fired(FAULT_FULL);
	for (unsigned i = 0; i < SIM_PARTITIONS; i++)
		sim_broker_room(i, 0);
}

static void
something(void)
{
	const unsigned client = sim_draw(SIM_CLIENTS);

	switch (sim_draw(9)) {
	case 0:
		go_dark();
		break;
	case 1:
		if (!sim.away)
			kill_kirad();
		break;
	case 2:
		if (!sim.away)
			withdraw(client);
		break;
	case 3:
		sim_client_lose_anchor(client);
		break;
	case 4:
		sim_note("tcp cut");
		sim_fired(FAULT_TCP_CUT);
		sim_tcp_die();
		break;
	case 5:
		fill_disk();
		break;
	case 6:
		sim_client_udp_again(client);
		break;
	case 7:
		cut_off();
		break;
	default:
		if (sim.plan.draining && !sim.away && sim.drain_until_ns == 0) {
			sim_note("drain");
			sim_fired(FAULT_DRAIN);
			sim.drain_until_ns = sim.now_ns + sim_draw(300) * NS_PER_MS;
		}
	}
}

static void
set_rooms(void)
{
	const struct sim_plan *p = &sim.plan;
	const uint64_t full_ns = (1000 + sim.seed % 40) * NS_PER_MS; /* a Produce waits 1 s for room */

	for (unsigned i = 0; i < SIM_PARTITIONS; i++) {
		if (p->tcp_only && sim.now_ns < sim.begun_ns + full_ns)
			sim_broker_room(i, 0);
		else if (sim.calm)
			sim_broker_room(i, SIM_MANY);
		else if (sim_once_in(400))
			sim_broker_room(i, sim_draw(3));
		else if (sim_once_in(60))
			sim_broker_room(i, SIM_MANY);
	}
}

/* A sync fails; later its operator starts kirad again. */
static void
disk_turn(void)
{
	const bool failed = sim_broker_failed();

	if (failed && (sim.calm || sim_once_in(RESTART_IN)))
		sim_broker_kill(false);
	else if (!failed && !sim.calm && sim.plan.failing && sim.plan.chaos > 0
			&& sim_once_in(FAILS_IN))
		sim_broker_fail(sim_draw(SIM_PARTITIONS));
}

void
sim_plan_turn(void)
{
	sim.calm = sim.now_ns > sim.plan.calm_ns;
	if (sim.dark && (sim.calm || sim.now_ns >= sim.dark_until_ns))
		sim.dark = false;
	if (sim.away && sim.now_ns >= sim.away_until_ns)
		sim.away = false;
	if (sim.cut_off && (sim.calm || sim.now_ns >= sim.cut_off_until_ns))
		sim.cut_off = false;
	set_rooms();
	if (!sim.away)
		disk_turn();
	if (!sim.calm && sim.plan.chaos > 0 && sim_once_in(CHAOS_IN / sim.plan.chaos))
		something();
}
