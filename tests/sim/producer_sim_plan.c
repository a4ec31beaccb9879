/* SPDX-License-Identifier: MIT
 * producer_sim_plan.c - what goes wrong in a run, and when. See producer_sim.h. */
#include "tests/sim/producer_sim.h"

#include <kira/wire.h>

/* Of about so many turns one. */
#define FAILS_IN   400
#define RESTART_IN 1500 /* after a failed sync */
#define CHAOS_IN   300
#define SLOW_SYNC  500
#define LEAP_IN    700
#define CRASH_IN   60
#define POWER_IN   300
#define LOSSY      200  /* permille */
#define DAY_NS     (25 * 3600 * NS_PER_S) /* storage forgets a producer that was silent for a day */

static uint32_t
one_of(const uint32_t *values, uint32_t n)
{
	return values[sim_draw(n)];
}

/* A Produce waits 1 s for room. */
static void
no_room_at_first(void)
{
	if (sim.plan.tcp_only)
		sim.plan.full_until_ns = sim.now_ns + (1000 + sim.seed % 40) * NS_PER_MS;
}

/* Combinations are drawn apart: bugs lay where two of them met. */
void
sim_plan_draw(void)
{
	struct sim_plan *p = &sim.plan;

	*p = (struct sim_plan){
		.loss = sim_once_in(4) ? sim_draw(301) : sim_draw(4) * 30,
		.doubling = sim_draw(3) * 20,
		.damage = sim_draw(2) * 5,
		.marks = one_of((const uint32_t[]){0, 0, 20}, 3),
		.distance_us = one_of((const uint32_t[]){20, 20, 500, 10000}, 4),
		.jitter_us = one_of((const uint32_t[]){1, 100, 300, 3000}, 4),
		.chaos = sim_draw(4),
		.late_in = one_of((const uint32_t[]){400, 400, 40}, 3),
		.bursts = sim_once_in(2) ? SIM_CARRIES : (enum sim_bursts)sim_draw(3),
		.credit = sim_once_in(8) ? 8 + sim_draw(16) : 24 + sim_draw(400),
		.ring = sim_once_in(4) ? 2 + sim_draw(30) : 0,
		.ack_every = (uint16_t)one_of((const uint32_t[]){1, 16, 16, 64}, 4),
		.ack_delay_us = one_of((const uint32_t[]){0, 50, 50, 10000}, 4),
		.keepalive_s = (uint16_t)one_of((const uint32_t[]){1, 10, 10, 60}, 4),
		.batches = SIM_BATCHES / 4,
		.alive = 200,
		.window = 200,
		.large_in = one_of((const uint32_t[]){25, 25, 4}, 3),
		.pace = (const unsigned[]){6, 6, 40, 150}[sim_draw(4)],
		.sync_in = (const unsigned[]){5, 10, SLOW_SYNC}[sim_draw(3)],
		.lease_ms = sim_once_in(2) ? 300 : 10000,
		.power_cuts = sim_once_in(4),
		.power_loop = sim_once_in(4),
		.short_timeouts = sim_once_in(2),
		.failing = sim_once_in(2),
		.draining = sim_once_in(4),
		.snapshots = sim_once_in(2),
		.tcp_only = sim_once_in(10),
		.as_kafka = sim_once_in(2),
		.no_idempotence = sim_once_in(12),
		.wrap = sim_once_in(6),
		.restarts = sim_once_in(3),
		.crash_loop = sim_once_in(10),
		.leaps = sim_once_in(3),
		.calm_ns = sim.now_ns + (5 + sim_draw(20)) * NS_PER_S,
		.day_ns = sim_once_in(6) ? sim.now_ns + sim_draw(5000) * NS_PER_MS : UINT64_MAX,
	};
	if (sim_once_in(12)) { /* much in flight, early and without an outcome */
		p->batches = SIM_BATCHES;
		p->alive = 1000;
		p->window = KUP_WINDOW_MAX;
		p->credit = 200 + sim_draw(2000);
		p->pace = 1;
		sim_fired(FAULT_DEEP);
	}
	if (p->tcp_only)
		p->chaos = 0;
	no_room_at_first();
	p->wrap &= !p->no_idempotence;
	p->power_loop &= p->power_cuts && !p->tcp_only;
	p->as_kafka &= p->tcp_only && !p->no_idempotence;
	if (p->loss >= LOSSY)
		sim_fired(FAULT_LOSSY);
	if (p->sync_in == SLOW_SYNC)
		sim_fired(FAULT_SLOW_SYNC);
}

