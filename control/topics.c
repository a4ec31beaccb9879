/* SPDX-License-Identifier: MIT
 * topics.c - the catalogue of topics. Thread: control, its only writer.
 * Owns: struct topic and the dataplane_topic that sessions point at, until every rx lcore has
 * forgotten it. Never: waits; what touches the disk is an operation that storage's jobs do, one at a time
 * (catalogue.c). */
#include "control/topics.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"
#include "control/groups/offsets.h"
#include "control/log.h"
#include "control/topic_list.h"

#include <kira/errors.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

/* ---- Start and stop ---- */

int
topics_defaults(struct control *ctl, struct err *err)
{
	struct topic_config *cfg = &ctl->topics.defaults;
	char name[64];

	topic_config_defaults(&ctl->topics.built_in);
	*cfg = ctl->topics.built_in;
	for (unsigned i = 0; i < ctl->cfg->topic_default.n; i++) {
		const char *text = ctl->cfg->topic_default.item[i], *eq = strchr(text, '=');
		int row = -1;

		if (eq && (size_t)(eq - text) < sizeof(name)) {
			(void)snprintf(name, sizeof(name), "%.*s", (int)(eq - text), text);
			row = topic_config_row(name, (uint32_t)strlen(name));
		}
		if (row < 0) {
			err_set(err, "--topic-default %s: NAME=VALUE with a topic configuration is "
				"wanted, as segment.bytes=67108864", text);
			return -EINVAL;
		}
		if (topic_config_set(cfg, (unsigned)row, eq + 1, err) < 0) {
			err_prefix(err, "--topic-default ");
			return -EINVAL;
		}
	}
	if (topic_config_settle(cfg, false, err) < 0) {
		err_prefix(err, "--topic-default ");
		return -EINVAL;
	}
	return 0;
}

int
topics_settle(const struct control *ctl, const char *const *config, uint32_t configs, struct topic_config *ret,
	struct err *err)
{
	bool own_max = false;
	int row;

	*ret = ctl->topics.defaults;
	for (uint32_t i = 0; i < configs; i++) {
		row = topic_config_row(config[2 * i], (uint32_t)strlen(config[2 * i]));
		if (row < 0)
			continue;
		if (topic_config_set(ret, (unsigned)row, config[2 * i + 1], err) < 0)
			return -EINVAL;
		own_max |= strcmp(config[2 * i], "max.message.bytes") == 0;
	}
	return topic_config_settle(ret, own_max, err);
}

void
topics_say_halted(struct topic *t, int32_t partition)
{
	t->said_failed[partition] = true;
	log_error("topic %s partition %d is halted: %s; it is served as far as it is whole, nothing is "
		"appended", t->name, partition, storage_halt_reason(t->part->part[partition]));
}

/* Each second while it lasts; and at the end, where something had to be read or it took as long. */
static void
say_progress(void *arg, const struct storage_recovery *p)
{
	const double read = (double)p->bytes_read / GIB, all = (double)p->bytes / GIB;

	if (!p->over)
		log_info("recovering: %u of %u partitions, %.1f of %.1f GiB that were not sealed", p->done,
			p->partitions, read, (double)p->unsealed_bytes / GIB);
	else if (p->bytes_read > 0 || p->ms >= 1000)
		log_info("recovered %u partitions in %.3f s: %.3f GiB read, of %.3f GiB", p->done,
			(double)p->ms / 1000, read, all);
}

int
topics_open(struct control *ctl, struct err *err)
{
	const struct storage_topic *st;
	const unsigned n = storage_topics(ctl->storage, &st);
	const int64_t wall_ms = clock_wall_ms();
	int rc;

	for (unsigned i = 0; i < n; i++) {
		struct topic *t = topic_make(st[i].name, st[i].partitions);

		memcpy(t->id, st[i].id, sizeof(t->id));
		for (uint32_t j = 0; j < st[i].configs; j++) {
			const char *name = st[i].config[2 * j], *value = st[i].config[2 * j + 1];
			const int row = topic_config_row(name, (uint32_t)strlen(name));

			if (row < 0)
				log_warn("topic %s: configuration %s of a newer Kira is ignored",
					t->name, name);
			else
				topic_set_config(t, topic_config_name((unsigned)row), value);
		}
		rc = topics_settle(ctl, t->config, t->configs, &t->cfg, err);
		if (rc == 0)
			rc = storage_attach(ctl->storage, &st[i], &t->cfg.log, t->part->part, err);
		if (rc < 0) {
			err_prefix(err, "topic %s: ", t->name);
			topic_free(t);
			return rc;
		}
		topic_link(ctl, t);
	}
	rc = storage_recover(ctl->storage, wall_ms, say_progress, NULL, err);
	if (rc < 0)
		return rc;
	for (struct topic *t = ctl->topics.first; t; t = t->next) {
		t->state = TOPIC_LIVE;
		for (int32_t p = 0; p < t->partitions; p++)
			if (storage_state(t->part->part[p]) == PART_HALTED)
				topics_say_halted(t, p);
	}
	/* The version only grows; the clock may have gone back, so it is no more than a start. */
	ctl->topics.version = (uint64_t)wall_ms;
	return 0;
}

