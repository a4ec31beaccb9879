/* SPDX-License-Identifier: MIT
 * topic_config_ut.c - topic configurations and topic names. */
#include "control/topic_config.h"
#include "control/topic_name.h"

#include "tests/unit/ut.h"

static struct topic_config cfg;
static struct err err;

static int
set(const char *name, const char *value)
{
	const int row = topic_config_row(name, (uint32_t)strlen(name));

	return row < 0 ? -1000 : topic_config_set(&cfg, (unsigned)row, value, &err);
}

static void
defaults_are_kafkas(void)
{
	topic_config_defaults(&cfg);
	CU_ASSERT_EQUAL(cfg.log.segment_bytes, 1073741824);
	CU_ASSERT_EQUAL(cfg.log.retention_ms, 604800000);
	CU_ASSERT_EQUAL(cfg.log.retention_bytes, -1);
	CU_ASSERT_EQUAL(cfg.log.max_message_bytes, 1048588);
	CU_ASSERT_EQUAL(topic_config_settle(&cfg, false, &err), 0);
	CU_ASSERT_FALSE(cfg.log.log_append_time);
	CU_ASSERT_FALSE(cfg.log.rewrite_lz4);
	CU_ASSERT_FALSE(cfg.log.visible_at_disk);
	CU_ASSERT_EQUAL(topic_config_level(&cfg, -1), ACK_DISK);
	CU_ASSERT_EQUAL(topic_config_level(&cfg, 1), ACK_LOG);
	CU_ASSERT_EQUAL(topic_config_level(&cfg, 0), ACK_NONE);
}

static void
values_out_of_bounds_are_refused_with_the_bounds(void)
{
	topic_config_defaults(&cfg);
	CU_ASSERT_NOT_EQUAL(set("segment.bytes", "1000"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "1048576"));
	CU_ASSERT_EQUAL(set("segment.bytes", "1048576"), 0);
	CU_ASSERT_NOT_EQUAL(set("segment.bytes", "2147483648"), 0);
	CU_ASSERT_NOT_EQUAL(set("retention.ms", "12h"), 0);
	CU_ASSERT_NOT_EQUAL(set("retention.ms", "-2"), 0);
	CU_ASSERT_NOT_EQUAL(set("max.message.bytes", "5242881"), 0);
	CU_ASSERT_NOT_EQUAL(set("retention.ms", "\n60000"), 0); /* kira.topics has a line for each */
	CU_ASSERT_NOT_EQUAL(set("retention.ms", " 60000"), 0);
	CU_ASSERT_NOT_EQUAL(set("retention.ms", "+60000"), 0);
	CU_ASSERT_NOT_EQUAL(set("retention.ms", ""), 0);
	CU_ASSERT_NOT_EQUAL(set("message.timestamp.type", "LastYear"), 0);
	CU_ASSERT_EQUAL(set("no.such.thing", "1"), -1000);
}

static void
fixed_values_can_be_set_to_themselves_only(void)
{
	topic_config_defaults(&cfg);
	CU_ASSERT_EQUAL(set("cleanup.policy", "delete"), 0);
	CU_ASSERT_NOT_EQUAL(set("cleanup.policy", "compact"), 0);
	CU_ASSERT_EQUAL(set("compression.type", "producer"), 0);
	CU_ASSERT_NOT_EQUAL(set("compression.type", "gzip"), 0);
	CU_ASSERT_EQUAL(set("compression.type", "lz4"), 0);
	CU_ASSERT_EQUAL(set("kira.validate", "deep"), 0);
	CU_ASSERT_EQUAL(cfg.validate, VALIDATE_DEEP);
	CU_ASSERT_NOT_EQUAL(set("kira.validate", "shallow"), 0);
	CU_ASSERT_NOT_EQUAL(set("kira.ack.min", "uplink"), 0);
}

static void
an_own_max_message_bytes_must_fit_a_segment(void)
{
	topic_config_defaults(&cfg);
	CU_ASSERT_EQUAL(set("segment.bytes", "1048576"), 0);
	CU_ASSERT_EQUAL(topic_config_settle(&cfg, false, &err), 0);
	CU_ASSERT_EQUAL(set("max.message.bytes", "1048577"), 0);
	CU_ASSERT_NOT_EQUAL(topic_config_settle(&cfg, true, &err), 0);
}

