/* SPDX-License-Identifier: MIT
 * eal.c - writes the EAL line, starts EAL, catches its log.
 * Thread: eal_start(), eal_log_drain(), eal_stop() on one thread, EAL's main lcore. Driver threads
 * may log at any time: their lines wait in a small queue until the main thread drains it.
 * Owns: the log stream (never closed: EAL writes to it until exit) and EAL's argv.
 * Never: starts EAL twice; logs by itself. */
#include "dataplane/eal.h"

#include "dataplane/kira_dpdk_compat.h"
#include "dataplane/nic.h"

#include "base/assert.h"
#include "base/bits.h"

#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EAL_ARGS_MAX  64
#define EAL_ARG_BYTES 4096
#define LOG_LINE      240
#define LOG_KEPT      20 /* the last lines, for the sentence when EAL does not start */

/* EAL's log. The mutex is cold: drivers log on a link change, not per packet. */
static struct eal_log {
	pthread_mutex_t lock;
	void (*log)(void *arg, bool warn, const char *line);
	void *arg;
	bool direct;                 /* eal_start() runs on this very thread */
	pthread_t thread;
	char line[LOG_KEPT][LOG_LINE];
	unsigned written, drained;   /* counts; line i sits in slot i % LOG_KEPT */
	char part[LOG_LINE];         /* a line not yet ended */
	size_t part_len;
} eal_log = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Texts that look like trouble and are none: an unused huge page size; memif without
 * --shconf; TAP's remark about the kernel's multi-queue flag. */
static bool
line_harmless(const char *line)
{
	static const char *const text[] = {
		"hugepages reported",
		"Failed to register mp action callback",
		"does not support multiq",
		"VFIO support not initialized",
	};

	for (unsigned i = 0; i < ARRAY_LENGTH(text); i++)
		if (strstr(line, text[i]))
			return true;
	return false;
}

static bool
line_warns(const char *line)
{
	static const char *const word[] = {"rror", "ailed", "annot", "arning", "nvalid", "not found"};

	for (unsigned i = 0; i < ARRAY_LENGTH(word); i++)
		if (strstr(line, word[i]))
			return true;
	return false;
}

static void
line_end(struct eal_log *l)
{
	char *slot = l->line[l->written % LOG_KEPT];

	memcpy(slot, l->part, l->part_len);
	slot[l->part_len] = '\0';
	l->part_len = 0;
	if (slot[0] == '\0' || line_harmless(slot))
		return;
	l->written++;
	if (l->direct && pthread_equal(l->thread, pthread_self()) && l->log) {
		l->log(l->arg, line_warns(slot), slot);
		l->drained = l->written;
	}
}

static ssize_t
stream_write(void *cookie, const char *text, size_t n)
{
	struct eal_log *l = cookie;

	(void)pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			line_end(l);
		else if (l->part_len < LOG_LINE - 1)
			l->part[l->part_len++] = text[i];
	}
	(void)pthread_mutex_unlock(&l->lock);
	return (ssize_t)n;
}

void
eal_log_drain(void)
{
	struct eal_log *l = &eal_log;
	char line[LOG_LINE];

	for (;;) {
		(void)pthread_mutex_lock(&l->lock);
		if (l->written - l->drained > LOG_KEPT)
			l->drained = l->written - LOG_KEPT;
		if (l->drained == l->written) {
			(void)pthread_mutex_unlock(&l->lock);
			return;
		}
		memcpy(line, l->line[l->drained++ % LOG_KEPT], LOG_LINE);
		(void)pthread_mutex_unlock(&l->lock);
		if (l->log)
			l->log(l->arg, line_warns(line), line);
	}
}

/* EAL keeps pointers into its argv: both live as long as the process. */
static char arg_text[EAL_ARG_BYTES];
static char *arg_ptr[EAL_ARGS_MAX + 1];

struct args {
	size_t used;
	int n;
	bool full;
};

static void __attribute__((format(printf, 2, 3)))
arg(struct args *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (a->full || a->n == EAL_ARGS_MAX) {
		a->full = true;
		return;
	}
	va_start(ap, fmt);
	n = vsnprintf(arg_text + a->used, sizeof(arg_text) - a->used, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(arg_text) - a->used) {
		a->full = true;
		return;
	}
	arg_ptr[a->n++] = arg_text + a->used;
	a->used += (size_t)n + 1;
}

static void
arg_lcores(struct args *a, const struct eal_options *o)
{
	char list[EAL_LCORES_MAX * 12];
	size_t n = 0;

	for (unsigned i = 0; i < o->lcores; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%u@%d", i ? "," : "", i,
			o->cpu[i]);
	arg(a, "--lcores");
	arg(a, "%s", list);
}

