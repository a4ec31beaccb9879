/* SPDX-License-Identifier: MIT
 * producer_sim_client.c - libkira's I/O thread: its real batches, routes and transports, one turn of each
 * as in producer_io.c; application and set-up thread are played. See producer_sim.h. */
#include "tests/sim/producer_sim.h"

#include "dataplane/client/producer_io.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <stdlib.h>
#include <string.h>

#define LONG_MS    100000000 /* a delivery timeout that nothing here reaches */
#define MEMORY     8192
#define STOOD_NS   (50 * NS_PER_MS)
#define SOCKET_MAX 1000 /* datagrams that wait for a process which stands still */

struct ckafka { /* the anchor */
	uint32_t id;
	uint64_t secret, incarnation;
};

struct datagram {
	struct datagram *next;
	uint32_t length;
	uint8_t bytes[KUP_DGRAM_MAX];
};

struct cudp {
	struct datagram *head, *tail;
	unsigned n;
	void (*on_burst)(void *arg, uint32_t first_tx, uint32_t count);
	void *arg;
	uint8_t got[CUDP_BURST][KUP_DGRAM_MAX];
};

static struct client {
	struct kira_producer p;
	struct io io;
	struct kira_topic *topic;
	struct ckafka anchor;
	uint64_t job_at_ns;          /* 0: none runs */
	enum io_state was;
	uint64_t stood_ns;           /* since when it has no credit; 0: it has */
	bool stood;                  /* for STOOD_NS: counted */
	uint32_t limit_id, limit;    /* credit_limit of that session at the last turn */
} clients[SIM_CLIENTS];

static int64_t next_id; /* of a producer */

/* ---- client_udp.h, the receiving half; the anchor ------------------------------------------ */

void
cudp_close(struct cudp *u)
{
	while (u && u->head) {
		struct datagram *d = u->head;

		u->head = d->next;
		free(d);
	}
	free(u);
}

unsigned
cudp_receive(struct cudp *u, const uint8_t **p, uint32_t *length)
{
	unsigned n = 0;

	for (; u->head && n < CUDP_BURST; n++) {
		struct datagram *d = u->head;

		u->head = d->next;
		memcpy(u->got[n], d->bytes, d->length);
		p[n] = u->got[n];
		length[n] = d->length;
		u->n--;
		free(d);
	}
	return n;
}

void
cudp_on_burst(struct cudp *u, void (*sent)(void *arg, uint32_t first_tx, uint32_t count), void *arg)
{
	u->on_burst = sent;
	u->arg = arg;
}

void
sim_client_burst(struct cudp *u, uint32_t first_tx, uint32_t count)
{
	u->on_burst(u->arg, first_tx, count);
}

/* Both clients share an address: a session takes what bears its id. */
void
sim_client_datagram(unsigned client, const uint8_t *p, uint32_t length)
{
	struct cudp *u = clients[client].io.udp;
	struct datagram *d;

	if (!u || length > KUP_DGRAM_MAX || u->n == SOCKET_MAX)
		return;
	u->n++;
	d = calloc(1, sizeof(*d));
	ASSERT(d);
	d->length = length;
	memcpy(d->bytes, p, length);
	if (u->head)
		u->tail->next = d;
	else
		u->head = d;
	u->tail = d;
}

void
ckafka_close(struct ckafka *k)
{
	if (k && k->incarnation == sim.incarnation)
		sim_broker_anchor_gone(k->id, k->secret);
}

/* ---- The set-up thread --------------------------------------------------------------------- */

static bool
reachable(void)
{
	return !sim.away && !sim.stopped && !sim.cut_off;
}

static bool
misfortune(uint32_t in)
{
	return !sim.calm && sim_once_in(in);
}

