/* SPDX-License-Identifier: MIT
 * layout_ut.c - storage/layout.c: names, ids, and small files replaced whole, also when a call in
 * the middle fails. */
#include "storage/layout.c"

#include "base/bits.h"
#include "base/uuid.h"
#include "tests/unit/storage/fake_io.h"
#include "tests/unit/ut.h"

#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/var/tmp/kira-layout-XXXXXX";
static int dir = -1;

static void
make_dir(void)
{
	fake_io_reset();
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(path));
	dir = fake_io.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	CU_ASSERT_TRUE_FATAL(dir >= 0);
}

static int
remove_one(void *arg, const char *name)
{
	unsigned *n = arg;

	(*n)++;
	return io_posix.unlinkat(dir, name, false);
}

/* How many files were left. */
static unsigned
remove_dir(void)
{
	unsigned n = 0;

	CU_ASSERT_EQUAL(io_posix.list(dir, remove_one, &n), 0);
	(void)close(dir);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	return n;
}

static void
a_segments_name_is_its_offset_in_20_digits(void)
{
	char name[LAYOUT_NAME];

	layout_name(name, 4711, ".log");
	CU_ASSERT_STRING_EQUAL(name, "00000000000000004711.log");
	layout_name(name, INT64_MAX, ".log.dropped");
	CU_ASSERT_STRING_EQUAL(name, "09223372036854775807.log.dropped");
	CU_ASSERT_EQUAL(layout_offset("00000000000000004711.log", ".log"), 4711);
	CU_ASSERT_EQUAL(layout_offset("09223372036854775807.log", ".log"), INT64_MAX);
}

static void
other_names_are_no_offset(void)
{
	static const char *const bad[] = {"", ".log", "4711.log",
		"00000000000000004711.log.dropped", "00000000000000004711.index",
		"0000000000000000004711.log", "0000000000000000471x.log",
		"-0000000000000004711.log", "09223372036854775808.log", "99999999999999999999.log",
		"00000000000000004711", "next.pool"};

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++)
		CU_ASSERT_EQUAL(layout_offset(bad[i], ".log"), -1);
}

static void
an_id_survives_the_way_to_text_and_back(void)
{
	static const uint8_t zeros[16], ones[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
						0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	/* base64.urlsafe_b64encode(bytes(range(16))) */
	uint8_t id[16], again[16];
	char text[23];

	for (unsigned i = 0; i < 16; i++)
		id[i] = (uint8_t)i;
	uuid_put(text, id);
	CU_ASSERT_STRING_EQUAL(text, "AAECAwQFBgcICQoLDA0ODw");
	for (unsigned i = 0; i < 16; i++)
		id[i] = (uint8_t)(0xf0 + i);
	uuid_put(text, id);
	CU_ASSERT_STRING_EQUAL(text, "8PHy8_T19vf4-fr7_P3-_w");
	CU_ASSERT_TRUE(uuid_parse(text, again));
	CU_ASSERT_EQUAL(memcmp(id, again, 16), 0);
	uuid_put(text, zeros);
	CU_ASSERT_TRUE(uuid_parse(text, again) && memcmp(zeros, again, 16) == 0);
	uuid_put(text, ones);
	CU_ASSERT_TRUE(uuid_parse(text, again) && memcmp(ones, again, 16) == 0);
}

static void
text_that_is_no_id_is_refused(void)
{
	static const char *const bad[] = {"", "AAECAwQFBgcICQoLDA0OD", "AAECAwQFBgcICQoLDA0ODwA",
		"AAECAwQFBgcICQoLDA0ODx", "AAECAwQFBgcICQoLDA0OD+", "AAECAwQFBgcICQoLDA0O/w",
		"AAECAwQFBgcICQoLDA0O w", "AAECAwQFBgcICQoLDA0OD="};
	uint8_t id[16];

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++)
		CU_ASSERT_FALSE(uuid_parse(bad[i], id));
}

static void
a_text_file_comes_back_and_ends_with_its_checksum(void)
{
	char *body, *whole;
	size_t n;

	make_dir();
	CU_ASSERT_EQUAL(layout_put_text(&fake_io, dir, "state", "clean 1\n"), 0);
	CU_ASSERT_EQUAL(layout_read_text(&fake_io, dir, "state", &body), 0);
	CU_ASSERT_STRING_EQUAL(body, "clean 1\n");
	free(body);
	CU_ASSERT_EQUAL(layout_read(&fake_io, dir, "kira.state", &whole, &n), 0);
	CU_ASSERT_EQUAL(strncmp(whole, "kira-state 1\nclean 1\ncrc32c ", 27), 0);
	free(whole);
	CU_ASSERT_EQUAL(layout_put_text(&fake_io, dir, "empty", ""), 0);
	CU_ASSERT_EQUAL(layout_read_text(&fake_io, dir, "empty", &body), 0);
	CU_ASSERT_STRING_EQUAL(body, "");
	free(body);
	CU_ASSERT_EQUAL(layout_read_text(&fake_io, dir, "topics", &body), -ENOENT);
	CU_ASSERT_EQUAL(remove_dir(), 2);
}

static void
a_text_file_with_any_bit_turned_or_cut_anywhere_is_refused(void)
{
	char *whole, *body = NULL;
	size_t n;

	make_dir();
	CU_ASSERT_EQUAL(layout_put_text(&fake_io, dir, "ids", "next_producer_id 7\n"), 0);
	CU_ASSERT_EQUAL_FATAL(layout_read(&fake_io, dir, "kira.ids", &whole, &n), 0);
	for (size_t i = 0; i < n * 8; i++) {
		whole[i / 8] ^= (char)(1 << i % 8);
		CU_ASSERT_EQUAL(layout_put(&fake_io, dir, "kira.ids", whole, n), 0);
		CU_ASSERT_EQUAL(layout_read_text(&fake_io, dir, "ids", &body), -EBADMSG);
		whole[i / 8] ^= (char)(1 << i % 8);
	}
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(layout_put(&fake_io, dir, "kira.ids", whole, i), 0);
		CU_ASSERT_EQUAL(layout_read_text(&fake_io, dir, "ids", &body), -EBADMSG);
	}
	free(whole);
	CU_ASSERT_EQUAL(remove_dir(), 1);
}

