/* SPDX-License-Identifier: MIT
 * inspect_index.c - offset and time index, alone or against the log that they describe. */
#include "storage/inspect.h"

#include "storage/inspect_log.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/bytes.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

static const char remake[] = "kira repair makes it anew";

/* ---- Byte for byte ------------------------------------------------------------------------ */

static void
say_entry(char *to, size_t room, const uint8_t *entry, bool times)
{
	if (times)
		(void)snprintf(to, room, "timestamp %" PRId64 " at offset +%" PRIu32, (int64_t)get_be64(entry),
			get_be32(entry + 8));
	else
		(void)snprintf(to, room, "offset +%" PRIu32 " at position %" PRIu32, get_be32(entry),
			get_be32(entry + 4));
}

static int
compare(struct inspect *in, const struct inspect_place *at, int64_t base, const char *suffix, bool times,
	const uint8_t *made, size_t want, struct err *err)
{
	const size_t entry = times ? TIME_ENTRY_BYTES : INDEX_ENTRY_BYTES;
	char name[LAYOUT_NAME], *bytes, is[64], must[64];
	size_t n, same = 0;
	int rc;

	layout_name(name, base, suffix);
	rc = layout_read(in->io, at->fd, name, &bytes, &n);
	if (rc < 0)
		return err_sys(err, rc, "read %s/%s", at->path, name);
	while (same < MIN(n, want) && bytes[same] == (char)made[same])
		same++;
	same -= same % entry;
	if (n % entry)
		inspect_say(in, INSPECT_DAMAGE, at, name, -1, -1, remake,
			"%zu bytes: not a whole number of entries of %zu", n, entry);
	else if (same + entry <= MIN(n, want)) {
		say_entry(is, sizeof(is), (const uint8_t *)bytes + same, times);
		say_entry(must, sizeof(must), made + same, times);
		inspect_say(in, INSPECT_DAMAGE, at, name, (int64_t)same, base, remake,
			"entry %zu says %s, by the log it is %s", same / entry, is, must);
	} else if (n != want)
		inspect_say(in, INSPECT_DAMAGE, at, name, (int64_t)same, base, remake,
			"%zu entries, the log gives %zu", n / entry, want / entry);
	free(bytes);
	return 0;
}

int
inspect_indexes(struct inspect *in, const struct inspect_place *at, int64_t base,
	const char *const suffix[2], const struct index *made, struct err *err)
{
	const size_t n = atomic_load(&made->n) * (size_t)INDEX_ENTRY_BYTES;
	const size_t times = atomic_load(&made->times) * (size_t)TIME_ENTRY_BYTES;
	uint8_t *bytes = malloc(n + times + 1);
	int rc;

	ASSERT(bytes);
	index_put(made, bytes, bytes + n);
	rc = compare(in, at, base, suffix[0], false, bytes, n, err);
	if (rc == 0)
		rc = compare(in, at, base, suffix[1], true, bytes + n, times, err);
	free(bytes);
	return rc;
}

/* ---- By Kafka's rules --------------------------------------------------------------------- */

static bool
zeros(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Does a batch begin where the entry says, and end with its offset? */
static bool
names_batch(struct inspect *in, int log, int64_t base, const uint8_t *entry)
{
	uint8_t head[RB_HEADER];

	return in->io->pread(log, head, sizeof(head), get_be32(entry + 4)) == sizeof(head) &&
		head[RB_MAGIC] == 2 &&
		/* No checksum was looked at: any sum, and none that overflows. */
		(uint64_t)rb_base_offset(head) + (uint64_t)rb_last_offset_delta(head) ==
			(uint64_t)base + get_be32(entry);
}

/* `log`: -1 where there is none. */
static void
judge(struct inspect *in, const struct inspect_place *at, const char *name, const char *bytes, size_t n,
	bool times, int64_t base, int log)
{
	const size_t size = times ? TIME_ENTRY_BYTES : INDEX_ENTRY_BYTES;
	const uint8_t *last = NULL;

	if (n % size)
		inspect_say(in, INSPECT_DAMAGE, at, name, -1, -1, NULL,
			"%zu bytes: not a whole number of entries of %zu", n, size);
	for (size_t i = 0; i + size <= n; i += size) {
		const uint8_t *e = (const uint8_t *)bytes + i;
		const bool rises = !last || (times ? get_be64(e) > get_be64(last) &&
				get_be32(e + 8) >= get_be32(last + 8) :
			get_be32(e) > get_be32(last) && get_be32(e + 4) > get_be32(last + 4));

		if (!rises && zeros(bytes + i, n - i)) {
			inspect_say(in, INSPECT_NOTE, at, name, (int64_t)i, -1, NULL,
				"zeros from entry %zu on: Kafka had the file open", i / size);
			return;
		}
		if (!rises)
			inspect_say(in, INSPECT_DAMAGE, at, name, (int64_t)i, -1, NULL,
				"entry %zu does not rise above the one before", i / size);
		else if (log >= 0 && !times && !names_batch(in, log, base, e))
			inspect_say(in, INSPECT_DAMAGE, at, name, (int64_t)i, base + get_be32(e), NULL,
				"entry %zu names position %" PRIu32 ", where no batch ends with offset %" PRId64,
				i / size, get_be32(e + 4), base + get_be32(e));
		last = e;
	}
}

int
inspect_index_file(struct inspect *in, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const size_t length = strlen(path);
	const bool times = length > 10 && strcmp(path + length - 10, ".timeindex") == 0;
	const int64_t base = layout_offset(name, times ? ".timeindex" : ".index");
	char log_path[DIR_PATH_MAX + LAYOUT_NAME], log_name[LAYOUT_NAME], dir[DIR_PATH_MAX], *bytes;
	const struct inspect_place at = {AT_FDCWD, dir};
	size_t n;
	int rc, log = -1;

	if (!in->io)
		in->io = &io_posix;
	(void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	rc = layout_read(in->io, AT_FDCWD, path, &bytes, &n);
	if (rc < 0)
		return err_sys(err, rc, "read %s", path);
	if (base >= 0) {
		layout_name(log_name, base, ".log");
		(void)snprintf(log_path, sizeof(log_path), "%s/%s", dir, log_name);
		log = in->io->openat(AT_FDCWD, log_path, O_RDONLY, 0);
	}
	judge(in, &at, name, bytes, n, times, MAX(base, 0), log);
	if (log >= 0)
		(void)in->io->close(log);
	free(bytes);
	return 0;
}
