/* SPDX-License-Identifier: MIT
 * k35_describe_log_dirs.c - the data directory: how large each partition is, how large the file system. Thread: control.
 * A partition that is not there is left out, as in Kafka. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include <sys/statvfs.h>

static void
write_partition(struct writer *w, const struct topic *t, int32_t i)
{
	kw_i32(w, i);
	kw_i64(w, (int64_t)storage_bytes(t->part->part[i]));
	kw_i64(w, 0); /* offsetLag: nothing is copied here from elsewhere */
	kw_bool(w, false);
	kw_tags(w);
}

static void
write_topic(struct writer *w, const struct topic *t, const struct q_topic_partitions *q)
{
	int32_t n = t->partitions;

	if (q) {
		n = 0;
		for (int32_t i = 0; i < q->partitions; i++)
			n += topic_partition(t, q->partition[i]) != NULL;
	}
	kw_string(w, t->name);
	kw_array(w, n);
	for (int32_t i = 0; q && i < q->partitions; i++)
		if (topic_partition(t, q->partition[i]))
			write_partition(w, t, q->partition[i]);
	for (int32_t i = 0; !q && i < n; i++)
		write_partition(w, t, i);
	kw_tags(w);
}

static void
write_all(struct writer *w, const struct control *ctl)
{
	int32_t live = 0;

	for (const struct topic *t = ctl->topics.first; t; t = t->next)
		live += t->state == TOPIC_LIVE;
	kw_array(w, live);
	for (const struct topic *t = ctl->topics.first; t; t = t->next)
		if (t->state == TOPIC_LIVE)
			write_topic(w, t, NULL);
}

static void
write_asked(struct writer *w, const struct control *ctl, const struct q_partitions *q)
{
	int32_t live = 0;

	for (int32_t i = 0; i < q->topics; i++)
		live += topics_find(ctl, q->topic[i].name) != NULL;
	kw_array(w, live);
	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = topics_find(ctl, q->topic[i].name);

		if (t)
			write_topic(w, t, &q->topic[i]);
	}
}

/* Of numbers the kernel has in memory: no wait for the disk. */
static void
write_sizes(struct writer *w, const struct control *ctl)
{
	struct statvfs fs;

	if (statvfs(ctl->cfg->data_dir, &fs) < 0) {
		kw_i64(w, -1);
		kw_i64(w, -1);
		return;
	}
	kw_i64(w, (int64_t)((uint64_t)fs.f_blocks * fs.f_frsize));
	kw_i64(w, (int64_t)((uint64_t)fs.f_bavail * fs.f_frsize));
}

enum served
k35_describe_log_dirs(struct conn *c, uint64_t now_ns)
{
	const struct control *ctl = c->ctl;
	const int16_t version = c->rq.version;
	struct q_partitions q;
	struct writer *w;

	if (!q_log_dirs(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	if (version >= 3)
		kw_i16(w, 0);
	kw_array(w, 1);
	kw_i16(w, 0);
	kw_string(w, ctl->cfg->data_dir);
	if (q.all)
		write_all(w, ctl);
	else
		write_asked(w, ctl, &q);
	if (version >= 4)
		write_sizes(w, ctl);
	kw_tags(w);
	kw_tags(w);
	return SERVED_ANSWER;
}
