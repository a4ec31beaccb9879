/* SPDX-License-Identifier: MIT
 * producer_topics.c - libkira's public calls about topics: find or create one, wait until it is clear
 * how its records will travel.
 * Thread: the application's, any number of them. Never: holds the lock while it asks the broker. */
#include "dataplane/client/producer_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUTE_MS       20000 /* until it is clear how a new topic's records travel */
#define ASK_AGAIN_US   100000
#define CREATE_TRIES   20

static int
ask_metadata(struct kira_producer *p, const char *name, bool create, struct ckafka_metadata *ret,
	struct err *err)
{
	const uint64_t deadline = clock_now_ns() + CONNECT_MS * NS_PER_MS;
	struct ckafka *k;
	int rc;

	rc = ckafka_connect(&k, p->bootstrap, p->client_id, deadline, -1, err);
	if (rc < 0)
		return rc;
	rc = ckafka_metadata(k, name, create, ret, deadline, err);
	/* 5 LEADER_NOT_AVAILABLE, 3: a Kafka broker that is creating it still, or one that creates none. */
	for (unsigned i = 0; rc == 0 && create && (ret->error == 5 || ret->error == 3)
			&& i < CREATE_TRIES; i++) {
		(void)usleep(ASK_AGAIN_US);
		rc = ckafka_metadata(k, name, create, ret, deadline, err);
	}
	ckafka_close(k);
	if (rc < 0)
		return rc;
	if (ret->error == KIRA_E_UNKNOWN_TOPIC_OR_PARTITION) {
		err_set(err, "there is no topic %s; kira topic create %s", name, name);
		return -ENOENT;
	}
	if (ret->error != 0 || ret->partitions == 0) {
		err_set(err, "topic %s: %s: %s", name, kira_error_name(ret->error),
			kira_error_meaning(ret->error));
		return -EINVAL;
	}
	if (ret->brokers > 1) {
		err_set(err, "%s is a cluster of %d brokers; libkira produces to a single one",
			p->bootstrap, ret->brokers);
		return -EOPNOTSUPP;
	}
	return 0;
}

static struct kira_topic *
find_topic(struct kira_producer *p, const char *name)
{
	for (unsigned i = 0; i < p->topics; i++)
		if (strcmp(p->topic[i]->name, name) == 0)
			return p->topic[i];
	return NULL;
}

static struct kira_topic *
new_topic(struct kira_producer *p, const char *name, int32_t partitions)
{
	struct kira_topic *t =
		calloc(1, sizeof(*t) + (size_t)partitions * sizeof(struct partition));

	if (!t)
		return NULL;
	t->producer = p;
	t->partitions = partitions;
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	for (int32_t i = 0; i < partitions; i++) {
		t->part[i].topic = t;
		t->part[i].index = i;
		t->part[i].producer_id = -1; /* the present pair comes with the first number */
		t->part[i].epoch = -1;
	}
	return t;
}

int
kira_topic_open(struct kira_producer *p, const char *name, bool create, struct kira_topic **ret,
	char *error, size_t error_size)
{
	const uint64_t deadline = clock_now_ns() + ROUTE_MS * NS_PER_MS;
	struct ckafka_metadata meta;
	struct err err = {""};
	struct kira_topic *t, *made = NULL;
	int rc = 0;

	if (strlen(name) > 249 || name[0] == '\0') {
		rc = -EINVAL;
		err_set(&err, "topic name of 1..249 bytes");
		goto out;
	}
	pthread_mutex_lock(&p->lock);
	t = find_topic(p, name);
	pthread_mutex_unlock(&p->lock);
	if (!t) {
		rc = ask_metadata(p, name, create, &meta, &err);
		if (rc < 0)
			goto out;
		made = new_topic(p, name, meta.partitions);
		if (!made) {
			rc = err_sys(&err, -ENOMEM, "topic %s", name);
			goto out;
		}
	}
	pthread_mutex_lock(&p->lock);
	t = find_topic(p, name);
	if (!t && p->topics < KUP_HANDLES_MAX) {
		t = made;
		made = NULL;
		p->topic[p->topics++] = t;
		io_wake(p);
	}
	while (t && t->route == ROUTE_PENDING && !p->stopping && wait_room(p, deadline))
		;
	if (!t) {
		rc = -ENOSPC;
		err_set(&err, "a producer has at most %d topics", KUP_HANDLES_MAX);
	} else if (t->route == ROUTE_PENDING) {
		rc = -ETIMEDOUT;
		err_set(&err, "topic %s: no way to %s within %u s: %s", name, p->bootstrap,
			ROUTE_MS / 1000, p->trouble[0] ? p->trouble : "no answer yet");
	} else if (t->route == ROUTE_FAILED) {
		rc = -EOPNOTSUPP;
		err_set(&err, "no UDP for topic %s: %s; --transport auto or tcp would use TCP", name,
			t->why);
	}
	pthread_mutex_unlock(&p->lock);
	free(made);
	if (rc == 0)
		*ret = t;
out:
	say_error(&err, error, error_size);
	return rc;
}

int32_t
kira_topic_partitions(const struct kira_topic *t)
{
	return t->partitions;
}

const char *
kira_topic_name(const struct kira_topic *t)
{
	return t->name;
}