static void
opened(struct client *c, const struct sim_open *o)
{
	struct job *job = &c->p.job;

	c->anchor = (struct ckafka){o->id, o->secret, sim.incarnation};
	job->anchor = &c->anchor;
	job->verdict = OPEN_OK;
	for (unsigned i = 0; i < job->topic_count; i++)
		job->topics[i].handle = 1;
	if (job->repeat)
		return;
	job->udp = calloc(1, sizeof(*job->udp));
	ASSERT(job->udp);
	job->session = (struct ckafka_session){
		.wire = {.id = o->id, .secret = o->secret, .incarnation = sim.incarnation},
		.max_dgram = 1472, .window = o->window, .credit_limit = o->credit_limit,
		.ack_every = sim.plan.ack_every, .keepalive_s = sim.plan.keepalive_s,
		.ack_delay_us = sim.plan.ack_delay_us, .lease_ms = sim.plan.lease_ms,
		.credit_lease_ms = KUP_CREDIT_LEASE_MS};
}

static void
run_open(struct client *c)
{
	struct job *job = &c->p.job;
	struct sim_open o = {.repeat = job->repeat, .window = (uint16_t)(2 + sim_draw(sim.plan.window - 1u)),
		.want_disk = c->p.o.acks == KIRA_ACKS_DISK, .id = job->session_id,
		.secret = job->secret};

	job->verdict = OPEN_AGAIN;
	job->retry_ms = 200;
	if (!job->repeat)
		o.secret = (uint64_t)sim_draw(1u << 31) << 32 | sim_draw(1u << 31);
	if (!reachable() || misfortune(30)) {
		ckafka_close(job->anchor);
		job->anchor = NULL;
		return;
	}
	job->anchor = NULL;
	sim_broker_open(&o);
	if (o.error == KIRA_E_THROTTLING_QUOTA_EXCEEDED) {
		sim_fired(FAULT_BUSY);
		job->verdict = OPEN_BUSY;
		job->retry_ms = 500;
	} else if (o.error != 0) {
		job->verdict = OPEN_NO_SESSION;
		if (job->repeat)
			sim_fired(FAULT_NO_SESSION);
	} else if (misfortune(20)) { /* granted, and never heard */
		sim_fired(FAULT_OPEN_UNHEARD);
		sim_broker_anchor_gone(o.id, o.secret);
	} else {
		opened(c, &o);
	}
}

static void
run_raise(struct client *c)
{
	struct job *job = &c->p.job;

	job->rc = -1;
	if (!reachable())
		return;
	if (misfortune(10)) {
		sim_fired(FAULT_RAISE_UNHEARD);
		return;
	}
	job->rc = 0;
	if (job->id.producer_id < 0) {
		job->id = (struct ckafka_producer_id){.producer_id = next_id++};
		sim_fired(FAULT_FRESH_ID);
		return;
	}
	/* Another data directory under the same address. */
	if (misfortune(20)) {
		job->id.error = KIRA_E_INVALID_REQUEST;
		return;
	}
	job->id.epoch++;
	sim_fired(FAULT_RAISED);
}

static void
setup_turn(unsigned client)
{
	struct client *c = &clients[client];
	struct job *job = &c->p.job;

	if (!c->io.job_running || job->done)
		return;
	if (c->job_at_ns == 0)
		c->job_at_ns = sim.now_ns + sim_draw(3) * NS_PER_MS;
	if (sim.now_ns < c->job_at_ns)
		return;
	c->job_at_ns = 0;
	if (job->kind == JOB_OPEN) {
		run_open(c);
	} else if (job->kind == JOB_RAISE) {
		run_raise(c);
	} else {
		job->fd = -1;
		job->rc = reachable() ? 0 : -1;
	}
	job->done = true;
	sim_note("client %u job %d repeat %d verdict %d rc %d", client, job->kind, job->repeat,
		job->verdict, job->rc);
}

/* ---- The application ----------------------------------------------------------------------- */

static void
on_record(void *arg, void *opaque, int16_t error, int64_t offset)
{
	const uintptr_t which = (uintptr_t)opaque;

	if (which >> 16 == 0) /* the first of its batch */
		sim_judge_told((unsigned)(uintptr_t)arg, (unsigned)which, error, offset);
}

