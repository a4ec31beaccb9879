/* SPDX-License-Identifier: MIT
 * epoch.h - leader epochs of a partition: which epoch began at which offset. It rises at a
 * start that cannot rule out appends which are gone, so that a pair (epoch, offset) never names two
 * records. Built while a partition is opened, read-only after. Kafka's leader-epoch-checkpoint holds it (FORMAT.md). Pure. */
#ifndef KIRA_STORAGE_EPOCH_H
#define KIRA_STORAGE_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoch_entry {
	int32_t epoch;
	int64_t start;
};

struct epochs {
	struct epoch_entry *entry; /* both columns strictly increasing; at least one */
	uint32_t n;
};

/* Text of the checkpoint file. False: not one. */
bool epochs_parse(struct epochs *e, const char *text, size_t length);
/* The file's text, to be freed. */
char *epochs_text(const struct epochs *e);
void epochs_free(struct epochs *e);

/* `epoch` begins at `start`; epochs that began there or above stored nothing and go. */
void epochs_begin(struct epochs *e, int32_t epoch, int64_t start);
int32_t epochs_latest(const struct epochs *e);               /* -1 none */
int32_t epochs_at(const struct epochs *e, int64_t offset);   /* -1 below the first */
/* The largest epoch <= `epoch`, and where it ends (`end` for the latest); -1, -1 unknown. */
void epochs_end(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found, int64_t *end);

#endif
