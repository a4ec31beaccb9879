/* SPDX-License-Identifier: MIT
 * blast_verify.c - a plain Kafka consumer that checks CRCs, offsets and numbers.
 * Thread: main; librdkafka has its own below. Owns: one consumer handle. Never: trusts what the
 * producer side counted. */
#include "dataplane/blast/blast_verify.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#define ANSWER_MS    10000
#define SILENCE_NS   (20 * NS_PER_S) /* no record for so long: the broker does not give them */
#define AT_ONCE      10000

struct verify {
	rd_kafka_t *rk;
	const char *topic;
};

/* Its own complaints (a broker that was just killed) are not news to whoever killed it. */
static void
quiet(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	(void)rk, (void)level, (void)fac, (void)buf;
}

int
verify_open(struct verify **ret, const char *bootstrap, const char *topic, struct err *err)
{
	static const char *const settings[][2] = {
		{"check.crcs", "true"}, {"enable.auto.commit", "false"},
		{"auto.offset.reset", "error"}, {"group.id", "kira-blast"},
		{"fetch.message.max.bytes", "4194304"}, {"fetch.max.bytes", "67108864"},
		{"queued.max.messages.kbytes", "131072"}, {"queued.min.messages", "500000"},
		{"fetch.wait.max.ms", "100"}, {"reconnect.backoff.max.ms", "500"},
		{"topic.metadata.refresh.sparse", "true"}, {"allow.auto.create.topics", "false"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	struct verify *v = calloc(1, sizeof(*v));

	for (size_t i = 0; i < ARRAY_LENGTH(settings); i++)
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], err->text,
				sizeof(err->text)) != RD_KAFKA_CONF_OK)
			goto fail;
	if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, err->text, sizeof(err->text))
			!= RD_KAFKA_CONF_OK)
		goto fail;
	rd_kafka_conf_set_log_cb(conf, quiet);
	if (!v)
		goto fail;
	v->topic = topic;
	v->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, err->text, sizeof(err->text));
	if (!v->rk)
		goto fail;
	rd_kafka_poll_set_consumer(v->rk);
	/* Setting a topic's property through the global configuration succeeds and leaves a complaint. */
	err->text[0] = '\0';
	*ret = v;
	return 0;
fail:
	rd_kafka_conf_destroy(conf);
	free(v);
	err_prefix(err, "librdkafka: ");
	return -EINVAL;
}

void
verify_close(struct verify *v)
{
	if (!v)
		return;
	rd_kafka_assign(v->rk, NULL);
	rd_kafka_destroy_flags(v->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(v);
}

/* 0 partitions: there is no such topic. */
static rd_kafka_resp_err_t
count_partitions(struct verify *v, int32_t *ret)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(v->rk, v->topic, NULL);
	rd_kafka_resp_err_t e;

	if (!rkt)
		return rd_kafka_last_error();
	e = rd_kafka_metadata(v->rk, 0, rkt, &md, ANSWER_MS);
	*ret = 0;
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR) {
		if (md->topic_cnt == 1 && md->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
			*ret = md->topics[0].partition_cnt;
		rd_kafka_metadata_destroy(md);
	}
	rd_kafka_topic_destroy(rkt);
	return e;
}

static int
create_topic(struct verify *v, int32_t partitions, struct err *err)
{
	rd_kafka_NewTopic_t *nt;
	rd_kafka_queue_t *q;
	rd_kafka_event_t *ev;
	const rd_kafka_topic_result_t **res;
	size_t n;
	int rc = -EIO;

	nt = rd_kafka_NewTopic_new(v->topic, partitions, 1, err->text, sizeof(err->text));
	if (!nt)
		return -EINVAL;
	q = rd_kafka_queue_new(v->rk);
	rd_kafka_CreateTopics(v->rk, &nt, 1, NULL, q);
	ev = rd_kafka_queue_poll(q, ANSWER_MS);
	if (!ev) {
		err_set(err, "create topic %s: no answer", v->topic);
	} else if (rd_kafka_event_error(ev)) {
		err_set(err, "create topic %s: %s", v->topic, rd_kafka_event_error_string(ev));
	} else {
		res = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), &n);
		if (n == 1 && (rd_kafka_topic_result_error(res[0]) == RD_KAFKA_RESP_ERR_NO_ERROR
				|| rd_kafka_topic_result_error(res[0])
					== RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS))
			rc = 0;
		else
			err_set(err, "create topic %s: %s", v->topic,
				n == 1 ? rd_kafka_topic_result_error_string(res[0]) : "no result");
	}
	if (ev)
		rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(q);
	rd_kafka_NewTopic_destroy(nt);
	return rc;
}

int
verify_partitions(struct verify *v, int32_t create, int32_t *ret, struct err *err)
{
	rd_kafka_resp_err_t e = count_partitions(v, ret);

	if (e == RD_KAFKA_RESP_ERR_NO_ERROR && *ret == 0 && create > 0) {
		const int rc = create_topic(v, create, err);

		if (rc != 0)
			return rc;
		e = count_partitions(v, ret);
	}
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR) {
		err_set(err, "no broker answers (is kirad running, and --bootstrap its `ready kafka=`"
			" address?): %s", rd_kafka_err2str(e));
		return -EIO;
	}
	if (*ret == 0) {
		err_set(err, "there is no topic %s", v->topic);
		return -ENOENT;
	}
	return 0;
}