static void
make(unsigned client)
{
	static const uint8_t value[2500];
	static const struct cbatch_identity nobody = {-1, -1, -1};
	struct client *c = &clients[client];
	const unsigned k = sim.client[client].made++, records = 1 + sim_draw(5);
	const uint32_t length = sim_once_in(sim.plan.large_in) && c->p.o.transport != KIRA_TRANSPORT_UDP
		? sizeof(value) / records : 1 + sim_draw(100);
	struct batch *b = calloc(1, sizeof(*b));

	ASSERT(b);
	b->part = &c->topic->part[sim_draw(SIM_PARTITIONS)];
	sim.client[client].batch[k].partition = b->part->index;
	sim.client[client].batch[k].life = sim.client[client].life;
	b->memory_bytes = MEMORY;
	b->memory = calloc(1, MEMORY);
	b->opaque = calloc(records, sizeof(void *));
	ASSERT(b->memory && b->opaque);
	b->order = k;
	b->born_ns = c->io.now_ns;
	b->deadline_ns = c->io.now_ns + c->p.o.delivery_timeout_ms * NS_PER_MS;
	cbatch_open(&b->build, b->memory + KUP_DATA_BATCH, MEMORY - KUP_DATA_BATCH);
	for (unsigned i = 0; i < records; i++) {
		(void)cbatch_add(&b->build, sim_tag(client, k), NULL, 0, value, length);
		b->opaque[i] = (void *)(uintptr_t)(k | (i > 0 ? 1u << 16 : 0));
	}
	b->length = cbatch_close(&b->build, c->p.o.no_idempotence ? &nobody : NULL, false);
	b->packed = true;
	batch_ready(&c->io, b);
}

static void
free_batch(struct batch *b)
{
	free(b->memory);
	free(b->opaque);
	free(b);
}

static void
take_freed(struct client *c)
{
	while (c->io.freed) {
		struct batch *b = c->io.freed;

		c->io.freed = b->next;
		free_batch(b);
	}
	c->io.told = NULL; /* nobody flushes here */
}

/* ---- Turns --------------------------------------------------------------------------------- */

/* Credit that is not there although something wants to go, or that is there no more. */
static void
look_at_credit(struct client *c)
{
	const struct io *io = &c->io;
	const struct client_window *w = &io->window;
	const uint32_t id = io->session.wire.id;

	if (io->state != IO_UDP) {
		c->limit_id = 0;
		c->stood_ns = 0;
		return;
	}
	if (c->limit_id == id && serial_newer(c->limit, w->credit_limit))
		sim_fired(FAULT_LAPSED);
	c->limit_id = id;
	c->limit = w->credit_limit;
	if (!serial_newer(w->next_seq, w->credit_limit) || io->queue_length == 0) {
		c->stood_ns = 0;
		c->stood = false;
	} else if (c->stood_ns == 0) {
		c->stood_ns = sim.now_ns;
	} else if (!c->stood && sim.now_ns - c->stood_ns >= STOOD_NS) {
		c->stood = true;
		sim_fired(FAULT_NO_CREDIT);
	}
}

void
sim_client_turn(unsigned client)
{
	struct client *c = &clients[client];
	struct io *io = &c->io;

	if (sim.now_ns < sim.client[client].asleep_until_ns)
		return;
	io->now_ns = sim_client_now(client);
	io->next_wait_ns = CW_NEVER;
	c->p.routed = c->p.topics;
	/* A client that, as Kafka's, sends on behind the first batch of a producer that is not known. */
	for (int32_t i = 0; sim.plan.as_kafka && i < SIM_PARTITIONS; i++)
		c->topic->part[i].known_until_ns = CW_NEVER;
	while (sim.client[client].made < sim.plan.batches && !sim.pausing && (sim.calm || sim_once_in(sim.plan.pace))
			&& io->alive < sim.plan.alive && sim_draw(3) > 0)
		make(client);
	route_turn(io);
	setup_turn(client);
	udp_turn(io);
	tcp_turn(io);
	batches_expire(io);
	take_freed(c);
	look_at_credit(c);
	if (io->state == IO_TCP && c->was != IO_TCP && c->p.o.transport == KIRA_TRANSPORT_AUTO)
		sim_fired(FAULT_FELL_BACK);
	if (io->state != IO_TCP && c->was == IO_TCP)
		sim_fired(FAULT_UDP_AGAIN);
	c->was = io->state;
}

