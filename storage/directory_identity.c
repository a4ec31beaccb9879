/* SPDX-License-Identifier: MIT
 * directory_identity.c - is this ours, and ours alone? The lock, the file system, kira.meta with its
 * format number. Blocking: the control thread before others run. Formats: FORMAT.md. */
#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#define LOCK_TRIES   5  /* who starts us anew may be faster than the kernel takes the last one apart */
#define LOCK_WAIT_MS 50

#define FS_TMPFS 0x01021994
#define FS_RAMFS 0x858458f6
#define FS_NFS   0x6969

#define META_MAX 1024

static int
take_lock(struct storage *s, struct err *err)
{
	int rc = s->io->openat(s->dirfd, ".lock", O_RDWR | O_CREAT, 0644);

	if (rc < 0)
		return err_sys(err, rc, "open %s/.lock", s->dir);
	s->lock_fd = rc;
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		rc = s->io->lock(s->lock_fd);
		if (rc != -EAGAIN)
			break;
		s->io->sleep_ms(LOCK_WAIT_MS);
	}
	if (rc == -EAGAIN) {
		err_set(err, "%s is in use: another kirad (or Kafka) runs on it; stop that one, or "
			"give this one its own --data-dir", s->dir);
		return rc;
	}
	return rc < 0 ? err_sys(err, rc, "lock %s/.lock", s->dir) : 0;
}

static int
judge_file_system(struct storage *s, struct err *err)
{
	struct io_space space;
	const int rc = s->io->space(s->dirfd, &space);

	if (rc < 0)
		return err_sys(err, rc, "statfs %s", s->dir);
	s->is_volatile = space.type == FS_TMPFS || space.type == FS_RAMFS;
	if (space.type != FS_NFS && (!s->is_volatile || s->o.volatile_ok))
		return 0;
	if (space.type == FS_NFS)
		err_set(err, "%s is on NFS, where a mapped log is not safe: use a local disk", s->dir);
	else
		err_set(err, "%s is in memory and loses all records with a power cut: use a disk, or "
			"say so with --volatile", s->dir);
	return -EINVAL;
}

static int
count_others(void *arg, const char *name)
{
	/* The last: a first start that was cut short. */
	static const char *const ours[] = {".lock", "run", "lost+found", "kira.meta.tmp"};
	unsigned *n = arg;

	for (unsigned i = 0; i < ARRAY_LENGTH(ours); i++)
		if (strcmp(name, ours[i]) == 0)
			return 0;
	(*n)++;
	return 0;
}

static int
create_meta(struct storage *s, int64_t wall_ms, struct err *err)
{
	uint8_t cluster[16], directory[16];
	char text[META_MAX], id[23];
	unsigned others = 0;
	int rc = s->io->list(s->dirfd, count_others, &others);

	if (rc < 0)
		return err_sys(err, rc, "list %s", s->dir);
	if (others > 0) {
		err_set(err, "%s is not empty and has no kira.meta: is its disk mounted? Else give an "
			"empty directory", s->dir);
		return -ENOTEMPTY;
	}
	ASSERT(getrandom(cluster, sizeof(cluster), 0) == sizeof(cluster));
	ASSERT(getrandom(directory, sizeof(directory), 0) == sizeof(directory));
	cluster[0] &= 0x7f; /* no '-' in front: tools would take it for a flag */
	uuid_put(s->cluster_id, cluster);
	uuid_put(id, directory);
	(void)snprintf(text, sizeof(text), "format %d\ncluster.id %s\nnode.id 1\ndirectory.id %s\n"
		"created_ms %" PRId64 "\n", DIRECTORY_FORMAT, s->cluster_id, id, wall_ms);
	rc = layout_put_text(s->io, s->dirfd, "meta", text);
	return rc < 0 ? err_sys(err, rc, "write %s/kira.meta", s->dir) : 0;
}

/* What format n - 1 wrote, format n reads: only the number changes, and it changes first. Nothing of the
 * new format is written before it is durable; cut short, the next start does it again. */
static int
raise_format(struct storage *s, const char *body, struct err *err)
{
	const char *rest = strchr(body, '\n');
	char text[META_MAX];
	int rc;

	ASSERT(rest);
	rc = snprintf(text, sizeof(text), "format %d%s", DIRECTORY_FORMAT, rest);
	rc = rc < (int)sizeof(text) ? layout_put_text(s->io, s->dirfd, "meta", text) : -EFBIG;
	return rc < 0 ? err_sys(err, rc, "write format %d into %s/kira.meta", DIRECTORY_FORMAT, s->dir) :
		0;
}

static int
read_meta(struct storage *s, int64_t wall_ms, struct err *err)
{
	int32_t format = 0;
	char *body;
	int rc = layout_read_text(s->io, s->dirfd, "meta", &body);

	if (rc == -ENOENT)
		return create_meta(s, wall_ms, err);
	if (rc < 0)
		return err_sys(err, rc, "read %s/kira.meta", s->dir);
	if (!catalogue_parse_meta(body, &format, s->cluster_id)) {
		err_set(err, "%s/kira.meta is not one of Kira's: put back a copy of it", s->dir);
		rc = -EBADMSG;
	} else if (format > DIRECTORY_FORMAT) {
		err_set(err, "%s has format %" PRId32 ", this kirad knows formats %d and %d: start the newer "
			"kirad that wrote it, there is no way back but a copy of before", s->dir, format,
			DIRECTORY_FORMAT - 1, DIRECTORY_FORMAT);
		rc = -EINVAL;
	} else if (format < DIRECTORY_FORMAT - 1) {
		err_set(err, "%s has format %" PRId32 ", this kirad knows formats %d and %d: start each kirad "
			"between once, or the one that wrote it", s->dir, format, DIRECTORY_FORMAT - 1,
			DIRECTORY_FORMAT);
		rc = -EINVAL;
	} else if (format < DIRECTORY_FORMAT) {
		rc = raise_format(s, body, err);
	}
	free(body);
	return rc;
}

int
directory_identify(struct storage *s, int64_t wall_ms, struct err *err)
{
	int rc = judge_file_system(s, err);

	if (rc == 0)
		rc = take_lock(s, err);
	if (rc == 0)
		rc = read_meta(s, wall_ms, err);
	return rc;
}
