/* SPDX-License-Identifier: MIT
 * kill_load.c - producers and readers of one topic that outlive any number of kirads, and write down what
 * they did and saw, for sim_check.
 *
 *	kill_load --bootstrap HOST:PORT --topic NAME --partitions N --out DIR [--all log|disk]
 *		[--visible log|disk] [--exact N] [--plain N] [--kira N] [--rdkafka N] [--readers N]
 *		[--udp OUR_ADDRESS] [--pace-us N] [--seed N]
 *	kill_load --final --bootstrap HOST:PORT --topic NAME --partitions N --out FILE
 *
 * --exact, --plain: producers of its own, idempotent or not; --kira, --rdkafka: by the libraries. The
 * n-th writes to partition n mod N. Readers beyond the N-th go back now and then and read again. DIR gets a history per thread and `progress`, a mapped file of counts
 * (struct progress). SIGTERM: no new units, wait for the outcome of all, read to the end, exit 0. Exit 1:
 * something went wrong that no fault explains. Threads: one per producer and reader. */
#include "tests/crash/kill_load.h"

#include "base/bits.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORKERS_MAX 64
#define READERS_MAX 200 /* of ids, which sim_check bounds */

struct load load;
static const char *const kind_name[KINDS] = {"exact", "plain", "kira", "rdkafka", "reader"};
static void *(*const kind_run[KINDS])(void *) = {produce_run, produce_run, kira_run, rdkafka_run, read_run};

void
load_failed(const struct worker *w, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "kill_load: %s %d, partition %u: %s\n", kind_name[w->kind], (int)w->id, w->part, text);
	load.failed = true;
}

int64_t
load_ms(void)
{
	return (int64_t)(clock_now_ns() / NS_PER_MS);
}

void
load_nap(int ms)
{
	(void)poll(NULL, 0, ms);
}

static FILE *
open_in(const char *dir, const char *kind, int64_t id)
{
	char path[400];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s-%d", dir, kind, (int)id);
	f = fopen(path, "we");
	if (!f) {
		perror(path);
		exit(2);
	}
	return f;
}

static void
map_progress(void)
{
	char path[400];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/progress", load.out);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*load.progress)) < 0) {
		perror(path);
		exit(2);
	}
	load.progress = mmap(NULL, sizeof(*load.progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (load.progress == MAP_FAILED)
		abort();
	(void)close(fd);
}

static void
join(const pthread_t *thread, const struct worker *w, unsigned n, bool readers)
{
	for (unsigned i = 0; i < n; i++)
		if ((w[i].kind == KIND_READER) == readers)
			(void)pthread_join(thread[i], NULL);
}

static int
run(const unsigned count[KINDS])
{
	static struct worker w[WORKERS_MAX];
	static pthread_t thread[WORKERS_MAX];
	unsigned n = 0;
	sigset_t term;
	int signal = 0;

	map_progress();
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &term, NULL);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		for (unsigned i = 0; i < count[kind] && n < WORKERS_MAX; i++, n++) {
			w[n] = (struct worker){(enum kind)kind,
				kind == KIND_READER ? (int64_t)i : (int64_t)(1000 * (kind + 1) + i),
				i % load.partitions, open_in(load.out, kind_name[kind], i)};
			if (pthread_create(&thread[n], NULL, kind_run[kind], &w[n]) != 0)
				abort();
		}
	}
	while (signal != SIGTERM && !load.failed)
		signal = sigtimedwait(&term, NULL, &(struct timespec){.tv_nsec = 50000000});
	load.stop = true;
	join(thread, w, n, false);
	load.stop_reading = true;
	join(thread, w, n, true);
	for (unsigned i = 0; i < n; i++)
		if (fclose(w[i].history) != 0)
			load_failed(&w[i], "its history could not be written: %s", strerror(errno));
	return load.failed;
}

static int
final(void)
{
	static struct progress unused;
	FILE *out = fopen(load.out, "we");
	int rc;

	load.progress = &unused;
	if (!out) {
		perror(load.out);
		return 2;
	}
	rc = read_final(out);
	return fclose(out) != 0 || rc < 0;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"exact", 1, NULL, KIND_EXACT}, {"plain", 1, NULL, KIND_PLAIN},
		{"kira", 1, NULL, KIND_KIRA}, {"rdkafka", 1, NULL, KIND_RDKAFKA},
		{"readers", 1, NULL, KIND_READER}, {"bootstrap", 1, NULL, 'b'}, {"topic", 1, NULL, 't'},
		{"partitions", 1, NULL, 'p'}, {"out", 1, NULL, 'o'}, {"all", 1, NULL, 'a'},
		{"visible", 1, NULL, 'v'}, {"udp", 1, NULL, 'u'}, {"pace-us", 1, NULL, 'w'},
		{"seed", 1, NULL, 's'}, {"final", 0, NULL, 'f'}, {0}};
	unsigned count[KINDS] = {0};
	bool at_end = false;
	int c;

	load = (struct load){.partitions = 1, .pace_us = 1000, .seed = 1};
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'b': load.bootstrap = optarg; break;
		case 't': load.topic = optarg; break;
		case 'o': load.out = optarg; break;
		case 'u': load.udp_address = optarg; break;
		case 'p': load.partitions = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'a': load.all_is_disk = strcmp(optarg, "disk") == 0; break;
		case 'v': load.visible_at_disk = strcmp(optarg, "disk") == 0; break;
		case 'w': load.pace_us = strtoull(optarg, NULL, 10); break;
		case 's': load.seed = strtoull(optarg, NULL, 10); break;
		case 'f': at_end = true; break;
		case '?': return 2;
		default: count[c] = (unsigned)strtoul(optarg, NULL, 10);
		}
	}
	if (!load.bootstrap || !load.topic || !load.out || load.partitions < 1 ||
		count[KIND_READER] > READERS_MAX) {
		fprintf(stderr, "kill_load: --bootstrap, --topic, --partitions and --out are wanted\n");
		return 2;
	}
	return at_end ? final() : run(count);
}