bool
sim_client_done(unsigned client)
{
	return sim.client[client].told + sim.client[client].gone == sim.plan.batches && sim_client_idle(client);
}

bool
sim_client_idle(unsigned client)
{
	return clients[client].io.alive == 0;
}

uint64_t
sim_client_next_ns(unsigned client)
{
	const struct io *io = &clients[client].io;

	const uint64_t ahead_ns = sim.client[client].ahead_ns;
	const uint64_t at_ns = io->state == IO_UDP ? cw_deadline(&io->window, sim.now_ns + ahead_ns) : CW_NEVER;

	return at_ns == CW_NEVER ? CW_NEVER : MAX(at_ns - ahead_ns, sim.client[client].asleep_until_ns);
}

static void
draw_options(unsigned client, struct kira_producer_options *o)
{
	const struct sim_plan *plan = &sim.plan;

	memset(o, 0, sizeof(*o));
	/* Below disk a power cut may take what was told. */
	o->acks = plan->power_cuts || sim_once_in(2) ? KIRA_ACKS_DISK
		: sim_once_in(4) ? KIRA_ACKS_NONE : KIRA_ACKS_LOG;
	o->transport = plan->tcp_only ? KIRA_TRANSPORT_TCP
		: sim_once_in(3) ? KIRA_TRANSPORT_UDP : KIRA_TRANSPORT_AUTO;
	o->delivery_timeout_ms = plan->short_timeouts ? 500 + sim_draw(sim_once_in(2) ? 1500 : 12000) : LONG_MS;
	o->no_idempotence = plan->no_idempotence;
	o->no_congestion_control = sim_once_in(4);
	o->window = KUP_WINDOW_MAX;
	o->on_record = on_record;
	o->arg = (void *)(uintptr_t)client;
}

/* A process begins. */
static void
begin(unsigned client, const struct kira_producer_options *o, int64_t producer_id, int16_t epoch)
{
	struct client *c = &clients[client];

	memset(c, 0, sizeof(*c));
	(void)pthread_mutex_init(&c->p.lock, NULL);
	(void)pthread_cond_init(&c->p.room, NULL);
	(void)pthread_cond_init(&c->p.job_posted, NULL);
	c->p.o = *o;
	c->p.producer_id = producer_id;
	c->p.epoch = epoch;
	c->topic = calloc(1, sizeof(*c->topic) + SIM_PARTITIONS * sizeof(c->topic->part[0]));
	ASSERT(c->topic);
	(void)snprintf(c->topic->name, sizeof(c->topic->name), "orders");
	c->topic->producer = &c->p;
	c->topic->partitions = SIM_PARTITIONS;
	for (int32_t i = 0; i < SIM_PARTITIONS; i++) {
		c->topic->part[i].topic = c->topic;
		c->topic->part[i].index = i;
		c->topic->part[i].producer_id = c->topic->part[i].epoch = -1;
	}
	c->p.topic[0] = c->topic;
	c->p.topics = 1;
	c->io.p = &c->p;
	c->io.repeat_at_ns = c->io.udp_again_ns = c->io.linger_at_ns = CW_NEVER;
	c->io.path = KUP_DGRAM_BASE;
}

/* The end of a producer's numbers is near, and kirad has what was before. */
static void
near_wrap(unsigned client, int32_t partition, uint32_t within)
{
	struct partition *part = &clients[client].topic->part[partition];
	const int32_t last = INT32_MAX - (int32_t)sim_draw(within);

	if (part->raising || part->epoch != 0
			|| !sim_broker_had((unsigned)partition, part->producer_id, last))
		return;
	part->next_sequence = rb_sequence_add(last, 1);
	part->known_until_ns = sim_client_now(client) + 60 * NS_PER_S;
}

void
sim_client_begin(unsigned client)
{
	struct kira_producer_options o;

	if (client == 0)
		next_id = 7;
	draw_options(client, &o);
	sim.client[client].acks = o.acks;
	sim.client[client].floods = o.no_congestion_control;
	begin(client, &o, o.no_idempotence ? -1 : next_id, o.no_idempotence ? -1 : 0);
	for (int32_t i = 0; sim.plan.wrap && i < SIM_PARTITIONS; i++) {
		clients[client].topic->part[i].producer_id = next_id;
		clients[client].topic->part[i].epoch = 0;
		near_wrap(client, i, 100);
	}
	next_id++;
}

