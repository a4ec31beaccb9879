/* SPDX-License-Identifier: MIT
 * fake_io.c - see the header. */
#include "tests/unit/storage/fake_io.h"

#include "base/bits.h"

#include <errno.h>
#include <sys/stat.h>

#define FS_EXT4 0xef53

struct fake_io fake;

void
fake_io_reset(void)
{
	fake = (struct fake_io){
		.fail_rc = -EIO, .space = {.total = 100 * GIB, .free = 50 * GIB, .type = FS_EXT4}};
}

static uint64_t
inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_ino;
}

void
fake_io_lose(int fd)
{
	fake.lost_inode = inode(fd);
	fake.lost++;
	fake.lost_told = false;
}

/* Has it to be told an error? */
static bool
was_lost(int fd)
{
	if (fake.lost == 0 || fd >= FAKE_FDS || fake.lost_seen[fd] == fake.lost || inode(fd) != fake.lost_inode)
		return false;
	fake.lost_seen[fd] = fake.lost;
	return fake.lost_told = true;
}

static const struct io *
under(void)
{
	return fake.under ? fake.under : &io_posix;
}

static int
refused(enum io_kind kind, int fd, const char *name)
{
	fake.calls[kind]++;
	fake.total++;
	if ((fake.dies_at && fake.total >= fake.dies_at) || fake.total == fake.fails_at)
		return fake.fail_rc;
	return fake.hook ? fake.hook(kind, fd, name) : 0;
}

static int
fake_openat(int dir, const char *name, int flags, unsigned mode)
{
	int rc = refused(IO_OPENAT, dir, name);

	if (rc == 0)
		rc = under()->openat(dir, name, flags, mode);
	if (rc >= 0 && rc < FAKE_FDS)
		fake.lost_seen[rc] = fake.lost - (fake.lost > 0 && !fake.lost_told);
	return rc;
}

static int
fake_close(int fd)
{
	fake.calls[IO_CLOSE]++;
	return under()->close(fd);
}

static int
fake_size(int fd, uint64_t *ret)
{
	const int rc = refused(IO_SIZE, fd, NULL);

	return rc < 0 ? rc : under()->size(fd, ret);
}

static int
fake_fallocate(int fd, uint64_t at, uint64_t length)
{
	const int rc = refused(IO_FALLOCATE, fd, NULL);

	return rc < 0 ? rc : under()->fallocate(fd, at, length);
}

static int
fake_ftruncate(int fd, uint64_t size)
{
	const int rc = refused(IO_FTRUNCATE, fd, NULL);

	return rc < 0 ? rc : under()->ftruncate(fd, size);
}

static int64_t
fake_pread(int fd, void *to, size_t n, uint64_t at)
{
	const int rc = refused(IO_PREAD, fd, NULL);

	return rc < 0 ? rc : under()->pread(fd, to, fake.total == fake.short_at ? n / 2 : n, at);
}

static int64_t
fake_pwrite(int fd, const void *from, size_t n, uint64_t at)
{
	const int rc = refused(IO_PWRITE, fd, NULL);

	return rc < 0 ? rc : under()->pwrite(fd, from, fake.total == fake.short_at ? n / 2 : n, at);
}

static int
fake_fsync(int fd)
{
	const int rc = refused(IO_FSYNC, fd, NULL);

	if (rc < 0 || fake.under)
		return rc < 0 ? rc : fake.under->fsync(fd);
	return was_lost(fd) ? -EIO : 0;
}

static int
fake_clone(int from, int to)
{
	return -EOPNOTSUPP;
}

static int
fake_sync_range(int fd, uint8_t *map, uint64_t at, uint64_t length)
{
	const int rc = refused(IO_SYNC_RANGE, fd, NULL);

	return rc < 0 || !fake.under ? rc : fake.under->sync_range(fd, map, at, length);
}

static int
fake_sync_all(int fd)
{
	const int rc = refused(IO_SYNC_ALL, fd, NULL);

	return rc < 0 || !fake.under ? rc : fake.under->sync_all(fd);
}

static int
fake_write_behind(int fd, uint64_t at, uint64_t length)
{
	const int rc = refused(IO_WRITE_BEHIND, fd, NULL);

	return rc < 0 || !fake.under ? rc : fake.under->write_behind(fd, at, length);
}

static int
fake_drop_cache(int fd)
{
	const int rc = refused(IO_DROP_CACHE, fd, NULL);

	return rc < 0 || !fake.under ? rc : fake.under->drop_cache(fd);
}

