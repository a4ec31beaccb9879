/* SPDX-License-Identifier: MIT
 * offset_record.h - what __consumer_offsets says of one committed offset, and in which of its partitions.
 * Pure; any thread.
 *
 *   key   i16 1 | group:str | topic:str | partition:i32                        (0 is read alike; 2: a group)
 *   value i16 3 | offset:i64 | leaderEpoch:i32 | metadata:str | commitTimestamp:i64
 *         i16 1 | offset:i64 | metadata:str | commitTimestamp:i64 | expireTimestamp:i64   (read; so 0 and 2,
 *                                                                                          without the last)
 * Source: apache/kafka, group-coordinator/src/main/resources/common/message/OffsetCommit{Key,Value}.json. */
#ifndef KIRA_CONTROL_OFFSET_RECORD_H
#define KIRA_CONTROL_OFFSET_RECORD_H

#include "base/writer.h"

#define OFFSET_KEY_ROOM(group, topic) (2 + 2 + (size_t)(group).len + 2 + (size_t)(topic).len + 4)
#define OFFSET_VALUE_ROOM(metadata)   (2 + 8 + 4 + 2 + (size_t)(metadata).len + 8)

enum group_key_kind { GROUP_KEY_OTHER, GROUP_KEY_OFFSET, GROUP_KEY_GROUP };

struct group_key {
	enum group_key_kind kind;
	struct view group, topic; /* topic and partition: of OFFSET */
	int32_t partition;        /* >= 0 */
};

struct offset_record {
	int64_t offset, commit_ms;
	int32_t leader_epoch; /* -1 unknown */
	struct view metadata;
};

/* False: damaged. A version that is not known is OTHER: to be passed over, as Kafka does. */
bool group_key_read(struct group_key *ret, struct view key);
bool offset_value_read(struct offset_record *ret, struct view value);
void offset_key_write(struct writer *w, struct view group, struct view topic, int32_t partition);
void offset_value_write(struct writer *w, const struct offset_record *o);

/* Of `partitions` the one that keeps this group: Java's String.hashCode(), which counts in UTF-16, without its
 * sign. Bytes that are no UTF-8 count as U+FFFD each. */
int32_t group_partition(struct view group, int32_t partitions);

#endif