int
verify_offsets(struct verify *v, int32_t n, bool start, int64_t *ret, struct err *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
	rd_kafka_resp_err_t e;
	int rc = 0;

	/* offsets_for_times() with -1 or -2 is ListOffsets: one request for all partitions. */
	for (int32_t p = 0; p < n; p++)
		rd_kafka_topic_partition_list_add(list, v->topic, p)->offset =
			start ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
	e = rd_kafka_offsets_for_times(v->rk, list, ANSWER_MS);
	for (int32_t p = 0; p < n && e == RD_KAFKA_RESP_ERR_NO_ERROR; p++) {
		e = list->elems[p].err;
		ret[list->elems[p].partition] = list->elems[p].offset;
	}
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR) {
		err_set(err, "ends of topic %s: %s", v->topic, rd_kafka_err2str(e));
		rc = -EIO;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return rc;
}

struct reading {
	const int64_t *to;
	int64_t *next;
	struct tally *tally;
	struct verify_result *res;
	int32_t left; /* partitions not read to their end */
	int rc;
};

static void
read_message(struct reading *r, const rd_kafka_message_t *m, struct err *err)
{
	const int32_t p = m->partition;

	if (m->err == RD_KAFKA_RESP_ERR__BAD_MSG || m->err == RD_KAFKA_RESP_ERR_INVALID_MSG) {
		r->res->crc_errors++;
		err_set(err, "partition %d: %s", p, rd_kafka_message_errstr(m));
		r->rc = -EBADMSG;
		return;
	}
	if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
			|| m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
		err_set(err, "partition %d: the offset to begin at is gone (retention?)", p);
		r->rc = -ERANGE;
		return;
	}
	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR || m->offset >= r->to[p])
		return; /* a transport error mends itself, or silence ends the reading */
	if (m->offset != r->next[p])
		r->res->gaps += (uint64_t)(m->offset - r->next[p]);
	r->next[p] = m->offset + 1;
	r->res->records++;
	r->res->bytes += m->len;
	if (tally_add(r->tally, p, m->payload, m->len) != 0) {
		err_set(err, "out of memory for the bitmaps");
		r->rc = -ENOMEM;
	}
	if (r->next[p] >= r->to[p])
		r->left--;
}

static int
read_all(struct verify *v, struct reading *r, bool progress, struct err *err)
{
	rd_kafka_message_t **batch = calloc(AT_ONCE, sizeof(*batch));
	rd_kafka_queue_t *q = rd_kafka_queue_get_consumer(v->rk);
	const uint64_t start = clock_now_ns();
	uint64_t heard = start, told = start, now = start;

	if (!batch)
		r->rc = -ENOMEM;
	while (r->left > 0 && r->rc == 0) {
		const uint64_t before = r->res->records;
		const ssize_t n = rd_kafka_consume_batch_queue(q, 100, batch, AT_ONCE);

		for (ssize_t i = 0; i < n; i++) {
			if (r->rc == 0)
				read_message(r, batch[i], err);
			rd_kafka_message_destroy(batch[i]);
		}
		now = clock_now_ns();
		if (r->res->records != before)
			heard = now;
		if (progress && now - told >= NS_PER_S) {
			told = now;
			fprintf(stderr, "  read back %" PRIu64 " records\n", r->res->records);
		}
		if (now - heard > SILENCE_NS) {
			err_set(err, "no record for %d s, %d partitions not read to their end",
				(int)(SILENCE_NS / NS_PER_S), r->left);
			r->rc = -ETIMEDOUT;
		}
	}
	r->res->seconds = (double)(now - start) / 1e9;
	rd_kafka_queue_destroy(q);
	free(batch);
	return r->rc;
}

int
verify_read(struct verify *v, int32_t n, const int64_t *from, const int64_t *to,
	struct tally *tally, bool progress, struct verify_result *ret, struct err *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
	struct reading r = {.to = to, .tally = tally, .res = ret};
	rd_kafka_resp_err_t e;

	memset(ret, 0, sizeof(*ret));
	r.next = calloc((size_t)n, sizeof(*r.next));
	if (!r.next)
		return -ENOMEM;
	for (int32_t p = 0; p < n; p++) {
		r.next[p] = from[p];
		if (from[p] >= to[p])
			continue;
		rd_kafka_topic_partition_list_add(list, v->topic, p)->offset = from[p];
		r.left++;
	}
	e = rd_kafka_assign(v->rk, list);
	if (e != RD_KAFKA_RESP_ERR_NO_ERROR) {
		err_set(err, "assign: %s", rd_kafka_err2str(e));
		r.rc = -EIO;
	} else {
		(void)read_all(v, &r, progress, err);
	}
	rd_kafka_topic_partition_list_destroy(list);
	free(r.next);
	if (r.rc != 0)
		err_prefix(err, "reading topic %s back: ", v->topic);
	return r.rc;
}
