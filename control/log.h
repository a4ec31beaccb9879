/* SPDX-License-Identifier: MIT
 * log.h - log lines to stderr: time, level, sentence. Control thread (and main, before it);
 * another one only where control cannot: the flush daemon that ended, a stop that waits, the recovery beside EAL's
 * start. A line is one write. */
#ifndef KIRA_CONTROL_LOG_H
#define KIRA_CONTROL_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One per place that can be hit again and again by strangers; zeroed at first. */
struct log_limit {
	uint64_t last_ns; /* of the last line; 0 none */
	uint64_t held;    /* lines not written since */
};

/* At most one line a second and place; the next says how many were left out. */
void log_limited(struct log_limit *limit, uint64_t now_ns, enum log_level level, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
