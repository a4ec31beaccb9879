/* SPDX-License-Identifier: MIT
 * control.c - one pass of the control thread over its parts.
 * Thread: control. Owns: struct control. Never: sleeps; main.c does, between passes. */
#include "control/control.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/groups/group_serve.h"
#include "control/groups/group_topic.h"
#include "control/kafka/serve.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* Answers: Metadata of all topics is the longest, about 60 bytes a partition and 350 a topic. */
#define SCRATCH_BASE  (4 * MIB)
#define SCRATCH_TOPIC 448

struct control *
control_make(struct config *cfg)
{
	struct control *ctl = calloc(1, sizeof(*ctl));

	ASSERT(ctl);
	ctl->cfg = cfg;
	ctl->memory_max = (uint64_t)cfg->request_memory;
	ctl->scratch_size = (uint32_t)(SCRATCH_BASE + (uint64_t)cfg->max_partitions * SCRATCH_TOPIC);
	ctl->scratch = malloc(ctl->scratch_size);
	ctl->arena.size = FETCH_ARENA_BYTES(cfg->max_partitions);
	ctl->arena.bytes = malloc(ctl->arena.size);
	ctl->pieces_max = (uint32_t)(ARENA_BYTES / sizeof(struct q_fetch_partition) + (uint64_t)cfg->max_partitions + 1);
	ctl->piece = calloc(ctl->pieces_max, sizeof(*ctl->piece));
	ASSERT(ctl->arena.bytes && ctl->scratch && ctl->piece);
	fetch_waits_open(ctl);
	return ctl;
}

void
control_free(struct control *ctl)
{
	fetch_sessions_close(ctl);
	fetch_waits_close(ctl);
	free(ctl->arena.bytes);
	free(ctl->scratch);
	free(ctl->piece);
	free(ctl);
}

const char *
control_host(const struct control *ctl, const struct conn *c, char ret[256])
{
	if (*ctl->advertised_host)
		return ctl->advertised_host;
	if (IN6_IS_ADDR_V4MAPPED(&c->local))
		return inet_ntop(AF_INET, &c->local.s6_addr[12], ret, 256);
	return inet_ntop(AF_INET6, &c->local, ret, 256);
}

uint16_t
control_port(const struct control *ctl, const struct conn *c)
{
	return ctl->advertised_port ? ctl->advertised_port : c->local_port;
}

static unsigned
reap_operations(struct control *ctl)
{
	struct storage_op *op;
	unsigned n = 0;

	for (; (op = storage_reap(ctl->storage)) != NULL; n++) {
		if (op->kind == OP_PRODUCER_IDS)
			producer_ids_reaped(ctl, op);
		else if (op->kind == OP_DELETE_RECORDS && op->owner == ctl->group_log)
			group_log_trimmed(ctl->group_log, op);
		else if (op->kind == OP_DELETE_RECORDS)
			records_deleted(ctl, op);
		else
			catalogue_reaped(ctl, op);
	}
	return n;
}

unsigned
control_turn(struct control *ctl, uint64_t now_ns)
{
	unsigned work;

	ctl->now_ns = now_ns;
	work = loop_fire(&ctl->loop, now_ns);
	work += produce_turn(ctl);
	work += grants_turn(ctl);
	work += reap_operations(ctl);
	work += group_log_turn(ctl->group_log, now_ns);
	work += group_serve_turn(ctl, now_ns);
	if (ctl->moved) {
		ctl->moved = false;
		fetch_rang(ctl);
	}
	work += fetch_turn(ctl);
	work += conn_memory_turn(ctl, now_ns);
	work += wait_wake_first(&ctl->looks, now_ns); /* last: who is left in line has made this turn work */
	return work;
}
