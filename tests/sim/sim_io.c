/* SPDX-License-Identifier: MIT
 * sim_io.c - struct io over the simulated disk. Descriptors are places in a table of the disk,
 * and a little above zero, so that a real one is never taken for one of them. */
#include "tests/sim/sim_files.h"

#include "base/assert.h"
#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FD_FIRST 1000
#define FS_EXT4  0xef53
#define LARGE    (256 * KIB)

struct sim_file *
sim_file_of(const struct sim_disk *d, int fd)
{
	struct sim_file *f;

	ASSERT(fd >= FD_FIRST && fd < FD_FIRST + SIM_FDS);
	f = d->fd[fd - FD_FIRST];
	ASSERT(f);
	return f;
}

static struct sim_file *
file_of(int fd)
{
	return sim_file_of(sim.disk, fd);
}

/* -ENOSPC for what would make the file larger, or another. */
static bool
no_space(void)
{
	return sim.disk->full;
}

/* A call that changes or syncs something. False: the process is gone. */
static bool
enter(void)
{
	if (sim.disk->frozen)
		return false;
	sim_disk_look(sim.disk);
	sim.calls++;
	if (sim.before)
		sim.before();
	return true;
}

static int
new_fd(struct sim_file *f)
{
	for (int i = 0; i < SIM_FDS; i++) {
		if (!sim.disk->fd[i]) {
			sim.disk->fd[i] = f;
			/* An error that nobody was told of is this one's too. */
			sim.disk->seen[i] = f->errors - (f->errors > 0 && !f->told);
			return FD_FIRST + i;
		}
	}
	return -EMFILE;
}

