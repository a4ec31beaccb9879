/* SPDX-License-Identifier: MIT
 * control.h - the control thread: what its parts share. One thread owns all of it; the parts are
 * files of their own and reach each other through their headers. */
#ifndef KIRA_CONTROL_CONTROL_H
#define KIRA_CONTROL_CONTROL_H

#include "base/writer.h"
#include "control/config.h"
#include "control/counters.h"
#include "control/disk_watch.h"
#include "control/fault_watch.h"
#include "control/fetch_session.h"
#include "control/fetch_wait.h"
#include "control/grants.h"
#include "control/groups/groups.h"
#include "control/kafka/requests.h"
#include "control/listener.h"
#include "control/loop.h"
#include "control/produce_wait.h"
#include "control/producer_ids.h"
#include "control/read_ahead.h"
#include "control/roll.h"
#include "control/topics.h"
#include "control/wait_list.h"
#include "dataplane/dataplane.h"
#include "storage/storage.h"

struct conn;

/* A range of a segment file that goes out after byte `at` of the answer in memory. */
struct piece {
	uint32_t at;
	struct storage_range range;
};

struct control {
	struct config *cfg;
	struct loop loop;
	struct storage *storage;
	struct dataplane *dp;
	struct counters *counters;
	struct control_counters *count;
	struct storage_counters *storage_count; /* read only */
	struct topics topics;
	struct grants grants;
	struct producer_ids ids;
	struct groups groups;
	struct group_log *group_log;
	struct wait_list group_answers; /* written, to be sent by the next turn */
	struct fetch_waits fetches;
	struct fetch_sessions fetch_sessions;
	struct read_ahead read_ahead;
	struct produce_waits produces;
	struct records_deletion *deletions; /* of DeleteRecords, all that storage or a connection knows */
	struct wait_list deletion_waits;
	struct wait_list looks;      /* requests that look inside batches, which may take 0.1 s: one look a turn */
	struct listeners listeners;
	struct disk_watch disk_watch;
	struct fault_watch fault_watch;
	struct rolls rolls;
	struct source doorbell;      /* dataplane_event_fd() */
	bool moved;                  /* ends or commits may have moved since the last turn */
	bool stopping;               /* no new request is read */
	uint64_t now_ns;             /* of this turn */

	struct conn *conns;          /* all open ones */
	unsigned conn_count;
	struct wait_list memory_waits; /* not read until request memory returns */
	uint64_t memory_used, memory_max;

	struct arena arena;          /* the request being decoded */
	uint8_t *scratch;            /* the answer being written */
	uint32_t scratch_size;
	struct writer answer;
	struct piece *piece;         /* file ranges of the answer being written */
	uint32_t pieces, pieces_max;

	char advertised_host[256];   /* "" : the address each connection came in on */
	uint16_t advertised_port;
};

/* `cfg` must outlive it. */
struct control *control_make(struct config *cfg);
void control_free(struct control *ctl);

/* One bounded pass: what lcores, storage and timers have for us. Returns how much it did. */
unsigned control_turn(struct control *ctl, uint64_t now_ns);

/* Host and port that a client of this connection is told. */
const char *control_host(const struct control *ctl, const struct conn *c, char ret[256]);
uint16_t control_port(const struct control *ctl, const struct conn *c);

#endif