static void
go_dark(void)
{
	const unsigned way = sim_draw(4);

	sim.dark_out = way != 0;
	sim.dark_back = way != 1;
	sim.dark_until_ns = sim.now_ns + sim_draw(15000) * NS_PER_MS;
	sim_note("dark: to kirad %d, back %d", sim.dark_out, sim.dark_back);
	sim_fired(way == 0 ? FAULT_DARK_BACK : way == 1 ? FAULT_DARK_OUT : FAULT_DARK);
}

/* As by SIGSTOP, or on a host without a free CPU. */
static void
stop_kirad(void)
{
	sim.stopped = true;
	sim.stopped_until_ns = sim.now_ns + sim_draw(sim_once_in(4) ? 15000 : 500) * NS_PER_MS;
	sim_note("stopped");
	sim_fired(FAULT_STOPPED);
}

static void
stop_client(unsigned client)
{
	sim.client[client].asleep_until_ns = sim.now_ns + sim_draw(sim_once_in(4) ? 15000 : 500) * NS_PER_MS;
	sim_note("client %u stopped", client);
	sim_fired(FAULT_CLIENT_STOPPED);
}

/* As after a virtual machine was suspended: of one host, or of the one that all run on. */
static void
leap(void)
{
	const uint64_t ns = sim_draw(sim_once_in(2) ? 1000 : 100000) * NS_PER_MS;
	const unsigned who = sim_draw(SIM_CLIENTS + 2);

	sim_note("clock %u leaps by %llu", who, (unsigned long long)ns);
	sim_fired(who < SIM_CLIENTS ? FAULT_CLIENT_LEAPT : FAULT_KIRAD_LEAPT);
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		if (who == i || who > SIM_CLIENTS)
			sim.client[i].ahead_ns += ns;
	if (who >= SIM_CLIENTS)
		sim.ahead_ns += ns;
}

/* A day in which nobody sends: storage has forgotten the producers, sessions are long over. */
static void
day_turn(void)
{
	struct sim_plan *p = &sim.plan;

	sim.pausing = !sim.calm && sim.now_ns >= p->day_ns;
	if (!sim.pausing)
		return;
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		if (!sim_client_idle(i))
			return;
	if (!sim_tcp_idle())
		return;
	sim_note("a day passes");
	sim_fired(FAULT_DAY);
	p->day_ns = UINT64_MAX;
	/* Number 0 is also what a forgotten producer begins with (PROTOCOL.md, 6). */
	for (unsigned i = 0; p->wrap && i < SIM_CLIENTS; i++)
		sim_client_near_wrap(i);
	sim.ahead_ns += DAY_NS;
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		sim.client[i].ahead_ns += DAY_NS;
	sim_wire_clear();
	sim.day_passed = true;
	no_room_at_first();
	sim.pausing = false;
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

	switch (sim_draw(12)) {
	case 0:
		go_dark();
		break;
	case 1:
		if (!sim.away)
			kill_kirad();
		break;
	case 2:
		if (!sim.away && !sim.stopped)
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
	case 8:
		if (!sim.away && !sim.stopped)
			stop_kirad();
		break;
	case 9:
		stop_client(client);
		break;
	case 10:
		if (sim.plan.restarts)
			sim_client_die(client, sim_once_in(2));
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

	for (unsigned i = 0; i < SIM_PARTITIONS; i++) {
		if (sim.now_ns < p->full_until_ns)
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
	if (sim.calm || sim.now_ns >= sim.dark_until_ns)
		sim.dark_out = sim.dark_back = false;
	if (sim.stopped && (sim.calm || sim.now_ns >= sim.stopped_until_ns))
		sim_broker_moves();
	if (sim.away && sim.now_ns >= sim.away_until_ns)
		sim.away = false;
	if (sim.cut_off && (sim.calm || sim.now_ns >= sim.cut_off_until_ns))
		sim.cut_off = false;
	for (unsigned i = 0; sim.calm && i < SIM_CLIENTS; i++)
		sim.client[i].asleep_until_ns = 0;
	set_rooms();
	day_turn();
	if (!sim.away && !sim.stopped)
		disk_turn();
	if (!sim.calm && sim.plan.leaps && sim_once_in(LEAP_IN))
		leap();
	if (!sim.calm && sim.plan.power_loop && !sim.away && sim_once_in(POWER_IN))
		sim_broker_kill(true);
	if (!sim.calm && sim.plan.crash_loop && sim_once_in(CRASH_IN))
		sim_client_die(sim_draw(SIM_CLIENTS), sim_draw(4) > 0);
	if (!sim.calm && sim.plan.chaos > 0 && sim_once_in(CHAOS_IN / sim.plan.chaos))
		something();
}