void
topics_close(struct control *ctl)
{
	struct topic *next;

	for (struct topic *t = ctl->topics.first; t; t = next) {
		next = t->next;
		topic_free(t);
	}
	ctl->topics.first = ctl->topics.last = NULL;
}

/* ---- Operations ---- */

static void
topic_gone(struct control *ctl, struct topic *t)
{
	if (t->waiters > 0)
		return;
	topic_unlink(ctl, t);
	topic_free(t);
}

void
topics_made(struct control *ctl, struct topic *t)
{
	const struct storage_op *op = &t->change.op;

	if (op->rc == 0) {
		t->state = TOPIC_LIVE;
		counter_add(&ctl->count->topics_created, 1);
		log_info("topic %s created, %d partition%s", t->name, t->partitions,
			t->partitions == 1 ? "" : "s");
	} else {
		t->state = TOPIC_FAILED;
		t->err = op->err;
		log_error("cannot create topic %s: %s", t->name, op->err.text);
	}
}

void
topics_removed(struct control *ctl, struct topic *t)
{
	const struct storage_op *op = &t->change.op;

	if (op->undone) {
		free(t->forget);
		free(t->detach);
		t->forget = NULL;
		t->detach = NULL;
		t->state = TOPIC_LIVE;
		log_error("topic %s was not deleted: %s; it is read as before, but takes no records until kirad is "
			"started again; delete it once more when the disk is well", t->name, op->err.text);
		return;
	}
	/* The catalogue no longer names it, or the directory is beyond help: gone either way. */
	if (op->rc < 0)
		log_error("deleting topic %s: %s", t->name, op->err.text);
	else
		log_info("topic %s deleted", t->name);
	offsets_topic_gone(&ctl->groups, (struct view){(const uint8_t *)t->name, (uint32_t)strlen(t->name)});
	t->op_done = true;
	counter_add(&ctl->count->topics_deleted, 1);
}

void
topic_hold(struct topic *t)
{
	t->waiters++;
}

void
topic_release(struct control *ctl, struct topic *t)
{
	ASSERT(t->waiters > 0);
	t->waiters--;
	if (t->state == TOPIC_FAILED || t->op_done)
		topic_gone(ctl, t);
}

/* ---- Create ---- */

int16_t
topics_judge_room(const struct control *ctl, int64_t n, struct err *err)
{
	if (ctl->topics.partitions + n <= ctl->cfg->max_partitions)
		return 0;
	err_set(err, "%" PRId64 " partitions more than %d there are would pass max-partitions=%" PRId64, n,
		ctl->topics.partitions, ctl->cfg->max_partitions);
	return KIRA_E_POLICY_VIOLATION;
}

int16_t
topics_judge(const struct control *ctl, const struct topic_spec *spec, struct err *err)
{
	const int64_t n = spec->partitions == -1 ? ctl->cfg->num_partitions : spec->partitions;
	const struct topic *t;
	struct topic_config cfg = ctl->topics.defaults;
	bool own_max = false;

	if (!topic_name_legal(spec->name)) {
		err_set(err, "a topic name is 1 to 249 bytes of a-z A-Z 0-9 . _ - and not . or ..");
		return KIRA_E_INVALID_TOPIC_EXCEPTION;
	}
	if (topic_name_internal(spec->name) && !spec->internal) {
		err_set(err, "%.*s is the broker's own, and made by it alone", (int)spec->name.len, (const char *)spec->name.p);
		return KIRA_E_INVALID_TOPIC_EXCEPTION;
	}
	if (topics_any(ctl, spec->name)) {
		err_set(err, "topic %.*s exists", (int)spec->name.len, (const char *)spec->name.p);
		return KIRA_E_TOPIC_ALREADY_EXISTS;
	}
	t = topics_colliding(ctl, spec->name);
	if (t) {
		err_set(err, "%.*s collides with topic %s: '.' and '_' count as the same",
			(int)spec->name.len, (const char *)spec->name.p, t->name);
		return KIRA_E_INVALID_TOPIC_EXCEPTION;
	}
	if (n < 1) {
		err_set(err, "%d partitions: at least 1, or -1 for the broker's num-partitions",
			spec->partitions);
		return KIRA_E_INVALID_PARTITIONS;
	}
	if (topics_judge_room(ctl, n, err) != 0)
		return KIRA_E_POLICY_VIOLATION;
	for (unsigned i = 0; i < spec->configs; i++) {
		if (topic_config_set(&cfg, spec->config[i].row, spec->config[i].value, err) < 0)
			return KIRA_E_INVALID_CONFIG;
		own_max |= strcmp(topic_config_name(spec->config[i].row), "max.message.bytes") == 0;
	}
	return topic_config_settle(&cfg, own_max, err) < 0 ? KIRA_E_INVALID_CONFIG : 0;
}

