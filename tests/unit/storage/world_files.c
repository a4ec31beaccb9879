/* SPDX-License-Identifier: MIT
 * world_files.c - looking at, copying and damaging the files of the world's directory. See world.h. */
#include "tests/unit/storage/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void
path_of(char *path, size_t room, unsigned p, const char *name)
{
	(void)snprintf(path, room, "%s/t-%u/%s", w.dir, p, name);
}

bool
world_has(unsigned p, const char *name)
{
	char path[400];

	path_of(path, sizeof(path), p, name);
	return access(path, F_OK) == 0;
}

uint64_t
world_size(unsigned p, const char *name)
{
	char path[400];
	struct stat st;

	path_of(path, sizeof(path), p, name);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
}

int
world_open_file(unsigned p, const char *name)
{
	char path[400];
	int fd;

	path_of(path, sizeof(path), p, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(fd >= 0);
	return fd;
}

static bool
ends_in(const char *name, const char *suffix)
{
	const size_t n = strlen(name), m = strlen(suffix);

	return n >= m && strcmp(name + n - m, suffix) == 0;
}

unsigned
world_count(unsigned p, const char *suffix)
{
	char path[400];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	path_of(path, sizeof(path), p, ".");
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.' && ends_in(e->d_name, suffix);
	if (d)
		(void)closedir(d);
	return n;
}

void
world_last_log(unsigned p, char name[40])
{
	char path[400];
	struct dirent *e;
	DIR *d;

	path_of(path, sizeof(path), p, ".");
	name[0] = 0;
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL)
		if (ends_in(e->d_name, ".log") && strcmp(e->d_name, name) > 0)
			(void)snprintf(name, 40, "%.39s", e->d_name);
	if (d)
		(void)closedir(d);
}

/* ---- Whole trees, one level deep ---------------------------------------------------------- */

static void
copy_file(const char *from, const char *to)
{
	static uint8_t bytes[1 << 20];
	const int in = open(from, O_RDONLY | O_CLOEXEC);
	const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n;

	CU_ASSERT_TRUE_FATAL(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		CU_ASSERT_EQUAL_FATAL(write(out, bytes, (size_t)n), n);
	(void)close(in);
	(void)close(out);
}

static void
copy_dir(const char *from, const char *to, bool deeper)
{
	DIR *d = opendir(from);
	struct dirent *e;

	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	CU_ASSERT_EQUAL_FATAL(mkdir(to, 0755), 0);
	while ((e = readdir(d)) != NULL) {
		char a[800], b[800];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(a, sizeof(a), "%s/%s", from, e->d_name);
		(void)snprintf(b, sizeof(b), "%s/%s", to, e->d_name);
		if (e->d_type == DT_DIR && deeper)
			copy_dir(a, b, false);
		else
			copy_file(a, b);
	}
	(void)closedir(d);
}

static void
clear_dir(const char *dir, bool deeper)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		char a[800];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(a, sizeof(a), "%s/%s", dir, e->d_name);
		if (e->d_type == DT_DIR && deeper)
			clear_dir(a, false);
		else
			(void)unlink(a);
	}
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

void
world_save(void)
{
	char copy[80];

	(void)snprintf(copy, sizeof(copy), "%s.copy", w.dir);
	clear_dir(copy, true);
	copy_dir(w.dir, copy, true);
}

void
world_restore(void)
{
	char copy[80];

	(void)snprintf(copy, sizeof(copy), "%s.copy", w.dir);
	clear_dir(w.dir, true);
	copy_dir(copy, w.dir, true);
}
