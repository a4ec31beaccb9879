/* SPDX-License-Identifier: MIT
 * err.h - a sentence that grows on its way up: what failed, on what, what to type next.
 * Cold code returns 0 or -errno and fills a struct err; context is put in front by each caller.
 * Thread: any; a struct err belongs to its caller. */
#ifndef KIRA_BASE_ERR_H
#define KIRA_BASE_ERR_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err {
	char text[512]; /* "" while nothing failed; cut, never overrun */
};

static inline void __attribute__((format(printf, 2, 3)))
err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
}

/* `rc` is -errno; its text is put behind the sentence. Returns rc, for `return err_sys(..)`. */
static inline int __attribute__((format(printf, 3, 4)))
err_sys(struct err *err, int rc, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->text))
		(void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", strerror(-rc));
	return rc;
}

/* Put context in front: "partition 3: " + what was there. */
static inline void __attribute__((format(printf, 2, 3)))
err_prefix(struct err *err, const char *fmt, ...)
{
	char was[sizeof(err->text)];
	va_list ap;
	int n;

	memcpy(was, err->text, sizeof(was));
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->text))
		(void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, "%s", was);
}

#endif
