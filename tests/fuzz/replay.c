/* SPDX-License-Identifier: MIT
 * replay.c - where there is no libFuzzer: feed every file of the corpus directories named on the
 * command line to the driver, once each, and once nothing at all.
 * Thread: main. Never: makes up input; a directory that is not there holds no files. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay_file(const char *dir, const char *name)
{
	char path[4096];
	uint8_t *data;
	long size;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -1;
	f = fopen(path, "rb");
	if (!f)
		return -1;
	if (fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0) {
		(void)fclose(f);
		return -1;
	}
	/* Exactly as long as the input, so that a read past the end is seen by ASan. */
	data = malloc(size > 0 ? (size_t)size : 1);
	if (!data || fread(data, 1, (size_t)size, f) != (size_t)size) {
		free(data);
		(void)fclose(f);
		return -1;
	}
	(void)fclose(f);
	(void)LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	return 0;
}

int
main(int argc, char **argv)
{
	static const uint8_t nothing[1];
	unsigned n = 0;

	(void)LLVMFuzzerTestOneInput(nothing, 0);
	for (int i = 1; i < argc; i++) {
		struct dirent *e;
		DIR *dir = opendir(argv[i]);

		if (!dir)
			continue;
		while ((e = readdir(dir)) != NULL) {
			if (e->d_name[0] == '.')
				continue;
			if (replay_file(argv[i], e->d_name) != 0) {
				fprintf(stderr, "cannot read %s/%s\n", argv[i], e->d_name);
				return 1;
			}
			n++;
		}
		(void)closedir(dir);
	}
	printf("%u inputs replayed\n", n);
	return 0;
}