static int
sim_openat(int dir, const char *name, int flags, unsigned mode)
{
	struct sim_file *d, **at, *f;

	if (dir == AT_FDCWD)
		return new_fd(sim.disk->root);
	d = file_of(dir);
	if (strcmp(name, ".") == 0)
		return new_fd(d);
	at = sim_names_find(&d->now, name);
	if (!at && !(flags & O_CREAT))
		return -ENOENT;
	if (at && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (((flags & O_TRUNC) || !at) && !enter())
		return -EIO;
	at = sim_names_find(&d->now, name);
	if (!at && no_space())
		return -ENOSPC;
	if (at) {
		f = *at;
		if (flags & O_TRUNC)
			sim_file_resize(f, 0);
	} else {
		f = sim_file_new(sim.disk, false);
		sim_names_change(d, "", name, f);
	}
	if ((flags & O_DIRECTORY) && !f->directory)
		return -ENOTDIR;
	return new_fd(f);
}

static int
sim_close(int fd)
{
	if (fd < 0)
		return 0;
	(void)file_of(fd);
	sim.disk->fd[fd - FD_FIRST] = NULL;
	return 0;
}

static int
sim_size(int fd, uint64_t *ret)
{
	*ret = file_of(fd)->size;
	return 0;
}

static int
sim_fallocate(int fd, uint64_t at, uint64_t length)
{
	struct sim_file *f = file_of(fd);

	if (!enter())
		return -EIO;
	if (at + length <= f->size)
		return 0;
	if (no_space())
		return -ENOSPC;
	sim_file_resize(f, at + length);
	return 0;
}

static int
sim_ftruncate(int fd, uint64_t size)
{
	if (!enter())
		return -EIO;
	sim_file_resize(file_of(fd), size);
	return 0;
}

static int64_t
sim_pread(int fd, void *to, size_t n, uint64_t at)
{
	const struct sim_file *f = file_of(fd);

	if (at >= f->size)
		return 0;
	n = MIN(n, f->size - at);
	memcpy(to, f->live + at, n);
	return (int64_t)n;
}

static int64_t
sim_pwrite(int fd, const void *from, size_t n, uint64_t at)
{
	struct sim_file *f = file_of(fd);

	if (!enter())
		return -EIO;
	if (n == 0)
		return 0;
	if (at + n > f->size && no_space())
		return -ENOSPC;
	sim_file_room(f, at + n);
	memcpy(f->live + at, from, n);
	if (at + n > f->size)
		sim_file_resize(f, at + n);
	sim_file_look(f);
	return (int64_t)n;
}

/* What this descriptor was not told yet. */
static int
tell_errors(int fd)
{
	struct sim_file *f = file_of(fd);

	if (f->errors == sim.disk->seen[fd - FD_FIRST])
		return 0;
	sim.disk->seen[fd - FD_FIRST] = f->errors;
	f->told = f->told_now = true;
	if (sim.told)
		sim.told(fd);
	return -EIO;
}

static int
sync_pages(int fd, uint64_t from, uint64_t to)
{
	struct sim_file *f = file_of(fd);

	if (!enter())
		return -EIO;
	sim.syncs_again += f->was_mapped && f->told_now;
	if (f->was_mapped && sim.sync_fails && sim.sync_fails())
		sim_file_fail(f, from, to, &sim.failing);
	else
		sim_file_sync(f, from, to);
	return tell_errors(fd);
}

static int
sim_sync(int fd)
{
	return sync_pages(fd, 0, SIM_ALL_PAGES);
}

static int
sim_sync_all(int fd)
{
	if (!enter())
		return -EIO;
	for (struct sim_file *f = sim.disk->files; f; f = f->next)
		sim_file_sync(f, 0, SIM_ALL_PAGES);
	return 0;
}

static int
sim_clone(int from, int to)
{
	return -EOPNOTSUPP;
}

static int
sim_sync_range(int fd, uint8_t *map, uint64_t at, uint64_t length)
{
	ASSERT(map == file_of(fd)->live && at % SIM_PAGE == 0);
	return sync_pages(fd, at / SIM_PAGE, (at + length + SIM_PAGE - 1) / SIM_PAGE);
}

/* A page may be on disk at any time anyway. Linux tells the errors of before here only who waits;
 * nothing may depend on that. */
static int
sim_write_behind(int fd, uint64_t at, uint64_t length)
{
	return enter() ? tell_errors(fd) : -EIO;
}

static int
sim_drop_cache(int fd)
{
	sim_file_drop(file_of(fd));
	return 0;
}

static int64_t
sim_cached(int fd, uint64_t size)
{
	return 0; /* what is read after a cut is the disk's */
}

/* What a file system may say that looks at its own blocks alone: where the disk has nothing there is a hole,
 * whatever the page cache has. */
static uint64_t
sim_next_data(int fd, uint64_t at)
{
	static const uint8_t hole[SIM_PAGE];
	const struct sim_file *f = file_of(fd);

	if (sim.tells_no_holes) {
		sim.holes_untold++;
		return at;
	}
	for (uint64_t page = at - at % SIM_PAGE; page < f->size; page += SIM_PAGE) {
		if (memcmp(f->disk + page, hole, SIM_PAGE) != 0)
			return MAX(at, page);
		sim.holes_told++;
	}
	return UINT64_MAX;
}

static void
sim_let_go(void)
{
}

static void
sim_sleep_ms(unsigned ms)
{
}

static int
sim_map(int fd, uint64_t length, uint8_t **ret)
{
	struct sim_file *f;

	if (fd < 0) {
		/* Untouched pages of a large one cost nothing. */
		void *p = length < LARGE ? calloc(1, length) : mmap(NULL, length, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		*ret = p;
		return p && p != MAP_FAILED ? 0 : -ENOMEM;
	}
	f = file_of(fd);
	sim_file_room(f, length);
	f->maps++;
	f->was_mapped = true;
	*ret = f->live;
	return 0;
}

static int
sim_unmap(void *map, uint64_t length)
{
	for (struct sim_file *f = map ? sim.disk->files : NULL; f; f = f->next) {
		if (f->live == map) {
			sim_file_look(f);
			f->maps--;
			return 0;
		}
	}
	if (map && length >= LARGE)
		(void)munmap(map, length);
	else
		free(map);
	return 0;
}

static int
sim_populate(void *at, uint64_t length)
{
	return 0;
}

static int
sim_renameat(int dir, const char *from, const char *to)
{
	struct sim_file *d = file_of(dir);

	if (!sim_names_find(&d->now, from))
		return -ENOENT;
	if (!enter())
		return -EIO;
	sim_names_change(d, from, to, *sim_names_find(&d->now, from));
	return 0;
}

static int
sim_unlinkat(int dir, const char *name, bool directory)
{
	struct sim_file *d = file_of(dir), **at = sim_names_find(&d->now, name);

	if (!at)
		return -ENOENT;
	if ((*at)->directory != directory)
		return directory ? -ENOTDIR : -EISDIR;
	if (directory && (*at)->now.n > 0)
		return -ENOTEMPTY;
	if (!enter())
		return -EIO;
	sim_names_change(d, name, "", NULL);
	return 0;
}

static int
sim_mkdirat(int dir, const char *name)
{
	struct sim_file *d = file_of(dir);

	if (sim_names_find(&d->now, name))
		return -EEXIST;
	if (!enter())
		return -EIO;
	if (no_space())
		return -ENOSPC;
	sim_names_change(d, "", name, sim_file_new(sim.disk, true));
	return 0;
}

static int
sim_size_at(int dir, const char *name, uint64_t *ret)
{
	struct sim_file **at = sim_names_find(&file_of(dir)->now, name);

	if (!at)
		return -ENOENT;
	*ret = (*at)->size;
	return 0;
}

static int
sim_changed_ms(int dir, const char *name, int64_t *wall_ms)
{
	*wall_ms = sim.old_files ? 0 : INT64_MAX;
	return 0;
}

static int
sim_list(int dir, int (*each)(void *arg, const char *name), void *arg)
{
	const struct sim_names *now = &file_of(dir)->now;
	const unsigned n = now->n;
	char(*name)[SIM_NAME] = calloc(n + 1, sizeof(*name));
	int rc = 0;

	ASSERT(name);
	for (unsigned i = 0; i < n; i++)
		memcpy(name[i], now->entry[i].name, SIM_NAME);
	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = each(arg, name[i]);
	free(name);
	return rc;
}

static int
sim_lock(int fd)
{
	return 0;
}

static int
sim_space(int fd, struct io_space *ret)
{
	*ret = sim.space.total ? sim.space : (struct io_space){.total = 100 * GIB, .free = 50 * GIB};
	ret->type = FS_EXT4;
	if (sim.disk->full)
		ret->free = 0;
	return 0;
}

static int
sim_be_idle(void)
{
	return 0;
}

const struct io sim_io = {
	.openat = sim_openat,
	.close = sim_close,
	.size = sim_size,
	.fallocate = sim_fallocate,
	.ftruncate = sim_ftruncate,
	.pread = sim_pread,
	.pwrite = sim_pwrite,
	.fsync = sim_sync,
	.clone = sim_clone,
	.sync_range = sim_sync_range,
	.sync_all = sim_sync_all,
	.write_behind = sim_write_behind,
	.drop_cache = sim_drop_cache,
	.cached = sim_cached,
	.next_data = sim_next_data,
	.sleep_ms = sim_sleep_ms,
	.let_go = sim_let_go,
	.map = sim_map,
	.unmap = sim_unmap,
	.populate = sim_populate,
	.unpopulate = sim_populate,
	.renameat = sim_renameat,
	.unlinkat = sim_unlinkat,
	.mkdirat = sim_mkdirat,
	.size_at = sim_size_at,
	.changed_ms = sim_changed_ms,
	.list = sim_list,
	.lock = sim_lock,
	.space = sim_space,
	.be_idle = sim_be_idle,
};