static int64_t
fake_cached(int fd, uint64_t size)
{
	const int rc = refused(IO_CACHED, fd, NULL);

	if (rc == 0 && fake.under)
		return fake.under->cached(fd, size);
	if (rc < 0 || fake.cached_for == 0)
		return rc;
	fake.cached_for--;
	return 8192;
}

static uint64_t
fake_next_data(int fd, uint64_t at)
{
	fake.calls[IO_NEXT_DATA]++;
	return fake.tells_no_holes ? at : under()->next_data(fd, at);
}

static void
fake_let_go(void)
{
	fake.let_go++;
}

static void
fake_sleep_ms(unsigned ms)
{
	const unsigned n = 1 + atomic_fetch_add(&fake.asleep, 1);

	if (n > atomic_load(&fake.asleep_most))
		atomic_store(&fake.asleep_most, n);
	fake.slept_ms += ms;
	io_posix.sleep_ms(1);
	atomic_fetch_sub(&fake.asleep, 1);
}

static int
fake_map(int fd, uint64_t length, uint8_t **ret)
{
	const int rc = refused(IO_MAP, fd, NULL);

	return rc < 0 ? rc : under()->map(fd, length, ret);
}

static int
fake_unmap(void *map, uint64_t length)
{
	fake.calls[IO_UNMAP]++;
	return under()->unmap(map, length);
}

static int
fake_populate(void *at, uint64_t length)
{
	const int rc = refused(IO_POPULATE, -1, NULL);

	return rc < 0 ? rc : under()->populate(at, length);
}

static int
fake_unpopulate(void *at, uint64_t length)
{
	const int rc = refused(IO_UNPOPULATE, -1, NULL);

	return rc < 0 ? rc : under()->unpopulate(at, length);
}

static int
fake_renameat(int dir, const char *from, const char *to)
{
	const int rc = refused(IO_RENAMEAT, dir, to);

	return rc < 0 ? rc : under()->renameat(dir, from, to);
}

static int
fake_unlinkat(int dir, const char *name, bool directory)
{
	const int rc = refused(IO_UNLINKAT, dir, name);

	return rc < 0 ? rc : under()->unlinkat(dir, name, directory);
}

static int
fake_mkdirat(int dir, const char *name)
{
	const int rc = refused(IO_MKDIRAT, dir, name);

	return rc < 0 ? rc : under()->mkdirat(dir, name);
}

static int
fake_size_at(int dir, const char *name, uint64_t *ret)
{
	const int rc = refused(IO_SIZE_AT, dir, name);

	return rc < 0 ? rc : under()->size_at(dir, name, ret);
}

static int
fake_changed_ms(int dir, const char *name, int64_t *wall_ms)
{
	const int rc = refused(IO_CHANGED_MS, dir, name);

	if (rc == 0 && fake.under)
		return fake.under->changed_ms(dir, name, wall_ms);
	*wall_ms = fake.changed_ms;
	return rc;
}

static int
fake_list(int dir, int (*each)(void *arg, const char *name), void *arg)
{
	const int rc = refused(IO_LIST, dir, NULL);

	return rc < 0 ? rc : under()->list(dir, each, arg);
}

static int
fake_lock(int fd)
{
	const int rc = refused(IO_LOCK, fd, NULL);

	return rc < 0 ? rc : under()->lock(fd);
}

static int
fake_space(int fd, struct io_space *ret)
{
	const int rc = refused(IO_SPACE, fd, NULL);

	if (rc == 0 && fake.under)
		return fake.under->space(fd, ret);
	if (rc == 0)
		*ret = fake.space;
	return rc;
}

/* Its answer is nobody's business: not among the calls. */
static int
fake_be_idle(void)
{
	return 0;
}

const struct io fake_io = {
	.openat = fake_openat,
	.close = fake_close,
	.size = fake_size,
	.fallocate = fake_fallocate,
	.ftruncate = fake_ftruncate,
	.pread = fake_pread,
	.pwrite = fake_pwrite,
	.fsync = fake_fsync,
	.clone = fake_clone,
	.sync_range = fake_sync_range,
	.sync_all = fake_sync_all,
	.write_behind = fake_write_behind,
	.drop_cache = fake_drop_cache,
	.cached = fake_cached,
	.next_data = fake_next_data,
	.sleep_ms = fake_sleep_ms,
	.let_go = fake_let_go,
	.map = fake_map,
	.unmap = fake_unmap,
	.populate = fake_populate,
	.unpopulate = fake_unpopulate,
	.renameat = fake_renameat,
	.unlinkat = fake_unlinkat,
	.mkdirat = fake_mkdirat,
	.size_at = fake_size_at,
	.changed_ms = fake_changed_ms,
	.list = fake_list,
	.lock = fake_lock,
	.space = fake_space,
	.be_idle = fake_be_idle,
};
