/* SPDX-License-Identifier: MIT
 * cli_kafka.c - librdkafka for the subcommands that administer and consume.
 * Thread: main. Owns: the handle. Never: lets librdkafka write to stderr by itself. */
#include "control/cli/cli_kafka.h"

#include <errno.h>

/* librdkafka's thread. Its errors name the cause ("Connection refused"), its calls only "timed out". */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	struct cli_kafka *k = rd_kafka_opaque(rk);
	/* "[thrd:NAME]: HOST/bootstrap: Connect to .. failed: Connection refused (after ..)" */
	const char *from = strstr(text, "failed: ");
	const char *text_end = strstr(text, " (after");

	if (level > 4)
		return;
	pthread_mutex_lock(&k->lock);
	from = from ? from + 8 : text;
	(void)snprintf(k->complaint, sizeof(k->complaint), "%.*s",
		text_end > from ? (int)(text_end - from) : 200, from);
	pthread_mutex_unlock(&k->lock);
}

int
cli_kafka_open(struct cli_kafka *k, rd_kafka_type_t type, const char *bootstrap,
	const char *const *settings, struct err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];

	*k = (struct cli_kafka){.bootstrap = bootstrap};
	(void)pthread_mutex_init(&k->lock, NULL);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_opaque(conf, k);
	if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, why, sizeof(why)) != RD_KAFKA_CONF_OK
		|| rd_kafka_conf_set(conf, "client.id", "kira", why, sizeof(why)) != RD_KAFKA_CONF_OK)
		goto fail;
	for (; settings && *settings; settings += 2)
		if (rd_kafka_conf_set(conf, settings[0], settings[1], why, sizeof(why)) !=
			RD_KAFKA_CONF_OK)
			goto fail;
	k->rk = rd_kafka_new(type, conf, why, sizeof(why));
	if (k->rk)
		return 0;
fail:
	rd_kafka_conf_destroy(conf);
	(void)pthread_mutex_destroy(&k->lock);
	err_set(err, "%s", why);
	return -EINVAL;
}

void
cli_kafka_close(struct cli_kafka *k)
{
	if (!k->rk)
		return;
	rd_kafka_destroy(k->rk);
	k->rk = NULL;
	(void)pthread_mutex_destroy(&k->lock);
}

int
cli_kafka_failed(struct cli_kafka *k, rd_kafka_resp_err_t code, const char *said, const char *what,
	struct err *err)
{
	char complaint[sizeof(k->complaint)];

	pthread_mutex_lock(&k->lock);
	memcpy(complaint, k->complaint, sizeof(complaint));
	pthread_mutex_unlock(&k->lock);
	if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
		code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__RESOLVE)
		err_set(err, "%s: no answer from %s%s%s; is kirad running there? --bootstrap HOST:PORT",
			what, k->bootstrap, *complaint ? ": " : "", complaint);
	else
		err_set(err, "%s: %s", what, said && *said ? said : rd_kafka_err2str(code));
	return -EIO;
}

int
cli_kafka_metadata(struct cli_kafka *k, const char *topic, const struct rd_kafka_metadata **ret,
	struct err *err)
{
	rd_kafka_topic_t *t = topic ? rd_kafka_topic_new(k->rk, topic, NULL) : NULL;
	rd_kafka_resp_err_t code;

	if (topic && !t) {
		err_set(err, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
		return -EINVAL;
	}
	code = rd_kafka_metadata(k->rk, topic ? 0 : 1, t, ret, CLI_KAFKA_MS);
	if (t)
		rd_kafka_topic_destroy(t);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR && topic)
		code = (*ret)->topic_cnt == 1 ? (*ret)->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
		err_set(err, "there is no topic %s; kira topic list", topic);
		return -ENOENT;
	}
	return cli_kafka_failed(k, code, NULL, topic ? topic : "metadata", err);
}

rd_kafka_event_t *
cli_admin_await(struct cli_kafka *k, rd_kafka_queue_t *q, int ms, const char *what, struct err *err)
{
	rd_kafka_event_t *e = rd_kafka_queue_poll(q, ms + 2000);

	if (e && rd_kafka_event_error(e) == RD_KAFKA_RESP_ERR_NO_ERROR)
		return e;
	(void)cli_kafka_failed(k, e ? rd_kafka_event_error(e) : RD_KAFKA_RESP_ERR__TIMED_OUT,
		e ? rd_kafka_event_error_string(e) : NULL, what, err);
	if (e)
		rd_kafka_event_destroy(e);
	return NULL;
}

rd_kafka_AdminOptions_t *
cli_admin_options(struct cli_kafka *k, rd_kafka_admin_op_t op, int ms)
{
	rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(k->rk, op);
	char why[128];

	(void)rd_kafka_AdminOptions_set_request_timeout(o, ms, why, sizeof(why));
	(void)rd_kafka_AdminOptions_set_operation_timeout(o, ms, why, sizeof(why));
	return o;
}
