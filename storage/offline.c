/* SPDX-License-Identifier: MIT
 * offline.c - see the header. */
#include "storage/offline.h"

#include "storage/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

static int
take_lock(struct offline *o, struct err *err)
{
	int rc = o->io->openat(o->fd, ".lock", O_RDWR, 0);

	o->lock = rc;
	if (rc == -ENOENT || rc == -EROFS) {
		o->lock = -1;
		return 0;
	}
	if (rc < 0)
		return err_sys(err, rc, "open %s/.lock", o->path);
	rc = o->io->lock(o->lock);
	if (rc == 0)
		return 0;
	(void)o->io->close(o->lock);
	o->lock = -1;
	if (rc == -EAGAIN)
		err_set(err, "%s is in use: kirad (or Kafka) runs on it; stop it first, or work on a copy "
			"(kira check --copy makes one)", o->path);
	else
		(void)err_sys(err, rc, "lock %s/.lock", o->path);
	return rc;
}

static bool
is_partition(const struct offline *o)
{
	uint64_t size;

	return o->io->size_at(o->fd, LAYOUT_METADATA, &size) == 0;
}

static int
read_meta(struct offline *o, struct err *err)
{
	char *body = NULL, cluster[23];
	int rc = layout_read_text(o->io, o->fd, "meta", &body);

	if (rc == -ENOENT) {
		if (is_partition(o))
			err_set(err, "%s is a partition's directory: name the directory above, kirad's data directory",
				o->path);
		else
			err_set(err, "%s has no kira.meta: not a data directory of kirad, or its disk is not mounted",
				o->path);
		return -EINVAL;
	}
	if (rc == 0 && !catalogue_parse_meta(body, &o->format, cluster))
		rc = -EBADMSG;
	free(body);
	o->meta_rc = rc;
	if (rc < 0 || o->format == DIRECTORY_FORMAT || o->format == DIRECTORY_FORMAT - 1)
		return 0;
	err_set(err, "%s has format %" PRId32 ", this kira knows %d and %d: use the kira beside the kirad "
		"that wrote it", o->path, o->format, DIRECTORY_FORMAT - 1, DIRECTORY_FORMAT);
	return -EINVAL;
}

static void
forget(struct offline *o)
{
	catalogue_free(o->topic, o->topics);
	catalogue_free_rows(o->row, o->rows);
	free(o->topics_text);
	o->topic = NULL;
	o->row = NULL;
	o->topics_text = NULL;
	o->topics = o->rows = 0;
}

void
offline_read(struct offline *o)
{
	char *body = NULL;

	forget(o);
	o->clean = false;
	o->state_rc = layout_read_text(o->io, o->fd, "state", &body);
	if (o->state_rc == 0 &&
		!catalogue_parse_state(body, &o->incarnation, &o->clean, &o->row, &o->rows))
		o->state_rc = -EBADMSG;
	free(body);
	o->topics_rc = layout_read_text(o->io, o->fd, "topics", &o->topics_text);
	if (o->topics_rc == 0 && !catalogue_parse(o->topics_text, &o->topic, &o->topics))
		o->topics_rc = -EBADMSG;
}

int
offline_open(struct offline *o, const struct io *io, const char *path, bool locked, struct err *err)
{
	int rc;

	*o = (struct offline){.io = io, .path = path, .lock = -1};
	o->fd = io->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (o->fd == -ENOTDIR)
		err_set(err, "%s is no directory: name kirad's data directory; kira dump shows a single file", path);
	else if (o->fd == -ENOENT)
		err_set(err, "%s does not exist, or its disk is not mounted", path);
	else if (o->fd < 0)
		(void)err_sys(err, o->fd, "open %s", path);
	if (o->fd < 0)
		return o->fd;
	rc = locked ? take_lock(o, err) : 0;
	if (rc == 0)
		rc = read_meta(o, err);
	if (rc < 0)
		offline_close(o);
	else
		offline_read(o);
	return rc;
}

void
offline_close(struct offline *o)
{
	forget(o);
	if (o->lock >= 0)
		(void)o->io->close(o->lock);
	(void)o->io->close(o->fd);
}

struct state_row *
offline_row(const struct offline *o, const char *topic, int32_t index, const uint8_t *id)
{
	for (unsigned i = 0; i < o->rows; i++)
		if (o->row[i].partition == index && strcmp(o->row[i].topic, topic) == 0 &&
			(!id || memcmp(o->row[i].id, id, sizeof(o->row[i].id)) == 0))
			return &o->row[i];
	return NULL;
}