static void
flush_messages_1_raises_the_lowest_ack_to_disk(void)
{
	topic_config_defaults(&cfg);
	CU_ASSERT_EQUAL(set("flush.messages", "1"), 0);
	CU_ASSERT_EQUAL(topic_config_settle(&cfg, false, &err), 0);
	CU_ASSERT_EQUAL(topic_config_level(&cfg, 1), ACK_DISK);
	CU_ASSERT_TRUE(cfg.log.visible_at_disk);
	CU_ASSERT_EQUAL(set("kira.visibility", "log"), 0);
	CU_ASSERT_EQUAL(topic_config_settle(&cfg, false, &err), 0);
	CU_ASSERT_FALSE(cfg.log.visible_at_disk);
}

static void
lz4_asks_storage_to_rewrite(void)
{
	topic_config_defaults(&cfg);
	CU_ASSERT_EQUAL(set("compression.type", "lz4"), 0);
	CU_ASSERT_EQUAL(topic_config_settle(&cfg, false, &err), 0);
	CU_ASSERT_TRUE(cfg.log.rewrite_lz4);
	CU_ASSERT_EQUAL(set("compression.type", "producer"), 0);
	CU_ASSERT_EQUAL(topic_config_settle(&cfg, false, &err), 0);
	CU_ASSERT_FALSE(cfg.log.rewrite_lz4);
}

static void
text_and_value_agree_for_every_row(void)
{
	char text[TOPIC_CONFIG_VALUE_MAX + 1];

	topic_config_defaults(&cfg);
	for (unsigned row = 0; row < topic_config_count(); row++) {
		topic_config_text(row, &cfg, text);
		CU_ASSERT_EQUAL(topic_config_set(&cfg, row, text, &err), 0);
		CU_ASSERT_EQUAL(topic_config_row(topic_config_name(row),
			(uint32_t)strlen(topic_config_name(row))), (int)row);
	}
}

static void
topic_names_follow_kafkas_rule(void)
{
	char name[251];

	CU_ASSERT_TRUE(topic_name_legal(view_text("a")));
	CU_ASSERT_TRUE(topic_name_legal(view_text("A.b_c-9")));
	CU_ASSERT_TRUE(topic_name_legal(view_text("...")));
	CU_ASSERT_FALSE(topic_name_legal(view_text("")));
	CU_ASSERT_FALSE(topic_name_legal(view_text(".")));
	CU_ASSERT_FALSE(topic_name_legal(view_text("..")));
	CU_ASSERT_FALSE(topic_name_legal(view_text("a b")));
	CU_ASSERT_FALSE(topic_name_legal(view_text("a/b")));
	CU_ASSERT_FALSE(topic_name_legal(view_text("\xc3\xa4")));
	CU_ASSERT_FALSE(topic_name_legal((struct view){(const uint8_t *)"a\0b", 3}));
	CU_ASSERT_FALSE(topic_name_legal((struct view){NULL, 0}));
	memset(name, 'x', sizeof(name));
	name[249] = 0;
	CU_ASSERT_TRUE(topic_name_legal(view_text(name)));
	name[249] = 'x';
	name[250] = 0;
	CU_ASSERT_FALSE(topic_name_legal(view_text(name)));
	CU_ASSERT_TRUE(topic_name_collides(view_text("a.b"), view_text("a_b")));
	CU_ASSERT_EQUAL(topic_name_hash(view_text("a.b")), topic_name_hash(view_text("a_b")));
	CU_ASSERT_NOT_EQUAL(topic_name_hash(view_text("a.b")), topic_name_hash(view_text("a-b")));
	CU_ASSERT_FALSE(topic_name_collides(view_text("a.b"), view_text("a-b")));
}

static const struct ut_test tests[] = {
	UT("topic_config", defaults_are_kafkas),
	UT("topic_config", values_out_of_bounds_are_refused_with_the_bounds),
	UT("topic_config", fixed_values_can_be_set_to_themselves_only),
	UT("topic_config", an_own_max_message_bytes_must_fit_a_segment),
	UT("topic_config", flush_messages_1_raises_the_lowest_ack_to_disk),
	UT("topic_config", lz4_asks_storage_to_rewrite),
	UT("topic_config", text_and_value_agree_for_every_row),
	UT("topic_name", topic_names_follow_kafkas_rule),
};
UT_MAIN(tests)