int16_t
topics_create(struct control *ctl, const struct topic_spec *spec, struct topic **ret,
	struct err *err)
{
	const int16_t code = topics_judge(ctl, spec, err);
	char name[TOPIC_NAME_MAX + 1];
	struct topic *t;

	if (code != 0)
		return code;
	(void)snprintf(name, sizeof(name), "%.*s", (int)spec->name.len, (const char *)spec->name.p);
	t = topic_make(name, spec->partitions == -1 ? (int32_t)ctl->cfg->num_partitions
						    : spec->partitions);
	for (unsigned i = 0; i < spec->configs; i++)
		topic_set_config(t, topic_config_name(spec->config[i].row), spec->config[i].value);
	ASSERT(topics_settle(ctl, t->config, t->configs, &t->cfg, err) == 0);
	/* Kafka never hands out ids whose text begins with '-': tools take it for a flag. */
	do
		ASSERT(getrandom(t->id, sizeof(t->id), 0) == sizeof(t->id));
	while (t->id[0] >> 2 == 62);
	t->id[6] = (uint8_t)((t->id[6] & 0x0f) | 0x40);
	t->id[8] = (uint8_t)((t->id[8] & 0x3f) | 0x80);
	t->state = TOPIC_CREATING;
	topic_link(ctl, t);
	t->change = (struct catalogue_op){.change = TOPIC_MAKE, .topic = t};
	catalogue_queue(ctl, &t->change);
	*ret = t;
	return 0;
}

int16_t
topics_create_default(struct control *ctl, struct view name, struct topic **ret)
{
	const struct topic_spec spec = {.name = name, .partitions = -1};
	struct err err = {""};
	const int16_t code = topics_create(ctl, &spec, ret, &err);
	static struct log_limit refused;

	if (code != 0)
		log_limited(&refused, ctl->now_ns, LOG_LEVEL_WARN, "a topic was not created: %s",
			err.text);
	return code;
}

/* ---- Delete ---- */

static void
detach(struct control *ctl, struct topic *t)
{
	t->detach = calloc((size_t)t->partitions, sizeof(*t->detach));
	ASSERT(t->detach);
	t->outstanding = (unsigned)t->partitions;
	for (int32_t i = 0; i < t->partitions; i++) {
		t->detach[i] = (struct store_msg){.kind = STORE_DETACH, .part = t->part->part[i],
			.owner = t};
		produce_give(ctl, &t->detach[i]);
	}
}

void
topics_part_ways(struct control *ctl, struct topic *t)
{
	const unsigned rx = dataplane_rx_lcores(ctl->dp);

	t->forget = calloc(rx, sizeof(*t->forget));
	ASSERT(t->forget);
	t->outstanding = rx;
	for (unsigned i = 0; i < rx; i++) {
		t->forget[i] = (struct rx_cmd){.kind = RX_FORGET_TOPIC, .rx = i, .handles = 1,
			.topic = {t->part}, .owner = t};
		grants_give(ctl, &t->forget[i]);
	}
	if (rx == 0)
		detach(ctl, t);
}

void
topics_delete(struct control *ctl, struct topic *t)
{
	ASSERT(t->state == TOPIC_LIVE);
	t->state = TOPIC_DELETING;
	fetch_topic_gone(ctl, t);
	produce_topic_gone(ctl, t);
	grants_topic_gone(ctl, t);
	if (!t->growth) /* else once the new partitions are known everywhere, or nowhere */
		topics_part_ways(ctl, t);
}

void
topics_forgotten(struct control *ctl, struct rx_cmd *cmd)
{
	struct topic *t = cmd->owner;

	if (--t->outstanding == 0)
		detach(ctl, t);
}

void
topics_detached(struct control *ctl, struct store_msg *msg)
{
	struct topic *t = msg->owner;

	if (--t->outstanding > 0)
		return;
	t->change = (struct catalogue_op){.change = TOPIC_REMOVE, .topic = t};
	catalogue_queue(ctl, &t->change);
}

bool
topics_idle(const struct control *ctl)
{
	for (const struct topic *t = ctl->topics.first; t; t = t->next)
		if (t->state == TOPIC_CREATING || t->growth || t->altering || (t->state == TOPIC_DELETING && !t->op_done))
			return false;
	return !ctl->ids.ordered;
}
