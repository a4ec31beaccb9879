/* SPDX-License-Identifier: MIT
 * offline.h - a data directory opened by a tool instead of kirad: its lock and its own files, read and not
 * judged. Private to inspect*.c and repair*.c. Blocking, one thread. */
#ifndef KIRA_STORAGE_OFFLINE_H
#define KIRA_STORAGE_OFFLINE_H

#include "storage/directory.h"

struct offline {
	const struct io *io;
	const char *path;
	int fd, lock;                 /* lock -1: nobody can have one */
	/* 0, or -errno of the file; -EBADMSG: damaged. */
	int meta_rc, state_rc, topics_rc;
	char *topics_text;            /* the body of kira.topics, NULL: none */
	struct storage_topic *topic;
	struct state_row *row;
	unsigned topics, rows;
	uint64_t incarnation;
	bool clean;
	int32_t format;
};

/* `locked`: for as long as it is open. -EAGAIN: kirad runs on it; other -errno: it is no data directory, of
 * another format, or cannot be read. Closed by offline_close() only after success. */
int offline_open(struct offline *o, const struct io *io, const char *path, bool locked, struct err *err);
/* kira.state and kira.topics once more, as they are now. */
void offline_read(struct offline *o);
void offline_close(struct offline *o);
/* NULL: kira.state has none. `id` NULL: any. */
struct state_row *offline_row(const struct offline *o, const char *topic, int32_t index, const uint8_t *id);

#endif