/* True if the user's own options name `option`: then ours is left out. */
static bool
extra_has(const char *extra, const char *option)
{
	const size_t n = strlen(option);
	const char *p = extra;

	while (p && (p = strstr(p, option)) != NULL) {
		if ((p == extra || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' ' || p[n] == '='))
			return true;
		p += n;
	}
	return false;
}

static void
arg_extra(struct args *a, const char *extra)
{
	while (extra && *extra) {
		const size_t n = strcspn(extra, " ");

		if (n > 0)
			arg(a, "%.*s", (int)n, extra);
		extra += n;
		extra += strspn(extra, " ");
	}
}

static void
arg_all(struct args *a, const struct eal_options *o)
{
	arg(a, "kira");
	arg_lcores(a, o);
	if (o->dev->kind == NIC_PCI) {
		/* Files in /dev/hugepages would outlive a crash; --in-memory leaves none. */
		arg(a, "--in-memory");
		arg(a, "--file-prefix");
		arg(a, "kira.%d", (int)getpid());
		if (!extra_has(o->extra, "--socket-mem") && !extra_has(o->extra, "-m")) {
			arg(a, "-m");
			arg(a, "%u", o->memory_mib);
		}
		arg(a, "-a");
		arg(a, "%s", o->dev->devargs);
	} else {
		arg(a, "--no-huge");
		if (!extra_has(o->extra, "-m")) {
			arg(a, "-m");
			arg(a, "%u", o->memory_mib);
		}
		arg(a, "--no-shconf");
		arg(a, "--no-pci");
		arg(a, "--iova-mode");
		arg(a, "va");
		arg(a, "--vdev");
		arg(a, "%s", o->dev->devargs);
	}
	if (!extra_has(o->extra, "--no-telemetry"))
		arg(a, "--no-telemetry");
#if defined(__SANITIZE_ADDRESS__)
	if (!extra_has(o->extra, "--base-virtaddr")) {
		arg(a, "--base-virtaddr");
		arg(a, "0x200000000000"); /* clear of ASan's shadow */
	}
#endif
	arg_extra(a, o->extra);
}

/* "EAL line: kira --lcores 0@0,1@1 ..", so that whoever reads the log can repeat it by hand. */
static void
show_eal_line(const struct args *a)
{
	char line[LOG_LINE * 4] = "EAL line:";
	size_t n = strlen(line);

	for (int i = 1; i < a->n && n < sizeof(line) - 1; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %s", arg_ptr[i]);
	if (eal_log.log)
		eal_log.log(eal_log.arg, false, line);
}

static int
pin_caller(int cpu, struct err *err)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return err_sys(err, -errno, "pin the control thread to CPU %d (allowed ones: "
			"grep Cpus_allowed_list /proc/self/status)", cpu);
	return 0;
}

int
eal_start(const struct eal_options *o, struct err *err)
{
	static const cookie_io_functions_t stream = {.write = stream_write};
	struct args a = {0};
	FILE *file;
	int rc;

	ASSERT(o->lcores >= 1 && o->lcores <= EAL_LCORES_MAX);
	rc = pin_caller(o->cpu[0], err); /* EAL's own threads inherit it */
	if (rc < 0)
		return rc;
	/* EAL makes /tmp/dpdk or $XDG_RUNTIME_DIR/dpdk: ours cannot belong to another user. */
	if (o->run_dir && setenv("XDG_RUNTIME_DIR", o->run_dir, 1) < 0)
		return err_sys(err, -errno, "set XDG_RUNTIME_DIR");
	arg_all(&a, o);
	if (a.full) {
		err_set(err, "EAL line too long: shorten eal-extra or the device's path");
		return -E2BIG;
	}
	eal_log.log = o->log;
	eal_log.arg = o->log_arg;
	eal_log.thread = pthread_self();
	eal_log.direct = true;
	file = fopencookie(&eal_log, "w", stream);
	if (!file)
		return err_sys(err, -errno, "open EAL's log stream");
	(void)setvbuf(file, NULL, _IOLBF, 512);
	(void)rte_openlog_stream(file);
	(void)rte_log_set_global_level(RTE_LOG_NOTICE);
	show_eal_line(&a);
	/* EAL permutes argv: it gets a copy of the pointers, ours keep their order. */
	char *argv[EAL_ARGS_MAX + 1];

	memcpy(argv, arg_ptr, sizeof(argv));
	if (rte_eal_init(a.n, argv) < 0) {
		eal_log.direct = false;
		rc = rte_errno > 0 ? -rte_errno : -EIO;
		err_set(err, "DPDK did not start: %s",
			eal_log.written ? eal_log.line[(eal_log.written - 1) % LOG_KEPT] :
					  rte_strerror(-rc));
		return rc;
	}
	eal_log.direct = false;
	return 0;
}

void
eal_stop(void)
{
	(void)rte_eal_cleanup();
	eal_log_drain();
	/* The stream stays: atexit handlers of drivers may still write to it. */
	eal_log.log = NULL;
}
