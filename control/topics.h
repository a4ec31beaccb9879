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
#include "control/catalogue.h"
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
	enum topic_state state;
	struct err err;              /* FAILED, or of the last growth that did: why */
	char name[TOPIC_NAME_MAX + 1];
	uint8_t id[16];
	int32_t partitions;          /* rises, `part` is another then: topic_grow.c */
	bool internal;               /* the broker's own: read by clients, changed by none */
	struct topic_config cfg;
	const char **config;         /* own settings: name, value, name, value ..; values are ours */
	uint32_t configs;
	unsigned waiters;            /* parked requests that will look at it once more */
	bool op_done;                /* OP_DELETE_TOPIC was reaped */
	unsigned outstanding;        /* commands to lcores that name it */
	struct rx_cmd *forget;       /* [rx lcores] */
	struct store_msg *detach;    /* [partitions] */
	struct catalogue_op change;  /* being made or deleted */
	struct alteration *altering; /* of its configuration, or NULL: topic_alter.c */
	struct topic_growth *growth; /* being given more partitions, or NULL */
	struct dataplane_topic *part; /* partitions, as sessions see them */
	bool *said_failed;           /* [partitions]: a log line was written */
};

struct topics {
	struct topic *first, *last;
	struct topic *bucket[TOPIC_BUCKETS], *id_bucket[TOPIC_BUCKETS]; /* by name, by id */
	struct catalogue_op *op_first, *op_last, *op_running; /* catalogue.c */
	unsigned n;
	int32_t partitions;          /* of all, those being made or deleted too */
	uint64_t version;            /* of kira.topics */
	struct topic_config built_in, defaults; /* without, and with --topic-default */
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
/* What a topic sets itself, over the defaults; `config` is name, value, name .. */
int topics_settle(const struct control *ctl, const char *const *config, uint32_t configs, struct topic_config *ret,
	struct err *err);
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

/* May there be `n` partitions more? */
int16_t topics_judge_room(const struct control *ctl, int64_t n, struct err *err);
/* Would it be accepted? Kafka's code, err filled where not 0. */
int16_t topics_judge(const struct control *ctl, const struct topic_spec *spec, struct err *err);
/* Begin to create; *ret is CREATING. Kafka's code. */
int16_t topics_create(struct control *ctl, const struct topic_spec *spec, struct topic **ret,
	struct err *err);
/* With the broker's defaults, where a client may cause it (auto-create, OpenSession). */
int16_t topics_create_default(struct control *ctl, struct view name, struct topic **ret);
/* Begin to delete a live one. */
void topics_delete(struct control *ctl, struct topic *t);
/* Steps 2 to 4 of it. */
void topics_part_ways(struct control *ctl, struct topic *t);

/* Would `partitions` in all be accepted for a live one? Kafka's code, err filled where not 0. topic_grow.c */
int16_t topics_judge_growth(const struct control *ctl, const struct topic *t, int32_t partitions,
	struct err *err);
/* Begin to grow one that was judged so, and is not growing: t->growth until done. Then t->partitions says
 * whether it worked, else t->err why not; waiters are woken. */
void topics_grow(struct control *ctl, struct topic *t, int32_t partitions);

/* A request that waits for a topic keeps it by a reference, and waits in topics.waits: woken when
 * any topic changes state. */
void topic_hold(struct topic *t);
void topic_release(struct control *ctl, struct topic *t);

/* Operations that storage has finished, said by catalogue.c; commands that lcores have. */
void topics_made(struct control *ctl, struct topic *t);
void topics_removed(struct control *ctl, struct topic *t);
void topics_grown(struct control *ctl, struct topic *t);
void topics_forgotten(struct control *ctl, struct rx_cmd *cmd);
void topics_swapped(struct control *ctl, struct rx_cmd *cmd);
/* Nothing is being made, changed or deleted. */
bool topics_idle(const struct control *ctl);
void topics_detached(struct control *ctl, struct store_msg *msg);

#endif
