/* SPDX-License-Identifier: MIT
 * topics.h - the catalogue: which topics there are, and how they come and go. Control thread.
 *
 *   (create) --> CREATING --op reaped--> LIVE --(delete)--> DELETING --> gone
 *                   |  failed                                 1 no fetch, produce or session names it
 *                   v                                         2 RX_FORGET_TOPIC on every rx lcore
 *                 FAILED (until its waiters have read why)    3 STORE_DETACH of every partition
 *                                                             4 OP_DELETE_TOPIC */
#ifndef KIRA_CONTROL_TOPICS_H
#define KIRA_CONTROL_TOPICS_H

#include "base/err.h"
#include "base/reader.h"
#include "control/topic_config.h"
#include "control/topic_name.h"
#include "control/wait_list.h"
#include "dataplane/dataplane.h"
#include "storage/storage.h"

#define TOPIC_BUCKETS 4096

struct control;
struct conn;

enum topic_state { TOPIC_CREATING, TOPIC_LIVE, TOPIC_DELETING, TOPIC_FAILED };

struct topic {
	struct topic *next, *prev;   /* all, in order of creation */
	struct topic *chain;         /* of its bucket, by name */
	struct topic *id_chain;      /* of its bucket, by id */
	struct topic *op_next;       /* waiting for their operation */
	enum topic_state state;
	struct err err;              /* FAILED: why */
	char name[TOPIC_NAME_MAX + 1];
	uint8_t id[16];
	int32_t partitions;
	bool internal;               /* the broker's own: read by clients, changed by none */
	struct topic_config cfg;
	const char **config;         /* own settings: name, value, name, value ..; values are ours */
	uint32_t configs;
	unsigned waiters;            /* parked requests that will look at it once more */
	bool op_done;                /* OP_DELETE_TOPIC was reaped */
	unsigned outstanding;        /* commands to lcores that name it */
	struct rx_cmd *forget;       /* [rx lcores] */
	struct store_msg *detach;    /* [partitions] */
	struct storage_op op;
	struct dataplane_topic *part; /* partitions, as sessions see them */
	bool *said_failed;           /* [partitions]: a log line was written */
};

struct topics {
	struct topic *first, *last;
	struct topic *bucket[TOPIC_BUCKETS], *id_bucket[TOPIC_BUCKETS]; /* by name, by id */
	struct topic *op_first, *op_last; /* one catalogue operation at a time: its text is the state */
	struct topic *op_running;
	unsigned n;
	int32_t partitions;          /* of all, those being made or deleted too */
	uint64_t version;            /* of kira.topics */
	struct topic_config defaults;
	struct wait_list waits;      /* requests parked on topics */
};

/* What to create. */
struct topic_spec {
	struct view name;
	int32_t partitions;          /* -1: num-partitions */
	bool internal;               /* the broker's own, whose name no client may take */
	unsigned configs;
	const struct topic_setting {
		unsigned row;
		char value[TOPIC_CONFIG_VALUE_MAX + 1];
	} *config;
};

/* Defaults from --topic-default. */
int topics_defaults(struct control *ctl, struct err *err);
/* Open all that the catalogue names. */
int topics_open(struct control *ctl, struct err *err);
void topics_close(struct control *ctl);
/* In the log, once. */
void topics_say_halted(struct topic *t, int32_t partition);

/* A live one, or NULL. */
struct topic *topics_find(const struct control *ctl, struct view name);
struct topic *topics_find_id(const struct control *ctl, const uint8_t id[16]);
/* In any state. */
struct topic *topics_any(const struct control *ctl, struct view name);
/* Of a live topic; NULL out of range. */
struct partition *topic_partition(const struct topic *t, int32_t index);

/* Would it be accepted? Kafka's code, err filled where not 0. */
int16_t topics_judge(const struct control *ctl, const struct topic_spec *spec, struct err *err);
/* Begin to create; *ret is CREATING. Kafka's code. */
int16_t topics_create(struct control *ctl, const struct topic_spec *spec, struct topic **ret,
	struct err *err);
/* With the broker's defaults, where a client may cause it (auto-create, OpenSession). */
int16_t topics_create_default(struct control *ctl, struct view name, struct topic **ret);
/* Begin to delete a live one. */
void topics_delete(struct control *ctl, struct topic *t);

/* A request that waits for a topic keeps it by a reference, and waits in topics.waits: woken when
 * any topic changes state. */
void topic_hold(struct topic *t);
void topic_release(struct control *ctl, struct topic *t);

/* Operations that storage has finished, and waiters to wake. */
void topics_reaped(struct control *ctl, struct storage_op *op);
void topics_forgotten(struct control *ctl, struct rx_cmd *cmd);
/* Nothing is being made or deleted. */
bool topics_idle(const struct control *ctl);
void topics_detached(struct control *ctl, struct store_msg *msg);

#endif
