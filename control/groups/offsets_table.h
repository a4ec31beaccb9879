/* SPDX-License-Identifier: MIT
 * offsets_table.h - the table of committed offsets, between the files that change it. Control thread. */
#ifndef KIRA_CONTROL_OFFSETS_TABLE_H
#define KIRA_CONTROL_OFFSETS_TABLE_H

#include "control/groups/offsets.h"

struct offset_value {
	unsigned refs;
	struct offset_record is; /* its metadata lies behind */
	uint8_t metadata[];
};

struct offset {
	int32_t partition;
	unsigned pending;            /* changes under way */
	uint64_t order;              /* of the change that `now` is of */
	struct offset_value *now, *last;
};

struct offset_topic {
	struct view name;
	int32_t room;                /* of part[]; by partition number */
	struct offset **part;
};

struct group_offsets {
	struct groups *groups;
	struct group *group;         /* NULL: it is gone, changes under way are of no consequence */
	unsigned refs;               /* the group, and each commit */
	unsigned n;                  /* offsets there are, removed ones under way too */
	uint64_t sent;               /* commits and removals so far, in the order of the log */
	unsigned topics, topic_room;
	struct offset_topic **topic; /* by name */
};

/* NULL: memory_max. Its first reference is taken by offset_value_set(). */
struct offset_value *offset_value_make(struct group_offsets *of, const struct offset_record *o);
/* *at = v, or NULL, with its reference; what was there loses one. */
void offset_value_set(struct group_offsets *of, struct offset_value **at, struct offset_value *v);

struct offset_topic *offset_topic_find(const struct group_offsets *of, struct view name);
struct offset *offset_find(const struct group_offsets *of, struct view topic, int32_t partition);
/* Its topic, with a place for the partition filled; NULL: memory_max. */
struct offset_topic *offset_obtain(struct group_offsets *of, struct view topic, int32_t partition);
/* Free it, if it is no more and nothing of it is under way. The row of its topic stays until the group goes. */
void offset_drop_if_nothing(struct group_offsets *of, struct offset_topic *t, int32_t partition);

/* Those of a group, made where there are none. */
struct group_offsets *offsets_of(struct groups *gs, struct group *g);
void offsets_release(struct group_offsets *of);

#endif