void
sim_client_near_wrap(unsigned client)
{
	for (int32_t i = 0; i < SIM_PARTITIONS; i++)
		if (clients[client].topic->part[i].producer_id == clients[client].p.producer_id)
			near_wrap(client, i, 20);
}

/* Before the broker ends, which frees what its connections hold. */
void
sim_client_end(unsigned client)
{
	struct client *c = &clients[client];

	cudp_close(c->io.udp ? c->io.udp : c->io.job_running ? c->p.job.udp : NULL);
	ctcp_close(c->io.tcp);
	for (int32_t i = 0; i < SIM_PARTITIONS; i++) {
		struct batch_list *list[] = {&c->topic->part[i].ready, &c->topic->part[i].sent};

		for (unsigned k = 0; k < ARRAY_LENGTH(list); k++) {
			while (list[k]->head) {
				struct batch *b = list[k]->head;

				list[k]->head = b->next;
				free_batch(b);
			}
		}
	}
	free(c->topic);
	(void)pthread_mutex_destroy(&c->p.lock);
	(void)pthread_cond_destroy(&c->p.room);
	(void)pthread_cond_destroy(&c->p.job_posted);
}

/* ---- What the plan does to it -------------------------------------------------------------- */

/* What its process had is gone. The next one has another producer id, as libkira asks for one; or it has
 * kept the pair and raises it, as any client of the protocol may. */
void
sim_client_die(unsigned client, bool same_id)
{
	struct client *c = &clients[client];
	const struct kira_producer_options o = c->p.o;
	const int64_t id = c->p.producer_id;
	const int16_t epoch = c->p.epoch;
	struct ckafka *anchor = c->io.job_running ? c->p.job.anchor : c->io.anchor;

	sim_note("client %u dies", client);
	ckafka_close(anchor);
	sim_client_end(client);
	for (unsigned k = 0; k < sim.client[client].made; k++) {
		struct sim_batch *b = &sim.client[client].batch[k];

		if (b->told > 0 || b->gone)
			continue;
		b->gone = true;
		sim.client[client].gone++;
		sim_fired(FAULT_GONE);
	}
	sim.client[client].life++;
	if (o.no_idempotence) {
		begin(client, &o, -1, -1);
	} else if (same_id && epoch < INT16_MAX) {
		sim_fired(FAULT_RESTARTED_SAME);
		begin(client, &o, id, (int16_t)(epoch + 1));
	} else {
		sim_fired(FAULT_RESTARTED_NEW);
		begin(client, &o, next_id++, 0);
	}
}

bool
sim_client_session(unsigned client, uint32_t *id, uint64_t *secret)
{
	const struct cwire_session *s = &clients[client].io.session.wire;

	*id = s->id;
	*secret = s->secret;
	return s->id != 0 && s->incarnation == sim.incarnation;
}

void
sim_client_lose_anchor(unsigned client)
{
	struct ckafka *k = clients[client].io.anchor;

	if (!k)
		return;
	sim_note("anchor %u lost", client);
	sim_fired(FAULT_ANCHOR_LOST);
	clients[client].io.anchor = NULL;
	ckafka_close(k);
}

void
sim_client_kirad_died(unsigned client)
{
	clients[client].io.anchor = NULL;
}

void
sim_client_udp_again(unsigned client)
{
	struct io *io = &clients[client].io;

	io->udp_again_ns = MIN(io->udp_again_ns, sim_client_now(client));
}

const char *
sim_client_text(unsigned client)
{
	static char text[SIM_CLIENTS][160];
	const struct client *c = &clients[client];

	(void)snprintf(text[client], sizeof(text[client]),
		"told %u, %u of them failed, %u gone, %llu alive, state %d, acks %d, transport %d",
		sim.client[client].told, sim.client[client].failed, sim.client[client].gone, (unsigned long long)c->io.alive,
		c->io.state, c->p.o.acks, c->p.o.transport);
	return text[client];
}
