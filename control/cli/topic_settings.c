/* SPDX-License-Identifier: MIT
 * topic_settings.c - the configurations of a topic: told, changed. Thread: main.
 * librdkafka 2.0 knows AlterConfigs alone, which returns to its default what it does not name: so what the topic
 * sets is read first, and sent along. Of two that alter a topic at the same moment, one may undo the other's. */
#include "control/cli/topic_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE 128

bool
topic_setting_split(const char *text, const char *flag, char *key, size_t size, const char **value,
	struct err *err)
{
	const char *is = strchr(text, '=');

	if (!is || is == text || (size_t)(is - text) >= size) {
		err_set(err, "--%s %s: KEY=VALUE is wanted, such as retention.ms=3600000", flag, text);
		return false;
	}
	(void)snprintf(key, size, "%.*s", (int)(is - text), text);
	*value = is + 1;
	return true;
}

/* The event that holds the answer on `topic`, and its resource; NULL and err. */
static rd_kafka_event_t *
ask(struct cli_kafka *k, const char *topic, const rd_kafka_ConfigResource_t **ret, struct err *err)
{
	rd_kafka_AdminOptions_t *options = cli_admin_options(k, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, CLI_KAFKA_MS);
	rd_kafka_ConfigResource_t *want = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	rd_kafka_event_t *e;
	size_t n;

	rd_kafka_DescribeConfigs(k->rk, &want, 1, options, q);
	e = cli_admin_await(k, q, CLI_KAFKA_MS, "describe", err);
	if (e) {
		*ret = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(e), &n)[0];
		if (rd_kafka_ConfigResource_error(*ret)) {
			(void)cli_kafka_failed(k, rd_kafka_ConfigResource_error(*ret),
				rd_kafka_ConfigResource_error_string(*ret), topic, err);
			rd_kafka_event_destroy(e);
			e = NULL;
		}
	}
	rd_kafka_ConfigResource_destroy(want);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return e;
}

static const char *
source_name(rd_kafka_ConfigSource_t source)
{
	switch (source) {
	case RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG:
		return "topic";
	case RD_KAFKA_CONFIG_SOURCE_STATIC_BROKER_CONFIG:
		return "broker";
	default:
		return "default";
	}
}

int
topic_settings_print(struct cli_kafka *k, const char *topic, bool all, struct err *err)
{
	const rd_kafka_ConfigResource_t *told;
	const rd_kafka_ConfigEntry_t **entry;
	rd_kafka_event_t *e = ask(k, topic, &told, err);
	size_t n;

	if (!e)
		return -EIO;
	entry = rd_kafka_ConfigResource_configs(told, &n);
	for (size_t i = 0; i < n; i++) {
		const char *value = rd_kafka_ConfigEntry_value(entry[i]);
		const rd_kafka_ConfigSource_t source = rd_kafka_ConfigEntry_source(entry[i]);

		if (all)
			printf("  %-8s %s=%s\n", source_name(source), rd_kafka_ConfigEntry_name(entry[i]), value ? value : "");
		else if (source == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG)
			printf("  %s=%s\n", rd_kafka_ConfigEntry_name(entry[i]), value ? value : "");
	}
	rd_kafka_event_destroy(e);
	return 0;
}

/* Is `name` set or unset by this command? */
static bool
is_named(const char *name, const struct cli_list *set, const struct cli_list *unset)
{
	const size_t length = strlen(name);

	for (unsigned i = 0; i < set->n; i++)
		if (strncmp(set->item[i], name, length) == 0 && set->item[i][length] == '=')
			return true;
	for (unsigned i = 0; i < unset->n; i++)
		if (strcmp(unset->item[i], name) == 0)
			return true;
	return false;
}

/* All that the topic is to set itself. */
static int
gather(struct cli_kafka *k, rd_kafka_ConfigResource_t *want, const char *topic, const struct cli_list *set,
	const struct cli_list *unset, struct err *err)
{
	const rd_kafka_ConfigResource_t *told;
	const rd_kafka_ConfigEntry_t **entry;
	rd_kafka_event_t *e = ask(k, topic, &told, err);
	char key[KEY_SIZE];
	const char *value;
	size_t n;

	if (!e)
		return -EIO;
	entry = rd_kafka_ConfigResource_configs(told, &n);
	for (size_t i = 0; i < n; i++)
		if (rd_kafka_ConfigEntry_source(entry[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
			!is_named(rd_kafka_ConfigEntry_name(entry[i]), set, unset))
			(void)rd_kafka_ConfigResource_set_config(want, rd_kafka_ConfigEntry_name(entry[i]),
				rd_kafka_ConfigEntry_value(entry[i]));
	for (unsigned i = 0; i < unset->n && !*err->text; i++) {
		size_t at = 0;

		while (at < n && strcmp(rd_kafka_ConfigEntry_name(entry[at]), unset->item[i]) != 0)
			at++;
		if (at == n)
			err_set(err, "--unset %s: no such topic configuration", unset->item[i]);
	}
	rd_kafka_event_destroy(e);
	for (unsigned i = 0; i < set->n && !*err->text; i++)
		if (topic_setting_split(set->item[i], "set", key, sizeof(key), &value, err))
			(void)rd_kafka_ConfigResource_set_config(want, key, value);
	return *err->text ? -EINVAL : 0;
}

int
topic_settings_alter(struct cli_kafka *k, const char *topic, const struct cli_list *set,
	const struct cli_list *unset, struct err *err)
{
	rd_kafka_AdminOptions_t *options = cli_admin_options(k, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, CLI_KAFKA_MS);
	rd_kafka_ConfigResource_t *want = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->rk);
	const rd_kafka_ConfigResource_t *done;
	rd_kafka_event_t *e;
	int rc = gather(k, want, topic, set, unset, err);
	size_t n;

	if (rc == 0) {
		rd_kafka_AlterConfigs(k->rk, &want, 1, options, q);
		e = cli_admin_await(k, q, CLI_KAFKA_MS, "alter", err);
		rc = e ? 0 : -EIO;
		if (e) {
			done = rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(e), &n)[0];
			if (rd_kafka_ConfigResource_error(done))
				rc = cli_kafka_failed(k, rd_kafka_ConfigResource_error(done),
					rd_kafka_ConfigResource_error_string(done), topic, err);
			rd_kafka_event_destroy(e);
		}
	}
	rd_kafka_ConfigResource_destroy(want);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(q);
	return rc;
}