/* A file of another kind under this name, with a right checksum. */
static void
a_text_file_of_another_kind_is_refused(void)
{
	char *whole, *body;
	size_t n;

	make_dir();
	CU_ASSERT_EQUAL(layout_put_text(&fake_io, dir, "ids", "next_producer_id 7\n"), 0);
	CU_ASSERT_EQUAL_FATAL(layout_read(&fake_io, dir, "kira.ids", &whole, &n), 0);
	CU_ASSERT_EQUAL(layout_put(&fake_io, dir, "kira.meta", whole, n), 0);
	CU_ASSERT_EQUAL(layout_read_text(&fake_io, dir, "meta", &body), -EBADMSG);
	free(whole);
	CU_ASSERT_EQUAL(remove_dir(), 2);
}

/* Whatever call fails, the old contents or the new are there, whole, and no .tmp stays. */
static void
a_replacement_that_fails_anywhere_leaves_the_old_file_or_the_new(void)
{
	unsigned failed = 0;

	for (uint64_t at = 1; at < 100; at++) {
		char *bytes;
		size_t n;
		int rc;

		make_dir();
		CU_ASSERT_EQUAL(layout_replace(&fake_io, dir, "file", "old", 3), 0);
		fake.fails_at = fake.total + at;
		rc = layout_replace(&fake_io, dir, "file", "new", 3);
		CU_ASSERT_TRUE(rc == 0 || rc == -EIO);
		failed += rc < 0;
		fake.fails_at = 0;
		CU_ASSERT_EQUAL_FATAL(layout_read(&fake_io, dir, "file", &bytes, &n), 0);
		CU_ASSERT_TRUE(n == 3 && (memcmp(bytes, "new", 3) == 0 ||
						 (rc < 0 && memcmp(bytes, "old", 3) == 0)));
		free(bytes);
		CU_ASSERT_EQUAL(remove_dir(), 1);
		if (rc == 0)
			break;
	}
	CU_ASSERT_EQUAL(failed, 7); /* two opens, write, fsync, rename, fsync of the directory, and its size */
}

/* The bytes are synced before the name points to them, the directory after. */
static char order[16];

static bool
is_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
note_order(enum io_kind kind, int fd, const char *name)
{
	const size_t n = strlen(order);

	if (n + 1 < sizeof(order))
		order[n] = kind == IO_PWRITE     ? 'w'
			   : kind == IO_FSYNC    ? (fd == dir ? '!' : is_dir(fd) ? 'd' : 's')
			   : kind == IO_RENAMEAT ? 'r'
			   : kind == IO_OPENAT   ? (strcmp(name, ".") == 0 ? 'D' : 'o')
			   : kind == IO_SIZE     ? (is_dir(fd) ? 'a' : '?')
						 : '?';
	return 0;
}

static void
a_replacement_syncs_renames_and_syncs_the_directory_in_this_order(void)
{
	make_dir();
	memset(order, 0, sizeof(order));
	fake.hook = note_order;
	CU_ASSERT_EQUAL(layout_replace(&fake_io, dir, "file", "bytes", 5), 0);
	CU_ASSERT_STRING_EQUAL(order, "Dowsrda"); /* D: opened before the change, as another file than `dir`; a: is it alive? */
	CU_ASSERT_EQUAL(remove_dir(), 1);
}

static int
shut_down(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_FSYNC && is_dir(fd) ? 0 : -EIO;
}

static void
a_directory_is_not_synced_by_a_file_system_that_shut_itself_down(void)
{
	make_dir();
	CU_ASSERT_EQUAL(layout_sync_dir(&fake_io, dir), 0);
	fake.hook = shut_down;
	CU_ASSERT_EQUAL(layout_sync_dir(&fake_io, dir), -EIO);
	CU_ASSERT_EQUAL(remove_dir(), 0);
}

static void
unlinking_what_is_not_there_is_no_error(void)
{
	make_dir();
	CU_ASSERT_EQUAL(layout_unlink(&fake_io, dir, "nothing"), 0);
	fake.fails_at = fake.total + 1;
	CU_ASSERT_EQUAL(layout_unlink(&fake_io, dir, "nothing"), -EIO);
	CU_ASSERT_EQUAL(remove_dir(), 0);
}

static const struct ut_test tests[] = {
	UT("names", a_segments_name_is_its_offset_in_20_digits),
	UT("names", other_names_are_no_offset),
	UT("names", an_id_survives_the_way_to_text_and_back),
	UT("names", text_that_is_no_id_is_refused),
	UT("files", a_text_file_comes_back_and_ends_with_its_checksum),
	UT("files", a_text_file_with_any_bit_turned_or_cut_anywhere_is_refused),
	UT("files", a_text_file_of_another_kind_is_refused),
	UT("files", a_replacement_that_fails_anywhere_leaves_the_old_file_or_the_new),
	UT("files", a_replacement_syncs_renames_and_syncs_the_directory_in_this_order),
	UT("files", a_directory_is_not_synced_by_a_file_system_that_shut_itself_down),
	UT("files", unlinking_what_is_not_there_is_no_error),
};

UT_MAIN(tests)
