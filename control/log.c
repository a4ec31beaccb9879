/* SPDX-License-Identifier: MIT
 * log.c - one line per finding, to stderr. stdout carries the `ready` line and nothing else.
 * Thread: see log.h. Owns: the level. Never: called from dataplane/ or storage/. */
#include "control/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum log_level level_now = LOG_LEVEL_INFO;

void
log_set_level(enum log_level level)
{
	level_now = level;
}

static void
write_line(enum log_level level, uint64_t held, const char *fmt, va_list ap)
{
	static const char *const word[] = {"ERROR", "WARN ", "INFO ", "DEBUG"};
	const int64_t wall_ms = clock_wall_ms();
	const time_t s = (time_t)(wall_ms / 1000);
	char when[32], line[2048];
	struct tm tm;
	int n;

	(void)gmtime_r(&s, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	if (n < 0)
		return;
	/* What a client sent (a name, an id) must not forge lines. */
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (held > 0)
		fprintf(stderr, "%s.%03dZ %s %s (%llu more like it)\n", when, (int)(wall_ms % 1000),
			word[level], line, (unsigned long long)held);
	else
		fprintf(stderr, "%s.%03dZ %s %s\n", when, (int)(wall_ms % 1000), word[level], line);
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > level_now)
		return;
	va_start(ap, fmt);
	write_line(level, 0, fmt, ap);
	va_end(ap);
}

void
log_limited(struct log_limit *limit, uint64_t now_ns, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > level_now)
		return;
	if (limit->last_ns != 0 && now_ns - limit->last_ns < NS_PER_S) {
		limit->held++;
		return;
	}
	va_start(ap, fmt);
	write_line(level, limit->held, fmt, ap);
	va_end(ap);
	limit->last_ns = now_ns;
	limit->held = 0;
}
